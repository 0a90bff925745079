"""The scores of ``oddpair predict`` as a table for a paper: a row for each model, ours beside what has to be beaten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oddpair.eval.prediction.baselines import DATASET_AND_COUNT
from oddpair.eval.prediction.validate import WITHOUT_CORPUS, WITHOUT_COUNTS

_HEAD = (
    "model", "concepts: R²", "dataset + count", "cover", "datasets: R²", "count", "cover", "model: R²", "without counts",
    "without its corpus", "cover",
)  # fmt: skip
_BESIDE = {
    "concepts": (DATASET_AND_COUNT,),
    "datasets": ("log joint count",),
    "model": (WITHOUT_COUNTS, WITHOUT_CORPUS),
}


def summarise(told: Mapping[str, Any]) -> str:
    """Return the scores as a Markdown table; a dash is for what could not be predicted.

    Args:
        told: As `oddpair.commands.predict.as_json`.
    """
    lines = [f"| {' | '.join(_HEAD)} |", f"|---{'|---:' * (len(_HEAD) - 1)}|"]
    names = [*told["models"], *(["mean"] if len(told["models"]) > 1 else [])]
    for name in names:
        scores = told["mean"] if name == "mean" and name not in told["models"] else told["models"][name]
        cells = [name.replace("|", "\\|").replace("\n", " ")]
        for kind, others in _BESIDE.items():
            one = scores[kind]
            beside = [None if one is None else one["baselines"].get(other) for other in others]
            cells.append(_cell(one, "r2"))
            cells += [_cell(other, "r2") for other in beside]
            cells.append(_cell(one, "coverage90"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(score: Mapping[str, Any] | None, figure: str) -> str:
    return "–" if score is None else f"{score[figure]:.3f}"
