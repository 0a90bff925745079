from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.splits.certificate import Certificate, certify
from oddpair.splits.style import (
    CLASSES,
    StyleProbe,
    fit_style,
    report,
    scores,
    sort_corpus,
    sort_styles,
    split_labels,
)


def draw_world(
    n: int, seed: int, distance: float = 5.0, d: int = 8
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Three Gaussian clouds with LAION-like shares; ambiguous lies between the other two."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array(CLASSES), size=n, p=[0.5, 0.35, 0.15])
    x = rng.normal(size=(n, d))
    x[:, 0] += distance * np.select([labels == "natural", labels == "rendition"], [1.0, -1.0], 0.0)
    x[:, 1] += distance * (labels == "ambiguous")
    return x * np.arange(1, d + 1) + 3, labels


def certificate(threshold: float) -> Certificate:
    return replace(certify(np.linspace(-9, 9, 400), np.ones(400, dtype=bool)), threshold=threshold)


def probe_of_two_columns() -> StyleProbe:
    """A probe whose scores are the features themselves."""
    return StyleProbe(
        mean=np.zeros(2),
        scale=np.ones(2),
        weights=np.eye(2),
        intercepts=np.zeros(2),
        unseen_scores=np.zeros((1, 2)),
        labels=np.array(["natural"]),
    )


def test_each_probe_scores_its_own_class_highest():
    x, labels = draw_world(900, seed=0)
    found = scores(fit_style(x, labels), x)
    assert found.shape == (900, 2)
    assert ((found[:, 0] > 0) == (labels == "natural")).mean() > 0.97
    assert ((found[:, 1] > 0) == (labels == "rendition")).mean() > 0.97


def test_the_scores_are_those_of_a_standardised_logistic_regression():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, labels = draw_world(300, seed=1, distance=2.0)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)).fit(
        x, labels == "rendition"
    )
    np.testing.assert_allclose(
        scores(fit_style(x, labels), x)[:, 1], reference.decision_function(x), atol=1e-6
    )


def test_fitting_twice_gives_the_same_bytes():
    x, labels = draw_world(300, seed=2)
    one, two = fit_style(x, labels), fit_style(x, labels)
    for name in one.__slots__:
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


def test_a_constant_feature_is_harmless():
    x, labels = draw_world(300, seed=2)
    x[:, 7] = 4.0
    assert np.isfinite(scores(fit_style(x, labels), x)).all()


def test_scores_of_the_fit_rows_come_from_probes_that_did_not_see_them():
    rng = np.random.default_rng(0)
    x, labels = (
        rng.normal(size=(120, 100)),
        np.array(CLASSES * 40),
    )  # nothing to learn, everything to remember
    probe = fit_style(x, labels)
    remembered = (
        (scores(probe, x)[:, 0] > np.quantile(scores(probe, x)[:, 0], 2 / 3)) == (labels == "natural")
    ).mean()
    cut = np.quantile(probe.unseen_scores[:, 0], 2 / 3)
    unseen = ((probe.unseen_scores[:, 0] > cut) == (labels == "natural")).mean()
    assert remembered > 0.9
    assert unseen < 0.7


@pytest.mark.parametrize("missing", ["natural", "rendition"])
def test_a_class_without_rows_is_refused_by_name(missing):
    x, labels = draw_world(100, seed=0)
    keep = labels != missing
    with pytest.raises(
        Refusal, match=f"no row of the {keep.sum()} to fit the style probe is labelled {missing}"
    ):
        fit_style(x[keep], labels[keep])


def test_labels_without_an_ambiguous_row_are_enough_to_fit():
    x, labels = draw_world(400, seed=0)
    keep = labels != "ambiguous"
    found = scores(fit_style(x[keep], labels[keep]), x[keep])
    assert ((found[:, 0] > found[:, 1]) == (labels[keep] == "natural")).mean() > 0.99


