"""Pairs of concepts that a user wrote down: those to count whatever their frequency, or those of a test set."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.files import read_table
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.pmi import IntArray

_LONGEST_TOLD = 60


def load_pairs(path: Path, vocabulary: Vocabulary) -> IntArray:
    """Load pairs of concepts, named in any spelling or form, as ids.

    A spelling that is the name of a concept is that concept, even where others have it as a form. A pair may come
    again, in either order: it is one pair.

    Args:
        path: ``.parquet`` with text columns ``a`` and ``b``; ``.csv`` or ``.tsv`` with a header that has them; any
            other name is text with two concepts a line, between them a tab or, on a line without one, a comma, where
            lines that begin with ``#`` are passed over. Blank lines and other columns are passed over in all.
        vocabulary: The concepts.

    Returns:
        Ids ``(a, b)`` with ``a < b``, sorted, each pair once; shape ``(n_pairs, 2)``.

    Raises:
        Refusal: If the file cannot be read or holds no pair, or a line is no pair: a concept is unknown or could be
            several, is paired with itself, or one of the two is written inside the other.
    """
    path = Path(path)
    names = ConceptNames(vocabulary)
    found: dict[tuple[int, int], None] = {}
    for place, first, second in _read(path):
        try:
            pair = sorted((names.find(first), names.find(second)))
            if (pair[0], pair[1]) not in found:
                _refuse_nested(vocabulary, pair[0], pair[1])
        except Refusal as refusal:
            raise Refusal(f"{path} {place}: {refusal}") from refusal
        found[pair[0], pair[1]] = None
    if not found:
        raise Refusal(f"{path} holds no pair: write two concepts a line, with a tab or a comma between them")
    return np.array(sorted(found), np.int64)


def _refuse_nested(vocabulary: Vocabulary, first: int, second: int) -> None:
    one, other = vocabulary.concepts[first], vocabulary.concepts[second]
    if first == second:
        raise Refusal(f"{one.name!r} is paired with itself: give two concepts")
    for outer, inner in ((one, other), (other, one)):
        for whole, part in itertools.product(outer.forms, inner.forms):
            # Words are separated by single spaces, so that only whole words are found.
            if f" {part} " in f" {whole} ":
                how = "is also" if part == whole else "holds"
                raise Refusal(
                    f"{outer.name!r} and {inner.name!r} are nested and no pair, because {whole!r} of {outer.name!r} "
                    f"{how} {part!r} of {inner.name!r}, so that they co-occur by construction: leave the pair out"
                )


def _read(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the place of each pair and its two spellings."""
    if path.suffix == ".parquet":
        return _read_parquet(path)
    lines = _read_lines(path)
    if path.suffix in (".csv", ".tsv"):
        return _read_columns(path, lines, "\t" if path.suffix == ".tsv" else ",")
    return _read_text(path, lines)


def _read_parquet(path: Path) -> Iterator[tuple[str, str, str]]:
    table = read_table(path, ["a", "b"])
    for name in ("a", "b"):
        kind = table.schema.field(name).type
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(plain) or pa.types.is_large_string(plain)):
            raise Refusal(
                f"{path} has {kind} in column {name!r}, needed names of concepts: numbers mean a concept in one "
                "vocabulary only, so write names"
            )
    rows = zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True)
    for row, (first, second) in enumerate(rows):
        if first is None or second is None:
            raise Refusal(f"{path} row {row}: a concept is missing: give two, or leave the row out")
        yield f"row {row}", first, second


def _read_columns(path: Path, lines: list[str], delimiter: str) -> Iterator[tuple[str, str, str]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    wanted: tuple[int, int] | None = None
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            names = [field.strip() for field in fields]
            if wanted is None:
                if names.count("a") != 1 or names.count("b") != 1:
                    raise Refusal(
                        f"{path} line {reader.line_num}: the header is {_short(delimiter.join(names))}, needed one "
                        "column a and one column b: write such a first line"
                    )
                wanted = names.index("a"), names.index("b")
            elif len(names) <= max(wanted) or not (names[wanted[0]] and names[wanted[1]]):
                raise Refusal(
                    f"{path} line {reader.line_num}: a concept is missing: give two, or leave the line out"
                )
            else:
                yield f"line {reader.line_num}", names[wanted[0]], names[wanted[1]]
    except csv.Error as error:
        raise Refusal(f"{path} line {reader.line_num} is no table ({error}): mend its quotes") from error


def _read_text(path: Path, lines: list[str]) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        names = [name.strip() for name in line.split("\t" if "\t" in line else ",")]
        if len(names) != 2 or not all(names):
            raise Refusal(
                f"{path} line {number} is {_short(line)}, needed two concepts with a tab or a comma between them"
            )
        yield f"line {number}", names[0], names[1]


def _read_lines(path: Path) -> list[str]:
    try:
        # Not splitlines, which would also end a line where a name holds a character of other scripts' typography.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Refusal(
            f"{path} cannot be read ({error.strerror}): give a file with two concepts a line"
        ) from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    return text.split("\n")


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}…")
