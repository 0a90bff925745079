"""One pass over the bytes of captions: words, looked up by their bytes, and the forms that they make.

Text is looked at 64 bytes at a time, and words of up to 15 bytes are hashed and compared as two numbers. A hash only
says where to look: a word is found if its bytes are those of a word of the vocabulary. Places in text are addresses,
so that the same loop reads Arrow's buffers and text that was folded. What is rare is done in functions of its own,
which keeps the loop in registers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.kernel.compiled import compiled
from oddpair.retrieval.mentions.characters import FIRST_PLANE, MOST_GROWTH, PICTOGRAPHS, Characters
from oddpair.retrieval.mentions.instructions import (
    WINDOW,
    count_zeros,
    find_in_words,
    find_not_ascii,
    read_byte,
    read_eight,
)
from oddpair.retrieval.mentions.tables import FACTORS, INLINE, NOBODY, Tables

# Bytes behind a caption that are read, though not looked at: a window, and the 16 of a word's key.
MARGIN = 96

_ZERO, _ONE, _ALL = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
_LOWER = np.uint64(0x2020202020202020)
_APOSTROPHE = np.uint8(0x27)
_SMALL_S = np.uint8(0x73)
_FACTORS = (np.uint64(FACTORS[0]), np.uint64(FACTORS[1]), np.uint64(FACTORS[2]))
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_NUMBER, _TWO = np.uint64(0xFFFFFF), np.uint64(2)
_MOST = np.int32(2**31 - 1)


@compiled()
def scan_captions(
    values: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    tables: Tables,
    characters: Characters,
    longest: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Find the concepts of each caption.

    Args:
        values: Text of all captions as UTF-8.
        offsets: Caption ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
        tables: The vocabulary.
        characters: Folded forms; with no entry, all text is folded already and holds nothing but words and spaces.
        longest: Whether what lies inside a longer form does not count.

    Returns:
        Ends and concepts as in ``Incidence``; and the captions, with no concept so far, that must be folded as a whole.
    """
    n_rows = len(offsets) - 1
    ends = np.zeros(n_rows + 1, np.int64)
    concepts = np.empty(8 * n_rows + 1024, np.int32)
    hard = np.empty(n_rows, np.int64)
    n_found, n_hard = 0, 0
    seen = np.full(tables.n_concepts, -1, np.int32)
    folded = len(characters.alone) == 0
    slots, records = tables.slots, tables.records
    edges, nodes, further = tables.edges, tables.nodes, tables.further
    owner_of = tables.owner_of
    last_slot, last_edge = np.uint64(len(slots) - 1), np.uint64(len(edges) - 1)
    path_nodes = np.empty(tables.most_words, np.int32)
    path_starts = np.empty(tables.most_words, np.int32)
    path_words = np.empty(tables.most_words, np.uint64)
    largest = 0
    for row in range(n_rows):
        largest = max(largest, offsets[row + 1] - offsets[row])
    scratch = np.empty(MOST_GROWTH * largest + MARGIN, np.uint8)
    spans = np.empty((0, 3), np.int32)
    text = np.int64(values.ctypes.data)
    behind = text + len(values)
    for row in range(n_rows):
        start, end, lower = text + offsets[row], text + offsets[row + 1], _LOWER
        if end + MARGIN > behind or folded or not _is_ascii(start, end):
            size = _prepare(values[offsets[row] : offsets[row + 1]], characters, scratch)
            if size < 0:
                hard[n_hard] = row
                n_hard += 1
                ends[row + 1] = n_found
                continue
            start, lower = np.int64(scratch.ctypes.data), _ZERO
            end = start + size
        # No caption has more words than half its bytes, and at each no more forms end than words are in the longest.
        most = ((end - start) // 2 + 1) * tables.most_words
        if longest and most > len(spans):
            spans = np.empty((2 * most, 3), np.int32)
        room = min(most * tables.most_owners, tables.n_concepts)
        if n_found + room >= len(concepts):
            more = np.empty(2 * (n_found + room), np.int32)
            more[:n_found] = concepts[:n_found]
            concepts = more
        n_spans, n_paths, position = 0, 0, np.int32(0)
        # A window begins at ``place``; ``bits`` are its words that were not looked at yet, ``ahead`` is the next one's.
        place, ahead, bits = start, start, _ZERO
        while True:
            if not bits:
                place = ahead
                if place >= end:
                    break
                bits = find_in_words(place)
                if end - place < WINDOW:
                    bits &= (_ONE << np.uint64(end - place)) - _ONE
                ahead = place + WINDOW
                continue
            shift = count_zeros(bits)
            run = count_zeros(~(bits >> np.uint64(shift)))
            begin = place + shift
            if shift + run == WINDOW and shift:
                # The word may go on behind the window: look again from where it begins.
                ahead, bits = begin, _ZERO
                continue
            size = run if run < WINDOW else _find_end(begin, end) - begin
            stop = begin + size
            position += np.int32(1)
            # The bytes of the word, and zeros for those behind it.
            four = np.uint64(4 * min(size, 8))
            low = (read_eight(begin) | lower) & ~(_ALL << four << four)
            four = np.uint64(4 * min(max(size - 8, 0), 8))
            high = (read_eight(begin + 8) | lower) & ~(_ALL << four << four)
            mixed = _hash(low, high, size)
            number = _ZERO
            if stop + 1 < end and read_byte(stop) == _APOSTROPHE and _is_in_word(read_byte(stop + 1)):
                stop, number = _look_up_joined(begin, end, lower, tables)
            elif size >= INLINE:
                number = _look_up_long(begin, size, lower, tables)
            else:
                slot = (mixed >> np.uint64(24)) & last_slot
                while slots[slot]:
                    if np.uint64(slots[slot]) >> np.uint64(24) == mixed >> np.uint64(56):
                        number = np.uint64(slots[slot]) & _NUMBER
                        if records[number << _TWO] == low and records[(number << _TWO) + _ONE] == high:
                            break
                        number = _ZERO
                    slot = slot + _ONE & last_slot
            if stop - place >= WINDOW:
                ahead, bits = stop, _ZERO
            else:
                bits = bits >> np.uint64(stop - place) << np.uint64(stop - place)
            if not number:
                n_paths = 0
                continue
            meaning = records[(number << _TWO) + np.uint64(3)]
            if meaning & _LOW_HALF and not n_paths and not longest:
                # A form of this word alone, with which no longer form begins, and of one concept.
                concept = (meaning & _LOW_HALF) - _ONE
                if seen[concept] != row:
                    seen[concept] = row
                    concepts[n_found] = concept
                    n_found += 1
                continue
            # Every path of forms is taken one word further, and one more begun.
            kept = 0
            for path in range(n_paths + 1):
                if path < n_paths:
                    if not path_words[path] >> (number & np.uint64(63)) & _ONE:
                        continue
                    node, begun = np.int64(-1), path_starts[path]
                    key = np.uint64(path_nodes[path]) << _HALF | number
                    # As ``tables.hash_edge``.
                    step = (key * _FACTORS[0]) >> _HALF & last_edge
                    while edges[step]:
                        if edges[step] == key:
                            node = np.int64(nodes[step])
                            break
                        step = step + _ONE & last_edge
                else:
                    node, begun = np.int64(meaning >> _HALF) - 1, position
                if node < 0:
                    continue
                owner = owner_of[node]
                if owner == NOBODY:
                    pass
                elif longest:
                    spans[n_spans, 0], spans[n_spans, 1], spans[n_spans, 2] = begun, position, node
                    n_spans += 1
                elif owner >= 0:
                    if seen[owner] != row:
                        seen[owner] = row
                        concepts[n_found] = owner
                        n_found += 1
                else:
                    n_found = _emit(int(node), row, tables, seen, concepts, n_found)
                if further[node]:
                    path_nodes[kept], path_starts[kept], path_words[kept] = node, begun, further[node]
                    kept += 1
            n_paths = kept
        if longest:
            for span in range(_drop_inner(spans, n_spans)):
                n_found = _emit(int(spans[span, 2]), row, tables, seen, concepts, n_found)
        ends[row + 1] = n_found
    # What was read by its address lives until here.
    scratch[0] = 0
    return ends, concepts[:n_found].copy(), hard[:n_hard].copy()


@compiled()
def _hash(low: np.uint64, high: np.uint64, size: int) -> np.uint64:
    """Hash a word as ``tables.hash_word`` does."""
    mixed = (low + np.uint64(size)) * _FACTORS[0] ^ high * _FACTORS[1]
    return (mixed ^ (mixed >> np.uint64(29))) * _FACTORS[2]


@compiled()
def _is_ascii(start: int, end: int) -> bool:
    place = start
    while end - place >= WINDOW:
        if find_not_ascii(place):
            return False
        place += WINDOW
    return bool(place == end or not find_not_ascii(place) & ((_ONE << np.uint64(end - place)) - _ONE))


@compiled()
def _prepare(text: NDArray[np.uint8], characters: Characters, out: NDArray[np.uint8]) -> int:
    """Write a caption folded, with room behind it; its length, or -1 if its characters cannot be folded one by one."""
    folded = len(characters.alone) == 0
    place, size = 0, 0
    while place < len(text):
        lead = text[place]
        if lead < 0x80 or folded:
            out[size] = lead | np.uint8(0x20) if 0x41 <= lead <= 0x5A else lead
            size += 1
            place += 1
            continue
        if lead < 0xE0:
            code, width = np.int64(lead & 0x1F), 2
        elif lead < 0xF0:
            code, width = np.int64(lead & 0x0F), 3
        else:
            code, width = np.int64(lead & 0x07), 4
        if place + width > len(text):
            return -1
        for further in range(1, width):
            code = code << 6 | np.int64(text[place + further] & 0x3F)
        if code >= FIRST_PLANE:
            if not PICTOGRAPHS[0] <= code < PICTOGRAPHS[1]:
                return -1
            code += FIRST_PLANE - PICTOGRAPHS[0]
        if not characters.alone[code]:
            return -1
        for form in range(characters.start[code], characters.start[code + 1]):
            out[size] = characters.forms[form]
            size += 1
        place += width
    return size


@compiled()
def _is_in_word(byte: np.uint8) -> bool:
    return bool((0x61 <= byte | np.uint8(0x20) <= 0x7A) or (0x30 <= byte <= 0x39) or byte >= 0x80)


@compiled()
def _find_end(begin: int, end: int) -> int:
    """Find where a run of letters and digits ends."""
    while begin < end and _is_in_word(read_byte(begin)):
        begin += 1
    return begin


@compiled()
def _look_up_joined(begin: int, end: int, lower: np.uint64, tables: Tables) -> tuple[int, np.uint64]:
    """Find where a word with apostrophes inside ends, and its number without them and a possessive; 0 for none."""
    stop = _find_end(begin, end)
    while stop + 1 < end and read_byte(stop) == _APOSTROPHE and _is_in_word(read_byte(stop + 1)):
        stop = _find_end(stop + 1, end)
    joined = np.empty(stop - begin + MARGIN, np.uint8)
    size, before = 0, 0
    for place in range(begin, stop):
        byte = read_byte(place)
        if byte == _APOSTROPHE:
            before = size
        else:
            joined[size] = byte | np.uint8(lower & np.uint64(0xFF))
            size += 1
    if read_byte(stop - 2) == _APOSTROPHE and joined[size - 1] == _SMALL_S:
        size = before
    number = _look_up_long(int(np.int64(joined.ctypes.data)), size, _ZERO, tables)
    # What was read by its address lives until here.
    joined[0] = 0
    return stop, number


@compiled()
def _look_up_long(begin: int, size: int, lower: np.uint64, tables: Tables) -> np.uint64:
    """Return the number of a word of any length, byte by byte; 0 if the vocabulary has none with these bytes."""
    small = np.uint8(lower & np.uint64(0xFF))
    low, high = _ZERO, _ZERO
    for place in range(min(size, INLINE)):
        byte = np.uint64(read_byte(begin + place) | small)
        if place < 8:
            low |= byte << np.uint64(8 * place)
        else:
            high |= byte << np.uint64(8 * (place - 8))
    mixed = _hash(low, high, size)
    last = np.uint64(len(tables.slots) - 1)
    slot = (mixed >> np.uint64(24)) & last
    while tables.slots[slot]:
        number = np.uint64(tables.slots[slot]) & _NUMBER
        record = number << _TWO
        form = tables.records[record + _TWO]
        if (
            tables.records[record] == low
            and tables.records[record + _ONE] == high
            and form & _LOW_HALF == np.uint64(size)
        ):
            start, same = np.int64(form >> _HALF) - INLINE, True
            for place in range(INLINE, size):
                if read_byte(begin + place) | small != tables.rest[start + place]:
                    same = False
            if same:
                return number
        slot = slot + _ONE & last
    return _ZERO


@compiled()
def _emit(
    node: int,
    row: int,
    tables: Tables,
    seen: NDArray[np.int32],
    concepts: NDArray[np.int32],
    n_found: int,
) -> int:
    """Write down the concepts of a form that the caption did not mention before."""
    for place in range(tables.owner_start[node], tables.owner_start[node + 1]):
        owner = tables.owners[place]
        if seen[owner] != row:
            seen[owner] = row
            concepts[n_found] = owner
            n_found += 1
    return n_found


@compiled()
def _drop_inner(spans: NDArray[np.int32], n_spans: int) -> int:
    """Keep the spans that lie inside no longer one; they come sorted by end, then start."""
    kept, lowest, span = n_spans, _MOST, n_spans - 1
    while span >= 0:
        # Of all that end where this one does, the longest comes first.
        while span > 0 and spans[span - 1, 1] == spans[span, 1]:
            span -= 1
        if spans[span, 0] < lowest:
            lowest = spans[span, 0]
            kept -= 1
            spans[kept] = spans[span]
        span -= 1
    for place in range(kept, n_spans):
        spans[place - kept] = spans[place]
    return n_spans - kept
