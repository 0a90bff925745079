"""Parquet files that lie: a footer or the header of a page taken apart, changed and put together again."""

import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq

# Kinds of Thrift's compact protocol.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_WHOLE = (4, 5, 6)
# Fields of parquet.thrift: of the file, a group of rows, a column of it, what is said of the column, and a page.
ROWS, GROUPS = 3, 4
COLUMNS, GROUP_ROWS = 1, 3
FILE_PATH, SAID = 1, 3
VALUES, UNPACKED, PACKED, PAGE, DICTIONARY = 5, 6, 7, 9, 11
PAGE_UNPACKED, PAGE_PACKED, DATA_PAGE = 2, 3, 5


def as_parquet(table, **options):
    """A table as it is written by ``oddpair eval``, or in another way."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"compression": "zstd", "write_page_checksum": True, **options})
    return sink.getvalue()


def change_footer(data, change):
    """Let ``change`` alter the footer, a mapping of field numbers to ``[kind, value]``."""
    length = int.from_bytes(data[-8:-4], "little")
    footer, _ = _read_struct(data[:-8], len(data) - 8 - length)
    change(footer)
    written = _write_struct(footer)
    return data[: -8 - length] + written + len(written).to_bytes(4, "little") + b"PAR1"


def columns_of(footer):
    """What the footer says of each column of the first group of rows."""
    return [column[SAID][1] for column in footer[GROUPS][1][1][0][COLUMNS][1][1]]


def change_page(data, column, change, body=None):
    """Put a copy of a column's first data page at the end, its header altered, and let the footer lead there."""
    found = {}
    change_footer(data, lambda footer: found.update(columns_of(footer)[column]))
    header, start = _read_struct(data, found[PAGE][1])
    packed = data[start : start + header[PAGE_PACKED][1]] if body is None else body
    change(header)
    page = _write_struct(header) + packed
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")

    def lead_there(footer):
        said = columns_of(footer)[column]
        said[PAGE][1], said[PACKED][1] = at, len(page)
        said.pop(DICTIONARY, None)

    return change_footer(data[:at] + page + data[at:], lead_there)


def understate(footer):
    """Let every column unpack to next to nothing, as the footer says."""
    for said in columns_of(footer):
        said[UNPACKED][1] = 100


def repeat(table, name, value):
    """A table with one text in every row of a column, which a dictionary stores once."""
    place = table.schema.get_field_index(name)
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * table.num_rows, pa.int32()), [value])
    # Without Arrow's own schema the file does not tell that the column was one of a dictionary.
    return as_parquet(table.set_column(place, name, repeated), store_schema=False)


def _read_number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def _write_number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _read_struct(data, at):
    fields, last = {}, 0
    while data[at]:
        kind, step = data[at] & 0x0F, data[at] >> 4
        at += 1
        if not step:
            number, at = _read_number(data, at)
            step = (number >> 1 ^ -(number & 1)) - last
        last += step
        value, at = _read_value(data, at, kind)
        fields[last] = [kind, value]
    return fields, at + 1


def _read_value(data, at, kind):
    if kind in (_TRUE, _FALSE):
        return None, at
    if kind == _BYTE:
        return data[at], at + 1
    if kind in _WHOLE:
        number, at = _read_number(data, at)
        return number >> 1 ^ -(number & 1), at
    if kind == _DOUBLE:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind == _BINARY:
        length, at = _read_number(data, at)
        return data[at : at + length], at + length
    if kind == _STRUCT:
        return _read_struct(data, at)
    assert kind in (_LIST, _SET), kind
    of, length = data[at] & 0x0F, data[at] >> 4
    at += 1
    if length == 15:
        length, at = _read_number(data, at)
    items = []
    for _ in range(length):
        # Truths in a list are a byte each.
        item, at = _read_value(data, at, _BYTE if of in (_TRUE, _FALSE) else of)
        items.append(item)
    return [of, items], at


def _write_struct(fields):
    out, last = b"", 0
    for number, (kind, value) in sorted(fields.items()):
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + _write_number(number << 1)
        out += _write_value(kind, value)
        last = number
    return out + b"\0"


def _write_value(kind, value):
    if kind in (_TRUE, _FALSE):
        return b""
    if kind == _BYTE:
        return bytes([value])
    if kind in _WHOLE:
        return _write_number(value << 1 ^ value >> 63)
    if kind == _DOUBLE:
        return struct.pack("<d", value)
    if kind == _BINARY:
        return _write_number(len(value)) + value
    if kind == _STRUCT:
        return _write_struct(value)
    of, items = value
    length = (
        bytes([len(items) << 4 | of]) if len(items) < 15 else bytes([0xF0 | of]) + _write_number(len(items))
    )
    return length + b"".join(_write_value(_BYTE if of in (_TRUE, _FALSE) else of, item) for item in items)
