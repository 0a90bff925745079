"""What an audit is asked for, and what its parts stand on: opened inputs, one search, and where to leave what they find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oddpair.errors import Refusal
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.similar.search import Searched


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Settings of an audit, checked once.

    Attributes:
        style: Of the test set; ``None`` to find out.
        style_column: Column of the corpus, and of the test set, with styles as people wrote them; an empty value is none.
        natural: Labels that mean natural.
        ambiguous: Labels that mean neither; every other label means rendition.
        labelled: Labelled corpus rows that may be looked at, at random; ``None`` for all.
        precision: Of the style classifiers, to be certified.
        similarity: Cosine similarity above which two pictures are near-duplicates; ``None``: nearness makes none, as models do
            not agree on it.
        bits: Bits of 64 in which perceptual hashes of one picture may differ.
        every_picture: Whether test images are compared with all pictures of the corpus, beyond the nearest of each.
        tail: A concept in fewer captions is of the tail; an object in fewer is too rare for its pairs to be unseen.
        content_column: Column with the names of what an image shows.
        model: Model of the table of accuracies to predict for; ``None`` where it has one.
        seed: Of every random choice.
    """

    style: Literal["natural", "rendition"] | None = None
    style_column: str = "style"
    natural: tuple[str, ...] = ("natural", "photo")
    ambiguous: tuple[str, ...] = ("ambiguous",)
    labelled: int | None = None
    precision: float = 0.98
    similarity: float | None = None
    bits: int = 4
    every_picture: bool = False
    tail: int = 10
    content_column: str = "concepts"
    model: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not 0 < self.precision < 1:
            raise Refusal(f"--precision is {self.precision}: it must lie between 0 and 1")
        if self.similarity is not None and not -1 <= self.similarity < 1:
            raise Refusal(f"--duplicates is {self.similarity:g}: it must lie from -1 to below 1")
        if not 0 <= self.bits <= 64:
            raise Refusal(f"--bits is {self.bits}: it must lie between 0 and 64")
        if self.tail < 1:
            raise Refusal(f"--tail is {self.tail}: it must be 1 or more")
        if self.labelled is not None and self.labelled < 1:
            raise Refusal(f"--labelled is {self.labelled}: it must be 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What every part of an audit is given.

    Attributes:
        asked: Settings.
        inputs: The corpus, the one test set in ``tests``, the reference set, labels, tags, counts and vocabulary.
        name: Of the test set, its key in ``inputs.tests``.
        searched: The one search: ``found[name]`` is its folder, ``near[name]`` what it says of each corpus row.
        table: Table of accuracies to predict from; ``None`` where none was given.
        work: Folder for what a killed run goes on from; each part has one of its own in it.
    """

    asked: Asked
    inputs: Inputs
    name: str
    searched: Searched
    table: Path | None
    work: Path

    @property
    def corpus(self) -> Pictures:
        """The corpus."""
        return self.inputs.need_corpus()

    @property
    def test(self) -> Pictures:
        """The test set."""
        return self.inputs.tests[self.name]
