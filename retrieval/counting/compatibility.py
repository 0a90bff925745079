"""Finders that count concepts as two papers did, so that published figures can be approached.

They say in the counts' ``meta.json`` what they share with the papers and what not; for anything else use the matcher.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set

import numpy as np
import pyarrow as pa
from scipy import sparse

from oddpair.errors import Refusal
from oddpair.files import digest
from oddpair.retrieval.concepts import Concept, Vocabulary
from oddpair.retrieval.counting.lemmas import Lemmas, find_lemmas
from oddpair.retrieval.mentions.incidence import Incidence, from_csr, from_lists
from oddpair.retrieval.mentions.matcher import Matcher
from oddpair.retrieval.words import fold, normalise

Description = dict[str, str | list[str] | None]

_SIGNS = re.compile(r"[\W_]+")


class UnigramFinder:
    """Finds a concept where a caption holds the lemmas of all its words, anywhere and in any order.

    That is the text search of Udandarao et al., arXiv:2404.04125: ``hot dog`` is found in "a dog on a hot day". A word
    of a name that no caption holds gives the concept count 0.

    Args:
        vocabulary: Concepts; their names are looked for, no further form.
        lemmas: Lemmas, or ``None`` for the plural table alone.
        stop_words: Words, such as ``of``, that are passed over in names and captions.

    Raises:
        Refusal: If the stop words leave no word of any name.

    >>> from oddpair.retrieval.concepts import build_vocabulary
    >>> finder = UnigramFinder(build_vocabulary(["hot dog", "dog"]), None)
    >>> finder.find(pa.array(["a dog on a hot day", "two dogs", None])).concepts.tolist()
    [0, 1, 1]
    """

    def __init__(
        self, vocabulary: Vocabulary, lemmas: Lemmas | None, stop_words: Set[str] | None = None
    ) -> None:
        stopped = {normalise(word) for word in stop_words or ()}
        terms = [set(name.split(" ")) - stopped for name in vocabulary.names]
        lemma_of = find_lemmas(set().union(*terms), lemmas)
        self._names = vocabulary.names
        self._lemmas, self._stop_words = lemmas, stop_words
        self._needed = [frozenset(lemma_of[term] for term in found) for found in terms]
        words_of: dict[str, list[str]] = {}
        for word, lemma in lemma_of.items():
            if word not in stopped:
                words_of.setdefault(lemma, []).append(word)
        if not words_of:
            raise Refusal(
                "the stop words leave no word of any concept: take the words of the concepts out of them"
            )
        self._findable = frozenset(words_of)
        self._matcher = Matcher(
            Vocabulary(
                concepts=tuple(Concept(name=lemma, forms=tuple(words)) for lemma, words in words_of.items())
            )
        )
        self._member = _make_member(self._needed, list(words_of))

    def find(self, captions: pa.Array | pa.ChunkedArray) -> Incidence:
        """Find which concepts each caption mentions; a null mentions none."""
        lemmas = self._matcher.find(captions).to_csr().astype(np.int32)
        held = sparse.csr_array(lemmas @ self._member)
        sizes = np.array([len(needed) for needed in self._needed], np.int32)
        held.data = held.data == sizes[held.indices]
        return from_csr(held)

    def nested_pairs(self) -> set[tuple[int, int]]:
        """Find pairs where whoever mentions one concept has mentioned the other: smaller id first."""
        return _find_nested(self._needed)

    def describe(self) -> Description:
        """Say how concepts are found, for ``meta.json``."""
        return {
            "rules": "unigrams",
            "paper": "arXiv:2404.04125",
            "check": "unverified against spaCy",
            **_describe_lists(self._lemmas, self._stop_words),
            "never_counted": [
                name
                for name, needed in zip(self._names, self._needed, strict=True)
                if not needed or not needed <= self._findable
            ],
            "not_copied": [
                "index lemmas in upper case, which no query found",
                "words of a name that the index lacks, passed over (here they give 0)",
                "of a word of a name that is several tokens, the last lemma alone",
                "ids appended twice",
            ],
            "differences": [
                "words of every part of speech are found, there nouns and proper nouns alone",
                "words are cut by the rule of oddpair, in names as in captions, and digits and letters beyond A-Z kept",
                "lemmas belong to words, there to words in their sentence",
                "names are in normal form and spelling variants of a name are one concept",
            ],
        }


class WordFinder:
    """Finds single words as Qu and Xie, arXiv:2507.08000, cut them from captions.

    Tokens are runs of letters and digits of the caption in lower case, without stop words, numbers and single
    characters; each counts once in a caption, by its lemma.

    Args:
        vocabulary: Concepts of one word; their names are looked for, no further form.
        lemmas: Lemmas, or ``None`` for the plural table alone.
        stop_words: Stop words; ``None`` passes none over.

    Raises:
        Refusal: If a concept has more than one word.

    >>> from oddpair.retrieval.concepts import build_vocabulary
    >>> finder = WordFinder(build_vocabulary(["cat", "dog"]), None, {"a"})
    >>> finder.find(pa.array(["a dog's CATS_and_cats", "dogma", None])).concepts.tolist()
    [0, 1]
    """

    def __init__(self, vocabulary: Vocabulary, lemmas: Lemmas | None, stop_words: Set[str] | None) -> None:
        several = next((name for name in vocabulary.names if " " in name), None)
        if several is not None:
            raise Refusal(
                f"concept {several!r} has more than one word, which the rules of arXiv:2507.08000 never find: take it "
                "out of the vocabulary, or count with other --rules"
            )
        self._names = vocabulary.names
        self._lemmas, self._stop_words = lemmas, stop_words
        self._apostrophes = [concept.name for concept in vocabulary.concepts if _is_cut(concept)]
        lemma_of = find_lemmas(vocabulary.names, lemmas)
        self._needed = [frozenset((lemma_of[name],)) for name in vocabulary.names]
        owners: dict[str, list[int]] = {}
        for number, name in enumerate(vocabulary.names):
            owners.setdefault(lemma_of[name], []).append(number)
        self._owners = {
            word: tuple(owners[lemma])
            for word, lemma in lemma_of.items()
            if len(word) > 1
            and not word.isnumeric()
            and word not in (stop_words or ())
            and _can_be_token(word)
        }

    def find(self, captions: pa.Array | pa.ChunkedArray) -> Incidence:
        """Find which concepts each caption mentions; a null mentions none."""
        owners = self._owners
        rows: list[Sequence[int]] = []
        for caption in captions.to_pylist():
            tokens = _SIGNS.sub(" ", caption or "").lower().split()
            rows.append(sorted({concept for token in owners.keys() & tokens for concept in owners[token]}))
        return from_lists(rows, len(self._names))

    def nested_pairs(self) -> set[tuple[int, int]]:
        """Find pairs of concepts that have one lemma, so that they are always mentioned together: smaller id first."""
        return _find_nested(self._needed)

    def describe(self) -> Description:
        """Say how concepts are found, for ``meta.json``."""
        found = {concept for owners in self._owners.values() for concept in owners}
        return {
            "rules": "words",
            "paper": "arXiv:2507.08000",
            "check": "unverified against NLTK",
            **_describe_lists(self._lemmas, self._stop_words),
            "never_counted": [name for number, name in enumerate(self._names) if number not in found],
            "counted_only_without_apostrophe": self._apostrophes,
            "not_copied": [
                "a vocabulary for each shard (its 20,000 most frequent lemmas): counts would depend on how the corpus is "
                "cut into shards, so one vocabulary for all is needed",
            ],
            "differences": [
                "a SAMPLE_ID that the corpus repeats counts each time",
                "names are in normal form and spelling variants of a name are one concept",
                "pairs of two concepts with one lemma are left out",
            ],
        }


def _can_be_token(word: str) -> bool:
    """Whether a caption exists of which ``word`` is a token: combining marks, for one, cut words there."""
    # The dotted capital I is the one letter that a mark comes from in lower case, after the tokens were cut.
    written = word.replace("i\u0307", "\u0130")
    return not _SIGNS.search(written) and written.lower() == word


def _is_cut(concept: Concept) -> bool:
    """Whether the concept was given with an apostrophe inside, as ``o'clock``, so that tokens hold its parts alone."""
    spellings = [fold(given).removesuffix("'s") for given in concept.given]
    return bool(spellings) and all(
        "'" in spelling and concept.name not in _SIGNS.sub(" ", spelling).split() for spelling in spellings
    )


