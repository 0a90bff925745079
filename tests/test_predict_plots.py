"""Plots of predictions: what is drawn where, of which nothing is lost at the edges."""

from dataclasses import replace

import numpy as np
from tests.predict_reports import NASTY, model_report, predictions, scores

from oddpair.commands.predict_axes import OTHER, OURS
from oddpair.commands.predict_checks import find_coverage
from oddpair.commands.predict_counts import Span, find_span, plot_model, plot_models
from oddpair.commands.predict_plots import LEAST_R2, plot_coverage, plot_scores
from oddpair.commands.predict_report import HeldOut


def dots_of(axes):
    """The classes' places, which are the first that is drawn."""
    return np.column_stack(axes.lines[0].get_data())


def test_classes_of_no_count_have_a_place_of_their_own_left_of_one():
    rows = predictions()
    model = model_report("a", replace(rows, count=np.where(np.arange(len(rows)) < 10, 0.0, 1.0)))
    (axes,) = plot_model(model, Span(has_zero=True, top=3)).axes
    places = dots_of(axes)
    assert (places[:, 0] < -0.5).sum() == 10
    assert (places[:, 0] == 0).sum() == len(rows) - 10
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "10¹", "10²", "10³"]


def test_of_many_classes_the_same_few_hundred_are_drawn_whatever_their_order():
    rows = predictions(per_model=2000)
    model = model_report("a", rows)
    turned = replace(model, count=model.count[::-1], accuracy=model.accuracy[::-1])
    one, other = (dots_of(plot_model(each, Span(has_zero=False, top=5)).axes[0]) for each in (model, turned))
    assert len(one) == 300
    np.testing.assert_array_equal(one, other)


def test_every_decade_says_its_number_of_rows():
    model = model_report("a", predictions(per_model=200))
    written = [text.get_text() for text in plot_model(model, Span(has_zero=True, top=5)).axes[0].texts]
    assert written == [str(decade.accuracy.n) for decade in model.decades]


def test_panels_share_their_axes_and_places_left_over_stay_empty():
    names = ["a", "b", NASTY, "d", "e"]
    rows = predictions(names)
    models = [model_report(name, rows) for name in names]
    panels = plot_models(models, "count").axes
    assert len({axes.get_xlim() for axes in panels[:5]}) == 1
    assert [axes.axison for axes in panels] == [True] * 5 + [False]


def test_the_axis_reaches_the_largest_count():
    rows = predictions()
    spans = [
        find_span([replace(model_report("a", rows), count=np.full(3, count), accuracy=np.zeros(3))])
        for count in (0.0, 9.0, 10.0, 999.0, 1000.0, np.nan)
    ]
    assert [span.top for span in spans] == [1, 1, 2, 3, 4, 1]
    assert [span.has_zero for span in spans] == [True, *[False] * 5]


def test_an_r2_far_below_zero_is_drawn_at_the_edge():
    (axes,) = plot_scores(HeldOut(what="models", scores=(scores("a", -3.0), scores("b", 0.4)))).axes
    assert axes.get_xlim() == (LEAST_R2, 1)
    assert [bar.get_path().get_extents(bar.get_patch_transform()).x0 for bar in axes.patches] == [
        LEAST_R2,
        0.0,
    ]
    marks = {str(line.get_label()): np.asarray(line.get_xdata()).tolist() for line in axes.lines}
    assert marks["dataset mean"] == [LEAST_R2, LEAST_R2]
    assert marks["$ mean"] == [0.3, 0.3]


def test_parts_whose_interval_misses_the_target_have_another_colour():
    rows = predictions(per_model=400)
    right = np.arange(400) % 10 > 0
    observed = np.where(right | (rows.dataset == "cars"), rows.predicted, 1 - np.round(rows.predicted))
    _, datasets, _ = find_coverage(replace(rows, observed=observed))
    axes = plot_coverage(datasets, 0, "concepts").axes[0]
    colours = [line.get_color() for line in axes.lines if line.get_marker() == "o"]
    expected = [OURS if part.share.low <= 0.93 and part.share.high >= 0.87 else OTHER for part in datasets]
    assert colours == expected
    assert datasets[1].share.value == 1
    assert colours[1] == OTHER


def test_a_model_without_any_count_has_an_empty_panel():
    model = replace(
        model_report("a", predictions()), count=np.zeros(0), accuracy=np.zeros(0), decades=(), curve=None
    )
    axes = plot_model(model, find_span([model])).axes[0]
    assert len(dots_of(axes)) == 0
    assert axes.get_title(loc="left") == "a"
