"""What to count in a corpus, as plain data, and what the counts therefore depend on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.finding import Finding
from oddpair.retrieval.counting.mined import MinedWords
from oddpair.retrieval.counting.pair_file import load_pairs
from oddpair.retrieval.counting.pair_plan import MOST_AMONG
from oddpair.retrieval.counting.pmi import IntArray
from oddpair.retrieval.counting.tags import Tags, open_tags
from oddpair.retrieval.counting.tags_file import ConceptNames, stream_tags

# Their pairs take 200 MB in each thread or process, and three times that with tags.
PAIR_CONCEPTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFile:
    """Image tags to count beside the captions: where they are, and the score above which a tag holds.

    ``None`` is the usual threshold of ``open_tags``.
    """

    path: Path
    threshold: float | None = None

    def open(self, vocabulary: Vocabulary, corpus: str | None = None) -> Tags:
        """Open the tags of the pictures of a corpus with this fingerprint; see ``open_tags``."""
        return open_tags(self.path, vocabulary, threshold=self.threshold, corpus=corpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountPlan:
    """What to count in a corpus.

    Attributes:
        vocabulary: The concepts, or which words of the captions become concepts.
        finding: How concepts are found in captions.
        tags: Image tags; ``None`` counts captions alone.
        pair_concepts: All pairs are counted among so many concepts, those that most captions mention. The pairs of
            10,000 concepts take 200 MB in each thread or process, three times that with tags.
        pairs: File of further pairs to count, see ``load_pairs``; ``None`` for none.
        postings: Whether to write which rows hold each concept.
    """

    vocabulary: Vocabulary | MinedWords
    finding: Finding = Finding()  # noqa: RUF009  it is frozen
    tags: TagFile | None = None
    pair_concepts: int = PAIR_CONCEPTS
    pairs: Path | None = None
    postings: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.pair_concepts <= MOST_AMONG:
            raise Refusal(
                f"--pair-concepts is {self.pair_concepts:,}, needed 0 to {MOST_AMONG:,}: list further pairs in a file "
                "and give it as --pairs"
            )

    def identify(self, tags: Tags | None) -> dict[str, Any]:
        """Return what the counts depend on, beside the corpus."""
        wanted = self.vocabulary
        return {
            "vocabulary": wanted.sha256 if isinstance(wanted, Vocabulary) else wanted.identify(),
            "rules": self.finding.identify(),
            "tags": tags and tags.identity(),
            "pairs": {"concepts": self.pair_concepts, "requested": self.pairs and files.sha256(self.pairs)},
            "postings": self.postings,
        }

    def load_requested(self, vocabulary: Vocabulary, nested: IntArray) -> IntArray:
        """Load the pairs that are counted whatever their frequency.

        Args:
            vocabulary: The concepts.
            nested: Keys of pairs that are none.

        Returns:
            Ids ``a < b``, sorted, shape ``(n, 2)``.

        Raises:
            Refusal: If the file cannot be used, or by the rules of this count a pair is none.
        """
        if self.pairs is None:
            return np.zeros((0, 2), np.int64)
        requested = load_pairs(self.pairs, vocabulary)
        wrong = requested[np.isin(requested[:, 0] * len(vocabulary) + requested[:, 1], nested)]
        if len(wrong):
            a, b = (vocabulary.names[number] for number in wrong[0])
            raise Refusal(
                f"{self.pairs}: by the rules {self.finding.rules!r} captions that mention {a!r} or {b!r} mention both, so "
                "they are no pair: leave it out"
            )
        return requested


def check_tags(tags: Tags) -> None:
    """Refuse a file of tags that cannot be read, before anything is made of it; folders are looked at later."""
    if tags.path.is_file():
        next(stream_tags(tags.path, ConceptNames(Vocabulary(concepts=())), tags.threshold), None)
