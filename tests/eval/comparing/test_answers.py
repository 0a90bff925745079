import numpy as np
import pyarrow as pa
import pytest
from tests.eval.comparing.result_data import CLASSES, classified, write_task

from oddpair.errors import Refusal
from oddpair.eval.comparing.answers import Answers, answers_of, make_seed, read_answers
from oddpair.eval.results import find_results
from oddpair.eval.scoring.records import SCHEMAS


def by_name(answers):
    return {
        name: (place, earned)
        for name, place, earned in zip(answers.questions, answers.clusters, answers.credit, strict=True)
    }


def test_answers_are_read_from_a_results_records(tmp_path):
    folder = write_task(tmp_path, "a", "natural", classified([1, 0, 1]), cluster="class")
    (found,) = find_results([folder])
    assert by_name(read_answers(found)) == {
        "p0000\np-uid-0000\ncat": ("class\ncat", 1.0),
        "p0001\np-uid-0001\ndog": ("class\ndog", 0.0),
        "p0002\np-uid-0002\nelk": ("class\nelk", 1.0),
    }


def test_records_of_another_result_are_refused(tmp_path):
    folder = write_task(tmp_path, "a", "natural", classified([1, 0, 1]))
    (found,) = find_results([folder])
    other = write_task(tmp_path / "other", "a", "natural", classified([1, 1, 1]))
    (other / found.record_path.name).rename(found.record_path)
    with pytest.raises(
        Refusal, match=r"world\.natural\.parquet is not what .* was made from: score the model again"
    ):
        read_answers(found)


def test_a_class_is_known_by_its_key_whatever_its_number():
    first = answers_of(
        classified([1, 1], target=[0, 1]), "classification", cluster="class", class_keys=CLASSES
    )
    turned = answers_of(
        classified([1, 1], target=[3, 2]), "classification", cluster="class", class_keys=CLASSES[::-1]
    )
    assert first.clusters == turned.clusters
    assert first.questions == turned.questions


def test_a_pair_is_one_cluster_whichever_of_its_two_is_asked_for():
    table = classified([1, 0], target=[0, 2])
    partner = pa.array([2, 0], pa.int32())
    table = table.set_column(table.column_names.index("partner"), "partner", partner)
    for name in ("key", "uid"):
        table = table.set_column(table.column_names.index(name), name, pa.array(["p", "p"]))
    found = answers_of(table, "pairs", cluster="pair", class_keys=CLASSES)
    assert found.questions == ["p\np\ncat\nelk", "p\np\nelk\ncat"]
    assert found.clusters == ["pair\ncat\nelk"] * 2


def test_of_retrieval_the_captions_queries_are_compared_and_those_of_a_picture_go_alike():
    columns = {
        "key": ["a", "a", "a", "b"],
        "uid": ["ua", "ua", "ua", "ub"],
        "style": [""] * 4,
        "direction": ["image_to_text", "text_to_image", "text_to_image", "text_to_image"],
        "caption": [-1, 0, 1, 0],
        "best_score": [0.5] * 4,
        "n_greater": [3, 0, 2, 0],
        "n_tied": [0, 0, 0, 1],
        "n_positives_tied": [1] * 4,
        "n_candidates": [3, 2, 2, 2],
    }
    table = pa.table(columns, schema=SCHEMAS["retrieval"])
    found = answers_of(table, "retrieval", cluster="image", class_keys=())
    assert by_name(found) == {
        "a\nua\n0": ("image\nua", 1.0),
        "a\nua\n1": ("image\nua", 0.0),
        "b\nub\n0": ("image\nub", 0.5),
    }


def test_choices_are_compared_by_question():
    columns = {
        "key": ["q1", "q2"],
        "uid": ["u", "u"],
        "style": ["", ""],
        "category": ["swap", "add"],
        "n_images": [1, 1],
        "n_captions": [2, 2],
        "scores": [[0.9, 0.1], [0.2, 0.3]],
    }
    table = pa.table(columns, schema=SCHEMAS["choice"])
    found = answers_of(table, "choice", cluster="image", class_keys=())
    assert by_name(found) == {"q1\nu": ("image\nu", 1.0), "q2\nu": ("image\nu", 0.0)}


def test_mean_average_precision_is_not_compared_by_question():
    with pytest.raises(Refusal, match="mean average precision is no mean over questions"):
        answers_of(pa.table({}), "multilabel", cluster="image", class_keys=())


def test_a_cluster_that_the_records_do_not_know_is_an_error():
    with pytest.raises(ValueError, match="know no cluster 'pair'"):
        answers_of(classified([1]), "classification", cluster="pair", class_keys=CLASSES)


def test_the_seed_follows_from_the_questions_and_not_from_the_answers():
    first, second = (
        Answers(questions=names, clusters=["x", "y"], credit=np.array(credit))
        for names, credit in ((["1", "2"], [0.0, 1.0]), (["2", "1"], [1.0, 1.0]))
    )
    assert make_seed([first]) == make_seed([second])
    assert make_seed([first]) != make_seed([first, second])


@pytest.mark.parametrize(
    ("questions", "clusters", "credit", "message"),
    [
        ([], [], [], "0 questions"),
        (["1", "2"], ["x"], [1, 1], "2 questions, 1 clusters"),
        (["1", "2"], ["x", "y"], [1], r"credit \(1,\)"),
        (["1", "1"], ["x", "y"], [1, 0], "2 questions, of which only 1 differ"),
        (["1"], ["x"], [1.5], "not between 0 and 1"),
        (["1"], ["x"], [float("nan")], "not between 0 and 1"),
    ],
)
def test_columns_that_do_not_fit_are_errors(questions, clusters, credit, message):
    with pytest.raises(ValueError, match=message):
        Answers(questions=questions, clusters=clusters, credit=np.array(credit, float))
