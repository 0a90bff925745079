"""The grammar of the world's captions: articles, plurals, and which concept's words hold another's."""

from collections.abc import Sequence
from functools import lru_cache
from types import MappingProxyType

_ALWAYS_PLURAL = frozenset({"dice", "glasses", "grapes", "scissors"})
_IRREGULAR_ENDINGS = (("cactus", "cacti"), ("fish", "fish"), ("leaf", "leaves"), ("man", "men"))


def with_article(phrase: str) -> str:
    """Put the indefinite article before a singular phrase.

    >>> with_article("old tree"), with_article("umbrella")
    ('an old tree', 'an umbrella')
    """
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"


def is_always_plural(name: str) -> bool:
    """Tell whether a name has no singular, and so takes no article.

    >>> is_always_plural("scissors"), is_always_plural("wine glass")
    (True, False)
    """
    return name.rpartition(" ")[2] in _ALWAYS_PLURAL


def noun_phrase(name: str) -> str:
    """Name one object as a prompt does, with its article.

    >>> [noun_phrase(name) for name in ("apple", "scissors", "pine tree", "grapes")]
    ['an apple', 'scissors', 'a pine tree', 'grapes']
    """
    return name if is_always_plural(name) else with_article(name)


def plural(name: str) -> str:
    """Name several objects; a name that is always plural stays as it is.

    >>> [plural(name) for name in ("cherry", "wine glass", "leaf", "snowman", "scissors", "key")]
    ['cherries', 'wine glasses', 'leaves', 'snowmen', 'scissors', 'keys']
    """
    if is_always_plural(name):
        return name
    for ending, plural_ending in _IRREGULAR_ENDINGS:
        if name.endswith(ending):
            return name.removesuffix(ending) + plural_ending
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "sh", "ch", "x")) else "s")


def _holds(words: Sequence[str], part: Sequence[str]) -> bool:
    return any(tuple(words[i : i + len(part)]) == tuple(part) for i in range(len(words) - len(part) + 1))


@lru_cache(maxsize=16)
def mentions_by_phrase(names: tuple[str, ...]) -> MappingProxyType[str, tuple[str, ...]]:
    """List, for every singular and plural, the concepts that a reader of the phrase would find in it.

    Concepts that overlap all count: "wine glasses" mentions the wine glass and the glasses.

    >>> mentions_by_phrase(("glasses", "tree", "wine glass"))["wine glasses"]
    ('glasses', 'wine glass')
    """
    forms = {name: (name, plural(name)) for name in names}
    found = {
        phrase: tuple(
            sorted(
                other
                for other, parts in forms.items()
                if any(_holds(phrase.split(), part.split()) for part in parts)
            )
        )
        for phrases in forms.values()
        for phrase in phrases
    }
    return MappingProxyType(found)


def concepts_inside(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """List, for every concept, the other concepts that its singular or its plural mentions.

    >>> concepts_inside(("glasses", "pine tree", "tree"))
    {'glasses': (), 'pine tree': ('tree',), 'tree': ()}
    """
    mentions = mentions_by_phrase(names)
    return {name: tuple(sorted({*mentions[name], *mentions[plural(name)]} - {name})) for name in names}
