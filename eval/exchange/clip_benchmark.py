"""Results of CLIP_benchmark: a JSON file for each model and dataset, and the CSV that its ``build`` makes of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.exchange.entry import Entry, guess_main, numbers_of

# What a row of the CSV holds beside metrics.
_FIELDS = ("dataset", "model", "pretrained", "task", "language", "model_fullname")
_NEEDED = ("dataset", "model", "pretrained")


def read_json_result(path: Path) -> Entry:
    """Read one result; a bare ``NaN``, which CLIP_benchmark writes for ``acc5`` of few classes, is a missing metric.

    Raises:
        Refusal: If the file is no such result.
    """
    found = parse_result(path)
    if found is None:
        raise Refusal(
            f"{path} is no result of CLIP_benchmark, which has {', '.join(_NEEDED)} and metrics: check the path"
        )
    return _entry(found, numbers_of(found["metrics"], path))


def parse_result(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file holds, or ``None`` where it is no result of CLIP_benchmark.

    Raises:
        Refusal: If it is no JSON.
    """
    try:
        found = files.parse_json(path.read_bytes(), of_strangers=True)
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): check the path") from error
    except ValueError as error:
        raise Refusal(f"{path} is not valid JSON ({error}): write it again") from error
    if not isinstance(found, dict) or not isinstance(found.get("metrics"), dict):
        return None
    return found if all(isinstance(found.get(name), str) for name in _NEEDED) else None


def write_json_result(path: Path, entry: Entry) -> None:
    """Write one result as CLIP_benchmark's ``eval`` does, but as strict JSON: a missing metric is absent."""
    files.write_json(path, {**_fields(entry), "metrics": dict(entry.metrics)})


def read_csv(path: Path) -> list[Entry]:
    """Read what ``clip_benchmark build`` wrote; an empty cell and ``nan`` are missing metrics.

    Raises:
        Refusal: If columns are missing, or a cell of a metric is no number.
    """
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{path} cannot be read as CSV ({error}): check the path") from error
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise Refusal(f"{path} has no column {missing[0]!r}: give a table of clip_benchmark build")
    texts = (*_FIELDS, "classnames", "templates")
    entries = []
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise Refusal(f"{path} line {number} has another number of cells than the header: write it again")
        cells = {name: cell for name, cell in row.items() if name not in texts}
        metrics = {name: _number(cell, name, f"{path} line {number}") for name, cell in cells.items() if cell}
        entries.append(_entry(row, numbers_of(metrics, path)))
    if not entries:
        raise Refusal(f"{path} has no row: give a table of clip_benchmark build with results")
    return entries


def write_csv(path: Path, entries: Sequence[Entry]) -> None:
    """Write results as ``clip_benchmark build`` does, with columns sorted: its own order is random."""
    metrics = sorted({name for entry in entries for name in entry.metrics})
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIELDS, *metrics], lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        name = f"{entry.model} {entry.pretrained}"
        writer.writerow({**_fields(entry), "model_fullname": name, **entry.metrics})
    files.write_text(path, text.getvalue())


def write_folder(folder: Path, entries: Sequence[Entry]) -> None:
    """Write what CLIP_benchmark's ``eval`` and ``build`` leave: a JSON file for each result and ``benchmark.csv``.

    Raises:
        Refusal: If two results would have the same file.
    """
    named: dict[str, Entry] = {}
    for entry in entries:
        parts = (entry.dataset, entry.pretrained, entry.model, entry.language, entry.task)
        name = "_".join(re.sub(r"[^A-Za-z0-9_.@-]+", "_", part) for part in parts) + ".json"
        if name in named:
            raise Refusal(
                f"two results of {entry.model} on {entry.dataset} would both be {name}: give one of them"
            )
        named[name] = entry
    for name, entry in named.items():
        write_json_result(folder / name, entry)
    write_csv(folder / "benchmark.csv", entries)


def _fields(entry: Entry) -> dict[str, str]:
    return {name: getattr(entry, name) for name in _FIELDS if name != "model_fullname"}


def _entry(found: Mapping[str, Any], metrics: dict[str, float]) -> Entry:
    language = found.get("language")
    return Entry(
        model=found["model"],
        pretrained=found["pretrained"],
        dataset=found["dataset"],
        title="",
        task=str(found.get("task") or ""),
        language=language if isinstance(language, str) and language else "en",
        metrics=metrics,
        main=guess_main(metrics),
    )


def _number(cell: str, name: str, place: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise Refusal(f"{place}: {name} is {cell!r}, needed a number: write the table again") from None
