import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from tests.eval.composing.object_worlds import draw_world

from oddpair.eval.composing.object_features import MEAN_LOG, measure
from oddpair.eval.composing.scaling import scale
from oddpair.eval.composing.scaling_cells import make_cells
from oddpair.eval.composing.scaling_laws import DEFAULT, NAIVE, fit_laws, fit_line
from oddpair.eval.composing.scaling_rows import ScalingRows, scale_concepts, scale_sets
from oddpair.eval.intervals import resample
from oddpair.eval.prediction.table import AccuracyTable

SIZES = {"small": 3e6, "middle": 12e6, "large": 15e6, "huge": 400e6}


def draw_table(seed, *, n=300, slope=0.4, growth=0.6, spread=0.3, noise=50, models=None):
    """logit(accuracy) = slope * log10(1 + count) + growth * (log10(corpus size) - 7), concepts being hard or easy."""
    rng = np.random.default_rng(seed)
    rate, hard = 10 ** rng.uniform(-7, -3, n), rng.normal(0, spread, n)
    models = models or {corpus: (corpus,) for corpus in SIZES}
    columns: dict[str, list[Any]] = {
        "model": [],
        "corpus": [],
        "concept": [],
        "accuracy": [],
        "count_joint": [],
    }
    for corpus, size in SIZES.items():
        count = rng.poisson(rate * size)
        logit = -2 + slope * np.log10(1 + count) + growth * (np.log10(size) - 7) + hard
        for model in models.get(corpus, ()):
            columns["model"] += [model] * n
            columns["corpus"] += [corpus] * n
            columns["concept"] += [f"concept{number}" for number in range(n)]
            columns["accuracy"] += (rng.binomial(noise, expit(logit)) / noise).tolist()
            columns["count_joint"] += count.tolist()
    rows = len(columns["model"])
    unknown = np.full(rows, np.nan)
    return AccuracyTable(
        dataset=np.full(rows, "d"),
        n=unknown,
        count_text=unknown,
        count_image=unknown,
        pmi=unknown,
        **{
            name: np.array(values)
            for name, values in columns.items()
            if name in ("model", "corpus", "concept")
        },
        accuracy=np.array(columns["accuracy"]),
        count_joint=np.array(columns["count_joint"], np.float64),
    )


def of_law(scaling, law):
    return next(score for score in scaling.scores if score.law == law)


def draw_errors(rows, draws):
    """Draws of the default law's error on the largest corpus."""
    cells = make_cells(rows)
    law = fit_line(rows, cells, DEFAULT)
    largest = cells.corpus == cells.corpus.max()

    def error(weights):
        weight, accuracy, _ = (total[:, largest] for total in cells.sum_up(weights))
        predicted = np.where(weight > 0, law.predict(weights), 0)
        return ((weight * predicted).sum(axis=1) - accuracy.sum(axis=1)) / weight.sum(axis=1)

    return resample(error, rows.n_clusters, np.random.default_rng(0), draws)


def test_a_planted_line_predicts_the_largest_corpus_and_draws_cover_its_error():
    worlds, covered = 30, 0
    for seed in range(worlds):
        drawn = draw_errors(scale_concepts(draw_table(seed), SIZES), 200)
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered += low <= 0 <= high
        assert high - low < 0.15
    assert covered >= 0.85 * worlds


def test_errors_are_signed_and_grow_where_a_law_misses_what_the_corpus_does():
    found = scale(scale_concepts(draw_table(0), SIZES), np.random.default_rng(0), draws=20)
    counts_alone, naive = of_law(found, "logit: log count"), of_law(found, NAIVE)
    assert counts_alone.whole.error.high < 0
    assert naive.whole.error.high < counts_alone.whole.error.low
    for score in found.scores:
        miss = score.whole
        assert miss.error.value == pytest.approx(100 * (miss.predicted - miss.observed))
        assert miss.error.n == found.n == 300


