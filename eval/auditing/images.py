"""One line for each test image: what every part of an audit says of it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from oddpair.eval.auditing.asked import Material
from oddpair.splits.pool import pool_of_stored

SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("caption", pa.string()),
        ("nearest", pa.string()),
        ("score", pa.float32()),
        ("reference_score", pa.float32()),
        ("duplicate", pa.string()),
        ("duplicate_uid", pa.string()),
        ("style", pa.string()),
        ("label", pa.string()),
        ("concepts", pa.list_(pa.string())),
        ("least_count", pa.int64()),
        ("status", pa.string()),
    ]
)


def join_images(material: Material, pieces: Sequence[pa.Table]) -> pa.Table:
    """Put together what the parts say of the test images.

    Args:
        material: Of which the test set has the captions.
        pieces: Tables with ``uid``, each at most once, and some columns of ``SCHEMA``; the first has every test image, by
            uid. What a piece does not say of an image, or no piece says at all, is null.

    Returns:
        ``SCHEMA``, by uid.

    Raises:
        ValueError: If two pieces have the same column.
    """
    uids = pieces[0]["uid"].combine_chunks().cast(pa.string())
    columns = {"uid": uids, "caption": _find_captions(material, uids)}
    for piece in pieces:
        place = pc.index_in(uids, value_set=piece["uid"].combine_chunks().cast(pa.string()))
        for name in piece.column_names:
            if name == "uid":
                continue
            if name in columns:
                raise ValueError(f"column {name!r} comes twice, needed one piece for each")
            columns[name] = piece[name].combine_chunks().take(place)
    none = pa.nulls(len(uids))
    return pa.table({field.name: columns.get(field.name, none).cast(field.type) for field in SCHEMA})


def _find_captions(material: Material, uids: pa.Array) -> pa.Array:
    """Read the captions that the test set's embeddings hold; an empty one is none."""
    stored = material.test.need_stored()
    pool = pool_of_stored(stored)
    captions = pa.array(stored.captions(pool.rows[pool.places(uids)]), pa.string())
    return pc.if_else(pc.equal(captions, ""), pa.scalar(None, pa.string()), captions)
