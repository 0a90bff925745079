"""The report of unseen sets of objects: predicted against found, by model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oddpair.commands.predict_report import Caution, Point, Report, UnseenSets
from oddpair.eval.composing.objects import ObjectSamples
from oddpair.eval.composing.unseen import UnseenPrediction


def make_report(samples: ObjectSamples, by_model: Mapping[str, UnseenPrediction | str]) -> Report:
    """Make the report of what was predicted for the unseen sets of each model.

    Args:
        samples: All samples.
        by_model: Prediction of each model, or why there is none.
    """
    cautions = [
        Caution(title="No prediction", text=one, about=model)
        for model, one in by_model.items()
        if isinstance(one, str)
    ]
    made = {model: one for model, one in by_model.items() if not isinstance(one, str)}
    for model, one in made.items():
        if one.samples.outside:
            text = f"{one.samples.outside:,} of {one.samples.unseen:,} unseen samples have counts beyond those of the seen ones"
            cautions.append(Caution(title="Extrapolated", text=text, about=model))
    return Report(
        title="Unseen sets of objects",
        lead="Sets of objects that a corpus never shows together, predicted from the counts of the single objects by a fit "
        "on the sets that it does show.",
        cautions=tuple(cautions),
        unseen=tuple(_average_sets(samples, model, one) for model, one in made.items()),
    )


def _average_sets(samples: ObjectSamples, model: str, prediction: UnseenPrediction) -> UnseenSets:
    rows = np.flatnonzero(samples.model == model)[prediction.rows]
    sets = np.unique(samples.key[rows], return_inverse=True)[1].reshape(-1)
    n = np.bincount(sets).astype(np.float64)
    explained = prediction.explained
    return UnseenSets(
        name=model,
        predicted=np.bincount(sets, weights=prediction.predictions) / n,
        observed=np.bincount(sets, weights=samples.correct[rows]) / n,
        n=n,
        points=()
        if explained is None
        else tuple(Point(at=one.predicted, observed=one.observed) for one in explained.bins),
        r2=None if explained is None else explained.r2_samples,
    )
