"""A vocabulary as arrays that compiled loops can look words and forms up in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.mentions.form_paths import find_paths

# Bytes of a word that are compared as two numbers; what is longer lies in ``rest``.
INLINE = 16
# In place of a concept.
NOBODY, SEVERAL = -1, -2

# Odd multipliers of 64 bits without pattern: the golden ratio, and two primes of xxHash.
FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
_MASK = (1 << 64) - 1
_MOST_WORDS = (1 << 24) - 1


class Tables(NamedTuple):
    """Words by their bytes, and forms as paths of words from a root.

    Attributes:
        slots: Hash table of words: 0 where a slot is empty, else 8 bits of the hash above 24 of the word's number,
            from 1; uint32, a power of two slots.
        records: Four numbers a word, by its number: its first 16 bytes, filled up with zeros; its length, and above
            32 bits where in ``rest`` its other bytes begin; and what it means. That is, above 32 bits, the node that a
            form's first word leads to, from 1; and below them a concept, from 1, if it alone has the form of this word
            and no longer form begins with it. 0 for neither.
        rest: The bytes behind the first 16, of all words.
        edges: Hash table of steps: ``node << 32 | number of the word``, 0 where a slot is empty; uint64.
        nodes: Node that each step leads to.
        further: Of each node, the words that lead on from it, as bits: ``1 << (number & 63)``; 0 where none do.
        owner_of: The concept of the form that ends at each node; ``NOBODY`` where none does, ``SEVERAL`` where several
            concepts share it.
        owner_start: Concepts of the form that ends at node ``i`` are ``owners[owner_start[i]:owner_start[i + 1]]``.
        owners: Ids of concepts.
        n_concepts: Size of the vocabulary.
        most_words: Words of the longest form.
        most_owners: Concepts that share a form, at most.
    """

    slots: NDArray[np.uint32]
    records: NDArray[np.uint64]
    rest: NDArray[np.uint8]
    edges: NDArray[np.uint64]
    nodes: NDArray[np.int32]
    further: NDArray[np.uint64]
    owner_of: NDArray[np.int32]
    owner_start: NDArray[np.int64]
    owners: NDArray[np.int32]
    n_concepts: int
    most_words: int
    most_owners: int


def make_tables(vocabulary: Vocabulary) -> Tables:
    """Lay out the words and forms of a vocabulary; every form is in normal form already.

    Raises:
        ValueError: If there are more words than 24 bits can number.
    """
    words, steps, owners, most_words = find_paths(vocabulary)
    if len(words) >= _MOST_WORDS:
        raise ValueError(f"the vocabulary is made of {len(words):,} words, needed below {_MOST_WORDS:,}")
    further = [0] * len(owners)
    firsts, later = [0] * len(words), {}
    for (node, word), target in steps.items():
        if node:
            # Here words are numbered from 1.
            further[node] |= 1 << (word + 1 & 63)
            later[node << 32 | word + 1] = target
        else:
            firsts[word] = target
    meanings = []
    for first in firsts:
        alone = first and not further[first] and len(owners[first]) == 1
        meanings.append((first + 1) << 32 | (owners[first][0] + 1 if alone else 0) if first else 0)
    owner_start = np.zeros(len(owners) + 1, np.int64)
    np.cumsum([len(one) for one in owners], out=owner_start[1:])
    slots, records, rest = _place_words([word.encode() for word in words], meanings)
    edges, nodes = _place_edges(later)
    return Tables(
        slots=slots,
        records=records,
        rest=rest,
        edges=edges,
        nodes=nodes,
        further=np.array(further, np.uint64),
        owner_of=np.array(
            [SEVERAL if len(one) > 1 else next(iter(one), NOBODY) for one in owners], dtype=np.int32
        ),
        owner_start=owner_start,
        owners=np.array([number for one in owners for number in one], np.int32),
        n_concepts=len(vocabulary),
        most_words=most_words,
        most_owners=max(map(len, owners)),
    )


def hash_word(low: int, high: int, length: int) -> int:
    """Hash a word by its first 16 bytes, as two numbers, and its length, to 64 bits."""
    one, two, three = FACTORS
    mixed = ((low + length) * one ^ high * two) & _MASK
    return (mixed ^ mixed >> 29) * three & _MASK


def hash_edge(key: int) -> int:
    """Hash a step of the forms' paths."""
    return (key * FACTORS[0] & _MASK) >> 32


def _place_words(
    words: list[bytes], meanings: list[int]
) -> tuple[NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint8]]:
    size = _choose_size(len(words))
    slots = np.zeros(size, np.uint32)
    records = np.zeros((len(words) + 1, 4), np.uint64)
    rest = bytearray()
    for number, (word, meaning) in enumerate(zip(words, meanings, strict=True), 1):
        low, high = int.from_bytes(word[:8], "little"), int.from_bytes(word[8:INLINE], "little")
        records[number] = low, high, len(rest) << 32 | len(word), meaning
        rest += word[INLINE:]
        mixed = hash_word(low, high, len(word))
        slot = mixed >> 24 & size - 1
        while slots[slot]:
            slot = slot + 1 & size - 1
        slots[slot] = mixed >> 56 << 24 | number
    return slots, records.reshape(-1), np.frombuffer(bytes(rest) or b"\0", np.uint8)


def _place_edges(later: dict[int, int]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    size = _choose_size(len(later))
    edges = np.zeros(size, np.uint64)
    nodes = np.zeros(size, np.int32)
    for key, node in later.items():
        slot = hash_edge(key) & size - 1
        while edges[slot]:
            slot = slot + 1 & size - 1
        edges[slot], nodes[slot] = key, node
    return edges, nodes


def _choose_size(entries: int) -> int:
    """Choose a power of two that is at least four times as many: most slots that are looked at tell at once."""
    return max(16, 1 << (4 * entries).bit_length())
