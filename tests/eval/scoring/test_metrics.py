import numpy as np
import pyarrow as pa
import pytest
from tests.eval.scoring.scored import SCALE, ask_every_kind, choice, classes, labels, retrieval, units

from oddpair.benchmarks.evaluation_set import KINDS
from oddpair.errors import Refusal
from oddpair.eval.results import MAIN
from oddpair.eval.scoring.metrics import clusters_of, credit, measure
from oddpair.eval.scoring.spread import BOOTSTRAP, EXACT


def measured(table, kind, n_classes=0, cluster="image"):
    found = measure(table, kind, cluster=cluster, n_classes=n_classes, seed=1, logit_scale=SCALE)
    return {metric.name: metric for metric in found}


@pytest.fixture(scope="module")
def every_kind():
    return ask_every_kind(np.random.default_rng(3))


@pytest.mark.parametrize("kind", KINDS)
def test_the_main_metric_comes_first_and_is_the_mean_credit(kind, every_kind):
    table, n_classes = every_kind[kind]
    name, first = next(iter(measured(table, kind, n_classes).items()))
    assert name == MAIN[kind]
    if kind == "retrieval":
        table = table.filter(np.array(table["direction"].to_pylist()) == "text_to_image")
    if kind != "multilabel":
        assert first.estimate.value == credit(table, kind).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_lies_in_its_interval_and_within_0_and_1(kind, every_kind):
    table, n_classes = every_kind[kind]
    for metric in measured(table, kind, n_classes).values():
        assert 0 <= metric.estimate.low <= metric.estimate.value <= metric.estimate.high <= 1


def test_top1_top5_and_mean_per_class_are_those_of_a_sort(rng):
    images, vectors, target = units(rng, 400, 8), units(rng, 12, 8), rng.integers(12, size=400)
    found = measured(classes(images, vectors, target), "classification", 12)
    order = np.argsort(-(images.astype(float) @ vectors.astype(float).T), axis=1)
    right = order[:, 0] == target
    assert found["top1"].estimate.value == right.mean()
    assert found["top5"].estimate.value == (order[:, :5] == target[:, None]).any(1).mean()
    assert found["mean_per_class"].estimate.value == pytest.approx(
        np.mean([right[target == c].mean() for c in range(12)])
    )
    assert [found[name].chance for name in ("top1", "top5", "mean_per_class", "calibration_error")] == [
        pytest.approx(1 / 12), pytest.approx(5 / 12), pytest.approx(1 / 12), None,
    ]  # fmt: skip
    assert found["top1"].interval == EXACT


def test_the_mean_per_class_is_top1_where_classes_are_of_one_size(rng):
    target = np.arange(120) % 6
    found = measured(classes(units(rng, 120, 8), units(rng, 6, 8), target), "classification", 6)
    assert found["mean_per_class"].estimate.value == pytest.approx(found["top1"].estimate.value, abs=1e-12)


def test_there_is_no_top5_among_five_classes(rng):
    table = classes(units(rng, 20, 8), units(rng, 5, 8), np.arange(20) % 5)
    assert list(measured(table, "classification", 5)) == ["top1", "mean_per_class", "calibration_error"]


def test_confidence_is_the_softmax_of_scaled_scores(rng):
    images, vectors, target = units(rng, 300, 4), units(rng, 5, 4), np.arange(300) % 5
    table = classes(images, vectors, target, logit_scale=4.0)
    found = measure(table, "classification", cluster="image", n_classes=5, seed=0, logit_scale=4.0)[-1]
    logits = 4.0 * images.astype(float) @ vectors.astype(float).T
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence, right = softmax.max(1), logits.argmax(1) == target
    bins = np.ceil(confidence * 15)
    wanted = sum(abs((right[bins == b] - confidence[bins == b]).sum()) for b in np.unique(bins)) / 300
    assert found.name == "calibration_error"
    assert found.estimate.value == pytest.approx(wanted, abs=1e-6)


