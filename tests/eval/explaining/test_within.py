import csv
from pathlib import Path

import numpy as np
import pytest
from tests.eval.explaining.planted_slopes import SIZES, plant

from oddpair.eval.explaining.bootstrap import draw_levels
from oddpair.eval.explaining.within import split_effects
from oddpair.eval.explaining.within_slopes import fit_dataset_slopes

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published"
COLUMN_OF = {
    "rampp0.7": "rampp0.7",
    "lemmatized": "lemmatized",
    "integrated_rampp0.7": "integrated_tlemmatized_i0.7",
}

WORLDS = {
    "6-sets-of-one-slope": {"sizes": (80,) * 6},
    "6-unequal-sets-each-its-slope": {"sizes": (300, 100, 80, 60, 40, 20), "slopes_spread": 0.025},
    "17-unequal-sets-each-its-slope-names-shared": {
        "sizes": (300, 300, *SIZES[2:]),
        "slopes_spread": 0.025,
        "shared": 250,
    },
}


def split(x, y, dataset, concept, *, draws=50, rng=0):
    drawn = draw_levels(dataset, concept, np.random.default_rng(rng), draws=draws)
    return split_effects(x, y, drawn)


def split_rows(rows, *, draws=200, rng=0):
    return split(rows.x, rows.y, rows.dataset, rows.concept, draws=draws, rng=rng)


def fit_slopes(rows):
    draws = draw_levels(rows.dataset, rows.concept, np.random.default_rng(0), draws=1)
    return fit_dataset_slopes(rows.x, rows.y, draws)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_planted_slopes_are_found_and_covered_in_90_to_99_of_100_tables(world):
    tables, rng = 200, np.random.default_rng(7)
    spread = world.get("slopes_spread", 0.0)
    found = []
    covered: dict[str, list[bool]] = {}
    for _ in range(tables):
        rows = plant(rng, **world)
        effects = split_rows(rows, draws=1000, rng=rng)
        slopes = fit_slopes(rows)
        together = slopes.together
        found.append((effects.pooled.slope.value, effects.within.slope.value, together.mean.value))
        truths = [
            ("pooled", effects.pooled.slope, 0.05),
            ("within", effects.within.slope, 0.05),
            ("mean", together.mean, 0.05),
            ("spread", together.spread, spread),
            ("new dataset", together.new_dataset, 0.05 + spread * rng.normal()),
        ]
        for slope in slopes.slopes:
            true = rows.slopes[int(slope.dataset.removeprefix("set "))]
            truths += [("own", slope.own, true), ("shrunk", slope.shrunk, true)]
        for name, estimate, true in truths:
            covered.setdefault(name, []).append(estimate.low <= true <= estimate.high)
    errors = np.std(found, axis=0) / np.sqrt(tables)
    assert (np.abs(np.mean(found, axis=0) - 0.05) < 3 * errors).all()
    shares = {name: float(np.mean(hits)) for name, hits in covered.items()}
    for name in ("within", "mean", "spread", "own"):
        assert 0.9 <= shares[name] <= 0.99, f"{name}: {shares[name]}"
    # Wider than they need be: levels that differ by chance, and a spread that may be 0 and is not known to be.
    for name in ("pooled", "new dataset", "shrunk"):
        assert shares[name] >= 0.9, f"{name}: {shares[name]}"


def test_over_three_sets_the_slope_of_these_sets_is_covered():
    rng, covered = np.random.default_rng(0), []
    for _ in range(200):
        rows = plant(rng, sizes=(60, 60, 60), slopes_spread=0.05)
        squares = np.array([np.var(rows.x[rows.dataset == f"set {code}"]) for code in range(3)])
        of_these = squares @ rows.slopes / squares.sum()
        effects = split_rows(rows, draws=500, rng=rng)
        covered.append(effects.within.slope.low <= of_these <= effects.within.slope.high)
        assert effects.between is None
        assert effects.contrast is None
    assert 0.9 <= np.mean(covered) <= 0.99


def test_noise_that_a_name_carries_across_two_sets_widens_the_interval():
    rows = plant(np.random.default_rng(0), sizes=(150, 150, *(100,) * 8), shared=150)
    widths = []
    for concept in (rows.concept, np.arange(len(rows.x))):
        line = split(rows.x, rows.y, rows.dataset, concept, draws=2000).within
        widths.append(line.slope.high - line.slope.low)
    assert widths[0] > widths[1]


