"""The conditional pair metric: a picture of A and B, prompts of X and B for all X, and which X the model names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.scoring.ranking import check_scale, rank_candidates, rank_columns
from oddpair.eval.scoring.rows import (
    check_dimensions,
    check_lengths,
    check_pictures,
    check_rows,
    refuse_alike,
)

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PairVectors = Callable[[int], NDArray[Any]] | NDArray[Any]


def chance(n_concepts: int) -> float:
    """Hit rate of blind guessing: the partner is never a candidate for the target.

    >>> chance(5)
    0.25
    """
    if n_concepts < 3:
        raise ValueError(f"{n_concepts} concepts, the pair metric needs at least 3")
    return 1 / (n_concepts - 1)


def score_pairs(
    *,
    keys: Sequence[str],
    uids: Sequence[str],
    styles: Sequence[str],
    images: NDArray[Any],
    target: ArrayLike,
    partner: ArrayLike,
    pair_vectors: PairVectors,
    nested: BoolArray | None = None,
    logit_scale: float,
) -> pa.Table:
    """Score the concepts that may stand beside the given one.

    The candidates are every concept but the partner, and but those nested with the target or the partner ("tree" for
    "pine tree": both answers would be true).

    Args:
        keys: Id of each question's picture in its set.
        uids: Id of the picture.
        styles: Its style, ``""`` where unknown.
        images: Unit embedding of the picture of each question, shape ``(n, d)``.
        target: Concept asked for, shape ``(n,)``.
        partner: Concept given, shape ``(n,)``.
        pair_vectors: Unit vectors of "x and b": an array ``[x, b]`` of shape ``(K, K, d)``, or a function from b to
            its ``(K, d)`` rows. The row ``x = b`` is never used.
        nested: Which concepts are nested, symmetric, shape ``(K, K)``; none if left out.
        logit_scale: What the model multiplies cosines with.

    Returns:
        Records of ``SCHEMAS["pairs"]``, in the order of the questions.

    Raises:
        ValueError: If shapes do not fit, a concept is out of range, target and partner are the same or nested, or
            fewer than two candidates are left.
        Refusal: If an embedding has no direction, all pictures have the same one, or all concepts beside one
            ("degenerate").

    >>> vectors = np.zeros((3, 3, 2)); vectors[0, 2] = [1, 0]; vectors[1, 2] = [0, 1]
    >>> records = score_pairs(
    ...     keys=["a", "b"], uids=["1", "2"], styles=["", ""], images=np.array([[0.8, 0.6], [0.6, 0.8]]),
    ...     target=[0, 0], partner=[2, 2], pair_vectors=vectors, logit_scale=100.0,
    ... )
    >>> records["n_greater"].to_pylist(), records["n_candidates"].to_pylist()
    ([0, 1], [2, 2])
    """
    pictures = check_pictures(images, uids)
    wanted, given = np.asarray(target, dtype=np.int64), np.asarray(partner, dtype=np.int64)
    check_lengths(len(pictures), keys=keys, styles=styles, target=wanted, partner=given)
    check_scale(logit_scale)
    n_concepts = len(_rows_beside(pair_vectors, int(given[0])))
    excluded = _exclude(nested, n_concepts)
    _check_questions(wanted, given, excluded)

    parts, order = [], []
    for concept in np.unique(given).tolist():
        rows = np.flatnonzero(given == concept)
        beside = _check_beside(_rows_beside(pair_vectors, concept), concept, pictures, n_concepts)
        closed = excluded[concept] | excluded[wanted[rows]]
        closed[np.arange(len(rows)), wanted[rows]] = False
        if (~closed).sum(axis=1).min() < 2:
            raise ValueError(f"fewer than 2 candidates are left beside concept {concept}")

        def scores_of(
            start: int,
            stop: int,
            rows: IntArray = rows,
            beside: NDArray[np.float64] = beside,
            closed: BoolArray = closed,
        ) -> NDArray[np.float64]:
            scores = pictures[rows[start:stop]].astype(np.float64) @ beside.T
            return np.where(closed[start:stop], -np.inf, scores)

        parts.append(
            rank_candidates(
                keys=[keys[row] for row in rows.tolist()],
                target=wanted[rows],
                n_columns=n_concepts,
                scores_of=scores_of,
                logit_scale=logit_scale,
            )
        )
        order.append(rows)
    back = np.argsort(np.concatenate(order))
    ranked = {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}
    return pa.table(rank_columns(keys, uids, styles, wanted, given, ranked))


def _rows_beside(pair_vectors: PairVectors, concept: int) -> NDArray[Any]:
    if callable(pair_vectors):
        return pair_vectors(concept)
    if pair_vectors.ndim != 3 or pair_vectors.shape[0] != pair_vectors.shape[1]:
        raise ValueError(f"pair vectors have shape {pair_vectors.shape}, need (K, K, d)")
    if not 0 <= concept < len(pair_vectors):
        raise ValueError(f"partner {concept} is not one of {len(pair_vectors)} concepts")
    return pair_vectors[:, concept]


def _check_beside(
    found: NDArray[Any], concept: int, pictures: NDArray[Any], n_concepts: int
) -> NDArray[np.float64]:
    if len(found) != n_concepts:
        raise ValueError(f"{len(found)} vectors beside concept {concept}, needed {n_concepts}")
    others = np.arange(n_concepts) != concept
    what = f"concept beside concept {concept}"
    checked = check_rows(found[others], what)
    check_dimensions(pictures, checked, "pairs")
    refuse_alike(checked, what)
    beside = np.zeros((n_concepts, checked.shape[1]))
    beside[others] = checked
    return beside


def _exclude(nested: BoolArray | None, n_concepts: int) -> BoolArray:
    excluded = np.eye(n_concepts, dtype=np.bool_)
    if nested is not None:
        if nested.shape != excluded.shape:
            raise ValueError(f"nested mask has shape {nested.shape}, need {excluded.shape}")
        excluded |= nested
    return excluded


def _check_questions(wanted: IntArray, given: IntArray, excluded: BoolArray) -> None:
    for name, concepts in (("target", wanted), ("partner", given)):
        outside = np.flatnonzero((concepts < 0) | (concepts >= len(excluded)))
        if len(outside):
            row = outside[0]
            raise ValueError(f"{name} {concepts[row]} at row {row} is not one of {len(excluded)} concepts")
    same = np.flatnonzero(excluded[wanted, given])
    if len(same):
        row = same[0]
        raise ValueError(
            f"target {wanted[row]} and partner {given[row]} at row {row} are the same or nested, no pair"
        )
