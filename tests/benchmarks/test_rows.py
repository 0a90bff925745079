import dataclasses
import io
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.rows import (
    PICTURE_PMI_SHIFT,
    RENDITIONS,
    STYLE_SHARES,
    TWO_OBJECTS_SHARE,
    ChosenPair,
    choose_test_pairs,
    corpus_concepts,
    draw_picture,
    expected_counts,
    expected_pair_counts,
    pair_indices,
    plan_corpus_row,
    plan_test_row,
)
from oddpair.benchmarks.miniature.world import make_world, planted_pmi

K = len(CONCEPTS)
ROWS = 20_000


@pytest.fixture(scope="module")
def world():
    return make_world(21)


@pytest.fixture(scope="module")
def rows(world):
    return [plan_corpus_row(world, index) for index in range(ROWS)]


@pytest.fixture(scope="module")
def shown(world, rows):
    """Pictures of each concept, and of each pair in the upper triangle."""
    place = {name: i for i, name in enumerate(CONCEPTS)}
    single, pair = np.zeros(K), np.zeros((K, K))
    for row in rows:
        numbers = [place[name] for name in row.concepts]
        single[numbers] += 1
        if len(numbers) == 2:
            pair[numbers[0], numbers[1]] += 1
    return single, pair


def z_scores(found: Any, expected: Any, n: int) -> Any:
    return (found - expected) / np.sqrt(expected * (1 - expected / n))


def test_styles_and_pairs_keep_their_shares(rows):
    styles = Counter(row.style for row in rows)
    assert set(styles) == set(STYLE_SHARES)
    assert sum(STYLE_SHARES.values()) == pytest.approx(1)
    for style, share in STYLE_SHARES.items():
        assert abs(z_scores(styles[style], ROWS * share, ROWS)) < 4
    assert abs(z_scores(sum(len(row.concepts) == 2 for row in rows), ROWS * TWO_OBJECTS_SHARE, ROWS)) < 4


def test_concepts_are_drawn_as_often_as_expected(world, shown):
    expected = expected_counts(world, ROWS)
    assert np.abs(z_scores(shown[0], expected, ROWS)).max() < 4
    assert expected.max() / expected.min() == pytest.approx(1000)
    assert expected.sum() == pytest.approx(ROWS * (1 + TWO_OBJECTS_SHARE))


def test_pairs_are_drawn_as_often_as_expected(world, shown):
    expected = np.triu(expected_pair_counts(world, ROWS), 1)
    assert expected.sum() == pytest.approx(ROWS * TWO_OBJECTS_SHARE)
    usual = expected >= 5
    z = z_scores(shown[1][usual], expected[usual], ROWS)
    assert usual.sum() > 200
    assert np.abs(z).max() < 4.5  # the largest of hundreds
    assert z.std() == pytest.approx(1, abs=0.15)
    rare = (expected > 0) & (expected < 5)
    assert abs(z_scores(shown[1][rare].sum(), expected[rare].sum(), ROWS)) < 4


def test_held_out_and_nested_pairs_are_never_drawn_and_held_out_ones_never_named(world, rows, shown):
    assert shown[1][world.held_out | world.nested].sum() == 0
    place = {name: i for i, name in enumerate(CONCEPTS)}
    named = {(a, b) for row in rows for a in row.named for b in row.named}
    assert not [pair for pair in named if world.held_out[place[pair[0]], place[pair[1]]]]


def test_pmi_of_expected_counts_is_the_planted_pmi_and_one_constant(world):
    single, pair = expected_counts(world, ROWS), expected_pair_counts(world, ROWS)
    drawn = pair > 0
    over_pictures = np.log(pair[drawn] * ROWS / np.outer(single, single)[drawn])
    np.testing.assert_allclose(over_pictures, planted_pmi(world)[drawn] + PICTURE_PMI_SHIFT)
    assert pytest.approx(-0.7577, abs=1e-4) == PICTURE_PMI_SHIFT


def test_a_row_does_not_depend_on_the_rows_before_it_or_on_a_copy_of_the_world(world, rows):
    copy = make_world(21)
    for index in (ROWS - 1, 0, 777, 778):
        assert plan_corpus_row(copy, index) == rows[index]


def test_a_row_shows_what_the_short_way_says(world, rows):
    assert [corpus_concepts(world, index) for index in range(3000)] == [row.concepts for row in rows[:3000]]


def test_uids_are_32_hex_digits_and_never_repeat(world, rows):
    tests = [plan_test_row(world, role, index) for role in ("natural", "rendition") for index in range(500)]
    tests += [plan_test_row(world, "pairs", index) for index in range(1, K)]
    uids = [row.uid for row in (*rows, *tests, plan_corpus_row(make_world(22), 0))]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch("[0-9a-f]{32}", uid) for uid in uids)


def test_concepts_and_names_are_sorted(rows):
    assert all(row.concepts == tuple(sorted(set(row.concepts))) for row in rows)
    assert all(row.named == tuple(sorted(set(row.named))) for row in rows)


