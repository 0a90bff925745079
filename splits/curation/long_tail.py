"""The rarest concepts of a corpus, and the pictures of a set that show one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import stages
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.count_shards import VOCABULARY
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.counts_file import read_counts, read_meta, verify_counts
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.samples import Bad
from oddpair.retrieval.unit_rows import IntArray
from oddpair.retrieval.vocabulary_file import load_vocabulary
from oddpair.retrieval.words import normalise
from oddpair.splits.manifest import as_uids
from oddpair.splits.pool import pool_of_uids

CountKind = Literal["text", "image", "joint"]
ConceptFrom = Literal["column", "folder", "caption"]
_WHERE = {"text": "captions", "image": "images", "joint": "rows, in caption and image,"}
_FILES = ("counts.parquet", "nested.parquet", "pairs.parquet", "meta.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The rarest concepts of a vocabulary.

    Attributes:
        names: Rarest first, of equal counts by name.
        counts: How often each occurs, shape ``(n,)``.
        kind: In what it was counted.
        n_captions: Captions of the corpus.
        n_concepts: Concepts of the vocabulary.
        tied: Concepts as frequent as the last of the tail that are no part of it.
        vocabulary: All concepts.
        of_vocabulary: Place in ``names`` of each concept of the vocabulary, -1 for those of the head.
    """

    names: tuple[str, ...]
    counts: IntArray
    kind: CountKind
    n_captions: int
    n_concepts: int
    tied: int
    vocabulary: Vocabulary
    of_vocabulary: IntArray

    def __len__(self) -> int:
        return len(self.names)

    @property
    def where(self) -> str:
        """In what concepts were counted, in words."""
        return _WHERE[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Pictures of a set that show one concept of the tail.

    Attributes:
        uids: Sorted, each once, length ``n``.
        concepts: Place of each one's concept in the tail, shape ``(n,)``.
        shards: Their uids by shard.
        rules: How many rows there were, and why others are no candidates.
        bad: Damaged rows.
    """

    uids: pa.Array
    concepts: IntArray
    shards: Mapping[str, set[str]]
    rules: tuple[tuple[str, int], ...]
    bad: tuple[Bad, ...] = ()

    def take(self, places: IntArray) -> Candidates:
        """Return some of them."""
        uids = self.uids.take(pa.array(places))
        left = set(uids.to_pylist())
        return Candidates(
            uids=uids,
            concepts=self.concepts[places],
            shards={shard: both for shard, here in self.shards.items() if (both := here & left)},
            rules=self.rules,
            bad=self.bad,
        )


def read_tail(folder: Path, given: Vocabulary | None, *, size: int, kind: CountKind) -> Tail:
    """Read counts, and find the concepts that occur least.

    Args:
        folder: Of ``oddpair count``.
        given: Vocabulary to choose from, part of the one that was counted; ``None`` for all of it.
        size: Concepts of the tail.
        kind: By which counts.

    Raises:
        Refusal: If the counts do not have them, are not finished, or have changed since they were made.
    """
    kept = given is None and (folder / VOCABULARY).is_file()
    verify_counts(folder, (*_FILES, *((VOCABULARY,) if kept else ())))
    counts = read_counts(folder)
    vocabulary = given or _load_counted(folder)
    values = _column_of(counts, kind, folder)
    number = {name: place for place, name in enumerate(counts.names)}
    unknown = [name for name in vocabulary.names if name not in number]
    if unknown:
        raise Refusal(
            f"{folder} does not count {unknown[0]!r} ({len(unknown):,} of {len(vocabulary):,} concepts): count the "
            "corpus with this vocabulary"
        )
    if size >= len(vocabulary):
        raise Refusal(
            f"concepts is {size}: of a vocabulary of {len(vocabulary):,} concepts that leaves no head, ask for fewer"
        )
    own = values[[number[name] for name in vocabulary.names]]
    order = rank_rarest(vocabulary.names, own)
    chosen = order[:size]
    of_vocabulary = np.full(len(vocabulary), -1, np.int64)
    of_vocabulary[chosen] = np.arange(size)
    return Tail(
        names=tuple(vocabulary.names[place] for place in chosen.tolist()),
        counts=own[chosen],
        kind=kind,
        n_captions=counts.n_captions,
        n_concepts=len(vocabulary),
        tied=int((own[order[size:]] == own[chosen[-1]]).sum()),
        vocabulary=vocabulary,
        of_vocabulary=of_vocabulary,
    )


def rank_rarest(names: Sequence[str], counts: IntArray) -> IntArray:
    """Return the places of concepts from the rarest to the most frequent, of equal counts by name.

    >>> rank_rarest(["cat", "emu", "ant"], np.array([9, 0, 0]))
    array([2, 1, 0])
    """
    return np.array(sorted(range(len(names)), key=lambda place: (int(counts[place]), names[place])), np.int64)


def find_candidates(corpus: Corpus, tail: Tail, *, concept_from: ConceptFrom, column: str) -> Candidates:
    """Find the rows that show exactly one concept of the tail.

    Args:
        corpus: The set.
        tail: The concepts.
        concept_from: Where a row's concepts stand: in a column, in the name of its folder, or in its caption, where the
            longest of concepts that overlap counts.
        column: The column, of texts or lists of texts; each is a name or another form of a concept.

    Raises:
        Refusal: If there is no such column, or files lie in no folder.
    """
    concepts: defaultdict[str, set[int]] = defaultdict(set)
    shards: defaultdict[str, set[str]] = defaultdict(set)
    bad: list[Bad] = []
    seen: list[pa.Array] = []
    for uids, shard, found, damaged in _read_concepts(corpus, tail, concept_from, column):
        seen.append(as_uids(uids))
        bad.extend(damaged)
        # Of all other rows, which may be nearly all, nothing but the uid is held.
        for place in (place for place, here in enumerate(found) if here):
            uid = uids[place].as_py()
            concepts[uid].update(found[place])
            shards[shard].add(uid)
    chosen = sorted(uid for uid, here in concepts.items() if len(here) == 1)
    several = sum(len(here) > 1 for here in concepts.values())
    kept = set(chosen)
    rows = sum(map(len, seen))
    distinct = len(pool_of_uids(pa.chunked_array(seen, pa.large_string())))
    return Candidates(
        uids=as_uids(chosen),
        concepts=np.array([next(iter(concepts[uid])) for uid in chosen], np.int64),
        shards={shard: left for shard, here in sorted(shards.items()) if (left := here & kept)},
        rules=(
            ("rows of the set", rows + sum(line.rows for line in bad)),
            ("damaged", sum(line.rows for line in bad)),
            ("with the uid of another row", rows - distinct),
            ("show no concept of the tail", distinct - len(chosen) - several),
            ("show several of them", several),
        ),
        bad=tuple(bad),
    )


def balance(
    concepts: IntArray, n_concepts: int, rng: np.random.Generator, *, least: int, most: int
) -> NDArray[np.bool_]:
    """Draw at most so many rows of each concept, and none of a concept that has too few.

    Args:
        concepts: Concept of each row, in the order of uids, shape ``(n,)``.
        n_concepts: Concepts.
        rng: Source of the draw.
        least: Rows that a concept must have.
        most: Rows that it may keep.

    Returns:
        Which rows are kept, shape ``(n,)``.

    >>> balance(np.array([0, 0, 0, 1]), 2, np.random.default_rng(0), least=2, most=2)
    array([ True, False,  True, False])
    """
    there = np.bincount(concepts, minlength=n_concepts)
    drawn = rng.permutation(len(concepts))
    order = drawn[np.argsort(concepts[drawn], kind="stable")]
    place = np.arange(len(order)) - (np.cumsum(there) - there)[concepts[order]]
    keep = np.zeros(len(concepts), np.bool_)
    keep[order[(place < most) & (there[concepts[order]] >= least)]] = True
    return keep


def recount(corpus: Corpus, vocabulary: Vocabulary) -> IntArray:
    """Count the captions of a corpus that name each concept, as ``oddpair count`` does, in one pass."""
    matcher = Matcher(vocabulary)
    found = np.zeros(len(vocabulary), np.int64)
    columns = ["copies"] if corpus.subset is not None else []
    for batch in corpus.batches(columns):
        here = matcher.find(batch.table["caption"])
        copies = batch.table["copies"].to_numpy() if columns else np.ones(len(here), np.int64)
        found += np.bincount(here.concepts, weights=copies[here.rows], minlength=len(found)).astype(np.int64)
    return found


def can_recount(folder: Path, kind: CountKind) -> bool:
    """Say whether ``recount`` finds concepts by the rules that counts were made by."""
    return kind == "text" and read_meta(folder)["counting"] == {"rules": "mentions", "overlap": "all"}


def counted_corpus(folder: Path) -> str:
    """Return the fingerprint of the corpus that counts were made of, ``""`` where it is not recorded."""
    return str((stages.made_from(folder) or {}).get("corpus", ""))


def _load_counted(folder: Path) -> Vocabulary:
    path = folder / VOCABULARY
    if not path.is_file():
        raise Refusal(f"{folder} has no {VOCABULARY}: give the vocabulary that was counted with --vocabulary")
    return load_vocabulary(path)


def _column_of(counts: Counts, kind: CountKind, folder: Path) -> IntArray:
    values = {"text": counts.text, "image": counts.image, "joint": counts.joint}[kind]
    if values is None:
        raise Refusal(f"{folder} counts captions alone, count_in is {kind!r}: count with tags, or use text")
    return values


def _read_concepts(
    corpus: Corpus, tail: Tail, concept_from: ConceptFrom, column: str
) -> Iterator[tuple[pa.ChunkedArray, str, list[set[int]], tuple[Bad, ...]]]:
    """Yield the uids of some rows, their shard, the tail's concepts that each shows, and what was set aside."""
    matcher = Matcher(tail.vocabulary, "longest")
    known: dict[str, int] = {}
    for place, concept in enumerate(tail.vocabulary.concepts):
        for form in concept.forms:
            known.setdefault(form, int(tail.of_vocabulary[place]))
    # A name outranks what is another concept's further form.
    known |= {name: int(tail.of_vocabulary[place]) for place, name in enumerate(tail.vocabulary.names)}
    heard: dict[str, int] = {}

    def find(text: str) -> int:
        if text not in heard:
            heard[text] = known.get(normalise(text), -1)
        return heard[text]

    for shard in corpus.shards:
        for batch in corpus.scan(shard, [column] if concept_from == "column" else []):
            if concept_from == "caption":
                named = matcher.find(batch.table["caption"])
                places = tail.of_vocabulary[named.concepts].tolist()
                ends = named.ends.tolist()
                found = [set(places[start:stop]) for start, stop in pairwise(ends)]
            else:
                found = [
                    {find(text) for text in texts}
                    for texts in _texts_of(corpus, batch.table, concept_from, column)
                ]
            for here in found:
                here.discard(-1)
            yield batch.table["uid"], shard, found, batch.bad


def _texts_of(
    corpus: Corpus, table: pa.Table, concept_from: ConceptFrom, column: str
) -> Iterator[Sequence[str]]:
    if concept_from == "folder":
        for key in table["key"].to_pylist():
            parts = key.split("/")
            if len(parts) < 2:
                raise Refusal(
                    f"{corpus.root}: {key} lies in no folder of a class: name a column with concept_from=column"
                )
            yield (parts[-2],)
        return
    kind = table[column].type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    inner = kind.value_type if lists else kind
    if not (pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_null(inner)):
        raise Refusal(
            f"{corpus.root}: column {column!r} holds {kind}, needed names of concepts: name another with concept_column"
        )
    for value in table[column].to_pylist():
        yield [text for text in value or () if text] if lists else [value] if value else []
