"""The published tables of accuracy and concept frequency as their authors lay them out, blanks kept as blanks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.eval.prediction.table_cells import Cells, read_cells
from oddpair.retrieval.words import normalise

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Names = NDArray[np.str_]

ZERO_SHOT, RETRIEVAL = "zeroshot", "retrieval"
PROMPTS = ("ensemble", "class", "simple")
SKETCH = "imagenet-sketch"
# More are no figure, and would fill the memory.
MOST_BINS = 1000
# The 17 sets behind every classification figure; those of image and joint counts add ImageNet-Sketch.
CLASSIFICATION = (
    "birdsnap", "caltech101", "caltech256", "cifar10", "cifar100", "country211", "cub", "dtd", "eurosat",
    "fgvcaircraft", "flowers102", "food101", "imagenet", "oxfordpets", "stanfordcars", "sun397", "ucf101",
)  # fmt: skip
COUNTS, RECALLS = "concept_counts.csv", "retrieval_recall_per_concept.csv"
FIGURES, CURVES = "published_pearson.csv", "binned_curves.csv"
FITS, RETRIEVAL_FITS = "golden_fits_concept_level.csv", "golden_fits_retrieval_concept_level.csv"
DECADES, SENSITIVITY = "acc_by_frequency_decade.csv", "binning_sensitivity_zeroshot_ensemble.csv"
CORPORA, MISALIGNED = "frequency_correlations_aligned.csv", "misalignment_degree.csv"
TESTBED, OPEN_CLIP = "imagenet_testbed_top1.csv", "openclip_results.csv"
_ACCURACIES = {prompts: f"zeroshot_acc_per_class_{prompts}.csv" for prompts in PROMPTS}
FILES = (
    COUNTS, *_ACCURACIES.values(), RECALLS, FIGURES, CURVES, FITS, RETRIEVAL_FITS, DECADES, SENSITIVITY, CORPORA,
    MISALIGNED, TESTBED, OPEN_CLIP,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """What models score on the concepts of test sets under one metric.

    Attributes:
        dataset: Test set of each row, shape ``(n,)``.
        key: Normalised name of its concept, by which it is one concept across test sets, shape ``(n,)``.
        row: Where the concept stands in the counts, shape ``(n,)``.
        of_model: Score of each ``backbone|pretraining``, NaN for a blank, shape ``(n,)``: top-1 in per cent, or recall
            as a fraction.
    """

    dataset: Names
    key: Names
    row: IntArray
    of_model: Mapping[str, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Published:
    """The published counts and scores.

    Attributes:
        folder: Where the tables lie.
        concepts: Test set and concept of every row of the counts.
        counts: Count of each ``pretraining|method``, NaN for a blank, shape ``(n_concepts,)``.
        scores: By task and metric: the prompts of zero-shot classification, or such as ``i2t_k=1`` of retrieval.
    """

    folder: Path
    concepts: tuple[tuple[str, str], ...]
    counts: Mapping[str, FloatArray]
    scores: Mapping[tuple[str, str], Scores]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Concepts:
    """Concepts with a count in a corpus and a score of a model trained on it.

    Attributes:
        dataset: Test set of each, shape ``(n,)``.
        key: Normalised name, shape ``(n,)``.
        count: Count in the corpus, shape ``(n,)``.
        score: Score of the model, in the unit of its table, shape ``(n,)``.
        n_blank: Concepts left out since their count or score is blank.
    """

    dataset: Names
    key: Names
    count: FloatArray
    score: FloatArray
    n_blank: int

    def __len__(self) -> int:
        return len(self.count)


def read_published(folder: Path) -> Published:
    """Read the published layout.

    Args:
        folder: Holds all of `FILES`.

    Raises:
        Refusal: If a file is missing or is not the table that its name says.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        raise Refusal(f"{folder} lacks {missing[0]}{more}: give the folder that holds all published tables")
    cells = read_cells(folder / COUNTS)
    concepts = list(zip(cells.text("downstream"), cells.text("concept"), strict=True))
    place: dict[tuple[str, str], int] = {}
    for row, key in enumerate(concepts):
        if place.setdefault(key, row) != row:
            raise Refusal(f"{cells.where(row)} repeats concept {key[1]!r} of {key[0]}: leave one out")
    scores = {
        (ZERO_SHOT, prompts): _read_scores(read_cells(folder / name), place, highest=100.0)
        for prompts, name in _ACCURACIES.items()
    }
    recalls = read_cells(folder / RECALLS)
    metrics = np.array(recalls.text("metric"))
    for metric in sorted(set(metrics.tolist())):
        part = _take(recalls, np.flatnonzero(metrics == metric).tolist())
        scores[RETRIEVAL, metric] = _read_scores(part, place, highest=1.0)
    return Published(
        folder=folder,
        concepts=tuple(concepts),
        counts={name: _read_numbers(cells, name, np.inf) for name in cells.columns if "|" in name},
        scores=scores,
    )


