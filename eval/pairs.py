"""The conditional pair metric: an image of A and B, prompts "a photo of X and B" for all X, a hit if X is A."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

PairVectors = Callable[[int], NDArray[Any]] | NDArray[Any]


def chance(n_concepts: int) -> float:
    """Hit rate of blind guessing: the partner is never a candidate for the target.

    >>> chance(5)
    0.25
    """
    if n_concepts < 3:
        raise ValueError(f"{n_concepts} concepts, the pair metric needs at least 3")
    return 1 / (n_concepts - 1)
