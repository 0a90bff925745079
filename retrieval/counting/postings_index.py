"""The index over the posting lists of a corpus: which shards and rows they are of, and in which files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddpair.errors import Refusal
from oddpair.files import read_json, write_json
from oddpair.retrieval.counting.postings_file import COUNT_AGAIN, POSTINGS_FOLDER, file_name, read_sizes

FORMAT_VERSION = 1
INDEX_FILE = "index.json"

_NAME = re.compile(r"(text|image)_(\d{4,})\.parquet")
_FIELDS = {"corpus": str, "n_concepts": int, "shards": list, "rows": list, "starts": list, "image": bool}


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What ``postings/index.json`` says of the posting lists of one corpus.

    Attributes:
        corpus: Fingerprint of the corpus.
        n_concepts: Size of the vocabulary.
        shards: Names of the shards, in the order of the rows.
        rows: Rows that were kept of each shard; a subset's repetitions do not count.
        starts: First shard of each file; it holds the shards up to the next one's, rows numbered through.
        image: Whether there are image tags beside the captions.
    """

    corpus: str
    n_concepts: int
    shards: tuple[str, ...]
    rows: tuple[int, ...]
    starts: tuple[int, ...]
    image: bool


def write_index(folder: Path, corpus: str, shards: Sequence[str], rows: Sequence[int]) -> None:
    """Write ``postings/index.json`` when all posting lists are there.

    Args:
        folder: Folder of the counts.
        corpus: Fingerprint of the corpus.
        shards: Names of all shards, in order.
        rows: Rows that were kept of each, before a subset repeats any; shape ``(n_shards,)``.

    Raises:
        ValueError: If the files are not of these shards and rows, or not of one vocabulary.
    """
    found: dict[str, list[int]] = {"text": [], "image": []}
    for path in sorted((folder / POSTINGS_FOLDER).iterdir()):
        if match := _NAME.fullmatch(path.name):
            found[match[1]].append(int(match[2]))
    starts = found["text"]
    if len(rows) != len(shards) or starts[:1] != [0] or starts[-1] >= len(shards):
        raise ValueError(f"posting lists begin at shards {starts[:3]}…, needed 0 to {len(shards) - 1}")
    if found["image"] and found["image"] != starts:
        raise ValueError(f"{len(found['image'])} files are of images, {len(starts)} of captions")
    sizes = np.add.reduceat(np.asarray(rows, np.int64), starts).tolist()
    vocabularies = set()
    for kind in ("text", "image") if found["image"] else ("text",):
        for start, size in zip(starts, sizes, strict=True):
            path = folder / POSTINGS_FOLDER / file_name(kind, start, len(shards))
            n_rows, n_concepts = read_sizes(path)
            if n_rows != size:
                raise ValueError(f"{path} is of {n_rows} rows, its shards have {size}")
            vocabularies.add(n_concepts)
    if len(vocabularies) != 1:
        raise ValueError(f"posting lists are of vocabularies of {sorted(vocabularies)} concepts")
    write_json(
        folder / POSTINGS_FOLDER / INDEX_FILE,
        {
            "corpus": corpus,
            "format_version": FORMAT_VERSION,
            "image": bool(found["image"]),
            "n_concepts": vocabularies.pop(),
            "rows": list(map(int, rows)),
            "shards": list(shards),
            "starts": starts,
        },
    )


def read_index(folder: Path) -> Index:
    """Read what ``write_index`` wrote.

    Raises:
        Refusal: If the folder has no posting lists, or the index contradicts itself.
    """
    path = folder / POSTINGS_FOLDER / INDEX_FILE
    if not path.is_file():
        raise Refusal(f"{folder} has no posting lists: {COUNT_AGAIN}")
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format_version") != FORMAT_VERSION:
        raise Refusal(f"{path} is no index of format {FORMAT_VERSION}: {COUNT_AGAIN}")
    wrong = [name for name, kind in _FIELDS.items() if type(value.get(name)) is not kind]
    if wrong:
        raise Refusal(f"{path} has no {wrong[0]!r} of type {_FIELDS[wrong[0]].__name__}: {COUNT_AGAIN}")
    shards, rows, starts = value["shards"], value["rows"], value["starts"]
    if (
        not all(isinstance(shard, str) for shard in shards)
        or not all(type(number) is int and number >= 0 for number in (*rows, *starts))
        or len(rows) != len(shards)
        or starts[:1] != [0]
        or starts[-1] >= len(shards)
        or any(one >= other for one, other in itertools.pairwise(starts))
    ):
        raise Refusal(f"{path} contradicts itself about shards, rows and starts: {COUNT_AGAIN}")
    return Index(
        corpus=value["corpus"],
        n_concepts=value["n_concepts"],
        shards=tuple(shards),
        rows=tuple(rows),
        starts=tuple(starts),
        image=value["image"],
    )
