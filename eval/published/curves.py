"""The authors' binned curves of accuracy against frequency, made again point by point."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from oddpair.errors import Refusal
from oddpair.eval.prediction.table_cells import Cells, read_cells
from oddpair.eval.published.agreement import Agreement, compare_column
from oddpair.eval.published.layout import CURVES, ZERO_SHOT, Published, choose_sets, join
from oddpair.eval.trend import bin_by_count

# Edges and means are published to eight digits, and the scores that were averaged to four decimals of a per cent.
_EDGE_TOLERANCE = 1e-6
_TOLERANCES = {True: 1e-4, False: 1e-5}
_NAMES = ("task", "prompt_or_metric", "pretrain", "counttype", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A published curve beside the same made again.

    Attributes:
        task: ``zeroshot``, ``retrieval`` or ``t2i``.
        metric: Prompts, recall or score of images.
        corpus: Pretraining corpus of the model.
        method: How concepts were counted in it.
        model: Backbone.
        bins: Its points.
        n: Concepts behind our own curve; 0 where it cannot be made.
        n_blank: Concepts without a published count.
        n_empty: Bins that hold no concept, which the authors draw at 0.
        same_counts: Whether the authors' curve is known to be made from the published counts.
        edge: Largest relative difference of an upper edge.
        mean: Largest difference of a mean, in the unit of the scores.
        spread: Largest difference of a standard deviation.
        miscounted: Largest difference of a number of concepts.
        reason: Why it cannot be made again; ``None`` where it was.
    """

    task: str
    metric: str
    corpus: str
    method: str
    model: str
    bins: int
    n: int
    n_blank: int
    n_empty: int
    same_counts: bool
    edge: float
    mean: float
    spread: float
    miscounted: float
    reason: str | None

    @property
    def name(self) -> str:
        """What the curve is of."""
        return f"{self.task} {self.metric}, {self.model} {self.corpus}, {self.method}"

    @property
    def holds(self) -> bool:
        """Whether every point is the published one."""
        tolerance = _TOLERANCES[self.task == ZERO_SHOT]
        return (
            self.reason is None
            and self.edge <= _EDGE_TOLERANCE
            and max(self.mean, self.spread) <= tolerance
            and self.miscounted == 0
        )


def reproduce_curves(published: Published) -> tuple[Curve, ...]:
    """Make every published curve again.

    Args:
        published: The tables.

    Returns:
        The curves in the order of ``binned_curves.csv``; those of images from text have no published scores.

    Raises:
        Refusal: If the table is not as its name says.
    """
    cells = read_cells(published.folder / CURVES)
    rows: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(*(cells.text(name) for name in _NAMES), strict=True)):
        rows[key].append(row)
    columns = {
        name: cells.numbers(name) for name in ("bin", "upper_edge", "mean", "std", "n_concepts_if_reproduced")
    }
    return tuple(
        _reproduce(published, key, {name: column[at] for name, column in columns.items()}, cells, at)
        for key, at in rows.items()
    )


def compare_curves(curves: tuple[Curve, ...]) -> tuple[Agreement, ...]:
    """Gather how far curves that were made from the published counts lie from our own.

    >>> compare_curves(())
    ()
    """
    found = []
    for task in sorted({curve.task for curve in curves}):
        same = [
            curve for curve in curves if curve.task == task and curve.same_counts and curve.reason is None
        ]
        if not same:
            continue
        for column, tolerance in (
            ("edge", _EDGE_TOLERANCE),
            ("mean", _TOLERANCES[task == ZERO_SHOT]),
            ("spread", _TOLERANCES[task == ZERO_SHOT]),
            ("miscounted", 0.0),
        ):
            gaps = [getattr(curve, column) for curve in same]
            found.append(
                compare_column(
                    CURVES,
                    f"{task}: {_TOLD[column]}",
                    np.zeros(len(gaps)),
                    gaps,
                    tolerance=tolerance,
                    rows=[curve.name for curve in same],
                )
            )
    return tuple(found)


_TOLD = {
    "edge": "upper_edge, relative",
    "mean": "mean",
    "spread": "std",
    "miscounted": "n_concepts_if_reproduced",
}


def _reproduce(
    published: Published,
    key: tuple[str, ...],
    points: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]],
    cells: Cells,
    at: list[int],
) -> Curve:
    task, metric, corpus, method, model = key
    order = np.argsort(points["bin"], kind="stable")
    bins = len(order)
    if points["bin"][order].tolist() != list(range(bins)):
        raise Refusal(f"{cells.where(at[0])}: bins of this curve are not 0 to {bins - 1}: mend the table")
    numbers = points["n_concepts_if_reproduced"][order]
    same_counts = not bool(np.isnan(numbers).any())
    concepts = join(published, (task, metric), model, corpus, method, choose_sets(task, method))
    differences = {"edge": np.nan, "mean": np.nan, "spread": np.nan, "miscounted": np.nan}
    n = n_blank = n_empty = 0
    if not isinstance(concepts, str):
        ours = bin_by_count(concepts.count, concepts.score, bins)
        n, n_blank = len(concepts), concepts.n_blank
        n_empty = sum(one.n == 0 for one in ours)
        edges = np.array([one.count for one in ours])
        # The authors draw an empty bin at 0.
        means, spreads = (
            np.array([value or 0.0 for value in column])
            for column in ((one.accuracy for one in ours), (one.spread for one in ours))
        )
        differences = {
            "edge": np.abs(edges / points["upper_edge"][order] - 1).max(),
            "mean": np.abs(means - points["mean"][order]).max(),
            "spread": np.abs(spreads - points["std"][order]).max(),
            "miscounted": np.abs(np.array([one.n for one in ours]) - numbers).max()
            if same_counts
            else np.nan,
        }
    return Curve(
        task=task,
        metric=metric,
        corpus=corpus,
        method=method,
        model=model,
        bins=bins,
        n=n,
        n_blank=n_blank,
        n_empty=n_empty,
        same_counts=same_counts,
        **{name: float(value) for name, value in differences.items()},
        reason=concepts if isinstance(concepts, str) else None,
    )
