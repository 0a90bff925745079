"""What does not hold in a table's counts: rules that counts of concepts obey, and who breaks them. Told, not mended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from oddpair.eval.prediction.table import COUNTS, AccuracyTable, FloatArray, IntArray

_MOST_TOLD = 4
# Two sets that share so many of the smaller one's names share them by design, not by chance.
_SHARED = 0.5


def find_defects(table: AccuracyTable) -> tuple[str, ...]:
    """Say what does not hold in the counts of a table, a line for each kind.

    1. Joint counts above those of text or image alone.
    2. Concepts (by normalised name) that one corpus holds a different number of times for different datasets.
    3. Datasets that share at least half of the names of the smaller one.
    4. Rows without a count.

    Rows that tell a concept beside a partner by their PMI count as any other.

    Args:
        table: Rows of any models.

    Returns:
        Lines, none where everything holds.
    """
    # Models of one corpus repeat its counts: one of them, with the most rows, says them all.
    models = [_largest_model(table, corpus) for corpus in table.corpora]
    parts = {
        corpus: table.take(table.model == model) for corpus, model in zip(table.corpora, models, strict=True)
    }
    return (
        *_find_joint(parts),
        *_find_unequal(parts),
        *_find_repeated(table),
        *_find_blank(table),
    )


def list_names(names: Sequence[str], *, quoted: bool = True) -> str:
    """Put names into a line, the first four and the number of the others.

    >>> list_names(["a", "b", "c", "d", "e"], quoted=False)
    'a, b, c, d and 1 more'
    """
    more = f" and {len(names) - _MOST_TOLD:,} more" if len(names) > _MOST_TOLD else ""
    return ", ".join(repr(name) if quoted else name for name in names[:_MOST_TOLD]) + more


def _largest_model(table: AccuracyTable, corpus: str) -> str:
    names, rows = np.unique(table.model[table.corpus == corpus], return_counts=True)
    return str(names[np.argmax(rows)])


def _find_joint(parts: dict[str, AccuracyTable]) -> Iterator[str]:
    for corpus, part in parts.items():
        # fmin passes over a side that is missing.
        above = part.count_joint > np.fmin(part.count_text, part.count_image)
        if above.any():
            names = sorted(set(part.concept[above].tolist()))
            yield f"{corpus}: joint counts above those of text or image alone: {list_names(names)}"


def _find_unequal(parts: dict[str, AccuracyTable]) -> Iterator[str]:
    for count in COUNTS:
        told = []
        examples: set[str] = set()
        for corpus, part in parts.items():
            keys, inverse = np.unique(part.key, return_inverse=True)
            unequal = keys[_vary(part.columns()[count], inverse.reshape(-1), len(keys))].tolist()
            if unequal:
                told.append(f"{corpus} {len(unequal):,}")
                examples.update(unequal)
        if told:
            yield (
                f"{count} differs between datasets for one and the same concept, of which there are in "
                f"{', '.join(told)}: {list_names(sorted(examples))}"
            )


def _vary(values: FloatArray, groups: IntArray, n_groups: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Say which groups hold two different numbers."""
    known = ~np.isnan(values)
    low, high = np.full(n_groups, np.inf), np.full(n_groups, -np.inf)
    np.minimum.at(low, groups[known], values[known])
    np.maximum.at(high, groups[known], values[known])
    return low < high


def _find_repeated(table: AccuracyTable) -> Iterator[str]:
    names: defaultdict[str, set[str]] = defaultdict(set)
    for dataset, key in zip(table.dataset.tolist(), table.key.tolist(), strict=True):
        names[dataset].add(key)
    groups: list[list[str]] = []
    for dataset in sorted(names):
        # Those that share with it, and through it with each other, are one group from now on.
        joined = [group for group in groups if any(_share(names[dataset], names[one]) for one in group)]
        groups = [group for group in groups if group not in joined]
        groups.append(sorted([dataset, *(one for group in joined for one in group)]))
    for group in sorted(group for group in groups if len(group) > 1):
        times = Counter(key for dataset in group for key in names[dataset])
        again = sum(number > 1 for number in times.values())
        yield (
            f"{', '.join(group)} share names, {again:,} of {len(times):,}: what pools datasets counts these concepts "
            "more than once"
        )


def _share(first: set[str], second: set[str]) -> bool:
    shared = len(first & second)
    return shared > 1 and shared >= _SHARED * min(len(first), len(second))


def _find_blank(table: AccuracyTable) -> Iterator[str]:
    for count in COUNTS:
        blank = np.isnan(table.columns()[count])
        told = []
        for corpus in table.corpora:
            share = float(blank[table.corpus == corpus].mean())
            if share:
                told.append(f"{corpus} {'all' if share == 1 else f'{100 * share:.1f} %'}")
        if told:
            yield f"rows without {count}, which is not a count of 0: {', '.join(told)}"
