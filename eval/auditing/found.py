"""What an audit finds, part by part; every part can be written as JSON, and every share has its interval and its n."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from oddpair.eval.intervals import Estimate
from oddpair.retrieval.proportion import clopper_pearson

Style = Literal["natural", "rendition", "ambiguous"]
PARTS = ("nearness", "duplicates", "styles", "concepts", "pairs", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of so many, with the exact interval that the share has where the ``n`` are a random sample.

    Attributes:
        part: How many.
        n: Of how many.
        low: Lower end of the interval.
        high: Upper end.
    """

    part: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; 0 of nothing is 0."""
        return self.part / self.n if self.n else 0.0


def find_share(part: int, n: int, confidence: float = 0.95) -> Share:
    """Return a share with its two-sided Clopper-Pearson interval; of nothing it is anything from 0 to 1.

    Args:
        part: How many.
        n: Of how many.
        confidence: Of the interval.

    >>> found = find_share(1, 10)
    >>> found.value, round(found.low, 4), round(found.high, 4)
    (0.1, 0.0025, 0.445)
    """
    level = (1 + confidence) / 2
    return Share(
        part=part,
        n=n,
        low=clopper_pearson(part, n, level, "lower"),
        high=clopper_pearson(part, n, level, "upper"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """How near each test image has its nearest picture in a set.

    Attributes:
        name: Of the set.
        rows: Its rows.
        quantiles: Largest cosine similarity of the test images, at ``neighbour_summary.SHARES``.
        histogram: Lower edge of each bin of 0.02 and the test images in it; empty bins at the ends are left out.
        median: Of the largest similarity over test images, with an interval by order statistics.
    """

    name: str
    rows: int
    quantiles: tuple[float, ...]
    histogram: tuple[tuple[float, int], ...]
    median: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A corpus beside a reference set that the tests were made for, test image by test image.

    Attributes:
        reference: How near the reference set is.
        nearer: Test images to which a corpus row, other than the reference set's own, is nearer than all of that set.
        difference: Median over test images of similarity to the corpus less similarity to the reference set.
        rows: Corpus rows nearer to some test image than all of the reference set, other than its own rows.
    """

    reference: Distances
    nearer: Share
    difference: Estimate
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How near a corpus is to the test images, and beside a reference set if there is one."""

    corpus: Distances
    gap: Gap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Test images that the corpus holds, each counted once, by the first of the reasons that applies.

    Attributes:
        found: Test images with a duplicate of any kind.
        same_bytes: With a corpus picture of the same file.
        same_look: With one whose perceptual hash differs in ``bits`` bits or fewer.
        near: With one that is nearer than ``similarity`` by the encoder, and neither of the above; 0 without a threshold.
        rows: Corpus rows that are such a duplicate of some test image, among the nearest that were looked at.
        compared: Pairs of a test image and a near corpus row whose pictures were both looked at.
        unseen: Pairs of which a picture was not to be had.
        similarity: Cosine similarity; ``None`` where no threshold was given.
        bits: Bits of 64.
    """

    found: Share
    same_bytes: Share
    same_look: Share
    near: Share
    rows: int
    compared: int
    unseen: int
    similarity: float | None
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleShare:
    """A style's share of the test images and of the corpus; ``None`` where nothing tells.

    Attributes:
        style: One of the three classes, or a finer label as people wrote it.
        test: Among test images.
        corpus: Among corpus rows that people labelled, a random sample of the corpus.
    """

    style: str
    test: Share | None
    corpus: Share | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Styles:
    """Styles of test and corpus.

    Where too few labels, or too hard ones, let no classifier be certified, the shares of the corpus are known all the
    same; ``unsorted`` then says why nothing is sorted, ``sorted`` is empty and what follows it is ``None``.

    Attributes:
        style: Of the test: that of most of its images.
        told_by: How it is known: by the option, by the labels that the test has, or by the classifiers.
        shares_by: How the test's shares are known: by its labels, or by the classifiers, of whose errors the intervals know
            nothing; ``None`` where nothing tells.
        classes: Natural, rendition and ambiguous.
        finer: Labels as people wrote them, the commonest of the corpus first; at most 50.
        corpus: Share of the corpus that is of the test's style, from hand labels alone.
        at_most: Upper bound of it, one-sided, 95 %.
        sorted: Corpus rows by class, as the classifiers sort them and people labelled them, without images of the test.
        precision: Of the classifier of the test's style, on labels that it did not see.
        recall: Likewise.
        leak_bound: At most this share of what the strict split keeps is of the test's style, 95 %.
        threshold: Similarity to a test image above which the strict split drops a row.
        unsorted: Why the corpus was not sorted; empty where it was.
    """

    style: Style
    told_by: Literal["option", "labels", "classifier"]
    shares_by: Literal["labels", "classifier"] | None = None
    classes: tuple[StyleShare, ...]
    finer: tuple[StyleShare, ...]
    corpus: Share
    at_most: float
    sorted: Mapping[str, int]
    precision: Share | None
    recall: Share | None
    leak_bound: float | None
    threshold: float | None
    unsorted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decade:
    """Concepts of the test set that the corpus holds from ``low`` to below ``high`` times, and what shows them.

    Attributes:
        low: Fewest captions.
        high: More than the most; ``None`` where there is no limit.
        concepts: Concepts of the test set.
        images: Test images whose rarest concept it is.
    """

    low: int
    high: int | None
    concepts: int
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Concepts:
    """Concepts of the test set by how many captions of the corpus name them.

    Attributes:
        captions: Captions of the corpus.
        missing: Concepts that no caption names.
        tail: Concepts that some captions name, but fewer than ``tail_below``.
        images_missing: Test images with a concept that no caption names, of those in which a concept was found.
        images_tail: Test images whose rarest concept is of the tail, likewise.
        tail_below: Captions.
        decades: From 0 up.
        rarest: The rarest concepts: name, captions, test images; at most 50.
        unknown: Test images in which no concept was found.
    """

    captions: int
    missing: Share
    tail: Share
    images_missing: Share
    images_tail: Share
    tail_below: int
    decades: tuple[Decade, ...]
    rarest: tuple[tuple[str, int, int], ...]
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Object pairs of the test set, and its samples of two objects or more, by what the corpus shows of them.

    Each is one of the four, the first that applies. Where nothing is known of pictures, unseen is unseen in captions.

    Attributes:
        seen: Pairs that some caption names together.
        unseen_in_captions: Pairs that no caption names together, but some picture shows, by its tags or its content.
        unseen: Pairs that no caption names together and no picture known shows; each concept is in ``minimum`` or more.
        unsupported: Pairs that are nowhere together, of which a concept is in fewer captions than that.
        samples_seen: Samples whose concepts a caption names all together; and so on.
        samples_unseen_in_captions: Likewise.
        samples_unseen: Likewise.
        samples_unsupported: Likewise.
        pictures: How all pictures of the corpus were looked at: by ``tags``, by the column of ``content``, or not at all.
        minimum: Captions, those of one uid counted once.
        listed: Unseen pairs: first, second, captions of each, expected together by chance, test samples; at most 50,
            those expected most often first.
    """

    seen: Share
    unseen_in_captions: Share
    unseen: Share
    unsupported: Share
    samples_seen: Share
    samples_unseen_in_captions: Share
    samples_unseen: Share
    samples_unsupported: Share
    pictures: Literal["tags", "content", "none"]
    minimum: int
    listed: tuple[tuple[str, str, int, int, float, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Accuracy on the test set that concept counts foretell for a model trained on the corpus.

    Attributes:
        model: Whose known accuracies the forecast is learned from.
        all: With the counts of the whole corpus, and its band.
        without: With the counts of the rows that are not in-domain.
        explained: The first less the second: what in-domain rows account for, if a caption counts the same in any style.
        in_domain: Which rows: ``style`` or ``gap``.
        in_domain_rows: How many.
        datasets: Test sets of the model that the band is learned from.
        known: Accuracy on this test set that was measured, where the table has it; it is read by nothing above.
    """

    model: str
    all: Estimate
    without: Estimate | None
    explained: Estimate | None
    in_domain: Literal["style", "gap", "none"]
    in_domain_rows: int
    datasets: int
    known: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Corpus rows that would have to go, for the test set to be out-of-distribution in one respect.

    Attributes:
        name: ``style-strict``, ``gap-pruned`` or ``pair-unseen``; the rows are ``removals/NAME.parquet``.
        split: Name of the split of what is left, as the recipe calls it.
        kind: Kind of recipe.
        rows: Corpus rows, each uid once.
        gone: Rows that go.
        left: Rows that stay.
        why: Rows that go, by reason, in reading order.
    """

    name: str
    split: str
    kind: str
    rows: int
    gone: int
    left: int
    why: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One way in which a test set is out-of-distribution or not.

    Attributes:
        aspect: ``copies``, ``style``, ``similarity``, ``concepts`` or ``pairs``.
        answer: ``out`` of distribution, ``in``, ``open`` where the evidence does not decide, or ``not audited``.
        text: A sentence with the figures behind it, or why it was not audited.
    """

    aspect: str
    answer: Literal["out", "in", "open", "not audited"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Audit:
    """Everything that an audit found.

    Attributes:
        test: Name of the test set.
        corpus: Name of the corpus.
        tests: Test images, each uid once.
        rows: Corpus rows.
        hashes: Of test set, corpus, encoder, vocabulary and whatever else was given; what a citation names.
        settings: What was asked for.
        nearness: How near.
        duplicates: What the corpus holds of the test.
        styles: Styles; ``None`` where ``left_out`` says why.
        concepts: Concepts, likewise.
        pairs: Object pairs, likewise.
        accuracy: Predicted accuracy, likewise.
        removals: What would have to go.
        left_out: Parts that were not audited, and why, in words that say what to give.
        judgements: One for each way of being out-of-distribution.
        verdict: The paragraph.
        images: A line for each test image, see ``eval/auditing/images.py``.
    """

    test: str
    corpus: str
    tests: int
    rows: int
    hashes: Mapping[str, str]
    settings: Mapping[str, object]
    nearness: Nearness
    duplicates: Duplicates
    styles: Styles | None
    concepts: Concepts | None
    pairs: Pairs | None
    accuracy: Accuracy | None
    removals: tuple[Removal, ...]
    left_out: Mapping[str, str]
    judgements: tuple[Judgement, ...]
    verdict: str
    images: pa.Table = field(repr=False)