def test_unknown_labels_and_broken_features_are_errors():
    x, labels = draw_world(100, seed=0)
    with pytest.raises(ValueError, match="label 'photo' is none of natural, rendition, ambiguous"):
        fit_style(x, np.where(labels == "natural", "photo", labels))
    with pytest.raises(ValueError, match="features have 99 rows, labels have shape"):
        fit_style(x[:99], labels)
    x[3, 0] = np.nan
    with pytest.raises(ValueError, match="features at row 3 are not finite"):
        fit_style(x, labels)
    with pytest.raises(ValueError, match=r"features have shape \(0, 8\)"):
        scores(probe_of_two_columns(), np.zeros((0, 8)))
    with pytest.raises(ValueError, match="features have dimension 3, the probe has 2"):
        scores(probe_of_two_columns(), np.zeros((1, 3)))


def test_a_row_is_sorted_by_the_one_probe_that_accepts_it():
    features = np.array([[2, 0], [0, 2], [2, 2], [0, 0], [1, 0], [0, 1]])
    found = sort_styles(probe_of_two_columns(), features, certificate(1.0), certificate(1.5))
    assert found.tolist() == ["natural", "rendition", "ambiguous", "ambiguous", "natural", "ambiguous"]


@given(seed=st.integers(0, 10**6), low=st.floats(-2, 2), more=st.floats(0, 2), other=st.floats(-2, 2))
@settings(max_examples=40, deadline=None)
def test_the_classes_partition_the_rows_and_a_stricter_probe_never_gains(seed, low, more, other):
    features = np.random.default_rng(seed).normal(size=(60, 2))
    probe = probe_of_two_columns()
    loose = sort_styles(probe, features, certificate(low), certificate(other))
    strict = sort_styles(probe, features, certificate(low + more), certificate(other))
    assert set(loose) | set(strict) <= set(CLASSES)
    assert not ((strict == "natural") & (loose != "natural")).any()
    assert not (
        (loose == "rendition") & (strict != "rendition")
    ).any()  # it may release rows, never take them
    mirrored = sort_styles(probe, features[:, ::-1], certificate(other), certificate(low))
    swap = {"natural": "rendition", "rendition": "natural", "ambiguous": "ambiguous"}
    assert [swap[name] for name in mirrored] == loose.tolist()


