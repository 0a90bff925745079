import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from oddpair.eval.intervals import FloatArray
from oddpair.eval.robustness.lines import (
    Line,
    effective_robustness,
    fit_line,
    keep_finite,
    restore,
    transform,
)

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published"
needs_published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"{PUBLISHED} is absent")
# Slopes and intercepts of the Style paper's figure, of models trained on 57 M pictures.
NATURAL = {"natural": (0.872, -0.504), "rendition": (0.798, -0.647)}
RANDOM = {"natural": (0.837, -0.545), "rendition": (1.023, -0.020)}
# Accuracies of the last epoch in that paper's figures: ImageNet, then A, V2 and ObjectNet, or R and Sketch.
AT_57M = [
    pytest.param(NATURAL["natural"], 0.477, (0.135, 0.406, 0.340), id="natural-data-natural-sets"),
    pytest.param(NATURAL["rendition"], 0.477, (0.333, 0.162), id="natural-data-rendition-sets"),
    pytest.param(RANDOM["natural"], 0.497, (0.128, 0.420, 0.339), id="random-data-natural-sets"),
    pytest.param(RANDOM["rendition"], 0.497, (0.605, 0.373), id="random-data-rendition-sets"),
]


def line_of(slope: float, intercept: float, draws: FloatArray | None = None) -> Line:
    return Line(
        scale="probit",
        slope=slope,
        intercept=intercept,
        residual_sd=0.0,
        n=2,
        n_dropped=0,
        n_groups=2,
        low=0.1,
        high=0.9,
        draws=np.array([[slope, intercept]]) if draws is None else draws,
    )


@pytest.mark.parametrize(("line", "x", "sets"), AT_57M)
def test_published_accuracies_at_57_million_lie_within_0_6_points_of_the_published_lines(line, x, sets):
    found = effective_robustness(line_of(*line), x, float(np.mean(sets)))
    assert abs(found.total.value) < 0.006


@pytest.mark.parametrize(
    ("of_model", "baseline", "points"),
    [
        (NATURAL["natural"], (0.652, -0.890), 11),
        (NATURAL["rendition"], (0.463, -0.899), 7),
        (RANDOM["natural"], (0.652, -0.890), 10),
        (RANDOM["rendition"], (0.463, -0.899), 29),
    ],
)
def test_published_effective_robustness_follows_from_the_published_lines(of_model, baseline, points):
    y = float(line_of(*of_model).foretell(0.477))
    assert round(100 * effective_robustness(line_of(*baseline), 0.477, y).total.value) == points


@pytest.mark.parametrize("scale", ["probit", "logit"])
def test_models_on_a_line_give_it_back_and_have_no_effective_robustness(scale):
    x = np.array([0.2, 0.35, 0.5, 0.8])
    y = restore(0.7 * transform(x, scale) - 0.4, scale)
    line = fit_line(x, y, scale)
    assert (line.slope, line.intercept) == pytest.approx((0.7, -0.4))
    assert line.residual_sd == pytest.approx(0, abs=1e-12)
    for one, other in zip(x, y, strict=True):
        found = effective_robustness(line, one, other)
        assert found.total.value == pytest.approx(0, abs=1e-12)
        assert (found.of_line.low, found.of_line.high) == pytest.approx((0, 0), abs=1e-9)
        assert not found.is_outside
    assert effective_robustness(line, 0.81, 0.5).is_outside


def test_a_line_equals_that_of_an_independent_regression():
    from statsmodels.api import OLS, add_constant

    rng = np.random.default_rng(3)
    x, y = rng.uniform(0.1, 0.9, (2, 30))
    fitted = OLS(norm.ppf(y), add_constant(norm.ppf(x))).fit()
    line = fit_line(x, y)
    assert (line.intercept, line.slope) == pytest.approx(tuple(fitted.params))
    assert line.residual_sd == pytest.approx(fitted.mse_resid**0.5)


