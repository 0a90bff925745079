"""The one rule by which rows of a table become samples: an id and a caption each, or a line of quarantine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.retrieval.samples import NO_CAPTION, Bad, Batch

Identity = Literal["uid", "hash", "url and caption", "key"]

# A model reads 77 tokens; what is longer than this is not a caption but a page.
MAX_CAPTION = 10_000


def choose_identity(columns: Sequence[str]) -> Identity | None:
    """Choose what the uid of a row is made from, by the columns that there are.

    DataComp's ``uid``; else LAION's ``hash``; else ``url`` and caption; ``None`` if there is none of these.

    >>> choose_identity(["url", "caption", "hash"])
    'hash'
    """
    if "uid" in columns:
        return "uid"
    if "hash" in columns:
        return "hash"
    return "url and caption" if "url" in columns else None


def hash_text(url: str | None, caption: str | None) -> str:
    """Make the uid of a row that brings none: 128-bit BLAKE2b of url, a zero byte and caption, in hex.

    The caption is taken as the source has it, before anything is cut off.

    >>> hash_text("http://a", "a cat")
    '23e7eb8672b71d8fcf274a016b205153'
    """
    return hashlib.blake2b(f"{url or ''}\0{caption or ''}".encode(), digest_size=16).hexdigest()


def clean(
    table: pa.Table,
    *,
    file: str,
    first_row: int,
    identity: Identity,
    captioned: bool = True,
    rows: Sequence[int] | None = None,
) -> Batch:
    """Make samples of rows: mint their uids, check their text, set bad rows aside.

    Rows whose text is not UTF-8, which have no uid, or which have no caption (null, empty or blank) are bad.
    Captions of more than 10,000 characters are cut there.

    Args:
        table: Some rows of a file, with the columns that ``identity`` needs, ``key``, ``caption`` if
            ``captioned``, and any others.
        file: Name of the file relative to the corpus, for the quarantine.
        first_row: Row of the file that the table begins with.
        identity: What uids are made from; with ``key`` the uid is the key.
        captioned: Whether the corpus has captions; without, every caption is ``""``.
        rows: Row in the file of each row of the table, where they do not follow each other.

    Returns:
        ``uid``, ``key``, ``caption`` and then the other columns of the rows that are good, and the bad ones.

    Raises:
        Refusal: If a column of text or the id has a type that it cannot have.
    """
    if not captioned:
        table = _replace(table, "caption", pa.array([""] * table.num_rows, pa.string()))
    reasons: dict[int, str] = {}
    for name in [name for name in ("uid", "url", "key", "caption") if name in table.column_names]:
        text, broken = _as_text(table[name], name, file)
        table = _replace(table, name, text)
        reasons.update(dict.fromkeys(broken, f"{name} is not UTF-8"))
    uids = _mint(table, identity, file)
    for row in _where(pc.or_(pc.is_null(uids), pc.equal(uids, ""))):
        reasons.setdefault(row, f"no {identity}")
    if captioned:
        caption = table["caption"]
        blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(caption, "")), "")
        for row in _where(blank):
            reasons.setdefault(row, NO_CAPTION)
        if (pc.max(pc.utf8_length(caption)).as_py() or 0) > MAX_CAPTION:
            table = _replace(table, "caption", pc.utf8_slice_codeunits(caption, 0, MAX_CAPTION))
    table = _replace(table, "uid", uids)
    bad = tuple(
        Bad(
            file=file,
            row=rows[row] if rows is not None else first_row + row,
            uid=uids[row].as_py(),
            reason=reasons[row],
        )
        for row in sorted(reasons)
    )
    if reasons:
        good = [row for row in range(table.num_rows) if row not in reasons]
        table = table.take(pa.array(good, pa.int64()))
    first = ["uid", "key", "caption"]
    return Batch(
        table=table.select([*first, *(name for name in table.column_names if name not in first)]), bad=bad
    )


def _mint(table: pa.Table, identity: Identity, file: str) -> pa.ChunkedArray:
    if identity == "url and caption":
        # Most rows of a web corpus take this way, so the loop is kept bare.
        pairs = zip(table["url"].to_pylist(), table["caption"].to_pylist(), strict=True)
        return pa.chunked_array([pa.array([hash_text(url, caption) for url, caption in pairs], pa.string())])
    column = table[identity]
    if identity == "hash":
        if not pa.types.is_int64(column.type):
            raise Refusal(f"{file} has {column.type} in column 'hash', needed int64: use LAION's own table")
        values = [None if value is None else f"{value % (1 << 64):016x}" for value in column.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())])
    return column


def _as_text(column: pa.ChunkedArray, name: str, file: str) -> tuple[pa.ChunkedArray, list[int]]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise Refusal(f"{file} has {kind} in column {name!r}, needed string: write the table anew")
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.cast(pa.large_binary()).to_pylist()
        decoded = [_decoded(value) for value in raw]
        broken = [row for row, (value, text) in enumerate(zip(raw, decoded, strict=True)) if value != text]
        mended = [None if text is None else text.decode() for text in decoded]
        return pa.chunked_array([pa.array(mended, pa.string())]), broken
    return column.cast(pa.string()), []


def _decoded(value: bytes | None) -> bytes | None:
    """Return bytes that are UTF-8; of others, what is left without the wrong ones."""
    return None if value is None else value.decode(errors="ignore").encode()


def _where(mask: pa.ChunkedArray) -> list[int]:
    found: list[int] = pc.indices_nonzero(pc.fill_null(mask, True)).to_pylist()
    return found


def _replace(table: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    if name not in table.column_names:
        return table.append_column(name, column)
    return table.set_column(table.column_names.index(name), name, column)
