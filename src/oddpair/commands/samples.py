"""What ``oddpair samples`` asks of posting lists: in how many rows concepts occur, together and each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oddpair.commands.counted import label_rules, label_tagger
from oddpair.errors import Refusal
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.concepts import Concept
from oddpair.retrieval.counting.counts_file import need_names, read_meta, read_nested, verify_counts
from oddpair.retrieval.counting.pair_counter import nested_keys
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER
from oddpair.retrieval.counting.postings_index import INDEX_FILE
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
        nested: Whether two are mentioned together by construction, by the rules of the count, so that they cannot be
            independent.
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
            lines.append(
                "    no expected number: two of these concepts are mentioned together by construction"
            )
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
        Refusal: If the count was not finished or has no posting lists, a name is no concept's or could be
            several's, or a file that is read has changed since it was counted.
    """
    # Pairs may be of many GB, and nothing is read of them.
    verify_counts(folder, ("counts.parquet", "nested.parquet", "meta.json", "vocabulary.txt"))
    postings = open_postings(folder)
    verify_counts(folder, [f"{POSTINGS_FOLDER}/{INDEX_FILE}", *postings.files(kind)])
    vocabulary = load_vocabulary(folder / "vocabulary.txt")
    meta = read_meta(folder)
    if (vocabulary.sha256, len(vocabulary)) != (meta["vocabulary_sha256"], postings.index.n_concepts):
        raise Refusal(
            f"{folder / 'vocabulary.txt'} is not the vocabulary that was counted: put that one back, or count again "
            "into another folder"
        )
    need_names(folder, vocabulary)
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
        nested=_has_nested(ids, read_nested(folder, len(vocabulary)), len(vocabulary)),
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


def _has_nested(ids: Sequence[int], nested: IntArray, n_concepts: int) -> bool:
    keys = nested_keys(list(itertools.combinations(sorted(ids), 2)), n_concepts)
    return bool(np.isin(keys, nested).any())


def _labels(meta: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    told = (
        label_rules(meta["counting"]) if kind != "image" else None,
        label_tagger(meta.get("tagger")) if kind != "text" else None,
    )
    yield from (label for label in told if label is not None)
