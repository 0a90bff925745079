"""The published tables of accuracy and concept frequency, joined, with what does not hold in them told."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from oddpair.errors import Refusal
from oddpair.eval.prediction.table import COUNTS, AccuracyTable, FloatArray, IntArray
from oddpair.eval.prediction.table_cells import Cells, read_cells, shorten
from oddpair.eval.prediction.table_defects import find_defects, list_names
from oddpair.eval.prediction.table_file import Imported

PROMPTS = ("ensemble", "class", "simple")
COUNTED = {
    "count_text": "lemmatized",
    "count_image": "rampp0.7",
    "count_joint": "integrated_tlemmatized_i0.7",
}
# Test sets that ask for the names of another, drawn or pictured otherwise.
VARIANTS = ("imagenet-r", "imagenet-sketch")
_KEYS = ("downstream", "concept")
_TAGGED = re.compile(r"(.+)\|rampp(0\.\d+)")


def read_frequency(folder: Path, prompts: str = "ensemble", counted: Mapping[str, str] = COUNTED) -> Imported:
    """Join the published accuracies of classes with the published counts of concepts.

    A model keeps its name, such as ``ViT-B-16|laion400m``, and its corpus is what stands behind the bar. The number of
    samples is in neither file: ``oddpair.eval.prediction.support.find_support`` finds it. What does not hold in the
    counts is told and never mended.

    Args:
        folder: Holds ``zeroshot_acc_per_class_{prompts}.csv``, in percent, and ``concept_counts.csv``; where it also
            holds ``published_pearson.csv``, counts that are not those of the published figures are told.
        prompts: ``ensemble``, ``class`` or ``simple``.
        counted: Which of the published counts is which column.

    Returns:
        A row for each class and model; counts that were not published are NaN.

    Raises:
        Refusal: If a file is missing or is no such table.
        ValueError: If there are no such prompts.

    References:
        Udandarao et al., No "Zero-Shot" Without Exponential Data, arXiv:2404.04125.
    """
    if prompts not in PROMPTS:
        raise ValueError(f"no prompts {prompts!r}; there are {', '.join(PROMPTS)}")
    accuracies = read_cells(folder / f"zeroshot_acc_per_class_{prompts}.csv")
    counts = read_cells(folder / "concept_counts.csv")
    models = _models(accuracies)
    place = _places(counts)
    classes = list(_places(accuracies))
    row = np.array([place.get(key, -1) for key in classes])
    n = len(classes)
    columns = {
        name: np.concatenate([_take(counts, f"{corpus}|{method}", row) for _, corpus in models])
        for name, method in counted.items()
    }
    nothing = np.full(n * len(models), np.nan)
    table = AccuracyTable(
        model=np.repeat(np.array([model for model, _ in models]), n),
        corpus=np.repeat(np.array([corpus for _, corpus in models]), n),
        dataset=np.tile(np.array([dataset for dataset, _ in classes]), len(models)),
        concept=np.tile(np.array([concept for _, concept in classes]), len(models)),
        accuracy=np.concatenate([_percent(accuracies, model) for model, _ in models]),
        n=nothing,
        **{name: columns.get(name, nothing) for name in COUNTS},
        pmi=nothing,
    )
    uncounted = int((row < 0).sum())
    notes = [f"{uncounted:,} of {n:,} classes are not in concept_counts.csv"] if uncounted else []
    curves = folder / "published_pearson.csv"
    if curves.is_file():
        used = {(corpus, method) for _, corpus in models for method in counted.values()}
        notes += _find_other_sources(read_cells(curves), used)
    notes += _find_rising(counts, {corpus for _, corpus in models})
    return Imported(table=table, notes=(*notes, *find_defects(table)))


def _models(accuracies: Cells) -> list[tuple[str, str]]:
    """Return the models of a table, with the corpus of each."""
    names = [name for name in accuracies.columns if name not in _KEYS]
    for name in names:
        if name.count("|") != 1 or name.startswith("|") or name.endswith("|"):
            raise Refusal(
                f"{accuracies.path} has a column {shorten(name)}, needed 'architecture|corpus' for a model: rename it"
            )
    if not names:
        raise Refusal(f"{accuracies.path} has no column of a model: give one such as 'ViT-B-16|laion400m'")
    return [(name, name.split("|")[1]) for name in names]


def _places(cells: Cells) -> dict[tuple[str, str], int]:
    """Return the row of each class.

    Raises:
        Refusal: If a class comes twice.
    """
    places: dict[tuple[str, str], int] = {}
    for row, key in enumerate(zip(*(cells.text(name) for name in _KEYS), strict=True)):
        if not key[0]:
            raise Refusal(f"{cells.where(row)} has no downstream: fill it in, or leave the row out")
        if places.setdefault((key[0], key[1]), row) != row:
            told = ", ".join(map(shorten, key))
            raise Refusal(
                f"{cells.where(row)} repeats {told} of line {cells.lines[places[key[0], key[1]]]}: leave one out"
            )
    return places


def _percent(accuracies: Cells, model: str) -> FloatArray:
    percent = accuracies.numbers(model)
    wrong = np.flatnonzero((percent < 0) | (percent > 100))
    if len(wrong):
        raise Refusal(
            f"{accuracies.where(int(wrong[0]))}: accuracy of {model} is {percent[wrong[0]]:.10g}, needed percent "
            "from 0 to 100"
        )
    shares: FloatArray = percent / 100
    return shares


def _take(counts: Cells, name: str, rows: IntArray) -> FloatArray:
    """Return the counts of some rows; NaN for row -1, and everywhere if none of the kind were published."""
    if name not in counts.columns:
        return np.full(len(rows), np.nan)
    values = counts.numbers(name)
    wrong = np.flatnonzero((values < 0) | (np.floor(values) < values))
    if len(wrong):
        raise Refusal(
            f"{counts.where(int(wrong[0]))}: {name} is {values[wrong[0]]:.10g}, needed a whole number, 0 or more"
        )
    return np.where(rows < 0, np.nan, values[rows])


def _find_other_sources(curves: Cells, used: set[tuple[str, str]]) -> Iterator[str]:
    """Say which counts are not those that the published figures were made from."""
    rows = zip(*(curves.text(name) for name in ("pretrain", "counttype", "raw_matches_pickle")), strict=True)
    for corpus, method in sorted(
        {(corpus, method) for corpus, method, same in rows if same.lower() == "false"} & used
    ):
        yield f"{corpus}: the counts {method!r} are not those that the published figures were made from"


def _find_rising(counts: Cells, corpora: set[str]) -> Iterator[str]:
    """Say which images are more above a higher threshold of the tagger than above a lower one."""
    thresholds: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for name in counts.columns:
        if (match := _TAGGED.fullmatch(name)) and match[1] in corpora:
            thresholds[match[1]].append((float(match[2]), name))
    rising: defaultdict[str, list[str]] = defaultdict(list)
    for corpus, named in sorted(thresholds.items()):
        columns = [counts.numbers(name) for _, name in sorted(named)]
        for lower, higher in itertools.pairwise(columns):
            for row in np.flatnonzero(higher > lower).tolist():
                if corpus not in rising[counts.text("concept")[row]]:
                    rising[counts.text("concept")[row]].append(corpus)
    if rising:
        found = sorted({corpus for of_concept in rising.values() for corpus in of_concept})
        yield (
            f"image counts of {list_names(sorted(rising))} rise with the threshold of the tagger, where they can only "
            f"fall, in {', '.join(found)}"
        )
