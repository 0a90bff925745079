"""What the counts of a corpus explain of its models' accuracies, with every warning that the table calls for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.explaining.bootstrap import Draws, draw_levels
from oddpair.eval.explaining.permutation import PermutationTest, Shuffles, permute_counts, shuffle_rows
from oddpair.eval.explaining.simpson import SimpsonWarning, find_simpson
from oddpair.eval.explaining.within import CountEffects, split_effects
from oddpair.eval.explaining.within_slopes import DatasetSlopes, fit_dataset_slopes
from oddpair.eval.explaining.within_zero import ZeroCounts, compare_zero
from oddpair.eval.prediction.table import COUNTS, AccuracyTable

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountExplanation:
    """What one kind of count explains of one model's accuracies.

    Attributes:
        count: Column of the counts: ``count_text``, ``count_image`` or ``count_joint``.
        n: Rows behind it: accuracy known, count made; concepts with count 0 are among them.
        n_datasets: Their datasets.
        uncounted: Rows of known accuracy left out because their count was not made.
        effects: Slopes, correlations and shares of variance.
        slopes: Slope of each dataset and what they are together.
        permutation: Test against counts dealt out anew; ``None`` where nothing varies within datasets.
        zero: Accuracy of concepts that the corpus never shows beside that of the others.
        warnings: Why the pooled figures mislead, if they do.
    """

    count: str
    n: int
    n_datasets: int
    uncounted: int
    effects: CountEffects
    slopes: DatasetSlopes
    permutation: PermutationTest | None
    zero: ZeroCounts
    warnings: tuple[SimpsonWarning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelExplanation:
    """What counts explain of one model.

    Attributes:
        model: Name of the model.
        corpus: What it was trained on.
        counts: One explanation for each kind of count that the table has of the model.
        left_out: Kinds of counts without one, and why.
    """

    model: str
    corpus: str
    counts: tuple[CountExplanation, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What counts explain of every model of a table, by name of the model."""

    models: tuple[ModelExplanation, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chances:
    """Draws and shuffles of one set of rows, shared by the models that have these rows."""

    draws: Draws
    shuffled: Shuffles


def explain(table: AccuracyTable, rng: np.random.Generator) -> Explanation:
    """Say for each model and kind of count what counts explain, within datasets and between them.

    Concepts of count 0 are kept. Models that are tested on the same rows share draws, so that their intervals differ
    by their accuracies and not by chance.

    Args:
        table: Accuracies; rows without one are left out.
        rng: Source of draws and shuffles.

    Returns:
        The explanation, plain data throughout (`dataclasses.asdict` makes it JSON).
    """
    known = table.take(table.known) if table.known.any() else table
    key, fold = known.key, known.fold
    chances: dict[bytes, _Chances] = {}

    def find_chances(rows: BoolArray) -> _Chances:
        layout = np.stack([known.dataset[rows], key[rows]]).tobytes()
        if layout not in chances:
            chances[layout] = _Chances(
                draws=draw_levels(known.dataset[rows], key[rows], rng),
                shuffled=shuffle_rows(known.dataset[rows], key[rows], rng),
            )
        return chances[layout]

    models = []
    for model in table.models:
        of_model = known.known & (known.model == model)
        found, left_out = [], []
        for name in COUNTS:
            counts = known.columns()[name]
            rows = of_model & ~np.isnan(counts)
            lacking = _find_lacking(of_model, rows, key)
            if lacking:
                left_out.append(f"{name}: {lacking}")
                continue
            uncounted = int((of_model & ~rows).sum())
            part = known.take(rows)
            found.append(_explain_counts(name, part, fold[rows], find_chances(rows), uncounted))
        corpus = str(table.corpus[table.model == model][0])
        models.append(
            ModelExplanation(model=model, corpus=corpus, counts=tuple(found), left_out=tuple(left_out))
        )
    return Explanation(models=tuple(models))


def _find_lacking(of_model: BoolArray, rows: BoolArray, key: NDArray[np.str_]) -> str | None:
    if not of_model.any():
        return "no accuracy is known"
    if not rows.any():
        return "no count was made"
    number = len(np.unique(key[rows]))
    return None if number > 1 else "1 concept, at least 2 are needed"


def _explain_counts(
    name: str, part: AccuracyTable, fold: IntArray, chances: _Chances, uncounted: int
) -> CountExplanation:
    counts, draws = part.columns()[name], chances.draws
    log_count = np.log10(1 + counts)
    effects = split_effects(log_count, part.accuracy, draws)
    return CountExplanation(
        count=name,
        n=len(part),
        n_datasets=len(draws.datasets),
        uncounted=uncounted,
        effects=effects,
        slopes=fit_dataset_slopes(log_count, part.accuracy, draws),
        permutation=permute_counts(log_count, part.accuracy, part.dataset, fold, chances.shuffled),
        zero=compare_zero(counts, part.accuracy, draws),
        warnings=find_simpson(effects),
    )
