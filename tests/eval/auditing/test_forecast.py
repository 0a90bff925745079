"""Accuracies foretold of new datasets, on planted tables whose datasets are off by a common offset each."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from oddpair.eval.auditing.forecast import Errors, Known, Shown, draw_means, forecast, measure_errors

SUPPORT = 25


class Planted:
    """Datasets whose logits rise by a slope with each decade of count about an offset of their own, and one more."""

    def __init__(self, seed, datasets, *, concepts=20, spread=0.7, slope=0.8, spread_of_slopes=0.0):
        rng = np.random.default_rng(seed)
        offsets = rng.normal(-1.5, spread, datasets + 1)
        slopes = rng.normal(slope, spread_of_slopes, datasets + 1)
        parts = []
        for offset, rise in zip(offsets, slopes, strict=True):
            counts = np.floor(10 ** rng.uniform(0, 4, concepts)).astype(np.int64)
            level = offset + rng.normal(0, 0.4, concepts)
            true = expit(level + rise * np.log10(1 + counts))
            parts.append((counts, rng.binomial(SUPPORT, true) / SUPPORT))
        self.known = Known(
            dataset=np.repeat([f"set {place}" for place in range(datasets)], concepts),
            counts=np.concatenate([part[0] for part in parts[:-1]]),
            accuracy=np.concatenate([part[1] for part in parts[:-1]]),
            support=np.full(datasets * concepts, float(SUPPORT)),
        )
        fewer = rng.binomial(counts, rng.beta(2, 1, concepts))
        self.shown = [Shown(counts=each, images=np.full(concepts, 10)) for each in (counts, fewer)]
        self.all = true.mean()
        self.without = expit(level + rise * np.log10(1 + fewer)).mean()

    def forecast(self, shown=None):
        found = forecast(self.known, self.shown if shown is None else shown)
        assert found is not None
        return found


def covers(estimate, value):
    return estimate.low <= value <= estimate.high


@pytest.mark.parametrize(("datasets", "spread_of_slopes"), [(3, 0.0), (6, 0.0), (6, 0.2)])
def test_bands_hold_the_planted_accuracies_in_nineteen_of_twenty_worlds(datasets, spread_of_slopes):
    worlds = [Planted(seed, datasets, spread_of_slopes=spread_of_slopes) for seed in range(40)]
    found = [world.forecast() for world in worlds]
    both = list(zip(worlds, found, strict=True))
    # Of 40 at 95 %, fewer than 35 would be seen once in a hundred times.
    assert sum(covers(one.means[0], world.all) for world, one in both) >= 35
    assert sum(covers(one.means[1], world.without) for world, one in both) >= 35
    assert sum(covers(one.differences[1], world.all - world.without) for world, one in both) >= 35
    # Nor do they by being as wide as can be.
    if datasets > 3:
        assert np.median([one.means[0].high - one.means[0].low for one in found]) < 0.85


def test_what_fewer_captions_take_away_is_neither_too_little_nor_too_much():
    worlds = [Planted(seed, 8) for seed in range(20)]
    found = np.mean([world.forecast().differences[1].value for world in worlds])
    true = np.mean([world.all - world.without for world in worlds])
    assert true > 0.02
    assert found == pytest.approx(true, rel=0.2)


def test_bands_are_narrow_where_datasets_agree_and_for_what_they_share():
    alike, unlike = Planted(1, 8, spread=0.1).forecast(), Planted(1, 8, spread=1.0).forecast()

    def width(estimate):
        return estimate.high - estimate.low

    assert width(alike.means[0]) < width(unlike.means[0]) / 2
    assert width(unlike.differences[1]) < width(unlike.means[0]) / 3


def test_equal_counts_foretell_the_same_and_explain_nothing():
    world = Planted(2, 4)
    first, _ = world.shown
    found = world.forecast([first, first])
    assert found.means[0] == found.means[1]
    assert (found.differences[1].value, found.differences[1].low, found.differences[1].high) == (0, 0, 0)


def test_an_image_counts_for_its_concept():
    world = Planted(3, 6)
    first, _ = world.shown
    often = first.counts >= np.median(first.counts)
    high, low = (
        world.forecast([replace(first, images=np.where(mask, 10, 0))]).means[0] for mask in (often, ~often)
    )
    assert high.value > world.forecast().means[0].value > low.value
    assert high.n == 10 * often.sum()


def test_the_order_of_datasets_does_not_matter():
    world = Planted(4, 4)
    order = np.random.default_rng(0).permutation(len(world.known.counts))
    known = world.known
    mixed = Known(
        dataset=np.array([f"{9 - int(name[-1])}" for name in known.dataset.tolist()])[order],
        counts=known.counts[order],
        accuracy=known.accuracy[order],
        support=known.support[order],
    )
    found, other = world.forecast(), forecast(mixed, world.shown)
    assert other is not None
    for one, two in zip(found.means + found.differences, other.means + other.differences, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high), abs=2e-3)


def test_fewer_than_three_datasets_and_counts_that_do_not_vary_foretell_nothing():
    world = Planted(5, 3)
    known = world.known
    two = replace(known, dataset=np.where(known.dataset == "set 1", "set 0", known.dataset))
    assert forecast(two, world.shown) is None
    same = replace(known, counts=np.full(len(known.counts), 7))
    assert forecast(same, world.shown) is None


def measure(dataset, predicted, accuracy, support):
    n = len(predicted)
    return measure_errors(
        Known(
            dataset=np.array(dataset),
            counts=np.arange(n),
            accuracy=np.broadcast_to(accuracy, n).astype(float),
            support=np.full(n, float(support)),
        ),
        np.array(predicted),
    )


def test_planted_errors_are_measured():
    predicted = np.linspace(0.1, 0.8, 30)
    centre = logit(predicted).mean()
    accuracy = np.concatenate(
        [
            expit(centre + offset + slope * (logit(predicted) - centre))
            for offset, slope in ((0.5, 1.2), (-1, 0))
        ]
    )
    found = measure(["a"] * 30 + ["b"] * 30, np.tile(predicted, 2), accuracy, 1e5)
    assert found.offset == pytest.approx([0.5, -1], abs=1e-3)
    assert found.slope == pytest.approx([1.2, 0], abs=1e-3)


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_errors_are_finite_where_all_answers_are_right_or_wrong(accuracy):
    found = measure(["d"] * 3, [0.2, 0.5, 0.7], accuracy, 50)
    assert np.sign(found.offset[0]) == np.sign(accuracy - 0.5)
    assert abs(found.offset[0]) < 20


def test_datasets_that_show_no_slope_are_left_out():
    dataset = ["flat", "flat", "flat", "three", "three", "three", "two", "two"]
    found = measure(dataset, [0.4, 0.4, 0.4, 0.2, 0.5, 0.7, 0.2, 0.5], 0.5, 10)
    assert len(found.offset) == len(found.slope) == 1


def test_quantiles_of_means_are_those_of_errors_drawn_at_random():
    rng = np.random.default_rng(6)
    errors = Errors(offset=rng.normal(0.3, 0.4, 5), slope=rng.normal(1.2, 0.3, 5))
    predicted = [rng.uniform(0.1, 0.9, 7), rng.uniform(0.1, 0.6, 7)]
    images = [rng.integers(1, 9, 7), rng.integers(1, 9, 7)]
    middles, draws = draw_means(errors, predicted, images)
    centre = np.average(logit(predicted[0]), weights=images[0])
    drawn = []
    for _ in range(20_000):
        offset, slope = (
            one.mean() + one.std(ddof=1) * np.sqrt(6 / 5) * rng.standard_t(4)
            for one in (errors.offset, errors.slope)
        )
        drawn.append(
            [
                np.average(expit(centre + offset + slope * (logit(shares) - centre)), weights=weights)
                for shares, weights in zip(predicted, images, strict=True)
            ]
        )
    shares = [0.025, 0.3, 0.5, 0.7, 0.975]
    for place, (first, second) in enumerate(zip(draws, np.transpose(drawn), strict=True)):
        assert np.quantile(first, shares) == pytest.approx(np.quantile(second, shares), abs=0.02)
        at_mean = centre + errors.offset.mean() + errors.slope.mean() * (logit(predicted[place]) - centre)
        assert middles[place] == pytest.approx(np.average(expit(at_mean), weights=images[place]))
    assert np.quantile(draws[0] - draws[1], shares) == pytest.approx(
        np.quantile(-np.diff(drawn, axis=1), shares), abs=0.02
    )
