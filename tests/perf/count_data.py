"""Captions drawn by Zipf's law, and vocabularies of them: what counting is timed on.

A lexicon of made-up words, the common ones short; captions of about sixteen of them, 103 bytes, in which some words
follow each other far more often than by chance (the phrases). Words come in the plural and with capitals, signs stand
between them, and three captions in a hundred hold characters outside ASCII.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oddpair.retrieval.concepts import Vocabulary, build_vocabulary
from oddpair.retrieval.plurals import find_plurals

LEXICON = 200_000
PHRASES = 60_000
# The commonest words are articles, prepositions and the like, which are no concepts.
STOP_WORDS = 100
ZIPF = 1.0
# Words and phrases of a caption, fewest and most.
UNITS = (10, 19)
PHRASE_SHARE = 0.1
PLURAL, CAPITAL, POSSESSIVE, FOREIGN = 0.08, 0.12, 0.004, 0.03
SIGNS = {" ": 0.86, ", ": 0.05, " - ": 0.02, "-": 0.02, " | ": 0.02, ". ": 0.02, "_": 0.01}
FOREIGN_ENDS = (" é", " – “n°”", " 山", " ❤️", " straße", "’s")
ROWS_PER_GROUP = 50_000


@dataclass(frozen=True, slots=True)
class Language:
    """Words and phrases, commonest first."""

    words: Sequence[str]
    phrases: Sequence[str]


def make_language(lexicon: int = LEXICON, phrases: int = PHRASES) -> Language:
    """Draw the lexicon, and phrases of two and three of its words."""
    rng = np.random.default_rng(0)
    syllables = np.array([first + vowel for first in "bcdfghjklmnprtvwz" for vowel in "aeiou"])
    closed = np.array([syllable + last for syllable in syllables for last in "bdgklmnprt"])
    words: dict[str, None] = {}
    while len(words) < lexicon:
        length = 1 + len(words).bit_length() // 5
        syllable = syllables[rng.integers(0, len(syllables), rng.integers(max(1, length - 1), length + 1))]
        # Nothing that has the plural of another for a name, and no "man" whose plural is "men".
        word = "".join((*syllable[:-1], closed[rng.integers(0, len(closed))]))
        if not word.endswith(("man", "men")):
            words[word] = None
    listed = list(words)
    ranks = STOP_WORDS + draw_ranks(rng, lexicon - STOP_WORDS, (2 * phrases, 3))
    lengths = rng.choice([2, 3], 2 * phrases, p=[0.8, 0.2])
    runs = (" ".join(listed[rank] for rank in row[:n]) for row, n in zip(ranks, lengths, strict=True))
    return Language(words=listed, phrases=list(dict.fromkeys(runs))[:phrases])


def make_vocabulary(language: Language, concepts: int) -> Vocabulary:
    """Take the commonest words that are no stop words, and a fifth of phrases."""
    phrases = concepts // 5
    words = language.words[STOP_WORDS : STOP_WORDS + concepts - phrases]
    return build_vocabulary([*words, *language.phrases[:phrases]])


def draw_ranks(rng: np.random.Generator, n: int, shape: int | tuple[int, ...]) -> NDArray[np.int64]:
    """Draw ranks from 0 to ``n - 1`` by Zipf's law."""
    weights = 1 / np.arange(1, n + 1) ** ZIPF
    ends = np.cumsum(weights)
    found: NDArray[np.int64] = np.searchsorted(ends, rng.random(shape) * ends[-1])
    return found


def draw_captions(language: Language, rng: np.random.Generator, rows: int) -> list[str]:
    """Draw captions."""
    sizes = rng.integers(*UNITS, rows, endpoint=True)
    total = int(sizes.sum())
    units = np.array(language.words, object)[draw_ranks(rng, len(language.words), total)]
    phrases = np.flatnonzero(rng.random(total) < PHRASE_SHARE)
    units[phrases] = np.array(language.phrases, object)[draw_ranks(rng, len(language.phrases), len(phrases))]
    change = rng.random(total)
    for unit in np.flatnonzero(change < PLURAL):
        start, space, last = units[unit].rpartition(" ")
        units[unit] = start + space + (find_plurals(last) or (last,))[0]
    for unit in np.flatnonzero(change > 1 - POSSESSIVE):
        units[unit] += "'s"
    for unit in np.flatnonzero(rng.random(total) < CAPITAL):
        units[unit] = units[unit].title() if change[unit] < 1 - POSSESSIVE else units[unit].upper()
    parts = np.empty(2 * total, object)
    parts[::2] = units
    parts[1::2] = np.array(list(SIGNS), object)[rng.choice(len(SIGNS), total, p=list(SIGNS.values()))]
    ends = np.cumsum(2 * sizes)
    captions = [
        "".join(parts[end - 2 * size : end - 1])
        for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)
    ]
    for row in np.flatnonzero(rng.random(rows) < FOREIGN):
        captions[row] += FOREIGN_ENDS[row % len(FOREIGN_ENDS)]
    return captions


def write_captions(language: Language, path: Path, rows: int, times: int = 1) -> None:
    """Write a table of captions as corpora are published; all of them may come again, under other ids."""
    rng = np.random.default_rng(0)
    schema = pa.schema([("uid", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, ROWS_PER_GROUP):
            texts = pa.array(draw_captions(language, rng, min(ROWS_PER_GROUP, rows - start)))
            for again in range(times):
                uids = [f"{again:04x}{start + number:012x}" for number in range(len(texts))]
                writer.write_table(pa.table([uids, texts], schema=schema))
