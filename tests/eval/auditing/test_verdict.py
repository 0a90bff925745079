import dataclasses
from typing import Any

import pytest

from oddpair.eval.auditing.found import (
    Accuracy,
    Concepts,
    Distances,
    Duplicates,
    Gap,
    Judgement,
    Nearness,
    Pairs,
    Removal,
    Styles,
    find_share,
)
from oddpair.eval.auditing.verdict import judge, write_verdict
from oddpair.eval.intervals import Estimate


def estimate(value, low=None, high=None):
    return Estimate(
        value=value, low=value if low is None else low, high=value if high is None else high, n=100, what="a"
    )


def distances(name, median):
    return Distances(
        name=name, rows=1000, quantiles=(0.5,) * 9, histogram=((0.5, 100),), median=estimate(median)
    )


NEAR = Nearness(corpus=distances("web", 0.8), gap=None)
CLEAN = Duplicates(
    found=find_share(0, 100),
    same_bytes=find_share(0, 100),
    same_look=find_share(0, 100),
    near=find_share(0, 100),
    rows=0,
    compared=100,
    unseen=0,
    similarity=None,
    bits=4,
)
STYLES = Styles(
    style="rendition",
    told_by="labels",
    classes=(),
    finer=(),
    corpus=find_share(0, 1000),
    at_most=0.003,
    sorted={},
    precision=find_share(9, 10),
    recall=find_share(9, 10),
    leak_bound=0.01,
    threshold=0.9,
)
CONCEPTS = Concepts(
    captions=1000,
    missing=find_share(0, 8),
    tail=find_share(2, 8),
    images_missing=find_share(0, 100),
    images_tail=find_share(25, 100),
    tail_below=10,
    decades=(),
    rarest=(),
    unknown=0,
)
PAIRS = Pairs(
    seen=find_share(3, 6),
    unseen_in_captions=find_share(1, 6),
    unseen=find_share(1, 6),
    unsupported=find_share(1, 6),
    samples_seen=find_share(0, 60),
    samples_unseen_in_captions=find_share(0, 60),
    samples_unseen=find_share(50, 60),
    samples_unsupported=find_share(10, 60),
    pictures="none",
    minimum=10,
    listed=(),
)


def answers(**changes: Any) -> dict[str, Judgement]:
    parts: dict[str, Any] = {
        "nearness": NEAR,
        "duplicates": CLEAN,
        "styles": STYLES,
        "concepts": CONCEPTS,
        "pairs": PAIRS,
    }
    return {
        judgement.aspect: judgement
        for judgement in judge(**(parts | changes), left_out={"pairs": "no pairs"})
    }


def test_a_corpus_without_copies_is_out_and_one_copy_is_in():
    assert answers()["copies"].answer == "out"
    one = dataclasses.replace(CLEAN, found=find_share(1, 100), same_bytes=find_share(1, 100))
    told = answers(duplicates=one)["copies"]
    assert told.answer == "in"
    assert "1.0 % [0.0, 5.4] (1 of 100) test images: 1 the same file, 0 of the same look." in told.text


def test_copies_are_undecided_where_nothing_was_compared_that_tells_them():
    blind = dataclasses.replace(CLEAN, compared=0, unseen=100)
    told = answers(duplicates=blind)["copies"]
    assert (told.answer, told.text[:20]) == ("open", "Nothing was compared")
    assert answers(duplicates=dataclasses.replace(blind, similarity=0.9))["copies"].answer == "out"
    half = dataclasses.replace(CLEAN, compared=50, unseen=50)
    assert answers(duplicates=half)["copies"].text.endswith(" Of 50 near pairs no picture was at hand.")


@pytest.mark.parametrize(
    ("part", "at_most", "answer"),
    [(0, 0.003, "out"), (0, 0.01, "out"), (0, 0.011, "open"), (12, 0.02, "open"), (50, 0.07, "in")],
)
def test_a_style_is_out_only_if_its_bound_is_below_one_per_cent_and_in_only_if_its_interval_is_above(
    part, at_most, answer
):
    styles = dataclasses.replace(STYLES, corpus=find_share(part, 1000), at_most=at_most)
    assert answers(styles=styles)["style"].answer == answer


def test_similarity_is_judged_by_a_reference_set_alone():
    assert answers()["similarity"].answer == "open"
    gap = Gap(
        reference=distances("train", 0.7),
        nearer=find_share(0, 100),
        difference=estimate(-0.1, -0.2, 0.0),
        rows=0,
    )
    assert answers(nearness=dataclasses.replace(NEAR, gap=gap))["similarity"].answer == "out"
    nearer = dataclasses.replace(gap, nearer=find_share(1, 100), rows=3)
    told = answers(nearness=dataclasses.replace(NEAR, gap=nearer))["similarity"]
    assert told.answer == "in"
    assert "0.800 to its nearest corpus row, 0.700 to train; 1.0 % [0.0, 5.4] (1 of 100)" in told.text


def test_concepts_are_in_if_each_is_named_and_out_if_none_is():
    assert answers()["concepts"].answer == "in"
    for part, answer in ((1, "open"), (8, "out")):
        concepts = dataclasses.replace(CONCEPTS, missing=find_share(part, 8))
        assert answers(concepts=concepts)["concepts"].answer == answer


def test_pairs_are_out_if_every_supported_sample_is_unseen():
    assert answers()["pairs"].answer == "out"
    some = dataclasses.replace(PAIRS, samples_seen=find_share(5, 60), samples_unseen=find_share(45, 60))
    none = dataclasses.replace(PAIRS, samples_seen=find_share(50, 60), samples_unseen=find_share(0, 60))
    unknown = dataclasses.replace(
        PAIRS, samples_unseen=find_share(0, 60), samples_unsupported=find_share(60, 60)
    )
    assert [answers(pairs=pairs)["pairs"].answer for pairs in (some, none, unknown)] == ["open", "in", "open"]


def test_a_part_that_was_not_audited_is_told_with_its_reason():
    told = answers(pairs=None)["pairs"]
    assert (told.answer, told.text) == ("not audited", "no pairs")


def test_the_verdict_names_both_sides_every_answer_and_what_would_have_to_go():
    judgements = judge(
        nearness=NEAR,
        duplicates=CLEAN,
        styles=None,
        concepts=CONCEPTS,
        pairs=PAIRS,
        left_out={"styles": "no labels"},
    )
    accuracy = Accuracy(
        model="tiny",
        all=estimate(0.5, 0.4, 0.6),
        without=estimate(0.3, 0.2, 0.4),
        explained=estimate(0.2, 0.1, 0.3),
        in_domain="gap",
        in_domain_rows=7,
        datasets=5,
        known=None,
    )
    removal = Removal(
        name="gap-pruned",
        split="gap-pruned-sketch",
        kind="similarity",
        rows=1000,
        gone=7,
        left=993,
        why=(("near", 7),),
    )
    verdict = write_verdict("sketch", 100, "web", 1000, judgements, accuracy, [removal])
    assert verdict.startswith(
        "sketch (100 images) against web (1,000 rows): out of distribution by copies and object pairs; in distribution "
        "by concepts; undecided by similarity; not audited by style. No duplicate"
    )
    told = "50.0 [40.0, 60.0] % for tiny, of which in-domain rows account for 20.0 [10.0, 30.0] points"
    assert f"Counts foretell an accuracy of {told}" in verdict
    assert verdict.endswith("To be no nearer than the reference set, 7 of 1,000 rows would have to go.")
    assert "no labels" not in verdict
