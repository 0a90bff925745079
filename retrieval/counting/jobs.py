"""Count a corpus of any size: shards are mapped to partial counts, which add up to the same bytes however they fell."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.jobs import reduce_partials
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.count_shards import (
    VOCABULARY,
    CountJob,
    PairFiles,
    count_in_shards,
    posting_lists,
)
from oddpair.retrieval.counting.counts import Counts, most_frequent
from oddpair.retrieval.counting.counts_file import read_counts, read_meta, write_counts
from oddpair.retrieval.counting.mined import count_words_of
from oddpair.retrieval.counting.pair_sums import PairSums, merge_sums
from oddpair.retrieval.counting.partials import (
    RowRecord,
    add_records,
    join_files,
    read_record,
)
from oddpair.retrieval.counting.plan import CountPlan, check_tags
from oddpair.retrieval.counting.pmi import IntArray
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER
from oddpair.retrieval.counting.postings_index import INDEX_FILE, write_index
from oddpair.retrieval.counting.shard_jobs import PARTS, ShardJob, identify_shards, plan_jobs, run_shard_jobs
from oddpair.retrieval.samples import NO_CAPTION, REPEATED, Bad
from oddpair.retrieval.vocabulary_file import load_vocabulary, save_vocabulary

QUARANTINE = "quarantine.jsonl"
SUMMARY = "summary.json"
_MEMBERS = "members.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted in a corpus, and what was left out.

    Attributes:
        counts: The counts.
        vocabulary: The concepts.
        rows: Rows counted, each once.
        quarantined: Rows set aside, by reason.
        lost: Files set aside without anybody knowing how many rows they had.
        counting: How concepts were found, as the finder describes itself.
        tagger: What tagged the images, as far as it is known; ``None`` for tags of others, or none.
    """

    counts: Counts
    vocabulary: Vocabulary
    rows: int
    quarantined: dict[str, int]
    lost: int
    counting: dict[str, Any]
    tagger: dict[str, Any] | None

    @property
    def damaged(self) -> int:
        """Rows set aside because something is wrong with them, and not for want of a caption."""
        return sum(rows for reason, rows in self.quarantined.items() if reason not in (NO_CAPTION, REPEATED))


def count_corpus(
    corpus: Corpus, out: Path, plan: CountPlan, *, workers: int = 1, engine: str | Executor | None = None
) -> Counted:
    """Count concepts and pairs in a corpus's captions and, where it is tagged, its pictures.

    Writes ``counts.parquet``, ``pairs.parquet`` and ``meta.json`` (see ``write_counts``), ``vocabulary.txt``,
    ``quarantine.jsonl`` with a line for everything that was set aside, ``summary.json`` and, on request, posting lists.
    A row counts as often as the corpus holds it and as a subset repeats it. A killed run goes on where it was, to
    the same bytes, which depend on neither workers nor engine nor, posting lists and quarantine aside, on how the
    corpus is cut into shards. What is done already is read.

    Each thread or process takes the memory of its pairs: 200 MB among 10,000 concepts, growing with their square, and
    three times that where images are tagged.

    Args:
        corpus: The corpus; of its captions no more than some batches are in memory.
        out: Folder to write; nobody else may write to it (see ``files.locked``).
        plan: What to count.
        workers: Processes, or threads where there are fewer jobs.
        engine: Where to run instead of here, as for ``run_jobs``.

    Returns:
        The counts.

    Raises:
        Refusal: If an input cannot be used or changes meanwhile, no caption is left, or the folder was made from
            something else.
    """
    vocabulary = plan.vocabulary if isinstance(plan.vocabulary, Vocabulary) else None
    marks, made_from = identify_shards(corpus, threads=workers)
    tags = None if plan.tags is None else plan.tags.open(vocabulary or Vocabulary(concepts=()), made_from)
    if tags is not None:
        check_tags(tags)
    inputs = plan.identify(tags)
    if stages.begin(out, {"corpus": made_from, **inputs}):
        with stages.make(out):
            run = _Run(
                corpus=corpus,
                made_from=made_from,
                out=out,
                plan=plan,
                inputs=inputs,
                shards=plan_jobs(corpus, marks, out, workers=workers, engine=engine),
                workers=workers,
                engine=engine,
            )
            if not run.is_written():
                try:
                    run.write()
                except Refusal:
                    run.take_back()
                    raise
            # Not before: whoever was killed here need not count again.
            shutil.rmtree(run.parts, ignore_errors=True)
    return read_counted(out, vocabulary)


