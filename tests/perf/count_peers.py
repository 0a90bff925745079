"""Counting as it is done elsewhere, a caption at a time, in Python."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import combinations, pairwise

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.words import find_words

Pair = tuple[int, int]

_WORD = re.compile(r"[0-9a-z]+(?:'[0-9a-z]+)*")


class Reference:
    """Words by one compiled expression, runs of them looked up in a dictionary, counters: exact.

    A caption that is not ASCII, or holds an apostrophe, is cut by the whole rule, which takes some times as long.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        owners: dict[str, list[int]] = {}
        for number, concept in enumerate(vocabulary.concepts):
            for form in concept.forms:
                owners.setdefault(form, []).append(number)
        assert max(form.count(" ") for form in owners) <= 2
        self._owners = {form: tuple(numbers) for form, numbers in owners.items()}

    def find(self, text: str) -> set[int]:
        """Find the concepts of one caption."""
        text = text.lower()
        words = (
            _WORD.findall(text)
            if text.isascii() and "'" not in text and "_" not in text
            else find_words(text)
        )
        phrases = [f"{one} {two}" for one, two in pairwise(words)]
        longer = [f"{start} {last}" for start, last in zip(phrases, words[2:], strict=False)]
        found: set[int] = set()
        for run in (*words, *phrases, *longer):
            if run in self._owners:
                found.update(self._owners[run])
        return found


class SetOfWords:
    """What is written in a few minutes: words between spaces that are names. It misses plurals, signs and phrases."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._numbers = {name: number for number, name in enumerate(vocabulary.names)}
        self._names = set(vocabulary.names)

    def find(self, text: str) -> set[int]:
        """Find the concepts of one caption."""
        return {self._numbers[name] for name in self._names.intersection(text.lower().split())}


def count_singles(find: Callable[[str], Iterable[int]], captions: Sequence[str]) -> Counter[int]:
    """Count the captions of each concept."""
    counts: Counter[int] = Counter()
    for text in captions:
        counts.update(find(text))
    return counts


def count_pairs(
    find: Callable[[str], Iterable[int]], captions: Sequence[str], among: Collection[int]
) -> tuple[Counter[int], Counter[Pair]]:
    """Count the captions of each concept, and of each pair among some of them."""
    counts: Counter[int] = Counter()
    pairs: Counter[Pair] = Counter()
    for text in captions:
        found = sorted(find(text))
        counts.update(found)
        pairs.update(combinations([concept for concept in found if concept in among], 2))
    return counts, pairs
