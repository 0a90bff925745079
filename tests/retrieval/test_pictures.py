import io
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from oddpair.retrieval.pictures import MAX_ASPECT, MAX_PIXELS, BadPicture, decode_picture


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def pixel(data, place=(0, 0)):
    return decode_picture(data).getpixel(place)


def test_exif_rotation_is_applied(noise, as_bytes):
    upright = noise(1, 30, 20)
    for orientation, transpose in (
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = as_bytes(upright.transpose(transpose), "PNG", exif=exif)
        assert np.array_equal(np.asarray(decode_picture(stored)), np.asarray(upright))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_put_on_white(as_bytes, mode):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert pixel(as_bytes(clear.convert(mode))) == (255, 255, 255)
    assert pixel(as_bytes(half.convert(mode))) == (127, 127, 127)


def test_a_transparent_palette_entry_is_put_on_white(as_bytes):
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([200, 0, 0, 0, 0, 200])
    picture.putpixel((1, 1), 1)
    data = as_bytes(picture, "PNG", transparency=0)
    assert pixel(data) == (255, 255, 255)
    assert pixel(data, (1, 1)) == (0, 0, 200)


def test_cmyk_becomes_rgb_without_being_inverted(as_bytes):
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = pixel(as_bytes(ink, "JPEG", quality=95), (8, 8))
    assert red > 240
    assert max(green, blue) < 15


def test_of_many_frames_the_first_is_taken(as_bytes):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = as_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixel(data) == (255, 0, 0)


def test_one_pixel_is_a_picture(as_bytes):
    assert pixel(as_bytes(Image.new("L", (1, 1), 7))) == (7, 7, 7)


def test_more_than_eight_bits_a_channel_are_refused_rather_than_clipped(as_bytes):
    for data in (
        as_bytes(Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)), "PNG"),
        as_bytes(Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)), "TIFF"),
        as_bytes(Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)), "TIFF"),
        as_bytes(Image.fromarray(np.full((4, 4), 70_000, dtype=np.int32)), "TIFF"),
    ):
        with pytest.raises(BadPicture, match="more than 8 bits a channel"):
            decode_picture(data)


def test_a_big_endian_tiff_of_sixteen_bits_is_refused():
    entries = [
        (256, 3, 4),
        (257, 3, 4),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 3, 4),
        (279, 4, 32),
    ]
    directory = struct.pack(">H", len(entries))
    for tag, kind, value in entries:
        packed = struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        directory += struct.pack(">HHI", tag, kind, 1) + packed
    data = b"MM\0*" + struct.pack(">I", 40) + struct.pack(">16H", *[40_000] * 16) + directory + b"\0\0\0\0"
    assert Image.open(io.BytesIO(data)).mode == "I;16B"
    with pytest.raises(BadPicture, match="more than 8 bits a channel"):
        decode_picture(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_truncated_picture_is_damaged_not_half_grey(noise, as_bytes, kind):
    data = as_bytes(noise(2, 200, 200), kind)
    with pytest.raises(BadPicture, match=r"damaged picture|not a picture"):
        decode_picture(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"\0", b"<!doctype html><html></html>", b"GIF89a", b"\xff\xd8\xff"])
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(BadPicture, match=r"^not a picture$"):
        decode_picture(data)


def test_a_format_that_runs_another_program_is_no_picture():
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert Image.open(io.BytesIO(script)).format == "EPS"
    with pytest.raises(BadPicture, match="not a picture"):
        decode_picture(script)


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (20_000, 20_000, f"more than {MAX_PIXELS} pixels"),
        (13_000, 13_000, f"13000 x 13000 pixels, more than {MAX_PIXELS}"),
        (10_000, 9_500, f"10000 x 9500 pixels, more than {MAX_PIXELS}"),
        (7_100, 7_100, "7100 x 7100 pixels"),
        (20_000, 1, f"20000 x 1 pixels, more than {MAX_ASPECT} times as long as wide"),
        (1, 101, "1 x 101 pixels"),
    ],
)
def test_a_bomb_is_refused_from_its_header_without_taking_memory(width, height, reason):
    # The picture claims to unpack to hundreds of megabytes, and would: one zero line compresses to nothing.
    packed = zlib.compress(bytes(1 << 20))
    data = png_header(width, height) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        with pytest.raises(BadPicture, match=reason):
            decode_picture(data)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_text_chunk_that_unpacks_to_two_hundred_megabytes_is_refused():
    bomb = b"comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    rows = zlib.compress(b"".join(b"\0" + bytes(12) for _ in range(4)))
    data = png_header(4, 4) + png_chunk(b"zTXt", bomb) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    with pytest.raises(BadPicture):
        decode_picture(data)


def test_damaged_bytes_give_a_picture_or_a_reason_and_nothing_else(noise, as_bytes):
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = [as_bytes(noise(3, 24, 24), kind) for kind in ("PNG", "GIF", "BMP", "TIFF", "AVIF")]
    whole += [as_bytes(noise(3, 24, 24), kind, exif=exif) for kind in ("JPEG", "WEBP")]
    whole.append(as_bytes(noise(3, 24, 24).convert("P"), "PNG", transparency=b"\0\x80"))
    rng = random.Random(0)
    refused = 0
    for data in whole:
        for _ in range(150):
            damaged = bytearray(data)
            for _ in range(rng.choice((1, 1, 2, 5))):
                damaged[rng.randrange(min(len(damaged), rng.choice((40, 200, len(damaged)))))] = (
                    rng.randrange(256)
                )
            if rng.random() < 0.3:
                damaged = damaged[: rng.randrange(len(damaged))]
            try:
                assert decode_picture(bytes(damaged)).mode == "RGB"
            except BadPicture:
                refused += 1
    assert refused > 300


def test_rotation_data_that_is_none_is_damage_and_does_not_stop_the_run(noise, as_bytes):
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = as_bytes(noise(4), "WEBP", exif=exif)
    damaged = whole.replace(b"MM\0*", b"MM\0\xe4")
    assert damaged != whole
    with pytest.raises(BadPicture, match="damaged picture"):
        decode_picture(damaged)