def test_slopes_between_datasets_are_those_of_their_means():
    rows = plant(np.random.default_rng(3), sizes=(40, 10, 30, 20, 25), between=0.2)
    effects = split_rows(rows)
    names = np.unique(rows.dataset)
    mean_x, mean_y = (
        np.array([column[rows.dataset == name].mean() for name in names]) for column in rows[:2]
    )
    assert effects.between.slope.value == pytest.approx(np.polyfit(mean_x, mean_y, 1)[0])
    assert effects.between.r.value == pytest.approx(np.corrcoef(mean_x, mean_y)[0, 1])
    assert effects.between.slope.n == 5
    assert effects.contrast.value == pytest.approx(effects.between.slope.value - effects.within.slope.value)


def test_the_excess_is_as_uncertain_as_tables_of_other_concepts_show():
    rng, values, reaches = np.random.default_rng(5), [], []
    for _ in range(100):
        rows = plant(rng, level_spread=0.0, between=0.1)
        excess = split_rows(rows, draws=10).excess
        values.append(excess.value)
        reaches.append((excess.high - excess.low) / 2)
    assert np.mean(reaches) == pytest.approx(2.24 * np.std(values), rel=0.25)


def test_counts_or_accuracies_that_do_not_vary_leave_nothing_to_say():
    dataset = np.repeat(["a", "b", "c", "d"], 5)
    varying = np.random.default_rng(0).uniform(size=20)
    for x, y in ((np.full(20, 3.0), varying), (varying, np.zeros(20))):
        effects = split(x, y, dataset, np.arange(20))
        assert effects.pooled is None
        assert effects.within is None
        assert effects.shares is None
        assert effects.contrast is None


def test_counts_that_vary_between_datasets_alone_have_no_slope_within():
    dataset = np.repeat(["a", "b", "c", "d"], 5)
    draws = draw_levels(dataset, np.arange(20), np.random.default_rng(0), draws=50)
    effects = split_effects(
        np.repeat([1.0, 2.0, 3.0, 4.0], 5), np.random.default_rng(0).uniform(size=20), draws
    )
    assert effects.within is None
    assert effects.contrast is None
    assert effects.between is not None


def test_one_dataset_has_no_shares():
    effects = split(np.arange(9.0), np.arange(9.0) ** 2 / 100, np.full(9, "a"), np.arange(9))
    assert effects.shares is None
    assert effects.pooled.slope.value == pytest.approx(effects.within.slope.value)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            [1.0, 2.0],
            [0.1, 0.2, 0.3],
            r"log counts have shape \(2,\), accuracies \(3,\), draws are of 3 rows",
        ),
        ([1.0, np.nan, 2.0], [0.1, 0.2, 0.3], "a log count or an accuracy is not finite"),
    ],
)
def test_columns_that_do_not_fit_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        split(x, y, np.full(3, "a"), np.arange(3))


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"{PUBLISHED} is absent")
def test_slopes_and_r_within_datasets_are_the_published_ones():
    def read(name):
        with (PUBLISHED / name).open(newline="") as file:
            return list(csv.DictReader(file))

    # The fits leave out the two sets that hold ImageNet's names again.
    accuracies = [
        row
        for row in read("zeroshot_acc_per_class_ensemble.csv")
        if row["downstream"] not in ("imagenet-sketch", "imagenet-r")
    ]
    counts = {(row["downstream"], row["concept"]): row for row in read("concept_counts.csv")}
    fits = read("golden_fits_concept_level.csv")
    assert len(fits) == 25
    for fit in fits:
        model, column = (
            f"{fit['model']}|{fit['pretrain']}",
            f"{fit['pretrain']}|{COLUMN_OF[fit['counttype']]}",
        )
        rows = [
            (row["downstream"], row["concept"], float(count), float(row[model]) / 100)
            for row in accuracies
            if float(count := counts[row["downstream"], row["concept"]][column] or 0) > 0
        ]
        dataset, concept, count, accuracy = (np.array(part) for part in zip(*rows, strict=True))
        within = split(np.log10(count), accuracy, dataset, concept, draws=2).within
        assert len(count) == int(fit["n_pos"])
        assert 100 * within.slope.value == pytest.approx(float(fit["slope_within_downstream"]), abs=6e-6)
        assert within.r.value == pytest.approx(float(fit["r_within_downstream"]), abs=6e-6)
