"""Every row of a world, each from the world and its own (role, index) alone, in any order and any process."""

import hashlib
import io
import math
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.benchmarks.miniature.captions import Caption, caption, describe
from oddpair.benchmarks.miniature.world import World

# More than half of the pictures show two objects, because pairs are what the suite tests and each pair needs
# its own pictures; single ones remain, so that a name can be learned alone.
TWO_OBJECTS_SHARE = 0.6
# Half photographs, as no style may be too rare to learn in a few hundred steps; in LAION they are most.
STYLE_SHARES = {
    "photo": 0.50,
    "sketch": 0.11,
    "cartoon": 0.09,
    "painting": 0.09,
    "silhouette": 0.11,
    "ambiguous": 0.10,
}
RENDITIONS = ("sketch", "cartoon", "painting", "silhouette")

_SHOWN_PER_SLOT = 1 - TWO_OBJECTS_SHARE + 2 * TWO_OBJECTS_SHARE
# What to add to world.planted_pmi for the PMI over all pictures, those of one object included.
PICTURE_PMI_SHIFT = math.log(2 * TWO_OBJECTS_SHARE / _SHOWN_PER_SLOT**2)

_ROLES = {"corpus": 1, "natural": 2, "rendition": 3, "pairs": 4}
_PLAN, _PICTURE = 1, 2  # never 0: generators of (1, 2) and of (1, 2, 0) are the same
_STYLES = tuple(STYLE_SHARES)
_STYLE_STEPS = list(accumulate(STYLE_SHARES.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One picture with its caption, planned and not yet drawn.

    Attributes:
        uid: 32 hex digits, made from seed, role and index.
        seed: The world's seed.
        role: "corpus", "natural", "rendition" or "pairs".
        index: Place within the role, from 0.
        style: The style it is drawn in.
        concepts: The one or two concepts that it shows, sorted.
        caption: Its caption.
        named: The concepts that the caption names, sorted.
    """

    uid: str
    seed: int
    role: str
    index: int
    style: str
    concepts: tuple[str, ...]
    caption: str
    named: tuple[str, ...]


class ChosenPair(NamedTuple):
    """Two concepts to test together, ``a`` before ``b``, of kind "held-out", "rare" or "seen"."""

    a: str
    b: str
    kind: str


def plan_corpus_row(world: World, index: int) -> Row:
    """Plan one row of the corpus: its style, its concepts and a caption of the kind the web writes.

    Args:
        world: The world.
        index: Place in the corpus, from 0.

    Returns:
        The row, a function of the world and the index and of nothing else.
    """
    rng = np.random.default_rng((world.seed, _ROLES["corpus"], index, _PLAN))
    style = _STYLES[_find(_STYLE_STEPS, rng)]
    concepts = _draw_concepts(world, rng)
    stray = world.names[_find(world.concept_steps, rng)]
    text = caption(concepts, style, rng, stray=stray, names=world.names)
    return _row(world.seed, "corpus", index, style, concepts, text)


def plan_test_row(world: World, role: str, index: int) -> Row:
    """Plan one row of a test set, with a caption that names all it shows.

    The index fixes what is shown, so that asking for more pictures only adds rows:

    - natural: the photo of concept ``index % K``;
    - rendition: concept ``index % K`` in rendition style ``index // K % 4``;
    - pairs: the photo of concepts ``a`` and ``b`` where ``index = (copy * K + a) * K + b``.

    Args:
        world: The world, of ``K`` concepts.
        role: "natural", "rendition" or "pairs".
        index: Place within the role, from 0.

    Returns:
        The row, a function of the world, the role and the index and of nothing else.

    Raises:
        ValueError: If a pairs index stands for one concept twice, or for two in the wrong order.
    """
    rng = np.random.default_rng((world.seed, _ROLES[role], index, _PLAN))
    block, last = divmod(index, len(world.names))
    style = RENDITIONS[block % len(RENDITIONS)] if role == "rendition" else "photo"
    first = (world.names[block % len(world.names)],) if role == "pairs" else ()
    concepts = (*first, world.names[last])
    if concepts != tuple(sorted(set(concepts))):
        raise ValueError(f"{role} row {index} would show {concepts}, needed two concepts in order")
    return _row(world.seed, role, index, style, concepts, describe(concepts, style, rng, names=world.names))


def draw_picture(row: Row) -> bytes:
    """Draw a row's picture.

    Args:
        row: The row.

    Returns:
        A JPEG file of 64 x 64 pixels, of quality 90 and with colours at full resolution, since at this size
        halved colours would blur the objects.
    """
    from oddpair.benchmarks.miniature.styles import render

    rng = np.random.default_rng((row.seed, _ROLES[row.role], row.index, _PICTURE))
    names = row.concepts if rng.random() < 0.5 else row.concepts[::-1]  # no name is always behind
    file = io.BytesIO()
    render(names, row.style, rng).save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue()


def uid(seed: int, role: str, index: int) -> str:
    """Name a row for good.

    >>> uid(0, "corpus", 0) == uid(0, "corpus", 0), uid(0, "corpus", 0) == uid(0, "natural", 0)
    (True, False)
    """
    return hashlib.blake2b(f"{seed}/{role}/{index}".encode(), digest_size=16).hexdigest()


def pair_indices(world: World, pairs: list[ChosenPair], copies: int) -> list[int]:
    """List the indices of the "pairs" rows that show each pair ``copies`` times, ascending.

    Args:
        world: The world.
        pairs: The pairs.
        copies: Pictures of each.

    Returns:
        ``len(pairs) * copies`` indices.
    """
    place = {name: i for i, name in enumerate(world.names)}
    size = len(world.names)
    return sorted((copy * size + place[a]) * size + place[b] for copy in range(copies) for a, b, _ in pairs)


def expected_counts(world: World, rows: int) -> NDArray[np.float64]:
    """Expected pictures of each concept among ``rows`` corpus rows, shape ``(K,)``."""
    return rows * _SHOWN_PER_SLOT * world.frequency


def expected_pair_counts(world: World, rows: int) -> NDArray[np.float64]:
    """Expected pictures of each unordered pair among ``rows`` corpus rows, shape ``(K, K)``, symmetric."""
    return rows * TWO_OBJECTS_SHARE * 2 * world.joint


def choose_test_pairs(
    world: World,
    rows: int,
    *,
    held: int,
    rare: int,
    seen: int,
    rng: np.random.Generator,
    minimum_count: float = 60.0,
) -> list[ChosenPair]:
    """Choose pairs to test, from what is planned and without a look at any drawn row.

    Both concepts of every pair are expected often enough to be learned. Nested pairs are never chosen.

    Args:
        world: The world.
        rows: Rows of the corpus to be drawn.
        held: How many pairs that the world holds out.
        rare: How many that it would draw, but expects fewer than 0.5 times.
        seen: How many that it expects at least once.
        rng: Source of the choice.
        minimum_count: Smallest expected count of both concepts, in pictures.

    Returns:
        The pairs by kind, then alphabetical; all there are of a kind that has fewer than asked for.
    """
    common = expected_counts(world, rows) >= minimum_count
    usable = np.triu(np.outer(common, common) & ~world.nested, 1)
    expected = expected_pair_counts(world, rows)
    kinds = (
        ("held-out", held, world.held_out),
        ("rare", rare, ~world.held_out & (expected < 0.5)),
        ("seen", seen, expected >= 1),
    )
    chosen = []
    for kind, wanted, mask in kinds:
        candidates = np.argwhere(usable & mask)
        for a, b in sorted(rng.permutation(candidates)[:wanted].tolist()):
            chosen.append(ChosenPair(world.names[a], world.names[b], kind))
    return chosen


def corpus_concepts(world: World, index: int) -> tuple[str, ...]:
    """Tell what a corpus row shows, without writing its caption."""
    rng = np.random.default_rng((world.seed, _ROLES["corpus"], index, _PLAN))
    rng.random()  # the style's
    return _draw_concepts(world, rng)


def _find(steps: list[float], rng: np.random.Generator) -> int:
    """Draw from cumulative probabilities; scaled by the last, which rounding keeps a little off 1."""
    return bisect(steps, rng.random() * steps[-1], hi=len(steps) - 1)


def _draw_concepts(world: World, rng: np.random.Generator) -> tuple[str, ...]:
    if rng.random() < TWO_OBJECTS_SHARE:
        a, b = world.pairs[_find(world.pair_steps, rng)]
        return world.names[a], world.names[b]
    return (world.names[_find(world.concept_steps, rng)],)


def _row(seed: int, role: str, index: int, style: str, concepts: tuple[str, ...], text: Caption) -> Row:
    return Row(
        uid=uid(seed, role, index),
        seed=seed,
        role=role,
        index=index,
        style=style,
        concepts=concepts,
        caption=text.text,
        named=text.named,
    )
