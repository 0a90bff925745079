import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eval.ranking.ranked_models import FAMILIES, answer, answer_all, known

from oddpair.eval.comparing.draws import code_clusters, draw_means
from oddpair.eval.intervals import widen_confidence
from oddpair.eval.ranking.macro import macro_score
from oddpair.eval.ranking.standings import rank, seed_of
from oddpair.retrieval.proportion import clopper_pearson

ONE_TASK = {"family": ("task",)}


def rank_columns(clusters=None, **columns):
    def ask(credit):
        return {"task": answer(credit, range(len(credit)) if clusters is None else clusters)}

    return rank({name: ask(credit) for name, credit in columns.items()}, ONE_TASK, seed=0)


def test_scores_are_macro_means_and_places_their_order():
    models = answer_all([0, 1.5, -1, 0.7], seed=0)
    standings = rank(models, FAMILIES, seed=0, draws=200).standings
    for one in standings:
        means = {task: answers.credit.mean() for task, answers in models[one.name].items()}
        assert one.score.value == pytest.approx(macro_score(means, FAMILIES))
        assert one.families["far"].value == pytest.approx((means["far"] + means["farther"]) / 2)
        assert {task: found.value for task, found in one.tasks.items()} == pytest.approx(means)
        assert one.score.n == sum(map(len, models[one.name].values()))
        for found in (one.score, *one.families.values(), *one.tasks.values()):
            assert 0 <= found.low < found.value < found.high <= 1
    assert [one.name for one in standings] == ["m1", "m3", "m0", "m2"]
    assert [one.place for one in standings] == [1, 2, 3, 4]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.permutations(["m0", "m1", "m2", "m3", "m4"]))
def test_ranks_and_bands_are_counted_from_the_pairs_whatever_the_order_of_the_entries(seed, order):
    models = answer_all([1.5, 1, 0.5, 0, 0], seed=seed)
    found = rank(models, FAMILIES, seed=1, draws=200)
    again = rank({name: models[name] for name in order}, FAMILIES, seed=1, draws=200)
    assert again.standings == found.standings
    made = known(found.pairs)
    pairs = zip(made.first, made.second, made.separated, strict=True)
    apart = {(first, second) for first, second, separated in pairs if separated}
    left, bands = list(range(5)), []
    while left:
        bands.append([each for each in left if (left[0], each) not in apart])
        left = [each for each in left if each not in bands[-1]]
    for row, one in enumerate(found.standings):
        assert one.low == 1 + sum((better, row) in apart for better in range(5))
        assert one.high == 5 - sum((row, worse) in apart for worse in range(5))
        assert one.low <= one.place <= one.high
        assert row in bands[one.band - 1]


def test_an_entrys_numbers_do_not_change_with_its_company():
    models = answer_all([1, 0.5, 0], seed=3)
    alone = rank({"m1": models["m1"]}, FAMILIES, seed=5).standings[0]
    among = rank(models, FAMILIES, seed=5).standings[1]
    for name in ("score", "families", "tasks"):
        one, other = (dataclasses.asdict(each)[name] for each in (alone, among))
        for left, right in (
            [(one, other)] if name == "score" else zip(one.values(), other.values(), strict=True)
        ):
            assert left == pytest.approx(right)


def test_a_copy_shares_the_rank_of_its_original_and_the_alphabet_parts_them():
    rng = np.random.default_rng(0)
    best, other = rng.random(400) < 0.9, rng.random(400) < 0.5
    found = rank_columns(zebra=best, ape=best, mouse=other)
    assert [(one.name, one.place, one.low, one.high, one.band) for one in found.standings] == [
        ("ape", 1, 1, 2, 1),
        ("zebra", 2, 1, 2, 1),
        ("mouse", 3, 3, 3, 2),
    ]


def test_equal_scores_by_sums_in_another_order_are_alphabetical():
    tenths = {"near": answer([0.1] * 3, "abc", "n"), "far": answer([0.7] * 3, "abc", "f")}
    turned = {"near": answer([0.7] * 3, "abc", "n"), "far": answer([0.1] * 3, "abc", "f")}
    families = {"near": ("near",), "far": ("far",)}
    for names in (("a", "b"), ("b", "a")):
        found = rank(dict(zip(names, (tenths, turned), strict=True)), families, seed=0, draws=50)
        assert [one.name for one in found.standings] == ["a", "b"]


