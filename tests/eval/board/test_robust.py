"""Effective robustness among entries: beside slow sums, with intervals that hold, and no help from copies."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm, t
from tests.eval.board.planted_entries import make_entry, make_key

from oddpair.benchmarks.benchmark import Benchmark, RobustnessAxes
from oddpair.eval.board.robust import find_lines, find_robustness
from oddpair.eval.intervals import Estimate
from oddpair.eval.results import Metric
from oddpair.eval.robustness.lines import fit_line
from oddpair.eval.submission.entry import Recomputed

KEYS = {name: make_key(f"world.{name}") for name in ("near", "far", "farther")}
N = 600


def benchmark(version=1, x=("near",), y=("far",)):
    axes = RobustnessAxes(name="style", x=x, y=y, same_classes=True)
    return {
        "world": Benchmark(name="world", version=version, about="", sets={}, tasks=(), robustness=(axes,))
    }


def scored(name, version=1, **accuracies):
    """An entry with accuracies on tasks, its answers unseen."""
    tasks = [
        Recomputed(
            key=replace(KEYS[task], version=version),
            records=pa.table({}),
            metrics=(
                Metric(
                    name="top1",
                    estimate=Estimate(value=value, low=0.0, high=1.0, n=N, what="top1"),
                    chance=None,
                    interval="none",
                ),
            ),
        )
        for task, value in accuracies.items()
    ]
    return make_entry(name, tasks)


def draw_entries(rng, n, noise=0.1):
    x = rng.normal(0, 0.6, n)
    y = 0.8 * x - 0.5 + rng.normal(0, noise, n)
    return [
        scored(f"m{row:02}", near=float(norm.cdf(x[row])), far=float(norm.cdf(y[row]))) for row in range(n)
    ]


def above(one):
    """Its distance from the line, which it must have."""
    assert one.above is not None
    return one.above


def names_of(entries):
    return [entry.submission.name for entry in entries]


def test_each_lies_as_far_above_the_line_of_the_others_as_the_textbook_says():
    entries = draw_entries(np.random.default_rng(0), 7)
    places = np.array(
        [[entry.tasks[f"world.{task}"].main.estimate.value for task in ("near", "far")] for entry in entries]
    )
    found = find_robustness(entries, benchmark())
    for row, name in enumerate(names_of(entries)):
        x, y = norm.ppf(np.delete(places, row, axis=0)).T
        design = np.stack([np.ones(6), x], axis=1)
        inverse = np.linalg.inv(design.T @ design)
        beta = inverse @ design.T @ y
        variance = ((y - design @ beta) ** 2).sum() / 4
        at = np.array([1.0, norm.ppf(places[row, 0])])
        reach = t.ppf(0.995, 4) * np.sqrt(variance * (1 + at @ inverse @ at))
        (one,) = found[name]
        assert (one.axes, one.x, one.y) == ("world.style", *places[row])
        wanted = places[row, 1] - norm.cdf(at @ beta + np.array([0, reach, -reach]))
        assert [above(one).value, above(one).low, above(one).high] == pytest.approx(
            wanted.tolist(), abs=1e-12
        )
        assert above(one).n == 6


def test_the_interval_holds_ninety_nine_of_a_hundred_honest_entries():
    rng = np.random.default_rng(1)
    inside = [
        above(one).low <= 0 <= above(one).high
        for _ in range(500)
        for all_axes in find_robustness(draw_entries(rng, 6), benchmark()).values()
        for one in all_axes
    ]
    assert len(inside) == 3000
    # Six entries of one draw go alike at worst: the standard error is that of 500.
    assert np.mean(inside) == pytest.approx(0.99, abs=3 * np.sqrt(0.99 * 0.01 / 500))


def test_one_that_was_trained_on_renditions_lies_outside():
    entries = [*draw_entries(np.random.default_rng(2), 9, noise=0.03), scored("odd", near=0.5, far=0.7)]
    found = find_robustness(entries, benchmark())
    (odd,) = found[names_of(entries)[-1]]
    assert above(odd).low > 0.2
    assert above(odd).value == pytest.approx(0.7 - norm.cdf(-0.5), abs=0.05)


def test_copies_of_an_entry_do_not_pull_its_line():
    entries = draw_entries(np.random.default_rng(3), 6)
    first = entries[0]
    copies = [replace(first, submission=replace(first.submission, model=f"copy-{row}")) for row in range(5)]
    alone, beside = find_robustness(entries, benchmark()), find_robustness([*entries, *copies], benchmark())
    assert {name: beside[name] for name in alone} == alone
    assert {beside[name] for name in names_of(copies)} == {alone[names_of([first])[0]]}
    assert find_lines([*entries, *copies], benchmark()) == find_lines(entries, benchmark())


def test_the_order_of_entries_does_not_matter():
    entries = draw_entries(np.random.default_rng(4), 8)
    assert find_robustness(entries[::-1], benchmark()) == find_robustness(entries, benchmark())
    assert find_lines(entries[::-1], benchmark()) == find_lines(entries, benchmark())


@pytest.mark.parametrize("n", [1, 4])
def test_fewer_than_four_others_make_no_line_to_lie_above(n):
    for (one,) in find_robustness(draw_entries(np.random.default_rng(5), n), benchmark()).values():
        assert one.above is None


def test_entries_of_one_accuracy_make_no_line():
    entries = [scored(f"m{row}", near=0.5, far=0.1 * row) for row in range(1, 7)]
    assert all(one.above is None for (one,) in find_robustness(entries, benchmark()).values())
    assert find_lines(entries, benchmark()) == ()


def test_the_line_through_all_is_that_of_oddpair_robustness():
    entries = draw_entries(np.random.default_rng(6), 9)
    values = [
        [entry.tasks[f"world.{task}"].main.estimate.value for entry in entries] for task in ("near", "far")
    ]
    wanted = fit_line(values[0], values[1])
    (line,) = find_lines(entries, benchmark())
    assert (line.axes, line.x, line.y, line.n) == ("world.style", ("near",), ("far",), 9)
    assert [line.slope, line.intercept] == pytest.approx([wanted.slope, wanted.intercept])
    x, y = np.array(line.points).T
    assert (np.diff(x) > 0).all()
    assert [x[0], x[-1]] == pytest.approx([min(values[0]), max(values[0])])
    assert y == pytest.approx(wanted.foretell(x))


def test_two_entries_make_no_line():
    assert find_lines(draw_entries(np.random.default_rng(7), 2), benchmark()) == ()


def test_accuracies_of_all_or_nothing_are_moved_by_half_a_picture():
    (one,) = find_robustness([scored("m", near=1.0, far=0.0)], benchmark())[names_of([scored("m")])[0]]
    assert (one.x, one.y) == pytest.approx((1 - 0.5 / N, 0.5 / N))


def test_an_axis_is_the_plain_mean_of_its_tasks_and_needs_all_of_them():
    both = benchmark(y=("far", "farther"))
    whole, part = scored("whole", near=0.5, far=0.2, farther=0.4), scored("part", near=0.5, far=0.2)
    found = find_robustness([whole, part], both)
    ((one,), none) = (found[name] for name in names_of([whole, part]))
    assert one.y == pytest.approx(0.3)
    assert none == ()


def test_tasks_of_an_older_version_are_not_placed():
    entries = [scored("old", near=0.5, far=0.2), scored("new", version=2, near=0.5, far=0.2)]
    old, new = names_of(entries)
    found = find_robustness(entries, benchmark(version=2))
    assert found[old] == ()
    assert len(found[new]) == 1


def test_benchmarks_that_ship_are_taken_where_none_are_given():
    assert find_robustness([scored("m", near=0.5, far=0.5)]) == {names_of([scored("m")])[0]: ()}
