"""A vocabulary of the words of a whole corpus: shards are mapped to word counts, which add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from oddpair import files
from oddpair.jobs import reduce_partials
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.rows import Rows, share_rows
from oddpair.retrieval.counting.shard_jobs import ShardJob, run_shard_jobs
from oddpair.retrieval.mining import count_words, mine_vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedWords:
    """Which words of the captions become concepts; see ``mine_vocabulary``.

    Attributes:
        minimum: Fewest captions that use a word.
        most: Most concepts, the most frequent; ``None`` for all.
        nouns: File of the words to choose from; ``None`` for all.
        stop_words: File of the words to leave out; ``None`` for the usual ones.
    """

    minimum: int
    most: int | None = None
    nouns: Path | None = None
    stop_words: Path | None = None

    def identify(self) -> dict[str, Any]:
        """Return what the vocabulary depends on, beside the captions."""
        return {
            "minimum": self.minimum,
            "most": self.most,
            "nouns": self.nouns and files.sha256(self.nouns),
            "stop_words": self.stop_words and files.sha256(self.stop_words),
        }

    def choose(self, number: Mapping[str, int]) -> Vocabulary:
        """Choose the concepts by how many captions use each word.

        Raises:
            Refusal: If fewer than two words are left, or a file of words cannot be used.
        """
        return mine_vocabulary(
            number, self.minimum, most=self.most, nouns=self.nouns, stop_words=self.stop_words
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WordJob:
    """The words of some shards to count."""

    shards: ShardJob

    @property
    def partial(self) -> Path:
        """The words, and how many captions use each."""
        return self.shards.part("words", "parquet")


def count_words_of(
    shards: Sequence[ShardJob], *, workers: int, engine: str | Executor | None
) -> Counter[str]:
    """Count in how many captions of a corpus each word occurs; every distinct word is held in memory.

    Args:
        shards: The corpus.
        workers: As for ``run_shard_jobs``.
        engine: Likewise.

    Returns:
        What ``count_words`` returns, of all captions, each as often as a subset repeats it.
    """
    jobs = [WordJob(shards=part) for part in shards]
    paths = run_shard_jobs(count_words_in_shards, jobs, title="count words", workers=workers, engine=engine)
    return reduce_partials(_read_words, paths, _add_words)


def count_words_in_shards(job: WordJob) -> int:
    """Count in how many captions of some shards each word occurs, and write it.

    Returns:
        Rows set aside.
    """
    number: Counter[str] = Counter()

    def add(rows: Rows) -> None:
        number.update(count_words(rows.table["caption"], rows.copies))

    reader = job.shards.open_rows(named=False)
    # Splitting captions into words is Python's work, which threads would only take turns at.
    share_rows(reader, [add])
    job.shards.require_unchanged()
    words = sorted(number)
    files.write_table(
        job.partial,
        pa.table(
            {
                "word": pa.array(words, pa.large_string()),
                "captions": pa.array([number[word] for word in words], pa.int64()),
            }
        ),
    )
    return reader.quarantined.total()


def _read_words(path: Path) -> Counter[str]:
    table = files.read_table(path, ["word", "captions"])
    return Counter(dict(zip(table["word"].to_pylist(), table["captions"].to_pylist(), strict=True)))


def _add_words(first: Counter[str], second: Counter[str]) -> Counter[str]:
    first.update(second)
    return first
