"""Lemmas and stop words from files, for counting as the papers did; no model is downloaded and none is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.files import digest
from oddpair.retrieval.plurals import find_plurals
from oddpair.retrieval.words import normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class Lemmas:
    """The lemma of each word of a list.

    Attributes:
        lemma_of: Lemma of each word, both in normal form.
        complete: Whether a word that is not in the list is its own lemma. A list of exceptions, such as WordNet's, is
            not complete: it leaves regular plurals to the plural table.
    """

    lemma_of: Mapping[str, str]
    complete: bool

    @property
    def sha256(self) -> str:
        """SHA-256 of the words, their lemmas and whether they are all."""
        return digest([self.complete, sorted(self.lemma_of.items())])


def load_lemmas(path: str | Path) -> Lemmas:
    """Load lemmas: ``word<TAB>lemma`` a line, or WordNet's ``noun.exc``, where a line is ``word lemma [lemma ...]``.

    A list with tabs is complete; one with spaces is a list of exceptions, and of several lemmas the shortest counts, the
    first of equally short ones, as NLTK takes them. Words are brought into normal form; what is then more than one word
    is passed over, as are empty lines and lines that begin with ``#``.

    Raises:
        Refusal: If the file cannot be read, is not UTF-8, holds no lemma, mixes the two forms, has a line without
            lemma, or gives a word two lemmas.
    """
    lemma_of: dict[str, str] = {}
    line_of: dict[str, int] = {}
    complete: bool | None = None
    for number, line in _read_lines(path, "a word, a tab and its lemma a line"):
        here = f"{path} line {number}"
        if complete is None:
            complete = "\t" in line
        if complete is not ("\t" in line):
            raise Refusal(
                f"{here} has {'no ' if complete else 'a '}tab, the lines before have {'one' if complete else 'none'}: "
                "write all lines as word, tab, lemma, or all with spaces as WordNet's noun.exc"
            )
        given, *lemmas = (part.strip() for part in (line.split("\t") if complete else line.split()))
        lemmas = [lemma for lemma in lemmas if lemma]
        if not given or not lemmas or (complete and len(lemmas) > 1):
            raise Refusal(
                f"{here} holds {line.strip()[:80]!r}, needed a word and its lemma: mend or remove the line"
            )
        word, lemma = normalise(given), normalise(min(lemmas, key=len))
        if not word or not lemma or " " in word or " " in lemma:
            continue
        if lemma_of.setdefault(word, lemma) != lemma:
            raise Refusal(
                f"{here} gives {word!r} the lemma {lemma!r}, line {line_of[word]} gives it {lemma_of[word]!r}: keep one"
            )
        line_of.setdefault(word, number)
    if complete is None or not lemma_of:
        raise Refusal(f"{path} holds no lemma: give a file with a word, a tab and its lemma a line")
    return Lemmas(lemma_of=lemma_of, complete=complete)


def load_stop_words(path: str | Path) -> frozenset[str]:
    """Load stop words, one a line, in lower case; empty lines and lines that begin with ``#`` are passed over.

    Raises:
        Refusal: If the file cannot be read, is not UTF-8, or holds no word.
    """
    words = frozenset(line.strip().lower() for _, line in _read_lines(path, "one stop word a line"))
    if not words:
        raise Refusal(f"{path} holds no stop word: give a file with one a line, or none")
    return words


def find_lemmas(terms: Iterable[str], lemmas: Lemmas | None) -> dict[str, str]:
    """Find every word that has the lemma of one of ``terms``, so that captions need no lemmatiser.

    A word of the list has the lemma that the list gives. Without a list, and for words that a list of exceptions does
    not name, plurals have the term, or the lemma of a term, whose plural they are; where they are the plural of several,
    it is the shortest, then the first in alphabetical order. Every other word is its own lemma.

    Args:
        terms: Words in normal form.
        lemmas: The list, or ``None``.

    Returns:
        The lemma of each word, the terms among them.

    >>> find_lemmas(["mouse", "cats", "cat"], None)
    {'cat': 'cat', 'cats': 'cat', 'mice': 'mouse', 'mouse': 'mouse'}
    """
    terms = set(terms)
    lemma_of = dict(lemmas.lemma_of) if lemmas else {}
    if lemmas is None or not lemmas.complete:
        bases = terms | {lemma_of[term] for term in terms if term in lemma_of}
        for base in sorted(bases, key=lambda base: (len(base), base)):
            for plural in find_plurals(base):
                lemma_of.setdefault(plural, base)
    wanted = {lemma_of.get(term, term) for term in terms}
    known = {word: lemma for word, lemma in lemma_of.items() if lemma in wanted}
    known |= {word: word for word in terms | wanted if word not in lemma_of}
    return dict(sorted(known.items()))


def _read_lines(path: str | Path, needed: str) -> list[tuple[int, str]]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): give a file with {needed}") from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    lines = enumerate(text.split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
