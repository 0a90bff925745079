"""Any corpus as an evaluation set: its columns say what is on the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from oddpair.benchmarks.evaluation_set import COLUMNS, EvaluationSet, Kind
from oddpair.benchmarks.sets.class_folders import order_classes
from oddpair.benchmarks.sets.settings import require_known
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.formats.folder_source import FolderSource
from oddpair.retrieval.samples import Bad

LAYOUT = "corpus"

_KINDS: dict[str, Kind] = {
    "label": "classification",
    "labels": "multilabel",
    "concepts": "pairs",
    "captions": "retrieval",
}


def open_labelled(path: Path, *, name: str, settings: Mapping[str, str]) -> EvaluationSet:
    """Open a corpus whose columns say what is on its pictures; no picture is decoded.

    Columns are those of the corpus' tables, fields of the json members of its tars that are no lists, or columns
    of its csv. Where uids are made of pictures' bytes, these are read. Rows that the corpus sets aside, as one
    that has captions does with a row of none, are not in the set, and are counted in its notes.

    Args:
        path: The corpus, in any layout of ``open_corpus`` that has pictures.
        name: What the user calls the set.
        settings: One of ``label``, ``labels``, ``concepts`` and ``captions`` names the column that says it, and
            makes the kind: ``classification`` (a text, a whole number, or a list of one), ``multilabel`` (a list,
            which may be empty), ``pairs`` (a list of concepts; a task asks of the pictures of its split, which
            must show two) or ``retrieval`` (a text or a list; the corpus' own is ``caption``). ``style`` names
            the column of styles.

    Returns:
        The set; classes are the different labels, sorted as those of folders are. Keys are ``shard/key``, and in
        a folder of pictures their paths.

    Raises:
        Refusal: If none or several of the four are given, the corpus has no pictures or no such column, or a row
            has no label.
    """
    require_known(settings, (*_KINDS, "style"), name=name, layout=LAYOUT)
    asked = [setting for setting in _KINDS if setting in settings]
    if len(asked) != 1:
        raise Refusal(
            f"set {name}: {' and '.join(asked) or 'nothing'} says what is on the pictures of {path}: set one of "
            f"{', '.join(_KINDS)} to the column that does"
        )
    corpus = _open_whole(path)
    kind, column, style = _KINDS[asked[0]], settings[asked[0]], settings.get("style")
    by_shard = corpus.layout != "folder"
    keys: list[str] = []
    values: list[Any] = []
    styles: list[str] = []
    bad: list[Bad] = []
    for shard in corpus.shards:
        for batch in corpus.scan(shard, [column] if style is None else [column, style]):
            bad.extend(batch.bad)
            new = [f"{shard}/{key}" if by_shard else key for key in batch.table["key"].to_pylist()]
            where = f"{path} column {column!r}"
            for key, value in zip(new, _as_texts(batch.table[column], where), strict=True):
                try:
                    values.append(_READERS[kind](value))
                except ValueError as error:
                    raise Refusal(f"{where} of {key} {error}: mend the row") from error
            keys += new
            styles += _read_styles(batch.table, style, path)
    _require_once(keys, path)
    if not keys:
        first = f"{bad[0].file}: {bad[0].reason}" if bad else "its tables are empty"
        raise Refusal(f"{path} gives not one picture of {len(corpus):,} ({first}): check its files")
    field, values_type = COLUMNS[kind]
    return EvaluationSet(
        root=path,
        layout=LAYOUT,
        kind=kind,
        corpus=corpus,
        table=pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "style": pa.array(styles, pa.string()),
                field: pa.array(values, values_type),
            }
        ),
        classes=() if kind == "retrieval" else _classes(values),
        keyed_by_shard=by_shard,
        notes=_tell(kind, values, bad),
    )


def _open_whole(path: Path) -> Corpus:
    corpus = open_corpus(path)
    if not corpus.pictures:
        raise Refusal(
            f"{path} is {corpus.layout}, which has no pictures: fetch them, and name what was fetched"
        )
    if isinstance(corpus.source, FolderSource):
        # Two rows of one picture may be labelled each in its own way.
        return replace(corpus, source=replace(corpus.source, repeats=True))
    return corpus


def _as_texts(column: pa.ChunkedArray, where: str) -> list[Any]:
    """Return texts and whole numbers as texts, alone or in lists, and null as ``None``."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    inner = kind.value_type if listed else kind
    known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
    if not any(is_known(inner) for is_known in known):
        raise Refusal(f"{where} is {kind}, needed texts or whole numbers, alone or in lists: write it anew")
    texts: list[Any] = column.cast(pa.list_(pa.string()) if listed else pa.string()).to_pylist()
    return texts


def _read_styles(table: pa.Table, style: str | None, path: Path) -> list[str]:
    if style is None:
        return [""] * table.num_rows
    found = _as_texts(table[style], f"{path} column {style!r}")
    if any(isinstance(value, list) for value in found):
        raise Refusal(f"{path} column {style!r} is a list: a picture has one style")
    return [value or "" for value in found]


def _read_label(value: Any) -> str:
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(one, list):
        raise ValueError(f"holds {len(one)} labels, needed one")
    return _require_label(one)


def _read_classes(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"is {value!r}, needed a list")
    return list(dict.fromkeys(_require_label(one) for one in value))


def _require_label(value: str | None) -> str:
    if value is None or not value.strip():
        raise ValueError("has no label, which is never guessed")
    return value


def _read_captions(value: Any) -> list[str]:
    captions = value if isinstance(value, list) else [value]
    return [caption.strip() for caption in captions if caption is not None and caption.strip()]


_READERS: dict[Kind, Callable[[Any], Any]] = {
    "classification": _read_label,
    "multilabel": _read_classes,
    "pairs": _read_classes,
    "retrieval": _read_captions,
}


def _require_once(keys: Sequence[str], path: Path) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise Refusal(f"{path} holds {key} twice: a picture is asked about once, remove one of the rows")
        seen.add(key)


def _classes(values: Sequence[str | list[str]]) -> tuple[str, ...]:
    return order_classes(key for value in values for key in ([value] if isinstance(value, str) else value))


def _tell(kind: Kind, values: Sequence[Any], bad: Sequence[Bad]) -> tuple[str, ...]:
    notes = []
    n_bad = sum(one.rows for one in bad)
    if bad:
        notes.append(f"Rows set aside: {n_bad:,}, the first in {bad[0].file} ({bad[0].reason}).")
    silent = sum(not value for value in values) if kind == "retrieval" else 0
    if silent:
        notes.append(f"Pictures without a caption, which stay in the gallery: {silent:,}.")
    return tuple(notes)
