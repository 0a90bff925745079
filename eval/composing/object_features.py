"""What the counts of its objects say of a sample: the columns that its accuracy is predicted from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from oddpair.eval.composing.objects import FloatArray, ObjectSamples

MEAN_LOG = "mean log count"
MIN_LOG = "min log count"
LOG_PRODUCT = "log product"
LOG_ODDS = "log odds"
SIZE = "objects"
PMI = "PMI"

# From the simplest on: of candidates that do equally well the first is chosen.
CANDIDATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ", ".join(columns): columns
        for columns in (
            (MEAN_LOG,),
            (MIN_LOG,),
            (LOG_PRODUCT,),
            (LOG_ODDS,),
            (MEAN_LOG, MIN_LOG),
            (MEAN_LOG, SIZE),
            (MIN_LOG, SIZE),
            (LOG_ODDS, SIZE),
            (MEAN_LOG, MIN_LOG, SIZE),
        )
    }
)
# An unseen set has no PMI: what it adds can be told of seen sets alone.
WITH_PMI = (MEAN_LOG, PMI)


def measure(samples: ObjectSamples, name: str) -> FloatArray:
    """One explaining column by its name, shape ``(n,)``; logarithms are to base 10 and of 1 + count.

    ``log product`` is the sum of the log counts, so their mean times the number of objects; ``log odds`` is the sum of
    ``log10((1 + f) / (1 + N - f))`` in a corpus of N samples; ``objects`` is their number; ``PMI`` is in nats and NaN
    for unseen sets. A count of 0 is kept, as a logarithm of 0.

    Raises:
        ValueError: If there is no such column.

    References:
        Counts of single objects for unseen combinations: Pairs, OpenReview NDXoM1wYgl.
    """
    starts = samples.ends[:-1]
    logs = np.log10(1 + samples.counts)
    if name == MEAN_LOG:
        return np.asarray(np.add.reduceat(logs, starts) / samples.size, np.float64)
    if name == MIN_LOG:
        return np.asarray(np.minimum.reduceat(logs, starts), np.float64)
    if name == LOG_PRODUCT:
        return np.asarray(np.add.reduceat(logs, starts), np.float64)
    if name == LOG_ODDS:
        others = np.log10(1 + np.repeat(samples.corpus_size, samples.size) - samples.counts)
        return np.asarray(np.add.reduceat(logs - others, starts), np.float64)
    if name == SIZE:
        return samples.size.astype(np.float64)
    if name == PMI:
        return np.where(samples.count_set > 0, samples.pmi, np.nan)
    known = ", ".join((MEAN_LOG, MIN_LOG, LOG_PRODUCT, LOG_ODDS, SIZE, PMI))
    raise ValueError(f"no feature {name!r}; there are {known}")


def tell_apart(samples: ObjectSamples, columns: tuple[str, ...]) -> bool:
    """Say whether columns are known and differ, beside an intercept: else a fit on them means nothing."""
    design = np.column_stack([np.ones(len(samples)), *(measure(samples, name) for name in columns)])
    return bool(np.isfinite(design).all() and np.linalg.matrix_rank(design) == design.shape[1])


def make_design(samples: ObjectSamples, columns: tuple[str, ...], models: tuple[str, ...]) -> FloatArray:
    """An intercept for each model, then the columns, shape ``(n, n_models + n_columns)``."""
    intercepts = (samples.model[:, None] == np.array(models)[None]).astype(np.float64)
    return np.column_stack([intercepts, *(measure(samples, name) for name in columns)])
