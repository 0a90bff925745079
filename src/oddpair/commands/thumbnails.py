"""Small pictures for pages: of one file, of two side by side, of rows of a corpus."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.pictures import decode_picture

_SIDE = 160


def as_thumbnail(data: bytes, side: int = _SIDE) -> bytes:
    """Shrink a picture to some pixels on its longer side, as JPEG."""
    picture = decode_picture(data)
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def side_by_side(pictures: Sequence[bytes]) -> bytes:
    """Put pictures beside one another, each shrunk to 160 pixels on its longer side, as one JPEG."""
    from PIL import Image

    small = [decode_picture(data) for data in pictures]
    for picture in small:
        picture.thumbnail((_SIDE, _SIDE))
    side = max(max(picture.size) for picture in small)
    gap = max(1, side // 20)
    sheet = Image.new("RGB", (len(small) * (side + gap) - gap, side), "white")
    for place, picture in enumerate(small):
        spare = (side - picture.width) // 2, (side - picture.height) // 2
        sheet.paste(picture, (place * (side + gap) + spare[0], spare[1]))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def find_files(
    corpus: Corpus | None,
    sizes: Sequence[int],
    rows: Mapping[str, int],
    *,
    told: Callable[[int], None] | None = None,
) -> dict[str, bytes]:
    """Read the pictures of some rows; only the shards that hold one are opened.

    Args:
        corpus: The corpus; ``None`` where nothing but embeddings is at hand.
        sizes: Rows that were embedded of each shard.
        rows: Row of each wanted uid among the embeddings.
        told: Called with how many more were looked for.

    Returns:
        Encoded files by uid; without a picture that is not there or cannot be decoded.
    """
    if corpus is None or not corpus.pictures:
        return {}
    ends = list(accumulate(sizes))
    wanted: dict[int, list[str]] = {}
    for uid, row in rows.items():
        wanted.setdefault(bisect_right(ends, row), []).append(uid)
    found: dict[str, bytes] = {}
    for shard, uids in sorted(wanted.items()):
        found |= corpus.only(corpus.shards[shard]).find_pictures(uids)
        if told:
            told(len(uids))
    return found
