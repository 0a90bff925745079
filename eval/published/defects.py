"""What does not hold in the published counts: told beside every figure made from them, and never mended."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np

from oddpair.eval.published.layout import CLASSIFICATION, SKETCH, ZERO_SHOT, Published

_TAGGED = re.compile(r"(.+)\|rampp(0\.\d+)")
_MOST_TOLD = 4


def find_published_defects(published: Published) -> tuple[str, ...]:
    """Say what does not hold in the published counts.

    Args:
        published: The tables.

    Returns:
        A sentence each: counts that rise with the tagger's threshold, counts of one concept that differ between test
        sets, names that two test sets share, and counts that are blank where a score is not.
    """
    return (
        *_find_rising(published),
        *_find_differing(published),
        *_find_twice(published),
        *_find_blank(published),
    )


def _find_rising(published: Published) -> Iterator[str]:
    thresholds: dict[str, list[tuple[float, str]]] = {}
    for name in published.counts:
        if found := _TAGGED.fullmatch(name):
            thresholds.setdefault(found[1], []).append((float(found[2]), name))
    for corpus, columns in sorted(thresholds.items()):
        names = set()
        for (_, lower), (_, higher) in itertools.pairwise(sorted(columns)):
            rising = published.counts[higher] > published.counts[lower]
            names |= {published.concepts[row][1] for row in np.flatnonzero(rising).tolist()}
        if names:
            yield (
                f"{corpus}: image counts of {_list(names)} rise with the threshold of the tagger, where they can only fall"
            )


def _find_differing(published: Published) -> Iterator[str]:
    concept = np.array([name for _, name in published.concepts], dtype=np.str_)
    for column, counts in published.counts.items():
        known = ~np.isnan(counts)
        if not known.any():
            continue
        _, first, inverse = np.unique(concept[known], return_index=True, return_inverse=True)
        differing = np.unique(inverse[counts[known] != counts[known][first][inverse]])
        if len(differing):
            yield f"{column}: the counts of {len(differing):,} concepts differ from test set to test set"


def _find_twice(published: Published) -> Iterator[str]:
    names = {
        dataset: {name for other, name in published.concepts if other == dataset}
        for dataset in ("imagenet", SKETCH)
    }
    shared = len(names["imagenet"] & names[SKETCH])
    if shared:
        yield f"imagenet and {SKETCH} share {shared:,} names: figures of image and joint counts hold them twice"


def _find_blank(published: Published) -> Iterator[str]:
    for task in sorted({task for task, _ in published.scores}):
        scores = next(found for (other, _), found in published.scores.items() if other == task)
        sets = CLASSIFICATION if task == ZERO_SHOT else np.unique(scores.dataset).tolist()
        rows = scores.row[np.isin(scores.dataset, sets)]
        columns: dict[int, list[str]] = {}
        for column, counts in published.counts.items():
            columns.setdefault(int(np.isnan(counts[rows]).sum()), []).append(column)
        for blank, names in sorted(columns.items()):
            if 0 < blank < len(rows):
                yield f"{blank:,} of {len(rows):,} concepts of {task} have no count in {_list(set(names))}, and are left out"


def _list(names: set[str]) -> str:
    told = sorted(names)[:_MOST_TOLD]
    more = f" and {len(names) - len(told)} more" if len(names) > len(told) else ""
    return f"{', '.join(told)}{more}"
