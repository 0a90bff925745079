"""A split as hashes of its addresses and captions, by which its rows are found in copies that have other uids."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.errors import Refusal
from oddpair.files import read_table, write_table
from oddpair.progress import track
from oddpair.retrieval.subset import UidArray, parse_uids
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.exports.laion_hash import hash_laion
from oddpair.splits.exports.rows import Readable, name_address, plan_rows, read_tables, require_content
from oddpair.splits.exports.tables import refuse_without_address
from oddpair.splits.exports.uid_keys import UidIndex, index_keys
from oddpair.splits.manifest import Manifest, as_uids

_COLUMNS = ("uid", "url_sha256", "text_sha256", "laion_hash")
_ROWS_AT_ONCE = 100_000
_HALF = 16
_KEY = 32


def export_url_hash(manifest: Manifest, corpus: Readable, path: Path) -> None:
    """Write a split as one table of hashes, sorted by uid, so that its rows are found in copies with other uids.

    ``url_sha256`` and ``text_sha256`` are the SHA-256 of address and caption in hex; ``laion_hash`` is the column
    ``hash`` of LAION's releases, the corpus's own where it has one, else made as LAION made it.

    Args:
        manifest: The split.
        corpus: The corpus it was made from; its pictures are not read.
        path: The ``.parquet`` file.

    Raises:
        Refusal: If a uid of the split is not in the corpus, or a row has no address or caption.
    """
    require_content(corpus, pictures=False)
    plan = plan_rows(manifest, corpus, _ROWS_AT_ONCE)
    parts = []
    with track("hashing addresses", len(plan.parts), "parts") as progress:
        for _, table in read_tables(corpus, plan, plan.parts):
            rows = name_address(table)
            refuse_without_address(corpus, rows)
            own = rows["hash"] if "hash" in rows.column_names else None
            known = own is not None and own.type == pa.int64() and not own.null_count
            columns = (
                rows["uid"],
                hash_texts(rows["url"]),
                hash_texts(rows["caption"]),
                own if known else hash_laion(rows["url"], rows["caption"]),
            )
            parts.append(pa.table(dict(zip(_COLUMNS, columns, strict=True))))
            progress.advance()
    write_table(path, pa.concat_tables(parts).sort_by("uid"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HashTable:
    """Where the rows of a split are among the hashes of addresses; both give a row's place in the split.

    Attributes:
        with_text: By address and caption.
        address: By address alone, of those that one row of the split has.
    """

    with_text: UidIndex
    address: UidIndex

    def find(self, urls: pa.ChunkedArray, captions: pa.ChunkedArray) -> tuple[IntArray, IntArray]:
        """Find rows of a copy in the split.

        Args:
            urls: Their addresses, shape ``(n,)``; one without is not found.
            captions: Their captions, shape ``(n,)``.

        Returns:
            By address and caption, then by address alone: places in the split, -1 for none, shape ``(n,)`` each.
        """
        addresses, texts = hash_texts(urls), hash_texts(captions)
        exact = self.with_text.find_keys(_join_keys(addresses, texts))
        near = self.address.find_keys(_cut_keys(addresses))
        return exact, np.where(exact >= 0, -1, near)


def read_url_hash(path: Path, manifest: Manifest) -> HashTable:
    """Read the table that ``export_url_hash`` wrote of a split.

    Args:
        path: The ``.parquet`` file.
        manifest: The split, of whose rows the table must be.

    Returns:
        What finds its rows.

    Raises:
        Refusal: If the table is of another split, or was not written so.
    """
    table = read_table(path, list(_COLUMNS[:3]))
    if table.num_rows != len(manifest) or not as_uids(table["uid"]).equals(manifest.uids):
        raise Refusal(
            f"{path} lists {table.num_rows:,} uids that are not those of split {manifest.name!r}: write it with "
            "oddpair export --as url-hash"
        )
    try:
        exact = _join_keys(table["url_sha256"], table["text_sha256"])
        addresses = _cut_keys(table["url_sha256"])
    except (Refusal, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Refusal(f"{path} holds what is no SHA-256 in hex: write it again") from error
    _, places, copies = np.unique(addresses, return_index=True, return_counts=True)
    alone = np.sort(places[copies == 1]).astype(np.int64)
    found = index_keys(addresses[alone])
    return HashTable(
        with_text=index_keys(exact), address=UidIndex(keys=found.keys, places=alone[found.places])
    )


def hash_texts(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the SHA-256 of each text as 64 hex digits; null counts as no text.

    >>> hash_texts(pa.array(["a"])).to_pylist()[0][:16]
    'ca978112ca1bbdca'
    """
    found = [sha256((text or "").encode()).hexdigest() for text in texts.to_pylist()]
    return pa.array(found, pa.string())


def _join_keys(addresses: pa.Array | pa.ChunkedArray, texts: pa.Array | pa.ChunkedArray) -> UidArray:
    """Make 128-bit keys of the first halves of both hashes."""
    halves = [pc.utf8_slice_codeunits(column, 0, _HALF) for column in (addresses, texts)]
    return parse_uids(pc.binary_join_element_wise(*halves, ""))


def _cut_keys(addresses: pa.Array | pa.ChunkedArray) -> UidArray:
    return parse_uids(pc.utf8_slice_codeunits(addresses, 0, _KEY))
