import dataclasses
import json

import pytest
from tests.perf import figures
from tests.perf.figures import Figure, divide, time_ways


@pytest.mark.parametrize(
    ("values", "word"),
    [((2.0, 1.9, 9.0), "BELOW ITS FLOOR"), ((2.4, 2.3, 9.0), "below its goal"), ((2.6, 2.6, 1.0), "ok")],
)
def test_a_median_below_floor_or_goal_is_marked(values, word):
    assert Figure(name="f", values=values, goal=2.5, floor=2.2).verdict == word


def test_a_median_above_its_ceiling_is_marked():
    assert Figure(name="f", values=(9, 11, 12), unit="%", ceiling=10).verdict == "ABOVE ITS CEILING"


def test_a_figure_of_which_nothing_is_wanted_has_no_verdict_but_may_have_a_note():
    assert Figure(name="f", values=[1.0], note="cold").cells[-1] == "cold"
    assert Figure(name="f", values=[1.0], floor=2.0, note="cold").cells[-1] == "BELOW ITS FLOOR: cold"


def test_figures_are_kept_until_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "FOLDER", tmp_path / "perf")
    monkeypatch.setattr(figures, "TABLE", tmp_path / "perf.md")
    figure = Figure(name="a beside b", values=divide([4.0, 9.0, 6.0], [2.0, 3.0, 2.0]), floor=2.0)
    figures.report("1-one", [figure])
    assert json.loads((tmp_path / "perf" / "1-one.json").read_text()) == [
        {**dataclasses.asdict(figure), "values": [2.0, 3.0, 3.0]}
    ]
    figures.main()
    assert "| a beside b | 3 x | 2 – 3 | 3 | at least 2 | ok |" in (tmp_path / "perf.md").read_text()
    assert "a beside b  3 x" in capsys.readouterr().out


def test_ways_take_turns():
    seen: list[str] = []
    ways = {name: lambda name=name: seen.append(name) for name in "ab"}
    times = time_ways(ways, 2, clock=lambda: float(len(seen)))
    assert "".join(seen) == "ababab"
    assert times == {"a": [1, 1], "b": [1, 1]}
