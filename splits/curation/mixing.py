"""Mixes of pools: how many rows of each, drawn so that smaller mixes lie inside larger ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Check
from oddpair.splits.manifest import Claim, Manifest

_DRAW_STREAM = 31
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A mix that is to be made: its name, and the rows of each pool."""

    name: str
    rows: Mapping[str, int]

    @property
    def total(self) -> int:
        """Rows of the mix."""
        return sum(self.rows.values())

    def tell(self) -> str:
        """Say what it is made of.

        >>> Mix(name="mix", rows={"natural": 3000, "rendition": 1000}).tell()
        '3,000 of natural, 1,000 of rendition'
        """
        return ", ".join(f"{rows:,} of {name}" for name, rows in self.rows.items())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawer:
    """A pool whose rows are drawn in one random order, whatever is drawn of it.

    Attributes:
        name: Of the pool.
        uids: Its rows, sorted, without those that belong to a pool before it.
        order: Places in ``uids`` in the order in which they are drawn, shape ``(n,)``.
        shared: Rows left out because they belong to a pool before it.
    """

    name: str
    uids: pa.Array
    order: IntArray
    shared: int

    def __len__(self) -> int:
        return len(self.uids)

    def draw(self, n: int) -> pa.Array:
        """Return the first ``n`` rows of the order, sorted.

        Raises:
            Refusal: If the pool has fewer.
        """
        if n > len(self):
            without = f" that are in no pool before it ({self.shared:,} are)" if self.shared else ""
            raise Refusal(
                f"pool {self.name!r} has {len(self):,} rows{without}, the mix takes {n:,}: {n - len(self):,} are "
                "missing, so make it smaller or give a larger pool"
            )
        return self.uids.take(pa.array(np.sort(self.order[:n])))


def apportion(total: int, shares: Sequence[Fraction]) -> list[int]:
    """Divide rows by shares: each part is rounded to the nearest whole number, and they add up.

    By the method of Webster and Sainte-Laguë: for two parts it is plain rounding, a half going to the first. By it no
    part of a larger total is smaller, which the method of largest remainders cannot promise of three parts (the
    Alabama paradox) and nested mixes need.

    Args:
        total: Rows, 0 or more.
        shares: Positive or zero, not all zero; they need not add up to 1.

    Returns:
        Rows of each part.

    References:
        Balinski and Young, Fair Representation, 1982.

    >>> apportion(10, [Fraction(1), Fraction(1), Fraction(1)])
    [4, 3, 3]
    """
    if total < 0 or not shares or min(shares) < 0 or not sum(shares):
        raise ValueError(f"total {total} and shares {[str(share) for share in shares]}, needed some above 0")
    whole = sum(shares)
    parts = [int(total * share / whole + Fraction(1, 2)) for share in shares]
    used = [place for place, share in enumerate(shares) if share]
    while (left := total - sum(parts)) != 0:
        # The next row goes where it is most due; the last one is taken where it was least, of equals from the last.
        if left > 0:
            parts[max(used, key=lambda place: (shares[place] / (2 * parts[place] + 1), -place))] += 1
        else:
            held = [place for place in used if parts[place]]
            parts[min(held, key=lambda place: (shares[place] / (2 * parts[place] - 1), -place))] -= 1
    return parts


def find_largest(sizes: Sequence[int], shares: Sequence[Fraction]) -> int:
    """Find the most rows that pools of some sizes can be mixed to.

    >>> find_largest([30, 10], [Fraction(1, 2), Fraction(1, 2)])
    21
    """
    whole = sum(shares)
    low = 0
    high = (
        min(int((size + 1) * whole / share) for size, share in zip(sizes, shares, strict=True) if share) + 1
    )
    while high - low > 1:
        middle = (low + high) // 2
        parts = apportion(middle, shares)
        fits = all(part <= size for part, size in zip(parts, sizes, strict=True))
        low, high = (middle, high) if fits else (low, middle)
    return low


def find_common(sizes: Mapping[str, int], designs: Sequence[Mapping[str, Fraction]]) -> int:
    """Find the most rows that every one of some designs can have, each by the shares of some of the pools.

    Raises:
        Refusal: If one can have none.
    """
    found = min(find_largest([sizes[name] for name in shares], list(shares.values())) for shares in designs)
    if not found:
        empty = ", ".join(name for name, size in sizes.items() if not size) or "the smallest pool"
        raise Refusal(f"no mix can have a row, for want of rows of its own in {empty}: leave it out")
    return found


