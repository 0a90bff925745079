"""Tables whose accuracies follow a known curve of the count, with an effect per dataset and noise."""

import numpy as np

from oddpair.eval.prediction.table import AccuracyTable


def plant(
    curve, *, seed=0, concepts=1500, datasets=8, spread=0.1, noise=0.12, repeat=0.1, model="m", counts=None
):
    """One model's table: ``curve`` gives the accuracy at a log count; a share of the concepts is in two datasets."""
    rng = np.random.default_rng(seed)
    names = np.array([f"thing {index}" for index in range(concepts)])
    count = np.floor(10 ** rng.uniform(0, 6, concepts)) - 1 if counts is None else counts
    home = rng.integers(datasets, size=concepts)
    again = np.flatnonzero(rng.random(concepts) < repeat) if datasets > 1 else np.empty(0, dtype=int)
    which = np.concatenate([np.arange(concepts), again])
    dataset = np.concatenate([home, (home[again] + 1) % datasets])
    effect = spread * rng.normal(size=datasets)
    mean = curve(np.log10(1 + count[which])) + effect[dataset]
    accuracy = np.clip(mean + noise * rng.normal(size=len(which)), 0, 1)
    unknown = np.full(len(which), np.nan)
    return AccuracyTable(
        model=np.full(len(which), model),
        corpus=np.full(len(which), "corpus of " + model),
        dataset=np.array([f"set {index}" for index in dataset]),
        concept=names[which],
        accuracy=accuracy,
        n=unknown,
        count_text=unknown,
        count_image=unknown,
        count_joint=count[which],
        pmi=unknown,
    )


def line(x):
    return 0.25 + 0.08 * x


def floor(x):
    return 0.3 + 0.12 * np.maximum(x - 3, 0)
