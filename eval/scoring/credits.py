"""What each answer earns, from records alone; ties earn what breaking them at random would on average."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from oddpair.eval.scoring.record_checks import as_matrix, lengths_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def share_within(k: int, n_greater: ArrayLike, n_tied: ArrayLike, n_right: ArrayLike = 1) -> FloatArray:
    """Probability that some right answer is among the first k when ties are broken at random.

    With s places left behind what is greater, t wrong answers tied and p right ones it is
    ``1 - C(t, s) / C(t + p, s)``: 0 where no place is left, 1 where more are left than wrong answers to fill them.

    Args:
        k: Places, 1 or more.
        n_greater: Wrong answers above the best right one, shape ``(n,)``.
        n_tied: Wrong answers level with it, shape ``(n,)``.
        n_right: Right answers level with it, itself included, shape ``(n,)``.

    Returns:
        Shape ``(n,)``.

    Raises:
        ValueError: If there is no place.

    >>> share_within(1, [0, 0, 0, 1], [0, 1, 1, 0], [1, 1, 2, 1]).round(3)
    array([1.   , 0.5  , 0.667, 0.   ])
    """
    if k < 1:
        raise ValueError(f"{k} places, needed 1 or more")
    places = k - np.asarray(n_greater, dtype=np.int64)
    wrong, right = np.asarray(n_tied, dtype=np.int64), np.asarray(n_right, dtype=np.int64)
    missed = np.ones(np.broadcast_shapes(places.shape, wrong.shape, right.shape))
    for taken in range(int(min(k, wrong.max(initial=0) + 1, max(places.max(initial=0), 0)))):
        # A factor of C(t, s) / C(t + p, s) = product over i < s of (t - i) / (t + p - i); factors do not overflow.
        left = np.maximum(wrong - taken, 0)
        missed = np.where(taken < places, missed * left / np.maximum(left + right, 1), missed)
    share: FloatArray = 1.0 - missed
    return share


def credit_ranked(table: pa.Table, k: int) -> FloatArray:
    """Probability that the right answer is among the first k, for records with ``n_greater`` and ``n_tied``."""
    columns = [table[name].to_numpy() for name in ("n_greater", "n_tied")]
    if "n_positives_tied" in table.column_names:
        columns.append(table["n_positives_tied"].to_numpy())
    return share_within(k, *columns)


def credit_choice(table: pa.Table) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What each question of a choice earns for the right captions, the right pictures, and all of it.

    Caption: every picture scores highest with its own caption. Picture: every caption scores highest with its own
    picture. Group: both; with s00 and s11 the right scores of two pictures and s01 and s10 the wrong ones, it is that
    both right ones exceed both wrong ones. Where the lower right and the higher wrong one are level, x right and y wrong
    scores of that value are shuffled, and all right ones come first with probability ``x! y! / (x + y)!``. A model
    whose scores are all the same so earns 1/4, 1/4 and 1/6 for two pictures, and 1/c for one with c captions.

    Args:
        table: Records of choice.

    Returns:
        Credit for captions, for pictures and for the group, each of shape ``(n,)``; the latter two are 1 and the first
        for questions of a single picture, which has no other to be taken for.

    References:
        Thrush et al., Winoground, arXiv:2204.03162.

    >>> credit = credit_choice(pa.table({"n_images": [2], "n_captions": [2], "scores": [[0.5, 0.5, 0.5, 0.5]]}))
    >>> [each.round(3).tolist() for each in credit]
    [[0.25], [0.25], [0.167]]
    """
    n_images, n_captions = table["n_images"].to_numpy(), table["n_captions"].to_numpy()
    width = int(lengths_of(table["scores"]).max())
    scores = as_matrix(table["scores"], width, -np.inf)
    level = (scores == scores.max(axis=1, keepdims=True)) & (scores > -np.inf)
    caption = np.where(level[:, 0], 1.0 / level.sum(axis=1), 0.0)
    picture, group = np.ones(len(caption)), caption.copy()
    two = np.flatnonzero(n_images == 2)
    if len(two):
        assert (n_captions[two] == 2).all()
        s00, s01, s10, s11 = scores[two, :4].T
        caption[two] = _beats(s00, s01) * _beats(s11, s10)
        picture[two] = _beats(s00, s10) * _beats(s11, s01)
        group[two] = _beats_all(np.stack([s00, s11], 1), np.stack([s01, s10], 1))
    return caption, picture, group


def _beats(right: NDArray[np.float32], wrong: NDArray[np.float32]) -> FloatArray:
    return np.where(right == wrong, 0.5, np.where(right > wrong, 1.0, 0.0))


def _beats_all(right: NDArray[np.float32], wrong: NDArray[np.float32]) -> FloatArray:
    lowest, highest = right.min(axis=1), wrong.max(axis=1)
    x = (right == lowest[:, np.newaxis]).sum(axis=1)
    y = (wrong == highest[:, np.newaxis]).sum(axis=1)
    # 1 / C(x + y, x) for one or two of each.
    shuffled = np.array([[1 / 2, 1 / 3], [1 / 3, 1 / 6]])[x - 1, y - 1]
    return np.where(lowest == highest, shuffled, np.where(lowest > highest, 1.0, 0.0))
