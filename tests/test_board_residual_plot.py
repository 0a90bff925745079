"""Plots of accuracy against counts: every concept in some mark, a curve that is the mean of its predictions, sides counted."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from oddpair.commands.board_residual_plot import (
    average_predictions,
    count_sides,
    has_counts,
    judge,
    list_farthest,
    plot_concepts,
)
from oddpair.eval.board.board import ConceptPoint, Score

SVG = "{http://www.w3.org/2000/svg}"


def make_point(name, count, accuracy, predicted=0.4, low=0.2, high=0.6, n=20, pmi=None):
    told = Score(value=predicted, low=low, high=high, n=7)
    return ConceptPoint(task="t", concept=name, count=count, pmi=pmi, accuracy=accuracy, n=n, predicted=told)


def drawn(points):
    found = str(plot_concepts(points, task="t", corpus="c"))
    (text,) = re.findall(r'<svg class="scatter".*</svg>', found, flags=re.DOTALL)
    return ElementTree.fromstring(text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def many(seed=0, n=80):
    rng = np.random.default_rng(seed)
    counts = (10 ** rng.uniform(0, 4, n)).astype(int) - 1
    for row, count in enumerate(counts.tolist()):
        low, predicted, high = sorted(rng.uniform(0, 1, 3).tolist())
        n_questions = int(rng.integers(5, 50))
        yield make_point(f"thing {row}", count, rng.integers(0, 9) / 8, predicted, low, high, n_questions)


@pytest.mark.parametrize(
    ("accuracy", "side"), [(0.6, "within"), (0.2, "within"), (0.61, "above"), (0.19, "below")]
)
def test_the_ends_of_an_interval_lie_within_it(accuracy, side):
    assert judge(make_point("a", 1, accuracy)) == side


def test_sides_add_up_to_all_concepts():
    points = [make_point(str(row), row, row / 10) for row in range(11)]
    assert count_sides(points) == {"within": 5, "above": 4, "below": 2}


@pytest.mark.parametrize(("inside", "above"), [(9, 2), (2, 9), (3, 3), (300, 200), (200, 300)])
def test_at_one_place_the_smaller_mark_is_on_top_and_of_equal_ones_that_outside_its_interval(inside, above):
    points = [make_point(f"a{row}", 0, 0.5) for row in range(inside)]
    points += [make_point(f"b{row}", 0, 0.5, predicted=0.1, low=0.0, high=0.2) for row in range(above)]
    points += [make_point(f"c{row}", row, 0.5) for row in range(1, 4)]
    marks = [group for group in drawn(points).iter(f"{SVG}g") if group.find(f"{SVG}circle") is not None]
    here = [(mark.get("color"), mark.find(f"{SVG}circle")) for mark in marks]
    place = next(circle for colour, circle in here if colour == "#d55e00")
    shared = [(colour, one) for colour, one in here if one.get("cx") == place.get("cx")]
    (_, under), (colour, over) = shared
    assert under.get("cy") == over.get("cy")
    radii = float(under.get("r")), float(over.get("r"))
    assert radii[0] > radii[1] or (radii[0] == radii[1] and colour == "#d55e00")


def test_every_concept_is_in_a_mark_or_counted_in_its_title():
    points = [make_point(f"a{row}", 0, 0.5) for row in range(9)] + [
        make_point(f"b{row}", row + 1, 0.5) for row in range(5)
    ]
    marks = list(drawn(points).iter(f"{SVG}circle"))
    titles = [mark.find(f"{SVG}title").text for mark in marks]
    assert len(titles) == 6
    assert titles[0] == "a0, a1, a2, a3, a4, a5 and 3 more: 50.0 %, foretold 40.0 %, captions: 0"
    assert titles[1] == "b0: 50.0 %, foretold 40.0 %, captions: 1"
    assert float(marks[0].get("r")) > float(marks[1].get("r"))


def test_the_curve_is_the_mean_of_predictions_weighted_by_questions_and_nearness():
    points = list(many())
    curve = average_predictions(points)
    assert [row[0] for row in curve] == sorted(row[0] for row in curve)
    for count, *told in curve[::8]:
        away = [np.log10(1 + point.count) - np.log10(1 + count) for point in points]
        weights = [
            point.n * np.exp(-0.5 * (apart / 0.15) ** 2) for point, apart in zip(points, away, strict=True)
        ]
        slow = [
            sum(weight * getattr(point.predicted, end) for weight, point in zip(weights, points, strict=True))
            / sum(weights)
            for end in ("value", "low", "high")
        ]
        assert told == pytest.approx(slow, rel=1e-9)


def test_a_curve_stays_within_the_predictions_however_far_apart_the_counts_lie():
    points = [
        make_point("a", 0, 0.1, 0.1, 0.0, 0.2),
        make_point("b", 5, 0.2, 0.2, 0.1, 0.3),
        make_point("c", 10**9, 0.9, 0.8, 0.7, 0.9),
    ]
    for _, mean, low, high in average_predictions(points):
        assert 0.1 <= mean <= 0.8
        assert low < mean < high


def test_where_counts_hardly_differ_predictions_take_their_place():
    points = [make_point(f"a + b{row}", row % 2, row / 10, predicted=row / 20) for row in range(10)]
    assert not has_counts(points)
    assert has_counts([*points, make_point("c + d", 2, 0.1)])
    assert all(across == mean for across, mean, _, _ in average_predictions(points))
    texts = [text.text for text in drawn(points).iter(f"{SVG}text")]
    assert "foretold, %" in texts
    assert not any("captions" in text for text in texts)
    assert "captions of c that name both" in [
        text.text for text in drawn([*points, make_point("c + d", 2, 0.1)]).iter(f"{SVG}text")
    ]


def test_one_concept_is_a_plot_too():
    assert len(list(drawn([make_point("a", 7, 0.3)]).iter(f"{SVG}circle"))) == 1


def test_the_farthest_are_told_from_the_highest_to_the_lowest_each_once():
    points = [make_point(f"{row:02}", row, row / 40) for row in range(30)]
    found = list_farthest(points)
    assert [one.concept for one in found] == [f"{row:02}" for row in (*range(29, 21, -1), *range(7, -1, -1))]
    first = found[0]
    assert (first.count, first.accuracy, first.predicted) == ("29", "72.5", "40.0 [20.0, 60.0]")
    assert (first.above, first.n, first.pmi) == ("+32.5", "20", "")
    few = list_farthest(points[:5])
    assert len({one.concept for one in few}) == len(few) == 4


def test_concepts_that_lie_equally_far_stand_by_name():
    points = [make_point(name, 1, 0.5) for name in "badc"]
    assert [one.concept for one in list_farthest(points)] == ["a", "b", "c", "d"]
    assert list_farthest([replace(points[0], pmi=-1.26), points[1]])[1].pmi == "−1.3"
