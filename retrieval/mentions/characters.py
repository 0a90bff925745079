"""What single characters become when text is folded, for the characters whose neighbours have no say in it."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.words import SPELLING, fold

# Characters beyond the first plane are rare in captions, but for pictographs.
FIRST_PLANE = 0x10000
PICTOGRAPHS = (0x1F000, 0x1FB00)
# Consonants, vowels and finals that Unicode joins to syllables.
_JAMO = range(0x1100, 0x1200)
# So long may the folded form be beside the character's own bytes: room for folded text is made by this.
MOST_GROWTH = 3


class Characters(NamedTuple):
    """Folded forms, as UTF-8 in which everything that is in no word is a space.

    Attributes:
        start: The form of entry ``i`` is ``forms[start[i]:start[i + 1]]``; a character of the first plane is its own
            entry, pictographs follow.
        forms: Bytes of all forms.
        alone: Whether the form is right whatever stands beside the character.
    """

    start: NDArray[np.int32]
    forms: NDArray[np.uint8]
    alone: NDArray[np.bool_]


@cache
def fold_characters() -> Characters:
    """Fold every character that can be folded by itself; about 0.2 seconds, once in a process."""
    seconds = _find_seconds()
    codes = [*range(FIRST_PLANE), *range(*PICTOGRAPHS)]
    forms: list[bytes] = []
    alone = np.zeros(len(codes), np.bool_)
    for entry, code in enumerate(codes):
        form = b""
        if not 0xD800 <= code < 0xE000:
            character = chr(code)
            composed = unicodedata.normalize("NFKC", character).translate(SPELLING)
            form = _spell(fold(character))
            alone[entry] = len(form) <= MOST_GROWTH * len(character.encode()) and not (
                _may_join(composed, seconds) or _may_join(composed.casefold(), seconds)
            )
        forms.append(form if alone[entry] else b"")
    start = np.zeros(len(codes) + 1, np.int32)
    np.cumsum([len(form) for form in forms], out=start[1:])
    return Characters(start=start, forms=np.frombuffer(b"".join(forms), np.uint8), alone=alone)


def _spell(folded: str) -> bytes:
    return "".join(one if one == "'" or _in_word(one) else " " for one in folded).encode()


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")


def _may_join(text: str, seconds: frozenset[str]) -> bool:
    """Say whether text might change with what stands beside it.

    It might by its first character, once it is taken apart; and wherever letters of Korean syllables stand by themselves.
    """
    if any(ord(character) in _JAMO for character in text):
        return True
    first = unicodedata.normalize("NFKD", text)[:1]
    return bool(first) and (
        unicodedata.combining(first) != 0 or unicodedata.category(first)[0] == "M" or first in seconds
    )


def _find_seconds() -> frozenset[str]:
    """Find the characters that may be joined to the one before them."""
    found = set()
    for code in range(FIRST_PLANE):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            found.add(chr(int(parts[1], 16)))
    return frozenset(found)
