"""``oddpair export``: a split in the format of a trainer, in a folder that says which split it holds."""

from __future__ import annotations

from pathlib import Path

from oddpair import stages
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embed import fingerprint
from oddpair.splits.export import export_parquet, export_uids, export_webdataset
from oddpair.splits.manifest import Manifest


def export_split(manifest: Manifest, corpus: Corpus, out: Path, kind: str) -> None:
    """Write a split into a folder of its own; a whole export of the same split is left as it is.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        out: The folder.
        kind: ``webdataset``, ``uids`` or ``parquet``.

    Raises:
        Refusal: If the folder holds anything else, or the split cannot be exported.
    """
    made_from = {
        "split": manifest.name,
        "uids_sha256": manifest.uids_sha256,
        "corpus": fingerprint(corpus),
        "format": kind,
    }
    if not stages.begin(out, made_from):
        return
    with stages.make(out):
        if kind == "webdataset":
            export_webdataset(manifest, corpus, out)
        elif kind == "uids":
            export_uids(manifest, out / f"{manifest.name}.npy")
        else:
            export_parquet(manifest, corpus, out / f"{manifest.name}.parquet")
