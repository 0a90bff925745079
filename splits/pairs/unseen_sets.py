"""Which samples of a test set a corpus has shown: their concepts all together, some pair of them, or each alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.retrieval.counting.postings_query import Postings
from oddpair.retrieval.counting.tag_table import spread
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.pairs.near_images import NearImages
from oddpair.splits.pairs.repeated import Repeated, count_uids
from oddpair.splits.pairs.sample_sets import Mode, SampleSets
from oddpair.splits.pairs.set_counts import (
    Together,
    count_together,
    distinct_rows,
    group_by_size,
    list_pairs,
    sets_of_pairs,
    sum_by,
)
from oddpair.splits.pairs.unseen_pairs import SEEN, TEXT_UNSEEN, UNCHECKED, UNSEEN, judge

Place = Literal["captions", "images"]
BoolArray = NDArray[np.bool_]

# Beside the statuses of pairs: of fewer than two things, and of a thing that the corpus hardly has.
SINGLE, UNSUPPORTED = "single", "unsupported"
STATUSES = (SEEN, TEXT_UNSEEN, UNSEEN, UNCHECKED, UNSUPPORTED, SINGLE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleTable:
    """What counts, tags and search say of the samples of a test set; one value a sample, shape ``(n,)``.

    Attributes:
        samples: The samples.
        mode: Where the corpus is looked at.
        searched: Whether near images were looked at.
        minimum: Rows that each concept must be in; here and where single concepts are counted, rows of one uid are one.
        together: Captions and images that hold all concepts of a sample.
        support: Rows that hold its rarest concept.
        single: Rows that hold each of its concepts, as the entries of ``samples.sets`` follow each other: captions,
            tagged images or, with ``both``, the smaller of the two.
        text: Captions that hold each of its concepts, likewise.
        image: Images, likewise; ``None`` without tags.
        pairs: Pairs of its concepts, of which none is named by the other.
        unseen_pairs: Of these, pairs that were never found together.
        whole: Status of all its concepts together, whatever each alone.
    """

    samples: SampleSets
    mode: Mode
    searched: bool
    minimum: int
    together: Together
    support: IntArray
    single: IntArray
    text: IntArray
    image: IntArray | None
    pairs: IntArray
    unseen_pairs: IntArray
    whole: NDArray[np.str_]

    @property
    def several(self) -> BoolArray:
        """Whether a sample shows two things or more."""
        return self.pairs > 0

    @property
    def supported(self) -> BoolArray:
        """Whether the corpus has each of its concepts often enough."""
        return self.support >= self.minimum

    @property
    def status(self) -> NDArray[np.str_]:
        """Status of each sample, one of ``STATUSES``."""
        status: NDArray[np.str_] = np.select(
            [~self.several, ~self.supported], [SINGLE, UNSUPPORTED], self.whole
        )
        return status

    @property
    def unseen(self) -> BoolArray:
        """Samples whose concepts were never found together, though each was found often enough."""
        unseen: BoolArray = self.status == (UNSEEN if self.searched else UNCHECKED)
        return unseen

    @property
    def counted_seen(self) -> BoolArray:
        """Samples whose concepts are counted together, and each often enough."""
        counted = np.zeros(len(self.samples), np.bool_)
        for place in seen_places(self.mode):
            counted |= self.counts_in(place) > 0
        return counted & self.several & self.supported

    def unseen_in(self, places: tuple[Place, ...]) -> BoolArray:
        """Samples whose concepts are together in no caption or image, though each is in enough of either."""
        chosen = self.several.copy()
        for place in places:
            each = self.text if place == "captions" else self._images()
            chosen &= (self.counts_in(place) == 0) & (_smallest(self.samples, each) >= self.minimum)
        return chosen

    def counts_in(self, place: Place) -> IntArray:
        """Return how many captions or images hold all concepts of each sample."""
        found = self.together.text if place == "captions" else self.together.image
        assert found is not None
        return found

    def left_at(self, minimum: int) -> int:
        """Count the samples that would be unseen with another minimum."""
        wanted = self.whole == (UNSEEN if self.searched else UNCHECKED)
        return int(np.count_nonzero(wanted & self.several & (self.support >= minimum)))

    def _images(self) -> IntArray:
        assert self.image is not None
        return self.image


def seen_places(mode: Mode) -> tuple[Place, ...]:
    """Return where a set is looked for: to be unseen it is in none of them, to be seen in one."""
    return ("captions", "images") if mode == "both" else (mode,)


def silent_places(mode: Mode, *, tagged: bool) -> tuple[Place, ...]:
    """Return where an unseen set is nowhere: tags demote what captions do not name together."""
    return ("captions", "images") if mode == "both" or (mode == "captions" and tagged) else (mode,)


def describe_samples(
    samples: SampleSets,
    postings: Postings,
    nested: IntArray,
    near: NearImages | None,
    *,
    mode: Mode,
    minimum: int,
    images: bool,
    repeated: Repeated,
) -> SampleTable:
    """Say of each sample whether the corpus shows its concepts together; nothing is approximate.

    Args:
        samples: The samples.
        postings: Posting lists of the corpus, of the same vocabulary.
        nested: Keys of what is no pair, see ``Counts.nested``.
        near: What is near to the test images; ``None`` where nobody looked.
        mode: Where the corpus is looked at.
        minimum: Rows that each concept must be in; rows of one uid are one.
        images: Whether images are tagged.
        repeated: Rows of the corpus that share a uid.

    Returns:
        The table. A set that is in no caption but shown by an image, by its tags or as a near image of known content,
        is ``text-unseen``; where near images were asked for and nothing is known of any, it stays ``unchecked``.
    """
    sets = samples.sets
    width = int(sets.shape[1])
    text, image = _count_each(postings, sets.indices, width, repeated, images=images)
    of, keys = list_pairs(sets, nested)
    first, which = distinct_rows(sets)
    distinct_keys, which_pair = np.unique(keys, return_inverse=True)
    together = count_together(postings, sets[first], images=images).take(which)
    of_pairs = count_together(postings, sets_of_pairs(distinct_keys, width), images=images)
    looked = np.zeros((2, len(first)), np.int64)
    looked_pairs = np.zeros((2, len(distinct_keys)), np.int64)
    if near is not None:
        test, sample = find_test_images(near, samples)
        looked = look_for_sets(near, test, sample, samples, which, len(first))
        looked_pairs = look_for_pairs(near, test, sample, of, distinct_keys, which_pair, width)
    whole = _judge(mode, together, looked[:, which])
    pair_status = _judge(mode, of_pairs, looked_pairs)
    unseen_pair = pair_status == (UNSEEN if near is not None else UNCHECKED)
    single = {"captions": text, "images": image, "both": None if image is None else np.minimum(text, image)}[
        mode
    ]
    assert single is not None
    everything = np.ones(len(of), np.bool_)
    return SampleTable(
        samples=samples,
        mode=mode,
        searched=near is not None,
        minimum=minimum,
        together=together,
        support=_smallest(samples, single),
        single=single,
        text=text,
        image=image,
        pairs=sum_by(of, everything, len(samples)),
        unseen_pairs=sum_by(of, unseen_pair[which_pair], len(samples)),
        whole=whole,
    )


def to_table(table: SampleTable, names: tuple[str, ...], partner: IntArray) -> pa.Table:
    """Return the samples as a table of one line a uid.

    Args:
        table: The samples.
        names: Names of the concepts.
        partner: Sample that each was matched with, -1 for none, shape ``(n,)``.

    Returns:
        ``test``, ``uid``, ``sample`` (its first uid), ``concepts``, ``size`` (their number), ``status``,
        ``in_captions``, ``in_images`` and ``in_both`` (``seen`` or ``unseen``; the last is unseen only where both
        are), ``counts`` of captions and ``image_counts`` of each concept, ``joint_captions`` and ``joint_images`` that
        hold all, ``pairs``, ``unseen_pairs``, and ``partner``, the first uid of the control or of whom it is
        control. What needs tags is null without.
    """
    samples, sets = table.samples, table.samples.sets
    row = pa.array(samples.sample)
    n = len(samples)
    first = samples.first_uids
    text_unseen = table.together.text == 0
    image_unseen = None if table.together.image is None else table.together.image == 0
    columns = {
        "sample": first,
        "concepts": _lists(pa.array(names, pa.string()).take(pa.array(sets.indices)), sets.indptr),
        "size": pa.array(np.diff(sets.indptr).astype(np.int64)),
        "status": pa.array(table.status.tolist(), pa.string()),
        "in_captions": _say(text_unseen, n),
        "in_images": _say(image_unseen, n),
        "in_both": _say(None if image_unseen is None else text_unseen & image_unseen, n),
        "counts": _lists(pa.array(table.text), sets.indptr),
        "image_counts": pa.nulls(n, pa.list_(pa.int64()))
        if table.image is None
        else _lists(pa.array(table.image), sets.indptr),
        "joint_captions": pa.array(table.together.text),
        "joint_images": pa.nulls(n, pa.int64())
        if table.together.image is None
        else pa.array(table.together.image),
        "pairs": pa.array(table.pairs),
        "unseen_pairs": pa.array(table.unseen_pairs),
        "partner": first.take(pa.array(partner, mask=partner < 0)),
    }
    each = {name: column.take(row) for name, column in columns.items()}
    test = pa.repeat(pa.scalar(samples.name, pa.string()), len(samples.pool))
    return pa.table({"test": test, "uid": samples.pool.uids, **each})


def find_test_images(near: NearImages, samples: SampleSets) -> tuple[IntArray, IntArray]:
    """Return the places of the test images that are of a sample, and which sample; sorted by sample."""
    place = samples.pool.places(near.tests)
    test = np.flatnonzero(place >= 0)
    sample = samples.sample[place[test]]
    order = np.argsort(sample, kind="stable")
    return test[order], sample[order]


def look_for_sets(
    near: NearImages, test: IntArray, sample: IntArray, samples: SampleSets, which: IntArray, n: int
) -> IntArray:
    """Look for each different set near the images of all samples that have it.

    Args:
        near: What is near to the test images.
        test: Places of test images, see ``find_test_images``.
        sample: Sample of each.
        samples: The samples.
        which: Which of the different sets each sample has.
        n: How many different sets there are.

    Returns:
        Near images of known content, and how many of them show the set; shape ``(2, n)``.
    """
    looked = np.zeros((2, n), np.int64)
    for rows, columns in group_by_size(samples.sets):
        place = np.full(len(samples), -1)
        place[rows] = np.arange(len(rows))
        here = place[sample] >= 0
        for total, found in zip(looked, near.look(test[here], columns[place[sample[here]]]), strict=True):
            np.add.at(total, which[sample[here]], found)
    return looked


def look_for_pairs(
    near: NearImages,
    test: IntArray,
    sample: IntArray,
    of: IntArray,
    keys: IntArray,
    which: IntArray,
    width: int,
) -> IntArray:
    """Look for each different pair near the images of all samples that hold it.

    Args:
        near: What is near to the test images.
        test: Places of test images, see ``find_test_images``.
        sample: Sample of each, ascending.
        of: Sample of each pair of a sample.
        keys: The different pairs.
        which: Which of them each pair of a sample is.
        width: Concepts of the vocabulary.

    Returns:
        Near images of known content, and how many of them show the pair; shape ``(2, n_keys)``.
    """
    looked = np.zeros((2, len(keys)), np.int64)
    starts, stops = np.searchsorted(sample, of), np.searchsorted(sample, of, side="right")
    images = test[spread(starts, stops - starts)]
    pair = np.repeat(which, stops - starts)
    columns = np.column_stack(np.divmod(keys[pair], width))
    for total, found in zip(looked, near.look(images, columns), strict=True):
        np.add.at(total, pair, found)
    return looked


def _count_each(
    postings: Postings, concepts: NDArray[np.integer], width: int, repeated: Repeated, *, images: bool
) -> tuple[IntArray, IntArray | None]:
    """Count the uids with a caption, or an image, that holds each concept, for each entry of a matrix of sets."""
    used = np.unique(concepts).tolist()
    found: list[IntArray | None] = []
    for kind, wanted in (("text", True), ("image", images)):
        counts = np.zeros(width, np.int64)
        if wanted and used:
            counts[used] = count_uids(postings, used, "text" if kind == "text" else "image", repeated)
        found.append(counts[concepts] if wanted else None)
    text, image = found
    assert text is not None
    return text, image


def _judge(mode: Mode, together: Together, looked: IntArray) -> NDArray[np.str_]:
    checked, hits = looked > 0
    nothing = np.zeros(len(hits), np.bool_)
    tagged = nothing if together.image is None else together.image > 0
    if mode == "captions":
        return judge(together.text == 0, shown=hits | tagged, checked=checked)
    if mode == "both":
        return judge((together.text == 0) & ~tagged, shown=hits, checked=checked)
    # Captions were not looked at: an image that shows the set is all that there is to be seen.
    return judge(~tagged & ~hits, shown=nothing, checked=checked)


def _smallest(samples: SampleSets, each: IntArray) -> IntArray:
    """Return the smallest value of each sample's concepts, 0 of none."""
    ends = samples.sets.indptr
    smallest = np.zeros(len(samples), np.int64)
    filled = np.flatnonzero(np.diff(ends))
    if len(filled):
        smallest[filled] = np.minimum.reduceat(each, ends[filled])
    return smallest


def _say(unseen: BoolArray | None, n: int) -> pa.Array:
    if unseen is None:
        return pa.nulls(n, pa.string())
    return pc.if_else(pa.array(unseen), UNSEEN, SEEN)


def _lists(values: pa.Array, ends: NDArray[np.integer]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), values)
