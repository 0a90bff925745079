"""One rule that turns the bytes of a picture file into RGB pixels, the same at build and at evaluation."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

MAX_PIXELS = 50_000_000


class BadPicture(ValueError):  # noqa: N818
    """Bytes that are no picture by our rule; the text is the reason for the quarantine."""


def decode_picture(data: bytes) -> Image.Image:
    """Decode picture bytes to RGB: EXIF rotation applied, transparency put on white, first frame.

    Args:
        data: An encoded picture (JPEG, PNG, WebP, …).

    Returns:
        An RGB image.

    Raises:
        BadPicture: If the bytes are no picture, are truncated, hold more than 50 million pixels, or use a
            mode of more than 8 bits a channel, which Pillow would clip.

    >>> decode_picture(b"<html>")
    Traceback (most recent call last):
    oddpair.retrieval.pictures.BadPicture: not a picture
    """
    try:
        picture = Image.open(io.BytesIO(data))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BadPicture("not a picture") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise BadPicture(f"{picture.width} x {picture.height} pixels, more than {MAX_PIXELS}")
    if picture.mode in ("I", "F", "I;16"):
        raise BadPicture(f"mode {picture.mode}: more than 8 bits a channel")
    try:
        picture.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise BadPicture("damaged picture") from error
    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")