def test_accuracies_of_0_and_1_are_left_out_and_counted_unless_they_are_moved_by_half_an_image():
    x, y = np.array([0.0, 0.2, 0.5, 0.7, 0.9]), np.array([0.1, 0.1, 0.3, 0.5, 1.0])
    line = fit_line(x, y)
    assert (line.n, line.n_dropped, line.low, line.high) == (3, 2, 0.2, 0.7)
    moved = fit_line(keep_finite(x, 100), keep_finite(y, 100))
    assert (moved.n, moved.n_dropped, moved.low) == (5, 0, 0.005)


def test_the_mean_over_sets_is_not_the_mean_of_transformed_sets():
    sets = np.array([0.1, 0.8])
    assert float(transform(sets.mean(), "probit")) != pytest.approx(
        transform(sets, "probit").mean(), abs=0.05
    )


@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=5), st.sampled_from(["probit", "logit"]))
@settings(max_examples=40, deadline=None)
def test_restoring_undoes_the_transform(shares, scale):
    assert restore(transform(shares, scale), scale) == pytest.approx(shares)


def test_the_interval_of_the_line_covers_the_true_line_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    at, covered, tries = 0.5, 0, 150
    for number in range(tries):
        over = rng.normal(0, 0.7, 40)
        under = 0.8 * over - 0.5 + rng.normal(0, 0.2, 40)
        line = fit_line(restore(over, "probit"), restore(under, "probit"), seed=number)
        rho = effective_robustness(line, at, 0.5).of_line
        covered += rho.low <= 0.5 - norm.cdf(-0.5) <= rho.high
    assert 0.87 < covered / tries <= 0.99


def test_epochs_of_one_run_drawn_whole_widen_the_interval():
    rng = np.random.default_rng(0)
    runs = np.repeat(np.arange(6), 10)
    over = np.tile(np.linspace(-1, 1, 10), 6)
    under = 0.8 * over + rng.normal(0, 0.3, 6)[runs]
    x, y = restore(over, "probit"), restore(under, "probit")
    alone = effective_robustness(fit_line(x, y), 0.5, 0.5).of_line
    whole_line = fit_line(x, y, groups=runs)
    whole = effective_robustness(whole_line, 0.5, 0.5).of_line
    assert (whole_line.n, whole_line.n_groups) == (60, 6)
    assert whole.value == pytest.approx(alone.value)
    assert whole.high - whole.low > 2 * (alone.high - alone.low)


def test_resampled_lines_equal_regressions_on_the_models_drawn():
    x, y = np.array([0.2, 0.4, 0.5, 0.9]), np.array([0.3, 0.2, 0.6, 0.7])
    line = fit_line(x, y, seed=5)
    drawn = np.random.default_rng(5).integers(4, size=(200, 4))
    for rows, (slope, intercept) in zip(drawn[:50], line.draws[:50], strict=True):
        if len(set(rows)) == 1:
            assert np.isnan(slope)
            continue
        assert np.polyfit(norm.ppf(x[rows]), norm.ppf(y[rows]), 1) == pytest.approx((slope, intercept))


def test_images_and_line_together_are_less_certain_than_either():
    rng = np.random.default_rng(2)
    x = rng.uniform(0.2, 0.8, 50)
    line = fit_line(x, restore(transform(x, "probit") + rng.normal(0, 0.3, 50), "probit"))
    draws = {"x_draws": rng.normal(0.5, 0.02, 2000), "y_draws": rng.normal(0.6, 0.02, 2000)}
    found = effective_robustness(line, 0.5, 0.6, **draws)
    assert found.of_images is not None
    widths = {
        name: one.high - one.low
        for name, one in {"both": found.total, "line": found.of_line, "images": found.of_images}.items()
    }
    assert widths["both"] == pytest.approx(np.hypot(widths["line"], widths["images"]), rel=0.1)
    alone = effective_robustness(line, 0.5, 0.6)
    assert (alone.total, alone.of_images) == (alone.of_line, None)


