"""What an embedding folder holds: one file a shard of each kind, and the record of what became of its rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.samples import NO_CAPTION, REPEATED, Bad

Kind = Literal["img_emb", "text_emb", "texture", "metadata", "records"]

# Distance of unit rows: a picture embedded twice differs by rounding, pictures that look alike by ten times this.
SAME_VECTOR = 0.01

_ENDINGS = {"metadata": "parquet", "records": "json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of the rows of one shard: ``kept``, ``outside`` the subset and bad rows add up to ``seen``.

    Attributes:
        shard: Name of the shard.
        files: Its files, each with what changes when its content does.
        kinds: Which arrays were written; none of a shard that was set aside whole.
        seen: Samples that the shard was said to hold.
        kept: Rows embedded.
        outside: Rows that are not in the subset.
        bad: What was set aside.
        encoder: Weights and preprocessing of the model, in the manifest's words; none where rows were taken over
            without one.
    """

    shard: str
    files: dict[str, str]
    kinds: tuple[Kind, ...]
    seen: int
    kept: int
    outside: int
    bad: tuple[Bad, ...]
    encoder: dict[str, str]

    @property
    def without_caption(self) -> int:
        """Rows set aside for want of a caption alone."""
        return sum(line.rows for line in self.bad if line.reason == NO_CAPTION)

    @property
    def repeated(self) -> int:
        """Rows set aside because an earlier one has the same file."""
        return sum(line.rows for line in self.bad if line.reason == REPEATED)

    @property
    def damaged(self) -> int:
        """Rows set aside for any other reason."""
        return sum(line.rows for line in self.bad) - self.without_caption - self.repeated

    @property
    def lost(self) -> int:
        """Files that were set aside without anybody knowing how many rows they had."""
        return sum(line.rows == 0 for line in self.bad)


def part_path(folder: Path, kind: Kind, index: int, n_shards: int) -> Path:
    """Return where the part of one shard lies, with as many digits as sort all of them by name, at least four.

    >>> part_path(Path("e"), "img_emb", 3, 12).as_posix()
    'e/img_emb/img_emb_0003.npy'
    """
    digits = max(4, len(str(n_shards - 1)))
    name = "record" if kind == "records" else kind
    return folder / kind / f"{name}_{index:0{digits}d}.{_ENDINGS.get(kind, 'npy')}"


def read_record(path: Path) -> Record:
    """Read the record of one shard."""
    value = files.read_json(path)
    kinds, bad = tuple(value["kinds"]), tuple(Bad(**line) for line in value["bad"])
    return Record(**{**value, "kinds": kinds, "bad": bad})


def quarantine_line(bad: Bad) -> str:
    """Return the line of ``quarantine.jsonl`` that names what was set aside, without its end."""
    return json.dumps(
        {name: value for name, value in asdict(bad).items() if value is not None}, sort_keys=True
    )


def write_quarantine(folder: Path, bad: Iterable[Bad]) -> None:
    """Write ``quarantine.jsonl``: a line for each thing that was set aside, in the order of the shards."""
    files.write_text(folder / "quarantine.jsonl", "".join(f"{quarantine_line(line)}\n" for line in bad))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what a finished embedding folder says of itself: rows of each shard, dimensions, the model.

    Raises:
        Refusal: If there is no manifest, or it is not one of an embedding folder.
    """
    path = folder / "manifest.json"
    manifest = files.read_json(path)
    if not _is_manifest(manifest):
        raise Refusal(f"{path} is no manifest of oddpair embed: embed into an empty folder")
    found: dict[str, Any] = manifest
    return found


def _is_manifest(value: Any) -> bool:
    if not isinstance(value, dict) or not {"rows", "dimensions", "encoder_sha256"} <= value.keys():
        return False
    sizes, dimensions = value["rows"], value["dimensions"]
    if not isinstance(sizes, list) or not isinstance(dimensions, dict):
        return False
    if not isinstance(value["encoder_sha256"], str):
        return False
    return all(type(number) is int and number >= 0 for number in [*sizes, *dimensions.values()])
