"""The answers of a model to a task: its embedded pictures beside its embedded prompts or captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.benchmarks.questions import Questions
from oddpair.eval.picture_cache import EmbeddedPictures
from oddpair.eval.scoring.choice import score_choice
from oddpair.eval.scoring.classification import score_classification
from oddpair.eval.scoring.multilabel import score_multilabel
from oddpair.eval.scoring.pairs import score_pairs
from oddpair.eval.scoring.retrieval import score_retrieval
from oddpair.eval.text_cache import EmbeddedTexts
from oddpair.eval.zero_shot import class_vectors
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs

FloatArray = NDArray[np.float64]


def texts_of(questions: Questions) -> list[str]:
    """Return every text that the answers need embedded, each once, sorted."""
    if questions.captions:
        return sorted({caption for captions in questions.captions for caption in captions})
    if questions.task.kind != "pairs":
        return sorted({prompt for prompts in questions.prompts() for prompt in prompts})
    n = len(questions.classes.keys)
    pairs = ((a, b) for a in range(n) for b in range(a + 1, n))
    return sorted({prompt for a, b in pairs for prompt in questions.pair_prompts(a, b)})


def answer(
    questions: Questions, pictures: EmbeddedPictures, texts: EmbeddedTexts, *, logit_scale: float
) -> pa.Table:
    """Score every question.

    Args:
        questions: What is asked.
        pictures: The embedded pictures of the set.
        texts: At least the texts of `texts_of`, embedded.
        logit_scale: What the model multiplies cosines with.

    Returns:
        Records of the kind, in the order of the questions.

    Raises:
        Refusal: If the embeddings are degenerate.
    """
    kind = questions.task.kind
    if kind == "choice":
        return score_choice(
            questions=questions.keys,
            uids=questions.uids,
            categories=questions.categories,
            image_rows=[pictures.read(rows) for rows in questions.images],
            caption_rows=[texts.read(captions) for captions in questions.captions],
        )
    keys, uids, styles = questions.keys, questions.uids, questions.styles
    images = pictures.read(questions.rows)
    if kind == "retrieval":
        return score_retrieval(
            keys=keys,
            uids=uids,
            styles=styles,
            images=images,
            texts=texts.read([caption for captions in questions.captions for caption in captions]),
            owner=np.repeat(np.arange(len(keys)), [len(captions) for captions in questions.captions]),
            queries=questions.asking,
        )
    if kind == "pairs":
        return score_pairs(
            keys=keys,
            uids=uids,
            styles=styles,
            images=images,
            target=questions.target,
            partner=questions.partner,
            pair_vectors=lambda partner: _vectors_beside(questions, texts, partner),
            nested=_nested(questions.classes.keys),
            logit_scale=logit_scale,
        )
    vectors = _class_vectors(questions.prompts(), texts)
    if kind == "multilabel":
        return score_multilabel(
            keys=keys,
            uids=uids,
            styles=styles,
            images=images,
            vectors=vectors,
            labels=[list(labels) for labels in questions.labels],
        )
    return score_classification(
        keys=keys,
        uids=uids,
        styles=styles,
        images=images,
        vectors=vectors,
        target=questions.target,
        logit_scale=logit_scale,
    )


def _class_vectors(prompts: Sequence[Sequence[str]], texts: EmbeddedTexts) -> FloatArray:
    # Class by class: the prompts of a thousand classes together are a hundred thousand rows.
    return np.concatenate([class_vectors(texts.read(of_class)[np.newaxis]) for of_class in prompts])


def _vectors_beside(questions: Questions, texts: EmbeddedTexts, partner: int) -> FloatArray:
    """Return the vector of each class beside the partner; its own row, which is never a candidate, is 0."""
    n = len(questions.classes.keys)
    others = [other for other in range(n) if other != partner]
    prompts = [questions.pair_prompts(min(other, partner), max(other, partner)) for other in others]
    found = _class_vectors(prompts, texts)
    vectors = np.zeros((n, found.shape[1]))
    vectors[others] = found
    return vectors


def _nested(keys: Sequence[str]) -> NDArray[np.bool_]:
    """Return which classes are nested in one another, as "tree" in "pine tree": both answers would be true."""
    vocabulary = build_vocabulary(keys)
    number = vocabulary.by_given()
    ids = np.array([number[key] for key in keys])
    nested = np.eye(len(vocabulary), dtype=np.bool_)
    for a, b in nested_pairs(vocabulary):
        nested[a, b] = nested[b, a] = True
    mask: NDArray[np.bool_] = nested[np.ix_(ids, ids)]
    np.fill_diagonal(mask, val=False)
    return mask
