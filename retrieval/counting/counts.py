"""The counts of one corpus or of a part of it, and how parts add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.counting.pmi import IntArray

BoolArray = NDArray[np.bool_]

# Pairs are checked so many at a time, which bounds what it takes of memory.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairValues:
    """Counts of given pairs; one value per pair.

    Attributes:
        text: Captions that mention both.
        image: Images tagged with both; ``None`` where no tags were given, as for ``joint``.
        joint: Rows with both in the caption and both in the tags.
    """

    text: IntArray
    image: IntArray | None
    joint: IntArray | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counts:
    """Counts of concepts and of pairs of them.

    All pairs were counted among some concepts, the members; of these, pairs that no caption and no image holds are
    not listed. Any other pair was counted only if it is listed, and then even at zero. So a pair that is not listed
    is 0 only if ``counted`` says so. Nested concepts, which are mentioned together by construction, are no pair: they
    are never listed, and ``counted`` says no.

    Attributes:
        names: Concepts; a concept's id is its place here.
        vocabulary_sha256: Digest of the vocabulary that was counted.
        n_captions: Captions in the corpus.
        text: Captions that mention each concept, shape ``(n_concepts,)``.
        image: Images tagged with it; ``None`` where no tags were given, as for ``joint``.
        joint: Rows whose caption mentions it and whose image is tagged with it.
        a: Smaller id of each pair, shape ``(n_pairs,)``; pairs are sorted by ``(a, b)``.
        b: Larger id of each pair.
        pair_text: Captions that mention both.
        pair_image: Images tagged with both, or ``None``.
        pair_joint: Rows with both in the caption and both in the tags, or ``None``.
        members: Ids of the concepts among which all pairs were counted, ascending; ``None`` for all concepts. Parts
            of a corpus share the members of the whole, which are the ``most_frequent`` there.
        nested: Keys ``a * n_concepts + b`` of the nested pairs by the rules of the count, ascending, ``a < b``.
    """

    names: tuple[str, ...]
    vocabulary_sha256: str
    n_captions: int
    text: IntArray
    image: IntArray | None
    joint: IntArray | None
    a: IntArray
    b: IntArray
    pair_text: IntArray
    pair_image: IntArray | None
    pair_joint: IntArray | None
    members: IntArray | None = None
    nested: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        parts = (self.image, self.joint, self.pair_image, self.pair_joint)
        if len({part is None for part in parts}) > 1:
            raise ValueError(
                "image and joint counts of concepts and of pairs are given together or not at all"
            )
        for column in (self.text, self.image, self.joint):
            _check_column(column, len(self.names), "concepts")
        for column in (self.a, self.b, self.pair_text, self.pair_image, self.pair_joint):
            _check_column(column, len(self.a), "pairs")
        singles = (self.text, self.image, self.joint)
        if any(column is not None and column.max(initial=0) > self.n_captions for column in singles):
            raise ValueError(f"a count of concepts is above {self.n_captions} captions")
        if self.joint is not None and self.image is not None:
            _check_joint(self.joint, self.text, self.image)
        for start in range(0, len(self.a), _BLOCK):
            self._check_pairs(start)
        if self.members is not None:
            _check_column(self.members, len(self.members), "members")
            if np.any(np.diff(self.members) <= 0) or self.members.max(initial=-1) >= len(self.names):
                raise ValueError(f"members need ascending ids below {len(self.names)}")
        _check_column(self.nested, len(self.nested), "nested pairs")
        if np.any(np.diff(self.nested) <= 0) or self._find(self.nested)[1].any():
            raise ValueError("nested pairs are not sorted, repeat or are listed with a count")

    @property
    def pair_concepts(self) -> int | None:
        """Among how many concepts all pairs were counted; ``None`` for all."""
        return None if self.members is None else len(self.members)

    @property
    def paired(self) -> BoolArray:
        """Whether each concept is one of those among which all pairs were counted, shape ``(n_concepts,)``."""
        paired = np.full(len(self.names), self.members is None)
        if self.members is not None:
            paired[self.members] = True
        return paired

    def counted(self, first: IntArray, second: IntArray) -> BoolArray:
        """Say of which pairs it is known how often they occur.

        Args:
            first: One concept of each pair, shape ``(n,)``.
            second: The other one.

        Raises:
            ValueError: If an id is none, or a concept is paired with itself.
        """
        return self._find_counted(self._keys_of(first, second), first, second)[2]

    def look_up(self, first: IntArray, second: IntArray) -> PairValues:
        """Look up how often pairs occur, all at once: each call goes through all pairs that are listed.

        Args:
            first: One concept of each pair, shape ``(n,)``.
            second: The other one.

        Raises:
            ValueError: If a pair was not counted, an id is none, or a concept is paired with itself.
        """
        keys = self._keys_of(first, second)
        places, listed, counted = self._find_counted(keys, first, second)
        missing = np.flatnonzero(~counted)
        if missing.size:
            a, b = int(first[missing[0]]), int(second[missing[0]])
            reason = (
                "they are mentioned together by construction"
                if np.isin(keys[missing[0]], self.nested)
                else f"all pairs were among the {self.pair_concepts} most frequent concepts only"
            )
            raise ValueError(f"the pair of {self.names[a]!r} and {self.names[b]!r} was not counted: {reason}")

        def take(column: IntArray | None) -> IntArray | None:
            if column is None:
                return None
            values = np.zeros(len(places), np.int64)
            values[listed] = column[places[listed]]
            return values

        text = take(self.pair_text)
        assert text is not None
        return PairValues(text=text, image=take(self.pair_image), joint=take(self.pair_joint))

    def _keys_of(self, first: IntArray, second: IntArray) -> IntArray:
        low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
        if np.any(low < 0) or np.any(high >= len(self.names)) or np.any(low == high):
            raise ValueError(f"a pair needs two different ids from 0 to {len(self.names) - 1}")
        keys: IntArray = low * len(self.names) + high
        return keys

    def _find_counted(
        self, keys: IntArray, first: IntArray, second: IntArray
    ) -> tuple[IntArray, BoolArray, BoolArray]:
        """Find where pairs are listed, which are, and which were counted."""
        paired = self.paired
        places, listed = self._find(keys)
        return places, listed, listed | (paired[first] & paired[second] & ~np.isin(keys, self.nested))

    def _find(self, keys: IntArray) -> tuple[IntArray, BoolArray]:
        stored = self.a * len(self.names) + self.b
        places = np.searchsorted(stored, keys)
        listed = places < len(stored)
        listed[listed] = stored[places[listed]] == keys[listed]
        return places, listed

    def _check_pairs(self, start: int) -> None:
        # One pair more than the block, so that none is unsorted between two blocks.
        a, b = self.a[start : start + _BLOCK + 1], self.b[start : start + _BLOCK + 1]
        if np.any(a >= b) or np.any(b >= len(self.names)):
            raise ValueError(f"pairs need ids a < b < {len(self.names)}")
        if np.any(np.diff(a * len(self.names) + b) <= 0):
            raise ValueError("pairs are not sorted by (a, b), or repeat")
        block = slice(start, start + len(a))
        for pair, single in (
            (self.pair_text, self.text),
            (self.pair_image, self.image),
            (self.pair_joint, self.joint),
        ):
            if pair is None or single is None:
                continue
            wrong = np.flatnonzero(pair[block] > np.minimum(single[a], single[b]))
            if wrong.size:
                i = wrong[0]
                raise ValueError(
                    f"pair {start + i} is counted {pair[start + i]} times, its concepts only {single[a[i]]} and "
                    f"{single[b[i]]} times"
                )
            wrong = np.flatnonzero(single[a] - pair[block] + single[b] > self.n_captions)
            if wrong.size:
                i = wrong[0]
                raise ValueError(
                    f"pair {start + i} is counted {pair[start + i]} times, its concepts {single[a[i]]} and "
                    f"{single[b[i]]} times, which takes more than {self.n_captions} captions"
                )
        if self.pair_joint is not None and self.pair_image is not None:
            _check_joint(self.pair_joint[block], self.pair_text[block], self.pair_image[block])


def most_frequent(text: IntArray, n: int | None) -> IntArray | None:
    """Choose the ``n`` concepts that most captions mention; of equal ones those of smaller id.

    Args:
        text: Captions that mention each concept, shape ``(n_concepts,)``.
        n: How many; ``None`` for all.

    Returns:
        Their ids, ascending; ``None`` where these are all concepts.

    >>> most_frequent(np.array([2, 7, 2, 5]), 3)
    array([0, 1, 3])
    """
    if n is None or n >= len(text):
        return None
    return np.sort(np.argsort(-text, kind="stable")[:n])


def merge(first: Counts, *others: Counts) -> Counts:
    """Add the counts of disjoint parts of a corpus.

    Raises:
        ValueError: If the parts were counted with different vocabularies, only some with tags, or of some other pairs
            than of others.
    """
    parts = (first, *others)
    if len({(part.vocabulary_sha256, part.names) for part in parts}) > 1:
        raise ValueError("parts were counted with different vocabularies")
    if len({part.image is None for part in parts}) > 1:
        raise ValueError("some parts have image counts, others have none")
    paired = first.paired
    if not all(np.array_equal(part.paired, paired) for part in others):
        raise ValueError("all pairs were counted among other concepts in some parts than in others")
    if not all(np.array_equal(part.nested, first.nested) for part in others):
        raise ValueError("other pairs are nested in some parts than in others")
    n_concepts = len(first.names)
    part_keys = [part.a * n_concepts + part.b for part in parts]
    keys = np.unique(np.concatenate(part_keys))
    a, b = keys // n_concepts, keys % n_concepts
    outer = keys[~(paired[a] & paired[b])]
    if not all(np.isin(outer, part).all() for part in part_keys):
        raise ValueError("some parts list a pair of rare concepts that was not counted in others")

    def add(columns: Sequence[IntArray | None]) -> IntArray | None:
        given = [column for column in columns if column is not None]
        return np.sum(given, axis=0, dtype=np.int64) if given else None

    def add_pairs(columns: Sequence[IntArray | None]) -> IntArray | None:
        return add(
            [c if c is None else place_pairs(keys, key, c) for key, c in zip(part_keys, columns, strict=True)]
        )

    text, pair_text = add([part.text for part in parts]), add_pairs([part.pair_text for part in parts])
    assert text is not None
    assert pair_text is not None
    return Counts(
        names=first.names,
        vocabulary_sha256=first.vocabulary_sha256,
        n_captions=sum(part.n_captions for part in parts),
        text=text,
        image=add([part.image for part in parts]),
        joint=add([part.joint for part in parts]),
        a=a,
        b=b,
        pair_text=pair_text,
        pair_image=add_pairs([part.pair_image for part in parts]),
        pair_joint=add_pairs([part.pair_joint for part in parts]),
        members=first.members,
        nested=first.nested,
    )


def place_pairs(keys: IntArray, found: IntArray, values: IntArray) -> IntArray:
    """Place the values of some sorted pair keys among all of them; the other pairs get 0."""
    placed = np.zeros(len(keys), np.int64)
    placed[np.searchsorted(keys, found)] = values
    return placed


def _check_column(column: IntArray | None, n_rows: int, what: str) -> None:
    if column is None:
        return
    if column.shape != (n_rows,) or column.dtype != np.int64:
        raise ValueError(
            f"a column of shape {column.shape} and {column.dtype}, needed int64 for {n_rows} {what}"
        )
    if column.min(initial=0) < 0:
        raise ValueError(f"a count or an id of {what} is below 0")


def _check_joint(joint: IntArray, text: IntArray, image: IntArray) -> None:
    if np.any(joint > np.minimum(text, image)):
        raise ValueError("a joint count exceeds the count of captions or of images")
