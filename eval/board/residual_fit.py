"""Accuracy by concept of each entry from the counts of its corpus and from the other entries, itself left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.eval.board.residual_cells import Cells, FloatArray, IntArray
from oddpair.eval.prediction.dispersion import find_intervals, fit_dispersion
from oddpair.eval.prediction.kernel import Basis, make_basis
from oddpair.eval.prediction.logits import fit_logits, rate

BoolArray = NDArray[np.bool_]

# Others, copies counted once, below which nothing is said of an entry.
FEWEST_OTHERS = 4
# Prior variances in squared logits of the curve over each column, and of what is peculiar to a concept whatever its count;
# decades over which a curve bends, as in the predictor of single models.
_CURVE = 2.0
_CONCEPT = 0.5
_LENGTH = 2.5
_DIGITS = 2
# Of more others the nearest in skill tell how far single concepts scatter.
_NEAREST = 10
# Entries whose accuracies differ by less in all, as a share of the questions, are taken for copies of one another.
_COPY = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Foretold:
    """Predicted accuracies of ``m`` entries on ``c`` concepts or pairs.

    Attributes:
        known: Whether the entry's corpus counts the concept, shape ``(c, m)``; else the other columns hold NaN.
        mean: Predicted accuracy, shape ``(c, m)``.
        low: Lower end of what should hold nine in ten accuracies, shape ``(c, m)``.
        high: Upper end, shape ``(c, m)``.
        copy: Number of the group of copies that each entry is of, shape ``(m,)``.
        others: Groups beside its own that each entry is predicted from.
    """

    known: BoolArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    copy: IntArray
    others: int


def foretell(cells: Cells) -> Foretold | None:
    """Predict each entry from all that are no copies of it.

    Hits are fitted as in `oddpair.eval.prediction.held_out`: a smooth curve over log count (of a pair: over both counts and
    over PMI, added up) on the scale of logits, an effect of each concept, and a guess rate of at most chance. Each corpus
    speaks once, by the mean of its entries, so that many entries of one corpus outvote nobody. All entries are left out
    in turn in one batch, which takes a fraction of a second for each of hundreds.

    Args:
        cells: The entries side by side.

    Returns:
        Predictions; ``None`` where there are not enough entries to predict any.
    """
    copy = group_copies(cells.accuracy, cells.n)
    n_groups = int(copy.max()) + 1
    if n_groups <= FEWEST_OTHERS:
        return None
    corpus, cell = np.nonzero(cells.count >= 0)
    if not len(cell):
        return None
    accuracy, trained = _leave_out(cells, copy, corpus, cell)
    fitted = fit_logits(
        _make_basis(cells, corpus, cell), accuracy, cells.n[cell], cells.chance[cell], trained
    )
    rates = rate(fitted.eta, fitted.guess * cells.chance[cell][:, None])
    known = cells.count[cells.corpus].T >= 0
    mean = np.full(cells.accuracy.shape, np.nan)
    for number, (own, group) in enumerate(zip(cells.corpus.tolist(), copy.tolist(), strict=True)):
        mean[known[:, number], number] = rates[corpus == own, group]
    low, high = _find_intervals(cells, known, mean, copy)
    return Foretold(known=known, mean=mean, low=low, high=high, copy=copy, others=n_groups - 1)


def group_copies(accuracy: FloatArray, n: FloatArray) -> IntArray:
    """Number entries by whose copies they are: the first of each group is what the others are held against.

    Args:
        accuracy: Accuracies by cell and entry, shape ``(c, m)``.
        n: Questions of each cell, shape ``(c,)``.

    Returns:
        From 0 up, shape ``(m,)``.

    >>> group_copies(np.array([[0.5, 0.1, 0.5], [0.2, 0.9, 0.2]]), np.array([10.0, 10.0])).tolist()
    [0, 1, 0]
    """
    group = np.full(accuracy.shape[1], -1, dtype=np.int64)
    n_groups = 0
    for number in range(len(group)):
        if group[number] < 0:
            away = n @ np.abs(accuracy - accuracy[:, [number]]) / n.sum()
            group[(group < 0) & (away < _COPY)] = n_groups
            n_groups += 1
    return group


def _leave_out(
    cells: Cells, copy: IntArray, corpus: IntArray, cell: IntArray
) -> tuple[FloatArray, BoolArray]:
    """Return the mean accuracy of each corpus without each group of copies, and whether anything is left of it."""
    n_corpora, n_groups = len(cells.count), int(copy.max()) + 1
    entries = np.zeros((n_corpora, n_groups))
    np.add.at(entries, (cells.corpus, copy), 1)
    sums = np.zeros((n_corpora, n_groups, len(cells.n)))
    np.add.at(sums, (cells.corpus, copy), cells.accuracy.T)
    # Copies of one model speak once for a corpus.
    of_group = sums / np.maximum(entries, 1)[:, :, None]
    present = entries > 0
    left = present.sum(axis=1)[:, None] - present
    means = (of_group.sum(axis=1)[:, None] - of_group) / np.maximum(left, 1)[:, :, None]
    return np.clip(means[corpus, :, cell], 0, 1), (left > 0)[corpus]


def _make_basis(cells: Cells, corpus: IntArray, cell: IntArray) -> Basis:
    parts: list[Basis] = []
    for column in cells.columns[corpus, cell].T:
        levels, place = np.unique(np.round(column, _DIGITS), return_inverse=True)
        apart = (levels[:, None] - levels[None, :]) / _LENGTH
        parts.append(make_basis(_CURVE * np.exp(-0.5 * apart**2))[place.reshape(-1)])
    for classes in (cells.target, cells.partner):
        if classes.min() >= 0:
            codes = np.unique(classes, return_inverse=True)[1].reshape(-1)
            parts.append((np.sqrt(_CONCEPT) * np.eye(int(codes.max()) + 1))[codes[cell]])
    return np.concatenate(parts, axis=1)


def _find_intervals(
    cells: Cells, known: BoolArray, mean: FloatArray, copy: IntArray
) -> tuple[FloatArray, FloatArray]:
    weight = cells.n[:, None] * known
    skill = np.nansum(weight * mean, axis=0) / np.maximum(weight.sum(axis=0), 1.0)
    first = np.unique(copy, return_index=True)[1]
    low, high = np.full(mean.shape, np.nan), np.full(mean.shape, np.nan)
    for number in range(mean.shape[1]):
        own = known[:, number]
        others = first[copy[first] != copy[number]]
        near = others[np.argsort(np.abs(skill[others] - skill[number]), kind="stable")][:_NEAREST]
        met = known[:, near]
        if not own.any() or not met.any():
            continue
        support = np.repeat(cells.n[:, None], len(near), axis=1)[met]
        scatter = fit_dispersion(
            mean[:, near][met],
            cells.accuracy[:, near][met],
            support,
            np.zeros(len(support), dtype=np.int64),
            1,
        )
        found = find_intervals(mean[own, number], np.full(int(own.sum()), scatter[0]), cells.n[own])
        low[own, number], high[own, number] = found.low, found.high
    return low, high
