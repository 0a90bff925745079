"""``oddpair export``: a split in the format of a trainer, in a folder that says which split it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from oddpair import stages
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.splits.export import export_image_parquet, export_webdataset
from oddpair.splits.export_folder import export_csv, export_folder
from oddpair.splits.export_quarantine import read_quarantine
from oddpair.splits.export_tables import export_datacomp, export_laion, export_parquet, export_uids
from oddpair.splits.manifest import Manifest

_FOLDERS: dict[str, Callable[..., int | None]] = {
    "webdataset": export_webdataset,
    "image-parquet": export_image_parquet,
    "laion": export_laion,
    "datacomp": export_datacomp,
    "folder": export_folder,
    "csv": export_csv,
}
KINDS = (*_FOLDERS, "uids", "parquet")


def export_split(manifest: Manifest, corpus: Corpus, out: Path, kind: str) -> int:
    """Write a split into a folder of its own; a whole export of the same split is left as it is.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        out: The folder.
        kind: One of ``KINDS``.

    Returns:
        Rows that were set aside, listed in ``quarantine.jsonl``.

    Raises:
        Refusal: If the folder holds anything else, or the split cannot be exported.
        ValueError: If there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}, needed one of {', '.join(KINDS)}")
    made_from = {
        "split": manifest.name,
        "uids_sha256": manifest.uids_sha256,
        "corpus": fingerprint(corpus),
        "format": kind,
    }
    if stages.begin(out, made_from):
        with stages.make(out):
            if kind == "uids":
                export_uids(manifest, out / f"{manifest.name}.npy")
            elif kind == "parquet":
                export_parquet(manifest, corpus, out / f"{manifest.name}.parquet")
            else:
                _FOLDERS[kind](manifest, corpus, out)
    return len(read_quarantine(out))
