"""What became of the rows of a job of the count, on disk, and how such records add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from oddpair import files


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRecord:
    """What became of some rows of a corpus.

    Attributes:
        captions: Captions counted, each as often as a subset repeats it.
        rows: Rows counted, of each shard.
        quarantined: Rows set aside, by reason.
        lost: Files set aside without anybody knowing how many rows they had.
        tagged: Rows with at least one tag that holds.
    """

    captions: int
    rows: tuple[int, ...]
    quarantined: dict[str, int]
    lost: int
    tagged: int


def add_records(first: RowRecord, second: RowRecord) -> RowRecord:
    """Join the records of two parts of a corpus, the second behind the first."""
    quarantined = Counter(first.quarantined)
    # Not a sum of the two, which would leave out files that held nobody knows how many rows.
    quarantined.update(second.quarantined)
    return RowRecord(
        captions=first.captions + second.captions,
        rows=first.rows + second.rows,
        quarantined=dict(quarantined),
        lost=first.lost + second.lost,
        tagged=first.tagged + second.tagged,
    )


def write_record(path: Path, record: RowRecord) -> None:
    """Write the record of one part."""
    files.write_json(path, asdict(record))


def read_record(path: Path) -> RowRecord:
    """Read what ``write_record`` wrote."""
    value = files.read_json(path)
    return RowRecord(**{**value, "rows": tuple(value["rows"])})


def join_files(path: Path, parts: Iterable[Path]) -> None:
    """Write the bytes of some files one after the other into one."""
    with files.atomic(path) as temporary, temporary.open("wb") as joined:
        for part in parts:
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    joined.write(block)
