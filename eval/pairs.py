"""The conditional pair metric: an image of A and B, prompts "a photo of X and B" for all X, a hit if X is A."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.zero_shot import Prediction, decide, finite_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
PairVectors = Callable[[int], NDArray[Any]] | NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairPrediction:
    """Which concept the model names beside the partner, for each image and order.

    Attributes:
        hits: Whether that is the target, shape ``(n,)``.
        classes: The concept named, shape ``(n,)``.
        scores: Dot product of its prompt with the image, shape ``(n,)``.
        margins: How far it lies above the best other candidate, shape ``(n,)``.
    """

    hits: BoolArray
    classes: IntArray
    scores: FloatArray
    margins: FloatArray


def both_orders(first: ArrayLike, second: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
    """Ask for each object of an image given the other.

    Args:
        first: One concept of every image, shape ``(n,)``.
        second: Its other concept, shape ``(n,)``.

    Returns:
        Image row, target and partner of the ``2 n`` questions, the two of an image side by side.

    >>> both_orders([4], [7])
    (array([0, 0]), array([4, 7]), array([7, 4]))
    """
    a, b = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(
            f"first concepts have shape {a.shape}, second {b.shape}, need one shape (n,), n >= 1"
        )
    return np.repeat(np.arange(len(a)), 2), np.stack([a, b], 1).ravel(), np.stack([b, a], 1).ravel()


def chance(n_concepts: int) -> float:
    """Hit rate of blind guessing: the partner is never a candidate for the target.

    >>> chance(5)
    0.25
    """
    if n_concepts < 3:
        raise ValueError(f"{n_concepts} concepts, the pair metric needs at least 3")
    return 1 / (n_concepts - 1)


def conditional_hits(
    images: NDArray[Any],
    target: ArrayLike,
    partner: ArrayLike,
    pair_vectors: PairVectors,
    nested: BoolArray | None = None,
) -> PairPrediction:
    """Whether the target wins among all concepts beside its partner.

    The candidates X are every concept but the partner, and but those nested with the target or the
    partner ("tree" for "pine tree": both answers would be true). Ties go to the lowest index, as in
    `zero_shot.classify`.

    Args:
        images: Image embeddings, shape ``(n, d)``.
        target: Concept asked for, shape ``(n,)``.
        partner: Concept given, shape ``(n,)``.
        pair_vectors: Unit text vectors of "x and b": an array ``[x, b]`` of shape ``(K, K, d)``, or a
            function from b to its ``(K, d)`` rows. The row ``x = b`` is never used.
        nested: Which concepts are nested, symmetric, shape ``(K, K)``; none if left out.

    Returns:
        One decision per image row.

    Raises:
        ValueError: If shapes do not fit, a concept is out of range, target and partner are the same or
            nested, fewer than two candidates are left, or a vector is not finite ("degenerate").

    >>> vectors = np.zeros((3, 3, 2)); vectors[0, 2] = [1, 0]; vectors[1, 2] = [0, 1]
    >>> conditional_hits(np.array([[0.9, 0.1], [0.2, 0.8]]), [0, 0], [2, 2], vectors).hits
    array([ True, False])
    """
    image_rows = finite_rows(images, "image embedding")
    wanted, given = np.asarray(target, dtype=np.int64), np.asarray(partner, dtype=np.int64)
    if not wanted.shape == given.shape == (len(image_rows),):
        raise ValueError(f"{len(image_rows)} images, targets {wanted.shape}, partners {given.shape}")
    n_concepts = len(_rows_beside(pair_vectors, int(given[0])))
    excluded = np.eye(n_concepts, dtype=np.bool_)
    if nested is not None:
        if nested.shape != excluded.shape:
            raise ValueError(f"nested mask has shape {nested.shape}, need {excluded.shape}")
        excluded |= nested
    _check_questions(wanted, given, excluded)

    classes = np.empty(len(image_rows), dtype=np.int64)
    scores, margins = np.empty(len(image_rows)), np.empty(len(image_rows))
    for concept in np.unique(given):
        rows = np.flatnonzero(given == concept)
        closed = excluded[concept] | excluded[wanted[rows]]
        closed[np.arange(len(rows)), wanted[rows]] = False
        found = _name_concept(
            image_rows[rows], _rows_beside(pair_vectors, int(concept)), closed, int(concept)
        )
        classes[rows], scores[rows], margins[rows] = found.classes, found.scores, found.margins
    return PairPrediction(hits=classes == wanted, classes=classes, scores=scores, margins=margins)


def _rows_beside(pair_vectors: PairVectors, concept: int) -> NDArray[Any]:
    if callable(pair_vectors):
        return pair_vectors(concept)
    if pair_vectors.ndim != 3 or pair_vectors.shape[0] != pair_vectors.shape[1]:
        raise ValueError(f"pair vectors have shape {pair_vectors.shape}, need (K, K, d)")
    if not 0 <= concept < len(pair_vectors):
        raise ValueError(f"partner {concept} is not one of {len(pair_vectors)} concepts")
    return pair_vectors[:, concept]


def _check_questions(wanted: IntArray, given: IntArray, excluded: BoolArray) -> None:
    for name, concepts in (("target", wanted), ("partner", given)):
        outside = np.flatnonzero((concepts < 0) | (concepts >= len(excluded)))
        if len(outside):
            raise ValueError(
                f"{name} {concepts[outside[0]]} at row {outside[0]} is not one of {len(excluded)} concepts"
            )
    same = np.flatnonzero(excluded[wanted, given])
    if len(same):
        row = same[0]
        raise ValueError(
            f"target {wanted[row]} and partner {given[row]} at row {row} are the same or nested, no pair"
        )


def _name_concept(images: FloatArray, vectors: NDArray[Any], closed: BoolArray, partner: int) -> Prediction:
    others = np.arange(len(vectors)) != partner
    beside: FloatArray = np.zeros(vectors.shape)
    beside[others] = finite_rows(vectors[others], f"pair vector beside concept {partner}")
    if beside.shape[1] != images.shape[1]:
        raise ValueError(f"images have dimension {images.shape[1]}, pair vectors have {beside.shape[1]}")
    if (~closed).sum(axis=1).min() < 2:
        raise ValueError(f"fewer than 2 candidates are left beside concept {partner}")

    def scores_of(start: int, stop: int) -> FloatArray:
        return np.where(closed[start:stop], -np.inf, images[start:stop] @ beside.T)

    return decide(len(images), scores_of)
