"""Results beside counts: each class with what its model had right and what its corpus held."""

import numpy as np
import pytest
from tests.eval.prediction.accuracy_tables import as_rows
from tests.eval.prediction.class_results import write_classes, write_pairs
from tests.eval.prediction.counted_captions import count_folder
from tests.eval.result_files import write_results

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.prediction.scores import read_scores
from oddpair.retrieval.counting.pmi_variants import smoothed_pmi

KEYS = ["cat", "dog", "owl"]


@pytest.fixture
def counts(tmp_path):
    return {"five": count_folder(tmp_path / "counts", ["cat", "dog"])}


def test_each_class_has_its_share_of_right_answers_and_its_counts(tmp_path, counts):
    asked, answered = ["cat"] * 4 + ["dog"] * 3, ["cat", "cat", "dog", None, "dog", "dog", "dog"]
    write_classes(tmp_path / "scores", "m", KEYS, asked, answered, damaged=2)
    found = read_scores([tmp_path / "scores"], counts)
    # A tie of three earns a third; of the owl nothing was asked.
    assert as_rows(found.table) == [
        ("m", "five", "toy.natural", "cat", pytest.approx((2 + 1 / 3) / 4), 4, 3, None, None, None),
        ("m", "five", "toy.natural", "dog", 1.0, 3, 2, None, None, None),
    ]
    assert found.notes[0] == "2 damaged pictures were set aside when models were scored"


def test_a_class_that_was_not_counted_has_no_count_and_is_told(tmp_path, counts):
    write_classes(tmp_path / "scores", "m", KEYS, ["cat", "owl"], ["cat", "owl"])
    found = read_scores([tmp_path / "scores"], counts)
    np.testing.assert_array_equal(found.table.count_text, [3, np.nan])
    assert found.notes[0] == (
        "five: 1 classes are not among the counted concepts, or could be several, and have no count: 'owl'"
    )


def test_pairs_have_a_row_for_each_order_with_the_counts_of_the_target(tmp_path, counts):
    asked = [("cat", "dog"), ("cat", "dog"), ("dog", "cat"), ("owl", "cat")]
    write_pairs(tmp_path / "scores", "m", [*KEYS, "ant"], asked, ["cat", "ant", "dog", "owl"])
    table = read_scores([tmp_path / "scores"], counts).table
    assert table.concept.tolist() == ["cat + dog", "dog + cat", "owl + cat"]
    assert table.accuracy.tolist() == [0.5, 1, 1]
    assert table.n.tolist() == [2, 1, 1]
    np.testing.assert_array_equal(table.count_text, [3, 2, np.nan])
    pmi = smoothed_pmi(np.array([1]), np.array([3]), np.array([2]), 5)[0]
    np.testing.assert_array_equal(table.pmi, [pmi, pmi, np.nan])


def test_classes_with_codes_for_keys_go_by_their_names(tmp_path, counts):
    keys, names = ["n01", "n02", "n03"], ["a cat", "crane", "crane"]
    write_classes(tmp_path / "scores", "m", keys, keys, keys, names=names)
    assert read_scores([tmp_path / "scores"], counts).table.concept.tolist() == [
        "a cat",
        "crane (n02)",
        "crane (n03)",
    ]


def test_classes_go_by_their_keys_and_are_found_by_their_names_too(tmp_path, counts):
    write_classes(tmp_path / "scores", "m", ["tabby", "hound"], ["tabby"], ["tabby"], names=["cat", "dog"])
    table = read_scores([tmp_path / "scores"], counts).table
    assert (table.concept.tolist(), table.count_text.tolist()) == (["tabby"], [3])


def test_models_have_the_counts_of_their_own_corpus(tmp_path, counts):
    other = count_folder(tmp_path / "other", ["dog", "owl"])
    write_classes(tmp_path / "scores", "m", KEYS, ["dog", "owl"], ["dog", "cat"])
    write_classes(tmp_path / "scores", "v", KEYS, ["dog", "owl"], ["dog", "cat"], pretrained="w")
    table = read_scores(
        [tmp_path / "scores"], {**counts, "other": other}, {"m": "five", "v|w": "other"}
    ).table
    assert table.corpus.tolist() == ["five", "five", "other", "other"]
    np.testing.assert_array_equal(table.count_text, [2, np.nan, 2, 0])


