"""The one rule of decoding: golden pixels, what is refused, and that both ways of decoding a JPEG agree."""

import io
import random
import struct
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from oddpair.retrieval.pictures import MAX_ASPECT, MAX_PIXELS, BadPicture, decode_picture, decode_pixels

GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6
RED, WHITE = [255, 0, 0], [255, 255, 255]


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height, bits=8, colours=RGB):
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def png_row(width, row, *chunks, bits=8, colours=RGB, after=()):
    """Write a PNG of one row by hand, with chunks before and after its pixels."""
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"".join([png_header(width, 1, bits, colours), *chunks, pixels, *after, png_chunk(b"IEND", b"")])


def sixteen(*levels):
    return struct.pack(f">{len(levels)}H", *levels)


def by_pillow(data):
    """Say what Pillow alone makes of a JPEG; nothing where it refuses, or the shape is refused."""
    try:
        picture = Image.open(io.BytesIO(data), formats=["JPEG"])
        narrow = max(picture.size) > MAX_ASPECT * min(picture.size)
        return None if narrow else np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, struct.error):
        return None


def by_rule(data):
    try:
        return decode_pixels(data)
    except BadPicture:
        return None


def same(first, second):
    return np.array_equal(first, second) if first is not None and second is not None else first is second


@pytest.fixture
def no_pillow(monkeypatch):
    """Fail a test whose pixels Pillow decodes."""

    def refuse(picture):
        raise AssertionError("Pillow was asked")

    monkeypatch.setattr("oddpair.retrieval.pictures._decode_with_pillow", refuse)


