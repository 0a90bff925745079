"""Pictures to paste into, accessories to paste, and a table of bands between them."""

import hashlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

BASES = ("cat", "dog")
ACCESSORIES = ("kite", "lemon", "drum")
BANDS = [
    ("cat", "kite", "band-1-of-2", "bottom"),
    ("cat", "lemon", "band-2-of-2", ""),
    ("dog", "kite", "band-2-of-2", "top"),
    ("dog", "drum", "unseen", ""),
    ("dog", "lemon", "unmatched", ""),
]


def save(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def base(seed, size=(60, 40)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return save(Image.fromarray(pixels))


def accessory(seed, *, clear=True, size=(40, 40), box=(8, 6, 30, 28)):
    """Draw an ellipse with its box, on transparent ground or on white."""
    picture = Image.new("RGBA", size, (255, 255, 255, 0)) if clear else Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).ellipse(box, fill=(200, 10 + seed, 30))
    return save(picture)


def write_accessories(folder, per_concept=4):
    for number, concept in enumerate(ACCESSORIES):
        (folder / concept).mkdir(parents=True)
        for copy in range(per_concept):
            seed = number * per_concept + copy
            (folder / concept / f"{copy}.png").write_bytes(accessory(seed, clear=copy % 2 == 0))
    return folder


def write_bases(folder, per_concept=6):
    for number, concept in enumerate(BASES):
        (folder / concept).mkdir(parents=True)
        for copy in range(per_concept):
            (folder / concept / f"{copy}.png").write_bytes(base(number * per_concept + copy))
    return folder


def write_bands(path, rows=BANDS):
    names = ("a", "b", "band", "tail")
    pq.write_table(pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)}), path)
    return path


def uid_of(data):
    return hashlib.sha256(data).hexdigest()[:32]
