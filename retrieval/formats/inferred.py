"""Columns whose types pandas inferred, file by file: integers in one part are doubles or nulls in the next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce

import pyarrow as pa

from oddpair.errors import Refusal


def widen_schemas(schemas: Sequence[tuple[str, pa.Schema]], *, exact: Collection[str] = ()) -> pa.Schema:
    """Find for each column the type that holds what any of the files has in it.

    Null gives way to any type, an integer to a wider one or to double, large text to string. Columns that
    pandas made of an index are left out.

    Args:
        schemas: Names of the files, for the error, with the columns of each; at least one.
        exact: Columns whose numbers may not be rounded, and so do not become double.

    Returns:
        The columns in the order of the first file.

    Raises:
        Refusal: If a file lacks a column that another has, or no type holds both.

    >>> parts = [("a", pa.schema([("width", pa.int64())])), ("b", pa.schema([("width", pa.float64())]))]
    >>> widen_schemas(parts)
    width: double
    """
    return reduce(lambda one, other: _widen_file(one, other, exact), schemas, schemas[0])[1]


def widen_type(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both, ``None`` if there is none.

    >>> widen_type(pa.int32(), pa.int64()), widen_type(pa.null(), pa.large_string())
    (DataType(int64), DataType(string))
    >>> widen_type(pa.int64(), pa.string()) is None
    True
    """
    first, second = _plain(first), _plain(second)
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if pa.types.is_list(first) and pa.types.is_list(second):
        inner = widen_type(first.value_type, second.value_type)
        return None if inner is None else pa.list_(inner)
    for same in (pa.types.is_signed_integer, pa.types.is_unsigned_integer, pa.types.is_floating):
        if same(first) and same(second):
            return max(first, second, key=lambda kind: kind.bit_width)
    numbers = (pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (first, second))
    return pa.float64() if all(numbers) else None


def widen_column(table: pa.Table, name: str, kind: pa.DataType, file: str) -> pa.ChunkedArray:
    """Give a column of one file the type that ``widen_schemas`` found for it.

    Raises:
        Refusal: If the type does not hold it, because the file has changed since.
    """
    found = table[name].type
    if widen_type(found, kind) != kind:
        raise Refusal(
            f"{file} has {found} in column {name!r}, it had {kind} when it was opened: run again when nothing "
            "writes there"
        )
    # An integer beyond 2^53 is rounded, as pandas rounds it where a part has nulls.
    return table[name].cast(kind, safe=False)


def _widen_file(
    known: tuple[str, pa.Schema], new: tuple[str, pa.Schema], exact: Collection[str]
) -> tuple[str, pa.Schema]:
    (first, one), (file, other) = known, new
    names = [name for name in one.names if not name.startswith("__index_level_")]
    for has, lacks, missing in (
        (first, file, set(names) - set(other.names)),
        (file, first, {name for name in other.names if not name.startswith("__index_level_")} - set(names)),
    ):
        if missing:
            raise Refusal(f"{lacks} has no column {min(missing)!r}, which {has} has: give files of one run")
    types = []
    for name in names:
        before, now = one.field(name).type, other.field(name).type
        kind = widen_type(before, now)
        if kind is None:
            raise Refusal(
                f"{file} has {now} in column {name!r}, the files before it have {before}: write one of them anew "
                "with the type of the other"
            )
        if name in exact and pa.types.is_floating(kind):
            raise Refusal(f"{file} has {kind} in column {name!r}, which rounds ids: write it anew as int64")
        types.append((name, kind))
    return first, pa.schema(types)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind
