"""What the miniature benchmarks ask: prompts for one concept, and for two."""

from __future__ import annotations

from collections.abc import Sequence

from oddpair.benchmarks.miniature.words import noun_phrase

TEMPLATES = ("a photo of {}", "{}", "a picture of {}", "an image of {}")
PAIR_TEMPLATES = ("a photo of {} and {}", "{} and {}", "{} with {}")


def concept_prompts(name: str) -> list[str]:
    """Return the prompts of one concept.

    >>> concept_prompts("egg")
    ['a photo of an egg', 'an egg', 'a picture of an egg', 'an image of an egg']
    """
    return [template.format(noun_phrase(name)) for template in TEMPLATES]


def pair_prompts(first: str, second: str) -> list[str]:
    """Return the prompts of two concepts, each template in both orders.

    >>> pair_prompts("egg", "cup")[:2]
    ['a photo of an egg and a cup', 'a photo of a cup and an egg']
    """
    phrases = noun_phrase(first), noun_phrase(second)
    return [template.format(*order) for template in PAIR_TEMPLATES for order in (phrases, phrases[::-1])]


def all_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """List the unordered pairs of concepts by position, the first before the second."""
    return [(a, b) for a in range(len(names)) for b in range(a + 1, len(names))]
