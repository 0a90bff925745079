"""Models of known skill that answer drawn questions."""

import numpy as np
from scipy.special import expit

from oddpair.eval.comparing.answers import Answers

FAMILIES = {"near": ("near",), "far": ("far", "farther")}


def answer(credit, clusters, prefix="q"):
    """Answers with this credit, to questions that are the same for every model."""
    names = [f"{prefix}{number}" for number in range(len(credit))]
    return Answers(
        questions=names, clusters=[str(each) for each in clusters], credit=np.asarray(credit, float)
    )


def known(found):
    """What was found, which must not be nothing."""
    assert found is not None
    return found


def answer_all(skills, seed, n_classes=30, n_pairs=20, spread=0.5):
    """Models by name: ``near`` and ``far`` share their classes, ``farther`` asks other clusters of unequal sizes."""
    rng = np.random.default_rng(seed)
    classes, pairs = (
        np.repeat(np.arange(n_classes), 5),
        np.repeat(np.arange(n_pairs), 1 + np.arange(n_pairs) % 4),
    )
    hard, hard_pair = rng.normal(size=n_classes), rng.normal(size=n_pairs)
    models = {}
    for number, skill in enumerate(skills):
        own = skill + hard + spread * rng.normal(size=n_classes)
        own_pair = skill + hard_pair + spread * rng.normal(size=n_pairs)
        models[f"m{number}"] = {
            "near": answer(rng.random(len(classes)) < expit(own)[classes], classes, "near"),
            "far": answer(rng.random(len(classes)) < expit(own - 1)[classes], classes, "far"),
            "farther": answer(
                rng.random(len(pairs)) < expit(own_pair)[pairs], [f"p{each}" for each in pairs], "pair"
            ),
        }
    return models
