"""Made-up reports of predictions, small and whole."""

import numpy as np

from oddpair.commands.predict_report import (
    Caution,
    Curve,
    HeldOut,
    ModelReport,
    ModelScores,
    PmiCurve,
    Point,
    Predictions,
    Report,
    Score,
    UnseenSets,
)
from oddpair.eval.explaining.decades import find_decades
from oddpair.eval.intervals import Estimate

# Markup, mathematics that does not parse, letters that the font lacks, and what would reorder the line.
NASTY = "<script>$\\bad_{</script> 雪\u202e"


def estimate(value, *, reach=0.05, n=50):
    return Estimate(value=value, low=value - reach, high=value + reach, n=n, what="made up")


def predictions(models=("a",), *, per_model=40, known=True, seed=0):
    rng = np.random.default_rng(seed)
    n = per_model * len(models)
    predicted = rng.uniform(0.1, 0.9, n)
    names = [NASTY, *(f"concept {number}" for number in range(1, per_model))]
    return Predictions(
        model=np.repeat(np.array(models), per_model),
        dataset=np.tile(np.array(["birds", "cars"]), n // 2),
        concept=np.tile(np.array(names), len(models)),
        observed=np.clip(predicted + rng.normal(0, 0.2, n), 0, 1) if known else np.full(n, np.nan),
        predicted=predicted,
        low=np.clip(predicted - 0.2, 0, 1),
        high=np.clip(predicted + 0.2, 0, 1),
        n=np.full(n, 20.0),
        count=np.where(np.arange(n) % 7 == 0, np.nan, np.floor(10 ** rng.uniform(-0.5, 5, n))),
        outside=np.arange(n) % 5 == 0,
    )


def model_report(name, rows):
    here = rows.take((rows.model == name) & ~np.isnan(rows.count))
    grid = np.array([0.0, 1.0, 100.0, 10_000.0])
    curve = np.array([0.1, 0.2, 0.4, 0.6])
    return ModelReport(
        name=name,
        corpus="made-up",
        count=here.count,
        accuracy=here.observed,
        decades=find_decades(here.count, here.observed, here.dataset, here.concept, np.random.default_rng(0)),
        curve=Curve(count=grid, accuracy=curve, low=curve - 0.05, high=curve + 0.05),
    )


def scores(name, value=0.5):
    def score(r2):
        return Score(r2=estimate(r2), mae=0.1, coverage90=0.9, interval_score=float("nan"))

    return ModelScores(
        name=name,
        ours=score(value),
        baselines={"global mean": score(0.0), "dataset mean": score(-7.0), "$ mean": score(0.3)},
    )


def whole_report(models=("a", NASTY), *, per_model=40):
    rows = predictions(models, per_model=per_model)
    points = tuple(Point(at=0.2 * step, observed=estimate(0.2 * step)) for step in range(6))
    return Report(
        title="Made up",
        lead=f"Of {NASTY}",
        cautions=(Caution(title="Datasets", text=NASTY, about=NASTY), Caution(title="Few rows", text="few")),
        models=tuple(model_report(name, rows) for name in models),
        held_out=(
            HeldOut(
                what="concepts",
                scores=tuple(scores(name) for name in models),
                mean=scores("mean"),
                predictions=rows,
            ),
            HeldOut(what="models", scores=tuple(scores(name, -3.0) for name in models)),
        ),
        pmi=(PmiCurve(name=NASTY, points=points, gap=estimate(0.2), matched_gap=estimate(-0.1)),),
        unseen=(
            UnseenSets(
                name=NASTY,
                predicted=np.array([0.1, 0.4]),
                observed=np.array([0.0, 0.5]),
                n=np.array([3.0, 9.0]),
                points=points[:2],
                r2=estimate(0.2),
            ),
        ),
        predictions=predictions(models, per_model=per_model, known=False),
    )
