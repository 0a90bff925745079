"""The rows of a download that failed: img2dataset lists them with their status beside those that it fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.formats.clean import clean
from oddpair.retrieval.formats.downloads import find_successes
from oddpair.retrieval.formats.image_parquet import ImageParquetSource
from oddpair.retrieval.formats.img2dataset import Img2datasetSource
from oddpair.retrieval.formats.metadata import MetadataSource
from oddpair.retrieval.formats.parquet import DamagedTable, stream_table

_IDENTITY = {"uid": ("uid",), "hash": ("hash",), "url and caption": ("url",), "key": ()}


def read_failed(corpus: Corpus, shard: str, columns: Sequence[str] = ()) -> Iterator[pa.Table]:
    """Read the rows of a shard that could not be downloaded, with the uids that they would have had.

    Args:
        corpus: The corpus; layouts other than img2dataset's tables list no failures.
        shard: One of its shards.
        columns: Columns to read beside; those that the table has not are left out.

    Yields:
        ``uid``, ``url`` (text, ``""`` where there is none), ``caption``, ``reason`` (status and message) and the
        columns.
    """
    source = corpus.source
    if not isinstance(source, Img2datasetSource | ImageParquetSource | MetadataSource):
        return
    names = source.schema.names
    if not {"key", "status"} <= set(names):
        return
    asked = [name for name in dict.fromkeys(columns) if name in names]
    wanted = ["key", "status", "error_message", "caption", "url", *_IDENTITY[source.identity], *asked]
    known = [name for name in dict.fromkeys(wanted) if name in names]
    try:
        for part in stream_table(source.root / f"{shard}.parquet", known):
            lost = np.ones(part.num_rows, dtype=np.bool_)
            lost[find_successes(part).to_numpy()] = False
            rows = part.filter(pa.array(lost))
            table = clean(
                rows,
                file=f"{shard}.parquet",
                first_row=0,
                identity=source.identity,
                captioned=source.captioned,
            ).table
            yield _tell(table).select(list(dict.fromkeys(["uid", "url", "caption", "reason", *asked])))
    except DamagedTable:  # what is wrong with it is told where its rows are read
        return


def _tell(table: pa.Table) -> pa.Table:
    nothing = pa.nulls(table.num_rows, pa.string())
    statuses = table["status"].to_pylist()
    messages = (table["error_message"] if "error_message" in table.column_names else nothing).to_pylist()
    told = [
        ": ".join(str(text) for text in (status or "no status", message) if text)
        for status, message in zip(statuses, messages, strict=True)
    ]
    table = table.append_column("reason", pa.array(told, pa.string()))
    if "url" not in table.column_names:
        table = table.append_column("url", pa.array([""] * table.num_rows, pa.string()))
    return table
