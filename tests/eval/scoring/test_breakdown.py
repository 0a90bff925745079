import numpy as np
import pytest
from scipy.stats import binomtest
from tests.eval.scoring.scored import SCALE, ask_every_kind

from oddpair.eval.scoring.breakdown import break_down
from oddpair.eval.scoring.metrics import credit, measure

NAMES = ["owl", "ant", "cat", "dog", "elk", "fox", "bee", "hen", "jay"]


@pytest.fixture(scope="module")
def every_kind():
    return ask_every_kind(np.random.default_rng(3))


def test_classes_and_styles_have_their_share_and_the_exact_interval(every_kind):
    table = every_kind["classification"][0]
    found = break_down(table, "classification", NAMES)
    assert list(found) == ["by-style", "by-class"]
    earned, target = credit(table, "classification"), table["target"].to_numpy()
    rows = found["by-class"].to_pylist()
    assert [row["class"] for row in rows] == sorted(NAMES)
    for row in rows:
        own = earned[target == NAMES.index(row["class"])]
        exact = binomtest(int(own.sum()), len(own)).proportion_ci(0.95)
        assert (row["n"], row["value"]) == (len(own), pytest.approx(own.mean()))
        assert (row["low"], row["high"]) == (pytest.approx(exact.low), pytest.approx(exact.high))
    assert found["by-style"]["style"].to_pylist() == ["natural", "sketch"]


@pytest.mark.parametrize("kind", ["classification", "pairs", "retrieval", "choice"])
def test_groups_add_up_to_all_questions_and_all_credit(kind, every_kind):
    table, n_classes = every_kind[kind]
    for group in break_down(table, kind, NAMES[:n_classes]).values():
        n = group["n"].to_numpy()
        assert n.sum() == table.num_rows
        assert (n * group["value"].to_numpy()).sum() == pytest.approx(credit(table, kind).sum())


def test_pairs_are_told_by_concept_and_by_unordered_pair(every_kind):
    found = break_down(every_kind["pairs"][0], "pairs", NAMES[:7])
    assert list(found) == ["by-style", "by-concept", "by-pair"]
    first, second = found["by-pair"]["first"].to_pylist(), found["by-pair"]["second"].to_pylist()
    assert all(a < b for a, b in zip(first, second, strict=True))
    assert found["by-concept"].num_rows == 7


def test_retrieval_is_told_by_direction_and_style(every_kind):
    rows = break_down(every_kind["retrieval"][0], "retrieval", ())["by-style"].to_pylist()
    assert [(row["direction"], row["style"]) for row in rows] == [
        ("image_to_text", "natural"),
        ("image_to_text", "sketch"),
        ("text_to_image", "natural"),
        ("text_to_image", "sketch"),
    ]


def test_there_is_no_table_of_styles_where_none_is_known(every_kind):
    assert list(break_down(every_kind["choice"][0], "choice", ())) == ["by-category"]


def test_average_precisions_of_classes_have_the_metric_as_their_mean(every_kind):
    table, n_classes = every_kind["multilabel"]
    rows = break_down(table, "multilabel", NAMES[:5])["by-class"].to_pylist()
    metric = measure(table, "multilabel", cluster="image", n_classes=n_classes, seed=0, logit_scale=SCALE)[0]
    assert [row["class"] for row in rows] == sorted(NAMES[:5])
    assert np.mean([row["value"] for row in rows]) == pytest.approx(metric.estimate.value)
    assert all(row["low"] < row["value"] < row["high"] for row in rows)
    assert sum(row["n"] for row in rows) == sum(map(len, table["labels"].to_pylist()))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("classification", "name class 8, there are names of 3"),
        ("multilabel", "score 5 classes, there are names of 3"),
    ],
)
def test_more_classes_than_names_are_an_error(kind, message, every_kind):
    with pytest.raises(ValueError, match=message):
        break_down(every_kind[kind][0], kind, NAMES[:3])
