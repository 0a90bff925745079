"""The counts that PMI is computed from: read from a finished folder, or counted again in the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Concept, Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.count_shards import VOCABULARY
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.counts_file import read_counts, read_meta, verify_counts
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan
from oddpair.retrieval.vocabulary_file import load_vocabulary
from oddpair.splits.inputs import Inputs

_FILES = ("counts.parquet", "pairs.parquet", "nested.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCounts:
    """Counts of a corpus with what is needed to make them again.

    Attributes:
        folder: Where they lie.
        counts: The counts.
        vocabulary: The concepts; without further forms where nobody kept them.
        counting: How concepts were found, as ``meta.json`` says.
        corpus: Fingerprint of the corpus that was counted, ``""`` if it is not recorded.
        complete: Whether the forms of the concepts are known, without which nothing can be counted again.
    """

    folder: Path
    counts: Counts
    vocabulary: Vocabulary
    counting: dict[str, Any]
    corpus: str
    complete: bool


def open_counts(inputs: Inputs) -> OpenCounts:
    """Open the counts that a recipe was given, after comparing each file with the record of the count.

    Raises:
        Refusal: If they are not finished, damaged or changed, or of another vocabulary than the one given.
    """
    folder = inputs.counts
    if folder is None:
        raise ValueError("opened without counts")
    verify_counts(folder, _FILES)
    vocabulary = inputs.vocabulary
    if vocabulary is None and (folder / VOCABULARY).is_file():
        vocabulary = load_vocabulary(folder / VOCABULARY)
    counts = read_counts(folder, vocabulary)
    return OpenCounts(
        folder=folder,
        counts=counts,
        vocabulary=vocabulary
        or Vocabulary(concepts=tuple(Concept(name=name, forms=(name,)) for name in counts.names)),
        counting=read_meta(folder)["counting"],
        corpus=str(files.read_json(folder / "inputs.json").get("corpus", "")),
        complete=vocabulary is not None,
    )


def need_countable(opened: OpenCounts) -> None:
    """Refuse counts that cannot be made again from the corpus and what their folder holds."""
    if opened.counting.get("rules") != "mentions":
        raise Refusal(
            f"{opened.folder} was counted by the rules {opened.counting.get('rules')!r}, by which a corpus is not counted "
            "again: leave --corpus out"
        )
    if not opened.complete:
        raise Refusal(f"{opened.folder} holds no {VOCABULARY}: give --vocabulary, or leave --corpus out")


def recount(
    opened: OpenCounts, corpus: Corpus, pairs: Sequence[tuple[int, int]], work: Path, *, workers: int
) -> Counts:
    """Count all concepts and some pairs of them in the captions of a corpus, in one pass.

    Args:
        opened: Whose concepts and rules.
        corpus: The corpus.
        pairs: Ids of the pairs, at least one.
        work: Folder to count in.
        workers: Processes.

    Returns:
        Counts of all concepts, which list these pairs alone.
    """
    need_countable(opened)
    names = opened.counts.names
    lines = (f"{names[a]}\t{names[b]}\n" for a, b in pairs)
    asked = work / "pairs.tsv.txt"
    files.write_text(asked, "".join(lines))
    plan = CountPlan(
        vocabulary=opened.vocabulary,
        finding=Finding(overlap=opened.counting["overlap"]),
        pair_concepts=0,
        pairs=asked,
    )
    return count_corpus(corpus, work / "recount", plan, workers=workers).counts