# How a camera stores abc/def with each value of the EXIF tag 0x0112 (EXIF 2.32, 4.6.4).
STORED = {
    1: ("abc", "def"), 2: ("cba", "fed"), 3: ("fed", "cba"), 4: ("def", "abc"),
    5: ("ad", "be", "cf"), 6: ("cf", "be", "ad"), 7: ("fc", "eb", "da"), 8: ("da", "eb", "fc"),
}  # fmt: skip
LETTERS = {
    "a": (200, 30, 30), "b": (30, 200, 30), "c": (30, 30, 200),
    "d": (200, 200, 30), "e": (30, 200, 200), "f": (120, 120, 120),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", STORED, ids="28-exif-{}".format)
def test_exif_rotation_is_applied(as_bytes, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = np.array([[LETTERS[letter] for letter in row] for row in STORED[orientation]], dtype=np.uint8)
    stored = Image.fromarray(small.repeat(16, axis=0).repeat(16, axis=1))
    found = decode_pixels(as_bytes(stored, kind, exif=exif, lossless=True, quality=100, subsampling=0))
    upright = np.array([[LETTERS[letter] for letter in row] for row in STORED[1]], dtype=np.int16)
    assert found.shape == (32, 48, 3)
    assert np.abs(found[8::16, 8::16] - upright).max() <= (2 if kind == "JPEG" else 0)


def test_a_rotation_told_in_xmp_is_applied_to_a_jpeg_as_pillow_does(noise, as_bytes):
    data = as_bytes(noise(1, 30, 20), "JPEG", xmp=b'<x tiff:Orientation="6"/>')
    assert decode_pixels(data).shape == (30, 20, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"], ids="26-{}".format)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_put_on_white(as_bytes, mode, kind):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0)).convert(mode)
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128)).convert(mode)
    assert decode_pixels(as_bytes(clear, kind, lossless=True))[0, 0].tolist() == WHITE
    # 255 - 128 = 127
    assert decode_pixels(as_bytes(half, kind, lossless=True))[0, 0].tolist() == [127] * 3


def test_transparent_palette_entries_are_put_on_white(as_bytes):
    picture = Image.new("P", (3, 1), 0)
    picture.putpalette([200, 0, 0, 0, 0, 200, 0, 0, 0])
    picture.putdata([0, 1, 2])
    clear = decode_pixels(as_bytes(picture, "PNG", transparency=0))
    assert clear[0].tolist() == [WHITE, [0, 0, 200], [0, 0, 0]]
    # A fifth of 0 on white is four fifths of 255.
    part = decode_pixels(as_bytes(picture, "PNG", transparency=b"\xff\x00\x33"))
    assert part[0].tolist() == [[200, 0, 0], WHITE, [204] * 3]
    other = decode_pixels(as_bytes(picture, "GIF", transparency=1))
    assert other[0].tolist() == [[200, 0, 0], WHITE, [0, 0, 0]]


@pytest.mark.parametrize(
    ("bits", "colours", "row", "clear", "expected"),
    [
        (1, GREY, b"\x40", [1], [[0] * 3, WHITE]),
        (2, GREY, b"\x60", [1], [WHITE, [170] * 3]),
        (4, GREY, b"\x3a", [3], [WHITE, [170] * 3]),
        (8, GREY, b"\x03\x04", [3], [WHITE, [4] * 3]),
        (16, GREY, sixteen(0x1234, 0x1235), [0x1234], [WHITE, [0x12] * 3]),
        (8, RGB, bytes([1, 2, 3, 1, 2, 4]), [1, 2, 3], [WHITE, [1, 2, 4]]),
        (16, RGB, sixteen(0x100, 0x200, 0x300, 0x100, 0x200, 0x400), [0x100, 0x200, 0x300], [WHITE, [1, 2, 4]]),
    ],
)  # fmt: skip
def test_a_transparent_colour_is_put_on_white_at_any_depth(bits, colours, row, clear, expected):
    data = png_row(2, row, png_chunk(b"tRNS", sixteen(*clear)), bits=bits, colours=colours)
    assert decode_pixels(data)[0].tolist() == expected


@pytest.mark.parametrize(
    ("colours", "row", "expected"),
    [
        (GREY, sixteen(0x00FF, 0x1234, 40_000, 0xFFFF), [[0] * 3, [0x12] * 3, [156] * 3, WHITE]),
        (RGB, sixteen(0x1234, 0xFF00, 0x80FF, 0, 257, 40_000), [[0x12, 0xFF, 0x80], [0, 1, 156]]),
        # Half of 0x80: 128 * 128 / 255 + 127 = 191.25
        (GREY_ALPHA, sixteen(0x8000, 0xFFFF, 0x8000, 0x8000), [[128] * 3, [191] * 3]),
        (RGBA, sixteen(0x1000, 0x2000, 0x3000, 0xFFFF, 0, 0, 0, 0x00FF), [[16, 32, 48], WHITE]),
    ],
)
def test_of_sixteen_bits_the_high_byte_is_taken_so_that_nothing_is_clipped(colours, row, expected):
    data = png_row(len(expected), row, bits=16, colours=colours)
    assert decode_pixels(data)[0].tolist() == expected


@pytest.mark.parametrize("widen", [256, 257], ids="27-widened-by-{}".format)
def test_eight_bits_widened_to_sixteen_come_back(widen):
    levels = np.arange(0, 256, 3)
    grey = png_row(len(levels), sixteen(*(levels * widen)), bits=16, colours=GREY)
    assert np.array_equal(decode_pixels(grey)[0, :, 1], levels)
    colour = png_row(len(levels), sixteen(*np.repeat(levels * widen, 3)), bits=16, colours=RGB)
    assert np.array_equal(decode_pixels(colour), decode_pixels(grey))


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.full((4, 4), level, dtype=kind), id=f"27-{kind}-tiff")
        for level, kind in ((40_000, "uint16"), (70_000, "int32"), (0.5, "float32"))
    ],
)
def test_numbers_of_unknown_range_are_refused_rather_than_clipped(as_bytes, array):
    with pytest.raises(BadPicture, match="more than 8 bits a channel, of unknown range"):
        decode_pixels(as_bytes(Image.fromarray(array), "TIFF"))


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"], ids="25-cmyk-{}".format)
def test_cmyk_becomes_rgb_without_being_inverted(as_bytes, kind):
    ink = np.array([[[0, 255, 255, 0], [0, 0, 0, 0], [0, 0, 0, 255], [255, 0, 0, 0]]], dtype=np.uint8)
    wide = Image.frombytes("CMYK", (64, 16), ink.repeat(16, axis=0).repeat(16, axis=1).tobytes())
    found = decode_pixels(as_bytes(wide, kind, quality=100))[8, 8::16]
    expected = [RED, WHITE, [0, 0, 0], [0, 255, 255]]
    assert np.abs(found.astype(int) - expected).max() <= (3 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"], ids="29-frames-{}".format)
def test_of_many_frames_the_first_is_taken(as_bytes, kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"save_all": True, "append_images": frames[1:], "lossless": True, "quality": 100}
    data = as_bytes(frames[0], kind, **options)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 2
    found = decode_pixels(data)
    assert found.shape == (8, 8, 3)
    assert np.abs(found.astype(int) - RED).max() <= (2 if kind == "AVIF" else 0)


def test_an_animation_with_a_cover_shows_the_cover(as_bytes):
    cover, *frames = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime"))
    data = as_bytes(cover, "PNG", save_all=True, append_images=frames, default_image=True)
    assert (decode_pixels(data) == RED).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG"], ids="29-1x1-{}".format)
def test_one_pixel_is_a_picture(as_bytes, kind):
    found = decode_pixels(as_bytes(Image.new("RGB", (1, 1), (7, 7, 7)), kind, lossless=True))
    assert found.tolist() == [[[7, 7, 7]]]
    assert found.dtype == np.uint8
    assert found.flags.writeable


def test_an_image_has_the_same_pixels(noise, as_bytes):
    for kind in ("JPEG", "PNG"):
        data = as_bytes(noise(1, 30, 20), kind)
        picture = decode_picture(data)
        assert (picture.mode, picture.size) == ("RGB", (30, 20))
        assert np.array_equal(np.asarray(picture), decode_pixels(data))


@pytest.mark.usefixtures("no_pillow")
@pytest.mark.parametrize("size", [(1, 1), (17, 9), (40, 33), (64, 48)])
@pytest.mark.parametrize("quality", [5, 60, 95, 100])
def test_both_decoders_give_the_same_pixels_of_an_intact_jpeg(noise, as_bytes, size, quality):
    picture = noise(5, *size)
    pixels = np.array(picture)
    files = [
        simplejpeg.encode_jpeg(pixels, quality, colorsubsampling=sampling)
        for sampling in ("444", "422", "420", "440", "411")
    ]
    files.append(simplejpeg.encode_jpeg(np.array(picture.convert("L"))[:, :, None], quality, "GRAY"))
    files += [
        as_bytes(picture, "JPEG", quality=quality, **options)
        for options in (
            {"progressive": True},
            {"optimize": True},
            {"keep_rgb": True},
            {"restart_marker_rows": 1},
        )
    ]
    for data in files:
        assert np.array_equal(decode_pixels(data), by_pillow(data))


JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "444": {"subsampling": 0},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=[f"19-{name}" for name in JPEGS])
def test_a_jpeg_cut_anywhere_is_refused_if_pillow_refuses_it(noise, as_bytes, options):
    whole = as_bytes(noise(6, 48, 40), "JPEG", **options)
    for cut in range(len(whole)):
        expected = by_pillow(whole[:cut])
        assert same(by_rule(whole[:cut]), expected), cut
        assert expected is None or cut > len(whole) - 3, cut
    assert by_rule(whole + b"whatever follows the end") is not None


