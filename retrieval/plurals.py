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
    "abacus abaci abacuses, alga algae, alumnus alumni, amoeba amoebae amoebas, antenna antennas antennae, "
    "appendix appendices appendixes, aquarium aquariums aquaria, axis axes, bacterium bacteria, "
    "bureau bureaus bureaux, cactus cacti cactuses, chateau chateaux chateaus, château châteaux, "
    "cherub cherubs cherubim, child children, codex codices, conch conchs conches, crocus crocuses croci, "
    "datum data, die dice dies, dormouse dormice, dwarf dwarfs dwarves, eunuch eunuchs, fez fezzes, foot feet, "
    "formula formulas formulae, fungus fungi funguses, gateau gateaux gateaus, genus genera, "
    "gladiolus gladioli gladioluses, goose geese, graffito graffiti, grandchild grandchildren, "
    "handkerchief handkerchiefs handkerchieves, hippopotamus hippopotamuses hippopotami, hoof hooves hoofs, "
    "index indexes indices, larva larvae, loch lochs, louse lice, matrix matrices matrixes, medium mediums media, "
    "monarch monarchs, mouse mice, muskox muskoxen, narcissus narcissi narcissuses, nautilus nautiluses nautili, "
    "nebula nebulae nebulas, nucleus nuclei, octopus octopuses octopi, ox oxen, paparazzo paparazzi, "
    "papyrus papyri papyruses, passerby passersby, patriarch patriarchs, penny pennies pence, "
    "person people persons, planetarium planetariums planetaria, plateau plateaus plateaux, "
    "platypus platypuses platypi, pupa pupae, quiz quizzes, radius radii radiuses, salesperson salespeople, "
    "scarf scarves scarfs, schoolchild schoolchildren, shrimp shrimp shrimps, squid squid squids, "
    "stadium stadiums stadia, stomach stomachs, tableau tableaux tableaus, terrarium terrariums terraria, "
    "titmouse titmice, tooth teeth, vertebra vertebrae, vertex vertices vertexes, wharf wharves wharfs, "
    "woodlouse woodlice"
)
_F_TO_VES = ("calf", "half", "knife", "leaf", "life", "loaf", "sheaf", "shelf", "thief", "wife", "wolf")
_SAME = _words(
    "aircraft bison cattle chassis corps deer dice elk firearms hovercraft moose news offspring police "
    "reindeer salmon series sheep spacecraft species swine trout watercraft"
)
# Names in a single -s that are no plurals; names in -us and -is are never taken for plurals.
_SINGULAR_IN_S = _words(
    "alias asbestos atlas bias canvas christmas cosmos gas lens pampas pancreas rhinoceros thermos triceratops"
)
_MAN_IS_NO_MAN = _words(
    "brahman caiman cayman doberman german human norman ottoman roman shaman talisman turkoman walkman"
)


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
    if word.endswith(_F_TO_VES) or word == "elf":
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
