"""An embedded corpus whose rows lie as CLIP's do, with tests and thresholds: what the exact searches are timed on.

Rows are a common mean, a centre of one of a thousand unequal clusters and a part of their own, all with a power-law
spectrum and a few outlying coordinates, so that similarities spread as those of pictures do. One row in 500 is a near
copy of a test. A test's threshold is the similarity of its nearest picture in some training set, as the similarity-gap
rule has it: about 0.87.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oddpair import files
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.stored import StoredRows, open_stored

DIMENSION = 512
CLUSTERS = 1000
ROWS_PER_SHARD = 10_000
# Shares of a row's squared length: two rows have a cosine of 0.3 on average, of one cluster 0.6.
COMMON, CLUSTER, OWN = 0.3, 0.3, 0.4
COPIES = 1 / 500
OUTLYING = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Where it all lies on disk."""

    folder: Path

    def corpus(self, rows: int | None = None) -> StoredRows:
        """The corpus, or its first rows, rounded up to whole shards."""
        stored = open_stored(self.folder / "corpus")
        return stored if rows is None else stored.only(0, -(-rows // stored.sizes[0]))

    def shards(self, rows: int | None = None) -> list[Path]:
        """Files of the same rows."""
        corpus = self.corpus(rows)
        shards = range(len(corpus.sizes))[: corpus.last]
        return [part_path(corpus.folder, "img_emb", shard, len(corpus.sizes)) for shard in shards]

    def tests(self, number: int) -> NDArray[np.float16]:
        """The first tests, float16 of ``(number, d)``."""
        found: NDArray[np.float16] = np.load(self.folder / "tests.npy")[:number]
        return found

    def thresholds(self, number: int) -> NDArray[np.float32]:
        """Their thresholds."""
        found: NDArray[np.float32] = np.load(self.folder / "thresholds.npy")[:number]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    mean: NDArray[np.float32]
    centres: NDArray[np.float32]
    spread: NDArray[np.float32]

    def draw(self, rng: np.random.Generator, clusters: NDArray[np.int64]) -> NDArray[np.float32]:
        own = rng.standard_normal((len(clusters), len(self.mean)), dtype=np.float32) @ self.spread
        return _normalise(self.mean + self.centres[clusters] + own)


def make_world(folder: Path, *, rows: int, tests: int, rows_per_shard: int = ROWS_PER_SHARD) -> World:
    """Draw the corpus, as `oddpair embed` would write it, and its tests."""
    rng = np.random.default_rng(0)
    shape = _draw_shape(rng)
    # Tests are of all clusters alike; of the corpus's, a few are large.
    asked = shape.draw(rng, rng.integers(0, CLUSTERS, tests))
    folder.mkdir(parents=True)
    np.save(folder / "tests.npy", asked.astype(np.float16))
    gaps = np.clip(rng.normal(0.87, 0.04, tests), 0.7, 0.98)
    np.save(folder / "thresholds.npy", gaps.astype(np.float32))
    sizes = [min(rows_per_shard, rows - start) for start in range(0, rows, rows_per_shard)]
    corpus = folder / "corpus"
    for kind in ("img_emb", "metadata"):
        (corpus / kind).mkdir(parents=True)
    weights = 1 / np.arange(1, CLUSTERS + 1)
    for shard, size in enumerate(sizes):
        drawn = shape.draw(rng, rng.choice(CLUSTERS, size, p=weights / weights.sum()))
        copies = rng.random(size) < COPIES
        drawn[copies] = _draw_copies(rng, asked[rng.integers(0, tests, int(copies.sum()))])
        np.save(part_path(corpus, "img_emb", shard, len(sizes)), drawn.astype(np.float16))
        names = [f"{number:016x}" for number in rng.integers(0, 2**63, size)]
        table = pa.table({"uid": names, "key": names, "caption": ["a photo"] * size})
        pq.write_table(table, part_path(corpus, "metadata", shard, len(sizes)))
    described = {"rows": sizes, "dimensions": {"img_emb": DIMENSION}, "encoder_sha256": ""}
    files.write_json(corpus / "manifest.json", described)
    return World(folder=folder)


def _draw_shape(rng: np.random.Generator) -> _Shape:
    turn, _ = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))
    strength = np.arange(1, DIMENSION + 1) ** -0.5
    spread = (strength / np.linalg.norm(strength))[:, None] * turn
    mean = rng.standard_normal(DIMENSION)
    # Every CLIP model has some coordinates that are far larger than the rest in all rows.
    mean[rng.choice(DIMENSION, 3, replace=False)] *= OUTLYING
    centres = _normalise(rng.standard_normal((CLUSTERS, DIMENSION)) @ spread)
    return _Shape(
        mean=(COMMON**0.5 * mean / np.linalg.norm(mean)).astype(np.float32),
        centres=np.float32(CLUSTER**0.5) * centres,
        spread=(OWN**0.5 * spread).astype(np.float32),
    )


def _draw_copies(rng: np.random.Generator, originals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw a row at a cosine of 0.8 to 1 with each."""
    cosine = rng.uniform(0.8, 1, (len(originals), 1))
    other = rng.standard_normal(originals.shape)
    other -= (other * originals).sum(axis=1, keepdims=True) * originals
    return _normalise(cosine * originals + np.sqrt(1 - cosine**2) * _normalise(other))


def _normalise(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found
