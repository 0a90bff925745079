"""Cases 19 to 30: pictures that are damaged, too large, hostile, or in need of a rule."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.retrieval.fault_matrix.corpora import PICTURES, ROWS, draw, encode, rows_with
from tests.retrieval.fault_matrix.runs import (
    Bench,
    little_memory,
    read_made,
    require_counts,
    require_quarantine,
    require_rows,
    require_same,
    run,
    written,
)

from oddpair.retrieval.subset import write_subset

BAD = ROWS[2]
# Where a bad picture is said to lie: in the tar, the row of a table, or a file of its own.
FILES = {
    "img2dataset": "00000.tar",
    "tars": "00000.tar",
    "image-parquet": "00000.parquet",
    "listing": f"{BAD.key}.jpg",
    "bare-folder": f"{BAD.key}.jpg",
}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *chunks: bytes, bits: int = 8, colours: int = 2) -> bytes:
    """Write a PNG by hand; ``rows`` are its lines, each with the number of its filter before it."""
    head = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    parts = [chunk(b"IHDR", head), *chunks, pixels, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bomb(width: int, height: int) -> bytes:
    """Claim a size; what there is unpacks to a megabyte of zeros."""
    return png(width, height, bytes(1 << 20))


def jpeg_bomb(width: int, height: int) -> bytes:
    whole = encode(Image.new("RGB", (8, 8)), "JPEG")
    size = whole.index(b"\xff\xc0") + 5
    return whole[:size] + struct.pack(">HH", height, width) + whole[size + 4 :]


def unpacking(kind: bytes, head: bytes) -> bytes:
    return png(4, 1, bytes(13), chunk(kind, head + zlib.compress(bytes(200_000_000), 1)))


def half(kind: str) -> bytes:
    whole = encode(draw(2).resize((200, 150)), kind)
    return whole[: len(whole) // 2]


def of_pixels(pixels: Any) -> bytes:
    """Encode pixels without loss."""
    return encode(Image.fromarray(np.array(pixels, dtype=np.uint8)))


EVERYWHERE = {
    "19-truncated-jpeg": (half("JPEG"), "damaged picture"),
    "19-truncated-png": (half("PNG"), "damaged picture|not a picture"),
    "19-truncated-webp": (half("WEBP"), "damaged picture|not a picture"),
    "21-html": (b"<!doctype html><html>gone</html>", "not a picture"),
    "21-empty": (b"", "not a picture|empty file|no picture"),
    "22-png-bomb": (bomb(20_000, 20_000), "more than 50000000 pixels"),
    "22-jpeg-bomb": (jpeg_bomb(65_000, 65_000), "more than 50000000 pixels"),
    "23-13000-squared": (bomb(13_000, 13_000), "13000 x 13000 pixels, more than 50000000"),
    "29-20000x1": (bomb(20_000, 1), "20000 x 1 pixels, more than 100 times as long as wide"),
}
IN_ONE_LAYOUT = {
    "19-truncated-gif": (half("GIF"), "damaged picture|not a picture"),
    "21-one-byte": (b"\xff", "not a picture"),
    "21-postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "not a picture"),
    "22-just-over-the-cap": (bomb(7_100, 7_100), "7100 x 7100 pixels, more than 50000000"),
    "24-ztxt-bomb": (unpacking(b"zTXt", b"comment\0\0"), "damaged picture|not a picture"),
    "24-itxt-bomb": (unpacking(b"iTXt", b"comment\0\1\0\0\0"), "damaged picture|not a picture"),
    "24-icc-bomb": (unpacking(b"iCCP", b"profile\0\0"), "damaged picture|not a picture"),
    "27-float-tiff": (
        encode(Image.fromarray(np.full((9, 9), 0.5, dtype=np.float32)), "TIFF"),
        "mode F: more than 8 bits a channel, of unknown range",
    ),
    "27-16-bit-tiff": (
        encode(Image.fromarray(np.full((9, 9), 40_000, dtype=np.uint16)), "TIFF"),
        "more than 8 bits a channel, of unknown range",
    ),
}


def cases() -> Iterator[Any]:
    for name, values in EVERYWHERE.items():
        yield from (pytest.param(layout, *values, id=f"{name}-{layout}") for layout in PICTURES)
    yield from (
        pytest.param("img2dataset", *values, id=f"{name}-img2dataset")
        for name, values in IN_ONE_LAYOUT.items()
    )


@pytest.mark.parametrize(("layout", "data", "reason"), list(cases()))
def test_a_bad_picture_is_set_aside_alone_and_takes_no_memory(
    bench: Bench, tmp_path: Path, layout: str, data: bytes, reason: str
) -> None:
    clean = bench.whole(layout, rows_with(without=[2]))
    corpus = written(layout, tmp_path / "corpus", rows_with(replace(BAD, picture=data)))
    file = "list.csv" if layout == "listing" and not data else FILES[layout]
    line = {"file": file, "rows": 1, "reason": reason}
    if layout in ("img2dataset", "listing", "image-parquet"):
        line["uid"] = BAD.uid
    with little_memory(64):
        made = require_quarantine(corpus, tmp_path / "out", clean, [line])
    place = made.quarantine[0]
    assert (place.get("row"), "offset" in place) == {
        "img2dataset": (None, True),
        "tars": (None, True),
        "image-parquet": (2, False),
        "listing": (None if data else 2, False),
    }.get(layout, (None, False))


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(layout, id=f"20-not-the-hashed-picture-{layout}")
        for layout in ("tars", "image-parquet", "listing")
    ],
)
def test_a_picture_that_decodes_but_is_not_the_one_that_was_hashed_is_set_aside(
    bench: Bench, tmp_path: Path, layout: str
) -> None:
    """A folder without a listing has no hash to compare with; case 7 does the same for a bit of a tar."""
    damaged = bytearray(BAD.picture)
    damaged[-300] ^= 4
    changed = replace(BAD, picture=bytes(damaged), hashed=BAD.picture)
    corpus = written(layout, tmp_path / "corpus", rows_with(changed))
    clean = bench.whole(layout, rows_with(without=[2]))
    require_quarantine(corpus, tmp_path / "out", clean, [{"rows": 1, "reason": "hash|sha256"}])


def test_21_what_is_outside_a_subset_is_not_decoded_and_counted_apart(bench: Bench, tmp_path: Path) -> None:
    gone = [replace(ROWS[row], picture=b"<html>gone</html>") for row in (2, 3)]
    corpus = written("img2dataset", tmp_path / "corpus", rows_with(*gone))
    write_subset(tmp_path / "subset.npy", [ROWS[row].uid for row in (0, 2, 5)])
    options = ("--subset", tmp_path / "subset.npy", "--workers", 1)
    outcome = run("embed", corpus, "--out", tmp_path / "out", *options)
    assert outcome.status == 3, outcome
    made = read_made(tmp_path / "out")
    assert [line["uid"] for line in made.quarantine] == [BAD.uid]
    require_rows(made, bench.whole("img2dataset", rows_with(without=[1, 2, 3, 4, 6])))
    require_counts(made)
    assert (made.manifest["seen"], made.manifest["outside_subset"]) == (7, 4)


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(draw(2), exif=exif)


def frames(kind: str) -> bytes:
    red, blue = (Image.new("RGB", (9, 8), colour) for colour in ("red", "blue"))
    return encode(red, kind, save_all=True, append_images=[blue], lossless=True)


def inks() -> bytes:
    ink = np.array([[[0, 255, 255, 0], [0, 0, 0, 0], [0, 0, 0, 255]]], dtype=np.uint8)
    return encode(Image.frombytes("CMYK", (3, 1), ink.tobytes()), "TIFF")


def palette() -> bytes:
    picture = Image.new("P", (3, 1), 0)
    picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    picture.putdata([0, 1, 2])
    return encode(picture, transparency=0)


def layered(mode: str) -> bytes:
    layer = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    layer.putpixel((1, 0), (0, 0, 0, 128))
    return encode(layer.convert(mode))


WHITE, RED, BLACK = [255] * 3, [255, 0, 0], [0] * 3
SHOWN = np.asarray(draw(2))
# What each must be taken for: pixels by hand. 255 - 128 = 127; the high byte of 40,000 is 156.
NORMALISED = {
    "25-cmyk": (inks(), of_pixels([[RED, WHITE, BLACK]])),
    "26-rgba": (layered("RGBA"), of_pixels([[WHITE, [127] * 3]])),
    "26-la": (layered("LA"), of_pixels([[WHITE, [127] * 3]])),
    "26-palette": (palette(), of_pixels([[WHITE, [0, 200, 0], [0, 0, 200]]])),
    "27-16-bit-grey": (
        png(2, 1, b"\0" + struct.pack(">2H", 40_000, 65_535), bits=16, colours=0),
        of_pixels([[[156] * 3, WHITE]]),
    ),
    "28-exif-turned": (with_exif(6), of_pixels(np.rot90(SHOWN, -1))),
    "28-exif-mirrored": (with_exif(2), of_pixels(SHOWN[:, ::-1])),
    "29-gif-of-two-frames": (frames("GIF"), of_pixels(np.full((8, 9, 3), RED))),
    "29-png-of-two-frames": (frames("PNG"), of_pixels(np.full((8, 9, 3), RED))),
    "29-one-pixel": (
        encode(Image.new("RGB", (1, 1), (7, 8, 9)), "BMP"),
        of_pixels([[[7, 8, 9]]]),
    ),
}


@pytest.mark.parametrize(
    ("data", "meant"), [pytest.param(*values, id=name) for name, values in NORMALISED.items()]
)
def test_a_picture_is_embedded_as_what_the_rule_makes_of_it(
    bench: Bench, tmp_path: Path, data: bytes, meant: bytes
) -> None:
    """Golden pixels of many more are in test_pictures.py; there is one decoder for every layout."""
    clean = bench.whole("img2dataset", rows_with(replace(BAD, picture=meant)))
    assert clean.arrays["img_emb"].tobytes() != bench.whole("img2dataset", ROWS).arrays["img_emb"].tobytes()
    corpus = written("img2dataset", tmp_path / "corpus", rows_with(replace(BAD, picture=data)))
    require_same(corpus, tmp_path / "out", clean)


KILLER = """
import os, signal
import simplejpeg

decode = simplejpeg.decode_jpeg

def decode_or_die(data, *arguments, **options):
    if b"kills" in data:
        os.kill(os.getpid(), signal.SIGSEGV)
    return decode(data, *arguments, **options)

simplejpeg.decode_jpeg = decode_or_die
"""


def test_30_a_picture_that_kills_the_decoder_is_set_aside_and_the_pool_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two processes: nothing survives its own death, and the suite never decodes in the one that counts."""
    killer = encode(draw(2), "JPEG", comment=b"kills")
    corpus = written("img2dataset", tmp_path / "corpus", rows_with(replace(BAD, picture=killer))[:5])
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(KILLER)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "hook"), *([before] if before else [])]))
    outcome = run("embed", corpus, "--out", tmp_path / "out", "--workers", 2)
    assert outcome.status == 3, outcome
    made = read_made(tmp_path / "out")
    assert [(line["uid"], line["reason"]) for line in made.quarantine] == [(BAD.uid, "kills the decoder")]
    require_rows(made, bench.whole("img2dataset", rows_with(without=[2])[:4]))
    require_counts(made)
