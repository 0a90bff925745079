"""The same weights, pictures and prompts give what CLIP_benchmark gives; where they do not, why."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest
from tests.parity import peer
from tests.parity.conftest import MODELS, PER_CLASS, PER_RENDITION

from oddpair.eval.scoring.records import read_records

# Cosines in float32 and another order of sums; what a decision could turn on is far larger in all of these sets.
CLOSE = 2e-6
SCALE = 100.0
# What the peer calls a metric, by our name.
OURS = {"acc1": "top1", "acc5": "top5", "mean_per_class_recall": "mean_per_class"}


def records_of(one):
    return read_records(one.record_path, one.result.kind)


def in_order(one):
    """Rows of the records by the number in the picture's key, which is its place among the peer's."""
    table = records_of(one)
    numbers = [int(key.rpartition("/s")[2]) for key in table["key"].to_pylist()]
    assert sorted(numbers) == list(range(len(numbers)))
    return np.argsort(numbers)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["even", "uneven", "shown"])
def test_accuracies_are_the_same_to_the_last_digit(name, model, ours, theirs):
    found = ours[name, model].result
    measured = {metric: found.metric(our).estimate.value for metric, our in OURS.items()}
    assert measured == theirs[name, model].metrics


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["even", "uneven", "shown"])
def test_every_decision_is_the_same_and_every_score_up_to_rounding(name, model, ours, theirs):
    one, other = ours[name, model], theirs[name, model]
    rows = in_order(one)
    table = records_of(one).take(rows)
    cosines = other.scores.astype(np.float64) / SCALE
    assert table["target"].to_pylist() == other.right.tolist()
    top = np.array(table["top_classes"].to_pylist())
    assert np.array_equal(top, np.argsort(-cosines, axis=1, kind="stable")[:, :5])
    told = np.array(table["top_scores"].to_pylist())
    assert np.abs(told - np.take_along_axis(cosines, top, axis=1)).max() < CLOSE
    target = np.take_along_axis(cosines, other.right[:, None], axis=1)[:, 0]
    assert np.abs(table["target_score"].to_numpy() - target).max() < CLOSE
    assert table["n_greater"].to_pylist() == (cosines > target[:, None]).sum(axis=1).tolist()


@pytest.mark.parametrize("model", MODELS)
def test_recalls_are_the_same_as_float32_which_is_what_the_peer_averages_in(model, ours, theirs):
    found = ours["captions", model].result
    names = {"image_retrieval": "text_to_image", "text_retrieval": "image_to_text"}
    for metric, value in theirs["captions", model].metrics.items():
        task, _, at = metric.partition("_recall@")
        assert np.float32(found.metric(f"{names[task]}_recall@{at}").estimate.value) == np.float32(value), (
            metric
        )


@pytest.mark.parametrize("model", MODELS)
def test_the_rank_of_every_query_is_the_same(model, ours, theirs):
    one, other = ours["captions", model], theirs["captions", model]
    table, right = records_of(one), other.right.astype(bool)
    for direction, scores, positive in (
        ("text_to_image", other.scores, right),
        ("image_to_text", other.scores.T, right.T),
    ):
        asked = table.filter(pc.equal(table["direction"], direction))
        numbers = [int(key.rpartition("/s")[2]) for key in asked["key"].to_pylist()]
        order = np.lexsort((asked["caption"].to_numpy(), numbers))
        before = np.where(positive, -np.inf, scores) - np.where(positive, scores, -np.inf).max(
            axis=1, keepdims=True
        )
        found = asked["n_greater"].take(order).to_numpy()
        certain = np.abs(before).min(axis=1) > CLOSE
        assert certain.mean() > 0.9
        assert np.array_equal(found[certain], (before[certain] > 0).sum(axis=1))
        # Of some hundred others one may be as near as rounding, which then decides.
        assert np.all(((before > CLOSE).sum(axis=1) <= found) & (found <= (before > -CLOSE).sum(axis=1)))
        assert not any(asked["n_tied"].to_pylist())


def test_a_repeated_run_of_the_peer_with_its_four_loaders_agrees_as_well(ours, sets, models, tmp_path):
    again = peer.evaluate(
        [sets["uneven"]], models["shaken"], "zeroshot_classification", tmp_path / "out", loaders=4
    )
    found = ours["uneven", "shaken"].result
    # Its pictures come in another order, and a mean of recalls does not depend on that.
    assert again["uneven"].metrics == {name: found.metric(our).estimate.value for name, our in OURS.items()}


@pytest.mark.parametrize("model", MODELS)
def test_of_two_classes_with_one_name_the_peer_takes_any_and_oddpair_gives_each_its_half(model, ours, theirs):
    one, other = ours["twins", model], theirs["twins", model]
    table = records_of(one).take(in_order(one))
    assert np.array_equal(other.scores[:, 0], other.scores[:, 1])
    right, tied = other.right, table["n_tied"].to_numpy()
    assert np.array_equal(tied, np.isin(right, (0, 1)).astype(int))
    won = table["n_greater"].to_numpy() == 0
    half = one.result.metric("top1").estimate.value
    assert half == pytest.approx(np.mean(won / (1 + tied)), abs=1e-15)
    # Its recalls come from the first of the largest, its accuracy from a top-k that promises no order.
    recalls = [np.mean(won[right == number]) * (number != 1) for number in range(right.max() + 1)]
    assert other.metrics["mean_per_class_recall"] == pytest.approx(np.mean(recalls), abs=1e-15)
    assert np.mean(won & (tied == 0)) <= other.metrics["acc1"] <= np.mean(won)


@pytest.mark.parametrize("model", ["reference", "shaken"])
def test_captions_that_repeat_are_ties_here_and_a_matter_of_order_there(model, ours, theirs):
    one, other = ours["echoes", model], theirs["echoes", model]
    table = records_of(one)
    asked = table.filter(pc.equal(table["direction"], "image_to_text"))
    greater, tied = asked["n_greater"].to_numpy(), asked["n_tied"].to_numpy()
    # Each class's caption is there once for each of its pictures, and one of them is right.
    assert set(tied.tolist()) == {PER_CLASS + 4 * PER_RENDITION - 1}
    value = one.result.metric("image_to_text_recall@1").estimate.value
    assert value == pytest.approx(np.mean((greater == 0) / (1 + tied)), abs=1e-15)
    assert 0 <= other.metrics["text_retrieval_recall@1"] <= np.mean(greater == 0)


@pytest.mark.parametrize("model", MODELS)
def test_turned_and_transparent_pictures_are_scored_as_they_are_shown_and_the_peer_scores_what_is_stored(
    model, ours, theirs
):
    stored, shown = (records_of(ours[name, model]) for name in ("stored", "shown"))
    assert stored.drop_columns(["uid"]).equals(shown.drop_columns(["uid"]))
    rows = in_order(ours["stored", model])
    changed = (
        np.abs(theirs["stored", model].scores - theirs["shown", model].scores).max(axis=1) > SCALE * CLOSE
    )
    # Every second picture is stored as it is shown.
    assert changed[::2].all()
    assert not changed[1::2].any()
    assert len(rows) == len(changed)