def read_counted(out: Path, vocabulary: Vocabulary | None = None) -> Counted:
    """Read what ``count_corpus`` wrote.

    Args:
        out: Its folder.
        vocabulary: The vocabulary that was counted, for who has it; ``None`` reads it too.

    Raises:
        Refusal: If a file is missing or damaged.
    """
    concepts = load_vocabulary(out / VOCABULARY) if vocabulary is None else vocabulary
    summary, meta = files.read_json(out / SUMMARY), read_meta(out)
    return Counted(
        counts=read_counts(out, concepts),
        vocabulary=concepts,
        rows=summary["rows"],
        quarantined=summary["quarantined"],
        lost=summary["lost"],
        counting=meta["counting"],
        tagger=meta.get("tagger"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run that has something to do: the arguments of ``count_corpus``, what the inputs were as it began, the shards."""

    corpus: Corpus
    made_from: str
    out: Path
    plan: CountPlan
    inputs: dict[str, Any]
    shards: Sequence[ShardJob]
    workers: int
    engine: str | Executor | None

    @property
    def parts(self) -> Path:
        """Where everything lies that is not needed in the end."""
        return self.out / PARTS

    def is_written(self) -> bool:
        """Say whether a run before this one was killed when only its parts were left to remove."""
        names = (
            "counts.parquet",
            "nested.parquet",
            "pairs.parquet",
            "meta.json",
            VOCABULARY,
            QUARANTINE,
            SUMMARY,
        )
        paths = [self.out / name for name in names]
        if self.plan.postings:
            paths.append(self.out / POSTINGS_FOLDER / INDEX_FILE)
            kinds = ("text", "image") if self.plan.tags else ("text",)
            paths += [posting_lists(part, kind) for part in self.shards for kind in kinds]
        return all(path.is_file() for path in paths)

    def take_back(self) -> None:
        """Remove what was begun if no job is finished, so that the folder is free for another try."""
        if not any(any((self.parts / name).glob("*")) for name in ("words", "record", "pairs")):
            self._discard()

    def write(self) -> None:
        """Count, and write everything."""
        # It says that all else is there, which may not stay so.
        (self.out / SUMMARY).unlink(missing_ok=True)
        vocabulary = self._settle_vocabulary()
        record, counts, pairs = self._count(vocabulary)
        n_pairs = write_counts(self.out, counts, made=self._describe(vocabulary), pairs=pairs)
        save_vocabulary(self.out / VOCABULARY, vocabulary)
        join_files(self.out / QUARANTINE, [part.part("quarantine", "jsonl") for part in self.shards])
        if self.plan.postings:
            write_index(self.out, self.made_from, self.corpus.shards, record.rows)
        self._write_summary(record, counts, n_pairs)

    def _settle_vocabulary(self) -> Vocabulary:
        path, wanted = self.parts / VOCABULARY, self.plan.vocabulary
        if isinstance(wanted, Vocabulary):
            save_vocabulary(path, wanted)
            return wanted
        if not path.is_file():
            words = count_words_of(self.shards, workers=self.workers, engine=self.engine)
            with self._discarding():
                if not words:
                    _refuse_empty(self.corpus)
                save_vocabulary(path, wanted.choose(words))
        return load_vocabulary(path)

    def _count(self, vocabulary: Vocabulary) -> tuple[RowRecord, Counts, Iterator[PairSums]]:
        """Count, and give what was counted but for the pairs, which come some at a time."""
        most = self.plan.pair_concepts
        with self._discarding():
            pairs = self._plan_pairs(vocabulary)
        # Which concepts are frequent is known only when all are counted.
        in_one_pass = pairs.among is None or most == 0
        jobs = self._run("count concepts", vocabulary, singles=True, pairs=pairs if in_one_pass else None)
        record = reduce_partials(read_record, [job.record for job in jobs], add_records)
        with self._discarding():
            self._refuse_nothing(record, vocabulary)
        singles = reduce_partials(files.read_array, [job.single_sums for job in jobs], np.add)
        members = most_frequent(singles[0], most)
        if not in_one_pass and members is not None:
            files.write_array(self.parts / _MEMBERS, members)
            jobs = self._run("count pairs", vocabulary, singles=False, pairs=pairs)
        counts = _join(vocabulary, record.captions, singles, members, files.read_array(pairs.nested))
        return record, counts, merge_sums([job.pair_sums for job in jobs])

    def _plan_pairs(self, vocabulary: Vocabulary) -> PairFiles:
        plan = self.plan
        nested = plan.finding.find_nested(vocabulary)
        arrays = {"requested": plan.load_requested(vocabulary, nested), "nested": nested}
        if plan.pair_concepts == 0:
            arrays["members"] = np.zeros(0, np.int64)
        for name, array in arrays.items():
            files.write_array(self.parts / f"{name}.npy", array)
        everything = len(vocabulary) <= plan.pair_concepts
        return PairFiles(
            among=None if everything else self.parts / _MEMBERS,
            requested=self.parts / "requested.npy",
            nested=self.parts / "nested.npy",
        )

    def _run(
        self, title: str, vocabulary: Vocabulary, *, singles: bool, pairs: PairFiles | None
    ) -> list[CountJob]:
        sha256 = vocabulary.sha256
        finding_digest, tags_digest = (files.digest(self.inputs[name]) for name in ("rules", "tags"))
        jobs = [
            CountJob(
                shards=part,
                vocabulary_sha256=sha256,
                finding=self.plan.finding,
                finding_digest=finding_digest,
                tags=self.plan.tags,
                tags_digest=tags_digest,
                corpus=self.made_from,
                pairs=pairs,
                singles=singles,
                postings=singles and self.plan.postings,
            )
            for part in self.shards
        ]
        for job in jobs:
            # A record without the rest: that was lost since, and only a job without a record runs.
            if not job.is_whole:
                job.partial.unlink(missing_ok=True)
        run_shard_jobs(count_in_shards, jobs, title=title, workers=self.workers, engine=self.engine)
        return jobs

    def _refuse_nothing(self, record: RowRecord, vocabulary: Vocabulary) -> None:
        if not record.captions:
            _refuse_empty(self.corpus)
        if self.plan.tags and not record.tagged:
            self.plan.tags.open(vocabulary, self.made_from).refuse_none(sum(record.rows))

    def _describe(self, vocabulary: Vocabulary) -> dict[str, Any]:
        plan = self.plan
        made: dict[str, Any] = {"counting": plan.finding.describe(vocabulary)}
        if not isinstance(plan.vocabulary, Vocabulary):
            made["mined"] = plan.vocabulary.identify()
        if plan.tags is not None:
            tags = plan.tags.open(vocabulary, self.made_from)
            threshold = tags.threshold if math.isfinite(tags.threshold) else None
            made |= {"tagger": tags.tagger, "tag_threshold": threshold}
        return made

    def _write_summary(self, record: RowRecord, counts: Counts, n_pairs: int) -> None:
        kept = sum(record.rows)
        files.write_json(
            self.out / SUMMARY,
            {
                "corpus": self.made_from,
                "layout": self.corpus.layout,
                "captions": record.captions,
                "rows": kept,
                "seen": len(self.corpus),
                "quarantined": record.quarantined,
                "lost": record.lost,
                "outside_subset": len(self.corpus) - kept - sum(record.quarantined.values()),
                "tagged": record.tagged if self.plan.tags else None,
                "named": int(np.count_nonzero(counts.text)),
                "pairs": n_pairs,
            },
        )

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        """Discard everything if the block refuses: to run again would end the same."""
        try:
            yield
        except Refusal:
            self._discard()
            raise

    def _discard(self) -> None:
        for folder in (self.parts, self.out / POSTINGS_FOLDER):
            shutil.rmtree(folder, ignore_errors=True)


def _refuse_empty(corpus: Corpus) -> None:
    """Refuse a corpus that gives no row, and say why it gives none."""
    first: Bad | None = None
    for batch in corpus.batches():
        if batch.table.num_rows:
            return
        first = first or next(iter(batch.bad), None)
    if first is not None:
        raise Refusal(
            f"{corpus.root} gives not one caption (the first of what was set aside: {first.file}: {first.reason}): "
            "check its files"
        )
    raise Refusal(
        f"none of the {len(corpus):,} rows of {corpus.root} is in the subset: check that it is a subset of this corpus"
    )


def _join(
    vocabulary: Vocabulary,
    captions: int,
    singles: IntArray,
    members: IntArray | None,
    nested: IntArray,
) -> Counts:
    is_tagged, nothing = len(singles) == 3, np.zeros(0, np.int64)
    return Counts(
        names=vocabulary.names,
        vocabulary_sha256=vocabulary.sha256,
        n_captions=captions,
        text=singles[0],
        image=singles[1] if is_tagged else None,
        joint=singles[2] if is_tagged else None,
        a=nothing,
        b=nothing,
        pair_text=nothing,
        pair_image=nothing if is_tagged else None,
        pair_joint=nothing if is_tagged else None,
        members=members,
        nested=nested,
    )
