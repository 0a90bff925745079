"""Every metric of a task from its records alone, with its interval and what guessing scores."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.benchmarks.benchmark import CLUSTERS
from oddpair.benchmarks.evaluation_set import Kind
from oddpair.errors import Refusal
from oddpair.eval.results import Metric
from oddpair.eval.scoring.calibration import calibration_error
from oddpair.eval.scoring.credits import credit_choice, credit_ranked, share_within
from oddpair.eval.scoring.precision import estimate_mean_average_precision
from oddpair.eval.scoring.record_checks import as_matrix, lengths_of
from oddpair.eval.scoring.retrieval import IMAGE_TO_TEXT, TEXT_TO_IMAGE
from oddpair.eval.scoring.spread import code_clusters, estimate_mean, estimate_mean_of_classes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

RECALLED = (1, 5, 10)
# Of two pictures with two captions each: two coins for captions or pictures, and 2! 2! / 4! for both.
CHANCE_OF_TWO = {"text_score": 1 / 4, "image_score": 1 / 4, "group_score": 1 / 6}


def measure(
    table: pa.Table, kind: Kind, *, cluster: str, n_classes: int, seed: int, logit_scale: float
) -> tuple[Metric, ...]:
    """Compute every metric of a task.

    Classification and pairs: ``top1``, ``top5`` where there are more than five candidates, ``mean_per_class``,
    ``calibration_error``. Retrieval: recall at 1, 5 and 10 both ways. Choice: ``accuracy`` and, where there are
    questions of two pictures alone, ``text_score`` (the same), ``image_score`` and ``group_score``; then
    ``accuracy/CATEGORY``. Multilabel: ``mean_average_precision``.

    Args:
        table: Records of the kind.
        kind: What was asked.
        cluster: What goes alike and is drawn whole: ``image``, ``class`` or ``pair``.
        n_classes: Classes of the task; not looked at for retrieval and choice.
        seed: Of the draws; the same for all models.
        logit_scale: What scores were multiplied with for ``logsumexp``.

    Returns:
        Metrics, the main one first.

    Raises:
        Refusal: If the records name a class that the task has not.
        ValueError: If the kind's records know no such cluster.
    """
    if kind == "retrieval":
        return _measure_retrieval(table, cluster, seed)
    if kind == "choice":
        return _measure_choice(table, cluster, seed)
    if kind == "multilabel":
        return _measure_multilabel(table, cluster, n_classes, seed)
    return _measure_classes(table, kind, cluster, n_classes, seed, logit_scale)


def credit(table: pa.Table, kind: Kind, k: int = 1) -> FloatArray:
    """What each row of records earned, from 0 to 1; its mean is the task's main metric.

    Ties earn what breaking them at random would on average. Of retrieval all queries are given, of both directions,
    and the main metric is the mean over those of captions.

    Args:
        table: Records of the kind.
        kind: What was asked.
        k: Places that count as right; of choice only 1.

    Returns:
        Shape ``(n,)``.

    Raises:
        ValueError: If the kind is ``multilabel``, whose metric is no mean over pictures, or k is not 1 for a choice.

    >>> credit(pa.table({"n_greater": [0, 0, 1], "n_tied": [0, 1, 0]}), "classification")
    array([1. , 0.5, 0. ])
    """
    if kind == "multilabel" or (kind == "choice" and k != 1):
        raise ValueError(f"{kind} has no credit for the first {k} of each row")
    return credit_choice(table)[0] if kind == "choice" else credit_ranked(table, k)


def clusters_of(table: pa.Table, kind: Kind, cluster: str) -> IntArray:
    """Number what each row of records goes alike with.

    Args:
        table: Records of the kind.
        kind: What was asked.
        cluster: ``image``; ``class`` for classification and pairs, of which it is the target; ``pair`` for pairs.

    Returns:
        From 0 up, in sorted order, shape ``(n,)``.

    Raises:
        ValueError: If the kind's records know no such cluster.
    """
    if cluster not in CLUSTERS[kind]:
        raise ValueError(f"records of {kind} know no cluster {cluster!r}, only {', '.join(CLUSTERS[kind])}")
    if cluster == "image":
        return code_clusters([table["uid"].to_numpy(zero_copy_only=False).astype(str)])
    if cluster == "class":
        return code_clusters([table["target"].to_numpy()])
    both = np.sort(np.stack([table["target"].to_numpy(), table["partner"].to_numpy()]), axis=0)
    return code_clusters(list(both))


def _measure_classes(
    table: pa.Table, kind: Kind, cluster: str, n_classes: int, seed: int, logit_scale: float
) -> tuple[Metric, ...]:
    target, candidates = table["target"].to_numpy(), table["n_candidates"].to_numpy()
    if max(target.max(), candidates.max() - 1) >= n_classes:
        raise Refusal(
            f"records of {kind} count {candidates.max()} candidates and targets up to {target.max()}, the task has "
            f"{n_classes} classes: score the model again"
        )
    codes = clusters_of(table, kind, cluster)
    is_alone = len(codes) == codes.max() + 1
    first = credit(table, kind)
    guess = _average(1 / candidates)
    metrics = [_mean("top1", first, codes, seed, guess)]
    if candidates.min() > 5:
        metrics.append(_mean("top5", credit(table, kind, 5), codes, seed, _average(5 / candidates)))
    estimate, interval = estimate_mean_of_classes(
        first, target, None if is_alone else codes, seed=seed, what="mean accuracy per class"
    )
    present = np.unique(target)
    guess = _average(np.bincount(target, weights=1 / candidates)[present] / np.bincount(target)[present])
    metrics.append(Metric(name="mean_per_class", estimate=estimate, chance=guess, interval=interval))
    estimate, interval = calibration_error(_confidence(table, logit_scale), first, codes, seed=seed)
    # Guessing is not what it is read against: a calibrated model's own error is, which differs from model to model.
    metrics.append(Metric(name="calibration_error", estimate=estimate, chance=None, interval=interval))
    return tuple(metrics)


def _confidence(table: pa.Table, logit_scale: float) -> FloatArray:
    best = as_matrix(table["top_scores"], int(lengths_of(table["top_scores"]).max()), -np.inf)[:, 0]
    # Both were rounded to float32, which may leave a probability just above 1.
    shift = logit_scale * best.astype(np.float64) - table["logsumexp"].to_numpy()
    confidence: FloatArray = np.exp(np.minimum(shift, 0.0))
    return confidence


def _measure_retrieval(table: pa.Table, cluster: str, seed: int) -> tuple[Metric, ...]:
    sides = {
        direction: table.filter(pc.equal(table["direction"], direction))
        for direction in (TEXT_TO_IMAGE, IMAGE_TO_TEXT)
    }
    # Captions of a picture ask where it asks: their queries tell how many texts are right for it.
    key, n_captions = np.unique(
        sides[TEXT_TO_IMAGE]["key"].to_numpy(zero_copy_only=False).astype(str), return_counts=True
    )
    metrics = []
    for direction, side in sides.items():
        n = side["n_candidates"].to_numpy().astype(np.int64)
        n_right = np.ones(len(n), dtype=np.int64)
        if direction == IMAGE_TO_TEXT:
            asked = side["key"].to_numpy(zero_copy_only=False).astype(str)
            if not np.array_equal(np.sort(asked), key):
                raise Refusal(
                    "records of retrieval lack the queries of a picture, or of its captions: score again"
                )
            n_right = n_captions[np.searchsorted(key, asked)]
        codes = clusters_of(side, "retrieval", cluster)
        for k in RECALLED:
            guess = float(share_within(k, np.zeros(len(n)), n - n_right, n_right).mean())
            metrics.append(_mean(f"{direction}_recall@{k}", credit(side, "retrieval", k), codes, seed, guess))
    return tuple(metrics)


def _measure_choice(table: pa.Table, cluster: str, seed: int) -> tuple[Metric, ...]:
    codes = clusters_of(table, "choice", cluster)
    caption, picture, group = credit_choice(table)
    pictures, captions = table["n_images"].to_numpy(), table["n_captions"].to_numpy()
    guess = np.where(pictures == 2, CHANCE_OF_TWO["text_score"], 1 / captions)
    metrics = [_mean("accuracy", caption, codes, seed, float(guess.mean()))]
    if (pictures == 2).all():
        scores = {"text_score": caption, "image_score": picture, "group_score": group}
        metrics += [_mean(name, scores[name], codes, seed, chance) for name, chance in CHANCE_OF_TWO.items()]
    category = table["category"].to_numpy(zero_copy_only=False).astype(str)
    names = np.unique(category)
    if len(names) > 1:
        for name in names.tolist():
            rows = np.flatnonzero(category == name)
            within = code_clusters([codes[rows]])
            metrics.append(_mean(f"accuracy/{name}", caption[rows], within, seed, float(guess[rows].mean())))
    return tuple(metrics)


def _measure_multilabel(table: pa.Table, cluster: str, n_classes: int, seed: int) -> tuple[Metric, ...]:
    width = int(lengths_of(table["scores"])[0])
    if width != n_classes:
        raise Refusal(
            f"records of multilabel score {width} classes, the task has {n_classes}: score the model again"
        )
    scores, is_right = score_matrix(table)
    if not is_right.any():
        raise Refusal("no picture shows any class of the task: check its labels")
    codes = clusters_of(table, "multilabel", cluster)
    estimate, interval = estimate_mean_average_precision(scores, is_right, codes, seed=seed)
    shares = is_right.mean(axis=0)
    # The expected precision of a random order: a little above this in small sets.
    guess = float(shares[shares > 0].mean())
    return (Metric(name="mean_average_precision", estimate=estimate, chance=guess, interval=interval),)


def score_matrix(table: pa.Table) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the scores of multilabel records and which classes are right, both of shape ``(n, k)``."""
    scores = as_matrix(table["scores"], int(lengths_of(table["scores"])[0]), -np.inf)
    is_right = np.zeros(scores.shape, dtype=np.bool_)
    labels = table["labels"].combine_chunks()
    is_right[pc.list_parent_indices(labels).to_numpy(), labels.flatten().to_numpy()] = True
    return scores, is_right


def _average(values: FloatArray) -> float:
    # Summed exactly: a chance of 1 in 1000 is to be told as 0.001.
    return math.fsum(values) / len(values)


def _mean(name: str, earned: FloatArray, codes: IntArray, seed: int, chance: float) -> Metric:
    estimate, interval = estimate_mean(earned, codes, seed=seed, what=name)
    return Metric(name=name, estimate=estimate, chance=chance, interval=interval)
