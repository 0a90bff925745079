"""What a split is on disk: ``uids.parquet``, the rows it keeps, and ``manifest.json``, what is claimed of them and why."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.files import atomic, read_json, read_table, write_json

FORMAT_VERSION = 2
UIDS_FILE = "uids.parquet"
MANIFEST_FILE = "manifest.json"
CORPUS = "corpus"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_UIDS_AT_ONCE = 1 << 20
_ROWS_PER_GROUP = 1 << 16

CardRow = tuple[str, str | int | float]

_FIELDS: dict[str, type] = {
    "card": list,
    "format_version": int,
    "name": str,
    "of": str,
    "parameters": dict,
    "provenance": dict,
    "recipe": str,
    "rows": int,
    "rules": list,
    "statement": list,
    "uids_sha256": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One thing that a split guarantees, in words and in figures that can be computed again.

    Attributes:
        text: A sentence for a reader, such as ``no row is nearer to a test picture than the reference set is``.
        values: The figures that it stands on, JSON values; what ``oddpair verify`` compares.
    """

    text: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """A split: a fixed, sorted list of uids, what is claimed of it, and everything needed to make it again.

    Attributes:
        name: What the split is called, such as ``natural-strict``; letters, digits, ``.``, ``_`` and ``-``,
            because files are named after it.
        recipe: The recipe that made it, such as ``style-strict``.
        uids: The samples kept, sorted and unique, at least one, ``large_string``; any sequence of texts may be given.
        of: The set that the uids are of: ``corpus``, or the name of a test set.
        parameters: The whole recipe, JSON values.
        provenance: What it was made from (fingerprints, sha256 of encoder and vocabulary), JSON values, no path.
        rules: How many rows each rule kept or took, as (rule, rows) in the order they were applied.
        statement: What the split guarantees; empty if nothing.
        card: What else a reader should know, as (label, value) rows in reading order.

    Raises:
        Refusal: If the split keeps no row, or a uid holds a line end.
        ValueError: If the name could not name a file, the uids are not sorted and unique, or a field is not
            plain JSON.
    """

    name: str
    recipe: str
    uids: pa.Array
    of: str = CORPUS
    parameters: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    rules: tuple[tuple[str, int], ...] = ()
    statement: tuple[Claim, ...] = ()
    card: tuple[CardRow, ...] = ()
    # Computed when it is first asked for: of millions of uids it takes as long as to read them.
    _digest: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"split name {self.name!r}, needed letters, digits, '.', '_' and '-', a letter or digit first"
            )
        object.__setattr__(self, "uids", as_uids(self.uids))
        if not len(self.uids):
            raise Refusal(f"split {self.name!r} keeps no row: loosen its recipe or give it a larger corpus")
        found = _disorder(self.uids)
        if found:
            raise ValueError(f"split {self.name!r}: {found}")
        broken = pc.index(pc.match_substring(self.uids, "\n"), True).as_py()
        if broken >= 0:
            raise Refusal(
                f"split {self.name!r}: uid {self.uids[broken].as_py()!r} is not one line, and lists of uids have one a "
                "line: give these rows other uids"
            )
        rows = [list(row) for row in self.card]
        rules = [list(rule) for rule in self.rules]
        statement = [[claim.text, claim.values] for claim in self.statement]
        for part, value in (
            ("parameters", self.parameters),
            ("provenance", self.provenance),
            ("rules", rules),
            ("statement", statement),
            ("card", rows),
        ):
            _check_json(f"split {self.name!r}: {part}", value)
        if any(len(row) != 2 or not isinstance(row[0], str) for row in rows):
            raise ValueError(f"split {self.name!r}: a card row is a label and a value")
        if any(len(rule) != 2 or type(rule[0]) is not str or type(rule[1]) is not int for rule in rules):
            raise ValueError(f"split {self.name!r}: a rule is a text and a whole number of rows")

    def __len__(self) -> int:
        return len(self.uids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and as_json_value(self) == as_json_value(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def uids_sha256(self) -> str:
        """The sha256 of the uid list, see ``uids_digest``."""
        if not self._digest:
            object.__setattr__(self, "_digest", uids_digest(self.uids))
        return self._digest


def as_uids(uids: pa.Array | pa.ChunkedArray | Iterable[str]) -> pa.Array:
    """Return a list of uids as one ``large_string`` array, 40 bytes a row where uids have 32 letters."""
    if isinstance(uids, pa.ChunkedArray):
        # Cast first: 32 bits of offsets are too few for the letters of all chunks together.
        return uids.cast(pa.large_string()).combine_chunks()
    if isinstance(uids, pa.Array):
        return uids.cast(pa.large_string())
    return pa.array(uids if isinstance(uids, Sequence) else list(uids), pa.large_string())


def uids_digest(uids: pa.Array | Sequence[str]) -> str:
    r"""Return the sha256 of a uid list in its order, each uid followed by a line end, as 64 hex digits.

    The same as ``sha256sum`` over a text file with one uid a line.

    >>> uids_digest(["a", "b"]) == hashlib.sha256(b"a\nb\n").hexdigest()
    True
    """
    found = hashlib.sha256()
    listed = as_uids(uids)
    nothing, end = (pa.scalar(text, pa.large_string()) for text in ("", "\n"))
    for start in range(0, len(listed), _UIDS_AT_ONCE):
        lines = pc.binary_join_element_wise(listed.slice(start, _UIDS_AT_ONCE), nothing, end)
        found.update(lines.buffers()[2])
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
    with ThreadPoolExecutor(1) as helper:
        # Of millions of uids either takes as long as reading them, and neither holds the interpreter's lock.
        digest = helper.submit(uids_digest, manifest.uids)
        _write_uids(folder / UIDS_FILE, manifest.uids)
        object.__setattr__(manifest, "_digest", digest.result())
    write_json(folder / MANIFEST_FILE, as_json_value(manifest))


def _write_uids(path: Path, uids: pa.Array) -> None:
    """Write uids as ``files.write_table`` does, without what takes long and makes sorted hex digits no smaller."""
    import pyarrow.parquet as pq

    starts = range(0, len(uids), _UIDS_AT_ONCE)
    # Some at a time: those of a hundred million rows are too long for the offsets of one column of text.
    chunks = [uids.slice(start, _UIDS_AT_ONCE).cast(pa.string()) for start in starts]
    with atomic(path) as temporary:
        pq.write_table(
            pa.table({"uid": pa.chunked_array(chunks)}),
            temporary,
            version="2.6",
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            row_group_size=_ROWS_PER_GROUP,
            write_page_checksum=True,
        )


def as_json_value(manifest: Manifest) -> dict[str, Any]:
    """Return what ``manifest.json`` holds: everything but the uids, which stand there by their number and hash."""
    return {
        "card": [list(row) for row in manifest.card],
        "format_version": FORMAT_VERSION,
        "name": manifest.name,
        "of": manifest.of,
        "parameters": manifest.parameters,
        "provenance": manifest.provenance,
        "recipe": manifest.recipe,
        "rows": len(manifest),
        "rules": [list(rule) for rule in manifest.rules],
        "statement": [{"text": claim.text, "values": claim.values} for claim in manifest.statement],
        "uids_sha256": manifest.uids_sha256,
    }


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
    uids = as_uids(column)
    if len(uids) != value["rows"]:
        raise Refusal(
            f"{uids_path} holds {len(uids):,} uids, {path} says {value['rows']:,}: make the split again"
        )
    if not len(uids):
        raise Refusal(f"{uids_path} holds no uid: make the split again")
    found = _disorder(uids)
    if found:
        raise Refusal(f"{uids_path}: {found}: make the split again")
    digest = uids_digest(uids)
    if digest != value["uids_sha256"]:
        raise Refusal(
            f"{uids_path} has the uid list {digest[:12]}…, {path} was written for "
            f"{value['uids_sha256'][:12]}…: one of them was changed, make the split again"
        )
    try:
        return Manifest(
            name=value["name"],
            recipe=value["recipe"],
            uids=uids,
            of=value["of"],
            parameters=value["parameters"],
            provenance=value["provenance"],
            rules=tuple((row[0], row[1]) for row in value["rules"]),
            statement=tuple(
                Claim(text=claim["text"], values=claim["values"]) for claim in value["statement"]
            ),
            card=tuple((row[0], row[1]) for row in value["card"]),
        )
    except ValueError as error:
        raise Refusal(f"{path}: {error}: make the split again") from error


def _disorder(uids: pa.Array) -> str:
    rising = pc.less(uids[:-1], uids[1:])
    row = pc.index(rising, False).as_py() + 1
    if not row:
        return ""
    before, here = uids[row - 1].as_py(), uids[row].as_py()
    if before == here:
        return f"uid {here!r} stands twice, at rows {row - 1} and {row}"
    return f"uid {here!r} at row {row} sorts before the one above it"


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
    for name in ("card", "rules"):
        if any(not isinstance(row, list) or len(row) != 2 for row in value[name]):
            raise Refusal(f"{path}: a row of {name!r} is not a label and a value: make the split again")
    if any(not _is_claim(claim) for claim in value["statement"]):
        raise Refusal(f"{path}: a claim of 'statement' is not a text and its values: make the split again")


def _is_claim(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"text", "values"}
        and isinstance(value["text"], str)
        and isinstance(value["values"], dict)
    )


_WORDS = {list: "a list", int: "a whole number", str: "text", dict: "an object"}
