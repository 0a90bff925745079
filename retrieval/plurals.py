"""Plurals of English nouns: the regular endings and the common irregular words.

Where two spellings are in use both are given; a form that nobody writes does no harm, since a caption
has to hold it.
"""

from __future__ import annotations

import unicodedata


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _plurals_of(text: str) -> dict[str, tuple[str, ...]]:
    entries = (entry.split() for entry in text.split(","))
    return {singular: tuple(plurals) for singular, *plurals in entries}


_IRREGULAR = _plurals_of(
    "alga algae, antenna antennas antennae, appendix appendices appendixes, axis axes, bacterium bacteria, "
    "cactus cacti cactuses, child children, dwarf dwarfs dwarves, foot feet, fungus fungi funguses, goose geese, "
    "grandchild grandchildren, hippopotamus hippopotamuses hippopotami, hoof hooves hoofs, index indexes indices, "
    "larva larvae, louse lice, matrix matrices matrixes, mouse mice, nebula nebulae nebulas, nucleus nuclei, "
    "octopus octopuses octopi, ox oxen, person people persons, quiz quizzes, scarf scarves scarfs, "
    "shrimp shrimp shrimps, squid squid squids, tooth teeth, vertex vertices vertexes, wharf wharves wharfs"
)
_F_TO_VES = _words("bookshelf calf elf half knife leaf life loaf midwife sheaf shelf thief wife wolf")
_SAME = _words(
    "aircraft bison cattle chassis corps deer dice elk firearms hovercraft moose news offspring police "
    "reindeer salmon series sheep spacecraft species swine trout watercraft"
)
# Names in a single -s that are no plurals; names in -us and -is are never taken for plurals.
_SINGULAR_IN_S = _words("atlas bias canvas christmas cosmos gas lens pampas pancreas rhinoceros")
_MAN_IS_NO_MAN = _words("caiman cayman german human norman ottoman roman shaman talisman turkoman")


def find_plurals(word: str) -> tuple[str, ...]:
    """Find the plurals of a lower-case English noun.

    A word in a single ``-s`` that is not a known singular, such as ``scissors``, ``glasses`` or ``grapes``,
    is taken for a plural already and has none; so has a word that does not end in a Latin letter.

    Args:
        word: One word.

    Returns:
        The plurals, without the word itself.

    >>> find_plurals("leaf"), find_plurals("glasses"), find_plurals("tomato")
    (('leaves',), (), ('tomatoes', 'tomatos'))
    """
    return tuple(dict.fromkeys(plural for plural in _all_plurals(word) if plural != word))


def _all_plurals(word: str) -> tuple[str, ...]:
    last = unicodedata.normalize("NFKD", word[-1:])[:1]
    if not ("a" <= last <= "z") or word in _SAME:
        return ()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _F_TO_VES:
        return (word.removesuffix("fe").removesuffix("f") + "ves",)
    if word.endswith("man") and word not in _MAN_IS_NO_MAN:
        return (word[:-2] + "en",)
    if word.endswith("fish"):
        return (word + "es",)
    if word.endswith("sis"):
        return (word[:-2] + "es",)
    if word.endswith(("ss", "us", "is")) or word in _SINGULAR_IN_S:
        return (word + "es",)
    if word.endswith("s"):
        return ()
    if word.endswith(("x", "z", "ch", "sh")):
        return (word + "es",)
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u", ""):
        return (word[:-1] + "ies",)
    if word.endswith("o") and word[-2:-1] not in ("a", "e", "i", "o", "u", ""):
        return (word + "es", word + "s")
    return (word + "s",)
