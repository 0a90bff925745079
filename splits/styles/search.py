"""How near each corpus row comes to the test pictures of a style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair import files
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.neighbours import find_neighbours
from oddpair.retrieval.search import nearest
from oddpair.retrieval.shard_groups import numbered
from oddpair.retrieval.stored import StoredRows, open_stored
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.manifest import uids_digest
from oddpair.splits.pool import Pool
from oddpair.splits.styles.features import fetch_half

_ROWS_AT_ONCE = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleTest:
    """Test pictures of one style.

    Attributes:
        name: What the set is called.
        stored: Their embeddings.
        styles: Finer style of each picture by uid, such as sketch or cartoon; the set's name stands for the others.
    """

    name: str
    stored: StoredRows
    styles: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """The nearest test picture of each row of a pool.

    Attributes:
        similarity: Cosine similarity, float32, shape ``(n,)``.
        styles: Finer style of the nearest picture as a place in ``names``, shape ``(n,)``.
        names: Finer styles, sorted.
    """

    similarity: NDArray[np.float32]
    styles: NDArray[np.int32]
    names: tuple[str, ...]


def find_nearest(
    corpus: StoredRows, pool: Pool, tests: Sequence[StyleTest], work: Path, *, workers: int
) -> Nearness:
    """Search the nearest test picture of every row; a killed search goes on.

    Args:
        corpus: Embeddings of the corpus.
        pool: Its rows to tell of.
        tests: Test sets of one style; of equally near pictures that of the first set counts.
        work: Folder for the searches.
        workers: Processes.

    Returns:
        What was found.
    """
    names = tuple(sorted({style for test in tests for style in (test.name, *test.styles.values())}))
    place = {name: index for index, name in enumerate(names)}
    best = np.full(corpus.shape[0], -np.inf, dtype=np.float32)
    styles = np.zeros(corpus.shape[0], dtype=np.int32)
    for test in tests:
        found = find_neighbours(corpus, test.stored, work / f"neighbours-{test.name}", k=1, workers=workers)
        uids = pa.array(test.styles, pa.string())
        of_test = np.array(
            [*(place[style] for style in test.styles.values()), place[test.name]], dtype=np.int32
        )
        start = 0
        for shard, size in enumerate(corpus.sizes):
            columns = ["score", "test"] if test.styles else ["score"]
            table = files.read_table(numbered(found.folder, "rows", shard, len(corpus.sizes)), columns)
            scores = table["score"].to_numpy()
            nearer = np.flatnonzero(scores > best[start : start + size])
            best[nearer + start] = scores[nearer]
            # Where all pictures of a set are of one style, which of them is nearest tells no more.
            known = np.full(len(scores), len(uids))
            if test.styles:
                known = pc.fill_null(pc.index_in(table["test"], value_set=uids), len(uids)).to_numpy()
            styles[nearer + start] = of_test[known[nearer]]
            start += size
    return Nearness(similarity=best[pool.rows], styles=styles[pool.rows], names=names)


def nearest_again(corpus: StoredRows, rows: IntArray, tests: Sequence[StyleTest]) -> NDArray[np.float32]:
    """Compare some rows with all test pictures once more, in another way than ``find_nearest`` does.

    Args:
        corpus: Embeddings of the corpus.
        rows: Rows in them, shape ``(m,)``.
        tests: Test sets of one style.

    Returns:
        The largest cosine similarity of each row, shape ``(m,)``.
    """
    best = np.full(len(rows), -np.inf, dtype=np.float32)
    # As they lie on disk, or every block of them would be a pass over the corpus.
    order = np.argsort(rows, kind="stable")
    for test in tests:
        total = test.stored.shape[0]
        pictures = test.stored.read(0, total).astype(np.float32)
        uids = test.stored.uids(np.arange(total))
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = order[start : start + _ROWS_AT_ONCE]
            queries = fetch_half(corpus, rows[part]).astype(np.float32)
            best[part] = np.maximum(best[part], nearest(queries, pictures, 1, uids=uids).scores[:, 0])
    return best


def store_rows(corpus: StoredRows, rows: IntArray, folder: Path) -> StoredRows:
    """Write some rows of a corpus as an embedding folder of their own, to be searched like a test set.

    Args:
        corpus: Embeddings of the corpus.
        rows: Rows in them, shape ``(m,)``.
        folder: Written anew.

    Returns:
        The rows.
    """
    uids = pa.array(corpus.uids(rows), pa.string())
    files.write_array(part_path(folder, "img_emb", 0, 1), fetch_half(corpus, rows))
    files.write_table(
        part_path(folder, "metadata", 0, 1), pa.table({"uid": uids, "caption": corpus.captions(rows)})
    )
    files.write_json(
        folder / "manifest.json",
        {
            "rows": [len(rows)],
            "dimensions": {"img_emb": corpus.dimension},
            "encoder_sha256": corpus.encoder,
            "uids_sha256": uids_digest(uids),
        },
    )
    return open_stored(folder)