def test_a_line_without_enough_models_is_refused():
    with pytest.raises(ValueError, match=r"2 models in 2 groups .* a line needs 3 models in 2 groups"):
        fit_line([0.2, 0.4], [0.1, 0.2])
    with pytest.raises(ValueError, match="3 models in 1 groups"):
        fit_line([0.2, 0.4, 0.5], [0.1, 0.2, 0.3], groups=["run"] * 3)
    with pytest.raises(ValueError, match="varying by 0"):
        fit_line([0.2] * 3, [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="fractions from 0 to 1"):
        fit_line([20, 40, 50], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"x has shape \(3,\), y \(2,\)"):
        fit_line([0.2, 0.4, 0.5], [0.1, 0.2])
    with pytest.raises(ValueError, match="draws of one axis alone"):
        effective_robustness(line_of(1, 0), 0.5, 0.5, x_draws=np.ones(1))
    with pytest.raises(ValueError, match="scale 'log'"):
        transform([0.5], "log")  # type: ignore[arg-type]


def columns_of(name, *columns):
    with (PUBLISHED / name).open(encoding="utf-8") as file:
        rows = [[row[column] for column in columns] for row in csv.DictReader(file)]
    return np.array([[float(cell) for cell in row] for row in rows if all(row)])


@needs_published
@pytest.mark.parametrize(
    ("columns", "n", "slope", "intercept"),
    [
        pytest.param(
            ("val", "imagenet-a", "imagenetv2-matched-frequency-format-val", "objectnet-1.0-beta"),
            335,
            0.723,
            -0.839,
            id="natural",
        ),
        pytest.param(("val", "imagenet-r", "imagenet-sketch"), 329, 0.723, -0.949, id="rendition"),
        pytest.param(("val-on-imagenet-a-classes", "imagenet-a"), 334, 0.45, -2.006, id="a-on-its-classes"),
        pytest.param(("val-on-imagenet-r-classes", "imagenet-r"), 329, 0.646, -1.16, id="r-on-its-classes"),
        pytest.param(
            ("val-on-objectnet-classes", "objectnet-1.0-beta"),
            335,
            0.806,
            -1.037,
            id="objectnet-on-its-classes",
        ),
    ],
)
def test_lines_of_the_imagenet_testbed_are_those_of_an_independent_regression(columns, n, slope, intercept):
    values = columns_of("imagenet_testbed_top1.csv", *columns) / 100
    x, y = values[:, 0], values[:, 1:].mean(axis=1)
    line = fit_line(x, y)
    kept = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    expected = np.polyfit(norm.ppf(x[kept]), norm.ppf(y[kept]), 1)
    print(columns, line.n, line.n_dropped, line.slope, line.intercept, line.residual_sd)
    assert (line.slope, line.intercept) == pytest.approx(tuple(expected))
    assert (line.n, round(line.slope, 3), round(line.intercept, 3)) == (n, slope, intercept)


@needs_published
@pytest.mark.parametrize(
    ("columns", "slope", "intercept"),
    [
        pytest.param(("ImageNet 1k", "ImageNet-A", "ImageNet v2", "ObjectNet"), 0.945, -0.324, id="natural"),
        pytest.param(("ImageNet 1k", "ImageNet-R", "ImageNet Sketch"), 1.038, -0.044, id="rendition"),
    ],
)
def test_lines_of_121_published_clips_are_those_of_an_independent_regression(columns, slope, intercept):
    values = columns_of("openclip_results.csv", *columns)
    x, y = values[:, 0], values[:, 1:].mean(axis=1)
    line = fit_line(x, y)
    print(columns, line.n, line.n_dropped, line.slope, line.intercept, line.residual_sd)
    assert (line.slope, line.intercept) == pytest.approx(tuple(np.polyfit(norm.ppf(x), norm.ppf(y), 1)))
    assert (line.n, round(line.slope, 3), round(line.intercept, 3)) == (121, slope, intercept)
