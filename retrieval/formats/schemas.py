"""The one type that each column has in every file of a corpus."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from oddpair.errors import Refusal


def require_one_schema(schemas: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """Find the columns that all files of a corpus have, each with its one type.

    A column that is null throughout one file takes its type from the others; large, viewed and
    dictionary-encoded text counts as string.

    Args:
        schemas: Names of the files, for the error, with the columns of each.

    Returns:
        The columns, in the order of the first file; none for no files.

    Raises:
        Refusal: If a column is missing in one file or has another type in it.

    >>> first, second = pa.schema([("url", pa.null())]), pa.schema([("url", pa.large_string())])
    >>> require_one_schema([("a", first), ("b", second)])
    url: string
    """
    types: dict[str, tuple[pa.DataType, str]] = {}
    first, seen = "", None
    for file, schema in schemas:
        if seen is not None and schema.equals(seen):
            continue
        found = {field.name: _plain_type(field.type) for field in schema}
        if seen is None:
            first = file
            types = {name: (kind, file) for name, kind in found.items()}
        seen = schema
        for has, lacks, names in ((first, file, types.keys() - found), (file, first, found.keys() - types)):
            if names:
                raise Refusal(
                    f"{lacks} has no column {min(names)!r}, which {has} has: give files of one release"
                )
        for name, kind in found.items():
            known, where = types[name]
            if pa.types.is_null(known):
                types[name] = (kind, file)
            elif kind != known and not pa.types.is_null(kind):
                raise Refusal(
                    f"{file} has {kind} in column {name!r}, {where} has {known}: write one of them anew with "
                    "the type of the other"
                )
    return pa.schema([(name, kind) for name, (kind, _) in types.items()])


def conform(table: pa.Table, schema: pa.Schema, file: str) -> pa.Table:
    """Give the columns of one file the types that they have throughout the corpus.

    Raises:
        Refusal: If one has a type that was not there when the corpus was opened.
    """
    for place, field in enumerate(table.schema):
        wanted = schema.field(field.name).type
        if field.type == wanted:
            continue
        if _plain_type(field.type) != wanted and not pa.types.is_null(field.type):
            raise Refusal(
                f"{file} has {field.type} in column {field.name!r}, it had {wanted} when the run began: run again"
            )
        table = table.set_column(place, field.name, table[field.name].cast(wanted))
    return table


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pa.string() if text else kind
