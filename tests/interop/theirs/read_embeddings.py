"""Run by the interpreter of the tools: uid, caption and the sum of each picture's row, as embedding-reader reads them."""

from __future__ import annotations

import json
import sys

from embedding_reader import EmbeddingReader  # type: ignore[import-not-found, unused-ignore]

reader = EmbeddingReader(
    embeddings_folder=f"{sys.argv[1]}/img_emb",
    metadata_folder=f"{sys.argv[1]}/metadata",
    meta_columns=["uid", "caption"],
    file_format="parquet_npy",
)
found = []
for rows, table in reader(batch_size=64, start=0, end=reader.count, show_progress=False):
    totals = rows.astype("float64").sum(axis=1).tolist()
    found += list(zip(table["uid"].tolist(), table["caption"].tolist(), totals, strict=True))
json.dump(found, sys.stdout)
