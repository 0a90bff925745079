"""One evaluation in a process of its own: seconds as a whole and in the model's towers, and the memory it took."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.perf.perf_memory import peak


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What an evaluation took.

    Attributes:
        whole: Seconds of its processor, which others on the machine disturb less.
        towers: Seconds of them in the towers.
        decoding: Seconds of them in which pictures were decoded, resized and scaled as open_clip does it.
        megabytes: Most memory that its process ever had.
    """

    whole: float
    towers: float
    decoding: float
    megabytes: float


def evaluate_alone(model: str, suites: Sequence[Path]) -> Spent:
    """Evaluate a model on each suite by one worker, which is this process, and say what the last took.

    With the first, a small one, all is loaded that is loaded once.
    """
    from oddpair.commands.evaluate import evaluate
    from oddpair.commands.evaluate_plan import make_plan
    from oddpair.commands.evaluate_report import write_report
    from oddpair.eval.models_file import read_models
    from oddpair.retrieval import decoding
    from oddpair.retrieval.encoder import Encoder
    from oddpair.retrieval.towers import Towers

    spent = {"towers": 0.0, "decoding": 0.0}

    def count(owner: object, name: str, part: str) -> None:
        work = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return work(*arguments, **options)
            finally:
                spent[part] += time.process_time() - start

        setattr(owner, name, call)

    count(Towers, "embed_images", "towers")
    count(Towers, "embed_texts", "towers")
    count(decoding, "decode_pixels", "decoding")
    count(Encoder, "_prepare", "decoding")
    choices = read_models([model], [], None)
    for suite in suites:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            spent.update(towers=0.0, decoding=0.0)
            start = time.process_time()
            plan = make_plan([str(suite)], {}, {})
            done = evaluate(choices, plan, out, cache=out / "embeddings", workers=1)
            write_report(out, plan)
            whole = time.process_time() - start
        assert done.results
        assert not done.failures
    return Spent(whole=whole, megabytes=peak(), **spent)
