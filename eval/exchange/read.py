"""Results of whatever harness made them: ours, CLIP_benchmark's or DataComp's, recognised by what a path holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.eval.exchange import clip_benchmark, datacomp
from oddpair.eval.exchange.entry import Entry, entry_of, score_of_entry
from oddpair.eval.result_table import Score
from oddpair.eval.results import RESULT_ENDING, Found, find_results


def read_results(paths: Iterable[Path]) -> list[Found | Entry]:
    """Read every result of some files and folders, in the order of the paths.

    Args:
        paths: What ``oddpair eval`` wrote, or a folder or file of it; a result or a table of CLIP_benchmark, or a folder
            of results; DataComp's ``eval_results.jsonl``, or a folder of it.

    Returns:
        Results of ours as they are, those of others in the shared words.

    Raises:
        Refusal: If a path holds no result, or one cannot be read.
    """
    return [found for path in paths for found in _read(path)]


def as_score(found: Found | Entry) -> Found | Score | None:
    """Return what a table can show of a result; ``None`` where it has no main metric."""
    return found if isinstance(found, Found) else score_of_entry(found)


def as_entry(found: Found | Entry) -> Entry:
    """Return a result in the words that other harnesses share."""
    return entry_of(found.result) if isinstance(found, Found) else found


def _read(path: Path) -> list[Found] | list[Entry]:
    if path.is_dir():
        if any(path.rglob(f"*{RESULT_ENDING}")):
            return find_results([path])
        entries = list(_read_folder(path))
        if not entries:
            raise Refusal(f"{path} holds no result: give what oddpair eval, CLIP_benchmark or DataComp wrote")
        return entries
    if not path.exists():
        raise Refusal(f"{path} does not exist: check the path")
    if path.name.endswith(RESULT_ENDING):
        return find_results([path])
    match path.suffix:
        case ".json":
            return [clip_benchmark.read_json_result(path)]
        case ".csv":
            return clip_benchmark.read_csv(path)
        case ".jsonl":
            return datacomp.read_lines(path)
    raise Refusal(f"{path} is no file of results: give a folder, or a .json, .csv or .jsonl file")


def _read_folder(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*.json")):
        # Results may lie among other files, such as lists of classes.
        if clip_benchmark.parse_result(path) is not None:
            yield clip_benchmark.read_json_result(path)
    for path in sorted(folder.rglob(datacomp.FILE)):
        yield from datacomp.read_lines(path)
