"""Plots of the leaderboard: every point is where its numbers say, and nothing that a label says becomes markup."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from scipy.special import ndtri

from oddpair.commands.board_plots import HEIGHT, WIDTH, Point, counts_axis, interval_bar, scatter

LABELS: dict[str, Any] = {"x_label": "x, %", "y_label": "y, %", "title": "a plot"}
SVG = "{http://www.w3.org/2000/svg}"


def drawn(markup):
    """The drawing as a tree: what is no XML cannot be read."""
    (text,) = re.findall(r'<svg class="scatter".*</svg>', str(markup), flags=re.DOTALL)
    return ElementTree.fromstring(text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def places(tree):
    return [(float(mark.get("cx")), float(mark.get("cy"))) for mark in tree.iter(f"{SVG}circle")]


def test_points_lie_where_their_fractions_say():
    points = [Point(x=x, y=y, label=f"{x}") for x, y in ((0.1, 0.2), (0.2, 0.3), (0.4, 0.6))]
    (first, second, third) = places(drawn(scatter(points, **LABELS)))
    assert (second[0] - first[0]) / (third[0] - first[0]) == pytest.approx(1 / 3, abs=0.002)
    assert (second[1] - first[1]) / (third[1] - first[1]) == pytest.approx(1 / 4, abs=0.002)
    assert first[1] > second[1] > third[1]


def test_a_probit_axis_is_bent_by_the_normal_quantile():
    shares = (0.05, 0.5, 0.9)
    found = [
        x
        for x, _ in places(
            drawn(scatter([Point(x=x, y=0.5, label="") for x in shares], probit=True, **LABELS))
        )
    ]
    bent = [float(ndtri(share)) for share in shares]
    assert (found[1] - found[0]) / (found[2] - found[0]) == pytest.approx(
        (bent[1] - bent[0]) / (bent[2] - bent[0]), abs=0.002
    )


def test_a_logarithmic_axis_gives_equal_room_to_equal_ratios():
    points = [Point(x=x, y=0.5, label="") for x in (1e6, 1e7, 1e8)]
    left, middle, right = (x for x, _ in places(drawn(scatter(points, log_x=True, **LABELS))))
    assert middle - left == pytest.approx(right - middle, abs=0.2)


def test_every_mark_stays_within_the_drawing():
    points = [
        Point(x=0, y=0, low=0, high=0.1, label="low"),
        Point(x=1, y=1, low=0.9, high=1, label="high"),
        Point(x=0.5, y=0.5, label="one"),
    ]
    for probit in (False, True):
        for x, y in places(drawn(scatter(points, probit=probit, diagonal=True, **LABELS))):
            assert 0 < x < WIDTH
            assert 0 < y < HEIGHT


def test_what_a_label_says_is_text_and_never_markup():
    evil = '"><script>alert(1)</script>\u202e'
    points = [
        Point(x=0.1, y=0.1, label=evil, group=evil, href="a.html"),
        Point(x=0.2, y=0.2, label="b", group="c"),
    ]
    found = scatter(points, x_label=evil, y_label=evil, title=evil)
    assert "<script" not in found
    assert "\u202e" not in found
    titles = [title.text for title in drawn(found).iter(f"{SVG}title")]
    assert titles[0].startswith('"><script>')


def test_names_stand_beside_points_only_where_there_is_room():
    def names(n):
        points = [Point(x=place / n, y=place / n, label=f"m{place}", href="x") for place in range(n)]
        return [
            text
            for text in drawn(scatter(points, **LABELS)).iter(f"{SVG}text")
            if (text.text or "").startswith("m")
        ]

    assert (len(names(8)), len(names(60))) == (8, 0)


def test_a_band_and_a_line_are_drawn_behind_the_points():
    found = drawn(
        scatter(
            [Point(x=0.1, y=0.2, label="a"), Point(x=0.5, y=0.4, label="b")],
            line=[(0.1, 0.2), (0.5, 0.4)],
            band=[(0.1, 0.1, 0.3), (0.5, 0.3, 0.5)],
            **LABELS,
        )
    )
    kinds = [mark.get("class") for mark in found.iter(f"{SVG}path") if mark.get("class")]
    assert kinds == ["band", "fitted"]
    assert len(places(found)) == 2


def test_a_plot_without_points_is_refused():
    with pytest.raises(ValueError, match="found no point"):
        scatter([], **LABELS)


def test_the_same_points_give_the_same_bytes():
    points = [Point(x=0.1, y=0.2, label="a"), Point(x=1 / 3, y=0.4, label="b")]
    assert scatter(points, **LABELS) == scatter(points, **LABELS)


def test_a_marked_point_is_drawn_last_larger_and_named_among_many():
    points = [Point(x=place / 60, y=place / 60, label=f"m{place}", href="x") for place in range(60)]
    points.insert(7, Point(x=0.31, y=0.32, label="this one", marked=True))
    found = drawn(scatter(points, **LABELS))
    circles = list(found.iter(f"{SVG}circle"))
    assert [float(circle.get("r")) for circle in circles] == [3.5] * 60 + [6.0]
    assert circles[-1].find(f"{SVG}title").text == "this one"
    named = [text.text for text in found.iter(f"{SVG}text") if text.text in {point.label for point in points}]
    assert named == ["this one"]


def test_the_area_of_a_mark_grows_with_what_it_stands_for_up_to_a_bound():
    points = [Point(x=0.1 * weight, y=0.5, label="", weight=weight) for weight in (1, 4)]
    points.append(Point(x=0.9, y=0.5, label="", weight=10_000))
    radii = [float(circle.get("r")) for circle in drawn(scatter(points, **LABELS)).iter(f"{SVG}circle")]
    # The largest first, under the others.
    assert radii == [11.0, 10.0, 5.0]


def test_names_that_would_be_written_over_each_other_are_left_out():
    points = [Point(x=0.5, y=0.5, label=name, href="x") for name in ("one", "two")]
    points += [
        Point(x=0.5, y=0.5, label="marked", marked=True),
        Point(x=0.1, y=0.9, label="three", href="x"),
    ]
    names = {point.label for point in points}
    found = drawn(scatter(points, **LABELS))
    shown = [text.text for text in found.iter(f"{SVG}text") if text.text in names]
    assert sorted(shown) == ["marked", "three"]


def test_an_axis_of_counts_has_a_place_for_none_and_equal_room_for_equal_ratios_far_out():
    axis = counts_axis([0, 3, 250_000])
    assert axis.ticks[0] == (0, "0")
    assert axis.high == 300_000
    assert len(axis.ticks) <= 8
    places = [axis.place(count) for count in (0, 10_000, 100_000)]
    assert places[0] == axis.start
    assert axis.place(100_000) - axis.place(10_000) == pytest.approx(
        axis.place(10_000) - axis.place(1_000), abs=0.3
    )
    assert counts_axis([0]).high == 1


def test_an_interval_bar_has_ends_value_others_and_reference_where_they_belong():
    bar = interval_bar(0.2, 0.1, 0.3, end=0.5, others=[0.05, 0.4, 0.4, 9.0], reference=0.01)
    tree = ElementTree.fromstring(str(bar))
    others, reference, mark = (path.get("d") for path in tree.iter("path"))
    (span,) = tree.iter("rect")
    assert (span.get("x"), span.get("width")) == ("200", "400")
    assert others == "M100 3v14M800 3v14M1000 3v14"
    assert (reference, mark) == ("M20 0v20", "M400 0v20")


def test_an_interval_bar_may_begin_below_zero():
    tree = ElementTree.fromstring(str(interval_bar(-0.1, -0.15, -0.05, start=-0.2, end=0.2, reference=0.0)))
    reference, mark = (path.get("d") for path in tree.iter("path"))
    assert (reference, mark) == ("M500 0v20", "M250 0v20")
