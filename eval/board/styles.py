"""Accuracy by style of picture, over the classification tasks that every ranked entry has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from oddpair.eval.board.board import Score
from oddpair.eval.comparing.answers import Answers
from oddpair.eval.intervals import FloatArray
from oddpair.eval.scoring.spread import estimate_mean
from oddpair.eval.submission.entry import Entry


def score_styles(entry: Entry, answers: Mapping[str, Answers], *, seed: int) -> dict[str, Score]:
    """Return the mean accuracy of an entry by style, with an interval (95 %) that draws what goes alike whole.

    Only some tasks count, the same for all entries: others may ask about the same pictures again, or about fewer classes.

    Args:
        entry: The entry.
        answers: Its answers by task, of the tasks that count; those that are not of classification are passed over.
        seed: Of the draws.

    Returns:
        Scores by style, sorted; pictures of no known style are in none.
    """
    credit: defaultdict[str, list[FloatArray]] = defaultdict(list)
    chance: defaultdict[str, list[FloatArray]] = defaultdict(list)
    clusters: defaultdict[str, list[str]] = defaultdict(list)
    for name, found in answers.items():
        task = entry.tasks[name]
        if task.key.kind != "classification":
            continue
        styles = np.asarray(task.records["style"].to_pylist(), dtype=str)
        guess = 1 / task.records["n_candidates"].to_numpy()
        for style in np.unique(styles[styles != ""]).tolist():
            rows = np.flatnonzero(styles == style)
            credit[style].append(found.credit[rows])
            chance[style].append(guess[rows])
            clusters[style] += [found.clusters[row] for row in rows.tolist()]
    return {
        style: _mean(
            style, np.concatenate(credit[style]), clusters[style], np.concatenate(chance[style]), seed
        )
        for style in sorted(credit)
    }


def _mean(style: str, credit: FloatArray, clusters: list[str], chance: FloatArray, seed: int) -> Score:
    codes = np.unique(clusters, return_inverse=True)[1].astype(np.int64)
    found, _ = estimate_mean(credit, codes, seed=seed, what=f"accuracy on {style}")
    return Score(value=found.value, low=found.low, high=found.high, n=found.n, chance=float(chance.mean()))
