"""Data Selection with Importance Resampling (DSIR) of captions: hashed n-grams, log weights, Gumbel top-k."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair import files, stages
from oddpair.jobs import run_jobs
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.shard_groups import numbered
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.curation.selection import FloatArray
from oddpair.splits.manifest import as_uids, uids_digest
from oddpair.splits.pool import Pool, pool_of_uids

# What NLTK's WordPunctTokenizer cuts, which the authors' package uses: words, and runs of other signs.
_WORDS = re.compile(r"\w+|[^\w\s]+", re.UNICODE | re.MULTILINE | re.DOTALL)
_SMOOTHING = 1e-8
_CAPTIONS_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ngrams:
    """The words and pairs of neighbouring words of some captions, hashed.

    Attributes:
        words: Words of each caption, shape ``(n,)``.
        rows: Caption of each n-gram, shape ``(m,)``.
        buckets: Bucket of each, shape ``(m,)``.
    """

    words: IntArray
    rows: IntArray
    buckets: IntArray


def hash_ngrams(captions: pa.Array | pa.ChunkedArray, buckets: int) -> Ngrams:
    """Hash the words and pairs of neighbouring words of captions: lower case, SHA-256 modulo the buckets.

    Args:
        captions: Text, ``n`` rows.
        buckets: How many there are; 10,000 in the paper.

    Returns:
        The n-grams, each as often as it occurs.

    References:
        Xie et al., "Data Selection for Language Models via Importance Resampling", arXiv:2302.03169; the same buckets as
        ``get_ngram_counts`` of the authors' package data-selection 1.0.3.

    >>> hash_ngrams(pa.array(["A dog's bone", ""]), 10_000).buckets.tolist()
    [3499, 5332, 6297, 5481, 9069, 6545, 9776, 4279, 3419]
    """
    words = [_WORDS.findall(text.lower()) for text in captions.to_pylist()]
    sizes = np.fromiter(map(len, words), np.int64, count=len(words))
    coded = pa.array(list(chain.from_iterable(words)), pa.large_string()).dictionary_encode()
    names = coded.dictionary.to_pylist()
    ids = coded.indices.to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(words)), sizes)
    inside = np.flatnonzero(rows[1:] == rows[:-1])
    pairs, place = np.unique(ids[inside] * len(names) + ids[inside + 1], return_inverse=True)
    firsts, seconds = np.divmod(pairs, max(1, len(names)))
    texts = (
        f"{names[first]} {names[second]}"
        for first, second in zip(firsts.tolist(), seconds.tolist(), strict=True)
    )
    return Ngrams(
        words=sizes,
        rows=np.concatenate([rows, rows[inside]]),
        buckets=np.concatenate([_hash(names, buckets)[ids], _hash(texts, buckets)[place]]),
    )


def log_ratio(target: IntArray, raw: IntArray) -> FloatArray:
    """Return ``ln(p_target + 1e-8) - ln(p_raw + 1e-8)`` of each bucket, from counts of shape ``(buckets,)``.

    A caption's log importance weight is the sum over its n-grams.
    """
    found: FloatArray = np.log(target / target.sum() + _SMOOTHING) - np.log(raw / raw.sum() + _SMOOTHING)
    return found


def kl_divergence(target: IntArray, other: IntArray) -> float:
    """Return how far counts are from a target's, nats: the mean log ratio over the target's n-grams, smoothed alike."""
    return float((target / target.sum() * log_ratio(target, other)).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """The captions of a corpus, weighed.

    Attributes:
        pool: Rows by uid, each once.
        weight: Log importance weight of each, shape ``(n,)``; of several rows with one uid the highest.
        words: Words of that caption, shape ``(n,)``.
        bad: Rows that could not be read.
    """

    pool: Pool
    weight: FloatArray
    words: IntArray
    bad: int


def count_ngrams(
    corpus: Corpus, out: Path, *, buckets: int, only: pa.Array | None = None, workers: int = 1
) -> IntArray:
    """Count the hashed n-grams of a corpus, shard by shard; a killed run goes on.

    Args:
        corpus: Captions, some of which are in memory at a time.
        out: Folder for the counts of each shard.
        buckets: How many there are.
        only: Uids of the rows to count; ``None`` for all.
        workers: Processes.

    Returns:
        Shape ``(buckets,)``.
    """
    chosen = None if only is None else out / "only.parquet"
    jobs = [
        _CountJob(corpus=one, partial=path, only=chosen, buckets=buckets)
        for one, path in _parts(corpus, out, "counts", "npy")
    ]
    made_from = {"corpus": fingerprint(corpus), "buckets": buckets, "only": only and uids_digest(only)}
    if stages.begin(out, made_from):
        with stages.make(out):
            if chosen is not None and only is not None:
                files.write_table(chosen, pa.table({"uid": only.cast(pa.string())}))
            run_jobs(_count, jobs, workers=workers, title="count n-grams", partial=lambda job: job.partial)
    total = np.zeros(buckets, np.int64)
    for job in jobs:
        total += files.read_array(job.partial)
    return total


def weigh_captions(corpus: Corpus, ratio: FloatArray, out: Path, *, workers: int = 1) -> Weighed:
    """Weigh the captions of a corpus, shard by shard; a killed run goes on.

    Args:
        corpus: Captions, some of which are in memory at a time.
        ratio: Of ``log_ratio``, shape ``(buckets,)``.
        out: Folder for the weights of each shard.
        workers: Processes.

    Returns:
        The weights; 64 bytes a row where uids have 32 letters.
    """
    made_from = {"corpus": fingerprint(corpus), "ratio": hashlib.sha256(ratio.tobytes()).hexdigest()}
    jobs = [
        _WeighJob(corpus=one, partial=path, ratio=ratio)
        for one, path in _parts(corpus, out, "weights", "parquet")
    ]
    if stages.begin(out, made_from):
        with stages.make(out):
            run_jobs(_weigh, jobs, workers=workers, title="weigh captions", partial=lambda job: job.partial)
    tables = [files.read_table(job.partial) for job in jobs]
    bad = sum(int(table.schema.metadata[b"bad"]) for table in tables)
    table = pa.concat_tables(part.replace_schema_metadata(None) for part in tables)
    # The highest first, of equal ones the shortest: the first of a uid stands for it.
    by_weight = pc.sort_indices(table, sort_keys=[("weight", "descending"), ("words", "ascending")])
    if pc.count_distinct(table["uid"]).as_py() < len(table):
        table = table.take(by_weight)
    pool = pool_of_uids(table["uid"])
    return Weighed(
        pool=pool,
        weight=table["weight"].to_numpy()[pool.rows],
        words=table["words"].to_numpy()[pool.rows].astype(np.int64),
        bad=bad,
    )


def _hash(texts: Iterable[str], buckets: int) -> IntArray:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return np.array([int.from_bytes(digest, "big") % buckets for digest in digests], np.int64)


def _parts(corpus: Corpus, out: Path, name: str, ending: str) -> list[tuple[Corpus, Path]]:
    n = len(corpus.shards)
    return [
        (corpus.only(shard), numbered(out, name, index, n, ending=ending))
        for index, shard in enumerate(corpus.shards)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _CountJob:
    corpus: Corpus
    partial: Path
    only: Path | None
    buckets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _WeighJob:
    corpus: Corpus
    partial: Path
    ratio: FloatArray


def _count(job: _CountJob) -> None:
    total = np.zeros(job.buckets, np.int64)

    def add(_: pa.Array, found: Ngrams) -> None:
        nonlocal total
        total += np.bincount(found.buckets, minlength=job.buckets)

    _go_through(job.corpus, job.buckets, add, only=None if job.only is None else _read_uids(job.only))
    files.write_array(job.partial, total)


def _weigh(job: _WeighJob) -> None:
    tables = []

    def add(uids: pa.Array, found: Ngrams) -> None:
        weight = np.bincount(found.rows, weights=job.ratio[found.buckets], minlength=len(uids))
        columns = {"uid": uids, "weight": weight, "words": found.words.astype(np.int32)}
        tables.append(pa.table(columns, schema=_WEIGHTS))

    bad = _go_through(job.corpus, len(job.ratio), add)
    table = pa.concat_tables(tables) if tables else _WEIGHTS.empty_table()
    files.write_table(job.partial, table.replace_schema_metadata({"bad": str(bad)}))


_WEIGHTS = pa.schema([("uid", pa.large_string()), ("weight", pa.float64()), ("words", pa.int32())])


def _go_through(
    corpus: Corpus, buckets: int, add: Callable[[pa.Array, Ngrams], None], *, only: pa.Array | None = None
) -> int:
    """Hand over uids and n-grams, some captions at a time; return how many rows were set aside."""
    bad = 0
    for batch in corpus.batches():
        bad += sum(line.rows for line in batch.bad)
        table = batch.table
        if only is not None:
            table = table.filter(pc.is_in(table["uid"].cast(pa.large_string()), value_set=only))
        for start in range(0, table.num_rows, _CAPTIONS_AT_ONCE):
            part = table.slice(start, _CAPTIONS_AT_ONCE)
            add(as_uids(part["uid"]), hash_ngrams(part["caption"], buckets))
    return bad


@functools.lru_cache(maxsize=1)
def _read_uids(path: Path) -> pa.Array:
    return as_uids(files.read_table(path, ["uid"])["uid"])
