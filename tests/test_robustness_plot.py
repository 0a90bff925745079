import numpy as np

from oddpair.commands.robustness_plot import draw_plot
from oddpair.eval.robustness.baseline import Baseline
from oddpair.eval.robustness.lines import fit_line
from oddpair.eval.robustness.points import Point

X, Y = np.array([0.2, 0.4, 0.6, 0.0]), np.array([0.1, 0.3, 0.5, 0.1])
BASELINE = Baseline(
    source="s", names=("a", "b", "c", "zero"), groups=("a", "b", "c", "zero"), x=X, y=Y, n_dropped=0
)


def draw(**draws):
    point = Point(name="m", x=0.5, y=0.4, n_x=100, n_y=100, **{"x_draws": None, "y_draws": None, **draws})
    return str(draw_plot("t", ("x", "y"), BASELINE, fit_line(X, Y), [point]))


def test_baseline_models_without_a_place_on_the_axes_are_left_out():
    assert draw().count("<circle") == 3 + 1
    assert "zero" not in draw()


def test_a_model_with_records_has_a_bar_on_each_axis():
    spread = np.linspace(0.4, 0.6, 101)
    assert draw(x_draws=spread, y_draws=spread).count("<path") == draw().count("<path") + 2


def test_the_line_is_whole_where_the_baseline_has_models_and_dashed_beyond():
    drawing = draw()
    assert drawing.count("stroke-dasharray") == 2
    assert drawing.count("currentColor") == 3
