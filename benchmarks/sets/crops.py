"""The parts of pictures that boxes cut out, written once as files that a corpus can be made of."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.files import write_bytes
from oddpair.retrieval.formats.loose import LooseFiles
from oddpair.retrieval.pictures import MAX_PIXELS, BadPicture, decode_picture

# Left, top, width and height, in pixels.
Box = tuple[int, int, int, int]


def name_crop(name: str, box: Box) -> str:
    """Name the crop of a picture.

    >>> name_crop("a/12.jpg", (3, 4, 50, 60))
    'a/12.jpg.3_4_50_60.bmp'
    """
    return f"{name}.{'_'.join(map(str, box))}.bmp"


def write_crops(root: Path, folder: Path, boxes: Iterable[tuple[str, Box]]) -> int:
    """Write the crops of a folder's pictures that are not there yet; each picture is decoded once.

    A crop is a BMP, whose bytes depend on its pixels alone: other formats change with the library that packs
    them, and a sample's uid with their bytes. What a box holds beyond the picture is black, as Pillow's ``crop``
    leaves it. Of a picture that cannot be decoded the file itself stands for its crops, so that it is set aside where
    pictures are read, as in any corpus. A crop that is there is not compared with its picture.

    Args:
        root: Folder of the pictures, which must all be there.
        folder: Folder of the crops, made if it is missing.
        boxes: Name and box of each crop.

    Returns:
        Crops that were written.

    Raises:
        Refusal: If a box holds more than 50 million pixels, a link leads out of `root`, or a crop cannot be written.
    """
    made = LooseFiles(folder, outside=True)
    todo: dict[str, list[Box]] = {}
    for name, box in dict.fromkeys(boxes):
        if box[2] * box[3] > MAX_PIXELS:
            raise Refusal(
                f"{root / name}: a box of {box[2]} x {box[3]} pixels, more than {MAX_PIXELS:,}: mend it"
            )
        if isinstance(made.check(name_crop(name, box)), str):
            todo.setdefault(name, []).append(box)
    files = LooseFiles(root, outside=False)
    for name, wanted in todo.items():
        found = files.read(name)
        data = b"" if isinstance(found, str) else found
        try:
            picture = decode_picture(data)
        except BadPicture:
            for box in wanted:
                write_bytes(folder / name_crop(name, box), data)
            continue
        for left, top, width, height in wanted:
            buffer = io.BytesIO()
            picture.crop((left, top, left + width, top + height)).save(buffer, "BMP")
            write_bytes(folder / name_crop(name, (left, top, width, height)), buffer.getvalue())
    return sum(map(len, todo.values()))
