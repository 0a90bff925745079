"""What ``oddpair leaderboard`` does: every submission recomputed, ranked, and written as a site that is whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from oddpair import files
from oddpair.benchmarks.benchmark_file import load_benchmark, shipped
from oddpair.benchmarks.suite import read_suite
from oddpair.commands.validate import CORPORA, submission_folders
from oddpair.errors import Refusal
from oddpair.eval.board.attestation import reproduced
from oddpair.eval.board.board import Board, BoardEntry, Score
from oddpair.eval.board.build import make_board
from oddpair.eval.board.corpora import read_corpora
from oddpair.eval.board.serialise import as_json, read_board
from oddpair.eval.board.spreadsheets import as_csv, pairs_csv
from oddpair.eval.result_table import align
from oddpair.eval.submission.bundle import read_folder
from oddpair.eval.submission.entry import Entry
from oddpair.eval.submission.recompute import recompute
from oddpair.progress import track

INDEX, DATA, TABLE, PAIRS = "index.html", "leaderboard.json", "leaderboard.csv", "pairs.csv"
ENTRIES = "entries"
_NEW = ".new"


def build(submissions: Path, reproductions: Path, corpora: Path | None) -> bytes:
    """Compute the leaderboard from what was submitted.

    Args:
        submissions: Folder of submissions.
        reproductions: Folder of attestations; there may be none.
        corpora: Folder of corpora whose counts are known; ``None`` for those that ship.

    Returns:
        ``leaderboard.json``: all that the site says, with its digits.

    Raises:
        Refusal: If a submission does not hold, or an attestation or a corpus cannot be read.
    """
    entries = _recompute(submissions)
    folder = corpora or (CORPORA if CORPORA.is_dir() else None)
    return as_json(
        make_board(
            entries,
            suite=read_suite(),
            benchmarks={name: load_benchmark(name) for name in shipped()},
            corpora={} if folder is None else read_corpora(folder),
            reproduced=reproduced(reproductions, entries),
        )
    )


def _recompute(submissions: Path) -> list[Entry]:
    folders = submission_folders(submissions)
    with track("compute every number again", len(folders), "submissions") as progress:
        entries = []
        for folder in folders:
            entries.append(recompute(read_folder(folder)))
            progress.advance()
    return entries


def need_site(out: Path) -> None:
    """Refuse a folder that holds something else than a site: what is not of the site would be removed.

    Raises:
        Refusal: If it does, or is a file.
    """
    if out.exists() and not out.is_dir():
        raise Refusal(f"--out {out} is a file: give a folder")
    if out.is_dir() and not (out / DATA).is_file() and any(path.name != _NEW for path in out.iterdir()):
        raise Refusal(
            f"--out {out} holds other files and no {DATA}: give an empty folder, or that of the site"
        )


def write_site(out: Path, data: bytes) -> Board:
    """Write the site: every file beside the old ones first, then each in its place, and pages of no entry are removed.

    Args:
        out: Folder of the site, new, empty or of an earlier one.
        data: ``leaderboard.json``.

    Returns:
        The board, with the digits that the site shows.

    Raises:
        Refusal: If a file cannot be written or replaced.
    """
    board = read_board(data)
    with files.locked(out / _NEW) as new:
        try:
            _replace(out, new, _write_pages(new, board, data))
        except OSError as error:
            raise Refusal(
                f"{error.filename or out} cannot be replaced ({error.strerror}): take it away and run again"
            ) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return board


def as_text(board: Board) -> list[str]:
    """Return the ranking as lines to read: places, intervals of ranks, bands and scores in per cent."""
    grid = [["rank", "interval", "band", "score (%)", "flags", "entry"]]
    grid += [_row(entry) for entry in board.entries]
    lines = align(grid, n_names=0).splitlines()
    lines += [
        f"{entry.id} is not ranked: no {', '.join(entry.missing)}" for entry in board.entries if entry.missing
    ]
    return lines


def _write_pages(folder: Path, board: Board, data: bytes) -> list[str]:
    names = []
    with track("write pages", 4 + len(board.entries), "files") as progress:
        for name, content in _pages(board, data):
            files.write_bytes(folder / name, content)
            names.append(name)
            progress.advance()
    return names


def _pages(board: Board, data: bytes) -> Iterator[tuple[str, bytes]]:
    # Pages load a template engine, which a refused submission need not wait for.
    from oddpair.commands.board_entry_page import render_entry
    from oddpair.commands.board_page import render_index

    for entry in board.entries:
        yield f"{ENTRIES}/{entry.id}.html", render_entry(board, entry).encode("utf-8")
    yield TABLE, as_csv(board)
    yield PAIRS, pairs_csv(board)
    yield DATA, data
    yield INDEX, render_index(board).encode("utf-8")


def _replace(out: Path, new: Path, names: list[str]) -> None:
    (out / ENTRIES).mkdir(exist_ok=True)
    for name in names:
        (new / name).replace(out / name)
    for path in (out / ENTRIES).glob("*.html"):
        if f"{ENTRIES}/{path.name}" not in names:
            path.unlink()


def _row(entry: BoardEntry) -> list[str]:
    flags = ", ".join(flag.kind for flag in entry.flags)
    if entry.rank is None:
        return ["–", "", "", "", flags, entry.id]
    rank = entry.rank
    return [
        str(rank.place),
        f"{rank.low} to {rank.high}",
        str(rank.band),
        _percent(entry.score),
        flags,
        entry.id,
    ]


def _percent(score: Score | None) -> str:
    return "" if score is None else f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"
