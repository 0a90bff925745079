"""Rows of a split that an export had to leave out: one line each in ``quarantine.jsonl``, in the order of the split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from oddpair.errors import Refusal
from oddpair.files import write_text
from oddpair.progress import say
from oddpair.retrieval.samples import Bad

QUARANTINE = "quarantine.jsonl"
_FIELDS = {field.name for field in fields(Bad)}


def write_quarantine(folder: Path, aside: Mapping[int, Sequence[Bad]]) -> None:
    """Write the rows left out so far, by the part of the export that they are missing from; no row, no file."""
    lines = [json.dumps(asdict(bad), sort_keys=True) for part in sorted(aside) for bad in aside[part]]
    if lines:
        write_text(folder / QUARANTINE, "".join(f"{line}\n" for line in lines))
    else:
        (folder / QUARANTINE).unlink(missing_ok=True)


def read_quarantine(folder: Path) -> dict[str, Bad]:
    """Read the rows that a run left out, by uid.

    Raises:
        Refusal: If the file is not what ``write_quarantine`` writes.
    """
    path = folder / QUARANTINE
    if not path.is_file():
        return {}
    try:
        records: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return {str(record["uid"]): Bad(**{name: record[name] for name in _FIELDS}) for record in records}
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{path} is damaged: delete the folder and export again") from error


def tell_quarantine(folder: Path, n_rows: int, aside: Mapping[int, Sequence[Bad]]) -> None:
    """Say how many rows of ``n_rows`` were left out, if any, and where they are listed.

    Raises:
        Refusal: If no row at all is left.
    """
    n_bad = sum(map(len, aside.values()))
    if n_bad == n_rows:
        first = next(bad for part in sorted(aside) for bad in aside[part])
        raise Refusal(
            f"none of the {n_bad:,} rows of the split has a picture that can be exported; the first: "
            f"{first.file}: {first.reason}"
        )
    if n_bad:
        say(f"{n_bad:,} of {n_rows:,} rows were set aside, see {folder / QUARANTINE}")
