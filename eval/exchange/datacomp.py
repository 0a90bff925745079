"""Results of DataComp: ``eval_results.jsonl``, a line for each dataset of one model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.exchange.entry import Entry, guess_main, numbers_of

FILE = "eval_results.jsonl"
_MAIN = "main_metric"
_MEAN_RECALL = "mean_recall@1"
_RECALLS = ("image_retrieval_recall@1", "text_retrieval_recall@1")
# Names that a main metric has in DataComp's list of tasks, likeliest first.
_MAINS = (
    "acc1",
    "mean_per_class_recall",
    _MEAN_RECALL,
    "F1-macro_all",
    "acc_worst_region",
    "acc_wg",
    "acc_top5_wg",
)


def read_lines(path: Path) -> list[Entry]:
    """Read the results of one model; its name, which the file does not hold, is that of the folder.

    Raises:
        Refusal: If a line is no result, or a dataset is there twice.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): check the path") from error
    model = path.resolve().parent.name if path.name == FILE else path.stem
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        entry = _read_line(line, model, path, number)
        if entry.dataset in entries:
            raise Refusal(f"{path} line {number}: {entry.dataset} is there twice: delete one of its lines")
        entries[entry.dataset] = entry
    if not entries:
        raise Refusal(f"{path} holds no result: give what DataComp's evaluate.py wrote")
    return list(entries.values())


def write_lines(path: Path, entries: Sequence[Entry]) -> None:
    """Write the results of one model, a line each, with ``main_metric`` as DataComp chooses it.

    For retrieval that is the mean of recall@1 in both directions. The file has no place for the model's name.

    Raises:
        Refusal: If the results are of several models, or none.
    """
    models = list(dict.fromkeys((entry.model, entry.pretrained) for entry in entries))
    if len(models) != 1:
        raise Refusal(
            f"{path}: a file of DataComp holds the results of one model, found {len(models)}: give the results of one"
        )
    files.write_text(path, "".join(f"{json.dumps(_line(entry), allow_nan=False)}\n" for entry in entries))


def _line(entry: Entry) -> dict[str, object]:
    metrics: dict[str, float | None] = dict(sorted(entry.metrics.items()))
    main = entry.main
    if all(name in entry.metrics for name in _RECALLS):
        main = _MEAN_RECALL
        metrics[main] = sum(entry.metrics[name] for name in _RECALLS) / len(_RECALLS)
    metrics[_MAIN] = None if main is None else metrics[main]
    return {"key": entry.dataset, "dataset": entry.title or entry.dataset, "metrics": metrics}


def _read_line(line: bytes, model: str, path: Path, number: int) -> Entry:
    place = f"{path} line {number}"
    try:
        found = files.parse_json(line, of_strangers=True)
        key, title, metrics = found["key"], found["dataset"], found["metrics"]
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(
            f"{place} is no result of DataComp, which has key, dataset and metrics ({error}): write it again"
        ) from error
    if not (isinstance(key, str) and isinstance(title, str)):
        raise Refusal(f"{place}: key and dataset are no text: write it again")
    numbers = numbers_of(metrics, path)
    main = _name_main(numbers) if _MAIN in metrics else guess_main(numbers)
    if main != _MAIN:
        numbers.pop(_MAIN, None)
    return Entry(
        model=model,
        pretrained="",
        dataset=key,
        title=title,
        task="",
        language="en",
        metrics=numbers,
        main=main,
    )


def _name_main(numbers: Mapping[str, float]) -> str | None:
    """Return the name of the metric whose value is the main one, ``None`` where DataComp has none."""
    if _MAIN not in numbers:
        return None
    names = (*_MAINS, *sorted(name for name in numbers if name not in _MAINS and name != _MAIN))
    return next((name for name in names if numbers.get(name) == numbers[_MAIN]), _MAIN)
