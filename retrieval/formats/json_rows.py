"""What a tar without a table says of its samples: the txt member, and the scalar fields of the json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import hash_text
from oddpair.retrieval.formats.strict_json import parse_json
from oddpair.retrieval.formats.tar_samples import HASH_COLUMNS, BadSample
from oddpair.retrieval.formats.tars import Entry, read_member

TarIdentity = Literal["uid", "hash", "url and caption", "bytes"]
Scalar = str | int | float | bool | None

_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRow:
    """One sample without its picture.

    Attributes:
        entry: Where its members lie.
        caption: From the txt member, else ``caption`` or ``text`` of the json; ``None`` if there is none.
        uid: Field of that name.
        hash: Field of that name, a signed number of 64 bits.
        url: Field of that name.
        digest: Hash in hex that the stored picture must have, where that is known.
        fields: Fields asked for that are no list or object.
    """

    entry: Entry
    caption: str | None
    uid: str | None
    hash: int | None
    url: str | None
    digest: str | None
    fields: dict[str, Scalar] = field(default_factory=dict)

    @property
    def identity(self) -> TarIdentity:
        """What the uid is made of: this row alone decides, so that a tar has the same uids beside any others."""
        if self.uid:
            return "uid"
        if self.hash is not None:
            return "hash"
        return "url and caption" if self.url and self.url.strip() else "bytes"

    def make_uid(self, picture: bytes | None = None) -> str:
        """Make the uid, of a row whose ``identity`` is ``bytes`` from the picture."""
        if self.uid:
            return self.uid
        if self.hash is not None:
            return f"{self.hash % 2**64:016x}"
        if picture is None:
            return hash_text(self.url, self.caption)
        return hashlib.sha256(picture).hexdigest()[:32]


def read_row(file: BinaryIO, entry: Entry, columns: Sequence[str] | None) -> JsonRow:
    """Read the txt and json members of one sample.

    Args:
        file: The archive.
        entry: The sample.
        columns: Fields of the json to keep; ``None`` for all.

    Returns:
        What they say.

    Raises:
        BadSample: If the sample has a fault, its json is not strict JSON of an object, or text is not UTF-8.
    """
    if entry.fault is not None:
        raise BadSample(entry.fault)
    values: Any = {}
    if "json" in entry.members:
        try:
            values = parse_json(read_member(file, entry.members["json"]))
        except ValueError as error:
            raise BadSample(f"sample {entry.key} has no valid json ({error})") from error
        if not isinstance(values, dict):
            raise BadSample(f"sample {entry.key} has a json that is no object")
    caption = _first_text(values, ("caption", "text"))
    if "txt" in entry.members:
        caption = read_member(file, entry.members["txt"]).decode(errors="surrogateescape")
    uid, url, number = _first_text(values, ("uid",)), _first_text(values, ("url",)), values.get("hash")
    for name, text in (("caption", caption), ("uid", uid), ("url", url)):
        if text is not None and not _is_utf8(text):
            raise BadSample(f"{name} is not UTF-8")
    kept = values if columns is None else {name: values[name] for name in columns if name in values}
    return JsonRow(
        entry=entry,
        caption=caption,
        uid=uid,
        hash=number if type(number) is int and number in _INT64 else None,
        url=url,
        digest=_find_digest(values),
        fields={name: value for name, value in kept.items() if not isinstance(value, list | dict)},
    )


def build_columns(rows: Sequence[JsonRow], columns: Sequence[str] | None, name: str) -> dict[str, pa.Array]:
    """Make columns of the fields of one shard, each with the type that all its values have.

    Whole numbers and fractions in one column make it double; other mixtures make it text. Bytes that are no
    text become U+FFFD.

    Args:
        rows: The samples.
        columns: Fields, of which the rows hold at least these; ``None`` for all.
        name: What messages call the shard.

    Returns:
        Columns by name, in the order asked for, or in that of the first sample that has each.

    Raises:
        Refusal: If no sample has a field that was asked for.
    """
    there = dict.fromkeys(field for row in rows for field in row.fields)
    made = ("uid", "key", "caption")
    asked = [
        column for column in (there if columns is None else dict.fromkeys(columns)) if column not in made
    ]
    missing = next((column for column in asked if rows and column not in there), None)
    if missing is not None:
        raise Refusal(
            f"no sample of {name} has a number or text {missing!r} in its json: ask for another column"
        )
    return {column: _build_column(row.fields.get(column) for row in rows) for column in asked}


def _build_column(values: Iterable[Scalar]) -> pa.Array:
    values = list(values)
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and all(value in _INT64 for value in values if value is not None):
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else _as_text(value) for value in values], pa.string())


def _as_text(value: str | float | bool) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _first_text(values: dict[str, Any], names: Sequence[str]) -> str | None:
    return next((values[name] for name in names if isinstance(values.get(name), str)), None)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_digest(values: dict[str, Any]) -> str | None:
    # The rule of find_hashes, for the row of img2dataset that the json repeats.
    if "width" not in values or values["width"] is not None:
        return None
    return _first_text(values, HASH_COLUMNS)
