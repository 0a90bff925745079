"""Which hand-labelled rows are a fair sample: of the corpus, or of each class; and which of them become a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.styles.labels import StyleLabels
from oddpair.splits.styles.scorer import CODE, UNLABELLED, Codes

LabelsAre = Literal["random", "by-class"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldApart:
    """Labels of a pool that some rows were taken out of.

    Attributes:
        labels: Of the pool that is left.
        tests: Rows that became the test of a style, as places in the pool given.
        known: Class of each row that is left and whose label was looked at here and must serve for nothing else, by place
            in the pool that is left; -1 for all others, shape ``(n,)``.
    """

    labels: StyleLabels
    tests: Mapping[str, IntArray]
    known: Codes


def find_sample(labels: StyleLabels, labels_are: LabelsAre) -> NDArray[np.bool_] | None:
    """Find the labelled rows that say how the classifiers fare; the others only serve to fit.

    Args:
        labels: Of the corpus.
        labels_are: Whether the sample is to be one of the corpus, or of each class. Rows drawn at random are both; rows of
            which nothing tells how they were drawn are taken for what is asked for only where nothing tells of any row, or
            as a sample of each class; all others, as those drawn by a guess of their class, are neither.

    Returns:
        Which rows are of the sample, shape ``(n,)``; ``None`` for all labelled ones.

    Raises:
        Refusal: If no row is, or people looked at rows of the sample and left them without a label.
    """
    by_class = labels_are == "by-class"
    sample = labels.random
    if by_class and labels.random is not None and labels.unmarked is not None:
        sample = labels.random | labels.unmarked
    labelled = labels.codes != UNLABELLED
    if sample is not None and labelled.any() and not (labelled & sample).any():
        raise Refusal(
            f"{labels.source}: labels_are is {labels_are}, and the column 'drawn' says of none of {int(labelled.sum()):,} "
            f"labelled rows that it was drawn {'at random, or leaves it open' if by_class else 'at random'}: label rows that "
            "oddpair label --queue random draws"
        )
    ways = {"random", ""} if by_class or labels.random is None else {"random"}
    left_open = sum(way in ways for way in labels.left_open.values())
    if left_open:
        raise Refusal(
            f"{labels.source}: people looked at {left_open:,} rows of the sample and did not settle on a label, and without "
            "them it is no fair sample: settle disputes with oddpair label --review and label what was passed over, as "
            "ambiguous where it is neither"
        )
    return sample


def hold_out(
    labels: StyleLabels,
    styles: Sequence[str],
    share: float,
    rng: np.random.Generator,
    *,
    sample: NDArray[np.bool_] | None = None,
) -> HeldApart:
    """Take rows of some styles out of the corpus, as their test pictures.

    A share of the sample is drawn whatever its labels. What is left of the sample is then a random sample of what is left
    of the corpus, exactly. Of the rows drawn, those of the styles become tests; the others stay, and go by their label:
    none of them is in a split that it does not belong to.

    Args:
        labels: Of the corpus.
        styles: Natural, rendition or both.
        share: Of the sample.
        rng: Source of the draw.
        sample: Labelled rows to draw from, shape ``(n,)``; ``None`` for all.

    Returns:
        The tests, and the labels of the other rows.

    Raises:
        Refusal: If a style gets no test picture.
    """
    labelled = labels.codes != UNLABELLED
    fair = np.flatnonzero(labelled if sample is None else labelled & sample)
    drawn = np.sort(rng.permutation(fair)[: round(share * len(fair))])
    tests = {name: drawn[labels.codes[drawn] == CODE[name]] for name in styles}
    for name, rows in tests.items():
        if not len(rows):
            members = int((labels.codes[fair] == CODE[name]).sum())
            raise Refusal(
                f"{members:,} rows are labelled {name}, too few to hold out {share:.0%} as a test: label more, "
                f"or check {labels.source} and which labels are natural"
            )
    codes, known = labels.codes.copy(), np.full_like(labels.codes, UNLABELLED)
    codes[drawn], known[drawn] = UNLABELLED, labels.codes[drawn]
    stays = np.ones(len(codes), dtype=np.bool_)
    for rows in tests.values():
        stays[rows] = False
    return HeldApart(labels=replace(labels, codes=codes).among(stays), tests=tests, known=known[stays])