def test_one_model_has_the_first_place_and_no_model_leaves_no_standings():
    found = rank_columns(only=[1, 0, 1])
    assert [(one.place, one.low, one.high, one.band) for one in found.standings] == [(1, 1, 1, 1)]
    assert found.pairs is None
    assert rank({}, ONE_TASK, seed=0).standings == ()


def test_a_model_that_lacks_a_task_is_not_ranked():
    models = answer_all([0, 1], seed=0)
    del models["m1"]["far"]
    with pytest.raises(ValueError, match="m1 lacks far: only models with every task are ranked"):
        rank(models, FAMILIES, seed=0)


def test_always_right_and_always_wrong_reach_as_far_as_clopper_and_pearsons_bound():
    right, wrong = rank_columns(right=np.ones(50), wrong=np.zeros(50)).standings
    bound = clopper_pearson(0, 50, 0.975, "upper")
    assert (right.score.low, right.score.high) == pytest.approx((1 - bound, 1))
    assert (wrong.score.low, wrong.score.high) == pytest.approx((0, bound))
    assert (right.low, right.high, wrong.low, wrong.high) == (1, 1, 2, 2)


def test_a_model_that_is_half_right_in_every_cluster_is_not_known_exactly():
    (half,) = rank_columns(half=np.tile([1, 0], 30), clusters=np.repeat(np.arange(30), 2)).standings
    bound = clopper_pearson(0, 30, 0.975, "upper")
    assert (half.score.low, half.score.high) == pytest.approx((0.5 - bound, 0.5 + bound))


def test_a_task_of_one_cluster_leaves_the_interval_open():
    (one,) = rank_columns(one=[1, 0, 1], clusters="aaa").standings
    assert (one.score.low, one.score.high) == (0, 1)


def test_intervals_are_percentiles_of_draws_that_all_tasks_share():
    models = answer_all([0.5, 0], seed=4)
    ranked = {one.name: one for one in rank(models, FAMILIES, seed=8).standings}
    tail = (1 - widen_confidence(0.95, 20)) / 2
    for name, model in models.items():
        sides = [model[task] for task in ("near", "far", "farther")]
        codes, n_clusters = code_clusters(sides)
        near, far, farther = draw_means([side.credit for side in sides], codes, n_clusters, 8).T
        samples = near / 2 + (far + farther) / 4
        score = ranked[name].score
        assert score.low == pytest.approx(np.quantile(samples, tail, method="lower"))
        assert score.high == pytest.approx(np.quantile(samples, 1 - tail, method="higher"))
        family = ranked[name].families["far"]
        assert family.low == pytest.approx(np.quantile((far + farther) / 2, tail, method="lower"))
        # Fewer clusters than in the other tasks widen its own interval alone.
        alone = ranked[name].tasks["near"]
        tail_alone = (1 - widen_confidence(0.95, 30)) / 2
        assert alone.low == pytest.approx(np.quantile(near, tail_alone, method="lower"))


def test_all_true_ranks_lie_in_their_intervals_on_nearly_every_leaderboard():
    boards, skills = 60, [1.0, 1.0, 0.6, 0.6, 0.0]
    best_worst = [(1, 2), (1, 2), (3, 4), (3, 4), (5, 5)]
    held = width = 0
    for seed in range(boards):
        standings = rank(answer_all(skills, seed=seed, n_pairs=40), FAMILIES, seed=seed, draws=400).standings
        held += all(
            one.low <= best_worst[int(one.name[1:])][0] and best_worst[int(one.name[1:])][1] <= one.high
            for one in standings
        )
        width += sum(one.high - one.low for one in standings)
    assert held / boards > 0.94 - 3 * (0.05 * 0.95 / boards) ** 0.5
    # They say something: intervals are a third shorter than no knowledge at all.
    assert width / boards < 2 / 3 * 5 * 4


def test_the_seed_is_of_the_versions_alone():
    assert seed_of({"a": 1, "b": 2}) == seed_of({"b": 2, "a": 1})
    assert len({seed_of({"a": 1}), seed_of({"a": 2}), seed_of({"b": 1})}) == 3
