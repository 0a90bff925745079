"""Annotation files of other people, entry by entry: JSON, JSON lines, and tables with a header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair.errors import Refusal
from oddpair.files import parse_json
from oddpair.retrieval.stores import list_folder, store_errors, unreadable

# A line of Flickr30k's captions: the picture, the number of the caption, and the caption.
NUMBERED = re.compile(r"([^\t]+)#\d+\t(.*)")

_LONGEST_CELL = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of an annotation file.

    Attributes:
        where: File and place, for errors.
        key: Its key, or its number from 0.
        fields: What it says, by name.
    """

    where: str
    key: str
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a field that must be text, with its white space as ``clean`` leaves it.

        Raises:
            Refusal: If it is not there, is no text, or is empty.
        """
        value = clean(self._get(name), f"{self.where}: {name!r}")
        if not value:
            raise Refusal(f"{self.where}: {name!r} is empty: fill it in")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a field that must be text or a list of texts, cleaned; empty ones stay.

        Raises:
            Refusal: If it is not there, or is something else.
        """
        value = self._get(name)
        return tuple(
            clean(text, f"{self.where}: {name!r}") for text in (value if isinstance(value, list) else [value])
        )

    def entries(self, name: str) -> tuple[Entry, ...]:
        """Return a field that must be a list of objects.

        Raises:
            Refusal: If it is not there, or is something else.
        """
        return as_entries(self._get(name), f"{self.where}: {name!r}")

    def integer(self, name: str) -> int:
        """Return a field that must be a whole number, be it written ``12.0``.

        Raises:
            Refusal: If it is not there, or is something else.
        """
        value = self._get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise Refusal(f"{self.where}: {name!r} is {str(value)[:40]!r}, needed a whole number: mend it")
        return int(value)

    def identity(self, name: str) -> str:
        """Return a field that must be a whole number or text, as text.

        Raises:
            Refusal: If it is not there, is something else, or is empty.
        """
        return self.text(name) if isinstance(self._get(name), str) else str(self.integer(name))

    def _get(self, name: str) -> Any:
        if name not in self.fields:
            have = ", ".join(list(self.fields)[:8])
            raise Refusal(f"{self.where} has no {name!r}, only {have}: mend it, or name another file")
        return self.fields[name]


def clean(text: object, where: str) -> str:
    r"""Strip a text, and make line ends and runs of white space in it one space.

    Raises:
        Refusal: If it is no text, or holds half a letter of UTF-16, which is none.

    >>> clean(" A dog\n on  a mat. ", "here")
    'A dog on a mat.'
    """
    if not isinstance(text, str):
        raise Refusal(f"{where} is {str(text)[:40]!r}, needed text: mend it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refusal(f"{where} holds half a letter ({text[error.start]!a}): mend it") from error
    return " ".join(text.split())


def read_json(path: Path) -> Any:
    """Read a JSON file of other people.

    Raises:
        Refusal: If it cannot be read, or says something twice or nothing that JSON knows.
    """
    return _parse(_read(path), str(path))


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Read a file of entries by its ending: ``.json`` (a list, or entries by key), ``.jsonl``, ``.csv`` or ``.tsv``.

    Raises:
        Refusal: If it is something else, or holds no entry.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        entries = as_entries(read_json(path), str(path))
    elif suffix == ".jsonl":
        lines = _decode(_read(path), path).split("\n")
        entries = tuple(
            _as_entry(
                _parse(line.encode(), f"{path} line {number}"), f"{path} line {number}", str(number - 1)
            )
            for number, line in enumerate(lines, 1)
            if line.strip()
        )
    elif suffix in (".csv", ".tsv"):
        entries = read_table(path)
    else:
        raise Refusal(f"{path} is no .json, .jsonl, .csv or .tsv: name a file of annotations")
    if not entries:
        raise Refusal(f"{path} holds no entry: check that it is whole")
    return entries


def as_entries(value: object, where: str) -> tuple[Entry, ...]:
    """Return the objects of a list, or of an object by their keys.

    Raises:
        Refusal: If it is something else.
    """
    if isinstance(value, dict):
        return tuple(_as_entry(one, f"{where} entry {key!r}", key) for key, one in value.items())
    if isinstance(value, list):
        return tuple(_as_entry(one, f"{where} entry {row}", str(row)) for row, one in enumerate(value))
    raise Refusal(f"{where} is {str(value)[:40]!r}, needed a list: mend it, or name another file")


def read_table(path: Path) -> tuple[Entry, ...]:
    """Read a table with a header, with commas between cells, or tabs where the header has one.

    Of a table of two columns the second may hold commas without quotes, as captions in files of the field do.

    Raises:
        Refusal: If it is no such table.
    """
    lines = _decode(_read(path), path).split("\n")
    delimiter = "\t" if "\t" in lines[0] else ","
    rows = _split_rows(path, lines, delimiter)
    header = tuple(name.strip() for name in next(rows, (1, []))[1])
    if len(set(header)) < len(header):
        raise Refusal(f"{path} names a column twice in its first line ({', '.join(header)}): rename one")
    entries = []
    for number, (line, cells) in enumerate(rows):
        if len(header) == 2 and len(cells) > 2:
            rest = delimiter.join(cells[1:])
            # Only where nothing was quoted do the cells say what the line said.
            if lines[line - 1].rstrip("\r").endswith(delimiter + rest):
                cells = [cells[0], rest]
        if len(cells) != len(header):
            mark = "tab" if delimiter == "\t" else "comma"
            raise Refusal(
                f"{path} line {line} has {len(cells)} cells, the header {len(header)}: quote cells that hold a {mark}"
            )
        fields = dict(zip(header, cells, strict=True))
        entries.append(Entry(where=f"{path} line {line}", key=str(number), fields=fields))
    return tuple(entries)


def find_annotations(path: Path, endings: Sequence[str]) -> tuple[Path, ...]:
    """Return the file itself or, of a folder, its files of some endings, sorted.

    Raises:
        Refusal: If there is no such file.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise Refusal(f"{path} does not exist: check the path")
    found = tuple(path / name for name in list_folder(path)[0] if name.lower().endswith(tuple(endings)))
    if not found:
        raise Refusal(f"{path} holds no file of annotations ({', '.join(endings)}): name the file itself")
    return found


def _as_entry(value: object, where: str, key: str) -> Entry:
    if not isinstance(value, dict):
        raise Refusal(f"{where} is {str(value)[:40]!r}, needed an object of fields: name another file")
    return Entry(where=where, key=key, fields=value)


def _split_rows(path: Path, lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Give the cells of each row that has any, and the line it ends on, from 1."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise Refusal(f"{path} line {reader.line_num} is no csv ({error}): mend that line") from error
        if cells is None:
            return
        if any(cells):
            yield reader.line_num, cells


def _parse(data: bytes, where: str) -> Any:
    try:
        return parse_json(data, of_strangers=True)
    except ValueError as error:
        raise Refusal(f"{where} is not valid JSON ({str(error).splitlines()[0]}): mend it") from error


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read().removeprefix(b"\xef\xbb\xbf")
    except store_errors() as error:
        raise unreadable(str(path), error) from error
