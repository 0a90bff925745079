import functools
from collections.abc import Callable

import numpy as np
import pytest
from tests.splits.style_data import draw_world, features_of

from oddpair.errors import Refusal
from oddpair.splits.styles.centroid import fit_centroids
from oddpair.splits.styles.knn import fit_neighbours
from oddpair.splits.styles.probe import fit_probe
from oddpair.splits.styles.scorer import StyleScorer

FITS: dict[str, Callable[..., StyleScorer]] = {
    "probe": fit_probe,
    "density-ratio": functools.partial(fit_probe, balanced=True),
    "centroid": fit_centroids,
    "knn": functools.partial(fit_neighbours, k=9),
}


def unit(x):
    return (x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)).astype(np.float16)


def draw(n, seed, distance=5.0):
    """Directions of three styles, as classifiers of embeddings see them."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, size=n, p=(0.5, 0.35, 0.15)).astype(np.int8)
    return unit(distance * np.eye(8)[codes] + rng.normal(size=(n, 8))), codes


@pytest.fixture(params=FITS)
def fit(request):
    return FITS[request.param]


def test_rows_are_told_apart_by_scores_that_are_higher_for_the_class(fit):
    x, codes = draw(900, seed=0)
    rows = np.arange(600)
    found = fit(features_of(x), rows, codes[:600]).score(features_of(x))
    assert found.shape == (900, 2)
    for column in (0, 1):
        of_class = codes[600:] == column
        scores = found[600:, column]
        assert scores[of_class].min() > np.quantile(scores[~of_class], 0.99)


def test_scores_of_a_row_do_not_depend_on_the_rows_about_it(fit):
    x, codes = draw(300, seed=1, distance=2.0)
    scorer = fit(features_of(x), np.arange(200), codes[:200])
    whole = scorer.score(features_of(x))
    order = np.random.default_rng(2).permutation(300)
    assert scorer.score(features_of(x[order])).tobytes() == whole[order].tobytes()
    assert scorer.score(features_of(x[17:18])).tobytes() == whole[17:18].tobytes()


def test_scores_of_the_fit_rows_come_from_classifiers_that_did_not_see_them(fit):
    rng = np.random.default_rng(0)
    x, codes = unit(rng.normal(size=(150, 100))), np.arange(150).astype(np.int8) % 3  # nothing to learn
    scorer = fit(features_of(x), np.arange(150), codes)
    assert scorer.unseen.shape == (150, 2)
    cut = np.quantile(scorer.unseen[:, 0], 2 / 3)
    assert ((scorer.unseen[:, 0] > cut) == (codes == 0)).mean() < 0.7
    seen = scorer.score(features_of(x))[:, 0]
    assert ((seen > np.quantile(seen, 2 / 3)) == (codes == 0)).mean() > 0.7


def test_fitting_twice_gives_the_same_bytes(fit):
    x, codes = draw(200, seed=3, distance=2.0)
    one, two = (fit(features_of(x), np.arange(200), codes) for _ in range(2))
    assert one.unseen.tobytes() == two.unseen.tobytes()
    assert one.score(features_of(x)).tobytes() == two.score(features_of(x)).tobytes()


@pytest.mark.parametrize(("missing", "name"), [(0, "natural"), (1, "rendition")])
def test_a_class_without_rows_is_refused_by_name(fit, missing, name):
    x, codes = draw(100, seed=0)
    rows = np.flatnonzero(codes != missing)
    with pytest.raises(
        Refusal, match=f"no row of the {len(rows)} to fit the style classifier is labelled {name}"
    ):
        fit(features_of(x), rows, codes[rows])


def test_labels_without_an_ambiguous_row_are_enough(fit):
    x, codes = draw(400, seed=0)
    rows = np.flatnonzero(codes != 2)
    found = fit(features_of(x), rows, codes[rows]).score(features_of(x[rows]))
    assert ((found[:, 0] > found[:, 1]) == (codes[rows] == 0)).mean() > 0.99


def test_a_class_of_one_row_still_fits(fit):
    x, codes = draw(60, seed=0)
    rows = np.concatenate([np.flatnonzero(codes == 0), np.flatnonzero(codes == 1)[:1]])
    assert np.isfinite(fit(features_of(x), rows, codes[rows]).unseen).all()


def test_the_probe_is_a_standardised_logistic_regression_over_both_parts():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, codes = draw_world(300, seed=1, distance=2.0)
    texture = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float16)
    texture[:, 2] = 4  # constant, harmless
    both = np.hstack([x, texture]).astype(np.float64)
    for weight, fit in ((None, FITS["probe"]), ("balanced", FITS["density-ratio"])):
        model = LogisticRegression(C=0.1, max_iter=2000, class_weight=weight)
        reference = make_pipeline(StandardScaler(), model).fit(both, codes == 1)
        found = fit(features_of(x, texture), np.arange(300), codes).score(features_of(x, texture))
        np.testing.assert_allclose(found[:, 1], reference.decision_function(both), atol=1e-4)


def test_a_balanced_score_is_the_log_odds_less_those_of_the_class_itself():
    # Two overlapping clouds, 9 to 1: weighed alike, even scores lie where the densities cross, in the middle.
    rng = np.random.default_rng(0)
    codes = (rng.random(20_000) < 0.1).astype(np.int8)
    x = (rng.normal(size=(20_000, 1)) + 2.0 * (codes == 0)[:, None]).astype(np.float16)
    grid = features_of(np.array([[1.0]]))
    rows = np.arange(20_000)
    assert FITS["density-ratio"](features_of(x), rows, codes).score(grid)[0, 0] == pytest.approx(0, abs=0.1)
    assert FITS["probe"](features_of(x), rows, codes).score(grid)[0, 0] == pytest.approx(np.log(9), abs=0.2)


def test_centroid_scores_are_cosines_less_the_best_of_another_class_by_a_slow_count():
    x, codes = draw(120, seed=4, distance=1.0)
    found = FITS["centroid"](features_of(x), np.arange(120), codes).score(features_of(x))
    exact = x.astype(np.float64)
    centroids = [exact[codes == code].mean(axis=0) for code in range(3)]
    cosines = np.stack([exact @ (centre / np.linalg.norm(centre)) for centre in centroids], axis=1)
    np.testing.assert_allclose(found[:, 0], cosines[:, 0] - cosines[:, 1:].max(axis=1), atol=1e-12)
    np.testing.assert_allclose(found[:, 1], cosines[:, 1] - cosines[:, [0, 2]].max(axis=1), atol=1e-12)


def test_neighbours_vote_by_a_slow_count():
    x, codes = draw(80, seed=5, distance=1.0)
    found = fit_neighbours(features_of(x), np.arange(50), codes[:50], k=5).score(features_of(x[50:]))
    exact = x.astype(np.float64)
    for row, scores in zip(exact[50:], found, strict=True):
        cosines = exact[:50] @ row
        best = np.argsort(-cosines, kind="stable")[:5]
        for column in (0, 1):
            signs = np.where(codes[best] == column, 1, -1)
            assert scores[column] == pytest.approx((signs * cosines[best]).mean(), abs=1e-6)


def test_other_features_than_those_fitted_are_an_error_and_broken_ones_are_refused():
    x, codes = draw(100, seed=0)
    scorer = fit_probe(features_of(x), np.arange(100), codes)
    with pytest.raises(ValueError, match=r"features have dimensions \(3,\), the classifier has 8"):
        scorer.score(features_of(np.zeros((1, 3))))
    x[37, 2] = np.inf
    with pytest.raises(Refusal, match="row 37 has a feature that is not finite: embed again"):
        scorer.score(features_of(x))
