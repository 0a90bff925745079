"""One evaluation in a process of its own: seconds as a whole and in the model's towers, and the memory it took."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.perf.perf_memory import peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What an evaluation took.

    Attributes:
        whole: Seconds.
        towers: Seconds of them in the towers.
        megabytes: Most memory that its process ever had.
    """

    whole: float
    towers: float
    megabytes: float


def evaluate_alone(model: str, suite: Path) -> Spent:
    """Evaluate a model by one worker, which is this process, from nothing; what Python loads is not counted."""
    from oddpair.commands.evaluate import evaluate
    from oddpair.commands.evaluate_plan import make_plan
    from oddpair.commands.evaluate_report import write_report
    from oddpair.eval.models_file import read_models
    from oddpair.retrieval.towers import Towers

    within: list[float] = []

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*arguments, **options)
            finally:
                within.append(time.perf_counter() - start)

        return call

    for name in ("embed_images", "embed_texts"):
        setattr(Towers, name, timed(getattr(Towers, name)))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        start = time.perf_counter()
        plan = make_plan([str(suite)], {}, {})
        done = evaluate(read_models([model], [], None), plan, out, cache=out / "cache", workers=1)
        write_report(out, plan)
        whole = time.perf_counter() - start
    assert done.results
    assert not done.failures
    return Spent(whole=whole, towers=sum(within), megabytes=peak())
