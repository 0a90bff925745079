"""One job of the count: the concepts, pairs and posting lists of some shards, found by threads that share them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.pair_counter import PairCounter
from oddpair.retrieval.counting.pair_sums import join_kinds, write_sums
from oddpair.retrieval.counting.partials import RowRecord, write_record
from oddpair.retrieval.counting.plan import TagFile
from oddpair.retrieval.counting.pmi import IntArray
from oddpair.retrieval.counting.postings import PostingsBuilder, write_postings
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER, file_name
from oddpair.retrieval.counting.rows import Rows, repeat_rows, share_rows
from oddpair.retrieval.counting.shard_jobs import PARTS, ShardJob
from oddpair.retrieval.counting.tags import Tags
from oddpair.retrieval.embed_layout import quarantine_line
from oddpair.retrieval.mentions.incidence import intersect
from oddpair.retrieval.mentions.matcher import Finder
from oddpair.retrieval.samples import Bad
from oddpair.retrieval.vocabulary_file import load_vocabulary

VOCABULARY = "vocabulary.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountJob:
    """What to count in some shards.

    Attributes:
        shards: The shards.
        vocabulary_sha256: Digest of the vocabulary, which lies in the folder of parts.
        finding: How concepts are found.
        finding_digest: Digest of what ``finding.identify`` said when the run began.
        tags: Image tags; ``None`` counts captions alone.
        tags_digest: Digest of what ``Tags.identity`` said when the run began.
        corpus: Fingerprint of the whole corpus.
        pairs: Which pairs to count, if any, in this pass over the corpus.
        singles: Whether to count concepts, and to record rows and what is set aside.
        postings: Whether to write posting lists.
    """

    shards: ShardJob
    vocabulary_sha256: str
    finding: Finding
    finding_digest: str
    tags: TagFile | None
    tags_digest: str
    corpus: str
    pairs: PairFiles | None
    singles: bool
    postings: bool

    @property
    def partial(self) -> Path:
        """The file that is written last: with it the job is complete."""
        return self.record if self.singles else self.pair_sums

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing of what the job writes."""
        files_of = [self.partial]
        if self.singles:
            files_of += [self.single_sums, self.quarantine]
        if self.pairs:
            files_of.append(self.pair_sums)
        if self.postings:
            kinds = ("text", "image") if self.tags else ("text",)
            files_of += [posting_lists(self.shards, kind) for kind in kinds]
        return all(path.is_file() for path in files_of)

    @property
    def record(self) -> Path:
        """What became of the rows."""
        return self.shards.part("record", "json")

    @property
    def single_sums(self) -> Path:
        """How often each concept occurs."""
        return self.shards.part("singles", "npy")

    @property
    def pair_sums(self) -> Path:
        """How often pairs occur."""
        return self.shards.part("pairs", "parquet")

    @property
    def quarantine(self) -> Path:
        """What was set aside."""
        return self.shards.part("quarantine", "jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFiles:
    """Which pairs are counted; as files, for there may be millions.

    Attributes:
        among: Array of the concepts among which all pairs are counted; ``None`` for all concepts.
        requested: Array of further pairs.
        nested: Array of the keys of pairs that are none.
    """

    among: Path | None
    requested: Path
    nested: Path

    def make_counter(self, n_concepts: int) -> PairCounter:
        """Make a counter that has counted nothing."""
        return PairCounter(
            n_concepts,
            among=None if self.among is None else files.read_array(self.among),
            requested=files.read_array(self.requested),
            nested=files.read_array(self.nested),
        )


def posting_lists(shards: ShardJob, kind: str) -> Path:
    """Return where it lies which rows of some shards hold each concept, in captions or in images."""
    return shards.out / POSTINGS_FOLDER / file_name(kind, shards.first_shard, shards.n_shards)


def count_in_shards(job: CountJob) -> int:
    """Count what some shards hold, and write it.

    Args:
        job: What to count where.

    Returns:
        Rows set aside.

    Raises:
        Refusal: If the corpus, the vocabulary, a file of the rules or the tags have changed since the run began.
    """
    shards = job.shards
    finder, tags, n_concepts = _prepare(
        shards.out / PARTS,
        job.vocabulary_sha256,
        job.finding,
        job.finding_digest,
        job.tags,
        job.tags_digest,
        job.corpus,
    )
    sums = [_Sums(job, finder, tags, n_concepts) for _ in range(shards.threads)]
    with _quarantine(job.quarantine if job.singles else None) as set_aside:
        reader = shards.open_rows(named=tags is not None, set_aside=set_aside)
        share_rows(reader, [part.add for part in sums])
    shards.require_unchanged()
    total = sums[0]
    for part in sums[1:]:
        total.merge(part)
    total.write()
    if job.singles:
        record = RowRecord(
            captions=total.captions,
            rows=tuple(reader.kept),
            quarantined=dict(reader.quarantined),
            lost=reader.lost,
            tagged=total.tagged,
        )
        write_record(job.record, record)
    return reader.quarantined.total()


class _Sums:
    """What one thread has counted."""

    def __init__(self, job: CountJob, finder: Finder, tags: Tags | None, n_concepts: int) -> None:
        kinds = 1 if tags is None else 3
        self.captions = self.tagged = 0
        self._job = job
        self._finder = finder
        self._tags = tags
        self._n_concepts = n_concepts
        self._singles: IntArray = np.zeros((kinds, n_concepts), np.int64)
        self._pairs = [job.pairs.make_counter(n_concepts) for _ in range(kinds)] if job.pairs else []
        self._postings = [PostingsBuilder(n_concepts) for _ in range(min(kinds, 2)) if job.postings]

    def add(self, rows: Rows) -> None:
        """Count the concepts of some rows."""
        found = [self._finder.find(rows.table["caption"])]
        if self._tags is not None:
            found.append(self._tags.of(rows.shard, rows.table["uid"]))
            self.tagged += int(np.count_nonzero(np.diff(found[1].ends)))
        for builder, part in zip(self._postings, found, strict=False):
            builder.add(part, first_row=rows.first)
        if self._tags is not None:
            found.append(intersect(found[0], found[1]))
        if rows.copies is not None:
            # What a model saw k times counts k times.
            found = [repeat_rows(part, rows.copies) for part in found]
        self.captions += len(found[0])
        for singles, part in zip(self._singles, found, strict=True):
            singles += np.bincount(part.concepts, minlength=self._n_concepts)
        for counter, part in zip(self._pairs, found, strict=False):
            counter.add(part)

    def merge(self, other: _Sums) -> None:
        """Add what another thread has counted."""
        self.captions += other.captions
        self.tagged += other.tagged
        self._singles += other._singles
        for mine, theirs in zip(self._pairs, other._pairs, strict=True):
            mine.merge(theirs)
        for builder, more in zip(self._postings, other._postings, strict=True):
            builder.merge(more)

    def write(self) -> None:
        """Write everything but the record of the rows."""
        job = self._job
        if job.singles:
            files.write_array(job.single_sums, self._singles)
        if self._postings:
            text, *image = self._postings
            shards = job.shards
            write_postings(shards.out, shards.first_shard, shards.n_shards, text, image[0] if image else None)
        if self._pairs:
            blocks = zip(*(counter.blocks() for counter in self._pairs), strict=True)
            write_sums(job.pair_sums, map(join_kinds, blocks), n_kinds=len(self._pairs))


@contextmanager
def _quarantine(path: Path | None) -> Iterator[Callable[[Bad], None] | None]:
    if path is None:
        yield None
        return
    with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8") as lines:

        def set_aside(bad: Bad) -> None:
            lines.write(f"{quarantine_line(bad)}\n")

        yield set_aside


# Jobs of one worker find the same concepts. The digests are of what the files hold: paths alone do not tell a file that
# was rewritten between two counts of one process.
@functools.lru_cache(maxsize=1)
def _prepare(
    parts: Path,
    sha256: str,
    finding: Finding,
    finding_digest: str,
    tags: TagFile | None,
    tags_digest: str,
    corpus: str,
) -> tuple[Finder, Tags | None, int]:
    vocabulary = load_vocabulary(parts / VOCABULARY)
    if vocabulary.sha256 != sha256:
        raise Refusal(
            f"{parts / VOCABULARY} is not what the run began with: see that all machines see the same folder, then "
            "run again"
        )
    finder = finding.make_finder(vocabulary)
    # After they were read: whoever rewrites them meanwhile is noticed.
    if files.digest(finding.identify()) != finding_digest:
        changed = " or ".join(str(path) for path in (finding.lemmas, finding.stop_words) if path)
        raise _changed(changed, parts.parent)
    if tags is None:
        return finder, None, len(vocabulary)
    opened = tags.open(vocabulary, corpus)
    if files.digest(opened.identity()) != tags_digest:
        raise _changed(str(tags.path), parts.parent)
    return finder, opened, len(vocabulary)


def _changed(what: str, out: Path) -> Refusal:
    return Refusal(f"{what} changed while it was counted: delete {out} and run again")
