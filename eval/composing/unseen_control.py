"""Unseen sets of objects beside seen sets that are as large and whose objects are as frequent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.object_features import MEAN_LOG, measure
from oddpair.eval.composing.objects import FloatArray, ObjectSamples
from oddpair.eval.composing.unseen_errors import SharedObjects
from oddpair.eval.intervals import Estimate
from oddpair.splits.pairs.seen_controls import Frequencies, match_seen

CALIPER = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Unseen sets against seen sets of the same size and mean log count.

    Attributes:
        difference: Accuracy of the unseen sets minus that of their seen controls, in points.
        unseen: Mean accuracy of the matched unseen sets.
        seen: Mean accuracy of their controls.
        n_matched: Sets that have a control.
        n_unmatched: Unseen sets without one near enough.
        imbalance: Mean log10 count, unseen minus seen, over the matches, in decades.
    """

    difference: Estimate
    unseen: float
    seen: float
    n_matched: int
    n_unmatched: int
    imbalance: float


def match_controls(
    samples: ObjectSamples, shared: SharedObjects, *, caliper: float = CALIPER
) -> Control | None:
    """Give each unseen set of objects a seen one of its own, as large and with the same mean log count.

    Args:
        samples: Seen and unseen samples of one corpus.
        shared: Their sets.
        caliper: Largest difference of the mean log10 count, in decades.

    Returns:
        The comparison, each unseen set weighing its samples; ``None`` if fewer than two sets find a control.

    Raises:
        Refusal: If there are more couples within the caliper than can be matched.
    """
    first = np.unique(shared.codes, return_index=True)[1]
    rows = shared.sum_up(np.ones(len(samples)))
    accuracy = shared.sum_up(samples.correct) / rows
    logs = measure(samples, MEAN_LOG)[first]
    size, is_unseen = samples.size[first], samples.unseen[first]
    unseen, seen = np.flatnonzero(is_unseen), np.flatnonzero(~is_unseen)
    ours, theirs = (
        Frequencies(size=size[sets], log_counts=np.column_stack([logs[sets], logs[sets]]))
        for sets in (unseen, seen)
    )
    left, right, _ = match_seen(ours, theirs, caliper=caliper)
    left, right = unseen[left], seen[right]
    if len(left) < 2:
        return None
    share = rows[left] / rows[left].sum()
    of_unseen, of_seen = float(share @ accuracy[left]), float(share @ accuracy[right])
    influence: FloatArray = np.zeros(len(rows))
    influence[left] = 100 * share * (accuracy[left] - of_unseen)
    influence[right] = -100 * share * (accuracy[right] - of_seen)
    return Control(
        difference=shared.interval(
            100 * (of_unseen - of_seen), influence, n=len(left), what="unseen minus matched seen, points"
        ),
        unseen=of_unseen,
        seen=of_seen,
        n_matched=len(left),
        n_unmatched=len(unseen) - len(left),
        imbalance=float(share @ (logs[left] - logs[right])),
    )
