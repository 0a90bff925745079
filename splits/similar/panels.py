"""What the page shows of a similarity split: rows and test images by how near they are, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair import files
from oddpair.retrieval.neighbour_jobs import THRESHOLDS
from oddpair.retrieval.neighbour_summary import TESTS
from oddpair.splits.built import Histogram, Listing, Panel
from oddpair.splits.manifest import CardRow
from oddpair.splits.similar.pruning import Mask, Scores, TestImages, quantiles

# Which neighbours of a test image are shown: a split that only moves the nearest away may be dense behind it.
LISTED = (1, 10)
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BINS_PER_UNIT = 50
_LABEL = "cosine similarity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """How near a sample of the images of one test set is to the rows of a corpus.

    Attributes:
        corpus: Similarity to the nearest rows, shape ``(m, k)``, ``k`` up to 10.
        reference: Similarity to the nearest row of the reference set, shape ``(m,)``; ``None`` without one.
    """

    corpus: Scores
    reference: Scores | None


def read_nearest(found: Path, sample: TestImages) -> Nearest:
    """Read what ``find_neighbours`` left in ``found`` of a sample of its test images."""
    wanted = pa.array(sample.uids, pa.string())
    best = files.read_table(found / TESTS, ["test", "score"])
    scores = best.filter(pc.is_in(best["test"], value_set=wanted))["score"].to_numpy()
    reference = None
    if (found / THRESHOLDS).is_file():
        table = files.read_table(found / THRESHOLDS)
        places = pc.index_in(wanted, value_set=table["test"].combine_chunks())
        reference = table["threshold"].take(places).to_numpy()
    return Nearest(corpus=scores.reshape(len(sample), -1), reference=reference)


def show_rows(score: Scores, base: Mask, kept: Mask, *, named: str, mark: float | None) -> Panel:
    """Show the rows before and after by their similarity to the nearest test image."""
    bins = _bins(score)
    return _histogram(
        f"Rows by the similarity of the nearest test image of {named}",
        {"before": np.bincount(bins[base]), "kept": np.bincount(bins[kept])},
        {} if mark is None else {"threshold": mark},
    )


def show_tests(name: str, nearest: Nearest, after: Scores) -> list[Panel]:
    """Show the test images of one set by the similarity of their nearest rows, before, after and in the reference set."""
    columns = ("nearest", "of", *(f"{share:.0%}" for share in _SHARES))
    groups = {place: _groups(nearest, after, place) for place in LISTED}
    rows: list[Sequence[str | float]] = [
        (place, group, *quantiles(scores, _SHARES))
        for place, each in groups.items()
        for group, scores in each.items()
    ]
    return [
        _histogram(
            f"Test images of {name} by the similarity of their nearest row",
            {group: np.bincount(_bins(scores)) for group, scores in groups[1].items()},
            {},
        ),
        Listing(
            title=f"Similarity of {len(after):,} test images of {name} to their nearest rows, quantiles",
            columns=columns,
            rows=rows,
        ),
    ]


def tell_tests(name: str, nearest: Nearest, after: Scores) -> list[CardRow]:
    """Return the medians of what ``show_tests`` shows, for the card."""
    rows: list[CardRow] = []
    for place in LISTED:
        groups = _groups(nearest, after, place)
        told = ", ".join(f"{group} {quantiles(scores, [0.5])[0]:.4f}" for group, scores in groups.items())
        if groups:
            rows.append((f"{name}: median similarity of a test image to its {_tell(place)} row", told))
    return rows


def _groups(nearest: Nearest, after: Scores, place: int) -> dict[str, Scores]:
    if min(nearest.corpus.shape[1], after.shape[1]) < place:
        return {}
    groups = {"corpus": nearest.corpus[:, place - 1], "split": after[:, place - 1]}
    if place == 1 and nearest.reference is not None:
        groups["reference"] = nearest.reference
    return groups


def _tell(place: int) -> str:
    return "nearest" if place == 1 else f"{place}th nearest"


def _bins(scores: Scores) -> NDArray[np.int64]:
    """Return the bin of each score, of which -1 begins the first; lengths of 1 are rounded, so 1 may be passed."""
    last = 2 * _BINS_PER_UNIT - 1
    return np.clip((scores + 1) * _BINS_PER_UNIT, 0, last).astype(np.int64)


def _histogram(title: str, counts: Mapping[str, NDArray[np.int64]], marks: Mapping[str, float]) -> Histogram:
    """Make a histogram of the bins in use."""
    width = max(map(len, counts.values()))
    padded = {name: np.pad(each, (0, width - len(each))) for name, each in counts.items()}
    used = np.flatnonzero(np.sum(list(padded.values()), axis=0))
    first = int(used[0])
    edges = np.arange(first, width + 1) / _BINS_PER_UNIT - 1
    return Histogram(
        title=title,
        label=_LABEL,
        edges=edges,
        counts={name: each[first:] for name, each in padded.items()},
        marks=marks,
    )
