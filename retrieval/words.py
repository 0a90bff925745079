"""The one rule by which text becomes words, for captions and for the names of concepts alike."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_ASCII_WORD = re.compile(r"[0-9a-z]+(?:'[0-9a-z]+)*")
# Soft hyphens, joiners, byte order marks and variation selectors are invisible and leave no gap in a word.
INVISIBLE = dict.fromkeys(
    [0xAD, 0x200C, 0x200D, 0x2060, 0xFEFF, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
)
SPELLING = INVISIBLE | str.maketrans({"’": "'", "ʼ": "'", "_": " "})


def find_words(text: str) -> list[str]:
    """Split text into words: runs of letters, marks and digits after NFKC and case folding.

    Single apostrophes inside a run belong to it; a possessive ``'s`` at its end is dropped and the others are taken
    out, so that ``cat's`` is ``cat`` but ``o'clock`` is no ``clock``. Hyphens, underscores and all other signs
    separate words.

    >>> find_words("The cat's Pine-tree, at 5 o'clock")
    ['the', 'cat', 'pine', 'tree', 'at', '5', 'oclock']
    """
    text = fold(text)
    words = (_ASCII_WORD if text.isascii() else _unicode_word()).findall(text)
    if "'" in text:
        # What stood on both sides of an apostrophe may be one character now.
        words = [unicodedata.normalize("NFKC", word.removesuffix("'s").replace("'", "")) for word in words]
    return words


def fold(text: str) -> str:
    """Bring text into the form that words are cut from: NFKC, case folded, one apostrophe, no underscore.

    >>> fold("ﬁsh_BOWL’s")
    "fish bowl's"
    """
    if text.isascii():
        return text.lower().replace("_", " ")
    text = unicodedata.normalize("NFKC", text).translate(SPELLING).casefold()
    return unicodedata.normalize("NFKC", text)


def normalise(name: str) -> str:
    """Bring a concept's name into normal form: its words with single spaces.

    >>> normalise("Pine_Tree")
    'pine tree'
    """
    return " ".join(find_words(name))


@cache
def _unicode_word() -> re.Pattern[str]:
    # Python's \w leaves out combining marks, which would cut words of many scripts into pieces. All underscores
    # are gone by now.
    marks = (chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    run = rf"[\w{''.join(marks)}]+"
    return re.compile(rf"{run}(?:'{run})*")
