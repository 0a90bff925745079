"""``oddpair validate``: every number of a submission computed again from its predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import AS_JSON, tell


def validate(
    submissions: Annotated[
        list[Path] | None, typer.Argument(help="Folders of submissions, HANDLE__MODEL__WEIGHTS.")
    ] = None,
    repository: Annotated[
        Path,
        typer.Option(help="With --base and --head: the git repository, read as objects, never checked out."),
    ] = Path(),
    base: Annotated[str | None, typer.Option(help="Commit that a pull request is to be merged into.")] = None,
    head: Annotated[str | None, typer.Option(help="Last commit of the pull request.")] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            "--submissions",
            help="Folder of the other entries, by which copies and outliers are told; with --base that of the repository.",
        ),
    ] = None,
    corpora: Annotated[
        Path | None, typer.Option(help="Folder of corpora whose counts are known; default: those that ship.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="uids of the declared training data: a split's folder, or a text file with one a line."
        ),
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """Check submissions to the leaderboard as data, and compute every number in them again.

    Exit 2 with one line if one is refused; flags are for a person to look at and refuse nothing.
    """
    import json

    from oddpair.commands import validate_report
    from oddpair.commands.validate import SUBMISSIONS, choose_bundles, read_manifest_uids
    from oddpair.commands.validate import validate as run

    bundles = choose_bundles(submissions or [], repository, base, head)
    if beside is None and base and (repository / SUBMISSIONS).is_dir():
        beside = repository / SUBMISSIONS
    done = run(
        bundles,
        beside=beside,
        corpora=corpora,
        manifest_uids=None if manifest is None else read_manifest_uids(manifest),
    )
    if as_json:
        tell(json.dumps([validate_report.as_json(each) for each in done]))
        return
    for each in done:
        for line in validate_report.as_text(each):
            tell(line)
    tell("nothing is refused")
