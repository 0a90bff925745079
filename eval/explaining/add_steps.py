"""A budget of samples shared out among concepts, by the steepest steps first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

FloatArray = NDArray[np.float64]
Gains = Callable[[FloatArray], FloatArray]

# Amounts tried per decade: twice as many change the gain of a plan by less than a thousandth of it.
_AMOUNTS_PER_DECADE = 30


def choose_amounts(gains: Gains, count: FloatArray, budget: int, bends: FloatArray) -> FloatArray:
    """Choose how many samples each concept gets, whole numbers of ``budget`` at most in all.

    Amounts are tried on a grid, and where a count meets a bend of the curve. Each concept's gains are replaced by the
    least concave curve above them, whose steps are then taken from the steepest on as long as the budget holds; what
    is left goes to the one concept that gains most by it.

    Args:
        gains: Gain of each concept when it gets an amount, from and to shape ``(..., n_concepts)``; rising.
        count: Count of each concept, shape ``(n_concepts,)``.
        budget: Samples, 1 or more.
        bends: Log10 of one plus the counts at which the curve bends, shape ``(n_bends,)``.

    Returns:
        The amounts, shape ``(n_concepts,)``.
    """
    tried = _list_amounts(count, budget, bends)
    slopes, concepts, costs = _list_steps(tried, gains(tried))
    order = np.lexsort((concepts, -slopes))
    concepts, costs = concepts[order], costs[order]
    whole = int(np.searchsorted(np.cumsum(costs), budget, side="right"))
    taken = np.bincount(concepts[:whole], weights=costs[:whole], minlength=len(count)).astype(np.float64)
    plans = [
        _spend_rest(gains, taken, budget),
        _spend_rest(gains, _fill(taken, concepts, costs, whole, budget), budget),
    ]
    return max(plans, key=lambda plan: float(gains(plan).sum()))


def find_level(count: FloatArray, budget: int) -> int:
    """Find the highest level to which all rarer concepts can be raised.

    >>> find_level(np.array([0.0, 5.0, 90.0]), 15)
    10
    """
    ordered = np.sort(count)
    # The level if the k rarest concepts share the budget; it is theirs where the next one lies above it.
    levels = (budget + np.cumsum(ordered)) / np.arange(1, len(ordered) + 1)
    return int(np.floor(levels.min()))


def _list_amounts(count: FloatArray, budget: int, bends: FloatArray) -> FloatArray:
    """Amounts to try for every concept, ascending from 0, shape ``(n_amounts, n_concepts)``."""
    size = int(np.log10(budget) * _AMOUNTS_PER_DECADE) + 2
    grid = np.unique(np.concatenate([[0.0, budget], np.rint(np.geomspace(1, budget, size))]))
    to_bends = np.ceil(10.0 ** bends[:, None] - 1 - count - 1e-6)
    to_bends = np.where((to_bends > 0) & (to_bends <= budget), to_bends, 0.0)
    shared = np.broadcast_to(grid[:, None], (len(grid), len(count)))
    found: FloatArray = np.sort(np.concatenate([shared, to_bends]), axis=0)
    return found


def _list_steps(tried: FloatArray, gained: FloatArray) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
    """Steps of the concave curves above the gains: slope, concept and samples of each; flat ones are left out."""
    slopes, concepts, costs = [], [], []
    for concept in range(tried.shape[1]):
        amount, first = np.unique(tried[:, concept], return_index=True)
        length = np.diff(amount)
        steps = isotonic_regression(
            np.diff(gained[first, concept]) / length, weights=length, increasing=False
        )
        starts = steps.blocks[:-1]
        rising = steps.x[starts] > 0
        slopes.append(steps.x[starts][rising])
        costs.append(np.add.reduceat(length, starts)[rising])
        concepts.append(np.full(int(rising.sum()), concept))
    return np.concatenate(slopes), np.concatenate(concepts), np.concatenate(costs)


def _fill(
    taken: FloatArray, concepts: NDArray[np.int64], costs: FloatArray, whole: int, budget: int
) -> FloatArray:
    """Take later steps that still fit; a concept whose step did not fit takes none after it."""
    filled, rest, closed = taken.copy(), budget - taken.sum(), set()
    for concept, cost in zip(concepts[whole:].tolist(), costs[whole:].tolist(), strict=True):
        if cost > rest:
            closed.add(concept)
        elif concept not in closed:
            filled[concept] += cost
            rest -= cost
        if rest < 1:
            break
    return filled


def _spend_rest(gains: Gains, taken: FloatArray, budget: int) -> FloatArray:
    rest = budget - taken.sum()
    more = gains(taken + rest) - gains(taken)
    best = int(np.argmax(more))
    found = taken.copy()
    found[best] += rest if more[best] > 0 else 0.0
    return found
