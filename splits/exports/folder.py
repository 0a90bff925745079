"""A split as a folder of pictures with one listing: oddpair's own csv, or the one that open_clip's trainer reads."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.files import atomic, write_bytes
from oddpair.progress import track
from oddpair.retrieval.samples import Bad, Rows
from oddpair.splits.exports.quarantine import tell_quarantine, write_quarantine
from oddpair.splits.exports.rows import (
    FORMATS,
    Plan,
    Readable,
    find_suffix,
    plan_rows,
    read_parts,
    refuse_strangers,
    require_content,
    with_uid,
)
from oddpair.splits.manifest import Manifest

_LISTING = re.compile(r".*\.(csv|tsv)", re.IGNORECASE)
# What the listing gives under other names, and names that readers of listings give themselves.
_TAKEN = frozenset({"uid", "key", "shard", "caption", "file", "filepath", "title", "sha256"})


def export_folder(manifest: Manifest, corpus: Readable, folder: Path, *, rows_per_folder: int = 1000) -> int:
    """Write a split as pictures in numbered folders, listed in ``list.csv`` by file, caption, uid and more.

    Behind these columns come ``sha256``, of the picture's file, and all others of the corpus, nested values as
    JSON. Rows keep the order of the corpus and their pictures byte for byte; a row whose picture is damaged is set
    aside in ``quarantine.jsonl``. Pictures that are there already, from a run that was stopped, are kept. The
    listing is written last: without it the export is not complete.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        folder: Where to write; made if missing.
        rows_per_folder: Pictures in every numbered folder but the last.

    Returns:
        Rows set aside.

    Raises:
        Refusal: If a uid of the split is not in the corpus, the corpus has no captions or no picture that can
            be exported, or the folder holds another listing.
        ValueError: If ``rows_per_folder`` is below 1.
    """
    require_content(corpus, pictures=True)
    plan = plan_rows(manifest, corpus, rows_per_folder)
    return _write_listing(corpus, plan, folder / "list.csv", ",", _list_all)


def export_csv(manifest: Manifest, corpus: Readable, folder: Path, *, rows_per_folder: int = 1000) -> int:
    """Write a split as open_clip's trainer reads it with ``--dataset-type csv``: pictures and ``list.tsv``.

    The listing has ``filepath`` and ``title``, a tab between, and the uid behind them. open_clip opens paths as
    they stand, wherever it is started, so they are absolute: export anew rather than move the folder. For the
    rest see ``export_folder``.

    Args:
        manifest: The split.
        corpus: The corpus it was made from.
        folder: Where to write; made if missing.
        rows_per_folder: Pictures in every numbered folder but the last.

    Returns:
        Rows set aside.

    Raises:
        Refusal: As ``export_folder``.
        ValueError: If ``rows_per_folder`` is below 1.
    """
    require_content(corpus, pictures=True)
    plan = plan_rows(manifest, corpus, rows_per_folder)
    root = folder.resolve()

    def list_three(names: Sequence[str], rows: Rows) -> dict[str, list[str]]:
        return {
            "filepath": [str(root / name) for name in names],
            "title": list(rows.captions),
            "uid": list(rows.uids),
        }

    return _write_listing(corpus, plan, folder / "list.tsv", "\t", list_three)


def _list_all(names: Sequence[str], rows: Rows) -> dict[str, list[str]]:
    table = with_uid(rows)
    rest = [name for name in table.column_names if name not in _TAKEN]
    return {
        "file": list(names),
        "caption": list(rows.captions),
        "uid": list(rows.uids),
        "sha256": [hashlib.sha256(image).hexdigest() for image in rows.images],
        **{name: _cells(table[name]) for name in rest},
    }


def _write_listing(
    corpus: Readable,
    plan: Plan,
    path: Path,
    delimiter: str,
    list_rows: Callable[[Sequence[str], Rows], dict[str, list[str]]],
) -> int:
    refuse_strangers(path.parent, _LISTING, [path.name], "one listing")
    path.unlink(missing_ok=True)
    aside: dict[int, Sequence[Bad]] = {}
    header: list[str] | None = None
    with (
        track("exporting pictures", len(plan), "pictures") as progress,
        atomic(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        for part, rows in read_parts(corpus, plan, plan.parts, FORMATS):
            aside[part] = rows.bad
            columns = list_rows(_write_pictures(path.parent, plan, part, rows), rows)
            if header is None:
                header = list(columns)
                writer.writerow(header)
            if list(columns) != header:
                raise Refusal(
                    f"{corpus.root} has the columns {sorted(set(columns) ^ set(header))} in some rows only, which a "
                    "listing cannot hold: export as parquet instead"
                )
            writer.writerows(zip(*columns.values(), strict=True))
            progress.advance(len(rows))
            progress.quarantine(len(rows.bad))
        tell_quarantine(path.parent, len(plan), aside)
        write_quarantine(path.parent, aside)
    return sum(map(len, aside.values()))


def _write_pictures(folder: Path, plan: Plan, part: int, rows: Rows) -> list[str]:
    number_of = dict(zip(plan.uids_of(part), plan.rows(part), strict=True))
    names = []
    for uid, image in zip(rows.uids, rows.images, strict=True):
        name = f"{part:05d}/{number_of[uid]:09d}.{find_suffix(image)}"
        path = folder / name
        if not path.is_file() or path.read_bytes() != image:
            write_bytes(path, image)
        names.append(name)
    return names


def _cells(column: pa.ChunkedArray) -> list[str]:
    """Write values as a person would: text as it is, nothing for null, anything else as JSON."""
    return [_cell(value) for value in column.to_pylist()]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)
