"""Small corpora to find neighbours in, and what a search for them left."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
from tests.retrieval.brute_force import draw_names, unit
from tests.retrieval.stored_folder import write_stored

from oddpair.retrieval.stored import open_stored


def draw(seed, n, d=12):
    """Rows of coarse numbers, so that some scores tie."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, (n, d)).astype(np.float64)
    rows[:, 0] += ~rows.any(axis=1)
    return unit(rows, np.float16), draw_names(rng, n)


def stored(folder, rows, uids, sizes=None):
    return open_stored(write_stored(folder, rows, uids, sizes or [len(rows)]))


def whole(rows):
    n = rows.shape[0]
    return rows.read(0, n), rows.uids(np.arange(n))


def read_rows(out):
    return [line for path in sorted(out.glob("rows/*.parquet")) for line in pq.read_table(path).to_pylist()]


def read_tests(out):
    return pq.read_table(out / "tests.parquet").to_pylist()


def content(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
