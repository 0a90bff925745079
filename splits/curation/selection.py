"""Choosing a number of rows of a pool: how many, by which draw, and the check that they are of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.counting.tag_table import hash_texts
from oddpair.splits.built import Check
from oddpair.splits.manifest import Claim, Manifest
from oddpair.splits.pool import Pool

FloatArray = NDArray[np.float64]

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def check_size(size: int | None, share: float) -> None:
    """Refuse a size or share that no split can have.

    Raises:
        Refusal: If the size is below 1, or the share is not above 0 and at most 1.
    """
    if size is not None and size < 1:
        raise Refusal(f"size is {size}: it must be 1 or more, or null to go by the share")
    if not 0 < share <= 1:
        raise Refusal(f"share is {share:g}: it must lie above 0 and not above 1")


def find_size(size: int | None, share: float, rows: int) -> int:
    """Return how many of some rows to keep: ``size`` or, where that is ``None``, a share of them, 1 at least.

    Raises:
        Refusal: If there are fewer rows.

    >>> find_size(None, 0.5, 7), find_size(3, 0.5, 7)
    (4, 3)
    """
    if size is None:
        return max(1, round(share * rows))
    if size > rows:
        raise Refusal(f"size is {size:,}, there are {rows:,} rows to choose from: ask for fewer")
    return size


def draw_by_uid(uids: pa.Array, seed: int, stream: int) -> FloatArray:
    """Draw a number for each uid, uniform between 0 and 1 and never either: a function of uid and seed alone.

    So the draw of a row is the same in any corpus that holds it, wherever it lies.

    Args:
        uids: ``large_string``, length ``n``.
        seed: Of the recipe.
        stream: Tells apart draws of one seed.

    Returns:
        Shape ``(n,)``.

    >>> draw_by_uid(pa.array(["a", "b"], pa.large_string()), seed=0, stream=1).round(3).tolist()
    [0.196, 0.493]
    """
    return as_uniform(mix(hash_texts(uids) + mix_seed(seed, stream)))


def mix_seed(seed: int, stream: int) -> np.uint64:
    """Return 64 bits of a seed and of what tells apart its uses."""
    return np.uint64(np.random.SeedSequence((seed, stream)).generate_state(1, np.uint64)[0])


def mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers, so that each bit depends on all (SplitMix64: Steele et al., OOPSLA 2014)."""
    found = numbers + np.uint64(_GOLDEN)
    found = (found ^ found >> np.uint64(30)) * _MIX[0]
    found = (found ^ found >> np.uint64(27)) * _MIX[1]
    return found ^ found >> np.uint64(31)


def as_uniform(bits: NDArray[np.uint64]) -> FloatArray:
    """Turn 64 random bits into a number strictly between 0 and 1, of 52 bits."""
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def take_lowest(values: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """Mark the ``size`` lowest of some values, of equal ones those that come first.

    Args:
        values: Shape ``(n,)``, without NaN; in the order of uids, so that ties go by uid.
        size: 0 to ``n``.

    Returns:
        Shape ``(n,)``.

    >>> take_lowest(np.array([2.0, 1.0, 2.0]), 2).tolist()
    [True, True, False]
    """
    kept = np.zeros(len(values), np.bool_)
    if not size:
        return kept
    edge = np.partition(values, size - 1)[size - 1]
    kept[values < edge] = True
    kept[np.flatnonzero(values == edge)[: size - int(kept.sum())]] = True
    return kept


def need_claims(manifest: Manifest, *figures: str) -> list[Claim]:
    """Return the claims of a split that have certain figures, wherever they stand in its statement.

    Args:
        manifest: The split.
        figures: A name among the values of each claim.

    Raises:
        Refusal: If none has one of them.
    """
    found = []
    for name in figures:
        claim = next((claim for claim in manifest.statement if name in claim.values), None)
        if claim is None:
            raise Refusal(f"split {manifest.name!r} claims nothing of {name!r}: make the split again")
        found.append(claim)
    return found


def find_rows(manifest: Manifest, pool: Pool) -> tuple[NDArray[np.bool_], Check]:
    """Find the rows of a split in the pool of its corpus.

    Args:
        manifest: The split.
        pool: Of the corpus as it is now.

    Returns:
        The mask of its rows over the pool, and whether all of them are there.
    """
    places = pool.places(manifest.uids)
    lost = np.flatnonzero(places < 0)
    found = f"{len(manifest) - len(lost):,} of {len(manifest):,} are"
    if len(lost):
        found += f", uid {manifest.uids[int(lost[0])].as_py()} is not"
    mask = np.zeros(len(pool), np.bool_)
    mask[places[places >= 0]] = True
    return mask, Check(text="every row is a row of the corpus", holds=not len(lost), found=found)
