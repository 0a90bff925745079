import numpy as np
import pytest
from tests.eval.result_files import write_results

from oddpair.benchmarks.benchmark import RobustnessAxes
from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import Answers
from oddpair.eval.results import find_results
from oddpair.eval.robustness import points
from oddpair.eval.robustness.points import draw_accuracy, find_points

AXES = RobustnessAxes(name="natural", x=("val",), y=("a", "sketch"), same_classes=False)


def test_an_axis_is_the_plain_mean_over_its_tasks(tmp_path):
    write_results(tmp_path, {"one": {"val": 0.5, "a": 0.1, "sketch": 0.3, "other": 0.9}})
    placed = find_points(find_results([tmp_path]), "toy", AXES)
    (point,) = placed.points
    assert (point.name, point.x, point.n_x, point.n_y) == ("one", 0.5, 1000, 2000)
    assert point.y == pytest.approx(0.2)
    assert (point.x_draws, point.y_draws, placed.missing) == (None, None, {})


def test_a_model_without_a_task_is_told_and_other_benchmarks_are_passed_over(tmp_path):
    write_results(tmp_path, {"one": {"val": 0.5, "a": 0.1}})
    write_results(tmp_path, {"one": {"sketch": 0.3}}, benchmark="another")
    placed = find_points(find_results([tmp_path]), "toy", AXES)
    assert (placed.points, placed.missing) == ((), {"one": ("sketch",)})


def test_an_accuracy_of_0_is_moved_by_half_an_image(tmp_path):
    write_results(tmp_path, {"one": {"val": 1.0, "a": 0.0, "sketch": 0.0}}, n=100)
    (point,) = find_points(find_results([tmp_path]), "toy", AXES).points
    assert (point.x, point.y) == (0.995, 0.0025)


def test_two_results_of_one_model_for_a_task_are_refused(tmp_path):
    for folder in ("a", "b"):
        write_results(tmp_path / folder, {"one": {"val": 0.5}})
    with pytest.raises(Refusal, match="one has two results for val"):
        find_points(find_results([tmp_path]), "toy", AXES)


def test_draws_have_the_mean_and_the_spread_of_clusters_drawn_one_by_one():
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), rng.integers(1, 8, 60))
    hits = (rng.random(len(clusters)) < rng.random(60)[clusters]).astype(np.float64)
    found = draw_accuracy(hits, clusters, np.random.default_rng(1))
    slow = []
    for _ in range(2000):
        drawn = rng.integers(60, size=60)
        rows = [np.flatnonzero(clusters == one) for one in drawn]
        slow.append(hits[np.concatenate(rows)].mean())
    assert found.shape == (2000,)
    assert found.mean() == pytest.approx(np.mean(slow), abs=0.005)
    assert found.std() == pytest.approx(np.std(slow), rel=0.08)


def test_records_give_draws_that_the_same_images_share(tmp_path, monkeypatch):
    hits = {"one": 0.7, "two": 0.4}
    write_results(
        tmp_path, {name: {"val": share, "a": share, "sketch": share} for name, share in hits.items()}
    )
    found = find_results([tmp_path])
    for one in found:
        one.record_path.touch()

    def read_answers(one):
        hits = np.arange(1000) < 1000 * one.result.main.estimate.value
        names = [str(number) for number in range(1000)]
        return Answers(questions=names, clusters=names, credit=hits.astype(np.float64))

    monkeypatch.setattr(points, "read_answers", read_answers)
    first, second = find_points(found, "toy", AXES).points
    assert first.x_draws is not None
    assert second.x_draws is not None
    assert first.y_draws is not None
    assert first.x_draws.mean() == pytest.approx(0.7, abs=0.003)
    assert second.x_draws.mean() == pytest.approx(0.4, abs=0.003)
    assert first.x_draws.std() == pytest.approx((0.7 * 0.3 / 1000) ** 0.5, rel=0.1)
    again = find_points(found, "toy", AXES).points[0]
    assert again.x_draws is not None
    assert (again.x_draws == first.x_draws).all()