def _describe_lists(lemmas: Lemmas | None, stop_words: Set[str] | None) -> Description:
    if lemmas is None:
        kind = "plural table of oddpair, for the words of the vocabulary"
    else:
        kind = "list" if lemmas.complete else "list of exceptions, then the plural table of oddpair"
    return {
        "forms": "names and their lemmas; further forms of the vocabulary are not looked for",
        "lemmas": kind,
        "lemmas_sha256": lemmas.sha256 if lemmas else None,
        "stop_words_sha256": digest(sorted(stop_words)) if stop_words is not None else None,
    }


def _make_member(needed: Sequence[Set[str]], lemmas: Iterable[str]) -> sparse.csr_array:
    """Which lemma belongs to which concept, shape ``(n_lemmas, n_concepts)``."""
    place = {lemma: row for row, lemma in enumerate(lemmas)}
    rows = [place[lemma] for found in needed for lemma in sorted(found) if lemma in place]
    columns = np.repeat(np.arange(len(needed)), [sum(lemma in place for lemma in found) for found in needed])
    return sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=(len(place), len(needed)))


def _find_nested(needed: Sequence[Set[str]]) -> set[tuple[int, int]]:
    member = _make_member(needed, sorted(set().union(*needed)))
    shared = sparse.coo_array(member.T @ member)
    inner, outer = shared.coords
    sizes = np.array([len(found) for found in needed])
    inside = (shared.data == sizes[inner]) & (inner != outer)
    pairs = np.sort(np.stack([inner[inside], outer[inside]], axis=1), axis=1)
    return {(int(a), int(b)) for a, b in pairs}