def test_tasks_of_other_kinds_are_left_out_and_told(tmp_path, counts):
    path = write_classes(tmp_path / "scores", "m", KEYS, ["cat"], ["cat"])
    told = files.read_json(path)
    metric = {**told["metrics"][0], "name": "accuracy"}
    other = {
        **told,
        "kind": "choice",
        "task": "swaps",
        "metrics": [metric],
        "class_keys": [],
        "class_names": [],
    }
    files.write_json(path.with_name("toy.swaps.result.json"), other)
    found = read_scores([tmp_path / "scores"], counts)
    assert found.notes[0] == "left out, having no accuracy by concept: toy.swaps (choice)"
    path.unlink()
    with pytest.raises(Refusal, match="none of 1 results is of classification or pairs"):
        read_scores([tmp_path / "scores"], counts)


def test_results_that_do_not_fit_each_other_are_told(tmp_path, counts):
    write_classes(tmp_path / "a", "m", KEYS, ["cat"], ["cat"])
    write_classes(tmp_path / "b", "m", KEYS, ["cat"], ["cat"])
    with pytest.raises(Refusal, match=r"scores 'm' on toy\.natural again, after .*: leave one out"):
        read_scores([tmp_path / "a", tmp_path / "b"], counts)
    write_classes(tmp_path / "c", "k", KEYS, ["dog"], ["dog"], questions="c3")
    with pytest.raises(Refusal, match=r"answers other questions of toy\.natural than .*: score both models"):
        read_scores([tmp_path / "a", tmp_path / "c"], counts)


def test_damaged_records_are_told(tmp_path, counts):
    path = write_classes(tmp_path / "a", "m", KEYS, ["cat"], ["cat"])
    other = write_classes(tmp_path / "b", "m", KEYS, ["dog"], ["dog"])
    records = path.with_name("toy.natural.parquet")
    records.write_bytes(other.with_name("toy.natural.parquet").read_bytes())
    with pytest.raises(
        Refusal, match=r"toy\.natural\.parquet is not what .* was made from: score the model again"
    ):
        read_scores([tmp_path / "a"], counts)
    records.unlink()
    with pytest.raises(Refusal, match="does not exist"):
        read_scores([tmp_path / "a"], counts)
    shorter = {**files.read_json(other), "class_keys": ["cat"], "class_names": ["cat"]}
    files.write_json(other, shorter)
    with pytest.raises(Refusal, match=r"names a class 1, .* has 1: score the model again"):
        read_scores([tmp_path / "b"], counts)


@pytest.mark.parametrize(
    ("corpora", "trained_on", "message"),
    [
        ([], {}, "no counts: give at least one folder"),
        (["a", "b"], {}, "which of the corpora 'a', 'b' model 'm' was trained on: say so"),
        (["a"], {"m": "b"}, "model 'm' was trained on 'b', of which there are no counts, only of 'a'"),
        (["a"], {"x": "a"}, "no result is of a model 'x'; there are 'm': name one of them"),
    ],
)
def test_a_model_without_a_corpus_is_told(tmp_path, counts, corpora, trained_on, message):
    write_classes(tmp_path / "scores", "m", KEYS, ["cat"], ["cat"])
    with pytest.raises(Refusal, match=message):
        read_scores([tmp_path / "scores"], dict.fromkeys(corpora, counts["five"]), trained_on)


def test_results_without_records_are_told(tmp_path, counts):
    write_results(tmp_path / "scores", {"m": {"natural": 0.5}})
    with pytest.raises(Refusal, match=r"toy\.natural\.parquet does not exist"):
        read_scores([tmp_path / "scores"], counts)
