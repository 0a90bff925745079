import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.splits.style_data import draw_world, features_of

from oddpair.errors import Refusal
from oddpair.splits.styles.deployment import bound_leak, give_shares
from oddpair.splits.styles.probe import fit_probe
from oddpair.splits.styles.sorting import report, sort_card, sort_corpus, sort_scores, split_labels

NATURAL, RENDITION, AMBIGUOUS = 0, 1, 2


def sort(x, codes, seed=0, **options):
    n = len(x)
    rows = options.pop("rows", np.arange(n))
    return sort_corpus(
        features_of(x), rows, codes, np.random.default_rng(seed), **{"fit": fit_probe, **options}
    )


def hide(codes, shown, seed=1):
    """Labels of so many rows."""
    labels = np.full(len(codes), -1, dtype=np.int8)
    chosen = np.random.default_rng(seed).permutation(len(codes))[:shown]
    labels[chosen] = codes[chosen]
    return labels


def test_a_row_is_sorted_by_the_one_classifier_that_accepts_it():
    scores = np.array([[2, 0], [0, 2], [2, 2], [0, 0], [1, 0], [0, 1]], dtype=float)
    assert sort_scores(scores, 1.0, 1.5).tolist() == [
        NATURAL, RENDITION, AMBIGUOUS, AMBIGUOUS, NATURAL, AMBIGUOUS,
    ]  # fmt: skip


@given(seed=st.integers(0, 10**6), low=st.floats(-2, 2), more=st.floats(0, 2), other=st.floats(-2, 2))
@settings(max_examples=40, deadline=None)
def test_the_classes_partition_the_rows_and_a_stricter_threshold_never_gains(seed, low, more, other):
    scores = np.random.default_rng(seed).normal(size=(60, 2))
    loose, strict = sort_scores(scores, low, other), sort_scores(scores, low + more, other)
    assert set(loose) | set(strict) <= {NATURAL, RENDITION, AMBIGUOUS}
    assert not ((strict == NATURAL) & (loose != NATURAL)).any()
    # It may release rows that both accepted to rendition, and takes none from there.
    assert not ((loose == RENDITION) & (strict != RENDITION)).any()
    mirrored = sort_scores(scores[:, ::-1], other, low)
    assert np.array([RENDITION, NATURAL, AMBIGUOUS])[mirrored].tolist() == loose.tolist()


