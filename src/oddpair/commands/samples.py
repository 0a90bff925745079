"""What ``oddpair samples`` asks of posting lists: in how many rows concepts occur, together and each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oddpair.errors import Refusal
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.concepts import Concept, Vocabulary, nested_pairs
from oddpair.retrieval.counting.counts_file import read_meta
from oddpair.retrieval.counting.postings_query import IntArray, Kind, Postings, open_postings
from oddpair.retrieval.vocabulary_file import load_vocabulary

_WHERE: dict[str, str] = {"text": "the caption", "image": "the image's tags", "joint": "caption and tags"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """In how many rows some concepts occur, together and each; a row counts once, however often a subset repeats it.

    Attributes:
        postings: What was asked.
        ids: Ids of the concepts, each once.
        concepts: The concepts.
        kind: Where they have to be.
        count: Rows that hold all of them.
        each: Rows that hold each, shape ``(n_concepts,)``.
        nested: Whether a form of one holds a form of another, so that they cannot be independent.
        vocabulary_sha256: Digest of the vocabulary.
        labels: What a reader must know of how concepts were found: a paper's rules, the tagger.
    """

    postings: Postings
    ids: tuple[int, ...]
    concepts: tuple[Concept, ...]
    kind: Kind
    count: int
    each: IntArray
    nested: bool
    vocabulary_sha256: str
    labels: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Rows of the corpus."""
        return self.postings.n_rows

    @property
    def share(self) -> float:
        """Share of the rows that hold all concepts; 0 of no rows."""
        return self.count / max(1, self.n_rows)

    @property
    def expected(self) -> float | None:
        """Rows that would hold all if the concepts were independent; ``None`` for one, or where they are nested."""
        if len(self.ids) == 1 or self.nested or not self.n_rows:
            return None
        return float(self.n_rows * np.prod(self.each / self.n_rows))

    @property
    def title(self) -> str:
        """The concepts, as a heading."""
        return " + ".join(concept.name for concept in self.concepts)

    @property
    def place(self) -> str:
        """Where they have to be, in words."""
        return _WHERE[self.kind]

    def lines(self) -> list[str]:
        """Say the numbers in a few lines."""
        lines = [f"{self.title}: in {self.place} of {self.count:,} of {self.n_rows:,} rows, {self.share:.4%}"]
        if len(self.ids) > 1:
            lines += [
                f"    {concept.name}: {count:,}"
                for concept, count in zip(self.concepts, self.each.tolist(), strict=True)
            ]
        if self.nested:
            lines.append("    no expected number: one of these concepts is written with another's words")
        elif self.expected is not None:
            times = f", {self.count / self.expected:.3g} times as many were found" if self.expected else ""
            lines.append(f"    expected if they were independent: {self.expected:,.4g}{times}")
        return [*lines, *(f"    {label}" for label in self.labels)]


def ask(folder: Path, names: Sequence[str], kind: Kind) -> Answer:
    """Count the rows that hold all of some concepts.

    Args:
        folder: Folder of counts, with posting lists.
        names: Spellings of the concepts.
        kind: Where they have to be.

    Raises:
        Refusal: If the folder has no posting lists, a name is no concept's or could be several's, or a
            file is damaged.
    """
    postings = open_postings(folder)
    vocabulary = load_vocabulary(folder / "vocabulary.txt")
    meta = read_meta(folder)
    if (vocabulary.sha256, len(vocabulary)) != (meta["vocabulary_sha256"], postings.index.n_concepts):
        raise Refusal(
            f"{folder / 'vocabulary.txt'} is not the vocabulary that was counted: put that one back, or count again "
            "into another folder"
        )
    known = ConceptNames(vocabulary)
    ids = tuple(dict.fromkeys(known.find(name) for name in names))
    concepts = tuple(vocabulary.concepts[number] for number in ids)
    return Answer(
        postings=postings,
        ids=ids,
        concepts=concepts,
        kind=kind,
        count=postings.count(ids, kind),
        each=postings.count_each(ids, kind),
        nested=bool(nested_pairs(Vocabulary(concepts=concepts))),
        vocabulary_sha256=vocabulary.sha256,
        labels=tuple(_labels(meta, kind)),
    )


def describe(answer: Answer) -> dict[str, Any]:
    """Return the numbers as JSON."""
    names = [concept.name for concept in answer.concepts]
    return {
        "concepts": names,
        "in": answer.kind,
        "count": answer.count,
        "rows": answer.n_rows,
        "share": answer.share,
        "each": dict(zip(names, answer.each.tolist(), strict=True)),
        "nested": answer.nested,
        "expected": answer.expected,
        "labels": list(answer.labels),
    }


def _labels(meta: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    counting, tagger = meta.get("counting"), meta.get("tagger")
    if isinstance(counting, dict) and counting.get("rules") != "mentions" and kind != "image":
        told = [str(counting[name]) for name in ("rules", "paper", "check") if name in counting]
        yield f"captions by the rules of {', '.join(told)}"
    if tagger is not None and kind != "text":
        yield f"tags by {json.dumps(tagger, sort_keys=True)}"
