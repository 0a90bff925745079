"""A vocabulary from the captions themselves, for a user who has none: the words that recur."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary, build_vocabulary
from oddpair.retrieval.plurals import find_plurals
from oddpair.retrieval.vocabulary_file import read_lines
from oddpair.retrieval.words import find_words, normalise

SHORTEST = 3
# Longer runs of letters are codes and pasted data.
LONGEST = 40
# What captions say of themselves and of their shop rather than of what the picture shows. Words of style that can
# be seen (painting, logo, poster) are not among them.
CAPTION_WORDS = (
    "alamy caption clipart closeup collection com copyright depositphotos description download dreamstime edition "
    "editorial footage free getty hd html http https illustration image istock jpeg jpg large org page pdf photo "
    "photograph photographer photography pic picture png premium preview product quality resolution royalty sale "
    "screenshot shutterstock size stock template thumbnail title vector version video view wallpaper website www "
    "dont doesnt didnt isnt ive youre"
)
# Words of the general list that a picture can show.
_VISIBLE = frozenset({"bill", "fire", "mill"})
_LICENCE_OF_WORDNET = re.compile(r"  \d+ .*")
_NOUN_OF_WORDNET = re.compile(r"(\S+) n \d+ .*")


def count_words(
    captions: pa.Array | pa.ChunkedArray | Iterable[str], copies: NDArray[np.int64] | None = None
) -> Counter[str]:
    """Count in how many captions each word occurs.

    Tables of parts of a corpus add up to the table of the whole. Left out is what never becomes a concept: words of
    fewer than 3 or more than 40 characters, and of anything but letters. A word takes some 150 bytes of memory, a
    caption some 7 microseconds.

    Args:
        captions: Captions of one part; null says nothing.
        copies: How often each caption counts, 0 or more; ``None`` for once.

    Returns:
        For each word the number of captions that use it, each caption counting once or as often as ``copies`` says.

    Raises:
        ValueError: If there is not one number of copies for each caption.

    >>> (count_words(["Red dog, red cats"]) + count_words(["a cat's dog", "dog 5"])).most_common(2)
    [('dog', 3), ('red', 1)]
    """
    texts = captions.to_pylist() if isinstance(captions, pa.Array | pa.ChunkedArray) else captions
    repeats: Counter[Any] = Counter()
    if copies is None:
        repeats.update(texts)
    else:
        for caption, times in zip(texts, copies.tolist(), strict=True):
            if times:
                repeats[caption] += times
    del repeats[None]
    # No sets: their order changes from run to run, and with it the order of the table.
    number = Counter(chain.from_iterable(dict.fromkeys(find_words(caption)) for caption in repeats))
    for caption, times in repeats.items():
        if times > 1:
            for word in dict.fromkeys(find_words(caption)):
                number[word] += times - 1
    return Counter(
        {word: n for word, n in number.items() if SHORTEST <= len(word) <= LONGEST and word.isalpha()}
    )


def mine_vocabulary(
    words: Mapping[str, int] | Iterable[str],
    minimum: int,
    *,
    most: int | None = None,
    nouns: Path | None = None,
    stop_words: Path | None = None,
) -> Vocabulary:
    """Make a concept of every word that at least ``minimum`` captions use.

    A plural is part of its singular where that is there too; the two count as much as the more frequent of them, so
    a concept occurs in at least as many captions as it is ranked by. Without ``nouns`` words are not told apart by
    kind: adjectives stay. A vocabulary file says better what is meant.

    Args:
        words: What ``count_words`` counted, or captions.
        minimum: Fewest captions that use a word, in singular or in plural.
        most: Most concepts to keep; ``None`` keeps all.
        nouns: File of the only words that may be concepts, one a line, or WordNet's ``index.noun``. A noun is a
            concept also where captions hold its plural alone; names of several words are passed over.
        stop_words: File of words that are no concepts, one a line; ``None`` takes scikit-learn's English ones
            without three that can be seen (*bill*, *fire*, *mill*), and ``CAPTION_WORDS`` with their plurals.

    Returns:
        The concepts, the most frequent word first; ties in the order of the words.

    Raises:
        Refusal: If fewer than two words recur, or a file of words cannot be read.

    >>> mine_vocabulary(["a red cat", "two cats", "the cat", "a red car"], minimum=2).names
    ('cat', 'red')
    """
    numbers = words if isinstance(words, Mapping) else count_words(words)
    stops = _default_stop_words() if stop_words is None else _read_words(stop_words)
    candidates = (
        {word for word, n in numbers.items() if n >= minimum} if nouns is None else _read_words(nouns)
    )
    used = {
        word: max(numbers.get(form, 0) for form in (word, *find_plurals(word))) for word in candidates - stops
    }
    kept = {word for word, n in used.items() if n >= minimum and len(word) >= SHORTEST and word.isalpha()}
    singular = kept - set(chain.from_iterable(map(find_plurals, kept)))
    if len(singular) < 2:
        raise Refusal(
            f"{len(singular)} words occur in {minimum} captions or more: give a --vocabulary file with the "
            "names of the concepts"
        )
    return build_vocabulary(sorted(singular, key=lambda word: (-used[word], word))[:most])


def _default_stop_words() -> set[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    of_captions = CAPTION_WORDS.split()
    plurals = chain.from_iterable(map(find_plurals, of_captions))
    return {*(ENGLISH_STOP_WORDS - _VISIBLE), *of_captions, *plurals}


def _read_words(path: Path) -> set[str]:
    words: set[str] = set()
    for line in read_lines(path, remedy="give a file with one word a line"):
        if not line.startswith("#") and not _LICENCE_OF_WORDNET.fullmatch(line):
            noun = _NOUN_OF_WORDNET.fullmatch(line)
            words.add(normalise(noun[1] if noun else line))
    return words - {""}
