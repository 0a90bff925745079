import numpy as np
import pytest
from tests.eval.result_files import write_results

from oddpair.benchmarks.benchmark import RobustnessAxes
from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import Answers
from oddpair.eval.results import find_results
from oddpair.eval.robustness import points
from oddpair.eval.robustness.points import find_points

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
        names = [f"{one.result.task}-{number}" for number in range(1000)]
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


def place(tmp_path, monkeypatch, credit, clusters):
    """One model whose task has as much credit, by task, in clusters of its own or shared."""
    write_results(tmp_path, {"one": dict.fromkeys(credit, 0.5)})
    found = find_results([tmp_path])
    for one in found:
        one.record_path.touch()

    def read_answers(one):
        task = one.result.task
        names = [f"{task}-{number}" for number in range(len(credit[task]))]
        return Answers(questions=names, clusters=clusters(task), credit=credit[task])

    monkeypatch.setattr(points, "read_answers", read_answers)
    (point,) = find_points(found, "toy", AXES).points
    return point


def test_axes_are_drawn_together_where_they_share_classes_and_apart_where_they_do_not(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    easy = rng.random(60)[np.repeat(np.arange(60), 5)]
    credit = {task: (rng.random(300) < easy).astype(float) for task in ("val", "a", "sketch")}
    together, apart = (
        place(
            tmp_path / name,
            monkeypatch,
            credit,
            lambda task, prefix=prefix: [f"{prefix * task}{number // 5}" for number in range(300)],
        )
        for name, prefix in (("together", 0), ("apart", 1))
    )
    assert np.corrcoef(together.x_draws, together.y_draws)[0, 1] > 0.6
    assert abs(np.corrcoef(apart.x_draws, apart.y_draws)[0, 1]) < 0.1
    # Each axis alone varies as the means of its classes do.
    means = credit["val"].reshape(60, 5).mean(axis=1)
    for point in (together, apart):
        assert point.x_draws.std() == pytest.approx(means.std() / 60**0.5, rel=0.1)


def test_a_task_of_a_single_cluster_has_no_draws(tmp_path, monkeypatch):
    credit = {task: np.array([1.0, 0.0, 1.0]) for task in ("val", "a", "sketch")}
    point = place(tmp_path, monkeypatch, credit, lambda task: ["all"] * 3 if task == "a" else list("abc"))
    assert (point.x_draws, point.y_draws) == (None, None)
