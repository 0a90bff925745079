"""From what a user calls a concept to its id, and what to answer where nobody can say which one is meant."""

from __future__ import annotations

import difflib

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.words import normalise

_LONGEST_TOLD = 60
_MOST_TOLD = 3


class ConceptNames:
    """All that the concepts of a vocabulary may be called; each spelling is looked up once.

    >>> from oddpair.retrieval.concepts import build_vocabulary
    >>> names = ConceptNames(build_vocabulary(["dog", "pine tree"]))
    >>> [names.find(spelling) for spelling in ("Pine_Trees", "dog", "Dogs")]
    [1, 0, 0]
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._names = vocabulary.names
        self._named = {name: number for number, name in enumerate(self._names)}
        self._known: dict[str, int] = {}
        self._written: dict[str, list[int]] = {}
        for number, concept in enumerate(vocabulary.concepts):
            for form in concept.forms:
                self._written.setdefault(form, []).append(number)

    def find(self, spelling: str) -> int:
        """Find the concept of that name or, where it is nobody's name, the one with such a form.

        Args:
            spelling: A name or form in any case, with spaces, hyphens or underscores.

        Returns:
            The id.

        Raises:
            Refusal: If no concept is written so, or several are and none has it as its name.
        """
        if spelling not in self._known:
            self._known[spelling] = self._look_up(spelling)
        return self._known[spelling]

    def _look_up(self, spelling: str) -> int:
        form = normalise(spelling)
        if form in self._named:
            return self._named[form]
        owners = self._written.get(form, [])
        if len(owners) == 1:
            return owners[0]
        if owners:
            told = ", ".join(repr(self._names[owner]) for owner in owners[:_MOST_TOLD])
            raise Refusal(f"{_short(spelling)} is ambiguous, a form of {told}: give the name of one of them")
        near = difflib.get_close_matches(form[:_LONGEST_TOLD], self._written, n=1) if form else []
        hint = (
            f"; did you mean {near[0]!r}?"
            if near
            else ": give one of the vocabulary, or add it there and count again"
        )
        raise Refusal(f"concept {_short(spelling)} is not among the {len(self._names):,} counted{hint}")


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}…")
