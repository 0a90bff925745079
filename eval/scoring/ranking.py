"""Where the right class stands among the candidates of each picture, and which classes stand first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.eval.zero_shot import TIE

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
HashArray = NDArray[np.uint64]

LISTED = 5

# Bounds memory: 16 MB of scores, and a few arrays like it.
_SCORES_AT_ONCE = 2_000_000
_LAST = np.uint64(2**64 - 1)


def rank_candidates(
    *,
    keys: Sequence[str],
    target: IntArray,
    n_columns: int,
    scores_of: Callable[[int, int], FloatArray],
    logit_scale: float,
) -> dict[str, NDArray[Any]]:
    """Rank the target of each row among the columns of a score matrix that is made some rows at a time.

    Columns within 1e-12 of the target are tied with it. Tied columns are listed in the order of a hash of the key and
    the column, so that no place in a list is favoured.

    Args:
        keys: Ids of the rows, which order ties.
        target: The right column, shape ``(n,)``.
        n_columns: Columns of the matrix.
        scores_of: Gives the scores of rows ``start`` to ``stop``, shape ``(stop - start, n_columns)``; ``-inf`` takes
            a column out.
        logit_scale: What scores are multiplied with for ``logsumexp``.

    Returns:
        Arrays of ``n`` rows: ``top_classes`` (-1 where there are fewer candidates) and ``top_scores`` of up to five
        columns, ``target_score``, ``logsumexp``, ``n_greater``, ``n_tied`` and ``n_candidates``.
    """
    rows = max(1, _SCORES_AT_ONCE // n_columns)
    parts = [
        _rank_block(
            keys[start : start + rows],
            target[start : start + rows],
            scores_of(start, min(start + rows, len(keys))),
            logit_scale,
        )
        for start in range(0, len(keys), rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def rank_columns(
    keys: Sequence[str],
    uids: Sequence[str],
    styles: Sequence[str],
    target: IntArray,
    partner: IntArray,
    ranked: dict[str, NDArray[Any]],
) -> dict[str, pa.Array]:
    """Return what `rank_candidates` found as columns of records.

    Args:
        keys: Ids of the questions' pictures in their set.
        uids: Ids of the pictures.
        styles: Their styles.
        target: The right class of each.
        partner: The class that is given; -1 for none.
        ranked: From `rank_candidates`.

    Returns:
        Columns by name.
    """
    listed = ranked["top_classes"] >= 0
    offsets = np.concatenate([[0], np.cumsum(listed.sum(axis=1))]).astype(np.int32)
    lists = {
        name: pa.ListArray.from_arrays(offsets, pa.array(ranked[name][listed].astype(dtype)))
        for name, dtype in (("top_classes", np.int32), ("top_scores", np.float32))
    }
    counts = {name: ranked[name].astype(np.int32) for name in ("n_greater", "n_tied", "n_candidates")}
    return {
        "key": pa.array(keys, pa.string()),
        "uid": pa.array(uids, pa.string()),
        "style": pa.array(styles, pa.string()),
        "target": pa.array(target.astype(np.int32)),
        "partner": pa.array(partner.astype(np.int32)),
        **lists,
        "target_score": pa.array(ranked["target_score"].astype(np.float32)),
        "logsumexp": pa.array(ranked["logsumexp"].astype(np.float32)),
        **{name: pa.array(values) for name, values in counts.items()},
    }


def check_scale(logit_scale: float) -> None:
    """Refuse a scale that turns scores round or to nothing.

    Raises:
        ValueError: If it is not finite and above 0.
    """
    if not (np.isfinite(logit_scale) and logit_scale > 0):
        raise ValueError(f"logit scale is {logit_scale}, needed above 0")


def _rank_block(
    keys: Sequence[str], target: IntArray, scores: FloatArray, logit_scale: float
) -> dict[str, NDArray[Any]]:
    at_target = scores[np.arange(len(keys)), target][:, np.newaxis]
    tied = np.abs(scores - at_target) <= TIE
    # One value for all that are tied with the target makes every later comparison agree with these counts.
    scores = np.where(tied, at_target, scores)
    highest = scores.max(axis=1, keepdims=True)
    spread = np.exp(logit_scale * (scores - highest)).sum(axis=1)
    top_classes, top_scores = _list_first(keys, scores)
    return {
        "top_classes": top_classes,
        "top_scores": top_scores,
        "target_score": at_target[:, 0],
        "logsumexp": logit_scale * highest[:, 0] + np.log(spread),
        "n_greater": (scores > at_target).sum(axis=1),
        "n_tied": tied.sum(axis=1) - 1,
        "n_candidates": np.isfinite(scores).sum(axis=1),
    }


def _list_first(keys: Sequence[str], scores: FloatArray) -> tuple[IntArray, FloatArray]:
    rows, left = np.arange(len(scores)), scores.copy()
    places = min(LISTED, scores.shape[1])
    classes = np.full((len(scores), places), -1, dtype=np.int64)
    listed = np.full((len(scores), places), -np.inf)
    leader = np.full(len(scores), np.inf)
    # Where no candidate is left the best is -inf, and its difference from itself NaN: a tie with nothing.
    with np.errstate(invalid="ignore"):
        for place in range(places):
            chosen = left.argmax(axis=1)
            best = left[rows, chosen]
            leader = np.where(leader - best <= TIE, leader, best)
            member = leader[:, np.newaxis] - left <= TIE
            several = np.flatnonzero(member.sum(axis=1) > 1)
            if len(several):
                hashes = _hash(np.array([_hash_key(keys[row]) for row in several.tolist()]), scores.shape[1])
                chosen[several] = np.where(member[several], hashes, _LAST).argmin(axis=1)
            is_open = np.isfinite(best)
            classes[is_open, place] = chosen[is_open]
            listed[is_open, place] = leader[is_open]
            left[rows, chosen] = -np.inf
    return classes, listed


def _hash_key(key: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little"))


def _hash(key_hashes: HashArray, n_columns: int) -> HashArray:
    """Return a hash of each key with each column by the finisher of SplitMix64, shape ``(keys, n_columns)``."""
    steps = np.arange(1, n_columns + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed: HashArray = key_hashes[:, np.newaxis] + steps
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
