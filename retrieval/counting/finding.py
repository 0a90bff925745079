"""How concepts are found in captions: by the rule of this suite, or as two papers found them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary, nested_pairs
from oddpair.retrieval.counting.compatibility import UnigramFinder, WordFinder
from oddpair.retrieval.counting.lemmas import load_lemmas, load_stop_words
from oddpair.retrieval.counting.pair_counter import nested_keys
from oddpair.retrieval.counting.pmi import IntArray
from oddpair.retrieval.mentions.matcher import Finder, Matcher, Overlap

Rules = Literal["mentions", "unigrams", "words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Which rules find concepts in captions, with the files that belong to them.

    Attributes:
        rules: ``mentions``, the rule of this suite; ``unigrams`` and ``words`` are those of arXiv:2404.04125 and
            arXiv:2507.08000.
        overlap: What counts where forms overlap, for ``mentions``.
        lemmas: File of lemmas, for the papers' rules.
        stop_words: File of stop words, likewise.
    """

    rules: Rules = "mentions"
    overlap: Overlap = "all"
    lemmas: Path | None = None
    stop_words: Path | None = None

    def __post_init__(self) -> None:
        if self.rules == "mentions" and (self.lemmas or self.stop_words):
            raise Refusal("--lemmas and --stop-words belong to --rules unigrams or words: leave them out")
        if self.rules != "mentions" and self.overlap != "all":
            raise Refusal(f"--overlap {self.overlap} belongs to --rules mentions: leave it out")

    def identify(self) -> dict[str, Any]:
        """Return what the mentions depend on, beside captions and vocabulary."""
        return {
            "kind": self.rules,
            "overlap": self.overlap,
            "lemmas": self.lemmas and files.sha256(self.lemmas),
            "stop_words": self.stop_words and files.sha256(self.stop_words),
        }

    def make_finder(self, vocabulary: Vocabulary) -> Finder:
        """Make what finds the concepts."""
        if self.rules == "mentions":
            return Matcher(vocabulary, self.overlap)
        return self._make_of_paper(vocabulary)

    def find_nested(self, vocabulary: Vocabulary) -> IntArray:
        """Find the pairs whose concepts are mentioned together by construction, as the keys of ``nested_keys``."""
        if self.rules == "mentions":
            return nested_keys(nested_pairs(vocabulary), len(vocabulary))
        return nested_keys(self._make_of_paper(vocabulary).nested_pairs(), len(vocabulary))

    def describe(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """Say how concepts are found, for ``write_counts``."""
        if self.rules == "mentions":
            return {"rules": "mentions", "overlap": self.overlap}
        return dict(self._make_of_paper(vocabulary).describe())

    def _make_of_paper(self, vocabulary: Vocabulary) -> UnigramFinder | WordFinder:
        lemmas = load_lemmas(self.lemmas) if self.lemmas else None
        stop_words = load_stop_words(self.stop_words) if self.stop_words else None
        if self.rules == "unigrams":
            return UnigramFinder(vocabulary, lemmas, stop_words)
        return WordFinder(vocabulary, lemmas, stop_words)
