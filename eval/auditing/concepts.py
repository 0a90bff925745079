"""What the images of a test set show, and how many captions of a corpus name it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.eval.auditing.asked import Material
from oddpair.eval.auditing.found import Concepts, Decade, find_share
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.corpus_counts import CorpusCounts
from oddpair.splits.pairs.content import name_own_concepts
from oddpair.splits.pairs.pair_free import ShownSets, open_sets
from oddpair.splits.pairs.sample_sets import Columns, SampleSets, columns_of
from oddpair.splits.pool import pool_of_stored

_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConceptsFound:
    """Concepts of a test set, if they could be audited.

    Attributes:
        concepts: All together; ``None`` where ``why`` says why not.
        why: What is missing, and what to give; empty where nothing is.
        images: ``uid``, sorted; ``concepts``, a list of names; ``least_count``, captions with the rarest of them, null
            where none was found.
        samples: What each sample of the test shows; ``None`` without concepts.
        opened: Counts of the corpus; likewise.
        shown: The sets of objects that samples show, with both of these.
    """

    concepts: Concepts | None
    why: str
    images: pa.Table
    samples: SampleSets | None
    opened: CorpusCounts | None
    shown: ShownSets | None


def find_concepts(material: Material) -> ConceptsFound:
    """Count the concepts of a test set in the captions of a corpus.

    Concepts are those of the vocabulary or of the counts; without either, the names in the test set's own column of
    content. That column tells what an image shows, and captions do where there is none.

    Args:
        material: The corpus and the test set with their captions.

    Returns:
        What was found, or why nothing could be.

    Raises:
        Refusal: If counts or tags are of another corpus, or a column is no list of names.

    References:
        Udandarao et al., NeurIPS 2024, arXiv:2404.04125, for the frequency of a test set's concepts.
    """
    why = _find_lack(material)
    if why:
        return _leave_out(why)
    shown = open_sets(
        material.inputs,
        material.work,
        content_column=material.asked.content_column,
        image_column=Columns().image,
        tag_threshold=None,
    )
    (samples,), opened = shown.samples, shown.counts
    names, counts = opened.vocabulary.names, opened.counts.text
    # Pictures that could not be read have no embedding, and are no images of the test anywhere else.
    stored = pool_of_stored(material.test.need_stored()).uids
    places = samples.pool.places(stored)
    places = np.sort(places[places >= 0])
    sets = csr_array(samples.sets[samples.sample[places]])
    if not sets.nnz:
        return _leave_out(
            f"no concepts: of {len(names):,} none was found in {material.test.name}: give a vocabulary of what it shows, or "
            "name its column of content with --content-column"
        )
    least = _find_least(sets, counts)
    return ConceptsFound(
        concepts=_summarise(sets, names, counts, least, opened.counts.n_captions, material.asked.tail),
        why="",
        images=pa.table(
            {
                "uid": samples.pool.uids.take(pa.array(places)).cast(pa.string()),
                "concepts": pa.ListArray.from_arrays(
                    pa.array(sets.indptr, pa.int32()),
                    pa.array(names, pa.string()).take(pa.array(sets.indices)),
                ),
                "least_count": pa.array(least, mask=least < 0),
            }
        ),
        samples=samples,
        opened=opened,
        shown=shown,
    )


def _find_lack(material: Material) -> str:
    """Say what is missing, in words that say what to give."""
    inputs, test, column = material.inputs, material.test, material.asked.content_column
    for side in (material.corpus, test):
        if side.corpus is None:
            return f"no concepts: {side.name} is a folder of embeddings: give the set that was embedded"
    if not material.corpus.need_corpus().captioned:
        return f"no concepts: {material.corpus.name} has no captions to count them in"
    if column not in columns_of(test.need_corpus()) and not test.need_corpus().captioned:
        return (
            f"no concepts: nothing tells what images of {test.name} show: give captions, or name a column of it with "
            "--content-column"
        )
    if inputs.vocabulary is None and inputs.counts is None and name_own_concepts([test], column) is None:
        return "no concepts: give --vocabulary FILE, imagenet, coco or voc, or --counts"
    return ""


def _leave_out(why: str) -> ConceptsFound:
    nothing = pa.table(
        {
            "uid": pa.array([], pa.string()),
            "concepts": pa.array([], pa.list_(pa.string())),
            "least_count": pa.array([], pa.int64()),
        }
    )
    return ConceptsFound(concepts=None, why=why, images=nothing, samples=None, opened=None, shown=None)


def _find_least(sets: Mentions, counts: IntArray) -> IntArray:
    """Find the captions with each image's rarest concept, -1 for an image without concepts."""
    least = np.full(sets.shape[0], -1, np.int64)
    filled = np.flatnonzero(np.diff(sets.indptr))
    least[filled] = np.minimum.reduceat(counts[sets.indices], sets.indptr[filled])
    return least


def _summarise(
    sets: Mentions, names: tuple[str, ...], counts: IntArray, least: IntArray, captions: int, tail: int
) -> Concepts:
    images = np.bincount(sets.indices, minlength=len(names))
    used = np.flatnonzero(images)
    each, n = counts[used], int((least >= 0).sum())
    rarest = used[np.lexsort((np.array(names)[used], each))][:_LISTED].tolist()
    return Concepts(
        captions=captions,
        missing=find_share(int((each == 0).sum()), len(used)),
        tail=find_share(_count_between(each, 1, tail), len(used)),
        images_missing=find_share(int((least == 0).sum()), n),
        images_tail=find_share(_count_between(least, 1, tail), n),
        tail_below=tail,
        decades=list_decades(each, least),
        rarest=tuple((names[number], int(counts[number]), int(images[number])) for number in rarest),
        unknown=int((least < 0).sum()),
    )


def list_decades(concepts: IntArray, images: IntArray) -> tuple[Decade, ...]:
    """Put concepts and images into 0, 1 to 9, 10 to 99 and so on, up to the decade of the most frequent concept.

    Args:
        concepts: Captions that name each concept, shape ``(n_concepts,)``.
        images: Captions that name the rarest concept of each image, shape ``(n_images,)``; -1 is passed over.

    >>> [(each.low, each.high, each.concepts, each.images) for each in list_decades(np.array([0, 9, 10]), np.array([9]))]
    [(0, 1, 1, 0), (1, 10, 1, 1), (10, 100, 1, 0)]
    """
    found, low, high = list[Decade](), 0, 1
    while low <= concepts.max(initial=0):
        found.append(
            Decade(
                low=low,
                high=high,
                concepts=_count_between(concepts, low, high),
                images=_count_between(images, low, high),
            )
        )
        low, high = high, 10 * high
    return tuple(found)


def _count_between(values: NDArray[np.int64], low: int, high: int) -> int:
    return int(((values >= low) & (values < high)).sum())
