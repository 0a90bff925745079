"""A byte-pair vocabulary small enough for the miniature world, in the file format that open_clip reads."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

MERGES = 700


def learn_merges(captions: Iterable[str], merges: int = MERGES) -> list[tuple[str, str]]:
    """Learn byte-pair merges from captions: the most frequent pair first, ties to the larger pair.

    Args:
        captions: Training text.
        merges: Most merges to learn; fewer if no pair occurs twice.

    Returns:
        Pairs of symbols in the order in which they are merged.

    References:
        Sennrich, Haddow and Birch, ACL 2016.

    >>> learn_merges(["tea tea tea ten"], merges=2)
    [('t', 'e'), ('te', 'a</w>')]
    """
    import regex
    from open_clip.tokenizer import bytes_to_unicode

    symbol = bytes_to_unicode()
    # The pre-tokens of open_clip's SimpleTokenizer: another cut would learn merges that it never applies.
    pattern = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.IGNORECASE)
    words: Counter[tuple[str, ...]] = Counter()
    for caption in captions:
        for token in pattern.findall(caption.lower()):
            letters = [symbol[byte] for byte in token.encode()]
            words[(*letters[:-1], letters[-1] + "</w>")] += 1
    learned: list[tuple[str, str]] = []
    while len(learned) < merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        best, count = max(pairs.items(), key=lambda item: (item[1], item[0]))
        if count < 2:
            break
        learned.append(best)
        words = Counter({_merge(word, best): count for word, count in words.items()})
    return learned


def vocabulary_bytes(merges: Iterable[tuple[str, str]]) -> bytes:
    """Return the gzipped vocabulary file of these merges, the same bytes every time."""
    text = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)])
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as stream:
        stream.write(text.encode())
    return buffer.getvalue()


def _merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    position = 0
    while position < len(word):
        if word[position : position + 2] == pair:
            merged.append(pair[0] + pair[1])
            position += 2
        else:
            merged.append(word[position])
            position += 1
    return tuple(merged)
