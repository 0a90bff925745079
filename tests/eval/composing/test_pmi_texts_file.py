import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oddpair.errors import Refusal
from oddpair.eval.composing.pmi_texts_file import read_texts

QUESTIONS = (
    "model,sample,question,answer,predicted,correct,comment\n"
    'a,1,"What is it, then?",a dog,a cat,0.3,x\n'
    "a,2,Is it a dog?,yes,no,true,\n"
    "b,1,,,,False,\n"
)


def write(folder, text, name="samples.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_questions_stand_beside_the_answers_that_are_asked_for(tmp_path):
    path = write(tmp_path, QUESTIONS)
    gold = read_texts(path)
    assert gold.models == ("a", "b")
    assert gold.sample.tolist() == ["1", "2", "1"]
    assert gold.dataset.tolist() == ["", "", ""]
    assert gold.parts == (("What is it, then?", "Is it a dog?", ""), ("a dog", "yes", ""))
    assert gold.correct.tolist() == [0.3, 1, 0]
    assert read_texts(path, "predicted").parts[1] == ("a cat", "no", "")


def test_whole_texts_are_one_part_and_a_sample_may_be_in_two_datasets(tmp_path):
    path = write(tmp_path, "model,dataset,sample,text,correct\na,x,1,null,1\na,y,1,a cat,0\n")
    samples = read_texts(path)
    assert samples.parts == (("null", "a cat"),)
    assert samples.dataset.tolist() == ["x", "y"]


def test_parquet_gives_the_same_as_csv(tmp_path):
    columns = {
        "model": ["a", "a", "b"],
        "sample": [1, 2, 1],
        "question": ["What is it, then?", "Is it a dog?", None],
        "answer": ["a dog", "yes", None],
        "correct": [0.3, 1.0, 0.0],
    }
    pq.write_table(pa.table(columns), tmp_path / "samples.parquet")
    found, of_csv = read_texts(tmp_path / "samples.parquet"), read_texts(write(tmp_path, QUESTIONS))
    assert found.parts == of_csv.parts
    for name in ("model", "dataset", "sample", "correct"):
        assert np.array_equal(getattr(found, name), getattr(of_csv, name))
    truth = pa.table(columns | {"correct": [True, True, False]})
    pq.write_table(truth, tmp_path / "truth.parquet")
    assert read_texts(tmp_path / "truth.parquet").correct.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("text", "answers", "told"),
    [
        ("model,sample,text\na,1,cat\n", "gold", r"samples.csv has no column 'correct', only 'model'"),
        ("model,sample,correct\na,1,1\n", "gold", "has no column 'text'"),
        ("model,sample,question,correct\na,1,what,1\n", "gold", "has no column 'answer'"),
        ("model,sample,question,answer,correct\na,1,what,x,1\n", "predicted", "has no column 'predicted'"),
        ("model,sample,text,correct\na,1,what,1\n", "predicted", "whole texts, in which predicted answers have no"),
        ("model,sample,text,correct\na,1,x,1\na,1,y,0\n", "gold", "line 3 repeats 'a', '1' of .* line 2: leave one"),
        ("model,sample,text,correct\na,1,x,1.5\n", "gold", "line 2: correct is '1.5', needed a number from 0 to 1"),
        ("model,sample,text,correct\na,1,x,\n", "gold", "line 2: correct is '', needed a number"),
        ("model,sample,text,correct\na,1,x,nan\n", "gold", "line 2: correct is 'nan', needed a number"),
        ("model,sample,text,correct\n,1,x,1\n", "gold", "line 2 has no model: fill it in"),
        ("model,sample,text,correct\n", "gold", "holds a header and no rows"),
        ("", "gold", "holds nothing"),
    ],
)  # fmt: skip
def test_tables_that_are_none_are_refused_by_file_and_row(tmp_path, text, answers, told):
    with pytest.raises(Refusal, match=told):
        read_texts(write(tmp_path, text), answers)


def test_other_files_and_columns_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(Refusal, match=r"a file \.csv or \.parquet"):
        read_texts(write(tmp_path, QUESTIONS, "samples.tsv"))
    columns = {"model": ["a"], "sample": ["1"], "text": [["a list"]], "correct": [1.0]}
    pq.write_table(pa.table(columns), tmp_path / "lists.parquet")
    with pytest.raises(Refusal, match=r"text is list<.*needed text in UTF-8"):
        read_texts(tmp_path / "lists.parquet")
    pq.write_table(pa.table(columns).slice(0, 0), tmp_path / "empty.parquet")
    with pytest.raises(Refusal, match="holds no rows"):
        read_texts(tmp_path / "empty.parquet")
