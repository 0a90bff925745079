"""How often concepts and pairs of concepts occur: in captions, in images, and in both at once.

Counts of parts of a corpus add up to the counts of the whole. A frequency is a count over ``n_captions``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import sparse

from oddpair.errors import Refusal
from oddpair.files import read_json, read_table, write_json, write_table
from oddpair.retrieval.concepts import MENTION_RULE, Mentions, Vocabulary, nested_pairs
from oddpair.retrieval.count_tables import Counts, merge, place_pairs
from oddpair.retrieval.pmi import IntArray, expect_pairs, pmi
from oddpair.retrieval.tags import load_tags

__all__ = [
    "RULES",
    "Counts",
    "count",
    "expect_pairs",
    "load_tags",
    "merge",
    "pmi",
    "read_counts",
    "write_counts",
]

_COLUMNS = ("count_text", "count_image", "count_joint")

RULES = {
    "mention": f"{MENTION_RULE}: whole words, singular or plural, once per caption, overlapping concepts all count",
    "pairs": "nested concepts are no pair; pairs that never co-occur are not listed",
    "joint": "concept, or both concepts, in the caption and in the tags of the same row",
    "pmi": "natural logarithm, unsmoothed, over captions: log(count * n / (count_a * count_b))",
}


def count(mentions: Mentions, tags: Mentions | None = None, *, vocabulary: Vocabulary) -> Counts:
    """Count concepts and pairs over captions, and over image tags where they are given.

    Args:
        mentions: Concepts in captions, shape ``(n_captions, n_concepts)``, boolean.
        tags: Concepts in the images of the same rows, same shape.
        vocabulary: The concepts; its nested pairs are left out.

    Returns:
        The counts. No captions give zeros.

    Raises:
        ValueError: If the shapes do not fit each other.
    """
    n_captions, n_concepts = mentions.shape
    if n_concepts != len(vocabulary):
        raise ValueError(f"mentions have {n_concepts} concepts, the vocabulary has {len(vocabulary)}")
    if tags is not None and tags.shape != mentions.shape:
        raise ValueError(f"tags have shape {tags.shape}, mentions have {mentions.shape}")
    sources = [mentions] if tags is None else [mentions, tags, sparse.csr_array(mentions.multiply(tags))]
    nested = np.array(sorted(a * n_concepts + b for a, b in nested_pairs(vocabulary)), np.int64)
    singles = []
    products = []
    for source in sources:
        ones = sparse.csr_array(source.astype(np.int64))
        singles.append(np.asarray(ones.sum(axis=0), np.int64))
        upper = sparse.coo_array(sparse.triu(ones.T @ ones, k=1))
        key = upper.coords[0].astype(np.int64) * n_concepts + upper.coords[1]
        keep = (upper.data > 0) & ~np.isin(key, nested)
        products.append((key[keep], upper.data[keep].astype(np.int64)))
    keys = np.unique(np.concatenate([key for key, _ in products]))
    pairs = [place_pairs(keys, key, value) for key, value in products]
    return Counts(
        names=vocabulary.names,
        vocabulary_sha256=vocabulary.sha256,
        n_captions=n_captions,
        text=singles[0],
        image=None if tags is None else singles[1],
        joint=None if tags is None else singles[2],
        a=keys // n_concepts,
        b=keys % n_concepts,
        pair_text=pairs[0],
        pair_image=None if tags is None else pairs[1],
        pair_joint=None if tags is None else pairs[2],
    )


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
