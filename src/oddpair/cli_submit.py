"""``oddpair submit``: a submission to the leaderboard, from what ``oddpair eval`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import AS_JSON, tell
from oddpair.errors import Refusal
from oddpair.progress import say


def submit(
    results: Annotated[
        Path, typer.Argument(help="What oddpair eval wrote, or the folder of one model in it.")
    ],
    declare: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of what only you know of the model. If there is none yet, one to fill in is written; without "
            "the option it is printed."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Of results of several models: the folder of the one, or its name.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of submissions.")] = Path("benchmarks/submissions"),
    dry_run: Annotated[
        bool, typer.Option(help="List everything that is missing or would be refused, and write nothing.")
    ] = False,
    as_json: AS_JSON = False,
) -> None:
    """Bundle the predictions of a model for the leaderboard, checked as its pull request will be."""
    import json

    from oddpair import files
    from oddpair.commands import submit_report
    from oddpair.commands.submit import submit as run
    from oddpair.eval.results import RUN_FILE, find_results
    from oddpair.eval.submission.make import choose_model
    from oddpair.eval.submission.template import write_template

    found = choose_model(find_results([results]), model)
    if not dry_run and (declare is None or not declare.exists()):
        template = write_template(files.read_json(found[0].path.with_name(RUN_FILE)))
        if declare is None:
            print(template, end="")
            say(
                "nothing was written: give --declare FILE, which is written if it is missing, to be filled in"
            )
            return
        files.write_text(declare, template)
        raise Refusal(f"{declare} was missing, and is there now: fill it in, and run the same command again")
    done = run(found, declare, out, dry_run=dry_run)
    if as_json:
        tell(json.dumps(submit_report.as_json(done)))
    else:
        for line in submit_report.as_text(done):
            tell(line)
    if done.problems:
        rest = f" (the first of {len(done.problems)})" if len(done.problems) > 1 else ""
        raise Refusal(f"nothing was written: {done.problems[0]}{rest}")
