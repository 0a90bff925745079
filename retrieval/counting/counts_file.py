"""How often concepts and pairs of concepts occur, on disk: in captions, in images, and in both at once.

Counts of parts of a corpus add up to the counts of the whole. A frequency is a count over ``n``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from oddpair import stages
from oddpair.errors import Refusal
from oddpair.files import read_json, read_table, sha256, write_json, write_table
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.counting.counts import Counts, most_frequent
from oddpair.retrieval.counting.pair_sums import PairSums, write_tables
from oddpair.retrieval.counting.pmi import IntArray, pmi

_COLUMNS = ("count_text", "count_image", "count_joint")
_PAIR_SCHEMA = pa.schema(
    [("a", pa.int64()), ("b", pa.int64()), *((name, pa.int64()) for name in _COLUMNS), ("pmi", pa.float64())]
)
# Pairs are written so many at a time, which bounds what it takes of memory.
_BLOCK = 1 << 20

RULES = {
    "mention": "as 'counting' says. Its rules 'mentions': the words of one of the concept's forms, one after the other, "
    "once per caption; of forms that overlap all count (overlap 'all') or those that lie in no longer one ('longest')",
    "pairs": "all pairs among the 'pair_concepts' concepts of largest count_text, ties to the smaller concept_id (null: "
    "among all concepts), and any that were asked for; nested concepts are no pair, and listed in nested.parquet; a pair "
    "among those concepts that is not listed occurs nowhere, and of any other pair that is not listed nothing is known",
    "joint": "concept, or both concepts, in the caption and in the tags of the same row",
    "pmi": "natural logarithm, unsmoothed, over captions: log(count * n / (count_a * count_b)); -inf where the count is "
    "0, null where a concept occurs in no caption",
}
_COUNTING = {"rules": "mentions", "overlap": "all"}
# What is in meta.json whoever counted, and of which type.
_KINDS = {
    "n": int,
    "vocabulary_sha256": str,
    "concepts": int,
    "pairs": int,
    "pair_concepts": int | None,
    "tags": bool,
    "rules": dict,
    "counting": dict,
}
# What only counts of tagged images say.
_KINDS_OF_TAGS = {"tagger": dict | None, "tag_threshold": int | float | None}
_MOST = 1 << 63


def write_counts(
    folder: Path,
    counts: Counts,
    made: Mapping[str, Any] | None = None,
    *,
    pairs: Iterable[PairSums] | None = None,
) -> int:
    """Write ``counts.parquet``, ``pairs.parquet`` and ``meta.json``; PMI is null where it is undefined.

    Beside them ``nested.parquet`` lists the pairs ``a < b`` that are none by the rules of the count. The two large
    tables carry how they were made, see ``mark_made``.

    Args:
        folder: Folder to write into.
        counts: Of a whole corpus.
        made: How they were made, for ``meta.json`` as it is: ``counting``, as the finder describes itself, by default
            ``{"rules": "mentions", "overlap": "all"}``; ``tagger`` and ``tag_threshold`` where images are tagged.
        pairs: The pairs, some at a time and in ascending order, of counts that list none: there may be many.

    Returns:
        The number of pairs.

    Raises:
        ValueError: If the members of the counts are not the most frequent concepts, which is how a reader finds them,
            or ``made`` gives what the counts say themselves.
    """
    members = most_frequent(counts.text, counts.pair_concepts)
    if members is not None and not np.array_equal(members, np.flatnonzero(counts.paired)):
        raise ValueError(
            f"all pairs were counted among {len(members)} concepts that are not the most frequent ones"
        )
    meta = {
        "n": counts.n_captions,
        "vocabulary_sha256": counts.vocabulary_sha256,
        "concepts": len(counts.names),
        "pair_concepts": counts.pair_concepts,
        "tags": counts.image is not None,
        "rules": RULES,
        "pairs": 0,
    }
    twice = sorted(set(meta) & set(made or ()))
    if twice:
        raise ValueError(f"made gives {twice[0]!r}, which the counts say themselves")
    singles = {
        "concept_id": pa.array(np.arange(len(counts.names))),
        "name": pa.array(counts.names, pa.string()),
        "count_text": pa.array(counts.text),
        "count_image": _column(counts.image, len(counts.names)),
        "count_joint": _column(counts.joint, len(counts.names)),
    }
    told = {"counting": _COUNTING, **(made or {})}
    marks = mark_made(told)
    write_table(folder / "counts.parquet", pa.table(singles).replace_schema_metadata(marks))
    nested = {"a": counts.nested // len(counts.names), "b": counts.nested % len(counts.names)}
    write_table(folder / "nested.parquet", pa.table({name: pa.array(ids) for name, ids in nested.items()}))
    tables = (_pair_table(counts, block) for block in (_blocks(counts) if pairs is None else pairs))
    n_pairs = meta["pairs"] = write_tables(
        folder / "pairs.parquet", _PAIR_SCHEMA.with_metadata(marks), tables
    )
    write_json(folder / "meta.json", {**told, **meta})
    return n_pairs


def read_counts(folder: Path, vocabulary: Vocabulary | None = None) -> Counts:
    """Read what ``write_counts`` wrote.

    Args:
        folder: Folder of the counts.
        vocabulary: The vocabulary that the counts must be of; ``None`` takes them as they are.

    Raises:
        Refusal: If a file is missing or damaged, the files contradict each other, or the counts are of
            another vocabulary.
    """
    meta = read_meta(folder)
    if vocabulary is not None and meta["vocabulary_sha256"] != vocabulary.sha256:
        raise Refusal(
            f"{folder} counts another vocabulary (sha256 {meta['vocabulary_sha256'][:12]}, needed "
            f"{vocabulary.sha256[:12]}): give its vocabulary, or {_again(folder)}"
        )
    if vocabulary is not None:
        need_names(folder, vocabulary)
    singles, pairs = folder / "counts.parquet", folder / "pairs.parquet"
    try:
        numbers = _read(singles, "concept_id")
        if not np.array_equal(numbers, np.arange(len(numbers))):
            raise ValueError("concept_id does not count up from 0")
        text, image, joint = _read_kinds(singles, tags=meta["tags"])
        a, b = _read(pairs, "a"), _read(pairs, "b")
        pair_text, pair_image, pair_joint = _read_kinds(pairs, tags=meta["tags"])
        for name, found in (("concepts", len(text)), ("pairs", len(a))):
            if found != meta[name]:
                raise ValueError(f"{found:,} {name}, meta.json says {meta[name]:,}")
        return Counts(
            names=_read_names(singles),
            vocabulary_sha256=meta["vocabulary_sha256"],
            n_captions=meta["n"],
            text=text,
            image=image,
            joint=joint,
            a=a,
            b=b,
            pair_text=pair_text,
            pair_image=pair_image,
            pair_joint=pair_joint,
            members=most_frequent(text, meta["pair_concepts"]),
            nested=_read_nested(folder, len(text)),
        )
    except ValueError as error:
        raise _contradicting(folder, error) from error


def read_meta(folder: Path) -> dict[str, Any]:
    """Read what ``meta.json`` says of how counts were made.

    Raises:
        Refusal: If it is missing or damaged, or lacks what every count says.
    """
    meta = read_json(folder / "meta.json")
    if not isinstance(meta, dict):
        meta = {}
    lacking = [name for name, kind in _KINDS.items() if name not in meta or not _is_of(meta[name], kind)]
    lacking += [
        name for name, kind in _KINDS_OF_TAGS.items() if name in meta and not _is_of(meta[name], kind)
    ]
    if lacking:
        raise Refusal(f"{folder / 'meta.json'} lacks {lacking[0]}, or gives another type: {_again(folder)}")
    return dict(meta)


def need_names(folder: Path, vocabulary: Vocabulary) -> None:
    """Refuse counts of other concepts than a vocabulary's, or in another order: every count would be another's.

    Raises:
        Refusal: Likewise if the names are missing or damaged.
    """
    try:
        names = _read_names(folder / "counts.parquet")
    except ValueError as error:
        raise _contradicting(folder, error) from error
    if names != vocabulary.names:
        given = dict(enumerate(vocabulary.names))
        place = next((at for at, name in enumerate(names) if given.get(at) != name), len(names))
        told = [
            repr(listed[place]) if place < len(listed) else "none" for listed in (names, vocabulary.names)
        ]
        raise Refusal(
            f"{folder / 'counts.parquet'} names {told[0]} as concept {place}, its vocabulary {told[1]}: "
            f"{_again(folder)}"
        )


def read_nested(folder: Path, n_concepts: int) -> IntArray:
    """Read the pairs that are none by the rules of the count, as the keys of ``Counts.nested``, and nothing else.

    Raises:
        Refusal: If the file is missing or damaged, or names no pairs of so many concepts.
    """
    try:
        return _read_nested(folder, n_concepts)
    except ValueError as error:
        raise _contradicting(folder, error) from error


def verify_counts(folder: Path, names: Sequence[str]) -> list[str]:
    """Compare files of a finished count with what it recorded of them; each is read once.

    Args:
        folder: Folder of ``oddpair count``.
        names: Files in it.

    Returns:
        The SHA-256 of each.

    Raises:
        Refusal: If the count was not finished, or a file is missing, has changed or is none of its own.
    """
    if not (folder / "inputs.json").is_file() or not (folder / "done.json").is_file():
        raise Refusal(f"{folder} is not finished: run oddpair count again")
    # It refuses a record that is none.
    stages.made_from(folder)
    record = read_json(folder / "done.json")
    found: list[str] = []
    for name in names:
        path = folder / name
        if name not in record:
            raise Refusal(f"{path} is no part of what was counted: {_again(folder)}")
        if not path.is_file():
            raise Refusal(f"{path} does not exist, but was counted: run oddpair count again")
        if path.stat().st_size != record[name]["bytes"] or sha256(path) != record[name]["sha256"]:
            raise Refusal(f"{path} has changed since it was counted: delete it and run oddpair count again")
        found.append(record[name]["sha256"])
    return found


def mark_made(made: Mapping[str, Any]) -> dict[str, str]:
    """Return how counts were made as metadata of a table: ``oddpair.counting`` and ``oddpair.tagger``, as JSON.

    >>> mark_made({"counting": {"rules": "words"}, "tag_threshold": 0.5})
    {'oddpair.counting': '{"rules": "words"}', 'oddpair.tagger': 'null'}
    """
    return {
        f"oddpair.{name}": json.dumps(made.get(name), sort_keys=True, allow_nan=False)
        for name in ("counting", "tagger")
    }


def _is_of(value: Any, kind: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    return isinstance(value, kind) and not (isinstance(value, int) and not 0 <= value < _MOST)


def _blocks(counts: Counts) -> Iterator[PairSums]:
    kinds = [kind for kind in (counts.pair_text, counts.pair_image, counts.pair_joint) if kind is not None]
    for start in range(0, len(counts.a), _BLOCK):
        block = slice(start, start + _BLOCK)
        yield PairSums(
            keys=counts.a[block] * len(counts.names) + counts.b[block],
            counts=np.stack([kind[block] for kind in kinds]),
        )


def _pair_table(counts: Counts, block: PairSums) -> pa.Table:
    a, b = np.divmod(block.keys, len(counts.names))
    together, *others = block.counts
    image, joint = others or (None, None)
    first, second = counts.text[a], counts.text[b]
    defined = (first > 0) & (second > 0)
    values = np.zeros(len(a))
    if defined.any():
        values[defined] = pmi(together[defined], first[defined], second[defined], counts.n_captions)
    columns = [
        pa.array(a),
        pa.array(b),
        pa.array(together),
        _column(image, len(a)),
        _column(joint, len(a)),
        pa.array(values, mask=~defined),
    ]
    return pa.table(columns, schema=_PAIR_SCHEMA)


def _read_kinds(path: Path, *, tags: bool) -> tuple[IntArray, IntArray | None, IntArray | None]:
    text, image, joint = _COLUMNS
    return _read(path, text), _read(path, image) if tags else None, _read(path, joint) if tags else None


def _read(path: Path, name: str) -> IntArray:
    """Read one column: no other is in memory twice meanwhile."""
    column = read_table(path, [name])[name]
    if column.null_count or not pa.types.is_int64(column.type):
        raise ValueError(f"{name} is {column.type} with {column.null_count} nulls, needed int64")
    return np.asarray(column.to_numpy(), np.int64)


def _read_names(path: Path) -> tuple[str, ...]:
    column = read_table(path, ["name"])["name"]
    if column.null_count or not pa.types.is_string(column.type):
        raise ValueError(f"name is {column.type} with {column.null_count} nulls, needed string")
    try:
        return tuple(column.to_pylist())
    except UnicodeDecodeError as error:
        raise ValueError("a name is not UTF-8") from error


def _read_nested(folder: Path, n_concepts: int) -> IntArray:
    a, b = (_read(folder / "nested.parquet", name) for name in "ab")
    if np.any(a < 0) or np.any(a >= b) or np.any(b >= n_concepts):
        raise ValueError(f"nested pairs need ids a < b < {n_concepts}")
    keys: IntArray = a * n_concepts + b
    return keys


def _contradicting(folder: Path, error: ValueError) -> Refusal:
    return Refusal(f"the counts in {folder} contradict themselves ({error}): {_again(folder)}")


def _column(values: IntArray | None, n_rows: int) -> pa.Array:
    return pa.nulls(n_rows, pa.int64()) if values is None else pa.array(values)


def _again(folder: Path) -> str:
    return f"delete {folder} and count again"
