"""The one type that a column has throughout a corpus, though tools infer it file by file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import pyarrow as pa

from oddpair.errors import Refusal

# Columns that ids are made from: an integer among them that became double would be another id.
IDS = ("uid", "hash")


def widen_schemas(schemas: Iterable[tuple[str, pa.Schema]], *, exact: Collection[str] = ()) -> pa.Schema:
    """Find for each column the type that holds what any of the files has in it.

    Null gives way to any type, an integer to a wider one or to double; large, viewed and dictionary-encoded
    text is string. Columns that pandas made of an index are left out.

    Args:
        schemas: Names of the files, for the error, with the columns of each.
        exact: Columns whose integers may not become double.

    Returns:
        The columns in the order of the first file; none for no files.

    Raises:
        Refusal: If a file lacks a column that another has, or no type holds both.

    >>> parts = [("a", pa.schema([("width", pa.int64())])), ("b", pa.schema([("width", pa.float64())]))]
    >>> widen_schemas(parts)
    width: double
    """
    types: dict[str, tuple[pa.DataType, str]] = {}
    first, seen = "", None
    for file, schema in schemas:
        if seen is not None and schema.equals(seen):
            continue
        found = {field.name: field.type for field in schema if not field.name.startswith("__index_level_")}
        if seen is None:
            first = file
            types = {name: (_plain(kind), file) for name, kind in found.items()}
        seen = schema
        for has, lacks, names in ((first, file, types.keys() - found), (file, first, found.keys() - types)):
            if names:
                raise _lacking(lacks, min(names), has)
        for name, kind in found.items():
            known, where = types[name]
            wider = _widen(name, (where, known), (file, kind), exact)
            types[name] = (wider, where if wider == known else file)
    return pa.schema([(name, kind) for name, (kind, _) in types.items()])


def fit_columns(
    first: tuple[str, pa.Schema], file: tuple[str, pa.Schema], columns: Sequence[str]
) -> pa.Schema:
    """Find the types of the columns that are read of one file, beside the first file of its corpus.

    What is not read may differ from file to file, and does where a tool inferred it.

    Args:
        first: Name and columns of the first file.
        file: Name and columns of the file that is read.
        columns: Those that are read.

    Returns:
        ``columns`` with the wider type of the two files.

    Raises:
        Refusal: If the file lacks one of the columns, or no type holds both; ids do not become double.

    >>> one, other = pa.schema([("width", pa.int32())]), pa.schema([("width", pa.float64())])
    >>> fit_columns(("a", one), ("b", other), ["width"])
    width: double
    """
    types = []
    for name in columns:
        if name not in file[1].names:
            raise _lacking(file[0], name, first[0])
        now = file[1].field(name).type
        before = first[1].field(name).type if name in first[1].names else now
        types.append((name, _widen(name, (first[0], before), (file[0], now), IDS)))
    return pa.schema(types)


def conform(table: pa.Table, schema: pa.Schema, file: str) -> pa.Table:
    """Give the columns of one file the types that they have throughout the corpus.

    Raises:
        Refusal: If such a type does not hold a column, because the file has changed since.
    """
    for place, field in enumerate(table.schema):
        wanted = schema.field(field.name).type
        if field.type == wanted:
            continue
        if widen_type(field.type, wanted) != wanted:
            raise Refusal(
                f"{file} has {field.type} in column {field.name!r}, it had {wanted} when it was opened: run again "
                "when nothing writes there"
            )
        # An integer beyond 2^53 is rounded, as pandas rounds it where a part has nulls.
        table = table.set_column(place, field.name, table[field.name].cast(wanted, safe=False))
    return table


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


def _widen(
    name: str, known: tuple[str, pa.DataType], new: tuple[str, pa.DataType], exact: Collection[str]
) -> pa.DataType:
    (where, before), (file, now) = known, new
    wider = widen_type(before, now)
    whole = pa.types.is_integer(before) or pa.types.is_integer(now)
    if wider is None or (name in exact and whole and pa.types.is_floating(wider)):
        raise Refusal(
            f"{file} has {now} in column {name!r}, {where} has {before}: write one of them anew with the type of "
            "the other"
        )
    return wider


def _lacking(lacks: str, name: str, has: str) -> Refusal:
    return Refusal(f"{lacks} has no column {name!r}, which {has} has: give files of one release")


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.string() if text else kind
