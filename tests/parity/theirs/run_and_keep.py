"""Run by the peer's interpreter: CLIP_benchmark's own command, and beside its metrics the scores they were made from.

The first argument is the folder for the scores, of which ``0.npz`` is of the first set that the command names; the
others are the command's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from clip_benchmark import cli  # type: ignore[import-not-found, unused-ignore]
from clip_benchmark.metrics import (  # type: ignore[import-not-found, unused-ignore]
    zeroshot_classification,
    zeroshot_retrieval,
)

folder = Path(sys.argv.pop(1))
run_classification, batchify = zeroshot_classification.run_classification, zeroshot_retrieval.batchify


def keep(scores: Any, right: Any) -> None:
    """Write the scores of a set, and what is right, behind those of the sets before it."""
    number = len(list(folder.glob("*.npz")))
    np.savez(folder / f"{number}.npz", scores=np.asarray(scores), right=np.asarray(right))


def classify(*arguments: Any, **options: Any) -> Any:
    """Classify as the peer does."""
    logits, target = run_classification(*arguments, **options)
    keep(logits, target)
    return logits, target


def rank(function: Any, scores: Any, positive: Any, *arguments: Any, **options: Any) -> Any:
    """Rank as the peer does: for each k the pictures of every text and then, of the same scores, the other way."""
    if options["k"] == 1 and scores.is_contiguous():
        keep(scores, positive)
    return batchify(function, scores, positive, *arguments, **options)


zeroshot_classification.run_classification = classify
zeroshot_retrieval.batchify = rank
cli.main()
