"""The plan of one world: how often each concept is drawn, with which others, and which pairs never are."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.words import concepts_inside

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ORDER_STREAM, _ASSOCIATION_STREAM, _HELD_OUT_STREAM = 1, 2, 3
_SEEDS = 2**32  # a larger seed would be spread over two words and could meet another seed's stream


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """What a world plants, over ``K`` concepts in alphabetical order.

    Attributes:
        seed: The number that every row of the world is made from.
        names: The concepts.
        frequency: Probability of each concept in a slot for one object, shape ``(K,)``; sums to 1.
        joint: Probability of the ordered two objects of a two-object picture, shape ``(K, K)``: symmetric,
            zero on the diagonal, row sums ``frequency``. An unordered pair has twice the entry.
        theta: Planted log association of each pair, shape ``(K, K)``, drawn independently of ``frequency``.
        held_out: Pairs that are never drawn together so that they can be tested as unseen, ``(K, K)``.
        nested: Pairs of which one's words hold the other's, shape ``(K, K)``: never drawn together, as no
            caption could tell them apart, and no test pair either.
    """

    seed: int
    names: tuple[str, ...]
    frequency: Floats
    joint: Floats
    theta: Floats
    held_out: Mask
    nested: Mask

    @cached_property
    def concept_steps(self) -> list[float]:
        """Cumulative probability of the concepts, for sampling by bisection."""
        return list(accumulate(self.frequency.tolist()))

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs ``(a, b)``, ``a < b``, that a picture may show."""
        first, second = np.nonzero(np.triu(self.joint, 1))
        return list(zip(first.tolist(), second.tolist(), strict=True))

    @cached_property
    def pair_steps(self) -> list[float]:
        """Cumulative probability of ``pairs``, for sampling by bisection."""
        upper = np.triu(self.joint, 1)
        return list(accumulate((2 * upper[upper > 0]).tolist()))


def make_world(
    seed: int,
    *,
    names: tuple[str, ...] = CONCEPTS,
    decades: float = 3.0,
    held_out: float = 0.2,
    association: float = 1.5,
) -> World:
    """Plan a world whose single frequencies, pair associations and held-out pairs are planted independently.

    Args:
        seed: From 0 to 2**32 - 1; it alone decides the order of the concepts, the associations and the
            held-out pairs.
        names: Concepts, alphabetical and each once.
        decades: log10 of the most frequent concept over the rarest; 0 makes all equally frequent.
        held_out: Share of pairs to hold out. A pair with a concept whose words hold another's is held
            out also where the inner concept is ("cat" with "pine tree" where "cat" with "tree" is), since
            its captions would name the held-out pair; so the share for such concepts is larger.
        association: Standard deviation of ``theta``, in nats.

    Returns:
        The world.

    Raises:
        ValueError: If the seed or the names are not as above, or no pair table fits the frequencies.

    >>> world = make_world(0, names=("apple", "bell", "cat", "drum"), decades=0.0, held_out=0.0)
    >>> world.frequency
    array([0.25, 0.25, 0.25, 0.25])
    >>> bool(np.allclose(world.joint.sum(axis=1), world.frequency))
    True
    """
    if not 0 <= seed < _SEEDS:
        raise ValueError(f"seed is {seed}, needed 0 to {_SEEDS - 1}")
    if list(names) != sorted(set(names)):
        raise ValueError("names of a world must be alphabetical and each given once")
    size = len(names)
    # The order is a permutation, so that over seeds a concept's difficulty is not confounded with its rank.
    rank = np.random.default_rng((seed, _ORDER_STREAM)).permutation(size)
    frequency = 10.0 ** (-decades * rank / max(size - 1, 1))
    frequency /= frequency.sum()
    theta = _symmetric(
        np.random.default_rng((seed, _ASSOCIATION_STREAM)).normal(0, association, (size, size))
    )
    chosen = np.random.default_rng((seed, _HELD_OUT_STREAM)).random((size, size)) < held_out
    inside = _inside(names)
    nested = inside | inside.T
    # Both of "tree" and "house" are named wherever a "tree house" is, so they cannot be unseen together.
    free = ~(nested | (inside.T @ inside))
    unseen = _spread(_symmetric(chosen.astype(np.float64)).astype(bool) & free, inside)
    allowed = ~(unseen | nested | np.eye(size, dtype=bool))
    joint = _fit_joint(frequency, np.exp(theta) * allowed)
    return World(
        seed=seed, names=names, frequency=frequency, joint=joint, theta=theta, held_out=unseen, nested=nested
    )


def planted_pmi(world: World) -> Floats:
    """Pointwise mutual information that the world plants, in nats, shape ``(K, K)``.

    ``log(joint / (frequency_a frequency_b))`` between the two slots of a two-object picture: 0 where the
    pair is as frequent there as chance makes it, ``-inf`` where it is never drawn. The PMI over all
    pictures of a corpus is lower by one constant, since pictures of one object hold no pair
    (``rows.PICTURE_PMI_SHIFT``).

    >>> world = make_world(0, names=("apple", "bell", "cat"), decades=0.0, held_out=0.0, association=0.0)
    >>> planted_pmi(world).round(3).tolist()[0]
    [-inf, 0.405, 0.405]
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(world.joint / np.outer(world.frequency, world.frequency)))


def _symmetric(values: Floats) -> Floats:
    upper = np.triu(values, 1)
    return np.asarray(upper + upper.T)


def _inside(names: tuple[str, ...]) -> Mask:
    """Mark ``[a, b]`` where the words of ``a`` hold those of ``b``."""
    row = {name: i for i, name in enumerate(names)}
    mask = np.zeros((len(names), len(names)), dtype=bool)
    for outer, parts in concepts_inside(names).items():
        for part in parts:
            mask[row[outer], row[part]] = True
    return mask


def _spread(unseen: Mask, inside: Mask) -> Mask:
    """Hold out every pair whose captions would name a held-out pair."""
    spread = unseen | (inside @ unseen)
    return np.asarray(spread | (spread @ inside.T))


def _fit_joint(frequency: Floats, weights: Floats) -> Floats:
    """Scale symmetric weights to row sums ``frequency`` (symmetric Sinkhorn), keeping their zeros.

    References:
        Knight, SIAM Journal on Matrix Analysis and Applications 30(1), 2008, on symmetric scaling.
    """
    scale = frequency.copy()
    with np.errstate(all="ignore"):  # a table that does not exist makes the scales run away
        for _ in range(20_000):
            reach = weights @ scale
            if np.abs(scale * reach - frequency).max() < 1e-13:
                return np.asarray(weights * np.outer(scale, scale))
            # The geometric mean of old and new, because the plain step swings between two scalings.
            scale = np.sqrt(scale * frequency / reach)
    raise ValueError(
        f"no pair table fits the frequencies of {len(frequency)} concepts: "
        "needed more concepts, fewer decades or fewer held-out pairs"
    )
