"""A planted world of pairs, whose effects the tests must find again."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit

from oddpair.eval.concept_rows import ConceptRows


def plant(
    seed: int,
    *,
    concepts: int = 24,
    trials: int = 20,
    unseen: float = 0.0,
    pmi: float = 0.0,
    group: str = "w",
) -> ConceptRows:
    """Ordered rows of all pairs: a fifth unseen (more often rare ones), effects in logits as given."""
    rng = np.random.default_rng(seed)
    names = np.array([f"c{index:03d}" for index in range(concepts)])
    count = np.round(10 ** rng.uniform(1.5, 3.5, concepts)).astype(np.int64)
    a, b = np.triu_indices(concepts, 1)
    log_count = np.log10(1.0 + count)
    expected = count[a] * count[b] / 3e4
    rarity = -(log_count[a] + log_count[b]) + rng.normal(size=len(a))
    absent = rarity > np.quantile(rarity, 0.8)
    together = np.where(absent, 0, np.maximum(1, rng.poisson(expected * np.exp(rng.normal(0, 0.8, len(a))))))
    association = np.where(absent, 0, np.log((together + 0.5) / (expected + 0.5)))
    target, partner = np.concatenate([a, b]), np.concatenate([b, a])
    easy, kind = rng.normal(0, 0.5, concepts), rng.normal(0, 0.2, concepts)
    logit = (
        -4 + 1.5 * log_count[target] + easy[target] + kind[partner]
        + np.tile(unseen * absent + pmi * association + rng.normal(0, 0.3, len(a)), 2)
    )  # fmt: skip
    return ConceptRows(
        group=np.full(2 * len(a), group),
        target=names[target],
        partner=names[partner],
        successes=rng.binomial(trials, expit(logit)).astype(np.int64),
        trials=np.full(2 * len(a), trials, dtype=np.int64),
        count=count[target],
        partner_count=count[partner],
        pair_count=np.tile(together, 2).astype(np.int64),
        expected=np.tile(expected, 2),
    )


@pytest.fixture
def planted() -> Callable[..., ConceptRows]:
    return plant
