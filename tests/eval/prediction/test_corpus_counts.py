"""Counts of a corpus by what test sets call their classes: what was not counted is missing, never 0."""

import dataclasses

import numpy as np
import pytest
from tests.eval.prediction.counted_captions import CAPTIONS, count_captions, count_folder

from oddpair.errors import Refusal
from oddpair.eval.prediction.corpus_counts import CorpusCounts, load_counts
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.counting.counts_file import read_counts, write_counts
from oddpair.retrieval.counting.pmi_variants import smoothed_pmi


@pytest.fixture
def counted():
    vocabulary, counts = count_captions(
        ["cat", "pine tree", ("dog", "hound"), ("wolf", "hound"), "tree", "owl"]
    )
    return CorpusCounts(counts=counts, vocabulary=vocabulary)


@pytest.mark.parametrize(
    ("spellings", "found"),
    [
        (["Cats"], 0),
        (["pine_tree"], 1),
        (["a cat", "cat"], 0),
        (["hound"], -1),
        (["hound", "dog"], 2),
        (["lynx", ""], -1),
        ([], -1),
    ],
)
def test_a_class_is_found_by_its_first_spelling_that_means_one_concept(counted, spellings, found):
    assert counted.find(spellings) == found


def test_counts_of_what_is_not_a_concept_are_missing(counted):
    found = counted.count(np.array([0, -1, 5]))
    np.testing.assert_array_equal(found["count_text"], [3, np.nan, 0])
    assert np.isnan(found["count_image"]).all()
    assert np.isnan(found["count_joint"]).all()


def test_pmi_is_smoothed_and_missing_where_a_pair_was_not_counted(counted):
    # cat and dog meet once; tree is nested in pine tree; owl, which no caption names, is a pair of nothing seen.
    found = counted.pmi(np.array([0, 2, 1, 0, -1, 0]), np.array([2, 0, 4, 5, 2, 0]))
    meeting = smoothed_pmi(np.array([1]), np.array([3]), np.array([2]), len(CAPTIONS))[0]
    np.testing.assert_array_equal(found, [meeting, meeting, np.nan, 0.0, np.nan, np.nan])


def test_a_finished_count_is_loaded_with_its_vocabulary(tmp_path):
    folder = count_folder(tmp_path / "counts", ["cat", "pine tree"])
    assert load_counts(folder).find(["Cats"]) == 0
    assert load_counts(folder).count(np.array([0]))["count_text"].tolist() == [3]


def test_without_a_vocabulary_names_alone_are_found(tmp_path):
    folder = count_folder(tmp_path / "counts", ["cat"], vocabulary=False)
    assert [load_counts(folder).find([name]) for name in ("Cat", "cats")] == [0, -1]


def test_counts_that_are_none_are_told(tmp_path):
    with pytest.raises(Refusal, match="no does not exist: give the folder that oddpair count wrote"):
        load_counts(tmp_path / "no")
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match="file is a file: give the folder"):
        load_counts(tmp_path / "file")
    folder = count_folder(tmp_path / "counts", ["cat"])
    write_counts(folder, dataclasses.replace(read_counts(folder), text=np.array([2])))
    with pytest.raises(Refusal, match="has changed since it was counted"):
        load_counts(folder)
    (folder / "done.json").unlink()
    with pytest.raises(Refusal, match="is not finished: run oddpair count again"):
        load_counts(folder)


def test_counts_beside_another_vocabulary_are_told(tmp_path):
    folder = count_folder(tmp_path / "counts", ["cat"], beside=build_vocabulary(["dog"]))
    with pytest.raises(Refusal, match="counts another vocabulary"):
        load_counts(folder)
