"""Rows of a split that an export had to leave out: one line each in ``quarantine.jsonl``, in the order of the split."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from oddpair.errors import Refusal
from oddpair.files import write_text
from oddpair.progress import say
from oddpair.retrieval.samples import Bad
from oddpair.splits.export_rows import Plan

QUARANTINE = "quarantine.jsonl"
_FIELDS = {field.name for field in fields(Bad)}


def write_quarantine(folder: Path, plan: Plan, bad: Mapping[str, Bad]) -> None:
    """Write the rows left out so far, by uid; without any there is no file."""
    if not bad:
        (folder / QUARANTINE).unlink(missing_ok=True)
        return
    lines = (json.dumps(asdict(bad[uid]), sort_keys=True) for uid in plan.uids if uid in bad)
    write_text(folder / QUARANTINE, "".join(f"{line}\n" for line in lines))


def read_quarantine(folder: Path) -> dict[str, Bad]:
    """Read the rows that a run that was stopped left out, by uid.

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


def tell_quarantine(folder: Path, plan: Plan, bad: Mapping[str, Bad]) -> None:
    """Say how many rows were left out, if any, and where they are listed.

    Raises:
        Refusal: If no row at all is left.
    """
    if len(bad) == len(plan.uids):
        first = bad[plan.uids[0]]
        raise Refusal(
            f"none of the {len(bad):,} rows of the split has a picture that can be exported; the first: "
            f"{first.file}: {first.reason}"
        )
    if bad:
        say(f"{len(bad):,} of {len(plan.uids):,} rows were set aside, see {folder / QUARANTINE}")
