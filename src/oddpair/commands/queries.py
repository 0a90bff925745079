"""What ``oddpair search`` is asked: texts, pictures and rows of vectors, all as unit rows of one encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.commands.thumbnails import as_thumbnail
from oddpair.errors import Refusal
from oddpair.progress import track
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.pictures import BadPicture, Pixels, decode_pixels

PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
_VECTOR_ENDING = ".npy"
# More texts than this take a model of the usual size over two seconds.
_MANY_TEXTS = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """One query.

    Attributes:
        name: The text or path as it was given; of a row of vectors its file and number.
        row: Its embedding, of length 1, float32, shape ``(d,)``.
        thumbnail: A small JPEG of a picture; ``None`` for texts and vectors.
    """

    name: str
    row: NDArray[np.float32]
    thumbnail: bytes | None = None


def read_queries(encoder: Encoder, given: Iterable[str]) -> list[Query]:
    """Embed queries of any kind, in their order; what repeats comes once, and a file of vectors gives one a row.

    Args:
        encoder: The model.
        given: Texts, paths of pictures, and paths of ``.npy`` files of vectors of the same model: float16, float32
            or float64, shape ``(m, d)``, of any length but 0.

    Returns:
        The queries.

    Raises:
        Refusal: If a query is empty, is the path of a file that is no picture, reads like the path of a picture or
            array that is not there, or a row of vectors is of another dimension, zero or not finite.
    """
    names = list(dict.fromkeys(given))
    kinds = {name: _kind(name) for name in names}
    found: dict[str, list[Query]] = {
        name: _read_vectors(Path(name), encoder) for name in names if kinds[name] == "vectors"
    }
    pictures = [name for name in names if kinds[name] == "picture"]
    if pictures:
        thumbnails: list[bytes] = []
        rows, _ = encoder.encode_pictures(_read_pictures(pictures, thumbnails), textures=False)
        for name, row, thumbnail in zip(pictures, rows, thumbnails, strict=True):
            found[name] = [Query(name=name, row=row, thumbnail=thumbnail)]
    texts = [name for name in names if kinds[name] == "text"]
    if texts:
        found |= {
            name: [Query(name=name, row=row)]
            for name, row in zip(texts, _embed_texts(encoder, texts), strict=True)
        }
    return [query for name in names for query in found[name]]


def read_lines(path: Path) -> list[str]:
    """Read a file of one query a line; empty lines are passed over.

    Raises:
        Refusal: If there is no such file, it is not UTF-8 or holds no query.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Refusal(f"{path} cannot be read ({reason}): give a text file of one query a line") from error
    if not any(lines):
        raise Refusal(f"{path} holds no query: give a text file of one query a line")
    return [line for line in lines if line]


def _kind(query: str) -> str:
    if not query.strip():
        raise Refusal("the query is empty: give a text or the path of a picture")
    ending = Path(query).suffix.lower()
    is_file = _is_file(query)
    if ending == _VECTOR_ENDING and not is_file:
        raise Refusal(f"{query} does not exist: check the path of the vectors")
    if ending in PICTURE_ENDINGS and not is_file:
        raise Refusal(f"{query} does not exist: check the path of the picture")
    if is_file:
        return "vectors" if ending == _VECTOR_ENDING else "picture"
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise Refusal(f"the query {query!r} is not UTF-8: give a text in UTF-8") from error
    return "text"


def _is_file(query: str) -> bool:
    try:
        return Path(query).is_file()
    except OSError:  # a text may be longer than a name can be
        return False


def _read_pictures(paths: Iterable[str], thumbnails: list[bytes]) -> Iterator[Pixels]:
    for path in paths:
        try:
            data = Path(path).read_bytes()
            thumbnails.append(as_thumbnail(data))
            yield decode_pixels(data)
        except BadPicture as error:
            raise Refusal(f"{path}: {error}: give a JPEG, PNG or WebP picture") from error
        except OSError as error:
            raise Refusal(f"{path} cannot be read ({error.strerror}): check its permissions") from error


def _embed_texts(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    with (
        track("embed queries", len(texts), "texts") if len(texts) > _MANY_TEXTS else nullcontext() as progress
    ):
        if progress is None:
            return encoder.encode_texts(texts)
        return encoder.encode_texts(texts, after=lambda done: progress.advance(done - progress.done))


def _read_vectors(path: Path, encoder: Encoder) -> list[Query]:
    rows = files.read_array(path)
    if rows.ndim != 2 or not len(rows) or rows.dtype.kind != "f" or rows.itemsize > 8:
        raise Refusal(
            f"{path} holds {rows.dtype} of shape {rows.shape}, needed float16, float32 or float64 of (m, d), a query a "
            "row: save such an array"
        )
    if rows.shape[1] != encoder.dimension:
        raise Refusal(
            f"{path} holds vectors of dimension {rows.shape[1]}, model {encoder.name} has {encoder.dimension}: give the "
            "model that made them with --model and --pretrained"
        )
    # By its largest number first, so that squares of tiny or huge ones neither vanish nor overflow.
    double = rows.astype(np.float64)
    largest = np.abs(double).max(axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(largest) & (largest > 0))[:, 0])
    if len(wrong):
        what = "is zero" if largest[wrong[0], 0] == 0 else "has a number that is not finite"
        raise Refusal(
            f"{path} row {wrong[0]} {what}: a vector without direction is near to nothing, leave it out"
        )
    double /= largest
    double /= np.linalg.norm(double, axis=1, keepdims=True)
    single = double.astype(np.float32)
    return [Query(name=f"{path} row {number}", row=row) for number, row in enumerate(single)]
