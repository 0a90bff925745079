"""Small evaluations of each kind, scored with embeddings that a test gives or draws."""

import numpy as np

from oddpair.eval.scoring.choice import score_choice
from oddpair.eval.scoring.classification import score_classification
from oddpair.eval.scoring.multilabel import score_multilabel
from oddpair.eval.scoring.pairs import score_pairs
from oddpair.eval.scoring.retrieval import score_retrieval

SCALE = 100.0


def units(rng, *shape):
    rows = rng.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def names(n):
    return {
        "keys": [f"k{row:05d}" for row in range(n)],
        "uids": [f"u{row:05d}" for row in range(n)],
        "styles": ["sketch" if row % 3 else "natural" for row in range(n)],
    }


def classes(images, vectors, target, **changes):
    asked = {**names(len(images)), "logit_scale": SCALE, **changes}
    return score_classification(images=images, vectors=vectors, target=target, **asked)


def pairs(images, vectors, target, partner, **changes):
    asked = {**names(len(images)), "logit_scale": SCALE, **changes}
    return score_pairs(images=images, target=target, partner=partner, pair_vectors=vectors, **asked)


def retrieval(images, texts, owner, **changes):
    return score_retrieval(images=images, texts=texts, owner=owner, **{**names(len(images)), **changes})


def labels(images, vectors, found, **changes):
    return score_multilabel(images=images, vectors=vectors, labels=found, **{**names(len(images)), **changes})


def choice(image_rows, caption_rows, **changes):
    n = len(image_rows)
    asked = {
        "questions": [f"q{row:05d}" for row in range(n)],
        "uids": [f"u{row:05d}" for row in range(n)],
        "categories": ["swap" if row % 2 else "replace" for row in range(n)],
        **changes,
    }
    return score_choice(image_rows=image_rows, caption_rows=caption_rows, **asked)


def ask_every_kind(rng, n=240):
    """Return records of drawn embeddings by kind, with the number of classes of each."""
    seven = rng.integers(7, size=(n, 2))
    seven[:, 1] = (seven[:, 0] + 1 + seven[:, 1] % 6) % 7
    return {
        "classification": (classes(units(rng, n, 8), units(rng, 9, 8), rng.integers(9, size=n)), 9),
        "pairs": (pairs(units(rng, n, 8), units(rng, 7, 7, 8), *seven.T), 7),
        "retrieval": (
            retrieval(units(rng, n, 8), units(rng, 2 * n, 8), np.repeat(np.arange(n), 2)),
            0,
        ),
        "choice": (choice(list(units(rng, n, 2, 8)), list(units(rng, n, 2, 8))), 0),
        "multilabel": (
            labels(
                units(rng, n, 8),
                units(rng, 5, 8),
                [np.flatnonzero(row).tolist() for row in rng.random((n, 5)) < 0.3],
            ),
            5,
        ),
    }
