"""One rule that turns the bytes of a picture file into RGB pixels, the same at build and at evaluation."""

from __future__ import annotations

import io
import re
import struct
import warnings

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

# Red, green and blue from 0 to 255, shape (height, width, 3).
Pixels = NDArray[np.uint8]

MAX_PIXELS = 50_000_000
# An encoder scales the shorter side to its input size: a line of pixels would grow into gigabytes.
MAX_ASPECT = 100
# What corpora hold. Pillow knows formats that run other programs, such as Ghostscript for EPS.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_SIXTEEN_BITS = "I;16"
# What grey levels of 2 and 4 bits are multiplied by to span eight.
_WIDENED = {"L;2": 85, "L;4": 17}
_QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

# What Pillow's plug-ins raise on damaged bytes.
_BROKEN = (
    OSError,
    ValueError,
    ArithmeticError,
    EOFError,
    IndexError,
    KeyError,
    RuntimeError,
    SyntaxError,
    TypeError,
    struct.error,
)


class BadPicture(ValueError):  # noqa: N818
    """Bytes that are no picture by our rule; the text is the reason for the quarantine."""


def decode_pixels(data: bytes) -> Pixels:
    """Decode picture bytes to RGB pixels, by one rule for every format.

    EXIF rotation is applied. Transparency is put on white. Of several frames the first is taken. CMYK is
    converted as Pillow does it, without a profile. Of a 16-bit channel the high byte is taken, which gives
    back eight bits widened either way (times 256 or 257) and never clips. Size is judged by the header,
    before anything is decoded. JPEGs of eight bits, grey or coloured, are decoded by libjpeg-turbo itself,
    to the pixels that Pillow gives; what it refuses, Pillow judges.

    Args:
        data: An encoded picture: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.

    Returns:
        Shape ``(height, width, 3)``, writable.

    Raises:
        BadPicture: If the bytes are no such picture, are truncated, hold more than 50 million pixels, are
            100 times as long as wide, or use numbers of unknown range, as scientific TIFFs do.

    >>> decode_pixels(b"<html>")
    Traceback (most recent call last):
    oddpair.retrieval.pictures.BadPicture: not a picture
    """
    _silence_pillow()
    picture = _open(data)
    pixels = _decode_plain_jpeg(data, picture)
    if pixels is None:
        return _decode_with_pillow(picture)
    if not picture.info.keys() & {"exif", "xmp"}:
        return pixels
    decoded = Image.fromarray(pixels)
    decoded.info = picture.info
    return _decode_with_pillow(decoded)


def decode_picture(data: bytes) -> Image.Image:
    """Decode picture bytes to an RGB image of the pixels that `decode_pixels` gives.

    Raises:
        BadPicture: As `decode_pixels`.
    """
    return Image.fromarray(decode_pixels(data))


def _silence_pillow() -> None:
    """Keep Pillow from warning, once a picture, of what is refused here or harmless.

    A lasting filter, since threads that decode side by side would put back one another's filters.
    """
    if list(warnings.filters[:1]) != [_QUIET]:
        warnings.filterwarnings("ignore", module=_QUIET[3].pattern)


def _open(data: bytes) -> ImageFile.ImageFile:
    """Read the header, and refuse what is too large or unknown."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadPicture(f"more than {MAX_PIXELS} pixels") from error
    except _BROKEN as error:
        raise BadPicture("not a picture") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise BadPicture(f"{width} x {height} pixels, more than {MAX_PIXELS}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadPicture(f"{width} x {height} pixels, more than {MAX_ASPECT} times as long as wide")
    # What a TIFF of 16 bits calls white is not in its header: instruments use a part of the range.
    if picture.mode not in _MODES and (picture.format, picture.mode) != ("PNG", _SIXTEEN_BITS):
        raise BadPicture(f"mode {picture.mode}: more than 8 bits a channel, of unknown range")
    _widen_transparent_level(picture)
    return picture


def _decode_plain_jpeg(data: bytes, picture: ImageFile.ImageFile) -> Pixels | None:
    """Decode an intact JPEG that is grey or coloured, not yet rotated; nothing for any other."""
    if picture.format not in ("JPEG", "MPO") or picture.mode not in ("L", "RGB"):
        return None
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == (picture.height, picture.width) else None


def _decode_with_pillow(picture: Image.Image) -> Pixels:
    try:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode == _SIXTEEN_BITS:
            return _take_high_bytes(upright)
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return np.array(upright.convert("RGB"))
    except _BROKEN as error:
        raise BadPicture("damaged picture") from error


def _widen_transparent_level(picture: ImageFile.ImageFile) -> None:
    """Bring a PNG's transparent colour to eight bits, as Pillow does with its pixels and not with the colour."""
    clear = picture.info.get("transparency")
    stored = picture.tile[0][3] if picture.format == "PNG" and picture.tile else None
    if stored in _WIDENED and isinstance(clear, int):
        picture.info["transparency"] = clear * _WIDENED[stored]
    elif stored == "RGB;16B" and isinstance(clear, tuple):
        picture.info["transparency"] = tuple(level >> 8 for level in clear)


def _take_high_bytes(picture: Image.Image) -> Pixels:
    levels = np.asarray(picture)
    grey = (levels >> 8).astype(np.uint8)
    clear = picture.info.get("transparency")
    if clear is not None:
        grey[levels == clear] = 255
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
