"""How often concepts and pairs of concepts occur: in captions, in images, and in both at once.

Counts of parts of a corpus add up to the counts of the whole. A frequency is a count over ``n_captions``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.files import read_json, read_table, write_json, write_table
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.pmi import IntArray, pmi

_COLUMNS = ("count_text", "count_image", "count_joint")

RULES = {
    "mention": "all: whole words, singular or plural, once per caption, overlapping concepts all count",
    "pairs": "nested concepts are no pair; pairs that never co-occur are not listed",
    "joint": "concept, or both concepts, in the caption and in the tags of the same row",
    "pmi": "natural logarithm, unsmoothed, over captions: log(count * n / (count_a * count_b))",
}


def write_counts(folder: Path, counts: Counts) -> None:
    """Write ``counts.parquet``, ``pairs.parquet`` and ``meta.json``; PMI is null where it is undefined."""
    singles = {
        "concept_id": pa.array(np.arange(len(counts.names))),
        "name": pa.array(counts.names, pa.string()),
        "count_text": pa.array(counts.text),
        "count_image": _column(counts.image, len(counts.names)),
        "count_joint": _column(counts.joint, len(counts.names)),
    }
    first, second = counts.text[counts.a], counts.text[counts.b]
    defined = (first > 0) & (second > 0)
    values = np.full(len(counts.a), np.nan)
    if defined.any():
        values[defined] = pmi(counts.pair_text[defined], first[defined], second[defined], counts.n_captions)
    pairs = {
        "a": pa.array(counts.a),
        "b": pa.array(counts.b),
        "count_text": pa.array(counts.pair_text),
        "count_image": _column(counts.pair_image, len(counts.a)),
        "count_joint": _column(counts.pair_joint, len(counts.a)),
        "pmi": pa.array(values, mask=~defined),
    }
    write_table(folder / "counts.parquet", pa.table(singles))
    write_table(folder / "pairs.parquet", pa.table(pairs))
    meta = {
        "n": counts.n_captions,
        "rules": RULES,
        "tags": counts.image is not None,
        "vocabulary_sha256": counts.vocabulary_sha256,
    }
    write_json(folder / "meta.json", meta)


def read_counts(folder: Path, vocabulary: Vocabulary | None = None) -> Counts:
    """Read what ``write_counts`` wrote.

    Args:
        folder: Folder of the counts.
        vocabulary: The vocabulary that the counts must be of; ``None`` takes them as they are.

    Raises:
        Refusal: If a file is missing or damaged, the files contradict each other, or the counts are of
            another vocabulary.
    """
    meta = read_json(folder / "meta.json")
    again = f"delete {folder} and count again"
    kinds = {"n": int, "tags": bool, "vocabulary_sha256": str}
    if not isinstance(meta, dict) or any(
        not isinstance(meta.get(name), kind) for name, kind in kinds.items()
    ):
        raise Refusal(f"{folder / 'meta.json'} lacks n, tags or vocabulary_sha256: {again}")
    if vocabulary is not None and meta["vocabulary_sha256"] != vocabulary.sha256:
        raise Refusal(
            f"{folder} counts another vocabulary (sha256 {meta['vocabulary_sha256'][:12]}, needed "
            f"{vocabulary.sha256[:12]}): give its vocabulary, or {again}"
        )
    singles = read_table(folder / "counts.parquet", ["concept_id", "name", *_COLUMNS])
    pairs = read_table(folder / "pairs.parquet", ["a", "b", *_COLUMNS])
    try:
        numbers = _array(singles["concept_id"])
        if not np.array_equal(numbers, np.arange(len(numbers))):
            raise ValueError("concept_id does not count up from 0")
        text, image, joint = _arrays(singles, tags=meta["tags"])
        pair_text, pair_image, pair_joint = _arrays(pairs, tags=meta["tags"])
        return Counts(
            names=tuple(singles["name"].to_pylist()),
            vocabulary_sha256=meta["vocabulary_sha256"],
            n_captions=meta["n"],
            text=text,
            image=image,
            joint=joint,
            a=_array(pairs["a"]),
            b=_array(pairs["b"]),
            pair_text=pair_text,
            pair_image=pair_image,
            pair_joint=pair_joint,
        )
    except ValueError as error:
        raise Refusal(f"the counts in {folder} contradict themselves ({error}): {again}") from error


def _arrays(table: pa.Table, *, tags: bool) -> tuple[IntArray, IntArray | None, IntArray | None]:
    text, image, joint = (table[name] for name in _COLUMNS)
    return _array(text), _array(image) if tags else None, _array(joint) if tags else None


def _array(column: pa.ChunkedArray) -> IntArray:
    if column.null_count or not pa.types.is_int64(column.type):
        raise ValueError(f"a column of {column.type} with {column.null_count} nulls, needed int64")
    return np.asarray(column.to_numpy(), np.int64)


def _column(values: IntArray | None, n_rows: int) -> pa.Array:
    return pa.nulls(n_rows, pa.int64()) if values is None else pa.array(values)
