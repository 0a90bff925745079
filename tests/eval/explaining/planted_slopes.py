"""Rows of one model whose accuracies follow a known slope within datasets, with binomial noise."""

from typing import NamedTuple

import numpy as np

# Classes of the test sets that the frequency paper measures.
SIZES = (1000, 500, 397, 257, 211, 200, 196, 102, 101, 101, 100, 100, 100, 47, 37, 10, 10)


class Rows(NamedTuple):
    """Log counts, accuracies, datasets and concepts of a table's rows, and the slopes behind them."""

    x: np.ndarray
    y: np.ndarray
    dataset: np.ndarray
    concept: np.ndarray
    slopes: np.ndarray


def plant(
    rng,
    *,
    sizes=(80,) * 6,
    slope=0.05,
    slopes_spread=0.0,
    between=None,
    level_spread=0.08,
    noise=0.1,
    shared=0,
):
    """Rows of datasets of these sizes; ``shared`` concepts of the first are in the second too, noise and all.

    ``between`` is the slope between the datasets' means; as within if left out.
    """
    datasets = len(sizes)
    code = np.repeat(np.arange(datasets), sizes)
    # Spread apart evenly, so that no table has datasets of one mean by chance.
    centre = rng.permutation(np.linspace(2.0, 4.5, datasets))
    x = centre[code] + rng.normal(size=len(code)) * rng.uniform(0.5, 0.9, datasets)[code]
    own = noise * rng.normal(size=len(code))
    concept = np.arange(len(code))
    if shared:
        first, second = np.arange(shared), sizes[0] + np.arange(shared)
        x[second] += (x - centre[code])[first] - (x - centre[code])[second]
        own[second], concept[second] = own[first], concept[first]
    slopes = slope + slopes_spread * rng.normal(size=datasets)
    level = (
        0.5
        + level_spread * rng.normal(size=datasets)
        + (slope if between is None else between) * (centre - 3.2)
    )
    share = np.clip(level[code] + slopes[code] * (x - centre[code]) + own, 0, 1)
    return Rows(x, rng.binomial(50, share) / 50, np.array([f"set {c}" for c in code]), concept, slopes)
