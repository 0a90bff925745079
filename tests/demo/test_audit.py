"""Audits of drawn sets tell what was planted: copies, styles, and pairs that were never shown together."""

from collections import Counter

import pytest
from tests.demo.audits import count_styles, judge_copies, judge_pairs, judge_styles, plant_copies, run_audit

from oddpair import files
from oddpair.retrieval.corpus import open_corpus


@pytest.fixture(scope="module")
def place(small_run, tmp_path_factory):
    """A drawn corpus with copies of 40 renditions, and audits of two test sets against it."""
    place, world = tmp_path_factory.mktemp("audits"), small_run / "world"
    copies = plant_copies(world / "corpus", world / "rendition", place / "web", 40, seed=0)
    for test in ("rendition", "pairs"):
        run_audit(world / test, place / "web", place / test, labelled=400, precision=0.6)
    return place, copies


def card_of(place, test):
    return files.read_json(place[0] / test / "audit.json")


def test_every_planted_copy_is_found_and_a_copied_file_is_called_one(place):
    found = judge_copies(place[0] / "rendition", place[1])
    assert Counter(found["same file"]) == {"same bytes": 10}
    for kind in ("compressed", "halved", "doubled"):
        assert Counter(found[kind]) == {"same look": 10}
    assert card_of(place, "rendition")["judgements"][0]["answer"] == "in"


def test_true_shares_of_styles_lie_within_their_intervals_as_often_as_intervals_promise(place):
    truth = count_styles(open_corpus(place[0] / "web"))
    hits, total, misses = judge_styles(card_of(place, "rendition"), truth)
    # The nine share one sample: of nine intervals at 95 % two may well miss, three hardly.
    assert total == 9
    assert hits >= 7, misses


def test_the_style_of_a_test_is_told_and_its_share_of_the_corpus_bounded(place):
    truth = count_styles(open_corpus(place[0] / "web"))
    rows = sum(rows for name, rows in truth.items() if not name.startswith("="))
    for test, style in (("rendition", "rendition"), ("pairs", "natural")):
        styles = card_of(place, test)["styles"]
        assert styles["style"] == style
        assert truth[style] / rows <= styles["at_most"]
        mine = {share["style"]: share["test"]["value"] for share in styles["classes"]}
        assert mine[style] == 1.0
        assert card_of(place, test)["judgements"][1]["answer"] == "in"


def test_every_sample_has_the_status_that_captions_and_pictures_give_it(place, small_run):
    found = judge_pairs(place[0] / "pairs", small_run / "world" / "pairs", place[0] / "web")
    agree = {"seen / seen", "text-unseen / text-unseen", "unseen / unseen", "unsupported / unseen"}
    assert set(found) <= agree
    assert found["seen / seen"] > 0
    assert found.get("unseen / unseen", 0) + found.get("unsupported / unseen", 0) > 0


def test_pairs_that_were_held_out_of_the_world_are_never_called_seen(place, small_run):
    truth = files.read_table(small_run / "world" / "truth" / "pairs.parquet").to_pylist()
    held_out = {(row["a"], row["b"]) for row in truth if row["held_out"]}
    images = files.read_table(place[0] / "pairs" / "images.parquet", ["concepts", "status"]).to_pylist()
    mine = [row["status"] for row in images if tuple(sorted(row["concepts"])) in held_out]
    assert mine
    assert set(mine) <= {"unseen", "unsupported"}
