"""The card of an audit, ``audit.json``: everything that was found, rounded once, so that page and card show the same digits."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.auditing.found import Audit, Share
from oddpair.eval.board.serialise import round_number

FORMAT_VERSION = 1
CARD_FILE = "audit.json"
_FIELDS = frozenset(field.name for field in dataclasses.fields(Audit)) - {"images"}


def round_audit(audit: Audit) -> Audit:
    """Round every number of an audit to six decimals; its images are left as they are."""
    return dataclasses.replace(audit, **{name: _round(getattr(audit, name)) for name in _FIELDS})


def as_card(audit: Audit, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return what ``audit.json`` holds.

    Args:
        audit: What was found, rounded.
        hashes: sha256 of each file that is written beside the card, by name.
    """
    told = {name: _plain(getattr(audit, name)) for name in sorted(_FIELDS)}
    return {"format_version": FORMAT_VERSION, "files": dict(hashes), **told}


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of an audit.

    Args:
        folder: Folder that ``oddpair audit`` wrote.

    Raises:
        Refusal: If there is none, or it is of another version.
    """
    path = folder / CARD_FILE
    card = files.read_json(path)
    if not isinstance(card, dict) or card.get("format_version") != FORMAT_VERSION:
        found = card.get("format_version") if isinstance(card, dict) else type(card).__name__
        raise Refusal(
            f"{path} has format version {found!r}, this oddpair reads {FORMAT_VERSION}: make the audit again"
        )
    return card


def compare_cards(told: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Say in which entries two cards differ, a line each, as ``nearness.corpus.rows: 7 in the card, 8 found``.

    >>> list(compare_cards({"a": {"b": 1, "c": [2]}}, {"a": {"b": 1, "c": [3]}}))
    ['a.c.0: 2 in the card, 3 found']
    """
    ours, theirs = dict(_walk(told)), dict(_walk(found))
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        if ours.get(name, _NOTHING) != theirs.get(name, _NOTHING):
            yield f"{name}: {_tell(ours.get(name, _NOTHING))} in the card, {_tell(theirs.get(name, _NOTHING))} found"


def hash_table(table: pa.Table) -> str:
    """Return the sha256 of what a table holds, however it is laid out or compressed: of its lines as CSV.

    Args:
        table: With columns of texts, numbers and lists of texts.

    >>> hash_table(pa.table({"a": ["x"]})) == hash_table(pa.table({"a": pa.array(["x"], pa.large_string())}))
    True
    """
    columns = {
        name: pc.binary_join(column.cast(pa.list_(pa.string())), "\x1f")
        if pa.types.is_list(column.type)
        else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.table(columns), sink, csv.WriteOptions(quoting_style="needed"))
    return hashlib.sha256(sink.getvalue()).hexdigest()


_NOTHING = object()
_LONGEST = 60


def _tell(value: object) -> str:
    text = "nothing" if value is _NOTHING else f"{value!r}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _walk(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _walk(value[key], f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from _walk(item, f"{prefix}.{place}")
    else:
        yield prefix, value


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return round_number(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value,
            **{field.name: _round(getattr(value, field.name)) for field in dataclasses.fields(value)},
        )
    if isinstance(value, tuple):
        return tuple(_round(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _round(item) for key, item in value.items()}
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        # An interval that the data set no end has none.
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {**told, "value": round_number(value.value)} if isinstance(value, Share) else told
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
