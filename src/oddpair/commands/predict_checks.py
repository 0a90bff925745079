"""What held-out predictions are worth: calibration by decile, coverage of intervals, and who falls outside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.commands.predict_axes import power
from oddpair.commands.predict_report import Names, Point, Predictions, Report
from oddpair.eval.explaining.decades import decade_of
from oddpair.eval.intervals import Estimate, cluster_bootstrap, widen_confidence
from oddpair.eval.shares import clustered_share
from oddpair.retrieval.words import normalise

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

BINS = 10
_LEAST_IN_BIN = 5
_DRAWS = 1000
_NOT_COUNTED = "not counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many rows of a part lie within their intervals.

    Attributes:
        name: The part: a dataset, or a decade of the count.
        share: Share of its rows, with an interval that allows rows of one concept to go alike.
        n_concepts: Concepts behind it.
    """

    name: str
    share: Estimate
    n_concepts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """A class that does better or worse than predicted; numbers are means over models.

    Attributes:
        concept: The class.
        dataset: Its dataset.
        observed: Accuracy.
        predicted: Its prediction.
        low: Lower end of the prediction's interval.
        high: Upper end.
        beyond: How far the accuracy lies above (+) or below (-) the interval, 0 within.
        count: Median count over models; NaN where none was made.
        n: Samples behind one model's accuracy; NaN where that is not known.
        n_models: Models that were predicted.
        n_beyond: Models whose accuracy lies beyond the interval, on the same side.
    """

    concept: str
    dataset: str
    observed: float
    predicted: float
    low: float
    high: float
    beyond: float
    count: float
    n: float
    n_models: int
    n_beyond: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaders:
    """Classes that lie furthest beyond their intervals.

    Attributes:
        better: Those above, the furthest first.
        worse: Those below, the furthest first.
        n_classes: Classes, of which these are the extremes.
    """

    better: tuple[Leader, ...]
    worse: tuple[Leader, ...]
    n_classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the predictions of one held-out scheme are worth.

    Attributes:
        what: What was held out.
        deciles: Observed accuracy by predicted.
        overall: Coverage of all rows.
        decades: Coverage by decade of the count.
        datasets: Coverage by dataset.
    """

    what: str
    deciles: tuple[Point, ...]
    overall: Coverage
    decades: tuple[Coverage, ...]
    datasets: tuple[Coverage, ...]

    @property
    def parts(self) -> tuple[Coverage, ...]:
        """All coverages: of all rows, by decade, by dataset."""
        return (self.overall, *self.decades, *self.datasets)

    @property
    def first_dataset(self) -> int:
        """Place of the first dataset among the parts."""
        return 1 + len(self.decades)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What the predictions of a report are worth.

    Attributes:
        schemes: One per held-out scheme that has predictions of known accuracy.
        leaders: Those of the first scheme; ``None`` where there is none.
    """

    schemes: tuple[Checked, ...]
    leaders: Leaders | None


def check(report: Report, rng: np.random.Generator, *, most: int = 10) -> Checks:
    """Check the held-out predictions of a report against what was observed.

    Args:
        report: The report.
        rng: Source of the draws.
        most: Residual leaders on each side.
    """
    known = {
        scheme.what: scheme.predictions.take(~np.isnan(scheme.predictions.observed))
        for scheme in report.held_out
        if scheme.predictions is not None
    }
    known = {what: rows for what, rows in known.items() if len(rows)}
    schemes = []
    for what, rows in known.items():
        overall, datasets, decades = find_coverage(rows)
        schemes.append(
            Checked(
                what=what,
                deciles=find_deciles(rows, rng),
                overall=overall,
                decades=decades,
                datasets=datasets,
            )
        )
    first = next(iter(known.values()), None)
    return Checks(schemes=tuple(schemes), leaders=None if first is None else find_leaders(first, most))


