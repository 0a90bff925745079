"""An embedded corpus in memory: what ``oddpair embed`` made, or what others did, with each sample once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.embed_layout import SAME_VECTOR, Kind, part_path, read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """An embedded corpus in memory, all rows in shard order.

    Attributes:
        uids: Ids, length ``n``, each once.
        captions: Captions, length ``n``.
        image: Unit rows, float32, shape ``(n, d)``; ``(n, 0)`` if only captions were embedded.
        text: Unit rows of the captions, float32, shape ``(n, d)``; ``(n, 0)`` if only pictures were embedded.
        texture: Style statistics, float32, shape ``(n, t)``; ``(n, 0)`` likewise.
        encoder: sha256 of the encoder's weights; ``""`` where it is not known.
        duplicates: Rows left out because an earlier row has the same uid and the same vectors.
    """

    uids: tuple[str, ...]
    captions: tuple[str, ...]
    image: NDArray[np.float32]
    text: NDArray[np.float32]
    texture: NDArray[np.float32]
    encoder: str
    duplicates: int = 0


def load_embeddings(folder: Path) -> Embeddings:
    """Read an embedding folder, every part checked against its neighbours.

    Raises:
        Refusal: If the folder is no finished embedding, a part has other rows or another dimension than
            its metadata and manifest say, or two rows of one uid have different vectors.
    """
    manifest = read_manifest(folder)
    sizes: list[int] = manifest["rows"]
    tables = [part_path(folder, "metadata", index, len(sizes)) for index in range(len(sizes))]
    uids: list[str] = []
    captions: list[str] = []
    for table_path, rows in zip(tables, sizes, strict=True):
        table = files.read_table(table_path, ["uid", "caption"])
        if len(table) != rows:
            raise Refusal(f"{table_path} has {len(table)} rows, its manifest says {rows}: embed again")
        uids.extend(table["uid"].to_pylist())
        captions.extend(table["caption"].to_pylist())
    found = Embeddings(
        uids=tuple(uids),
        captions=tuple(captions),
        image=_load_rows(folder, "img_emb", manifest),
        text=_load_rows(folder, "text_emb", manifest),
        texture=_load_rows(folder, "texture", manifest),
        encoder=manifest["encoder_sha256"],
    )
    ends = list(accumulate(sizes))

    def tell_place(row: int) -> str:
        part = bisect_right(ends, row)
        return f"{tables[part]} row {row - ends[part] + sizes[part]}"

    return _keep_once(found, tell_place)


def _load_rows(folder: Path, kind: Kind, manifest: dict[str, Any]) -> NDArray[np.float32]:
    sizes: list[int] = manifest["rows"]
    width = manifest["dimensions"].get(kind, 0)
    # One copy is all that a large corpus leaves room for.
    rows = np.empty((sum(sizes), width), dtype=np.float32)
    stop = 0
    for index, size in enumerate(sizes if width else []):
        path = part_path(folder, kind, index, len(sizes))
        part = files.read_array(path)
        if part.shape != (size, width) or part.dtype != np.float16:
            raise Refusal(
                f"{path} holds {part.dtype} of shape {part.shape}, its manifest says float16 of {(size, width)}: "
                "embed again"
            )
        start, stop = stop, stop + size
        rows[start:stop] = part
    return rows


def _keep_once(found: Embeddings, tell_place: Callable[[int], str]) -> Embeddings:
    """Leave out rows whose uid came before with the same vector of the picture and, of one caption, of it too."""
    if len(set(found.uids)) == len(found.uids):
        return found
    first: dict[str, int] = {}
    keep = np.ones(len(found.uids), dtype=np.bool_)
    for row, uid in enumerate(found.uids):
        earlier = first.setdefault(uid, row)
        if earlier == row:
            continue
        keep[row] = False
        # One picture may have two captions, and then they have two rows.
        same_caption = found.captions[row] == found.captions[earlier]
        for rows in (found.image, found.text) if same_caption else (found.image,):
            if np.linalg.norm(rows[row] - rows[earlier]) > SAME_VECTOR:
                raise Refusal(
                    f"uid {uid} has one vector in {tell_place(earlier)} and another in {tell_place(row)}: remove "
                    "one of the rows from the corpus, or give them uids of their own"
                )
    kept = np.flatnonzero(keep).tolist()
    return Embeddings(
        uids=tuple(found.uids[row] for row in kept),
        captions=tuple(found.captions[row] for row in kept),
        image=found.image[keep],
        text=found.text[keep],
        texture=found.texture[keep],
        encoder=found.encoder,
        duplicates=len(found.uids) - len(kept),
    )
