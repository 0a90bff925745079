"""Sets in the webdataset layout of CLIP_benchmark: numbered tars, with class names and templates beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from oddpair.benchmarks.evaluation_set import COLUMNS, EvaluationSet, Kind
from oddpair.benchmarks.sets.label_vectors import read_vector
from oddpair.benchmarks.sets.settings import require_known
from oddpair.benchmarks.sets.text_lines import read_lines
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.formats.tar_headers import walk_headers
from oddpair.retrieval.formats.tars import TarIndex, open_tar, read_member
from oddpair.retrieval.formats.webdataset import WebdatasetSource
from oddpair.retrieval.stores import list_folder

LAYOUT = "clip_benchmark"
COUNT_FILE = "nshards.txt"

_NAMES, _TEMPLATES, _TYPE = "classnames.txt", "zeroshot_classification_templates.txt", "dataset_type.txt"
# The member that says what is on a picture, by the kind of set.
_MEMBERS: dict[Kind, str] = {"classification": "cls", "multilabel": "npy", "retrieval": "txt"}
_NUMBER = re.compile(rb"\s*(\d{1,9})\s*")
_LARGEST_LABEL = 1 << 24


def open_clip_benchmark(path: Path, *, name: str, settings: Mapping[str, str]) -> EvaluationSet:
    """Open a set as CLIP_benchmark's ``webdataset_builder`` writes it; labels are read, no picture is decoded.

    A split is a folder of ``nshards.txt`` and ``0.tar`` to ``{n-1}.tar``. ``classnames.txt``,
    ``zeroshot_classification_templates.txt`` and ``dataset_type.txt`` lie beside the splits, or beside the tars. A
    picture's label is its ``.cls`` (a whole number), ``.npy`` (multilabel: a vector of 0 and 1 over the classes) or
    ``.txt`` (retrieval: a caption a line, stripped; a picture without one stays in the gallery). Keys of classes are
    the numbers of their lines, ``"0"`` to ``"k-1"``, since two classes may have one name. In templates ``{c}``
    becomes ``{}``; other braces stay the letters that they are, where the peer's ``str.format`` fails on them.

    Args:
        path: The root of the set, or the folder of one split.
        name: What the user calls the set.
        settings: ``split``: name of the split; left out, it is ``test``, or the only one.

    Returns:
        The set, its rows in the order of the corpus; keys are ``shard/key``.

    Raises:
        Refusal: If tars are missing, damaged, or others than ``nshards.txt`` says; if a sample has no label, no
            picture, or a key that is there twice; or if a label, class name or template is not what it should be.

    References:
        CLIP_benchmark, https://github.com/LAION-AI/CLIP_benchmark, ``clip_benchmark_export_wds``.
    """
    require_known(settings, ("split",), name=name, layout=LAYOUT)
    home, folder = _find_split(path, settings.get("split"))
    kind = _read_kind(home)
    corpus = _open_tars(folder)
    labelled = kind != "retrieval"
    names = read_lines(home / _NAMES) if labelled and (home / _NAMES).is_file() else ()
    templates = _read_templates(home / _TEMPLATES) if labelled and (home / _TEMPLATES).is_file() else ()
    if kind == "multilabel" and not names:
        raise Refusal(f"{home} holds no {_NAMES}, which a multilabel set needs: write one class a line")
    read: dict[Kind, Callable[[bytes], Any]] = {
        "classification": partial(_read_number, n_classes=len(names)),
        "multilabel": partial(_read_classes, n_classes=len(names)),
        "retrieval": _read_captions,
    }
    keys: list[str] = []
    values: list[Any] = []
    for shard, size in zip(corpus.shards, corpus.sizes, strict=True):
        for key, value in _read_labels(folder / f"{shard}.tar", size, _MEMBERS[kind], read[kind]):
            keys.append(f"{shard}/{key}")
            values.append(value)
    column, values_type = COLUMNS[kind]
    return EvaluationSet(
        root=path,
        layout=LAYOUT,
        kind=kind,
        corpus=corpus,
        table=pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "style": pa.repeat(pa.scalar(""), len(keys)),
                column: pa.array(values, values_type),
            }
        ),
        classes=tuple(str(number) for number in range(len(names))),
        class_names=names,
        templates=templates,
        keyed_by_shard=True,
        notes=_tell(home, kind, names, values),
    )


def _find_split(path: Path, split: str | None) -> tuple[Path, Path]:
    """Return the folder of the class names and that of the tars."""
    if not path.is_dir():
        raise Refusal(f"{path} is no folder: name the root of the set, or the folder of a split")
    if (path / COUNT_FILE).is_file():
        own = path.absolute().name
        if split not in (None, own):
            raise Refusal(f"{path} is the split {own!r} itself, not {split!r}: name the folder above it")
        beside = any((path / file).is_file() for file in (_NAMES, _TEMPLATES, _TYPE))
        return (path if beside else path.absolute().parent), path
    splits = [folder for folder in list_folder(path)[1] if (path / folder / COUNT_FILE).is_file()]
    if not splits:
        raise Refusal(
            f"neither {path} nor a folder in it holds {COUNT_FILE}: name the folder above test/{COUNT_FILE}"
        )
    wanted = split or (splits[0] if len(splits) == 1 else "test")
    if wanted not in splits:
        raise Refusal(f"{path} has no split {wanted!r}, only {', '.join(splits)}: set split to one of these")
    return path, path / wanted


def _read_kind(home: Path) -> Kind:
    if not (home / _TYPE).is_file():
        return "classification"
    said = " ".join(read_lines(home / _TYPE)).lower()
    if said not in _MEMBERS:
        raise Refusal(f"{home / _TYPE} says {said[:40]!r}, needed {', '.join(_MEMBERS)}, or no such file")
    return said


def _open_tars(folder: Path) -> Corpus:
    count = folder / COUNT_FILE
    said = " ".join(read_lines(count))
    if not _NUMBER.fullmatch(said.encode()):
        raise Refusal(f"{count} says {said[:40]!r}, needed the number of tars")
    tars = {file for file in list_folder(folder)[0] if file.lower().endswith(".tar")}
    needed = (f"{number}.tar" for number in range(int(said)))
    missing = next((tar for tar in needed if tar not in tars), None)
    if missing is not None:
        raise Refusal(
            f"{folder} lacks {missing} of the {said} tars that {COUNT_FILE} tells of: fetch it again"
        )
    if len(tars) > int(said):
        wanted = {f"{number}.tar" for number in range(int(said))}
        raise Refusal(
            f"{folder} holds {min(tars - wanted)} beside the {said} tars of {COUNT_FILE}: mend either"
        )
    corpus = open_corpus(folder)
    # Captions are labels here: a picture whose captions are blank is none that lacks its caption.
    return replace(corpus, source=replace(cast("WebdatasetSource", corpus.source), captioned=False))


def _read_templates(path: Path) -> tuple[str, ...]:
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        if line.count("{c}") != 1 or "{}" in line:
            raise Refusal(
                f"{path} line {number} is {line[:80]!r}: needed is one {{c}}, where the class goes, and no {{}}"
            )
    return tuple(line.replace("{c}", "{}") for line in lines)


def _read_labels(
    tar: Path, size: int, member: str, read: Callable[[bytes], Any]
) -> Iterator[tuple[str, Any]]:
    """Give key and label of each sample of a tar; pictures are not read."""
    with open_tar(tar) as (index, file):
        _require_whole(tar, index, size)
        _require_pictures(tar, index, member, file)
        seen: set[str] = set()
        for entry in index.entries:
            where = f"{tar} sample {entry.key}"
            if entry.key in seen:
                raise Refusal(f"{where} is there twice: which label holds cannot be told; write the tar anew")
            seen.add(entry.key)
            if member not in entry.members:
                raise Refusal(f"{where} has no {member}, only {', '.join(entry.members)}: label it")
            span = entry.members[member]
            if span.size > _LARGEST_LABEL:
                raise Refusal(f"{where} has a {member} of {span.size:,} bytes: it is no label")
            try:
                yield entry.key, read(read_member(file, span))
            except ValueError as error:
                raise Refusal(
                    f"{where} has a {member} which {error}: mend it, a label is never guessed"
                ) from error


def _require_whole(tar: Path, index: TarIndex, size: int) -> None:
    # The corpus sets such tars aside; a number over what is left would be of another set.
    sound = index.damage is None and all(entry.fault is None for entry in index.entries)
    if not index.ended and not (sound and len(index.entries) == size):
        raise Refusal(f"{tar} {index.verdict}: fetch it again")
    if len(index.entries) != size:
        raise Refusal(f"{tar} holds {len(index.entries):,} samples, it should hold {size:,}: fetch it again")


def _require_pictures(tar: Path, index: TarIndex, member: str, file: BinaryIO) -> None:
    # An index passes over a label whose picture is missing, or of a kind that nobody reads.
    known = {entry.members[member].offset for entry in index.entries if member in entry.members}
    ending = f".{member}"
    for header in walk_headers(file):
        if header is None or not header.name.lower().endswith(ending) or header.content in known:
            continue
        stem = header.name.rpartition("/")[2][: -len(ending)]
        if stem and "." not in stem:
            raise Refusal(
                f"{tar} holds {header.name} without a jpg, png or webp of that key: write the tar anew"
            )


def _read_number(data: bytes, n_classes: int) -> str:
    found = _NUMBER.fullmatch(data)
    if found is None:
        raise ValueError(f"says {data[:20]!r}, no whole number from 0")
    if n_classes and int(found[1]) >= n_classes:
        raise ValueError(f"says {int(found[1])}, {_NAMES} has {n_classes:,} classes, from 0")
    return str(int(found[1]))


def _read_classes(data: bytes, n_classes: int) -> list[str]:
    return [str(place) for place in read_vector(data, n_classes)]


def _read_captions(data: bytes) -> list[str]:
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 at byte {error.start}") from error
    return [line.strip() for line in lines if line.strip()]


def _tell(home: Path, kind: Kind, names: tuple[str, ...], values: list[Any]) -> tuple[str, ...]:
    notes = []
    if kind == "classification" and not names:
        notes.append(f"{home} holds no {_NAMES}: the classes must come from the benchmark, by their numbers.")
    if len(set(names)) < len(names):
        n_shared = sum(names.count(one) > 1 for one in names)
        notes.append(
            f"{n_shared:,} of {len(names):,} classes share their name with another: no prompt tells them apart."
        )
    silent = sum(not value for value in values) if kind == "retrieval" else 0
    if silent:
        notes.append(f"Pictures without a caption, which stay in the gallery: {silent:,}.")
    return tuple(notes)
