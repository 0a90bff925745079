"""The published layout: accuracies and counts joined by test set and name, and defects told, not mended."""

from pathlib import Path

import numpy as np
import pytest

from oddpair.errors import Refusal
from oddpair.eval.prediction.frequency import read_frequency

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published"
ACCURACY = "downstream,concept,RN50|big,ViT|other\nset,cat,25.0,\nset,null,0.0,50.0\npets,Cat,100.0,12.5\n"
COUNTS = (
    "downstream,concept,big|lemmatized,big|rampp0.65,big|rampp0.7,big|integrated_tlemmatized_i0.7\n"
    "set,cat,10,20,30,11\nset,null,,7,7,1\npets,Cat,12,20,20,2\ncoco,,1,1,1,1\n"
)


def write(folder, accuracy=ACCURACY, counts=COUNTS, curves=None):
    (folder / "zeroshot_acc_per_class_ensemble.csv").write_text(accuracy)
    (folder / "concept_counts.csv").write_text(counts)
    if curves:
        (folder / "published_pearson.csv").write_text(curves)
    return folder


def test_accuracies_and_counts_are_joined_by_test_set_and_name(tmp_path):
    table = read_frequency(write(tmp_path)).table
    assert table.model.tolist() == ["RN50|big"] * 3 + ["ViT|other"] * 3
    assert table.corpus.tolist() == ["big"] * 3 + ["other"] * 3
    assert table.dataset.tolist() == ["set", "set", "pets"] * 2
    assert table.concept.tolist() == ["cat", "null", "Cat"] * 2
    nan = np.nan
    np.testing.assert_array_equal(table.accuracy, [0.25, 0, 1, nan, 0.5, 0.125])
    np.testing.assert_array_equal(table.count_text, [10, nan, 12, nan, nan, nan])
    np.testing.assert_array_equal(table.count_image, [30, 7, 20, nan, nan, nan])
    np.testing.assert_array_equal(table.count_joint, [11, 1, 2, nan, nan, nan])
    assert np.isnan(table.n).all()


def test_what_does_not_hold_is_told_and_stays(tmp_path):
    curves = "pretrain,counttype,raw_matches_pickle\nbig,rampp0.7,False\nbig,lemmatized,True\nelse,rampp0.7,False\n"
    notes = read_frequency(write(tmp_path, curves=curves)).notes
    assert notes == (
        "big: the counts 'rampp0.7' are not those that the published figures were made from",
        "image counts of 'cat' rise with the threshold of the tagger, where they can only fall, in big",
        "big: joint counts above those of text or image alone: 'cat'",
        "count_text differs between datasets for one and the same concept, of which there are in big 1: 'cat'",
        "count_image differs between datasets for one and the same concept, of which there are in big 1: 'cat'",
        "count_joint differs between datasets for one and the same concept, of which there are in big 1: 'cat'",
        "rows without count_text, which is not a count of 0: big 33.3 %, other all",
        "rows without count_image, which is not a count of 0: other all",
        "rows without count_joint, which is not a count of 0: other all",
    )


def test_classes_that_no_count_is_of_are_told(tmp_path):
    found = read_frequency(write(tmp_path, counts=COUNTS.replace("pets,Cat", "pets,Kat")))
    assert found.notes[0] == "1 of 3 classes are not in concept_counts.csv"
    assert np.isnan(found.table.count_image[2])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"accuracy": ACCURACY.replace("25.0", "125")},
            r"line 2: accuracy of RN50\|big is 125, needed percent",
        ),
        ({"accuracy": ACCURACY.replace("25.0", "x")}, r"line 2: RN50\|big is 'x', needed a number"),
        (
            {"accuracy": ACCURACY.replace("ViT|other", "ViT")},
            "has a column 'ViT', needed 'architecture|corpus'",
        ),
        (
            {"accuracy": ACCURACY.replace("null", "cat")},
            "line 3 repeats 'set', 'cat' of line 2: leave one out",
        ),
        ({"accuracy": "downstream,concept\nset,cat\n"}, "has no column of a model"),
        (
            {"counts": COUNTS.replace("10,20", "-1,20")},
            r"line 2: big\|lemmatized is -1, needed a whole number",
        ),
        ({"counts": COUNTS.replace("concept", "name")}, "concept_counts.csv has no column 'concept', only"),
        ({"counts": COUNTS.replace("set,cat", ",cat")}, "line 2 has no downstream"),
    ],
)
def test_a_fault_is_told_by_file_and_line(tmp_path, changed, message):
    with pytest.raises(Refusal, match=message):
        read_frequency(write(tmp_path, **changed))


def test_other_prompts_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no prompts 'best'; there are ensemble, class, simple"):
        read_frequency(tmp_path, "best")
    with pytest.raises(Refusal, match=r"zeroshot_acc_per_class_simple\.csv does not exist"):
        read_frequency(tmp_path, "simple")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published tables are not at hand")
def test_the_published_tables_are_read_whole_with_their_defects():
    found = read_frequency(PUBLISHED)
    table, notes = found.table, "\n".join(found.notes)
    assert (len(table), len(table.models), len(table.datasets)) == (18 * 4669, 18, 19)
    row = np.flatnonzero((table.model == "ViT-B-16|laion400m") & (table.concept == "Acorn_Woodpecker"))[0]
    assert (table.accuracy[row], table.count_text[row], table.count_image[row]) == (0.538462, 51, 10914)
    assert table.count_joint[row] == 21
    assert np.isnan(table.count_text[table.corpus == "laion2b"]).all()
    for told in (
        "laion400m: the counts 'lemmatized' are not",
        "laion400m: the counts 'rampp0.7' are not",
        "image counts of 'beagle', 'boxer', 'chihuahua', 'pomeranian' rise",
        "count_joint differs",
        "imagenet, imagenet-r, imagenet-sketch share names, 1,000 of 1,018",
    ):
        assert told in notes
    assert "joint counts above" not in notes
