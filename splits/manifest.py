"""What a split is on disk: ``uids.parquet``, the rows it keeps, and ``manifest.json``, where they come from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oddpair.errors import Refusal
from oddpair.files import read_json, read_table, write_json, write_table

FORMAT_VERSION = 1
UIDS_FILE = "uids.parquet"
MANIFEST_FILE = "manifest.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

CardRow = tuple[str, str | int | float]

_FIELDS: dict[str, type] = {
    "card": list,
    "format_version": int,
    "name": str,
    "parameters": dict,
    "provenance": dict,
    "recipe": str,
    "rows": int,
    "uids_sha256": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A split: a fixed, sorted list of uids and everything needed to make it again.

    Attributes:
        name: What the split is called, such as ``natural-strict``; letters, digits, ``.``, ``_`` and ``-``,
            because files are named after it.
        recipe: The recipe that made it, such as ``style-strict``.
        uids: The samples kept, sorted and unique, at least one.
        parameters: The recipe's own settings (thresholds, quantiles, precision), JSON values.
        provenance: What it was made from (sha256 of inputs, encoder, seeds), JSON values.
        card: What a reader should know, as (label, value) rows in reading order.

    Raises:
        Refusal: If the split keeps no row.
        ValueError: If the name could not name a file, the uids are not sorted and unique, or a field is not
            plain JSON.
    """

    name: str
    recipe: str
    uids: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    card: tuple[CardRow, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"split name {self.name!r}, needed letters, digits, '.', '_' and '-', a letter or digit first"
            )
        if not self.uids:
            raise Refusal(f"split {self.name!r} keeps no row: loosen its recipe or give it a larger corpus")
        found = _disorder(self.uids)
        if found:
            raise ValueError(f"split {self.name!r}: {found}")
        rows = [list(row) for row in self.card]
        for part, value in (("parameters", self.parameters), ("provenance", self.provenance), ("card", rows)):
            _check_json(f"split {self.name!r}: {part}", value)
        if any(len(row) != 2 or not isinstance(row[0], str) for row in rows):
            raise ValueError(f"split {self.name!r}: a card row is a label and a value")

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def uids_sha256(self) -> str:
        """The sha256 of the uid list, see ``uids_digest``."""
        return uids_digest(self.uids)


def uids_digest(uids: Sequence[str]) -> str:
    r"""Return the sha256 of a uid list in its order, each uid followed by a line end, as 64 hex digits.

    The same as ``sha256sum`` over a text file with one uid a line.

    >>> uids_digest(["a", "b"]) == hashlib.sha256(b"a\nb\n").hexdigest()
    True
    """
    found = hashlib.sha256()
    for uid in uids:
        found.update(f"{uid}\n".encode())
    return found.hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a split into ``folder``; equal manifests give equal bytes.

    The uids go first, and ``manifest.json`` names their hash: a run that is killed between the two leaves
    a folder that ``read_manifest`` refuses, never a split with another one's card.

    Args:
        folder: Made if missing.
        manifest: The split.

    Raises:
        Refusal: If the file system refuses a write.
    """
    import pyarrow as pa

    write_table(folder / UIDS_FILE, pa.table({"uid": pa.array(manifest.uids, pa.string())}))
    write_json(
        folder / MANIFEST_FILE,
        {
            "card": [list(row) for row in manifest.card],
            "format_version": FORMAT_VERSION,
            "name": manifest.name,
            "parameters": manifest.parameters,
            "provenance": manifest.provenance,
            "recipe": manifest.recipe,
            "rows": len(manifest),
            "uids_sha256": manifest.uids_sha256,
        },
    )


def read_manifest(folder: Path) -> Manifest:
    """Read a split back and verify its uids: their number, order and sha256.

    Args:
        folder: A folder that ``write_manifest`` wrote.

    Returns:
        A manifest equal to the one written.

    Raises:
        Refusal: If a file is missing, is not what a split holds, or the two files do not belong together.
    """
    path, uids_path = folder / MANIFEST_FILE, folder / UIDS_FILE
    value = read_json(path)
    _check_fields(path, value)
    column = read_table(uids_path, ["uid"]).column("uid")
    if column.null_count or str(column.type) not in ("string", "large_string"):
        raise Refusal(
            f"{uids_path} holds uids of type {column.type}, needed text in every row: make the split again"
        )
    uids = tuple(column.to_pylist())
    if len(uids) != value["rows"]:
        raise Refusal(
            f"{uids_path} holds {len(uids):,} uids, {path} says {value['rows']:,}: make the split again"
        )
    if not uids:
        raise Refusal(f"{uids_path} holds no uid: make the split again")
    found = _disorder(uids)
    if found:
        raise Refusal(f"{uids_path}: {found}: make the split again")
    if uids_digest(uids) != value["uids_sha256"]:
        raise Refusal(
            f"{uids_path} has the uid list {uids_digest(uids)[:12]}…, {path} was written for "
            f"{value['uids_sha256'][:12]}…: one of them was changed, make the split again"
        )
    try:
        return Manifest(
            name=value["name"],
            recipe=value["recipe"],
            uids=uids,
            parameters=value["parameters"],
            provenance=value["provenance"],
            card=tuple((row[0], row[1]) for row in value["card"]),
        )
    except ValueError as error:
        raise Refusal(f"{path}: {error}: make the split again") from error


def _disorder(uids: Sequence[str]) -> str:
    for row in range(1, len(uids)):
        if uids[row - 1] == uids[row]:
            return f"uid {uids[row]!r} stands twice, at rows {row - 1} and {row}"
        if uids[row - 1] > uids[row]:
            return f"uid {uids[row]!r} at row {row} sorts before the one above it"
    return ""


def _check_json(name: str, value: object) -> None:
    # A tuple or an integer key would come back as something else, and NaN is not equal to itself.
    try:
        same = json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not plain JSON ({error})") from error
    if not same:
        raise ValueError(f"{name} does not come back from JSON as it was: use lists, and text as keys")


def _check_fields(path: Path, value: object) -> None:
    if not isinstance(value, dict):
        raise Refusal(f"{path} holds {type(value).__name__}, needed an object: make the split again")
    version = value.get("format_version")
    if version != FORMAT_VERSION:
        raise Refusal(
            f"{path} has format version {version}, this oddpair reads {FORMAT_VERSION}: make the split again"
        )
    for name, kind in _FIELDS.items():
        if type(value.get(name)) is not kind:
            found = f"{name!r} is {value[name]!r}" if name in value else f"no {name!r}"
            raise Refusal(f"{path}: {found}, needed {_WORDS[kind]}: make the split again")
    unknown = sorted(set(value) - set(_FIELDS))
    if unknown:
        raise Refusal(f"{path} holds an unknown entry {unknown[0]!r}: make the split again")
    if not re.fullmatch(r"[0-9a-f]{64}", value["uids_sha256"]):
        raise Refusal(f"{path}: 'uids_sha256' is not 64 hex digits: make the split again")
    if any(not isinstance(row, list) or len(row) != 2 for row in value["card"]):
        raise Refusal(f"{path}: a row of 'card' is not a label and a value: make the split again")


_WORDS = {list: "a list", int: "a whole number", str: "text", dict: "an object"}
