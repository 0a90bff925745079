"""``oddpair demo`` and ``oddpair study``: the whole path on worlds that the suite draws."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.progress import visible

WORKERS = Annotated[int, typer.Option(min=1, help="Processes; the results do not depend on it.")]


def add_demo_verbs(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("demo")(demo)
    app.command("study")(study)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("work/demo"),
    workers: WORKERS = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the world.")] = 0,
    size: Annotated[
        str, typer.Option(help="demo, study (twice the rows and steps) or small (for tests).")
    ] = "demo",
    rows: Annotated[int | None, typer.Option(min=1, help="Corpus rows, instead of the size's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps, instead of the size's.")] = None,
) -> None:
    """Draw a world, search it, split it, train on it, score it and explain the scores, in an HTML report."""
    from oddpair.demo.plan import make_plan
    from oddpair.demo.run import run_demo

    report = run_demo(make_plan(size, seed=seed, rows=rows, steps=steps), out, workers=workers)
    print(visible(f"report: {report}"))


def study(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("work/study"),
    workers: WORKERS = 2,
    worlds: Annotated[int, typer.Option(min=2, help="Worlds, with seeds 0, 1, 2, …")] = 5,
    size: Annotated[str, typer.Option(help="Size of each world: study or demo.")] = "study",
) -> None:
    """Repeat the demo on larger worlds, and pool what they say: study.json and study.html."""
    from oddpair.demo.plan import make_plan
    from oddpair.demo.study import run_study

    report = run_study([make_plan(size, seed=seed) for seed in range(worlds)], out, workers=workers)
    print(visible(f"report: {report}"))