@given(n=st.integers(10, 200), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_labels_are_split_in_three_without_regard_to_their_order(n, seed):
    uids = [f"{value:04x}" for value in np.random.default_rng(seed).permutation(n)]
    parts = split_labels(uids, ["natural"] * n, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert [abs(len(part) - share * n) <= 1 for part, share in zip(parts, (0.4, 0.3, 0.3), strict=True)] == [
        True
    ] * 3
    assert all((np.diff(part) > 0).all() for part in parts)
    ordered = sorted(uids)
    again = split_labels(ordered, ["natural"] * n, np.random.default_rng(seed))
    for part, other in zip(parts, again, strict=True):
        assert {uids[i] for i in part} == {ordered[i] for i in other}


def test_labels_that_cannot_be_split_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(Refusal, match="9 labelled rows cannot be split"):
        split_labels(list("abcdefghi"), ["natural"] * 9, rng)
    with pytest.raises(Refusal, match="uid 'a' is labelled twice, at rows 0 and 9: keep one"):
        split_labels(list("abcdefghia"), ["natural"] * 10, rng)
    with pytest.raises(ValueError, match="10 uids, 9 labels"):
        split_labels(list("abcdefghij"), ["natural"] * 9, rng)


def test_the_report_counts_by_hand():
    classes = ["natural"] * 6 + ["rendition"] * 2 + ["ambiguous"] * 2
    labels = ["natural"] * 4 + ["rendition", "ambiguous", "natural", "rendition", "natural", "ambiguous"]
    found = report(classes, labels, "natural")
    assert (found.rows, found.members, found.accepted, found.correct, found.opposite) == (10, 6, 6, 4, 1)
    assert found.precision == pytest.approx((0.2228, 0.9567), abs=1e-4)  # 4 of 6, 95 %
    assert found.recall == found.precision
    assert found.leak_bound == pytest.approx(0.5818, abs=1e-4)  # 1 of 6, one-sided 95 %
    found = report(classes, labels, "rendition")
    assert (found.members, found.accepted, found.correct, found.opposite) == (2, 2, 1, 1)


def test_where_nothing_is_accepted_nothing_is_claimed():
    found = report(["ambiguous"] * 3, ["natural"] * 3, "natural")
    assert (found.precision, found.leak_bound) == ((0.0, 1.0), 1.0)
    with pytest.raises(ValueError, match=r"both need \(n,\), n > 0"):
        report([], [], "natural")
    with pytest.raises(ValueError, match="style 'ambiguous' is neither of natural and rendition"):
        report(["natural"], ["natural"], "ambiguous")


def test_a_corpus_is_sorted_with_the_precision_that_was_asked_for():
    x, labels = draw_world(6000, seed=3)
    uids = [f"{row:05d}" for row in range(6000)]
    chosen = np.random.default_rng(1).permutation(6000)[:4000]
    by_hand = {uids[row]: str(labels[row]) for row in chosen}
    found = sort_corpus(x, uids, by_hand, np.random.default_rng(0))
    untouched = np.setdiff1d(np.arange(6000), chosen)
    for style in ("natural", "rendition"):
        accepted = found.classes[untouched] == style
        assert (labels[untouched][accepted] == style).mean() >= 0.98
        assert accepted[labels[untouched] == style].mean() >= 0.9
    parts = (found.fit, found.threshold, found.report)
    assert [len(part) for part in parts] == [1600, 1200, 1200]
    assert sorted(np.concatenate(parts)) == sorted(chosen)
    assert found.natural.rows == 1200
    assert [part.rows for part in found.held_out] == [1200, 1200]
    card = dict(found.card)
    assert card["rows sorted natural"] == f"{(found.classes == 'natural').sum():,}"
    assert f"precision at least {found.natural.lower_bound:.4f} at 95%" in card["natural threshold"]
    assert "at 95%" in card["other style among natural"]


def test_the_sort_does_not_depend_on_the_order_of_the_corpus():
    x, labels = draw_world(2000, seed=4)
    uids = [f"{row:05d}" for row in range(2000)]
    by_hand = dict(zip(uids, labels.tolist(), strict=True))
    one = sort_corpus(x, uids, by_hand, np.random.default_rng(0))
    order = np.random.default_rng(9).permutation(2000)
    shuffled = [uids[row] for row in order]
    two = sort_corpus(x[order], shuffled, by_hand, np.random.default_rng(0))
    assert two.classes.tolist() == one.classes[order].tolist()
    assert {shuffled[row] for row in two.report} == {uids[row] for row in one.report}


def test_labels_of_another_corpus_are_refused():
    x, _ = draw_world(20, seed=4)
    by_hand = dict.fromkeys(["nowhere", "elsewhere"], "natural")
    with pytest.raises(Refusal, match="2 labelled uids are not in the corpus, such as 'elsewhere'"):
        sort_corpus(x, [str(row) for row in range(20)], by_hand, np.random.default_rng(0))
    with pytest.raises(ValueError, match="features have 20 rows, 19 uids"):
        sort_corpus(x, [str(row) for row in range(19)], {}, np.random.default_rng(0))


def test_a_style_that_cannot_be_told_apart_is_refused_by_name():
    x, labels = draw_world(2000, seed=5, distance=0.3)
    uids = [f"{row:05d}" for row in range(2000)]
    with pytest.raises(Refusal, match=r"natural: precision 0\.98 is not certified"):
        sort_corpus(x, uids, dict(zip(uids, labels.tolist(), strict=True)), np.random.default_rng(0))
