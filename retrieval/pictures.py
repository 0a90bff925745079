"""One rule that turns the bytes of a picture file into RGB pixels, the same at build and at evaluation."""

from __future__ import annotations

import io
import struct
import warnings

from PIL import Image, ImageOps

MAX_PIXELS = 50_000_000
# An encoder scales the shorter side to its input size: a line of pixels would grow into gigabytes.
MAX_ASPECT = 100
# What corpora hold. Pillow knows formats that run other programs, such as Ghostscript for EPS.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


# What Pillow's plug-ins raise on damaged bytes beside OSError and ValueError.
_BROKEN = (EOFError, IndexError, KeyError, RuntimeError, SyntaxError, TypeError, struct.error)


class BadPicture(ValueError):  # noqa: N818
    """Bytes that are no picture by our rule; the text is the reason for the quarantine."""


def decode_picture(data: bytes) -> Image.Image:
    """Decode picture bytes to RGB: EXIF rotation applied, transparency put on white, first frame.

    Args:
        data: An encoded picture: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.

    Returns:
        An RGB image.

    Raises:
        BadPicture: If the bytes are no such picture, are truncated, hold more than 50 million pixels, are
            100 times as long as wide, or use a mode of more than 8 bits a channel, which Pillow would clip.

    >>> decode_picture(b"<html>")
    Traceback (most recent call last):
    oddpair.retrieval.pictures.BadPicture: not a picture
    """
    # Pillow warns of what is refused here or harmless, once a picture.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _decode(data)


def _decode(data: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadPicture(f"more than {MAX_PIXELS} pixels") from error
    except (OSError, ValueError, *_BROKEN) as error:
        raise BadPicture("not a picture") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise BadPicture(f"{width} x {height} pixels, more than {MAX_PIXELS}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadPicture(f"{width} x {height} pixels, more than {MAX_ASPECT} times as long as wide")
    if picture.mode not in _MODES:
        raise BadPicture(f"mode {picture.mode}: more than 8 bits a channel")
    try:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
    except (OSError, ValueError, *_BROKEN) as error:
        raise BadPicture("damaged picture") from error
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return upright.convert("RGB")