def test_recall_and_its_chance_are_those_of_a_sort_and_of_drawn_rankings(rng):
    n, owner = 30, np.repeat(np.arange(30), rng.integers(1, 4, size=30))
    images, texts = units(rng, n, 8), units(rng, len(owner), 8)
    found = measured(retrieval(images, texts, owner), "retrieval")
    scores = images.astype(float) @ texts.astype(float).T
    for k in (1, 5, 10):
        to_text = [(owner[np.argsort(-row)[:k]] == image).any() for image, row in enumerate(scores)]
        to_image = [owner[text] in np.argsort(-column)[:k] for text, column in enumerate(scores.T)]
        assert found[f"image_to_text_recall@{k}"].estimate.value == pytest.approx(np.mean(to_text))
        assert found[f"text_to_image_recall@{k}"].estimate.value == pytest.approx(np.mean(to_image))
        assert found[f"text_to_image_recall@{k}"].chance == pytest.approx(k / n)
        rankings = np.array([rng.permutation(owner)[:k] for _ in range(4000)])
        drawn = np.mean([(rankings == image).any(axis=1).mean() for image in range(n)])
        assert found[f"image_to_text_recall@{k}"].chance == pytest.approx(drawn, abs=0.01)


def test_captions_of_a_picture_are_drawn_together(every_kind):
    found = measured(every_kind["retrieval"][0], "retrieval")
    assert found["text_to_image_recall@10"].interval == BOOTSTRAP
    assert found["image_to_text_recall@10"].interval == EXACT


def test_choices_of_one_picture_have_an_accuracy_by_category(rng):
    table = choice(list(units(rng, 40, 1, 8)), list(units(rng, 40, 5, 8)))
    found = measured(table, "choice")
    assert list(found) == ["accuracy", "accuracy/replace", "accuracy/swap"]
    assert found["accuracy"].chance == pytest.approx(0.2)
    earned = credit(table, "choice")
    assert found["accuracy/swap"].estimate.value == earned[1::2].mean()
    assert found["accuracy/swap"].estimate.n == 20


def test_choices_of_two_pictures_have_the_scores_of_winoground(every_kind):
    found = measured(every_kind["choice"][0], "choice")
    assert list(found)[:4] == ["accuracy", "text_score", "image_score", "group_score"]
    assert found["accuracy"].estimate.value == found["text_score"].estimate.value
    smaller = min(found[name].estimate.value for name in ("text_score", "image_score"))
    assert found["group_score"].estimate.value <= smaller


def test_questions_that_share_a_picture_are_drawn_together(rng):
    images, captions = list(units(rng, 60, 1, 8)), list(units(rng, 60, 2, 8))
    table = choice(images, captions, uids=[f"u{row // 3}" for row in range(60)])
    assert measured(table, "choice")["accuracy"].interval == BOOTSTRAP


def test_clusters_are_pictures_classes_or_unordered_pairs(every_kind):
    table = every_kind["pairs"][0]
    target, partner = table["target"].to_numpy(), table["partner"].to_numpy()
    assert clusters_of(table, "pairs", "image").tolist() == list(range(table.num_rows))
    np.testing.assert_array_equal(
        clusters_of(table, "pairs", "class"), np.unique(target, return_inverse=True)[1]
    )
    names = [tuple(sorted(pair)) for pair in zip(target.tolist(), partner.tolist(), strict=True)]
    place = {pair: number for number, pair in enumerate(sorted(set(names)))}
    assert clusters_of(table, "pairs", "pair").tolist() == [place[pair] for pair in names]


@pytest.mark.parametrize(
    ("kind", "cluster"), [("retrieval", "class"), ("classification", "pair"), ("choice", "x")]
)
def test_a_cluster_that_records_do_not_know_is_an_error(kind, cluster, every_kind):
    with pytest.raises(ValueError, match=f"records of {kind} know no cluster '{cluster}'"):
        clusters_of(every_kind[kind][0], kind, cluster)


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_records_of_more_classes_than_the_task_has_are_refused(kind, every_kind):
    with pytest.raises(Refusal, match="the task has 4"):
        measured(every_kind[kind][0], kind, 4)


def test_records_that_lack_a_picture_s_captions_are_refused(every_kind):
    table = every_kind["retrieval"][0]
    kept = table.filter(np.array(table["key"].to_pylist()) != "k00000")
    some = pa.concat_tables([table.slice(0, 1), kept])
    with pytest.raises(Refusal, match="lack the queries of a picture"):
        measured(some, "retrieval")


def test_a_set_in_which_no_picture_shows_a_class_is_refused(rng):
    with pytest.raises(Refusal, match="no picture shows any class"):
        measured(labels(units(rng, 4, 8), units(rng, 3, 8), [[]] * 4), "multilabel", 3)


def test_several_labels_have_no_credit(every_kind):
    with pytest.raises(ValueError, match="multilabel has no credit"):
        credit(every_kind["multilabel"][0], "multilabel")
