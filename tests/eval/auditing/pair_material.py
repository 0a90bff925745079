"""Small corpora and test sets of captions and of what pictures show, as the material of an audit."""

from tests.splits.unseen_data import VOCABULARY, embed, pictures, write_corpus, write_tags

from oddpair.eval.auditing.asked import Asked, Material
from oddpair.splits.inputs import Inputs


def make_material(
    folder,
    captions,
    tests,
    *,
    shown=None,
    tagged=None,
    uids=None,
    vocabulary=VOCABULARY,
    counts=None,
    embedded=None,
    tail=2,
    **columns,
):
    """Write a corpus of captions and a test set of contents; nothing is searched.

    Args:
        folder: Where to.
        captions: Of the corpus.
        tests: What each test image shows, lists of names.
        shown: What each picture of the corpus shows, as a column; ``None`` for no such column.
        tagged: The same as tags.
        uids: Of the corpus.
        vocabulary: Given with it.
        counts: Likewise.
        embedded: Test images that have an embedding; ``None`` for all.
        tail: Of the settings.
        columns: Further columns of the test set.
    """
    corpus = write_corpus(
        folder / "corpus", captions, uids=uids, **({} if shown is None else {"concepts": shown})
    )
    test = write_corpus(
        folder / "test", ["a picture"] * len(tests), first=5000, shards=1, **{"concepts": tests, **columns}
    )
    inputs = Inputs(
        corpus=pictures(corpus, "corpus"),
        tests={"test": pictures(test, stored=embed(folder / "embedded", tests[:embedded], 5000))},
        tags=None if tagged is None else write_tags(folder / "tags.parquet", tagged),
        vocabulary=vocabulary,
        counts=counts,
    )
    # No part that is tested with this asks for the search.
    searched = None
    return Material(
        asked=Asked(tail=tail),
        inputs=inputs,
        name="test",
        searched=searched,  # type: ignore[arg-type]
        table=None,
        work=folder / "work",
    )
