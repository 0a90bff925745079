"""``oddpair robustness`` as a user runs it: results, a baseline, numbers and a page."""

import json

import numpy as np
import pytest
from tests.command import run
from tests.eval.result_files import write_results

from oddpair.benchmarks.benchmark import Benchmark, RobustnessAxes
from oddpair.commands import robustness
from oddpair.eval.robustness.lines import restore, transform

AXES = RobustnessAxes(name="natural", x=("val",), y=("sketch",), same_classes=True)


@pytest.fixture(autouse=True)
def benchmark(monkeypatch):
    found = Benchmark(name="toy", version=1, about="", sets={}, tasks=(), robustness=(AXES,))
    monkeypatch.setattr(robustness, "load_benchmark", lambda name: found)
    monkeypatch.setattr(robustness, "shipped", lambda: ("toy",))
    return found


@pytest.fixture
def results(tmp_path):
    return write_results(
        tmp_path / "results",
        {"<above>": {"val": 0.5, "sketch": 0.5}, "far": {"val": 0.99, "sketch": 0.2}, "half": {"val": 0.5}},
    )


@pytest.fixture
def baseline(tmp_path):
    x = np.linspace(0.1, 0.9, 12)
    y = restore(0.8 * transform(x, "probit") - 0.5, "probit")
    rows = "".join(
        f"m{number}<b>,{a!r},{b!r}\n"
        for number, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True))
    )
    path = tmp_path / "baseline.csv"
    path.write_text(f"model,x,y\n{rows}")
    return path


def test_models_are_measured_against_the_line_of_the_baseline(results, baseline):
    code, text = run("robustness", results, "--baseline", baseline, "--json", stream="stdout")
    assert code == 0
    found = json.loads(text)
    assert (found["line"]["n"], found["line"]["slope"], found["line"]["intercept"]) == (
        12,
        pytest.approx(0.8),
        pytest.approx(-0.5),
    )
    above, far = found["models"]
    # 50 % in distribution is 0 on the probit scale, so the line says the normal share below -0.5.
    assert above["effective_robustness"]["value"] == pytest.approx(0.5 - 0.3085375)
    assert (above["is_outside"], far["is_outside"], above["of_images"]) == (False, True, None)
    assert found["missing"] == {"half": ["sketch"]}
    assert found["baseline_scatter"] == pytest.approx(0, abs=1e-12)


def test_what_is_printed_says_which_classes_x_has_how_many_models_and_what_is_left_out(results, baseline):
    code, text = run("robustness", results, "--baseline", baseline, "--axes", "natural", stream="stdout")
    assert code == 0
    assert text.startswith("toy, natural: sketch (y) against val (x, the same classes), in per cent\n")
    assert "baseline: 12 models" in text
    assert "probit(y) = 0.800 probit(x) -0.500" in text
    assert "19.15 [19.15, 19.15]" in text
    assert "far lies outside the baseline's x of 10.00 to 90.00" in text
    assert "half is left out: no result of sketch" in text


def test_the_page_shows_every_model_on_the_axes_and_escapes_names(results, baseline, tmp_path):
    pages = []
    for name in ("a.html", "b.html"):
        command = (
            "robustness",
            results,
            "--baseline",
            baseline,
            "--scale",
            "logit",
            "--out",
            tmp_path / name,
        )
        assert run(*command)[0] == 0
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    page = pages[0].decode()
    assert page.count("<circle") == 12 + 2
    assert "m0&lt;b&gt;" in page
    assert "<above>" not in page
    assert "logit axes" in page
    assert "nan" not in page.lower().replace("nanum", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,x,y\na,0.1,0.2\nb,0.2,0.3\n", "a line needs 3 models in 2 groups"),
        ("model,x,y\na,0.1,0.2\nb,0.1,0.3\nc,0.1,0.4\n", "a line needs 3 models in 2 groups that differ"),
        ("model,x,y\n", "has no model with an accuracy on both axes"),
    ],
)
def test_a_baseline_without_a_line_is_refused(results, tmp_path, text, message):
    (tmp_path / "few.csv").write_text(text)
    code, line = run("robustness", results, "--baseline", tmp_path / "few.csv")
    assert code == 2
    assert message in line


def test_axes_that_are_not_there_are_refused(results, baseline):
    code, line = run("robustness", results, "--baseline", baseline, "--axes", "rendition")
    assert (code, "--axes rendition fits 0; the benchmarks of these results have natural of toy" in line) == (
        2,
        True,
    )


def test_results_of_a_set_that_is_no_benchmark_do_not_stand_in_the_way(results, baseline):
    write_results(results, {"<above>": {"classification": 0.5}}, benchmark="shapes")
    code, text = run("robustness", results, "--baseline", baseline, stream="stdout")
    assert code == 0
    assert text.startswith("toy, natural: ")


def test_results_of_no_benchmark_that_ships_ask_for_one(tmp_path, baseline):
    write_results(tmp_path / "own", {"half": {"val": 0.5}}, benchmark="shapes")
    code, line = run("robustness", tmp_path / "own", "--baseline", baseline)
    assert code == 2
    assert "the benchmarks of these results have none: name one with --axes, and --suite" in line


def test_results_of_no_model_with_all_tasks_are_refused(tmp_path, baseline):
    write_results(tmp_path / "part", {"half": {"val": 0.5}})
    code, line = run("robustness", tmp_path / "part", "--baseline", baseline)
    assert (code, line) == (2, "axes natural: half has no result of sketch: score it on these tasks")
