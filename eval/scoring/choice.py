"""Compositional choices: the pictures of a question against its captions, every score kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.eval.scoring.rows import check_dimensions, check_lengths, check_rows, refuse_alike, snap
from oddpair.eval.zero_shot import TIE


def score_choice(
    *,
    questions: Sequence[str],
    uids: Sequence[str],
    categories: Sequence[str],
    image_rows: Sequence[NDArray[Any]],
    caption_rows: Sequence[NDArray[Any]],
) -> pa.Table:
    """Score the pictures of each question with its captions.

    Caption 0 is right for picture 0 and, where there are two pictures, caption 1 for picture 1. Scores are float64 dot
    products, kept as float32; those within 1e-12 of each other are kept as equal.

    Args:
        questions: Ids of the questions.
        uids: Id of each question's first picture.
        categories: Category of each question.
        image_rows: Unit embeddings of its pictures, one or two, each of shape ``(i, d)``.
        caption_rows: Unit embeddings of its captions, two or more, and exactly two for two pictures, ``(c, d)`` each.

    Returns:
        Records of ``SCHEMAS["choice"]``, in the order of the questions.

    Raises:
        ValueError: If shapes do not fit.
        Refusal: If an embedding has no direction, or all pictures or all captions have the same one ("degenerate").

    References:
        Hsieh et al., SugarCrepe, arXiv:2306.14610; Thrush et al., Winoground, arXiv:2204.03162.

    >>> records = score_choice(
    ...     questions=["q"], uids=["1"], categories=["swap"], image_rows=[np.eye(2)[:1]], caption_rows=[np.eye(2)]
    ... )
    >>> records["scores"].to_pylist()
    [[1.0, 0.0]]
    """
    if not len(questions):
        raise ValueError("no question, needed 1 or more")
    check_lengths(
        len(questions), uids=uids, categories=categories, image_rows=image_rows, caption_rows=caption_rows
    )
    for number, (pictures, captions) in enumerate(zip(image_rows, caption_rows, strict=True)):
        if len(pictures) not in (1, 2) or len(captions) < 2 or (len(pictures) == 2 and len(captions) != 2):
            raise ValueError(
                f"question {number} has {len(pictures)} pictures and {len(captions)} captions, needed 1 picture and 2 or "
                "more captions, or 2 of each"
            )
    all_pictures = check_rows(np.concatenate(list(image_rows)), "picture")
    all_captions = check_rows(np.concatenate(list(caption_rows)), "caption")
    check_dimensions(all_pictures, all_captions, "captions")
    if len(set(uids)) > 1 or len(image_rows[0]) == 2:
        refuse_alike(all_pictures, "picture")
    refuse_alike(all_captions, "caption")

    scores = [
        snap((pictures.astype(np.float64) @ captions.astype(np.float64).T).ravel(), TIE)
        for pictures, captions in zip(image_rows, caption_rows, strict=True)
    ]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in scores])]).astype(np.int32)
    return pa.table(
        {
            "key": pa.array(questions, pa.string()),
            "uid": pa.array(uids, pa.string()),
            "style": pa.array([""] * len(questions), pa.string()),
            "category": pa.array(categories, pa.string()),
            "n_images": pa.array([len(rows) for rows in image_rows], pa.int32()),
            "n_captions": pa.array([len(rows) for rows in caption_rows], pa.int32()),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(scores))),
        }
    )
