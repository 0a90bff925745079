"""The obvious way to find concepts in captions: word by word, with dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.mentions.incidence import Incidence, from_lists
from oddpair.retrieval.words import find_words


def find_slowly(vocabulary: Vocabulary, captions: Sequence[str | None], *, overlap: str = "all") -> Incidence:
    """Find which concepts each caption mentions, by looking for every run of words among the forms."""
    owners: dict[tuple[str, ...], set[int]] = {}
    for number, concept in enumerate(vocabulary.concepts):
        for form in concept.forms:
            owners.setdefault(tuple(form.split(" ")), set()).add(number)
    longest = max(map(len, owners))
    found = []
    for caption in captions:
        words = find_words(caption or "")
        spans = [
            (start, start + length)
            for start in range(len(words))
            for length in range(1, min(longest, len(words) - start) + 1)
            if tuple(words[start : start + length]) in owners
        ]
        if overlap == "longest":
            spans = [
                (start, end)
                for start, end in spans
                if not any(a <= start and end <= b and (a, b) != (start, end) for a, b in spans)
            ]
        found.append(sorted({owner for start, end in spans for owner in owners[tuple(words[start:end])]}))
    return from_lists(found, len(vocabulary))
