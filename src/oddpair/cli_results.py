"""``oddpair results``: results of this suite and of others in one table, or as the files of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import tell
from oddpair.progress import say


def results(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="What oddpair eval wrote; results or the table of CLIP_benchmark; DataComp's eval_results.jsonl."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .md, .csv, .tex or .txt for the table, .json for one result of CLIP_benchmark, .jsonl for "
            "DataComp's, no ending for a folder of CLIP_benchmark's files."
        ),
    ] = None,
) -> None:
    """Show results, whoever measured them, in one table of tasks by models with n, interval and chance level."""
    import shutil
    import sys

    from oddpair.commands.results import shown_in_table, write_results
    from oddpair.eval.exchange.read import read_results
    from oddpair.eval.result_table import as_text

    found = read_results(paths)
    shown, left = shown_in_table(found)
    if out is not None:
        write_results(out, found)
    if left:
        say(f"{left:,} results have no metric that stands for them, and are not in the table")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 120
    for line in as_text(shown, width=width).splitlines():
        tell(line)
    if out is not None:
        tell(f"written: {out}")