def test_decades_add_up_to_the_whole():
    rows = scale_concepts(draw_table(0), SIZES)
    found = scale(rows, np.random.default_rng(0), draws=8)
    huge = rows.mask(("huge",))
    count = 10 ** rows.log_count[huge] - 1
    decade = np.where(count >= 0.5, 1 + np.floor(np.log10(np.maximum(count, 1) + 1e-6)), 0).astype(int)
    for score in found.scores:
        if not score.decades:
            continue
        n = np.bincount(decade)
        assert {place: miss.error.n for place, miss in score.decades.items()} == {
            place: int(number) for place, number in enumerate(n) if number >= 10
        }
        for place, miss in score.decades.items():
            assert miss.observed == pytest.approx(rows.accuracy[huge][decade == place].mean())
        if (n[n > 0] >= 10).all():
            total = sum(n[place] * miss.predicted for place, miss in score.decades.items()) / n.sum()
            assert total == pytest.approx(score.whole.predicted)


def test_a_corpus_weighs_the_same_however_many_models_it_has():
    one = scale(scale_concepts(draw_table(0), SIZES), np.random.default_rng(0), draws=8)
    table = draw_table(0)
    small = table.take(table.corpus == "small")
    copies = [dataclasses.replace(small, model=np.full(len(small), f"copy{number}")) for number in range(3)]
    columns = {
        name: np.concatenate([column, *(copy.columns()[name] for copy in copies)])
        for name, column in table.columns().items()
    }
    many = scale(scale_concepts(AccuracyTable(**columns), SIZES), np.random.default_rng(0), draws=8)
    for single, several in zip(one.scores, many.scores, strict=True):
        assert several.whole.predicted == pytest.approx(single.whole.predicted, abs=1e-4)
    assert many.corpora[0].models == ("copy0", "copy1", "copy2", "small")


def test_the_fit_within_a_corpus_finds_its_slope():
    found = scale(scale_concepts(draw_table(0, n=1000), SIZES), np.random.default_rng(0), draws=8)
    assert [corpus.corpus for corpus in found.corpora] == list(SIZES)
    for corpus in found.corpora:
        assert corpus.slope is not None
        assert corpus.slope.low - 0.05 <= 0.4 <= corpus.slope.high + 0.05
        assert corpus.size == SIZES[corpus.corpus]


def test_a_law_through_all_its_points_is_called_so():
    found = scale(scale_concepts(draw_table(0), SIZES), np.random.default_rng(0), draws=8)
    bound = [score for score in found.scores if score.freedom == 0 and score.parameters]
    assert [score.law for score in bound] == ["power of corpus size + offset", "power of corpus size, floor"]
    assert any("as many parameters as points" in note and bound[0].law in note for note in found.notes)
    sizes = {corpus: size for corpus, size in SIZES.items() if corpus != "small"}
    three = scale(scale_concepts(draw_table(0), sizes), np.random.default_rng(0), draws=8)
    # Two points allow no law of three parameters.
    assert not any(
        score.law in {"power of corpus size + offset", "power of corpus size, floor"}
        for score in three.scores
    )


def test_draws_are_the_same_for_the_same_seed():
    rows = scale_concepts(draw_table(0), SIZES)
    one, other = (scale(rows, np.random.default_rng(3), draws=8) for _ in range(2))
    assert one == other


def test_too_few_corpora_are_refused():
    table = draw_table(0)
    rows = scale_concepts(table, {"small": 3e6, "huge": 400e6})
    with pytest.raises(ValueError, match="2 corpora, scaling needs 3 or more"):
        scale(rows, np.random.default_rng(0))


