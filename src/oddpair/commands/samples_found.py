"""The samples that hold what was asked for: read again from the corpus, and written as a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.commands.read import read_corpus
from oddpair.commands.samples import Answer
from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.counting.postings_query import IntArray
from oddpair.splits.manifest import Manifest

# Corpora of more rows than this may take seconds to look through.
_MANY_ROWS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSample:
    """One row that holds the concepts; ``row`` counts through the corpus."""

    uid: str
    caption: str
    shard: str
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The first rows that hold the concepts and, if all were asked for, the sorted uids of all, each once."""

    shown: tuple[FoundSample, ...]
    uids: tuple[str, ...]

    def rows(self) -> list[dict[str, str]]:
        """Return what is shown as JSON."""
        return [
            {"uid": sample.uid, "caption": sample.caption, "shard": sample.shard} for sample in self.shown
        ]


def require_counted(answer: Answer, path: str, subset: Path | None) -> Corpus:
    """Open the corpus that was counted.

    Raises:
        Refusal: If it is another one, or has changed.
    """
    corpus = read_corpus(path, subset)
    counted = answer.postings.index.corpus
    if fingerprint(corpus) != counted:
        raise Refusal(
            f"{path} is not the corpus that {answer.postings.folder} counts (fingerprint {fingerprint(corpus)[:12]}, "
            f"needed {counted[:12]}): give that corpus, with the same --subset, or count this one"
        )
    return corpus


def find_samples(answer: Answer, corpus: Corpus, *, limit: int, whole: bool) -> Found:
    """Read the samples that hold the concepts; only shards that hold one are read.

    Args:
        answer: What was found.
        corpus: The corpus that was counted.
        limit: Samples to read with their captions, the first in the corpus.
        whole: Whether the uids of all are needed.

    Raises:
        Refusal: If a shard has fewer rows than were counted.
    """
    index = answer.postings.index
    firsts = dict(zip(index.shards, np.cumsum((0, *index.rows)).tolist(), strict=False))
    shown: list[FoundSample] = []
    uids: list[pa.ChunkedArray] = []
    many = track("read samples", answer.count if whole else min(limit, answer.count), "samples")
    with many if answer.n_rows > _MANY_ROWS else nullcontext() as progress:
        for shard, rows in answer.postings.rows(answer.ids, answer.kind):
            wanted = rows if whole else rows[: limit - len(shown)]
            if not len(wanted):
                break
            for numbers, table in _take(corpus, shard, wanted):
                uids.append(table["uid"])
                head = table.slice(0, limit - len(shown))
                shown.extend(
                    FoundSample(uid=uid, caption=caption, shard=shard, row=firsts[shard] + number)
                    for uid, caption, number in zip(
                        head["uid"].to_pylist(), head["caption"].to_pylist(), numbers.tolist(), strict=False
                    )
                )
                if progress:
                    progress.advance(table.num_rows)
    every = pc.unique(pa.chunked_array(uids, pa.string())).sort() if whole else pa.array([], pa.string())
    return Found(shown=tuple(shown), uids=tuple(every.to_pylist()))


def need_places(counts: Path, corpus: Corpus, inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Refuse outputs that would be written over the counts, the corpus, another input or each other.

    Args:
        counts: Folder of the counts.
        corpus: The corpus.
        inputs: Files that are read beside them.
        outputs: Files and folders to write.
    """
    kept = [(counts, "the counts"), *((path, "an input") for path in inputs)]
    if isinstance(corpus.root, Path):
        kept.append((corpus.root, "the corpus"))
    for place, path in enumerate(outputs):
        mine = path.resolve()
        for other, what in kept:
            theirs = other.resolve()
            if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
                raise Refusal(
                    f"{path} and {other}, {what}, are one or lie one in the other: choose a place apart from it"
                )
        for other in outputs[:place]:
            theirs = other.resolve()
            if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
                raise Refusal(f"{path} and {other} are one or lie one in the other: choose places apart")


def make_split(folder: Path, answer: Answer, uids: Sequence[str]) -> Manifest:
    """Make a split of the samples that hold the concepts, named after its folder.

    Raises:
        Refusal: If there is none, or the folder's name cannot name a split.
    """
    try:
        return Manifest(
            name=folder.resolve().name,
            recipe="samples",
            uids=tuple(uids),
            parameters={"concepts": [concept.name for concept in answer.concepts], "in": answer.kind},
            provenance={
                "corpus": answer.postings.index.corpus,
                "found": list(answer.labels),
                "vocabulary_sha256": answer.vocabulary_sha256,
            },
            card=(
                ("concepts", answer.title),
                ("where", answer.place),
                ("rows that hold all", answer.count),
                ("rows of the corpus", answer.n_rows),
            ),
        )
    except ValueError as error:
        raise Refusal(f"--split {folder}: {error}") from error


def _take(corpus: Corpus, shard: str, rows: IntArray) -> Iterator[tuple[IntArray, pa.Table]]:
    """Read some rows of a shard by their ascending numbers among those that ``scan`` keeps."""
    first = done = 0
    for batch in corpus.scan(shard):
        end = int(np.searchsorted(rows, first + batch.table.num_rows))
        if end > done:
            yield rows[done:end], batch.table.take(pa.array(rows[done:end] - first))
        first, done = first + batch.table.num_rows, end
        if done == len(rows):
            return
    raise Refusal(
        f"shard {shard} of {corpus.root} has {first:,} rows, row {int(rows[-1])} was counted: it has changed, count again"
    )
