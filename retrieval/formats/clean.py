"""The one rule by which rows of a table become samples: an id and a caption each, or a line of quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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


def find_identity(types: Mapping[str, pa.DataType], where: object) -> tuple[Identity | None, tuple[str, ...]]:
    """Choose as ``choose_identity`` does, and pass over ids of a type that they cannot have.

    Args:
        types: Columns that there are, with the address as ``url``.
        where: Name of their file, for errors.

    Returns:
        What uids are made from, ``None`` for nothing; and a sentence for each column that was passed over.

    Raises:
        Refusal: If a column of ids has another type, and there is nothing else to make ids from.

    >>> find_identity({"uid": pa.int64(), "url": pa.string()}, "a.parquet")
    ('url and caption', ("column 'uid' of a.parquet is int64, needed string: ids are made from url and caption",))
    """
    fits = {"uid": _is_text, "hash": pa.types.is_int64}
    names = [name for name in types if name in (*fits, "url")]
    wrong = [
        name
        for name in fits
        if name in types and not (fits[name](types[name]) or pa.types.is_null(types[name]))
    ]
    needed = {"uid": "string", "hash": "int64"}
    identity = choose_identity([name for name in names if name not in wrong])
    if identity is None and wrong:
        raise Refusal(
            f"{where} has {types[wrong[0]]} in column {wrong[0]!r}, needed {needed[wrong[0]]}: write the table anew, "
            "or add a column 'url'"
        )
    first = choose_identity(names)
    notes = [
        f"column {name!r} of {where} is {types[name]}, needed {needed[name]}: ids are made from {identity}"
        for name in wrong
        if name == first or identity == "url and caption"
    ]
    return identity, tuple(notes)


def hash_text(url: str | None, caption: str | None) -> str:
    """Make the uid of a row that brings none: 128-bit BLAKE2b of url, a zero byte and caption, in hex.

    The caption is taken as the source has it, before anything is cut off.

    >>> hash_text("http://a", "a cat")
    '23e7eb8672b71d8fcf274a016b205153'
    """
    return blake2b(f"{url or ''}\0{caption or ''}".encode(), digest_size=16).hexdigest()


def clean(
    table: pa.Table,
    *,
    file: str,
    first_row: int,
    identity: Identity,
    captioned: bool = True,
    rows: Sequence[int] | NDArray[np.int64] | None = None,
    named: bool = True,
) -> Batch:
    """Make samples of rows: mint their uids, check their text, set bad rows aside.

    Rows are bad whose caption, key or id is not UTF-8, which have no key or nothing to make an id from (ids of
    url and caption need a url), or which have no caption (null, empty or blank). Captions of more than 10,000
    characters are cut there. Which rows are bad does not depend on the other columns; in those, bytes that are
    not UTF-8 become U+FFFD.

    Args:
        table: Some rows of a file, with the columns that ``identity`` needs, ``key``, ``caption`` if
            ``captioned``, and any others.
        file: Name of the file relative to the corpus, for the quarantine.
        first_row: Row of the file that the table begins with.
        identity: What uids are made from; with ``key`` the uid is the key.
        captioned: Whether the corpus has captions; without, every caption is ``""``.
        rows: Row in the file of each row of the table, where they do not follow each other.
        named: Whether ``uid`` and ``key`` are needed; without, good rows have neither, the same rows are good, and
            the table may come without ``key``.

    Returns:
        ``uid``, ``key``, ``caption`` and then the other columns of the rows that are good, and the bad ones.

    Raises:
        Refusal: If a column of text or the id has a type that it cannot have.
    """
    n_rows = table.num_rows
    if not captioned:
        table = _replace(table, "caption", pa.repeat(pa.scalar("", pa.string()), n_rows))
    judged = {"key", "caption", *(("url",) if identity == "url and caption" else (identity,))} - {"hash"}
    reasons: dict[int, str] = {}
    for name in table.column_names:
        if name in judged:
            text, broken = _as_text(table[name], name, file)
            reasons.update(dict.fromkeys(broken, f"{name} is not UTF-8"))
            table = _replace(table, name, text)
        elif _is_text(table[name].type):
            table = _replace(table, name, _as_text(table[name], name, file)[0])
    # With captions as the source has them, of which ids are made.
    whole = table
    uids = _mint(whole, identity, file) if named else None
    nothing = "no url" if identity == "url and caption" else f"no {identity}"
    for row in _where(_lacks_identity(table, identity) if uids is None else _is_blank(uids)):
        reasons.setdefault(row, nothing)
    if "key" in table.column_names:
        for row in _where(_is_blank(table["key"])):
            reasons.setdefault(row, "no key")
    if captioned:
        caption = table["caption"]
        for row in _find_blank(caption):
            reasons.setdefault(row, NO_CAPTION)
        # No text has more characters than bytes, and the bytes cost nothing to count.
        if (pc.max(pc.binary_length(caption)).as_py() or 0) > MAX_CAPTION:
            table = _replace(table, "caption", pc.utf8_slice_codeunits(caption, 0, MAX_CAPTION))
    if uids is not None:
        table = _replace(table, "uid", uids)
        told = [uids[row].as_py() for row in sorted(reasons)]
    else:
        told = _mint(whole.take(pa.array(sorted(reasons), pa.int64())), identity, file).to_pylist()
        for name in ("uid", "key"):
            table = _replace(table, name, pa.nulls(n_rows, pa.string()))
    bad = tuple(
        Bad(
            file=file,
            row=int(rows[row]) if rows is not None else first_row + row,
            uid=uid,
            reason=reasons[row],
        )
        for row, uid in zip(sorted(reasons), told, strict=True)
    )
    if reasons:
        table = table.take(pa.array(np.delete(np.arange(n_rows), list(reasons))))
    first = ["uid", "key", "caption"]
    return Batch(
        table=table.select([*first, *(name for name in table.column_names if name not in first)]), bad=bad
    )


def _lacks_identity(table: pa.Table, identity: Identity) -> pa.ChunkedArray:
    """Find the rows that ``_mint`` has no uid for, without minting any."""
    if identity == "url and caption":
        return _is_blank(pc.utf8_trim_whitespace(table["url"]))
    return pc.is_null(table[identity]) if identity == "hash" else _is_blank(table[identity])


def _mint(table: pa.Table, identity: Identity, file: str) -> pa.ChunkedArray:
    if identity == "url and caption":
        uids = _hash_texts(table["url"], table["caption"])
        # Without a url, all rows of one caption would be one sample, whatever their pictures are.
        return pc.if_else(_is_blank(pc.utf8_trim_whitespace(table["url"])), None, uids)
    column = table[identity]
    if identity == "hash":
        if not (pa.types.is_int64(column.type) or pa.types.is_null(column.type)):
            raise Refusal(f"{file} has {column.type} in column 'hash', needed int64: use LAION's own table")
        values = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
        return pc.if_else(pc.is_null(column), None, _hexadecimal(values.astype(">i8").tobytes(), 8))
    return column


def _hash_texts(urls: pa.ChunkedArray, captions: pa.ChunkedArray) -> pa.Array:
    # As hash_text; most rows of a web corpus take this way, so the loop holds nothing but the hash.
    large = pa.large_string()
    joined = pc.binary_join_element_wise(
        urls.cast(large),
        captions.cast(large),
        pa.scalar("\0", large),
        null_handling="replace",
        null_replacement="",
    )
    values = joined.cast(pa.large_binary()).to_pylist()
    return _hexadecimal(b"".join([blake2b(value, digest_size=16).digest() for value in values]), 16)


def _hexadecimal(data: bytes, width: int) -> pa.Array:
    """Write numbers of ``width`` bytes, one after the other in ``data``, as strings."""
    n_rows = len(data) // width
    ends = np.arange(n_rows + 1, dtype=np.int64) * (2 * width)
    text = pa.LargeStringArray.from_buffers(n_rows, pa.py_buffer(ends), pa.py_buffer(data.hex().encode()))
    return text.cast(pa.string())


def _as_text(column: pa.ChunkedArray, name: str, file: str) -> tuple[pa.ChunkedArray, list[int]]:
    """Return a column as UTF-8, with wrong bytes replaced, and the rows that had any."""
    if not (_is_text(column.type) or pa.types.is_null(column.type)):
        raise Refusal(f"{file} has {column.type} in column {name!r}, needed string: write the table anew")
    try:
        column.validate(full=True)
        return column.cast(pa.string()), []
    except pa.ArrowInvalid:
        raw = column.cast(pa.string()).cast(pa.binary()).to_pylist()
    mended = [None if value is None else value.decode(errors="replace") for value in raw]
    broken = [
        row
        for row, (value, text) in enumerate(zip(raw, mended, strict=True))
        if text is not None and text.encode() != value
    ]
    return pa.chunked_array([pa.array(mended, pa.string())]), broken


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_blank(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.equal(pc.fill_null(pc.binary_length(column), 0), 0)


def _find_blank(column: pa.ChunkedArray) -> list[int]:
    """Find the rows of text that are null, empty or nothing but white space."""
    # Text that begins with a sign of ASCII is not blank, and there is hardly any other.
    first = pc.fill_null(pc.binary_slice(column.cast(pa.binary()), 0, 1), b"")
    doubtful = _where(pc.invert(pc.and_(pc.greater(first, b" "), pc.less(first, b"\x7f"))))
    if not doubtful:
        return []
    blank = _is_blank(pc.utf8_trim_whitespace(column.take(pa.array(doubtful))))
    return [row for row, empty in zip(doubtful, blank.to_pylist(), strict=True) if empty]


def _where(mask: pa.ChunkedArray) -> list[int]:
    found: list[int] = pc.indices_nonzero(mask).to_pylist()
    return found


def _replace(table: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    if name not in table.column_names:
        return table.append_column(name, column)
    return table.set_column(table.column_names.index(name), name, column)