@given(n=st.integers(10, 200), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_labels_are_split_in_three(n, seed):
    parts = split_labels(n, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert all(abs(len(part) - share * n) <= 1 for part, share in zip(parts, (0.4, 0.3, 0.3), strict=True))
    assert all((np.diff(part) > 0).all() for part in parts)


def test_too_few_labels_to_split_are_refused():
    with pytest.raises(Refusal, match="9 labelled rows cannot be split"):
        split_labels(9, np.random.default_rng(0))


def test_the_report_counts_by_hand():
    kept = np.arange(10) < 6
    codes = np.array([0, 0, 0, 0, 1, 2, 0, 1, 0, 2], dtype=np.int8)
    found = report(kept, codes, "natural")
    assert (found.rows, found.members, found.accepted, found.correct, found.opposite) == (10, 6, 6, 4, 1)
    assert found.precision == pytest.approx((0.2228, 0.9567), abs=1e-4)  # 4 of 6, 95 %
    assert found.recall == found.precision
    assert found.leak_bound == pytest.approx(0.5818, abs=1e-4)  # 1 of 6, one-sided 95 %
    found = report(~kept, codes, "rendition")
    assert (found.members, found.accepted, found.correct, found.opposite) == (2, 4, 1, 2)


def test_the_leak_of_labels_by_class_is_that_in_the_corpus():
    shares = give_shares({"natural": 0.9, "rendition": 0.05, "ambiguous": 0.05}, 0.95)
    codes = np.repeat(np.arange(3), 400).astype(np.int8)
    kept = np.isin(np.arange(1200), [*range(380), *range(400, 408)])  # 380 natural, 8 renditions
    by_class, random = report(kept, codes, "natural", shares=shares), report(kept, codes, "natural")
    assert by_class.leak_bound == bound_leak(
        np.array([380, 8, 0]), np.full(3, 400), shares, "natural", "rendition"
    )
    assert by_class.leak_bound < 0.005 < 8 / 388 < random.leak_bound


def test_where_nothing_is_kept_nothing_is_claimed():
    found = report(np.zeros(3, dtype=bool), np.full(3, 2, dtype=np.int8), "natural")
    assert (found.precision, found.leak_bound) == ((0.0, 1.0), 1.0)
    with pytest.raises(ValueError, match=r"both need \(n,\), n > 0"):
        report(np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int8), "natural")
    with pytest.raises(ValueError, match="style 'ambiguous' is neither of natural and rendition"):
        report(np.ones(1, dtype=bool), np.zeros(1, dtype=np.int8), "ambiguous")


def test_a_corpus_is_sorted_with_the_precision_that_was_asked_for():
    x, codes = draw_world(6000, seed=3)
    labels = hide(codes, 4000)
    found = sort(x, labels)
    untouched = labels < 0
    for code in (NATURAL, RENDITION):
        accepted = found.codes[untouched] == code
        assert (codes[untouched][accepted] == code).mean() >= 0.98
        assert accepted[codes[untouched] == code].mean() >= 0.9
    parts = (found.fit, found.threshold, found.report)
    assert [len(part) for part in parts] == [1600, 1200, 1200]
    assert sorted(np.concatenate(parts)) == np.flatnonzero(labels >= 0).tolist()
    assert found.natural.rows == 1200
    assert [part.rows for part in found.held_out] == [1200, 1200]
    card = dict(sort_card(found))
    assert card["rows sorted natural"] == f"{(found.codes == NATURAL).sum():,}"
    least = np.floor(1e4 * found.natural.lower_bound) / 1e4
    assert f"precision at least {least:.4f} at 95%" in card["natural threshold"]
    assert "at 95%" in card["other style among natural"]


def test_the_sort_does_not_depend_on_where_the_rows_lie():
    x, codes = draw_world(2000, seed=4)
    one = sort(x, codes)
    order = np.random.default_rng(9).permutation(2000)
    place = np.empty(2000, dtype=np.int64)
    place[order] = np.arange(2000)
    two = sort(x[order], codes, rows=place)
    assert two.codes.tolist() == one.codes.tolist()
    assert (two.natural, two.rendition, two.held_out) == (one.natural, one.rendition, one.held_out)


def test_rows_that_were_not_drawn_at_random_only_serve_to_fit():
    x, codes = draw_world(9000, seed=6)
    labels, sampled = hide(codes, 7000), np.arange(9000) % 2 == 0
    found = sort(x, labels, sampled=sampled)
    assert sampled[found.threshold].all()
    assert sampled[found.report].all()
    others = (labels >= 0) & ~sampled
    assert set(np.flatnonzero(others)) <= set(found.fit)
    assert len(found.fit) == others.sum() + round(0.4 * ((labels >= 0) & sampled).sum())


def test_labels_by_class_certify_the_precision_in_the_corpus():
    shares = (0.2, 0.2, 0.6)
    x, codes = draw_world(30_000, seed=7, shares=shares, distance=4.5)
    labels = np.full(len(codes), -1, dtype=np.int8)
    for code in range(3):
        labels[np.flatnonzero(codes == code)[:2000]] = code
    given = give_shares(dict(zip(("natural", "rendition", "ambiguous"), shares, strict=True)), 0.95)
    naive = sort(x, labels, precision=0.95)
    found = sort(x, labels, shares=given, precision=0.95)
    fresh = labels < 0
    for code, name in enumerate(("natural", "rendition")):
        score = found.scorer.score(features_of(x))[:, code]
        accepted = fresh & (score >= found.certificate(name).threshold)
        assert (codes[accepted] == code).mean() >= 0.95
        # What suffices among a third of each is not enough where ambiguous rows are three times as many.
        assert found.certificate(name).threshold > naive.certificate(name).threshold
    assert "precision in the corpus at least" in dict(sort_card(found))["natural threshold"]


def test_a_style_that_cannot_be_told_apart_is_refused_by_name():
    x, codes = draw_world(2000, seed=5, distance=0.3)
    with pytest.raises(Refusal, match=r"natural: precision 0\.98 is not certified"):
        sort(x, codes)
