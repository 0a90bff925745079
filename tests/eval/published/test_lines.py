import pytest

from oddpair.errors import Refusal
from oddpair.eval.published.layout import read_published
from oddpair.eval.published.lines import reproduce_lines


def test_models_ten_points_above_the_diagonal_are_ten_points_above_its_line(layout):
    found = reproduce_lines(read_published(layout()))
    standard = [one for one in found if one.above_standard is None]
    assert {one.table for one in standard} == {"imagenet_testbed_top1.csv"}
    for one in standard:
        assert (one.slope.value, one.intercept.value) == pytest.approx((1, 0), abs=1e-9)
    above = {one.axes: one.above_standard for one in found if one.above_standard is not None}
    assert set(above) == {"natural", "rendition", "v2", "sketch"}
    for rise in above.values():
        assert (rise.value, rise.low, rise.high) == pytest.approx((0.1, 0.1, 0.1), abs=1e-6)
        assert rise.n == 3


def test_models_beyond_the_standard_ones_are_counted(layout):
    folder = layout({"openclip_results.csv": {1: "m0.9,t,0.9,0.95,0.95,0.95,0.95,0.95"}})
    assert {one.n_outside for one in reproduce_lines(read_published(folder)) if one.above_standard} == {1}


def test_a_table_without_enough_models_is_refused(layout):
    folder = layout()
    lines = (folder / "imagenet_testbed_top1.csv").read_text().splitlines(keepends=True)
    (folder / "imagenet_testbed_top1.csv").write_text("".join(lines[:3]))
    with pytest.raises(Refusal, match=r"imagenet_testbed_top1.csv: 2 models .* a line needs 3"):
        reproduce_lines(read_published(folder))


def test_published_clips_lie_above_the_line_of_published_classifiers(published_tables):
    found = {(one.axes, one.table): one for one in reproduce_lines(published_tables)}
    natural, rendition = (found[axes, "openclip_results.csv"] for axes in ("natural", "rendition"))
    assert (natural.slope.n, natural.n_outside) == (121, 0)
    assert natural.above_standard is not None
    assert rendition.above_standard is not None
    assert natural.above_standard.low > 0.15
    assert rendition.above_standard.low > natural.above_standard.high
    assert found["rendition", "imagenet_testbed_top1.csv"].slope.n == 329