def test_natural_rows_photograph_every_concept_alone_equally_often(world):
    rows = [plan_test_row(world, "natural", index) for index in range(3 * K)]
    assert Counter(row.concepts for row in rows) == {(name,): 3 for name in CONCEPTS}
    assert {row.style for row in rows} == {"photo"}


def test_rendition_rows_show_every_concept_in_every_style_equally_often(world):
    rows = [plan_test_row(world, "rendition", index) for index in range(2 * 4 * K)]
    assert Counter((row.style, row.concepts) for row in rows) == {
        (style, (name,)): 2 for style in RENDITIONS for name in CONCEPTS
    }


def test_pair_rows_photograph_each_chosen_pair_equally_often(world):
    pairs = choose_test_pairs(world, ROWS, held=5, rare=5, seen=5, rng=np.random.default_rng(0))
    indices = pair_indices(world, pairs, 3)
    rows = [plan_test_row(world, "pairs", index) for index in indices]
    assert Counter(row.concepts for row in rows) == {(pair.a, pair.b): 3 for pair in pairs}
    assert {row.style for row in rows} == {"photo"}
    assert set(indices) < set(pair_indices(world, pairs, 4))


def test_captions_of_test_rows_name_all_that_is_there(world):
    pairs = choose_test_pairs(world, ROWS, held=50, rare=5, seen=50, rng=np.random.default_rng(0))
    indices = {"natural": range(300), "rendition": range(400), "pairs": pair_indices(world, pairs, 2)}
    for role in indices:
        for index in indices[role]:
            row = plan_test_row(world, role, index)
            assert set(row.concepts) <= set(row.named)


@pytest.mark.parametrize("index", [0, K, K + 1])
def test_a_pairs_index_that_stands_for_no_pair_is_refused(world, index):
    with pytest.raises(ValueError, match=f"pairs row {index} would show .*, needed two concepts in order"):
        plan_test_row(world, "pairs", index)


def test_rows_that_differ_in_seed_role_or_index_alone_are_drawn_differently(world):
    row = plan_test_row(world, "natural", 5)
    variants = [
        row,
        *(dataclasses.replace(row, role=role) for role in ("corpus", "rendition", "pairs")),
        dataclasses.replace(row, index=6),
        dataclasses.replace(row, seed=22),
    ]
    assert len({draw_picture(variant) for variant in variants}) == len(variants)
    assert draw_picture(row) == draw_picture(dataclasses.replace(row))


def test_a_picture_is_a_jpeg_of_64_pixels_with_colours_at_full_resolution(world):
    with Image.open(io.BytesIO(draw_picture(plan_corpus_row(world, 0)))) as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (64, 64), "RGB")
        assert JpegImagePlugin.get_sampling(picture) == 0
        assert isinstance(picture, JpegImagePlugin.JpegImageFile)
        # The first step of the brightness table at quality 90, by the standard's formula (16 * 20 + 50) / 100.
        assert picture.quantization[0][0] == 3


def test_test_pairs_are_what_their_kind_says(world):
    pairs = choose_test_pairs(world, ROWS, held=60, rare=15, seen=200, rng=np.random.default_rng(1))
    assert Counter(pair.kind for pair in pairs) == {"held-out": 60, "rare": 15, "seen": 200}
    place = {name: i for i, name in enumerate(CONCEPTS)}
    single, expected = expected_counts(world, ROWS), expected_pair_counts(world, ROWS)
    for a, b, kind in pairs:
        i, j = place[a], place[b]
        assert a < b
        assert min(single[i], single[j]) >= 60
        assert not world.nested[i, j]
        assert world.held_out[i, j] == (kind == "held-out")
        assert expected[i, j] >= 1 if kind == "seen" else expected[i, j] < 0.5
    assert len({(a, b) for a, b, _ in pairs}) == len(pairs)
    for first, second in pairwise(pairs):
        assert first.kind != second.kind or first < second


def test_all_pairs_of_a_kind_are_taken_where_fewer_exist_than_asked_for(world):
    every = choose_test_pairs(world, ROWS, held=10**6, rare=10**6, seen=10**6, rng=np.random.default_rng(1))
    other = choose_test_pairs(world, ROWS, held=10**6, rare=10**6, seen=10**6, rng=np.random.default_rng(2))
    assert every == other
    common = expected_counts(world, ROWS) >= 60
    assert sum(pair.kind == "held-out" for pair in every) == (
        np.triu(world.held_out & np.outer(common, common)).sum()
    )


def test_a_lower_count_admits_more_pairs_and_another_generator_chooses_others(world):
    def choose(seed: int, minimum_count: float) -> list[ChosenPair]:
        rng = np.random.default_rng(seed)
        return choose_test_pairs(
            world, ROWS, held=10**6, rare=0, seen=0, rng=rng, minimum_count=minimum_count
        )

    assert set(choose(0, 60)) < set(choose(0, 20))
    some = [
        choose_test_pairs(world, ROWS, held=20, rare=0, seen=0, rng=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    ]
    assert some[0] == some[1] != some[2]
