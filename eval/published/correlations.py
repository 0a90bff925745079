"""The published correlations of accuracy with frequency, made again from the raw counts, and what they leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from oddpair.errors import Refusal
from oddpair.eval.intervals import Estimate, r_or_none
from oddpair.eval.prediction.table_cells import Cells, read_cells
from oddpair.eval.published.concept_line import fit_concept_line
from oddpair.eval.published.layout import (
    CLASSIFICATION,
    CURVES,
    FIGURES,
    MOST_BINS,
    RETRIEVAL,
    ZERO_SHOT,
    Published,
    join,
)
from oddpair.eval.trend import Trend, trend

TOLERANCE = 1e-4
_TASKS = {"zeroshot_classification": ZERO_SHOT, "retrieval": RETRIEVAL}
_SLICE = re.compile(r"(-?\d*):(-?\d*)")
_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """A published r over bins beside the same r made again.

    Attributes:
        task: ``zeroshot`` or ``retrieval``.
        metric: Prompts, or a recall such as ``t2i_k=10``.
        corpus: Pretraining corpus of the model.
        method: How concepts were counted in it.
        model: Backbone.
        bins: Bins that the counts were cut into.
        kept: Those behind r, a slice as published.
        sets: Test sets, as published.
        label: What the figure prints, ``**`` for a p below 0.05.
        published: Published r of the raw counts.
        of_curve: Published r of the authors' curve, which the label rounds.
        from_curve: The same made again from the points of that curve.
        same_counts: Whether the authors' curve was made from the published counts.
        trend: Our own: r over the kept bins, over all bins and over concepts, and the bins that were dropped.
        p: Two-tailed p of our r over the kept bins, as though bins were independent.
        over_concepts: r of the score and log10(1 + count) over concepts, whole concepts drawn.
        n_blank: Concepts without a published count.
    """

    task: str
    metric: str
    corpus: str
    method: str
    model: str
    bins: int
    kept: str
    sets: str
    label: str
    published: float
    of_curve: float
    from_curve: float
    same_counts: bool
    trend: Trend
    p: float
    over_concepts: Estimate
    n_blank: int

    @property
    def binned(self) -> Estimate:
        """Our r over the kept bins."""
        assert self.trend.binned is not None
        return self.trend.binned

    @property
    def left_out(self) -> tuple[int, ...]:
        """Bins that the rule leaves out, from 1 on."""
        chosen = parse_slice(self.kept)
        assert chosen is not None
        return tuple(index + 1 for index in range(self.bins) if index not in range(self.bins)[chosen])

    @property
    def difference(self) -> float:
        """How far our r lies from the published r of the same counts."""
        return abs(self.binned.value - self.published)

    @property
    def holds(self) -> bool:
        """Whether our r is the published one to four digits."""
        return self.difference <= TOLERANCE

    @property
    def own_label(self) -> str:
        """What the figure would print of our r."""
        return label_r(self.binned.value, self.p)


def reproduce_correlations(published: Published) -> tuple[Correlation, ...]:
    """Make every published correlation again.

    Args:
        published: The tables.

    Returns:
        One for each row of ``published_pearson.csv``, in its order.

    Raises:
        Refusal: If a row names scores, counts, bins or a curve that are not there.

    References:
        Udandarao et al., No "Zero-Shot" Without Exponential Data, arXiv:2404.04125.
    """
    figures = read_cells(published.folder / FIGURES)
    curves = _read_curves(read_cells(published.folder / CURVES))
    return tuple(_reproduce(published, figures, row, curves) for row in range(len(figures)))


def parse_slice(text: str) -> slice | None:
    """Read a slice such as ``1:-1``; ``None`` where it is none.

    >>> parse_slice("3:"), parse_slice("0:-4"), parse_slice("all")
    (slice(3, None, None), slice(0, -4, None), None)
    """
    found = _SLICE.fullmatch(text)
    if found is None or "-" in found.groups():
        return None
    low, high = (int(end) if end else None for end in found.groups())
    return slice(low, high)


def find_p(r: float, n: int) -> float:
    """Two-tailed p of Pearson's r over n independent points; 0 where they lie on a line.

    >>> round(find_p(0.9767, 10), 8)
    1.25e-06
    """
    if abs(r) >= 1:
        return 0.0
    return float(2 * stdtr(n - 2, -abs(r) * np.sqrt((n - 2) / (1 - r * r))))


def label_r(r: float, p: float) -> str:
    """Write r as the published figures do.

    >>> label_r(0.9767, 1e-6), label_r(0.9085, 0.09)
    ('0.98**', '0.91')
    """
    return f"{r:.2f}{'**' if p < _SIGNIFICANT else ''}"


def _reproduce(
    published: Published,
    figures: Cells,
    row: int,
    curves: dict[tuple[str, ...], list[tuple[int, float, float]]],
) -> Correlation:
    where = figures.where(row)
    task, metric, corpus, method, model, kept, sets = (
        figures.text(name)[row]
        for name in (
            "task", "prompt_or_metric", "pretrain", "counttype", "model", "slice_used", "downstream_sets"
        )
    )  # fmt: skip
    if task not in _TASKS:
        raise Refusal(f"{where}: task is {task!r}, needed one of {', '.join(_TASKS)}: mend the table")
    chosen = parse_slice(kept)
    if chosen is None:
        raise Refusal(f"{where}: slice_used is {kept!r}, needed one such as 1:-1: mend the table")
    concepts = join(published, (_TASKS[task], metric), model, corpus, method, _choose_sets(sets))
    if isinstance(concepts, str):
        raise Refusal(f"{where}: {concepts}: leave the row out")
    bins, of_curve, of_counts = (
        _number(figures, name, row) for name in ("n_bins", "r_from_authors_pickle", "r_from_raw_counts")
    )
    if not 3 <= bins <= MOST_BINS or bins != int(bins):
        raise Refusal(f"{where}: n_bins is {bins:g}, needed a whole number, 3 to {MOST_BINS}: mend the table")
    found = trend(concepts.count, concepts.score, int(bins), chosen)
    if found.binned is None or found.raw is None:
        raise Refusal(
            f"{where}: {len(found.points)} bins are left, needed 3 that differ: mend n_bins or slice_used"
        )
    points = sorted(curves.get((_TASKS[task], method, metric, corpus, model), []))[chosen]
    if len(points) < 3:
        raise Refusal(f"{where}: {CURVES} has {len(points)} of its points, needed 3: add the curve")
    edges, means = np.array([(edge, mean) for _, edge, mean in points]).T
    of_points = r_or_none(np.log(edges), means, "r of the curve")
    if of_points is None:
        raise Refusal(f"{where}: the points of its curve in {CURVES} do not differ: mend the curve")
    over_concepts, _ = fit_concept_line(np.log10(1 + concepts.count), concepts.score, concepts.key)
    return Correlation(
        task=_TASKS[task],
        metric=metric,
        corpus=corpus,
        method=method,
        model=model,
        bins=int(bins),
        kept=kept,
        sets=sets,
        label=figures.text("published_label")[row],
        published=of_counts,
        of_curve=of_curve,
        from_curve=of_points.value,
        same_counts=figures.text("raw_matches_pickle")[row].lower() == "true",
        trend=found,
        p=find_p(found.binned.value, found.binned.n),
        over_concepts=over_concepts,
        n_blank=concepts.n_blank,
    )


def _choose_sets(told: str) -> Sequence[str]:
    """Return test sets from words such as ``17+imagenet-sketch``."""
    return [name for part in told.split("+") for name in (CLASSIFICATION if part == "17" else (part,))]


def _read_curves(curves: Cells) -> dict[tuple[str, ...], list[tuple[int, float, float]]]:
    """Return bin, upper edge and mean of every point by its curve."""
    names = ("task", "counttype", "prompt_or_metric", "pretrain", "model")
    points: dict[tuple[str, ...], list[tuple[int, float, float]]] = {}
    numbers = [curves.numbers(name) for name in ("bin", "upper_edge", "mean")]
    wrong = np.flatnonzero(np.isnan(numbers).any(axis=0) | ~(numbers[1] > 0))
    if len(wrong):
        raise Refusal(
            f"{curves.where(int(wrong[0]))}: needed bin, upper_edge above 0 and mean: fill them in, or leave the curve out"
        )
    columns = (column.tolist() for column in numbers)
    for *curve, number, edge, mean in zip(*(curves.text(name) for name in names), *columns, strict=True):
        points.setdefault(tuple(curve), []).append((int(number), edge, mean))
    return points


def _number(cells: Cells, name: str, row: int) -> float:
    value = float(cells.numbers(name)[row])
    if np.isnan(value):
        raise Refusal(f"{cells.where(row)}: {name} is empty, needed a number: fill it in")
    return value
