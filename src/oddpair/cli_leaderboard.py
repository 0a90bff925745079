"""``oddpair leaderboard``: the site of all submissions, every number computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import AS_JSON, tell


def leaderboard(
    submissions: Annotated[Path, typer.Option(help="Folder of submissions.")] = Path(
        "benchmarks/submissions"
    ),
    reproductions: Annotated[Path, typer.Option(help="Folder of what oddpair reproduce attested.")] = Path(
        "benchmarks/reproductions"
    ),
    corpora: Annotated[
        Path | None, typer.Option(help="Folder of corpora whose counts are known; default: those that ship.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the site.")] = Path("site"),
    as_json: AS_JSON = False,
) -> None:
    """Compute every number of every submission again, rank them, and write the leaderboard's site.

    One submission that does not hold is refused with one line, and the site stays as it was.
    """
    from oddpair.commands.leaderboard import INDEX, as_text, build, need_site, write_site

    need_site(out)
    data = build(submissions, reproductions, corpora)
    board = write_site(out, data)
    if as_json:
        tell(data.decode("ascii").rstrip("\n"))
        return
    for line in as_text(board):
        tell(line)
    tell(f"site: {out / INDEX}")
