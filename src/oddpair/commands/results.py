"""What ``oddpair results`` writes: one table of results, or the files of another harness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.exchange import clip_benchmark, datacomp
from oddpair.eval.exchange.entry import Entry
from oddpair.eval.exchange.read import as_entry, as_score
from oddpair.eval.result_table import Score, as_csv, as_latex, as_markdown, as_text
from oddpair.eval.results import Found

_TABLES = {".md": as_markdown, ".csv": as_csv, ".tex": as_latex, ".txt": as_text}


def shown_in_table(found: Sequence[Found | Entry]) -> tuple[list[Found | Score], int]:
    """Return what a table can show of some results, and the number of those without a main metric."""
    shown = [score for score in map(as_score, found) if score is not None]
    return shown, len(found) - len(shown)


def write_results(path: Path, found: Sequence[Found | Entry]) -> None:
    """Write results in the format that a path's ending says.

    Args:
        path: ``.md``, ``.csv``, ``.tex`` or ``.txt`` for the table; ``.json`` for one result as CLIP_benchmark writes
            it; ``.jsonl`` for the results of one model as DataComp writes them; without an ending, a folder of what
            CLIP_benchmark's ``eval`` and ``build`` leave.
        found: The results.

    Raises:
        Refusal: If the ending is another, or the format cannot hold these results.
    """
    entries = [as_entry(one) for one in found]
    match path.suffix:
        case ".md" | ".csv" | ".tex" | ".txt":
            files.write_text(path, _TABLES[path.suffix](shown_in_table(found)[0]))
        case ".json" if len(entries) == 1:
            clip_benchmark.write_json_result(path, entries[0])
        case ".json":
            raise Refusal(
                f"{path}: a file of CLIP_benchmark holds one result, found {len(entries)}: "
                "give a name without an ending, for a folder of such files"
            )
        case ".jsonl":
            datacomp.write_lines(path, entries)
        case "":
            clip_benchmark.write_folder(path, entries)
        case _:
            raise Refusal(
                f"{path}: nothing is written as {path.suffix}: give .md, .csv, .tex, .txt, .json, .jsonl or a folder"
            )
