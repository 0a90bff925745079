from dataclasses import replace

import numpy as np
import pytest

from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.embeddings import Embeddings
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.recipes.unseen_pairs import PairPictures, UnseenPairsRecipe, find_unseen_pairs, pair_card

NAMES = ("cat", "dog", "pine tree", "tree", "van")
# What each picture shows, and its caption, which may name less.
CORPUS = [
    (("cat", "dog"), "a cat and a dog"),
    (("cat",), "a cat"),
    (("dog", "van"), "a dog"),
    (("pine tree", "tree"), "a pine tree"),
    (("van",), "a van"),
    (("cat", "van"), "a van in the rain"),
]
RECIPE = UnseenPairsRecipe(minimum_count=1, neighbours=2)


def matrix(rows):
    vocabulary = build_vocabulary(NAMES)
    return find_mentions(vocabulary, [" and ".join(f"a {name}" for name in row) for row in rows])


def embed(rows):
    """One dimension a concept: pictures of the same things are near, and the first of the corpus nearest."""
    image = np.array([[1.0 if name in row else 0.1 for name in NAMES] for row in rows])
    image[:, 0] += np.linspace(0.001, 0.0, len(image))
    return (image / np.linalg.norm(image, axis=1, keepdims=True)).astype(np.float32)


def corpus_embeddings():
    n = len(CORPUS)
    return Embeddings(
        uids=tuple(f"{row:02d}" for row in range(n)),
        captions=tuple(caption for _, caption in CORPUS),
        image=embed([shown for shown, _ in CORPUS]),
        text=np.empty((n, 0), np.float32),
        texture=np.empty((n, 0), np.float32),
        encoder="",
    )


def pictures(*pairs):
    return PairPictures(image=embed(pairs), concepts=np.array(pairs))


TESTS = pictures(("cat", "dog"), ("van", "dog"), ("cat", "tree"), ("van", "cat"))


def table_of(*, tests=None, search=True, tags_counted=False, tags_searched=True, recipe=RECIPE):
    vocabulary = build_vocabulary(NAMES)
    tags = matrix([shown for shown, _ in CORPUS])
    counts = count(
        find_mentions(vocabulary, [caption for _, caption in CORPUS]),
        tags if tags_counted else None,
        vocabulary=vocabulary,
    )
    table = find_unseen_pairs(
        counts,
        nested_pairs(vocabulary),
        recipe,
        tests=tests,
        embeddings=corpus_embeddings() if search else None,
        tags=tags if tags_searched else None,
    )
    return table, {
        (a, b): (status, by)
        for a, b, status, by in zip(
            table.a.tolist(), table.b.tolist(), table.status.tolist(), table.demoted_by.tolist(), strict=True
        )
    }


def test_the_search_confirms_and_demotes():
    _, status = table_of(tests=TESTS)
    assert status[("cat", "dog")] == ("seen", "")
    assert status[("dog", "van")] == ("text-unseen", "search")
    assert status[("cat", "van")] == ("text-unseen", "search")
    assert status[("cat", "tree")] == ("unseen", "")
    assert status[("dog", "tree")] == ("unchecked", "")


@pytest.mark.parametrize(
    "skipped", [{"tests": None}, {"tests": TESTS, "search": False}], ids=["no test pictures", "no embeddings"]
)
def test_skipping_the_search_changes_the_table_and_nothing_is_called_unseen(skipped):
    table, status = table_of(**skipped)
    assert status != table_of(tests=TESTS)[1]
    assert set(table.status.tolist()) == {"seen", "unchecked"}
    assert not table.neighbours_checked.any()


def test_tags_alone_demote():
    _, status = table_of(tags_counted=True)
    assert status[("dog", "van")] == ("text-unseen", "tags")
    assert status[("cat", "van")] == ("text-unseen", "tags")
    assert status[("cat", "tree")] == ("unchecked", "")


def test_search_and_tags_together_say_so():
    _, status = table_of(tests=TESTS, tags_counted=True)
    assert status[("dog", "van")] == ("text-unseen", "both")


def test_neighbours_of_unknown_content_confirm_nothing():
    table, status = table_of(tests=TESTS, tags_searched=False)
    assert "unseen" not in {found for found, _ in status.values()}
    assert np.isfinite(table.nearest_similarity).sum() == 4


def test_more_neighbours_than_the_corpus_holds_look_at_all_of_it():
    table, _ = table_of(tests=TESTS, recipe=UnseenPairsRecipe(minimum_count=1, neighbours=50))
    assert set(table.neighbours_checked.tolist()) == {0, len(CORPUS)}


def test_nested_concepts_are_no_pair():
    assert ("pine tree", "tree") not in table_of(tests=TESTS)[1]


def test_the_card_counts_every_status_and_what_found_them():
    card = dict(pair_card(table_of(tests=TESTS, tags_counted=True)[0]))
    assert card["pairs named together in a caption"] == "1"
    assert card["pairs named together in no caption, but shown together in a picture"] == "2"
    assert card["pairs named together in no caption, shown together in no picture that was found"] == "1"
    assert card["pairs without a caption that were searched"] == "3"
    assert card["of these shown together: found by search, by tags, by both"] == "2, 2, 2"
    assert sum(int(n) for label, n in list(card.items())[:4]) == 9


def test_the_card_of_an_unsearched_corpus_claims_no_search():
    card = dict(pair_card(table_of()[0]))
    assert card["pairs without a caption that were searched"] == "0"
    assert not any(label.startswith("of these shown together") for label in card)


def test_the_card_says_how_many_pairs_were_not_counted():
    table, _ = table_of()
    assert not any("not counted" in label for label, _ in pair_card(table))
    card = dict(pair_card(replace(table, not_counted=1234)))
    assert card["pairs not counted, of which nothing is known"] == "1,234"
