"""The laws that are fitted on smaller corpora: what each takes from the rows, and what it says of the largest corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from oddpair.eval.composing.objects import FloatArray
from oddpair.eval.composing.scaling_cells import Cells
from oddpair.eval.composing.scaling_forms import PowerLaw, fit_power_law
from oddpair.eval.composing.scaling_rows import ScalingRows
from oddpair.eval.logistic import fit

NAIVE = "no change from the next smaller corpus"
_COUNT, _FREQUENCY, _SIZE = "log count", "log frequency", "log corpus size"
# Lines on the logit.
_LINES: Mapping[str, tuple[str, ...]] = {
    f"logit: {', '.join(columns)}": columns for columns in ((_COUNT,), (_FREQUENCY,), (_COUNT, _SIZE))
}
DEFAULT = f"logit: {_COUNT}, {_SIZE}"
# A power law: whether of corpus size or of count, with an offset, with a floor.
_POWERS: Mapping[str, tuple[bool, bool, bool]] = {
    "power of count + offset": (False, True, False),
    "power of count + offset, floor": (False, True, True),
    "power of corpus size": (True, False, False),
    "power of corpus size + offset": (True, True, False),
    "power of corpus size, floor": (True, False, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLaw:
    """A law that was fitted on the smaller corpora.

    Attributes:
        name: The law.
        parameters: Its fitted numbers.
        points: Means that it was fitted on; of a line on the logit the concepts or sets.
        knows_counts: Whether it says something of each decade.
        predict: Maps cluster weights, shape ``(draws, n_clusters)``, to predicted mean accuracies of the largest
            corpus's cells, shape ``(draws, n_cells)``, fitted again for each draw.
    """

    name: str
    parameters: Mapping[str, float]
    points: int
    knows_counts: bool
    predict: Callable[[FloatArray], FloatArray]


def fit_laws(rows: ScalingRows, cells: Cells) -> tuple[FittedLaw, ...]:
    """Fit every law that has no more parameters than points on all corpora but the largest.

    Args:
        rows: Accuracy by corpus and count.
        cells: The same, sorted.

    Returns:
        The laws: the naive one first, then lines on the logit, then power laws.
    """
    last = int(cells.corpus.max())
    laws = [_stay(cells, last)]
    laws += [fit_line(rows, cells, name) for name in _LINES]
    n_means = int((cells.corpus < last).sum())
    for name, (of_size, has_offset, has_floor) in _POWERS.items():
        if (last if of_size else n_means) >= 2 + has_offset + has_floor:
            laws.append(_fit_power(rows, cells, last, name))
    return tuple(laws)


def _stay(cells: Cells, last: int) -> FittedLaw:
    def predict(weights: FloatArray) -> FloatArray:
        weight, accuracy, _ = cells.sum_up(weights)
        before = cells.corpus == last - 1
        mean = accuracy[:, before].sum(axis=1) / weight[:, before].sum(axis=1)
        return np.tile(mean[:, None], int((cells.corpus == last).sum()))

    return FittedLaw(name=NAIVE, parameters={}, points=1, knows_counts=False, predict=predict)


def fit_line(rows: ScalingRows, cells: Cells, name: str = DEFAULT) -> FittedLaw:
    """Fit a line on the logit to all corpora but the largest.

    Args:
        rows: Accuracy by corpus and count.
        cells: The same, sorted.
        name: Which line.
    """
    columns, last = _LINES[name], int(cells.corpus.max())
    log_size = np.log10(rows.size)
    known_columns = {
        _COUNT: rows.log_count,
        _FREQUENCY: rows.log_count - log_size,
        _SIZE: log_size,
    }
    design = np.column_stack([np.ones(len(rows)), *(known_columns[column] for column in columns)])
    of_largest = cells.corpus[cells.cell] == last
    known = ~of_largest
    trials = cells.share[known]
    fitted = fit(rows.accuracy[known] * trials, trials, design[known], rows.cluster[known])
    asked, cluster, share = design[of_largest], rows.cluster[of_largest], cells.share[of_largest]
    first = int(np.flatnonzero(cells.corpus == last)[0])
    places = (cells.cell[of_largest] - first, np.arange(len(asked)))
    gather = csr_array((share, places), shape=(len(cells.corpus) - first, len(asked)))

    def predict(weights: FloatArray) -> FloatArray:
        # One Newton step from the full fit for each draw: the score bootstrap of Kline and Santos, 2012.
        coefficients = fitted.coefficients + (weights - 1) @ fitted.influence
        drawn = weights[:, cluster]
        total = (gather @ (drawn * expit(coefficients @ asked.T)).T).T
        return _divide(total, (gather @ drawn.T).T)

    return FittedLaw(
        name=name,
        parameters=dict(zip(("level", *columns), fitted.coefficients.tolist(), strict=True)),
        points=len(fitted.influence),
        knows_counts=True,
        predict=predict,
    )


def _fit_power(rows: ScalingRows, cells: Cells, last: int, name: str) -> FittedLaw:
    of_size, has_offset, has_floor = _POWERS[name]
    sizes = np.array([rows.size[rows.corpus == corpus][0] for corpus in rows.corpora])
    known, asked = cells.corpus < last, cells.corpus == last
    # Means by cell, or by corpus: sums of cells either way.
    gather = (cells.corpus[None] == np.arange(last)[:, None]) if of_size else np.eye(len(known))[known]

    def make_points(weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        weight, accuracy, log_count = ((gather @ total.T).T for total in cells.sum_up(weights))
        data = np.tile(sizes[:last], (len(weights), 1)) if of_size else 10 ** _divide(log_count, weight)
        return data, _divide(accuracy, weight), weight

    def fit_one(draw: int, points: tuple[FloatArray, ...], start: PowerLaw | None) -> PowerLaw:
        data, accuracy, weight = (column[draw] for column in points)
        here = weight > 0
        return fit_power_law(
            data[here],
            accuracy[here],
            # Each corpus weighs the same.
            np.ones(int(here.sum())) if of_size else weight[here],
            has_offset=has_offset,
            has_floor=has_floor,
            start=start,
        )

    whole = make_points(np.ones((1, cells.n_clusters)))
    law = fit_one(0, whole, None)

    def predict(weights: FloatArray) -> FloatArray:
        points = make_points(weights)
        weight, _, log_count = (total[:, asked] for total in cells.sum_up(weights))
        data = np.full(weight.shape, sizes[last]) if of_size else 10 ** _divide(log_count, weight)
        return np.stack([fit_one(draw, points, law).predict(data[draw]) for draw in range(len(weights))])

    parameters = {"amplitude": law.amplitude, "exponent": law.exponent}
    if has_offset:
        parameters["offset"] = law.offset
    if has_floor:
        parameters["floor"] = law.floor
    return FittedLaw(
        name=name,
        parameters=parameters,
        points=whole[0].shape[1],
        knows_counts=not of_size,
        predict=predict,
    )


def _divide(total: FloatArray, weight: FloatArray) -> FloatArray:
    """Means of cells; NaN where a draw holds nothing."""
    means: FloatArray = np.divide(total, weight, out=np.full(weight.shape, np.nan), where=weight > 0)
    return means
