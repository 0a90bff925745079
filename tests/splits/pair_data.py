"""Captions whose words meet more or less often than chance, counts of them, and test pictures of some pairs."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan

WORDS = (
    *("anchor", "apple", "banana", "bell", "boat", "cactus", "camel", "candle", "carrot", "castle", "cat", "drum"),
    *("fire hydrant", "guitar", "hammer", "kite", "ladder", "lemon", "moon", "piano", "rocket", "spoon", "tulip", "zebra"),
)  # fmt: skip


def draw_captions(seed=0, n=4000):
    """Draw captions of one or two words, some of which like each other and some not."""
    rng = np.random.default_rng(seed)
    frequency = 10.0 ** -rng.uniform(0.3, 1.2, len(WORDS))
    liking = rng.normal(0, 1.2, (len(WORDS), len(WORDS)))
    liking += liking.T
    liking[liking < -2] = -np.inf  # some never meet
    captions = []
    for _ in range(n):
        words = [int(rng.choice(len(WORDS), p=frequency / frequency.sum()))]
        while len(words) < 2 and rng.random() < 0.8:
            chances = frequency * np.exp(liking[words[-1]])
            chances[words] = 0
            words.append(int(rng.choice(len(WORDS), p=chances / chances.sum())))
        captions.append(" and ".join(f"a {WORDS[word]}" for word in words))
    return captions


def write_captions(path, captions, *, order=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = range(len(captions)) if order is None else order
    table = {"uid": [f"{row:032x}" for row in rows], "text": [captions[row] for row in rows]}
    pq.write_table(pa.table(table), path)
    return path


def count_captions(path, out):
    count_corpus(open_corpus(path), out, CountPlan(vocabulary=build_vocabulary(WORDS)))
    return out


def encode(seed, size=(6, 5), kind="PNG"):
    """Encode a picture of noise, a function of its seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def write_pairs(folder, pairs, per_pair=2):
    """Write a folder of pictures with a folder for each pair."""
    for number, (a, b) in enumerate(pairs):
        (folder / f"{a}__{b}").mkdir(parents=True)
        for copy in range(per_pair):
            (folder / f"{a}__{b}" / f"{copy:03d}.png").write_bytes(encode(number * per_pair + copy))
    return folder
