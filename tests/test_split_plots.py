"""Plots of what a split changed: true to their numbers, and safe whatever they say."""

import re

import numpy as np
import pytest

from oddpair.commands.split_plots import draw_panel
from oddpair.splits.built import Composition, Histogram


def bars_of(text):
    return [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', text)]


def test_bars_are_as_high_as_the_shares_of_their_group():
    panel = Composition(title="Styles", counts={"all": {"photo": 30, "sketch": 10}, "kept": {"photo": 2}})
    photo, sketch, kept, none = bars_of(draw_panel(panel))
    assert photo / sketch == pytest.approx(3, abs=0.01)
    assert kept / photo == pytest.approx(4 / 3, abs=0.01)
    assert none == 0


def test_the_steps_of_a_histogram_lie_at_its_edges_and_shares():
    panel = Histogram(
        title="How near",
        label="cosine",
        edges=np.array([0.0, 0.5, 1.0]),
        counts={"rows": np.array([1, 3])},
        marks={"threshold": 0.5},
    )
    text = draw_panel(panel)
    drawn = re.search(r'd="M([\d.]+) 225V([\d.]+)H([\d.]+)V([\d.]+)H([\d.]+)V([\d.]+)"', text)
    assert drawn
    start, low, middle, high, end, floor = map(float, drawn.groups())
    assert middle == (start + end) / 2
    assert (floor - high) / (floor - low) == pytest.approx(3, abs=0.01)
    assert f'd="M{middle} ' in text  # the mark
    assert "threshold 0.5" in text


def test_words_are_no_markup_and_equal_panels_give_equal_plots():
    bad = "<b>\x1b\"'"
    panels = (
        Composition(title=bad, counts={bad: {bad: 1}}),
        Histogram(
            title=bad, label=bad, edges=np.array([0.0, 1.0]), counts={bad: np.array([1])}, marks={bad: 2.0}
        ),
    )
    for panel in panels:
        text = draw_panel(panel)
        assert "<b>" not in text
        assert "\x1b" not in text
        assert text.count("&lt;b&gt;") >= 4
        assert text == draw_panel(panel)


@pytest.mark.parametrize(
    "panel",
    [
        Composition(title="t", counts={}),
        Composition(title="t", counts={"none": {}}),
        Histogram(title="t", label="l", edges=np.array([0.5, 0.5]), counts={"none": np.array([0])}),
    ],
    ids=["no group", "no category", "no row"],
)
def test_nothing_is_drawn_of_nothing(panel):
    assert "nan" not in draw_panel(panel)


def test_of_many_categories_as_many_are_named_as_there_is_room_for():
    counts = {f"class {number}": 1 for number in range(500)}
    text = draw_panel(Composition(title="Classes", counts={"rows": counts}))
    assert len(bars_of(text)) == 500
    assert 2 < text.count(">class ") < 20