def join(
    published: Published,
    metric: tuple[str, str],
    model: str,
    corpus: str,
    method: str,
    sets: Sequence[str] | None = None,
) -> Concepts | str:
    """Set the scores of a model beside the counts of its corpus.

    Args:
        published: The tables.
        metric: Task and metric of the scores.
        model: Backbone of the model.
        corpus: Pretraining corpus of the model, and of the counts.
        method: Method of the counts as the figures call it, such as ``integrated_rampp0.7``.
        sets: Test sets to take; ``None`` for all of the task.

    Returns:
        The concepts that have both, or why there are none in words.
    """
    scores = published.scores.get(metric)
    counts = published.counts.get(f"{corpus}|{_column_of(method)}")
    if scores is None:
        return f"no scores of {metric[0]} {metric[1]} are published"
    score = scores.of_model.get(f"{model}|{corpus}")
    if score is None:
        return f"no scores of {model} trained on {corpus} are published"
    if counts is None:
        return f"no counts {method} of {corpus} are published"
    chosen = (
        np.isin(scores.dataset, sets) if sets is not None else np.ones(len(scores.dataset), dtype=np.bool_)
    )
    count = counts[scores.row]
    both = chosen & ~np.isnan(count) & ~np.isnan(score)
    if not both.any():
        return f"no concept has a count {method} of {corpus} and a score of {model}"
    return Concepts(
        dataset=scores.dataset[both],
        key=scores.key[both],
        count=count[both],
        score=score[both],
        n_blank=int(chosen.sum() - both.sum()),
    )


def choose_sets(task: str, method: str) -> tuple[str, ...] | None:
    """Return the test sets of a published curve; ``None`` for all of the task.

    Text counts go with 17 sets and image and joint counts with ImageNet-Sketch as well, so that ImageNet's 1,000 names
    count twice there.

    >>> len(choose_sets("zeroshot", "lemmatized")), len(choose_sets("zeroshot", "rampp0.7"))
    (17, 18)
    """
    if task != ZERO_SHOT:
        return None
    return CLASSIFICATION if method in {"lemmatized", "lowercased"} else (*CLASSIFICATION, SKETCH)


def _column_of(method: str) -> str:
    """Return how the table of counts calls a method: joint counts take the tagger's threshold for their name there."""
    return method.replace("integrated_rampp", "integrated_tlemmatized_i")


def _take(cells: Cells, rows: Sequence[int]) -> Cells:
    return Cells(
        path=cells.path,
        columns={name: [column[row] for row in rows] for name, column in cells.columns.items()},
        lines=[cells.lines[row] for row in rows],
    )


def _read_scores(cells: Cells, place: Mapping[tuple[str, str], int], *, highest: float) -> Scores:
    keys = list(zip(cells.text("downstream"), cells.text("concept"), strict=True))
    seen: set[tuple[str, str]] = set()
    for row, key in enumerate(keys):
        if key not in place or key in seen:
            raise Refusal(
                f"{cells.where(row)}: concept {key[1]!r} of {key[0]} "
                f"{'comes twice' if key in seen else f'is not in {COUNTS}'}: mend the tables"
            )
        seen.add(key)
    names = {concept: normalise(concept) for _, concept in keys}
    return Scores(
        dataset=np.array([dataset for dataset, _ in keys], dtype=np.str_),
        key=np.array([names[concept] for _, concept in keys], dtype=np.str_),
        row=np.array([place[key] for key in keys], dtype=np.int64),
        of_model={name: _read_numbers(cells, name, highest) for name in cells.columns if "|" in name},
    )


def _read_numbers(cells: Cells, name: str, highest: float) -> FloatArray:
    values = cells.numbers(name)
    wrong = np.flatnonzero((values < 0) | (values > highest))
    if len(wrong):
        raise Refusal(
            f"{cells.where(int(wrong[0]))}: {name} is {values[wrong[0]]:g}, needed 0 "
            f"{'or more' if highest == np.inf else f'to {highest:g}'}: mend the table"
        )
    return values