@pytest.mark.parametrize("options", JPEGS.values(), ids=[f"20-{name}" for name in JPEGS])
def test_a_jpeg_with_flipped_bits_is_what_pillow_makes_of_it(noise, as_bytes, options):
    rng = random.Random(1)
    whole = as_bytes(noise(7, 48, 40), "JPEG", **options)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.randrange(2, len(whole))] ^= 1 << rng.randrange(8)
        found = by_rule(bytes(damaged))
        assert same(found, by_pillow(bytes(damaged)))
        refused += found is None
    assert 0 < refused < 150


def test_a_warning_of_pillow_is_silent_in_any_thread_and_others_are_not(as_bytes):
    picture = Image.new("P", (4, 4), 0)
    data = as_bytes(picture, "PNG", transparency=b"\x10\x20")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ThreadPoolExecutor(4) as pool:
            assert len(list(pool.map(decode_pixels, [data] * 50))) == 50
        with pytest.raises(UserWarning, match="of others"):
            warnings.warn("of others", stacklevel=1)


def test_a_big_endian_tiff_of_sixteen_bits_is_refused():
    entries = [
        (256, 3, 4), (257, 3, 4), (258, 3, 16), (259, 3, 1),
        (262, 3, 1), (273, 4, 8), (278, 3, 4), (279, 4, 32),
    ]  # fmt: skip
    directory = struct.pack(">H", len(entries))
    for tag, kind, value in entries:
        packed = struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        directory += struct.pack(">HHI", tag, kind, 1) + packed
    data = b"MM\0*" + struct.pack(">I", 40) + struct.pack(">16H", *[40_000] * 16) + directory + b"\0\0\0\0"
    assert Image.open(io.BytesIO(data)).mode == "I;16B"
    with pytest.raises(BadPicture, match="more than 8 bits a channel"):
        decode_pixels(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"], ids="19-truncated-{}".format)
def test_a_truncated_picture_is_damaged_not_half_grey(noise, as_bytes, kind):
    data = as_bytes(noise(2, 200, 200), kind)
    with pytest.raises(BadPicture, match=r"damaged picture|not a picture"):
        decode_pixels(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="21-empty"),
        pytest.param(b"\0", id="21-one-byte"),
        pytest.param(b"<!doctype html><html></html>", id="21-html"),
        pytest.param(b"GIF89a", id="21-signature-alone"),
        pytest.param(b"\xff\xd8\xff", id="21-jpeg-signature-alone"),
    ],
)
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(BadPicture, match=r"^not a picture$"):
        decode_pixels(data)