def find_deciles(rows: Predictions, rng: np.random.Generator) -> tuple[Point, ...]:
    """Average observed accuracy in ten equally filled bins of the prediction.

    Intervals cover 95 %, draw whole concepts, and are widened for few of them. There are fewer bins where ten would
    hold less than five rows each.

    Args:
        rows: Predictions with known accuracy, at least one.
        rng: Source of the draws.

    Returns:
        Mean prediction and mean accuracy of each bin, by rising prediction.

    Raises:
        ValueError: If there are no rows or an accuracy is not known.
    """
    concept = _code_concepts(rows)
    # Equal predictions lie in the order of their names, not of the table.
    order = np.lexsort((rows.model, rows.concept, rows.dataset, np.round(rows.predicted, 12)))
    bins = max(1, min(BINS, len(rows) // _LEAST_IN_BIN))
    return tuple(
        Point(
            at=float(rows.predicted[members].mean()),
            observed=_average(rows.observed[members], concept[members], rng),
        )
        for members in np.array_split(order, bins)
    )


def find_coverage(rows: Predictions) -> tuple[Coverage, tuple[Coverage, ...], tuple[Coverage, ...]]:
    """Measure how many accuracies lie within their intervals: of all, by dataset, and by decade of the count.

    Args:
        rows: Predictions with known accuracy, at least one.

    Returns:
        All rows; datasets by name; decades in rising order, rows without a count last.

    Raises:
        ValueError: If there are no rows or an accuracy is not known.
    """
    concept = _code_concepts(rows)
    within = ((rows.low <= rows.observed) & (rows.observed <= rows.high)).astype(np.float64)

    def measure(name: str, part: NDArray[np.bool_]) -> Coverage:
        hits, of_concept, what = within[part], concept[part], f"coverage, {name}"
        n_concepts = len(np.unique(of_concept))
        if n_concepts == 1 or np.ptp(hits) == 0:
            share = _without_spread(float(hits.mean()), n_concepts, len(hits), what)
        else:
            share = clustered_share(hits, np.ones(len(hits)), of_concept, what=what)
        return Coverage(name=name, share=share, n_concepts=n_concepts)

    counted = ~np.isnan(rows.count)
    decade = np.where(counted, decade_of(np.where(counted, rows.count, 0)), -1)
    decades = [measure(_name_decade(each), decade == each) for each in np.unique(decade[counted]).tolist()]
    if not counted.all():
        decades.append(measure(_NOT_COUNTED, ~counted))
    datasets = tuple(measure(str(name), rows.dataset == name) for name in np.unique(rows.dataset))
    return measure("all", np.ones(len(rows), np.bool_)), datasets, tuple(decades)


def find_leaders(rows: Predictions, most: int) -> Leaders:
    """Find the classes whose accuracy lies furthest beyond the predicted interval, on the average over models.

    The distance to the interval, not to the prediction: classes of few samples, whose accuracy says little, do not
    lead.

    Args:
        rows: Predictions with known accuracy, at least one.
        most: Classes on each side.

    Returns:
        The leaders; fewer than ``most`` where fewer lie beyond their intervals.

    Raises:
        ValueError: If there are no rows or an accuracy is not known.
    """
    _check(rows)
    datasets, of_dataset = np.unique(rows.dataset, return_inverse=True)
    concepts, of_concept = np.unique(rows.concept, return_inverse=True)
    codes = of_dataset.reshape(-1).astype(np.int64) * len(concepts) + of_concept.reshape(-1)
    classes, of_class = np.unique(codes, return_inverse=True)
    of_class = of_class.reshape(-1)
    sizes = np.bincount(of_class)

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(of_class, weights=values) / sizes, np.float64)

    beyond = np.maximum(rows.observed - rows.high, 0) - np.maximum(rows.low - rows.observed, 0)
    means = {
        name: mean(values)
        for name, values in (
            ("observed", rows.observed),
            ("predicted", rows.predicted),
            ("low", rows.low),
            ("high", rows.high),
            ("beyond", beyond),
        )
    }
    above, below = (np.bincount(of_class[side], minlength=len(classes)) for side in (beyond > 0, beyond < 0))

    def tell(at: int, side: IntArray) -> Leader:
        here = of_class == at
        dataset, concept = divmod(int(classes[at]), len(concepts))
        return Leader(
            concept=str(concepts[concept]),
            dataset=str(datasets[dataset]),
            **{name: float(values[at]) for name, values in means.items()},
            count=_median(rows.count[here]),
            n=_median(rows.n[here]),
            n_models=int(sizes[at]),
            n_beyond=int(side[at]),
        )

    # Rounded, so that sums in another order lead to the same leaders.
    rank = np.round(means["beyond"], 12)
    rising = np.lexsort((classes, rank))
    falling = np.lexsort((classes, -rank))
    return Leaders(
        better=tuple(tell(int(at), above) for at in falling[:most] if rank[at] > 0),
        worse=tuple(tell(int(at), below) for at in rising[:most] if rank[at] < 0),
        n_classes=len(classes),
    )


def _check(rows: Predictions) -> None:
    if len(rows) == 0 or np.isnan(rows.observed).any():
        raise ValueError(
            f"{len(rows)} predictions, {int(np.isnan(rows.observed).sum())} of them of unknown accuracy"
        )


def _code_concepts(rows: Predictions) -> NDArray[np.intp]:
    """Number the concepts of rows: by normalised name, one concept across datasets."""
    _check(rows)
    names, inverse = np.unique(rows.concept, return_inverse=True)
    keys: Names = np.array([normalise(name) for name in names.tolist()], dtype=np.str_)
    return np.unique(keys[inverse.reshape(-1)], return_inverse=True)[1].reshape(-1)


def _average(accuracy: FloatArray, concept: NDArray[np.intp], rng: np.random.Generator) -> Estimate:
    codes = np.unique(concept, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(codes)
    value, what = float(accuracy.mean()), "observed accuracy"
    if len(sizes) == 1 or np.ptp(accuracy) == 0:
        # Drawing would show no spread.
        return _without_spread(value, len(sizes), len(accuracy), what)
    totals = np.stack([np.bincount(codes, weights=accuracy), sizes], axis=1)

    def statistic(weights: FloatArray) -> FloatArray:
        over, under = (weights @ totals).T
        return np.asarray(over / under, np.float64)

    confidence = widen_confidence(0.95, len(sizes))
    found = cluster_bootstrap(statistic, len(sizes), rng, _DRAWS, what=what, confidence=confidence)
    return Estimate(value=value, low=found.low, high=found.high, n=len(accuracy), what=what)


def _without_spread(value: float, n_concepts: int, n: int, what: str) -> Estimate:
    """Estimate what so many concepts agree on: ends of the exact interval of a share at 0 and at 1."""
    reach = 1 - 0.025 ** (1 / n_concepts)
    return Estimate(value=value, low=max(value - reach, 0.0), high=min(value + reach, 1.0), n=n, what=what)


def _name_decade(decade: int) -> str:
    return "count 0" if decade == 0 else f"count {power(decade - 1)} to {power(decade)}"


def _median(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
