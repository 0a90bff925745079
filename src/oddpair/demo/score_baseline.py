"""What ``oddpair baseline`` does: natural-only models of several sizes, and their accuracy on both axes."""

from __future__ import annotations

from pathlib import Path

from oddpair import files
from oddpair.benchmarks.benchmark_file import load_benchmark
from oddpair.commands.evaluate import evaluate
from oddpair.commands.evaluate_plan import make_plan
from oddpair.demo.baseline import train_baseline
from oddpair.errors import Refusal
from oddpair.eval.models_file import ModelChoice

BENCHMARK = "miniature"
RESULTS = "results"


def make_baseline(demo: Path, out: Path, *, workers: int) -> Path:
    """Train the baseline of a finished demo, and score it on the axes of the miniature.

    Args:
        demo: Folder of the demo.
        out: Folder to write.
        workers: Processes.

    Returns:
        The folder of results, for ``oddpair robustness --baseline``.

    Raises:
        Refusal: If the demo is not finished or too small, or a model cannot be scored.
    """
    models = train_baseline(demo, out, workers=workers)
    tasks = [task for axes in load_benchmark(BENCHMARK).robustness for task in (*axes.x, *axes.y)]
    plan = make_plan([BENCHMARK], {BENCHMARK: demo / "world"}, {}, only=tuple(dict.fromkeys(tasks)))
    results = out / RESULTS
    with files.locked(results):
        done = evaluate(
            [ModelChoice(model=str(model)) for model in models],
            plan,
            results,
            cache=out / "cache",
            workers=workers,
        )
    if done.failures:
        name, why = next(iter(done.failures.items()))
        raise Refusal(f"{name}: {why}")
    return results