def test_a_format_that_runs_another_program_is_no_picture():
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert Image.open(io.BytesIO(script)).format == "EPS"
    with pytest.raises(BadPicture, match="not a picture"):
        decode_pixels(script)


def bomb(width, height):
    """Claim a size in a PNG that would unpack to it: one zero line compresses to nothing."""
    packed = png_chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
    return png_header(width, height) + packed + png_chunk(b"IEND", b"")


def jpeg_bomb(width, height):
    whole = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), dtype=np.uint8))
    size = whole.index(b"\xff\xc0") + 5
    return whole[:size] + struct.pack(">HH", height, width) + whole[size + 4 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(bomb(20_000, 20_000), f"more than {MAX_PIXELS} pixels", id="22-over-pillows-cap"),
        pytest.param(bomb(10_000, 9_500), f"10000 x 9500 pixels, more than {MAX_PIXELS}", id="22-over-our-cap"),
        pytest.param(bomb(7_100, 7_100), "7100 x 7100 pixels", id="22-just-over"),
        pytest.param(jpeg_bomb(65_000, 65_000), f"more than {MAX_PIXELS} pixels", id="22-jpeg"),
        pytest.param(jpeg_bomb(8_000, 7_000), "8000 x 7000 pixels", id="22-jpeg-over-our-cap"),
        pytest.param(bomb(13_000, 13_000), f"13000 x 13000 pixels, more than {MAX_PIXELS}", id="23-13000-squared"),
        pytest.param(bomb(20_000, 1), f"20000 x 1 pixels, more than {MAX_ASPECT} times", id="29-20000x1"),
        pytest.param(bomb(1, 101), "1 x 101 pixels", id="29-1x101"),
        pytest.param(jpeg_bomb(20_000, 8), "20000 x 8 pixels", id="29-jpeg"),
    ],
)  # fmt: skip
def test_a_bomb_is_refused_from_its_header_without_taking_memory(data, reason):
    tracemalloc.start()
    try:
        with pytest.raises(BadPicture, match=reason):
            decode_pixels(data)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


ZEROS = zlib.compress(bytes(200_000_000), 9)


@pytest.mark.parametrize("after", [False, True], ids=["before-the-pixels", "after-the-pixels"])
@pytest.mark.parametrize(
    ("kind", "head"),
    [
        pytest.param(b"zTXt", b"comment\0\0", id="24-ztxt"),
        pytest.param(b"iTXt", b"comment\0\1\0\0\0", id="24-itxt"),
        pytest.param(b"iCCP", b"profile\0\0", id="24-icc"),
    ],
)
def test_a_chunk_that_unpacks_to_two_hundred_megabytes_is_refused(kind, head, after):
    chunk = [png_chunk(kind, head + ZEROS)]
    data = png_row(4, bytes(12), after=chunk) if after else png_row(4, bytes(12), *chunk)
    tracemalloc.start()
    try:
        with pytest.raises(BadPicture, match=r"damaged picture|not a picture"):
            decode_pixels(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


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
                assert decode_pixels(bytes(damaged)).ndim == 3
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
        decode_pixels(damaged)


def test_a_tiff_whose_pixels_lie_beyond_any_file_is_damaged(noise, as_bytes):
    whole = as_bytes(noise(5), "TIFF")
    place = whole.index(struct.pack("<HHI", 273, 4, 1))
    entry = struct.pack("<HHII", 273, 16, 1, len(whole))
    data = whole[:place] + entry + whole[place + 12 :] + b"\xff" * 8
    with pytest.raises(BadPicture, match="damaged picture"):
        decode_pixels(data)
