"""A result in the words that CLIP_benchmark and DataComp share, and how ours reads in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair.benchmarks.evaluation_set import Kind
from oddpair.errors import Refusal
from oddpair.eval.result_table import Score
from oddpair.eval.results import TaskResult

_TASKS: dict[Kind, str] = {
    "classification": "zeroshot_classification",
    "pairs": "zeroshot_classification",
    "multilabel": "zeroshot_classification",
    "retrieval": "zeroshot_retrieval",
    "choice": "image_caption_selection",
}
_NAMES = {"top1": "acc1", "top5": "acc5", "mean_per_class": "mean_per_class_recall", "accuracy": "acc"}
_TWO_IMAGES = {"text_score": "text_acc", "image_score": "image_acc", "group_score": "acc"}
_DIRECTIONS = {
    "text_to_image_recall@": "image_retrieval_recall@",
    "image_to_text_recall@": "text_retrieval_recall@",
}
# Which metric stands for a result that does not say; the first that is there.
_MAIN = (
    "acc1",
    "mean_average_precision",
    "image_retrieval_recall@1",
    "image_retrieval_recall@5",
    "text_acc",
    "acc",
    "lp_acc1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a model scored on a dataset, as other harnesses write it.

    Attributes:
        model: Architecture, or another name.
        pretrained: Its weights; may be empty.
        dataset: The dataset's id; ours is ``benchmark/task``.
        title: The dataset's name for readers; may be empty.
        task: CLIP_benchmark's name of the task; empty where unknown.
        language: Of prompts and captions.
        metrics: Values by name, all finite; accuracies and recalls are fractions.
        main: Name of the metric that stands for the dataset; ``None`` for none.
    """

    model: str
    pretrained: str
    dataset: str
    title: str
    task: str
    language: str
    metrics: Mapping[str, float]
    main: str | None


def entry_of(result: TaskResult) -> Entry:
    """Return a result of ours in the shared words; metrics that have no such word keep their name.

    Images found by captions are ``image_retrieval_recall``, captions found by images
    ``text_retrieval_recall``. Of choices among two images, ``acc`` is Winoground's group score.
    """
    values = {metric.name: metric.estimate.value for metric in result.metrics}
    if "group_score" in values:
        # There ``accuracy`` repeats the text score, and would take the name of the group score.
        del values["accuracy"]
    metrics = {_rename(name): value for name, value in values.items()}
    return Entry(
        model=result.model,
        pretrained=result.pretrained,
        dataset=f"{result.benchmark}/{result.task}",
        title=f"{result.benchmark} {result.task}",
        task=_TASKS[result.kind],
        language="en",
        metrics=metrics,
        main=guess_main(metrics),
    )


def score_of_entry(entry: Entry) -> Score | None:
    """Return the main metric as a number of a table: no interval, support or chance level is known.

    Raises:
        Refusal: If it is no fraction.
    """
    if entry.main is None:
        return None
    value = entry.metrics[entry.main]
    if not 0 <= value <= 1:
        raise Refusal(
            f"{entry.dataset}: {entry.main} of {entry.model} is {value:g}, needed a fraction from 0 to 1: "
            "divide per cent by 100"
        )
    return Score(
        model=entry.model,
        pretrained=entry.pretrained,
        benchmark="",
        version=None,
        task=entry.title or entry.dataset,
        metric=entry.main,
        value=value,
        low=None,
        high=None,
        n=None,
        chance=None,
    )


def guess_main(metrics: Mapping[str, float]) -> str | None:
    """Return the metric that stands for a result which does not say, ``None`` where none is usual.

    >>> guess_main({"acc5": 0.9, "acc1": 0.5})
    'acc1'
    """
    return next((name for name in _MAIN if name in metrics), None)


def numbers_of(found: object, path: Path) -> dict[str, float]:
    """Return the metrics that are finite numbers; others, such as a bare ``NaN`` for a missing one, are left out.

    Args:
        found: The ``metrics`` of a file.
        path: That file, for the message.

    Raises:
        Refusal: If there is no number.
    """
    metrics = dict(_numbers(found if isinstance(found, Mapping) else {}))
    if not metrics:
        raise Refusal(f"{path} holds a result without any number in its metrics: score the model again")
    return metrics


def _numbers(found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in found.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield name, float(value)


def _rename(name: str) -> str:
    for ours, theirs in _DIRECTIONS.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return _NAMES.get(name) or _TWO_IMAGES.get(name, name)
