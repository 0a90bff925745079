"""Styles told by an image tower that was trained further on the labelled pictures, as in the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.fine_tune import FineTuning, score_styles, train_styles
from oddpair.retrieval.models import identify_model
from oddpair.retrieval.style_tower import WEIGHTS
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.styles.features import StyleFeatures
from oddpair.splits.styles.scorer import CLASSES, PROBED, Codes, Scores, StyleScorer, need_both

# One of so many labelled rows is kept from training, to say how the others' scores hold up.
_KEPT = 5
_AT_ONCE = 1 << 16
TRAINED = "fine-tuned"


def fit_fine_tuned(
    features: StyleFeatures,
    rows: IntArray,
    codes: Codes,
    *,
    model: str,
    weights: str | None,
    tuning: FineTuning,
    device: str,
    work: Path,
) -> StyleScorer:
    """Train an image tower with a linear head on four fifths of the labelled pictures.

    A score is the log odds of the class.

    Args:
        features: Of the corpus, with its pictures.
        rows: The labelled rows, shape ``(n,)``.
        codes: Their labels, shape ``(n,)``.
        model: What to begin with: ``reference``, a model folder or an open_clip architecture.
        weights: Weights of an architecture.
        tuning: How long and how fast.
        device: ``cpu`` or ``cuda``.
        work: Folder for weights and scores; a killed run goes on from it.

    Returns:
        What scores rows; each set of pictures is looked at once more.

    Raises:
        Refusal: If there are no pictures, no row is natural, or none is a rendition.

    References:
        Mayilvahanan et al., In search of forgotten domain generalization, 2024, arXiv:2410.08258.
    """
    need_both(codes)
    corpus = need_pictures(features, "the corpus")
    kept = np.random.default_rng(tuning.seed).permutation(len(codes)) % _KEPT == 0
    uids = features.image.uids(rows)
    labels = {uid: CLASSES[code] for uid, code, keep in zip(uids, codes, kept, strict=True) if not keep}
    need_both(codes[~kept])
    trained = work / TRAINED
    train_styles(corpus, labels, trained, model=model, pretrained=weights, tuning=tuning, device=device)

    def score(found: StyleFeatures) -> Scores:
        pictures = need_pictures(found, "a test set")
        folder = work / f"fine-tuned-scores-{files.digest(fingerprint(pictures))[:16]}"
        given = score_styles(trained, pictures, folder, device=device)
        columns = [given.classes.index(name) for name in PROBED]
        scores = np.empty((len(found), len(PROBED)))
        for start in range(0, len(found), _AT_ONCE):
            stop = min(start + _AT_ONCE, len(found))
            scores[start:stop] = given.at(_uids(found, start, stop))[:, columns]
        return scores

    return StyleScorer(
        score=score,
        unseen=score(features)[rows[kept]],
        codes=codes[kept],
        tower=files.sha256(trained / WEIGHTS),
    )


def identify_tower(model: str, weights: str | None, trained: str) -> dict[str, Any]:
    """Say which tower a classifier is, for a manifest: the model that it began from, and the sha256 of its weights."""
    return {"began": identify_model(model, weights), "trained": trained}


def refuse_other_tower(
    provenance: Mapping[str, Any], *, model: str, weights: str | None, device: str, work: Path
) -> None:
    """Refuse to verify by a classifier that cannot be the one of a split, before it is trained.

    Args:
        provenance: Of the split.
        model: As for ``fit_fine_tuned``.
        weights: Likewise.
        device: Likewise. On ``cpu`` training again gives the same weights, on ``cuda`` it does not.
        work: Likewise; what was trained there is used if it has the split's hash.

    Raises:
        Refusal: If training begins from another model here, or was on a GPU and its weights are not there.
    """
    known = provenance.get("classifier")
    known = known if isinstance(known, dict) else {}
    if known.get("began") != identify_model(model, weights):
        raise Refusal(
            f"tuned_model {model} is not the model that the split's classifier was trained from, by its sha256: put that "
            "one back"
        )
    path = work / TRAINED / WEIGHTS
    if device != "cpu" and not (path.is_file() and files.sha256(path) == known.get("trained")):
        raise Refusal(
            "the split's classifier was trained on a GPU, which does not give the same weights again, and its weights "
            f"{str(known.get('trained'))[:12]}… are not in {work / TRAINED}: nobody can compute its claims again"
        )


def need_pictures(features: StyleFeatures, name: str) -> Corpus:
    """Return the pictures, or refuse if only embeddings were given of what is called ``name``."""
    if features.pictures is None or not features.pictures.pictures:
        raise Refusal(
            f"classifier fine-tune looks at pictures, and only embeddings were given of {name}: give it with its pictures, "
            "or choose another classifier"
        )
    return features.pictures


def _uids(features: StyleFeatures, start: int, stop: int) -> pa.Array:
    return pa.array(features.image.uids(np.arange(start, stop)), pa.large_string())
