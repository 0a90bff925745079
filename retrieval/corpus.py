"""One corpus over every format: shards of samples, each with a uid that stays the same everywhere."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oddpair.errors import Refusal
from oddpair.retrieval.formats.folders import read_listing, read_pictures
from oddpair.retrieval.formats.shards import read_rows, read_shard, read_successes
from oddpair.retrieval.formats.tars import check_end

Layout = Literal["img2dataset", "folder"]

_SHARD_FILE = re.compile(r"(\d{5,8})(\.tar|\.parquet|_stats\.json)")
_NEEDED = (
    "a corpus is a folder of img2dataset shards (00000.tar, 00000.parquet, 00000_stats.json, …) or a folder "
    "with one .csv that has the columns file and caption"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The samples of one shard, row aligned; ``images`` are encoded files, ``columns`` all that is left."""

    shard: str
    uids: tuple[str, ...]
    keys: tuple[str, ...]
    captions: tuple[str, ...]
    images: tuple[bytes, ...]
    columns: pa.Table

    def __len__(self) -> int:
        return len(self.uids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus that was opened; give workers this object rather than its path, which is checked at opening.

    Attributes:
        root: Folder of the corpus.
        layout: ``img2dataset`` or ``folder``.
        shards: Names of the shards, sorted.
        sizes: Samples in each shard.
        duplicates: Rows of a picture folder left out because an earlier row has a file of the same bytes.
        identity: Columns that the uid is made from.
        listing: All rows of a picture folder; ``None`` for shards.
    """

    root: Path
    layout: Layout
    shards: tuple[str, ...]
    sizes: tuple[int, ...]
    duplicates: int = 0
    identity: tuple[str, ...] = ("uid",)
    listing: pa.Table | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return sum(self.sizes)

    def read(self, shard: str) -> Rows:
        """Read one shard whole, pictures included.

        Args:
            shard: One of ``shards``.

        Returns:
            Its samples in the order of the shard; the same uids that ``metadata`` gives.

        Raises:
            ValueError: If there is no such shard.
            Refusal: If the shard is damaged or incomplete.
        """
        if shard not in self.shards:
            raise ValueError(f"no shard {shard!r} in {self.root}, which has {len(self.shards)} shards")
        if self.listing is None:
            table, images = read_shard(self.root, shard)
        else:
            table = self.listing.filter(pc.equal(self.listing["shard"], shard))
            images = read_pictures(self.root, table)
        rest = [name for name in table.column_names if name not in ("uid", "key", "caption", "shard")]
        return Rows(
            shard=shard,
            uids=tuple(self._identify(shard, table)),
            keys=tuple(table["key"].to_pylist()),
            captions=tuple(table["caption"].to_pylist()),
            images=images,
            columns=table.select(rest),
        )

    def metadata(self, columns: Sequence[str] = ()) -> pa.Table:
        """Read everything but the pictures; no tar is opened.

        Args:
            columns: Columns to read beside ``uid``, ``caption`` and ``shard``.

        Returns:
            All rows in the order of the shards, with ``uid``, ``caption``, ``shard`` and then ``columns``.

        Raises:
            Refusal: If a shard lacks a column or has another type in it than the first shard, or two rows
                have the same uid.
        """
        asked = [name for name in dict.fromkeys(columns) if name not in ("uid", "caption", "shard")]
        if self.listing is not None:
            for name in asked:
                if name not in self.listing.column_names:
                    raise Refusal(
                        f"{self.root} has no column {name!r}, only {', '.join(self.listing.column_names)}: "
                        "add it to the csv"
                    )
            table = self.listing.select(["uid", "caption", "shard", *asked])
            _require_unique(self.root, table, self.listing["key"])
            return table
        parts: list[pa.Table] = []
        keys: list[pa.Array] = []
        for shard in self.shards:
            rows = read_rows(
                self.root, shard, list(dict.fromkeys(["key", "caption", *self.identity, *asked]))
            )
            part = pa.table(
                {
                    "uid": pa.array(self._identify(shard, rows), pa.string()),
                    "caption": rows["caption"],
                    "shard": pa.array([shard] * rows.num_rows, pa.string()),
                    **{name: rows[name] for name in asked},
                }
            )
            parts.append(_with_types(self.root, shard, part, parts[0].schema) if parts else part)
            keys.extend(rows["key"].chunks)
        table = pa.concat_tables(parts)
        _require_unique(self.root, table, pa.chunked_array(keys, pa.string()))
        return table

    def find_pictures(self, uids: Collection[str]) -> dict[str, bytes]:
        """Read the encoded pictures of some uids; shards that hold none of them are not opened.

        Args:
            uids: Ids; one that the corpus does not hold is passed over.

        Returns:
            Picture files by uid.
        """
        wanted = set(uids)
        metadata = self.metadata()
        shards = {
            shard
            for uid, shard in zip(metadata["uid"].to_pylist(), metadata["shard"].to_pylist(), strict=True)
            if uid in wanted
        }
        found: dict[str, bytes] = {}
        for shard in sorted(shards):
            rows = self.read(shard)
            found.update(
                {uid: data for uid, data in zip(rows.uids, rows.images, strict=True) if uid in wanted}
            )
        return found

    def _identify(self, shard: str, table: pa.Table) -> list[str]:
        missing = next((name for name in self.identity if name not in table.column_names), None)
        if missing is not None:
            raise Refusal(
                f"{self.root / shard}.parquet has no column {missing!r}, which the first shard makes its "
                "uids from: use shards of one download"
            )
        if self.identity == ("url", "caption"):
            urls = table["url"].to_pylist()
            return [
                hashlib.blake2b(f"{url or ''}\0{caption}".encode(), digest_size=16).hexdigest()
                for url, caption in zip(urls, table["caption"].to_pylist(), strict=True)
            ]
        name = self.identity[0]
        column = table[name]
        right = pa.types.is_int64 if name == "hash" else pa.types.is_string
        if not (right(column.type) or (name == "uid" and pa.types.is_large_string(column.type))):
            needed = "int64" if name == "hash" else "string"
            raise Refusal(
                f"{self.root / shard}.parquet has {column.type} in column {name!r}, needed {needed}"
            )
        values = column.to_pylist()
        empty = next((row for row, value in enumerate(values) if value is None or value == ""), None)
        if empty is not None:
            raise Refusal(
                f"{self.root / shard}.parquet has no {name} for key {table['key'][empty]}: give every row one"
            )
        return [f"{value % (1 << 64):016x}" for value in values] if name == "hash" else values


def open_corpus(path: Path | str) -> Corpus:
    """Open a folder of img2dataset shards, or a folder of pictures with one csv.

    The uid of a sample is its ``uid`` column; else LAION's ``hash`` as 16 hex digits; else the 128-bit
    BLAKE2b of ``url``, a zero byte and the caption; for a folder of pictures without that column, the first
    32 hex digits of the file's SHA-256.

    Args:
        path: The folder.

    Returns:
        The corpus, with at least one row; of its tars only the end has been looked at.

    Raises:
        Refusal: If there is no such corpus, a shard lacks one of its three files, or a tar is cut short.
    """
    root = Path(path)
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise Refusal(f"{root} {found}: {_NEEDED}")
    try:
        names = sorted(entry.name for entry in root.iterdir())
    except OSError as error:
        raise Refusal(f"{root} cannot be read ({error.strerror}): check its permissions") from error
    shards = _find_shards(root, names)
    if shards:
        return _open_shards(root, shards)
    listings = [name for name in names if name.lower().endswith(".csv") and (root / name).is_file()]
    if len(listings) > 1:
        raise Refusal(f"{root} holds {len(listings)} csv files ({', '.join(listings[:3])}): leave only one")
    if not listings:
        found = f"holds {', '.join(names[:3])}{', …' if len(names) > 3 else ''}" if names else "is empty"
        raise Refusal(f"{root} {found}: {_NEEDED}")
    listing, duplicates = read_listing(root, root / listings[0])
    sizes = Counter(listing["shard"].to_pylist())
    return Corpus(
        root=root,
        layout="folder",
        shards=tuple(sorted(sizes)),
        sizes=tuple(sizes[shard] for shard in sorted(sizes)),
        duplicates=duplicates,
        listing=listing,
    )


def _find_shards(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    parts: dict[str, set[str]] = {}
    for name in names:
        match = _SHARD_FILE.fullmatch(name)
        if match is not None:
            parts.setdefault(match[1], set()).add(match[2])
    shards = tuple(sorted(parts))
    for suffix in (".tar", ".parquet", "_stats.json"):
        missing = [f"{shard}{suffix}" for shard in shards if suffix not in parts[shard]]
        if missing:
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise Refusal(
                f"{root} lacks {missing[0]}{others} beside the other parts of the shard: run the download "
                "again"
            )
    widths = sorted({len(shard) for shard in shards})
    if len(widths) > 1:
        raise Refusal(
            f"{root} names shards with {widths[0]} and with {widths[1]} digits: use one download a folder"
        )
    return shards


def _open_shards(root: Path, shards: tuple[str, ...]) -> Corpus:
    sizes = tuple(read_successes(root, shard) for shard in shards)
    # Verbs that need no picture would not notice that a download was cut short.
    for shard in shards:
        check_end(root / f"{shard}.tar")
    if not any(sizes):
        raise Refusal(f"{root} holds {len(shards)} shards and not one sample: run the download again")
    first = root / f"{shards[0]}.parquet"
    try:
        names = pq.read_schema(first).names
    except (pa.ArrowException, OSError) as error:
        raise Refusal(f"{first} is no parquet file, or damaged: download it again") from error
    identity = next((names_ for names_ in (("uid",), ("hash",)) if names_[0] in names), ("url", "caption"))
    return Corpus(root=root, layout="img2dataset", shards=shards, sizes=sizes, identity=identity)


def _with_types(root: Path, shard: str, part: pa.Table, schema: pa.Schema) -> pa.Table:
    for name in part.column_names:
        found, needed = part.schema.field(name).type, schema.field(name).type
        if found != needed:
            raise Refusal(
                f"{root / shard}.parquet has {found} in column {name!r}, the first shard has {needed}: "
                "use shards of one download"
            )
    return part


def _require_unique(root: Path, table: pa.Table, keys: pa.ChunkedArray) -> None:
    if pc.count_distinct(table["uid"]).as_py() == table.num_rows:
        return
    first: dict[str, int] = {}
    for row, uid in enumerate(table["uid"].to_pylist()):
        if uid in first:
            one, two = (f"{table['shard'][place]} key {keys[place]}" for place in (first[uid], row))
            raise Refusal(
                f"{root} has uid {uid} twice, in shard {one} and in shard {two}: remove one of the rows"
            )
        first[uid] = row
