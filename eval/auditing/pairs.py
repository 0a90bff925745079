"""Which objects of a test set's images a corpus shows together, and what of it would have to go for none to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.eval.auditing.asked import Material
from oddpair.eval.auditing.concepts import ConceptsFound
from oddpair.eval.auditing.found import Pairs, Share, find_share
from oddpair.eval.auditing.removals import RemovalFound, make_removal
from oddpair.retrieval.counting.pmi import expect_pairs
from oddpair.retrieval.counting.postings_file import POSTINGS_FOLDER
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.curation.pool_columns import read_pool
from oddpair.splits.inputs import Pictures
from oddpair.splits.pairs.pair_free import ShownSets, find_shown
from oddpair.splits.pairs.repeated import find_repeated
from oddpair.splits.pairs.set_counts import count_together, list_pairs, sets_of_pairs
from oddpair.splits.pairs.unseen_pairs import SEEN, TEXT_UNSEEN, UNSEEN
from oddpair.splits.pairs.unseen_sets import SINGLE, UNSUPPORTED, describe_samples

NAME = "pair-unseen"
_LISTED = 50
_STATUSES = (SEEN, TEXT_UNSEEN, UNSEEN, UNSUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairsFound:
    """Object pairs of a test set, if they could be audited.

    Attributes:
        pairs: All together; ``None`` where ``why`` says why not.
        why: What is missing, and what to give; empty where nothing is.
        images: ``uid``, sorted, and ``status``: ``seen``, ``text-unseen``, ``unseen``, ``unsupported`` or ``single``.
        removal: Rows that would have to go.
    """

    pairs: Pairs | None
    why: str
    images: pa.Table
    removal: RemovalFound | None


def find_pairs(material: Material, found: ConceptsFound) -> PairsFound:
    """Say which pairs of a test set's objects, and which of its samples, a corpus shows together.

    Captions and, where there are tags or a column of content, all pictures of the corpus are looked at, so that nothing
    rests on what is near a test image. Where nothing is known of pictures, unseen is unseen in captions.

    Args:
        material: The corpus and the test set.
        found: Their concepts.

    Returns:
        What was found, or why nothing could be.

    Raises:
        Refusal: If posting lists are damaged.

    References:
        arXiv:2502.18326, for test samples whose objects a corpus has only apart.
    """
    shown, samples = found.shown, found.samples
    if shown is None or samples is None:
        return _leave_out(found.why.replace("no concepts", "no object pairs", 1))
    if not shown.tests:
        return _leave_out(
            f"no object pairs: no image of {material.test.name} shows two of the concepts or more"
        )
    counts = shown.counts
    if not (counts.folder / POSTINGS_FOLDER).is_dir():
        return _leave_out("no object pairs: the counts have no posting lists: count again with --postings")
    postings, tagged, tail = counts.postings(), counts.tags is not None, material.asked.tail
    table = describe_samples(
        samples,
        postings,
        counts.counts.nested,
        None,
        mode="captions",
        minimum=tail,
        images=tagged,
        repeated=find_repeated(material.corpus.need_corpus()),
    )
    _, every = list_pairs(samples.sets, counts.counts.nested)
    keys, times = np.unique(every, return_counts=True)
    width = len(counts.vocabulary)
    first, second = np.divmod(keys, width)
    together = count_together(postings, sets_of_pairs(keys, width), images=tagged)
    rows_with = np.zeros(width, np.int64)
    rows_with[samples.sets.indices] = table.text
    pairs = judge_together(together.text, together.image, rows_with[first], rows_with[second], minimum=tail)
    status = np.where(
        table.several,
        judge_together(table.together.text, table.together.image, table.support, table.support, minimum=tail),
        SINGLE,
    )
    captions = counts.counts.text
    expected = expect_pairs(captions[first], captions[second], counts.counts.n_captions)
    unseen = np.flatnonzero(pairs == UNSEEN)
    # The most surprising first; keys are in the order of the vocabulary.
    unseen = unseen[np.argsort(-expected[unseen], kind="stable")][:_LISTED]
    names = counts.vocabulary.names
    by_pair, by_sample = _share(pairs), _share(status[table.several])
    summary = Pairs(
        seen=by_pair[SEEN],
        unseen_in_captions=by_pair[TEXT_UNSEEN],
        unseen=by_pair[UNSEEN],
        unsupported=by_pair[UNSUPPORTED],
        samples_seen=by_sample[SEEN],
        samples_unseen_in_captions=by_sample[TEXT_UNSEEN],
        samples_unseen=by_sample[UNSEEN],
        samples_unsupported=by_sample[UNSUPPORTED],
        pictures=_tell_pictures(material, tagged),
        minimum=tail,
        listed=tuple(
            (
                names[first[place]],
                names[second[place]],
                int(captions[first[place]]),
                int(captions[second[place]]),
                float(expected[place]),
                int(times[place]),
            )
            for place in unseen.tolist()
        ),
    )
    images = pa.table(
        {
            "uid": samples.pool.uids.cast(pa.string()),
            "status": pa.array(status[samples.sample].tolist(), pa.string()),
        }
    )
    return PairsFound(pairs=summary, why="", images=images, removal=_find_removal(material, shown))


def judge_together(
    text: IntArray, image: IntArray | None, first: IntArray, second: IntArray, *, minimum: int
) -> NDArray[np.str_]:
    """Judge sets of concepts by where they are together and, where that is nowhere, by how often each is at all.

    Args:
        text: Captions that hold all of each set, shape ``(n,)``.
        image: Pictures that do; ``None`` where nothing is known of pictures.
        first: Rows that hold one of its concepts.
        second: Rows that hold the other; of more than two, the rarest is both.
        minimum: Rows below which nothing follows from being nowhere together.

    Returns:
        ``seen`` in a caption, ``text-unseen`` if in a picture alone, ``unsupported`` or ``unseen``.

    >>> one, none = np.ones(2, int), np.zeros(2, int)
    >>> judge_together(np.array([1, 0]), None, one, one, minimum=1).tolist(), judge_together(none, one, one, one, minimum=1)[0]
    (['seen', 'unseen'], np.str_('text-unseen'))
    """
    pictured = np.zeros(len(text), np.bool_) if image is None else image > 0
    rare = np.minimum(first, second) < minimum
    status: NDArray[np.str_] = np.select([text > 0, pictured, rare], [SEEN, TEXT_UNSEEN, UNSUPPORTED], UNSEEN)
    return status


def _find_removal(material: Material, shown: ShownSets) -> RemovalFound:
    corpus = material.corpus.need_corpus()
    pool = read_pool(Pictures(name=corpus.name, corpus=corpus))
    captions, pictures = find_shown(corpus, shown)
    reasons = {"caption names all objects of a test sample": captions}
    if shown.counts.tags is not None:
        reasons["picture shows all objects of a test sample"] = pictures
    masks = {
        reason: pc.is_in(pool.uids, value_set=uids).to_numpy(zero_copy_only=False).astype(np.bool_)
        for reason, uids in reasons.items()
    }
    removal, rows = make_removal(NAME, NAME, NAME, pool, masks)
    return RemovalFound(
        removal=removal,
        rows=rows,
        recipe={"content_column": material.asked.content_column},
        inputs=("tests", "counts", "vocabulary", "tags"),
    )


def _tell_pictures(material: Material, tagged: bool) -> Literal["tags", "content", "none"]:
    if not tagged:
        return "none"
    # Tags that nobody gave were made of the column of content.
    return "content" if material.inputs.tags is None else "tags"


def _share(status: NDArray[np.str_]) -> dict[str, Share]:
    return {name: find_share(int((status == name).sum()), len(status)) for name in _STATUSES}


def _leave_out(why: str) -> PairsFound:
    nothing = pa.table({"uid": pa.array([], pa.string()), "status": pa.array([], pa.string())})
    return PairsFound(pairs=None, why=why, images=nothing, removal=None)
