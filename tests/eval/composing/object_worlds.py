"""Drawn samples of several objects, whose accuracy follows the counts of single objects by rules that are known."""

import numpy as np
from scipy.special import expit

from oddpair.eval.composing.objects import ObjectSamples

CORPUS = 1_000_000


def draw_world(
    seed,
    *,
    n_sets=600,
    n_objects=60,
    sizes=(2, 3),
    level=-2.0,
    slope=0.8,
    penalty=0.0,
    spread=0.0,
    models=("m",),
    corpus="c",
    size=CORPUS,
):
    """Sets of objects, one sample each: logit(accuracy) = level + slope * mean log10(1 + count) + penalty if unseen.

    ``spread`` is the standard deviation of how hard single objects are, whatever their count.
    """
    rng = np.random.default_rng(seed)
    names = np.array([f"thing{number:02}" for number in range(n_objects)])
    count = np.round(10 ** rng.uniform(1, 5, n_objects) * size / CORPUS)
    hard = rng.normal(0, spread, n_objects)
    chosen = {
        tuple(sorted(rng.choice(n_objects, rng.choice(sizes), replace=False).tolist())) for _ in range(n_sets)
    }
    sets = sorted(chosen)
    logs = np.array([np.log10(1 + count[list(found)]).mean() for found in sets])
    unseen = rng.random(len(sets)) < expit(-(logs - 2.5) * 1.5)
    effect = np.array([hard[list(found)].mean() for found in sets])
    together = np.where(unseen, 0, np.array([count[list(found)].min() for found in sets]) // 2 + 1)
    share = expit(level + slope * logs + penalty * unseen + effect)
    rows = len(models) * len(sets)
    return ObjectSamples(
        model=np.repeat(models, len(sets)),
        corpus=np.full(rows, corpus),
        sample=np.tile([f"s{number}" for number in range(len(sets))], len(models)),
        objects=tuple(tuple(names[list(found)].tolist()) for found in sets) * len(models),
        correct=(rng.random(rows) < np.tile(share, len(models))).astype(float),
        counts=np.tile(np.concatenate([count[list(found)] for found in sets]), len(models)),
        count_set=np.tile(together, len(models)).astype(float),
        pmi=np.full(rows, np.nan),
        corpus_size=np.full(rows, float(size)),
    )
