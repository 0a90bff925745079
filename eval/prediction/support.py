"""How many samples are behind an accuracy, found from the accuracies of a table that does not say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.eval.prediction.table import AccuracyTable, FloatArray, IntArray

MOST = 2000
# Half the last digit of a percentage with four decimals, as a share, and room for the last bits of a double.
_ROUNDING = 0.51e-6
_PASSES = 200
# A size that fewer classes than this speak for, in sum, is none of the dataset's.
_SPARE = 0.5
# So many classes have to say what single accuracies need, before another class is held against it.
_FEWEST = 3


def find_support(table: AccuracyTable) -> FloatArray:
    """Find the samples behind each accuracy.

    Where ``n`` is given it stands, and stands for all rows of its class. Else ``n`` is a property of the test set,
    one for each class (dataset and concept), found from all its known accuracies in three steps.

    1. The smallest ``n`` up to 2,000 of which every accuracy is a whole multiple of ``1 / n``, to within the rounding
       of percentages with four decimals. If it exceeds every denominator that a single accuracy of the dataset needs,
       and most classes do not, it is but the product of two: models were scored on samples of different size, and
       none is found.
    2. Where all accuracies happen to be coarse, that is only a divisor of the true number (all at multiples of 1/5
       give 5 where it is 50). So each class takes the likeliest of the multiples that step 1 found in its dataset: how
       common a number is there (by expectation maximisation) times ``1 / (n - 1)`` for each accuracy between 0 and 1,
       which is what a number hit by chance pays.
    3. Where none is found, or all accuracies are 0 or 1, which fits every number, the dataset's median; for a dataset
       with none at all, the median of the table's classes.

    A number below 1,000 is never missed by chance. Give ``n`` for accuracies that were rounded to fewer digits or are
    no shares of whole samples: three decimals always look like 1,000 or a divisor of it, and any other number may by
    chance look like one of up to 2,000 where few models are told.

    Args:
        table: Accuracies; rows without one are passed over, and take their class's number.

    Returns:
        Samples, at least 1, shape ``(n_rows,)``.

    Raises:
        Refusal: If no class of the table says its number.

    >>> from dataclasses import replace
    >>> names = np.array(["cat", "dog", "owl", "cat", "dog", "owl"])
    >>> none = np.full(6, np.nan)
    >>> table = AccuracyTable(
    ...     model=np.repeat(["a", "b"], 3), corpus=np.repeat(["c", "c"], 3), dataset=np.full(6, "d"), concept=names,
    ...     accuracy=np.array([0.3, 0.25, 1.0, 0.35, 0.5, 1.0]), n=none, count_text=none, count_image=none,
    ...     count_joint=none, pmi=none,
    ... )
    >>> find_support(table)
    array([20.,  4.,  4., 20.,  4.,  4.])
    """
    classes, dataset_of = _number_classes(table)
    n_classes = len(dataset_of)
    known = np.flatnonzero(table.known)
    accuracy, of_class = table.accuracy[known], classes[known]
    needed = _denominators(accuracy)
    support = _common_denominators(needed, of_class, n_classes)
    inside = np.bincount(of_class[(accuracy > 0) & (accuracy < 1)], minlength=n_classes)
    widest = np.zeros(int(dataset_of.max()) + 1, np.int64)
    np.maximum.at(widest, dataset_of[of_class], needed)
    support[inside == 0] = 0
    for dataset, most in enumerate(widest.tolist()):
        found = np.flatnonzero((dataset_of == dataset) & (support > 0))
        products = found[support[found] > most]
        if len(found) - len(products) > max(len(products), _FEWEST):
            support[products] = 0
            found = np.setdiff1d(found, products)
        if len(found):
            support[found] = _likeliest(support[found], inside[found])
    given = ~np.isnan(table.n)
    _give(support, classes[given], table.n[given])
    _fill(support, dataset_of)
    return np.where(given, table.n, support[classes])


def successes(table: AccuracyTable, support: FloatArray) -> IntArray:
    """Round accuracies to whole samples that the model has right.

    Args:
        table: Accuracies, all of them known.
        support: Samples behind each, shape ``(n_rows,)``.

    Returns:
        From 0 to the support, shape ``(n_rows,)``.

    Raises:
        ValueError: If an accuracy is missing or the shapes differ.
    """
    if support.shape != table.accuracy.shape:
        raise ValueError(f"support has shape {support.shape}, the table {len(table)} rows")
    if not table.known.all():
        raise ValueError(f"row {np.flatnonzero(~table.known)[0]} has no accuracy: take the known rows")
    return np.rint(table.accuracy * support).astype(np.int64)


def _number_classes(table: AccuracyTable) -> tuple[IntArray, IntArray]:
    """Return the class of each row, and the dataset of each class."""
    datasets = np.unique(table.dataset, return_inverse=True)[1].reshape(-1)
    concepts, of_concept = np.unique(table.concept, return_inverse=True)
    keys, classes = np.unique(datasets * len(concepts) + of_concept.reshape(-1), return_inverse=True)
    return classes.reshape(-1).astype(np.int64), (keys // len(concepts)).astype(np.int64)


def _denominators(accuracy: FloatArray) -> IntArray:
    """Return the smallest number that makes each accuracy whole; ``MOST + 1`` where there is none."""
    values, places = np.unique(accuracy, return_inverse=True)
    found = np.full(len(values), MOST + 1, np.int64)
    left = np.arange(len(values))
    for n in range(1, MOST + 1):
        right = values[left] * n
        fits = np.abs(right - np.rint(right)) <= _ROUNDING * n
        found[left[fits]] = n
        left = left[~fits]
    return found[places.reshape(-1)]


def _common_denominators(needed: IntArray, of_class: IntArray, n_classes: int) -> IntArray:
    """Return the smallest common multiple of each class; 0 where it exceeds ``MOST`` or there is no row."""
    order = np.argsort(of_class, kind="stable")
    sizes = np.bincount(of_class, minlength=n_classes)
    starts = np.cumsum(sizes) - sizes
    common = (sizes > 0).astype(np.int64)
    for place in range(int(sizes.max(initial=0))):
        # Row by row of all classes at once, so that no multiple outgrows an integer.
        open_classes = np.flatnonzero((sizes > place) & (common > 0))
        further = needed[order[starts[open_classes] + place]]
        multiple = np.lcm(common[open_classes], further)
        common[open_classes] = np.where((multiple <= MOST) & (further <= MOST), multiple, 0)
    return common


def _likeliest(divisors: IntArray, inside: IntArray) -> IntArray:
    """Return the likeliest multiple of each divisor among all of them, which one distribution drew."""
    sizes = np.unique(divisors)
    possible = sizes[None, :] % divisors[:, None] == 0
    # Relative to the divisor itself, the smallest candidate, so that nothing underflows to all zeros.
    chance = (
        np.where(possible, (np.maximum(divisors - 1, 1)[:, None] / np.maximum(sizes - 1, 1)[None, :]), 0.0)
        ** np.maximum(inside, 1)[:, None]
    )
    share = np.full(len(sizes), 1 / len(sizes))
    for _ in range(_PASSES):
        weight = chance * share
        # A multiple of every divisor keeps a class of its own, so that no class loses all its candidates.
        share = np.maximum((weight / weight.sum(axis=1, keepdims=True)).sum(axis=0) - _SPARE, 0.0)
    likeliest: IntArray = sizes[np.argmax(chance * share, axis=1)]
    return likeliest


def _give(support: IntArray, classes: IntArray, n: FloatArray) -> None:
    """Give classes the lower median of the numbers of their rows, in place."""
    order = np.lexsort((n, classes))
    given, starts, sizes = np.unique(classes[order], return_index=True, return_counts=True)
    support[given] = n[order][starts + (sizes - 1) // 2].astype(np.int64)


def _median(values: NDArray[np.float64] | IntArray) -> int:
    # Of two in the middle the lower: between them is no number of samples.
    return int(np.quantile(values, 0.5, method="lower"))


def _fill(support: IntArray, dataset_of: IntArray) -> None:
    """Give classes without a number their dataset's median, in place."""
    found = support > 0
    if not found.any():
        raise Refusal(
            f"no number of samples up to {MOST:,} explains the accuracies of any class: give the column n"
        )
    for dataset in np.unique(dataset_of[~found]):
        inside = dataset_of == dataset
        told = support[inside & found]
        support[inside & ~found] = _median(told if len(told) else support[found])
