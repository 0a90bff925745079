"""Sets of concepts whose accuracy depends on PMI and counts in a way that is known."""

import numpy as np
from scipy.special import expit

from oddpair.eval.composing.pmi_gap_rows import gather_rows

INTERCEPT, OF_COUNT = -2.4, 0.8


def draw_sets(seed, effect, n_sets=400, *, confounded=1.0, difficulty=0.0):
    """Draw samples of sets, ``effect`` logits per nat; rarer sets have the higher PMI, as in a corpus.

    Returns:
        The rows, and the logit of each set without the share of its PMI.
    """
    rng = np.random.default_rng(seed)
    mean = rng.uniform(2, 4, n_sets)
    controls = np.stack([mean, mean - rng.uniform(0, 0.6, n_sets)], axis=1)
    pmi = -confounded * (mean - 3) + rng.normal(size=n_sets)
    samples = rng.integers(1, 16, n_sets)
    base = INTERCEPT + OF_COUNT * mean
    logit = base + effect * pmi + difficulty * rng.normal(size=n_sets)
    hits = rng.binomial(samples, expit(logit))
    rows = gather_rows(
        hits / samples,
        samples,
        pmi,
        controls,
        names=("mean", "least"),
        cluster=np.arange(n_sets),
        group=np.zeros(n_sets),
    )
    return rows, base


def plain_rows(correct, pmi, cluster=None, controls=None, samples=None, group=None):
    """Rows of samples without more ado: each its own set, of one test set, no controls."""
    n = len(pmi)
    controls = np.zeros((n, 0)) if controls is None else np.asarray(controls, dtype=np.float64)
    return gather_rows(
        correct,
        np.ones(n) if samples is None else samples,
        pmi,
        controls,
        names=tuple(f"control {place}" for place in range(controls.shape[1])),
        cluster=np.arange(n) if cluster is None else np.asarray(cluster),
        group=np.zeros(n) if group is None else np.asarray(group),
    )