def as_fraction(share: float) -> Fraction:
    """Take a share as it is written: 0.1 is a tenth, and not the nearest binary number.

    >>> as_fraction(0.1)
    Fraction(1, 10)
    """
    return Fraction(repr(share))


def open_drawers(
    pools: Mapping[str, Manifest], order: Sequence[str], *, seed: int, overlap: str
) -> dict[str, Drawer]:
    """Shuffle pools that are made disjoint: a row of several pools belongs to the first of them.

    Args:
        pools: Pools by name.
        order: All their names.
        seed: Of the shuffle of each pool, which depends on nothing but the seed and the pool's rows.
        overlap: ``first`` to do as said; ``refuse`` to refuse a row of several pools.

    Returns:
        The pools in that order.

    Raises:
        Refusal: If pools share a row and may not, or a name could not be part of a file's.
    """
    found: dict[str, Drawer] = {}
    for name in order:
        if not _NAME.fullmatch(name):
            raise Refusal(
                f"pool {name!r}: splits are named after it, so name it with letters, digits, '.', '_' and '-'"
            )
        uids, before = pools[name].uids, [pools[other].uids for other in found]
        shared = 0
        if before:
            taken = pc.is_in(uids, value_set=pa.chunked_array(before).combine_chunks())
            shared = int(pc.sum(taken).as_py() or 0)
            if shared and overlap == "refuse":
                first = uids.filter(taken)[0].as_py()
                other = next(other for other in found if pc.index(pools[other].uids, first).as_py() >= 0)
                raise Refusal(
                    f"pools {other!r} and {name!r} share rows ({shared:,} of {name!r} are in a pool before it, the "
                    f"first is uid {first}): give pools that share none, or set overlap=first to count them once"
                )
            uids = uids.filter(pc.invert(taken))
        order_of = np.random.default_rng((seed, _DRAW_STREAM)).permutation(len(uids))
        found[name] = Drawer(name=name, uids=uids, order=order_of, shared=shared)
    return found


def join_parts(parts: Sequence[pa.Array]) -> pa.Array:
    """Put disjoint sorted lists of uids into one sorted list."""
    whole = pa.chunked_array(parts, pa.large_string()).combine_chunks()
    return whole.take(pc.array_sort_indices(whole))


def claim_draw(seed: int) -> Claim:
    """Claim that the rows are the first of their pools' orders."""
    return Claim(
        text=f"the rows of each pool are the first of one random order of them (seed {seed}), so that smaller parts of a "
        "pool lie inside larger ones",
        values={"seed": seed},
    )


def count_by_pool(uids: pa.Array, drawers: Mapping[str, Drawer]) -> dict[str, int]:
    """Count the rows that each pool has of a list of uids; ``""`` counts those of none."""
    found = {name: _count_in(uids, drawer.uids) for name, drawer in drawers.items()}
    return {**found, "": len(uids) - sum(found.values())}


def check_draw(uids: pa.Array, drawers: Mapping[str, Drawer], rows: Mapping[str, int], claim: Claim) -> Check:
    """Say whether a list of uids is the first rows of each pool's order, by drawing them again."""
    short = [name for name, n in rows.items() if n > len(drawers[name])]
    if short:
        found = f"pool {short[0]} has {len(drawers[short[0]]):,} rows"
        return Check(text=claim.text, holds=False, found=found)
    drawn = join_parts([drawers[name].draw(n) for name, n in rows.items()])
    strangers = uids.filter(pc.invert(pc.is_in(uids, value_set=drawn)))
    if not len(strangers) and len(uids) == len(drawn):
        return Check(text=claim.text, holds=True, found="the same rows were drawn again")
    told = f"{len(strangers):,} of {len(uids):,} rows were not drawn"
    return Check(
        text=claim.text,
        holds=False,
        found=f"{told}, the first {strangers[0].as_py()}" if len(strangers) else f"{len(drawn):,} were drawn",
    )


def _count_in(uids: pa.Array, among: pa.Array) -> int:
    return int(pc.sum(pc.is_in(uids, value_set=among)).as_py() or 0)