def test_only_what_every_corpus_has_is_scaled():
    table = draw_table(0)
    accuracy, count = table.accuracy.copy(), table.count_joint.copy()
    accuracy[(table.corpus == "small") & (table.concept == "concept5")] = np.nan
    count[(table.corpus == "huge") & (table.concept == "concept7")] = np.nan
    rows = scale_concepts(dataclasses.replace(table, accuracy=accuracy, count_joint=count), SIZES)
    assert (len(rows), rows.left_out, rows.n_clusters) == (4 * 298, 8, 298)
    with pytest.raises(ValueError, match="no row has an accuracy, a count_text and a corpus of known size"):
        scale_concepts(table, SIZES, count="count_text")
    nowhere = np.where(table.corpus == "small", np.nan, table.accuracy)
    nowhere[table.concept == "concept0"] = np.where(
        table.corpus[table.concept == "concept0"] == "small", 0.5, np.nan
    )
    with pytest.raises(ValueError, match="no concept is known for all of the corpora"):
        scale_concepts(dataclasses.replace(table, accuracy=nowhere), SIZES)


def test_a_corpus_smaller_than_a_count_is_refused():
    table = draw_table(0)
    with pytest.raises(ValueError, match="corpus 'huge' has 10 samples, a count in it is"):
        scale_concepts(table, {**SIZES, "huge": 10.0})


def test_samples_of_several_objects_are_scaled_by_their_sets():
    worlds = [
        draw_world(
            4, n_sets=200, models=(corpus,), corpus=corpus, size=int(size), level=-4 + 0.5 * np.log10(size)
        )
        for corpus, size in SIZES.items()
    ]
    rows = scale_sets(join(worlds))
    assert rows.corpora == tuple(SIZES)
    assert (rows.kind, rows.n_clusters) == ("sets of objects", len(worlds[0]))
    assert rows.log_count[: len(worlds[0])] == pytest.approx(measure(worlds[0], MEAN_LOG))
    found = scale(rows, np.random.default_rng(0), draws=8)
    assert (found.largest, found.kind) == ("huge", "sets of objects")


def join(worlds):
    first = worlds[0]
    columns = ("model", "corpus", "sample", "correct", "counts", "count_set", "pmi", "corpus_size")
    return dataclasses.replace(
        first,
        objects=sum((world.objects for world in worlds), ()),
        **{name: np.concatenate([getattr(world, name) for world in worlds]) for name in columns},
    )


def test_counts_lie_in_their_decade():
    count = np.array([0.0, 1, 9, 10, 99, 100, 999, 1000])
    rows = ScalingRows(
        model=np.full(8, "m"),
        corpus=np.full(8, "c"),
        size=np.full(8, 1e6),
        log_count=np.log10(1 + count),
        accuracy=np.linspace(0, 1, 8),
        cluster=np.arange(8),
        kind="concepts",
        left_out=0,
    )
    cells = make_cells(rows)
    assert cells.decade[cells.cell].tolist() == [0, 1, 1, 2, 2, 3, 3, 4]


def test_drawn_predictions_are_those_of_a_fit_on_the_draw():
    rows = scale_concepts(draw_table(0, n=600), SIZES)
    cells = make_cells(rows)
    rng = np.random.default_rng(0)
    weights = np.bincount(rng.integers(600, size=600), minlength=600).astype(float)[None]
    drawn = np.repeat(np.arange(len(rows)), weights[0, rows.cluster].astype(int))
    numbers = np.unique(rows.cluster[drawn], return_inverse=True)[1]
    again = ScalingRows(
        **{name: getattr(rows, name)[drawn] for name in ("model", "corpus", "size", "log_count", "accuracy")},
        cluster=numbers,
        kind=rows.kind,
        left_out=0,
    )
    same_cells = make_cells(again)
    assert np.array_equal(cells.decade, same_cells.decade)
    ones = np.ones((1, same_cells.n_clusters))
    for law, refitted in zip(fit_laws(rows, cells), fit_laws(again, same_cells), strict=True):
        # A line takes one step towards the draw's own fit; laws without freedom turn on the smallest change.
        if law.points - len(law.parameters) > 0:
            assert law.predict(weights) == pytest.approx(refitted.predict(ones), abs=5e-3)
