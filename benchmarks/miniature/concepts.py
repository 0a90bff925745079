"""The objects of the miniature world: every name, its shape and its usual colours."""

from difflib import get_close_matches

import numpy as np

from oddpair.benchmarks.miniature.palette import Colours
from oddpair.benchmarks.miniature.primitives import Primitive
from oddpair.benchmarks.miniature.shapes_animals import ANIMALS
from oddpair.benchmarks.miniature.shapes_clothing import CLOTHING
from oddpair.benchmarks.miniature.shapes_food import FOOD
from oddpair.benchmarks.miniature.shapes_household import HOUSEHOLD
from oddpair.benchmarks.miniature.shapes_nature import NATURE
from oddpair.benchmarks.miniature.shapes_places import PLACES
from oddpair.benchmarks.miniature.shapes_play import PLAY
from oddpair.benchmarks.miniature.shapes_tools import TOOLS
from oddpair.benchmarks.miniature.shapes_travel import TRAVEL

_DRAWINGS = ANIMALS | CLOTHING | FOOD | HOUSEHOLD | NATURE | PLACES | PLAY | TOOLS | TRAVEL

CONCEPTS: tuple[str, ...] = tuple(sorted(_DRAWINGS))


def shape(name: str, rng: np.random.Generator) -> list[Primitive]:
    """Draw one variant of a concept's shape, in the square [-1, 1]^2 (a few parts reach a little beyond).

    Args:
        name: A member of `CONCEPTS`.
        rng: Source of the variation.

    Returns:
        Primitives from back to front, with roles instead of colours.

    Raises:
        ValueError: If there is no such concept.

    >>> shape("aple", np.random.default_rng(0))
    Traceback (most recent call last):
    ValueError: no concept 'aple'; did you mean 'apple'?
    """
    require(name)
    return _DRAWINGS[name][0](rng)


def colours(name: str) -> Colours:
    """Usual colours of a concept; ValueError if there is no such concept."""
    require(name)
    return _DRAWINGS[name][1]


def require(name: str) -> None:
    """Raise ValueError, with the nearest name, unless there is such a concept."""
    if name in _DRAWINGS:
        return
    near = get_close_matches(name, CONCEPTS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(CONCEPTS)}"
    raise ValueError(f"no concept {name!r}; {hint}")
