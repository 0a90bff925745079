"""Scaling with data: laws fitted on smaller corpora, and by how much they miss the largest one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.objects import FloatArray
from oddpair.eval.composing.scaling_cells import Cells, make_cells
from oddpair.eval.composing.scaling_laws import DEFAULT, FittedLaw, fit_laws
from oddpair.eval.composing.scaling_rows import ScalingRows
from oddpair.eval.intervals import Estimate, normal_interval, percentile_interval, resample
from oddpair.eval.logistic import fit

DRAWS = 200
LEAST_CORPORA = 3
# A decade of fewer concepts or sets than this has no mean worth a row.
_LEAST_IN_DECADE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusFit:
    """Accuracy against count within one corpus.

    Attributes:
        corpus: Its name.
        size: Its samples.
        models: The models that were trained on it, each with a level of its own.
        accuracy: Mean accuracy.
        log_count: Mean log10(1 + count).
        slope: Logits per decade of the count; ``None`` where counts do not vary.
    """

    corpus: str
    size: float
    models: tuple[str, ...]
    accuracy: float
    log_count: float
    slope: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A prediction for the largest corpus beside what was found.

    Attributes:
        predicted: Mean predicted accuracy.
        observed: Mean accuracy.
        error: Predicted minus observed, in points: below 0 the law promises too little.
    """

    predicted: float
    observed: float
    error: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class LawScore:
    """How a law that was fitted on the smaller corpora does on the largest.

    Attributes:
        law: Its name.
        parameters: Its fitted numbers.
        points: Means that it was fitted on; of a line on the logit the concepts or sets.
        whole: Its miss over everything.
        decades: Its miss by the decade of the count in the largest corpus: 0 holds counts below 1, 1 those from 1 to
            9, and so on; empty where the law knows no counts.
    """

    law: str
    parameters: Mapping[str, float]
    points: int
    whole: Miss
    decades: Mapping[int, Miss]

    @property
    def freedom(self) -> int:
        """Points beyond parameters: a law with 0 goes through its points whether it is true or not."""
        return self.points - len(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What smaller corpora say of the largest.

    Attributes:
        largest: The corpus that was predicted.
        corpora: The fit within each corpus, the smallest first.
        kind: What draws take, in the plural.
        n: How many of these.
        rows_left_out: Rows that had no accuracy or count, or that not every corpus has.
        default: The law to quote: the simplest that knows both the counts and the corpus.
        scores: Every law's, the naive one first.
        notes: What a reader should know before believing a row, a sentence each.
    """

    largest: str
    corpora: tuple[CorpusFit, ...]
    kind: str
    n: int
    rows_left_out: int
    default: str
    scores: tuple[LawScore, ...]
    notes: tuple[str, ...]


def scale(rows: ScalingRows, rng: np.random.Generator, *, draws: int = DRAWS) -> Scaling:
    """Fit laws of accuracy on all corpora but the largest, and predict that one.

    Every corpus weighs the same, however many models it has. Intervals draw whole concepts or sets, in all corpora at
    once, and fit again; that the corpora are few, and their models differ in more than data, is not in them.

    Args:
        rows: Accuracy on things that every corpus was counted for.
        rng: Source of the draws.
        draws: Number of draws.

    Returns:
        Fits within the corpora, and each law's signed error on the largest.

    Raises:
        ValueError: If there are fewer than three corpora, or fewer than two concepts or sets.

    References:
        Cherti et al., arXiv:2212.07143, for power laws; Udandarao et al., arXiv:2404.04125, for counts.
    """
    if len(rows.corpora) < LEAST_CORPORA:
        raise ValueError(f"{len(rows.corpora)} corpora, scaling needs {LEAST_CORPORA} or more")
    cells = make_cells(rows)
    laws = fit_laws(rows, cells)

    def compare(weights: FloatArray) -> FloatArray:
        return np.stack([_compare(cells, law, weights) for law in laws], axis=1)

    found = compare(np.ones((1, rows.n_clusters)))[0]
    drawn = resample(compare, rows.n_clusters, rng, draws)
    largest = cells.corpus == cells.corpus.max()
    support = [rows.n_clusters, *(np.diff(cells.totals[0].indptr)[largest]).tolist()]

    def miss(law: int, place: int) -> Miss:
        predicted, observed = found[law, :, place].tolist()
        errors = 100 * (drawn[:, law, 0, place] - drawn[:, law, 1, place])
        what = "predicted minus observed accuracy on the largest corpus, points"
        error = percentile_interval(100 * (predicted - observed), errors, n=support[place], what=what)
        return Miss(predicted=predicted, observed=observed, error=error)

    scores = tuple(
        LawScore(
            law=law.name,
            parameters=law.parameters,
            points=law.points,
            whole=miss(number, 0),
            decades={
                decade: miss(number, 1 + place)
                for place, decade in enumerate(cells.decade[largest].tolist())
                if law.knows_counts and support[1 + place] >= _LEAST_IN_DECADE
            },
        )
        for number, law in enumerate(laws)
    )
    return Scaling(
        largest=rows.corpora[-1],
        corpora=tuple(_fit_within(rows, cells, corpus) for corpus in rows.corpora),
        kind=rows.kind,
        n=rows.n_clusters,
        rows_left_out=rows.left_out,
        default=DEFAULT,
        scores=scores,
        notes=_take_notes(rows, scores),
    )


def _compare(cells: Cells, law: FittedLaw, weights: FloatArray) -> FloatArray:
    """Predicted and observed means of the largest corpus, whole and by cell, shape ``(draws, 2, 1 + n_cells)``."""
    largest = cells.corpus == cells.corpus.max()
    weight, accuracy, _ = (total[:, largest] for total in cells.sum_up(weights))
    predicted = law.predict(weights)
    empty = weight == 0
    weighted = np.where(empty, 0.0, predicted * weight)
    whole = np.stack([weighted, accuracy], axis=1).sum(axis=2) / weight.sum(axis=1)[:, None]
    each = np.stack([weighted, accuracy], axis=1) / np.where(empty, np.nan, weight)[:, None]
    return np.concatenate([whole[:, :, None], each], axis=2)


def _fit_within(rows: ScalingRows, cells: Cells, corpus: str) -> CorpusFit:
    here = rows.mask((corpus,))
    models = np.unique(rows.model[here])
    log_count, accuracy, cluster = rows.log_count[here], rows.accuracy[here], rows.cluster[here]
    share = cells.share[here] / cells.share[here].sum()
    slope = None
    if np.ptp(log_count) > 0:
        levels = (rows.model[here][:, None] == models[None]).astype(np.float64)
        fitted = fit(accuracy, np.ones(len(accuracy)), np.column_stack([levels, log_count]), cluster)
        slope = normal_interval(
            float(fitted.coefficients[-1]),
            float(fitted.standard_errors[-1]),
            n=len(fitted.influence),
            what="logits per decade of the count",
        )
    return CorpusFit(
        corpus=corpus,
        size=float(rows.size[here][0]),
        models=tuple(models.tolist()),
        accuracy=float(share @ accuracy),
        log_count=float(share @ log_count),
        slope=slope,
    )


def _take_notes(rows: ScalingRows, scores: tuple[LawScore, ...]) -> tuple[str, ...]:
    fitted = len(rows.corpora) - 1
    notes = [
        f"{fitted} corpora were fitted: intervals are over {rows.kind} alone, and hold neither how few the corpora are "
        "nor how their models differ in other things than data",
    ]
    bound = [score.law for score in scores if score.freedom == 0 and score.parameters]
    if bound:
        notes.append(
            f"{'; '.join(bound)}: as many parameters as points, a fit without freedom that nothing could contradict"
        )
    return tuple(notes)
