"""Embedding folders of given rows, written as ``oddpair embed`` lays them out."""

import numpy as np
import pyarrow as pa

from oddpair import files
from oddpair.retrieval.embed_layout import part_path

ENCODER = "ab" * 32


def write_stored(folder, rows, uids, sizes, kind="img_emb"):
    """Write float16 rows and their uids into shards of the sizes given, some of which may be 0."""
    ends = np.cumsum(sizes)
    for shard, (start, end) in enumerate(zip(ends - sizes, ends, strict=True)):
        files.write_array(part_path(folder, kind, shard, len(sizes)), rows[start:end].astype(np.float16))
        names = pa.array(uids[start:end], pa.string())
        captions = pa.array([f"caption of {uid}" for uid in uids[start:end]], pa.string())
        files.write_table(
            part_path(folder, "metadata", shard, len(sizes)),
            pa.table({"image_path": names, "caption": captions, "uid": names}),
        )
    write_manifest(folder, rows=list(sizes), dimensions={kind: rows.shape[1]})
    return folder


def write_manifest(folder, **fields):
    """Write a manifest, or change some fields of the one there."""
    path = folder / "manifest.json"
    known = files.read_json(path) if path.exists() else {"encoder_sha256": ENCODER}
    files.write_json(path, {**known, **fields})
