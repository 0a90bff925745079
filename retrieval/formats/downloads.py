"""What the outputs of img2dataset share: numbered shards, tables that list failures too, and stats that count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.files import write_json
from oddpair.retrieval.formats.clean import Identity, find_identity
from oddpair.retrieval.formats.parquet import DamagedTable, read_footer, stream_table
from oddpair.retrieval.formats.schemas import widen_schemas
from oddpair.retrieval.formats.strict_json import parse_json
from oddpair.retrieval.places import Place, require_no_gaps
from oddpair.retrieval.stores import store_errors, unreadable

_NAMED = 5
_OPENED_AT_ONCE = 16


class Download(NamedTuple):
    """What ``open_download`` found; the fields are those of the sources that are made of it."""

    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    first: str
    schema: pa.Schema
    identity: Identity
    captioned: bool
    notes: tuple[str, ...]


def find_shards(place: Place, parts: Sequence[str]) -> tuple[str, ...]:
    """Find the numbered shards of a download, all of whose files must be there.

    Args:
        place: Where the download is.
        parts: Endings of the files of one shard, such as ``.tar`` and ``_stats.json``.

    Returns:
        Names of the shards, sorted, such as ``00003``.

    Raises:
        Refusal: If there is none, one lacks a file or is missing in the numbering, or numbers differ in length.
    """
    endings = "|".join(map(re.escape, parts))
    pattern = re.compile(rf"((?:[^/]+/)*)(\d{{5,8}})({endings})")
    found = [match for match in map(pattern.fullmatch, place.names) if match is not None]
    names = {match[0] for match in found}
    shards = sorted({match[1] + match[2] for match in found})
    widths = sorted({len(match[2]) for match in found})
    if not shards:
        raise Refusal(f"{place.root} holds no shard such as 00000{parts[0]}: give a folder of img2dataset")
    if len(widths) > 1:
        raise Refusal(
            f"{place.root} names shards with {widths[0]} and with {widths[1]} digits: use one download a folder"
        )
    missing = [shard + part for shard in shards for part in parts if shard + part not in names]
    if place.explicit:
        missing = [name for name in missing if not (place.root / name).is_file()]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        # The tar is written first: what lacks only the others may be on its way.
        advice = "run" if any(name.endswith(".tar") for name in missing) else "still downloading, or run"
        raise Refusal(
            f"{place.root} lacks {', '.join(missing[:_NAMED])}{more} beside the other parts of the shard: "
            f"{advice} the download again"
        )
    require_no_gaps(place, shards)
    return tuple(shards)


def open_download(
    place: Place, parts: Sequence[str], *, without_column: str, without_identity: str
) -> Download:
    """Open what every output of img2dataset has: the stats of all shards and the columns of one table are read.

    The uid is the column ``uid``; else LAION's ``hash``; else it is made from ``url`` and caption.

    Args:
        place: Where the download is.
        parts: Endings of the files of one shard, as for ``find_shards``.
        without_column: What to do where a column is not there.
        without_identity: What to do where ids cannot be made.

    Returns:
        What was found; sizes are the successes that the stats count.

    Raises:
        Refusal: If a shard lacks a file or is missing in the numbering, no table can be read, ids cannot be made,
            or there is not one sample.
    """
    shards = find_shards(place, parts)
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        sizes = tuple(pool.map(lambda shard: read_successes(place.root, shard), shards))
    if not any(sizes):
        raise Refusal(f"{place.root} holds {len(shards)} shards and not one sample: run the download again")
    first, schema = read_first_columns(place.root, shards)
    table = place.root / first
    for name in ("key", "status"):
        if name not in schema.names or schema.field(name).type != pa.string():
            raise Refusal(f"{table} has no column {name!r} of strings: {without_column}")
    identity, passed = find_identity(dict(zip(schema.names, schema.types, strict=True)), table)
    if identity is None:
        raise Refusal(f"{table} has none of the columns uid, hash and url: {without_identity}")
    captioned = "caption" in schema.names
    silent = () if captioned else (f"There are no captions: {first} has no column 'caption'.",)
    return Download(
        shards=shards,
        sizes=sizes,
        first=first,
        schema=schema,
        identity=identity,
        captioned=captioned,
        notes=(*passed, *silent),
    )


def read_first_columns(root: Path, shards: Sequence[str]) -> tuple[str, pa.Schema]:
    """Read the columns of the first table that can be read, and its name.

    Raises:
        Refusal: If none can.
    """
    reason = ""
    for shard in shards:
        try:
            schema = read_footer(root / f"{shard}.parquet")[0]
        except DamagedTable as damage:
            reason = reason or f"{shard}.parquet: {damage.reason}"
        else:
            return f"{shard}.parquet", widen_schemas([("", schema)])
    raise Refusal(f"{root} has no table that can be read ({reason}): download it again")


def find_successes(part: pa.Table) -> pa.Array:
    """Find the rows of a table that were downloaded, by ``status``."""
    return pc.indices_nonzero(pc.fill_null(pc.equal(part["status"].cast(pa.string()), "success"), False))


def count_successes(path: Path) -> int:
    """Count the rows of a table that were downloaded.

    Raises:
        DamagedTable: If the table cannot be read to its end.
        Refusal: If it has no column ``status``, or cannot be read.
    """
    return sum(len(find_successes(part)) for part in stream_table(path, ["status"]))


def describe_counts(listed: int, counted: int) -> str:
    """Say that a table and its stats disagree.

    >>> describe_counts(9, 10)
    'lists 9 rows with status success, the stats count 10'
    """
    return f"lists {listed} rows with status success, the stats count {counted}"


def read_successes(folder: Path, shard: str) -> int:
    """Read how many samples a shard holds by its stats, without opening its other files.

    Raises:
        Refusal: If the stats lack a whole number of successes.
    """
    path = folder / f"{shard}_stats.json"
    try:
        stats = parse_json(path.read_bytes())
    except store_errors() as error:
        raise unreadable(str(path), error) from error
    except ValueError as error:
        raise Refusal(f"{path} is no valid JSON ({error}): download the shard again") from error
    successes = stats.get("successes") if isinstance(stats, dict) else None
    if not isinstance(successes, int) or isinstance(successes, bool) or successes < 0:
        raise Refusal(
            f"{path} has successes {successes!r}, needed a count of samples: download the shard again"
        )
    return successes


def write_stats(folder: Path, shard: str, n_rows: int) -> None:
    """Write the stats of a shard without failures; times are 0, since the same rows give the same bytes."""
    stats = {
        "count": n_rows,
        "successes": n_rows,
        "failed_to_download": 0,
        "failed_to_resize": 0,
        "duration": 0,
        "start_time": 0,
        "end_time": 0,
        "status_dict": {"success": n_rows},
    }
    write_json(folder / f"{shard}_stats.json", stats)
