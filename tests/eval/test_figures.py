import numpy as np
import pytest

from oddpair import html
from oddpair.eval import figures
from oddpair.eval.logistic import Band


def _labels(figure):
    (axes,) = figure.axes
    return axes.get_xlabel(), axes.get_ylabel()


def _points(figure):
    """All points that the lines of a figure go through."""
    (axes,) = figure.axes
    return np.concatenate([np.asarray(line.get_xydata(), dtype=float) for line in axes.lines])


def _holds(figure, x, y):
    return (np.abs(_points(figure) - [x, y]).max(axis=1) < 1e-9).any()


def _whiskers(figure):
    from matplotlib.collections import LineCollection

    (axes,) = figure.axes
    found = [part.get_segments() for part in axes.collections if isinstance(part, LineCollection)]
    return np.concatenate(found)


def _count_figure():
    counts = np.array([0, 9, 99, 999])
    return figures.plot_accuracy_against_count(
        counts,
        np.array([0.0, 0.2, 0.5, 0.9]),
        curve_count=counts.astype(float),
        curve=Band(
            np.array([0.1, 0.3, 0.5, 0.8]), np.array([0.0, 0.2, 0.4, 0.7]), np.array([0.2, 0.4, 0.6, 0.9])
        ),
        bin_count=np.array([50.0]),
        bin_accuracy=np.array([0.35]),
    )


def _pmi_figure():
    return figures.plot_accuracy_against_pmi(
        np.array([-1.0, 0.5]), np.array([0.4, 0.6]), np.array([0.3, 0.5]), np.array([0.5, 0.7])
    )


def test_counts_run_from_the_most_to_the_least_frequent_without_those_that_never_occur():
    figure = figures.plot_counts(np.array([3, 0, 50]), np.array([7, 1, 60]))
    text, image = figure.axes[0].lines
    assert np.asarray(text.get_xydata()).tolist() == [[1, 50], [2, 3]]
    assert np.asarray(image.get_xydata()).tolist() == [[1, 60], [2, 7], [3, 1]]
    assert _labels(figure) == ("rank of the concept", "rows of the corpus")
    assert figure.axes[0].get_yscale() == "log"


def test_accuracy_is_drawn_in_per_cent_against_one_more_than_the_count_on_a_log_scale():
    figure = _count_figure()
    assert all(_holds(figure, 1 + count, share) for count, share in ((0, 0), (9, 20), (99, 50), (999, 90)))
    assert _holds(figure, 51, 35)  # the bin
    assert _holds(figure, 1000, 80)  # the curve
    assert figure.axes[0].get_xscale() == "log"
    assert _labels(figure) == ("1 + captions that name the concept", "accuracy, %")


def test_the_band_reaches_from_its_low_to_its_high_end():
    band = _count_figure().axes[0].collections[0].get_paths()[0].vertices
    at_the_end = band[band[:, 0] == 1000, 1]
    assert at_the_end.min() == pytest.approx(70)
    assert at_the_end.max() == pytest.approx(90)


def test_bins_stand_at_predicted_and_true_with_their_intervals_on_equal_axes():
    figure = figures.plot_predicted_against_true(
        np.array([0.3, 0.6]), np.array([0.25, 0.7]), np.array([0.2, 0.6]), np.array([0.3, 0.78])
    )
    assert _holds(figure, 30, 25)
    assert _whiskers(figure).tolist() == [[[30, 20], [30, 30]], [[60, 60], [60, 78]]]
    (axes,) = figure.axes
    assert axes.get_xlim()[1] == axes.get_ylim()[1] == 80
    assert _labels(figure) == ("predicted accuracy, %", "true accuracy, %")


def test_the_scale_of_a_scatter_never_ends_above_100_per_cent():
    figure = figures.plot_predicted_against_true(*np.array([[0.99], [1.0], [0.9], [1.0]]))
    assert figure.axes[0].get_xlim()[1] == 100


def test_pmi_is_drawn_in_nats_with_intervals():
    figure = _pmi_figure()
    assert _holds(figure, -1, 40)
    assert _whiskers(figure).tolist() == [[[-1, 30], [-1, 50]], [[0.5, 50], [0.5, 70]]]
    assert "nats" in _labels(figure)[0]


def test_differences_run_from_top_to_bottom_beside_their_labels():
    figure = figures.plot_differences(
        ["first", "second"],
        np.array([-2.0, 1.0]),
        np.array([-4.0, -1.0]),
        np.array([0.0, 3.0]),
        xlabel="points",
    )
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert _holds(figure, -2, 0)
    assert _holds(figure, 1, 1)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert _labels(figure)[0] == "points"


def test_equal_arrays_give_equal_bytes_with_ink_and_paper_of_the_page():
    drawn = html.svg(_pmi_figure(), "PMI")
    assert drawn == html.svg(_pmi_figure(), "PMI")
    assert "currentColor" in drawn
    assert "#ffffff" not in drawn
