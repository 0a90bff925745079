"""``oddpair search``: the pictures of a corpus nearest to a text or a picture, as a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddpair import files, html
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embeddings import Embeddings
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.pictures import BadPicture, decode_picture, decode_pixels
from oddpair.retrieval.search import nearest

PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
SHEET_SIDE = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One result: its place from 1, cosine similarity, uid and caption."""

    place: int
    score: float
    uid: str
    caption: str


def search_corpus(embeddings: Embeddings, query: NDArray[np.float32], k: int) -> list[Hit]:
    """Find the k pictures nearest to a query.

    Args:
        embeddings: The corpus.
        query: Unit row of the same encoder, shape ``(1, d)``.
        k: Results.

    Returns:
        Hits, best first; ties by uid.
    """
    found = nearest(query, embeddings.image, k, uids=embeddings.uids)
    return [
        Hit(place=place, score=float(score), uid=embeddings.uids[row], caption=embeddings.captions[row])
        for place, (score, row) in enumerate(zip(found.scores[0], found.rows[0], strict=True), start=1)
    ]


def embed_query(encoder: Encoder, query: str) -> NDArray[np.float32]:
    """Embed a text or the picture at a path as one unit row, shape ``(1, d)``.

    Raises:
        Refusal: If the query is empty, is the path of a file that is no picture, or reads like the path of a
            picture that is not there.
    """
    if not query.strip():
        raise Refusal("the query is empty: give a text or the path of a picture")
    if not _is_file(query):
        if Path(query).suffix.lower() not in PICTURE_ENDINGS:
            return encoder.encode_texts([query])
        raise Refusal(f"{query} does not exist: check the path of the picture")
    try:
        return encoder.encode_pictures([decode_pixels(Path(query).read_bytes())], textures=False)[0]
    except BadPicture as error:
        raise Refusal(f"{query}: {error}: give a JPEG, PNG or WebP picture") from error


def write_sheet(path: Path, corpus: Corpus, query: str, hits: Sequence[Hit]) -> None:
    """Write the hits as one HTML page, with their pictures where the corpus has them."""
    parts = []
    if corpus.pictures:
        pictures = corpus.find_pictures([hit.uid for hit in hits])
        shown = [
            (as_thumbnail(pictures[hit.uid]), f"{hit.score:.3f} {hit.caption}")
            for hit in hits
            if hit.uid in pictures
        ]
        parts.append(html.contact_sheet(shown, columns=5))
    rows = [[hit.place, f"{hit.score:.4f}", hit.uid, hit.caption] for hit in hits]
    table = html.table(["place", "similarity", "uid", "caption"], rows, caption="The same as a table")
    lead = f"The {len(hits)} pictures of {corpus.name} nearest to “{query}”, by exact search."
    section = html.section("Nearest pictures", *parts, table)
    files.write_text(path, html.page("Search", [section], lead=lead))


def _is_file(query: str) -> bool:
    try:
        return Path(query).is_file()
    except OSError:  # a text may be longer than a name can be
        return False


def as_thumbnail(data: bytes) -> bytes:
    """Shrink a picture to 160 pixels on its longer side, as JPEG."""
    import io

    picture = decode_picture(data)
    picture.thumbnail((SHEET_SIDE, SHEET_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
