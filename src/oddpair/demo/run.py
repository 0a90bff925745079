"""The path from the first stage to the report, with the time that each stage took."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from oddpair import files
from oddpair.demo import build
from oddpair.demo.analyse import analyse_world
from oddpair.demo.plan import Plan
from oddpair.demo.predict import predict_world
from oddpair.demo.report import write_report
from oddpair.demo.split import split_world
from oddpair.demo.tables import make_tables, show
from oddpair.progress import say


def run_demo(plan: Plan, out: Path, *, workers: int) -> Path:
    """Carry out every stage that is not done yet, write the report and print its tables.

    Args:
        plan: What to make.
        out: Where to; a stage that is complete there is kept, an interrupted one goes on.
        workers: Processes.

    Returns:
        The report.

    Raises:
        Refusal: If another process works in the folder, or it was made with another plan.
    """
    with files.locked(out):
        run_stages(plan, out, workers=workers)
        results = files.read_json(out / "results" / "results.json")
        report = write_report(out, results)
    show(make_tables(out, results))
    return report


def run_stages(plan: Plan, out: Path, *, workers: int) -> None:
    """Carry out every stage up to the results; the caller holds the folder's lock."""
    run = build.Run(plan=plan, out=out, workers=workers)
    stages: dict[str, Callable[[], None]] = {
        "draw": lambda: build.draw_world(run),
        "embed": lambda: build.embed_world(run),
        "count": lambda: build.count_world(run),
        "split": lambda: split_world(plan, out),
        "export": lambda: build.export_training(run),
        "train": lambda: build.train_models(run),
        "embed tests": lambda: build.embed_tests(run),
        "score": lambda: predict_world(out, build.MODELS, workers=workers),
        "analyse": lambda: analyse_world(plan, out),
    }
    for name, stage in stages.items():
        start = time.monotonic()
        stage()
        say(f"{name}: {time.monotonic() - start:.1f} s")
