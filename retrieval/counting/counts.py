"""The counts of one corpus or of a part of it, and how parts add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oddpair.retrieval.counting.pmi import IntArray, check_pairs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counts:
    """Counts of concepts, and of every pair that co-occurs in at least one caption or image.

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

    def __post_init__(self) -> None:
        parts = (self.image, self.joint, self.pair_image, self.pair_joint)
        if len({part is None for part in parts}) > 1:
            raise ValueError(
                "image and joint counts of concepts and of pairs are given together or not at all"
            )
        for column in (self.text, self.image, self.joint):
            _check_column(column, len(self.names), self.n_captions, "concepts")
        for column in (self.a, self.b, self.pair_text, self.pair_image, self.pair_joint):
            _check_column(column, len(self.a), None, "pairs")
        if np.any(self.a >= self.b) or np.any(self.b >= len(self.names)):
            raise ValueError(f"pairs need ids a < b < {len(self.names)}")
        if np.any(np.diff(self.a * len(self.names) + self.b) <= 0):
            raise ValueError("pairs are not sorted by (a, b), or repeat")
        for pair, single in (
            (self.pair_text, self.text),
            (self.pair_image, self.image),
            (self.pair_joint, self.joint),
        ):
            if pair is not None and single is not None:
                check_pairs(pair, single[self.a], single[self.b])
        for joint, text, image in (
            (self.joint, self.text, self.image),
            (self.pair_joint, self.pair_text, self.pair_image),
        ):
            if joint is not None and image is not None and np.any(joint > np.minimum(text, image)):
                raise ValueError("a joint count exceeds the count of captions or of images")


def merge(first: Counts, *others: Counts) -> Counts:
    """Add the counts of disjoint parts of a corpus.

    Raises:
        ValueError: If the parts were counted with different vocabularies, or only some with tags.
    """
    parts = (first, *others)
    if len({(part.vocabulary_sha256, part.names) for part in parts}) > 1:
        raise ValueError("parts were counted with different vocabularies")
    if len({part.image is None for part in parts}) > 1:
        raise ValueError("some parts have image counts, others have none")
    n_concepts = len(first.names)
    part_keys = [part.a * n_concepts + part.b for part in parts]
    keys = np.unique(np.concatenate(part_keys))

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
        a=keys // n_concepts,
        b=keys % n_concepts,
        pair_text=pair_text,
        pair_image=add_pairs([part.pair_image for part in parts]),
        pair_joint=add_pairs([part.pair_joint for part in parts]),
    )


def place_pairs(keys: IntArray, found: IntArray, values: IntArray) -> IntArray:
    """Place the values of some sorted pair keys among all of them; the other pairs get 0."""
    placed = np.zeros(len(keys), np.int64)
    placed[np.searchsorted(keys, found)] = values
    return placed


def _check_column(column: IntArray | None, n_rows: int, top: int | None, what: str) -> None:
    if column is None:
        return
    if column.shape != (n_rows,) or column.dtype != np.int64:
        raise ValueError(
            f"a column of shape {column.shape} and {column.dtype}, needed int64 for {n_rows} {what}"
        )
    if np.any(column < 0) or (top is not None and np.any(column > top)):
        raise ValueError(f"a count of {what} is below 0 or above {top} captions")
