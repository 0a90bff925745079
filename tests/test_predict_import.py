"""The commands that write tables: what is written is what is told."""

import pytest
from tests.eval.prediction.class_results import write_classes
from tests.eval.prediction.counted_captions import count_folder

from oddpair.commands.predict_import import import_frequency, import_scores, show_import
from oddpair.errors import Refusal
from oddpair.eval.prediction.table_file import read_table

ACCURACY = "downstream,concept,RN50|big,ViT|other\nset,cat,25.0,\nset,null,0.0,50.0\n"
COUNTS = "downstream,concept,big|lemmatized\nset,cat,10\nset,null,3\n"


@pytest.fixture
def published(tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "zeroshot_acc_per_class_simple.csv").write_text(ACCURACY)
    (folder / "concept_counts.csv").write_text(COUNTS)
    return folder


def test_the_published_tables_are_written_and_told(tmp_path, published):
    out = tmp_path / "t.parquet"
    found = import_frequency(published, out, "simple")
    assert len(read_table(out)) == found["rows"] == 4
    assert [found[name] for name in ("models", "corpora", "datasets", "concepts")] == [2, 2, 1, 2]
    assert found["known"] == {
        "accuracy": 0.75,
        "n": 1,
        "count_text": 0.5,
        "count_image": 0,
        "count_joint": 0,
        "pmi": 0,
    }
    lines = list(show_import(found))
    assert lines[0] == f"4 rows of 2 models, 1 datasets and 2 concepts in {out}"
    assert lines[1] == (
        "known of the rows: accuracy 75.0 %, n 100.0 %, count_text 50.0 %, count_image 0.0 %, count_joint 0.0 %, pmi 0.0 %"
    )
    assert lines[2] == "note: rows without count_text, which is not a count of 0: other all"


def test_what_no_table_can_be_made_of_is_told_before_anything_is_read(tmp_path, published):
    with pytest.raises(Refusal, match=r"a table is a file \.csv or \.parquet"):
        import_frequency(published, tmp_path / "t.txt", "simple")
    with pytest.raises(Refusal, match="no prompts 'best': give one of ensemble, class, simple"):
        import_frequency(published, tmp_path / "t.csv", "best")
    with pytest.raises(Refusal, match="no is no folder: give the one that holds"):
        import_frequency(tmp_path / "no", tmp_path / "t.csv")
    with pytest.raises(Refusal, match=r"a table is a file \.csv or \.parquet"):
        import_scores([tmp_path], tmp_path / "t.txt", counts=[])


@pytest.mark.parametrize("named", [True, False])
def test_scores_are_written_beside_counts_that_may_be_named(tmp_path, named):
    folder = count_folder(tmp_path / ("plain" if named else "a=b"), ["cat"])
    write_classes(tmp_path / "scores", "m", ["cat", "dog"], ["cat"], ["cat"])
    counts, trained = ([f"five={folder}"], ["m=five"]) if named else ([str(folder)], [])
    found = import_scores([tmp_path / "scores"], tmp_path / "t.csv", counts=counts, trained_on=trained)
    table = read_table(tmp_path / "t.csv")
    assert table.corpora == (("five",) if named else ("a=b",))
    assert (found["rows"], table.count_text.tolist()) == (1, [3])


@pytest.mark.parametrize(
    ("counts", "trained_on", "message"),
    [
        (["=x"], [], "--counts '=x' is not of the form CORPUS=FOLDER: write it so"),
        (["a=x", "a=y"], [], "--counts gives 'a' twice"),
        (["a=x"], ["m"], "--trained-on 'm' is not of the form MODEL=CORPUS"),
        (["a=x"], ["m="], "--trained-on 'm=' is not of the form MODEL=CORPUS"),
    ],
)
def test_arguments_of_another_form_are_told(tmp_path, counts, trained_on, message):
    with pytest.raises(Refusal, match=message):
        import_scores([tmp_path], tmp_path / "t.csv", counts=counts, trained_on=trained_on)
