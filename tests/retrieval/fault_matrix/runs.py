"""``oddpair embed`` on a corpus with a fault, judged against the same corpus without the rows that it spoils."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.retrieval.fault_matrix.corpora import LAYOUTS, Row
from typer.testing import CliRunner

from oddpair import cli
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus

KINDS = ("img_emb", "text_emb", "texture")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command did: its exit code, what it printed and, if it refused, the line it refused with."""

    status: int
    said: str
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What an embedding folder holds, all parts together."""

    table: dict[str, list[str]]
    arrays: dict[str, np.ndarray[Any, Any]]
    manifest: dict[str, Any]
    quarantine: list[dict[str, Any]]


def run(*arguments: object) -> Outcome:
    """Run a command in this process; anything but a refusal or an exit is a traceback, and raised."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if isinstance(result.exception, Refusal):
        line = str(result.exception)
        assert line
        assert "\n" not in line
        return Outcome(status=2, said=result.output, refusal=line)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    return Outcome(status=result.exit_code, said=result.output)


def read_made(folder: Path) -> Made:
    tables = [pq.read_table(path) for path in sorted((folder / "metadata").iterdir())]
    kinds = [kind for kind in KINDS if (folder / kind).is_dir()]
    lines = (folder / "quarantine.jsonl").read_text().splitlines()
    return Made(
        table=pa.concat_tables(tables).to_pydict(),
        arrays={
            kind: np.concatenate([np.load(path) for path in sorted((folder / kind).iterdir())])
            for kind in kinds
        },
        manifest=json.loads((folder / "manifest.json").read_text()),
        quarantine=[json.loads(line) for line in lines],
    )


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Bench:
    """Writes corpora, embeds them, and remembers what whole ones become."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, tuple[Row, ...]], Made] = {}

    def whole(self, layout: str, rows: Sequence[Row]) -> Made:
        """Embed a corpus without a fault."""
        known = (layout, tuple(rows))
        if known not in self._made:
            place = self._folder / f"{layout}-{len(self._made)}"
            LAYOUTS[layout](place / "corpus", rows)
            outcome = run("embed", place / "corpus", "--out", place / "out", "--workers", 1)
            assert outcome.status == 0, outcome
            self._made[known] = read_made(place / "out")
        return self._made[known]


def require_rows(found: Made, clean: Made) -> None:
    """Every row kept has the bytes that it has in the corpus without the fault."""
    # DataComp's rows have no key but their number in the file.
    numbered = clean.manifest["layout"] == "datacomp"
    for name in ("uid", "caption") if numbered else ("uid", "caption", "image_path"):
        assert found.table[name] == clean.table[name]
    assert found.arrays.keys() == clean.arrays.keys()
    for kind, rows in clean.arrays.items():
        assert found.arrays[kind].tobytes() == rows.tobytes(), kind


def require_quarantine(
    corpus: Path, out: Path, clean: Made, lines: Sequence[dict[str, Any]], *, damaged: bool = True
) -> Made:
    """Embed a corpus with a fault: what is bad is named line by line, all else is as if it were not there.

    Args:
        corpus: With the fault.
        out: Where to embed.
        clean: What the corpus becomes without the bad rows.
        lines: What each line of quarantine.jsonl holds, in order; a reason is searched for as a pattern.
        damaged: Whether ``--max-bad`` counts them.
    """
    outcome = run("embed", corpus, "--out", out, "--workers", 1)
    assert outcome.status == (3 if damaged else 0), outcome
    made = read_made(out)
    require_lines(made.quarantine, lines)
    require_rows(made, clean)
    require_counts(made)
    # Done already, and judged anew: the same bytes, and a user who bears the loss is told that all is well.
    before = read_bytes(out)
    lost = any(line["rows"] == 0 for line in made.quarantine)
    again = run("embed", corpus, "--out", out, "--workers", 1, "--max-bad", 1)
    assert again.status == (3 if lost else 0), again
    assert read_bytes(out) == before
    return made


def require_lines(found: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]) -> None:
    """Every line of a quarantine has the fields that it must have, and a reason in which the pattern is found."""
    assert len(found) == len(wanted), found
    for line, known in zip(found, wanted, strict=True):
        assert {"file", "reason", "rows"} <= line.keys()
        places = {name: value for name, value in known.items() if name != "reason"}
        assert {name: line.get(name) for name in places} == places
        assert re.search(known["reason"], line["reason"]), line


def require_counts(made: Made) -> None:
    """Kept and quarantined rows add up to what was seen."""
    manifest = made.manifest
    kept = len(made.table["uid"])
    assert sum(manifest["rows"]) == kept
    assert manifest["quarantined"] == sum(line["rows"] for line in made.quarantine)
    assert manifest["seen"] == kept + manifest["quarantined"] + manifest["outside_subset"]


def require_refusal(corpus: Path | str, out: Path, message: str, *options: object) -> None:
    """Embed what must be refused: one line, and nothing that a reader would take for a result."""
    outcome = run("embed", corpus, "--out", out, "--workers", 1, *options)
    assert outcome.status == 2, outcome
    assert re.search(message, outcome.refusal), outcome.refusal
    require_nothing(out)


def require_nothing(out: Path) -> None:
    published = ("manifest.json", "done.json", "quarantine.jsonl")
    assert not [name for name in published if (out / name).exists()]


def require_same(corpus: Path, out: Path, clean: Made, said: str = "") -> None:
    """Embed what is harmless: as if the fault were not there, but for a warning."""
    outcome = run("embed", corpus, "--out", out, "--workers", 1)
    assert outcome.status == 0, outcome
    assert re.search(said, outcome.said)
    made = read_made(out)
    require_rows(made, clean)
    require_counts(made)
    assert made.quarantine == []


def count(corpus: Path, out: Path, *options: object) -> Outcome:
    """Count the words of every caption, without mining them."""
    words = out.with_name("words.txt")
    words.write_text("picture\nthing\n")
    return run("count", corpus, "--out", out, "--vocabulary", words, *options)


def require_counted(
    layout: str,
    corpus: Path,
    out: Path,
    clean: Sequence[Row],
    lines: Sequence[dict[str, Any]],
    *,
    damaged: bool = True,
) -> None:
    """Count a corpus of metadata with a fault: the counts are those of the rows that are good.

    Args:
        layout: Its layout.
        corpus: With the fault.
        out: Where to count.
        clean: The rows that are good.
        lines: What each line of quarantine.jsonl holds, as for ``require_quarantine``.
        damaged: Whether ``--max-bad`` counts them.
    """
    outcome = count(corpus, out)
    assert outcome.status == (3 if damaged and lines else 0), outcome
    found = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    require_lines(found, lines)
    alone = written(layout, out.with_name("clean"), clean)
    assert count(alone, out.with_name("clean-out")).status == 0
    for name in ("counts.parquet", "pairs.parquet", "meta.json"):
        assert (out / name).read_bytes() == (out.with_name("clean-out") / name).read_bytes()
    kept = json.loads((out / "meta.json").read_text())["n"]
    assert kept == len(clean)
    seen = len(open_corpus(corpus))
    assert kept + sum(line["rows"] for line in found) == seen
    again = count(corpus, out, "--max-bad", 1)
    assert again.status == (3 if any(line["rows"] == 0 for line in found) else 0), again


def written(layout: str, folder: Path, rows: Sequence[Row]) -> Path:
    """Write a corpus into a new folder."""
    LAYOUTS[layout](folder, rows)
    return folder


@contextmanager
def little_memory(megabytes: int) -> Iterator[None]:
    """Fail if the block makes the process larger by more than this at any moment."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    yield
    assert _memory("VmHWM") - before < megabytes << 10


def _memory(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])
