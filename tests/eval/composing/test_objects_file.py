import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.splits.unseen_data import count, write_corpus

from oddpair.errors import Refusal
from oddpair.eval.composing.objects_file import read_objects

HEAD = "model,corpus,sample,objects,correct,count_objects,count_set,pmi,corpus_size\n"


def write(folder, *rows, head=HEAD, name="samples.csv"):
    path = folder / name
    path.write_text(head + "".join(f"{row}\n" for row in rows))
    return path


def test_a_table_says_what_it_says(tmp_path):
    path = write(
        tmp_path, "007,c,null,cat; Dog,1,10;20,3,0.5,1000", "007,c,2,cat;dog;cat,0.25,10;20;10,3,,1000"
    )
    samples = read_objects(path, {})
    assert (samples.model.tolist(), samples.sample.tolist()) == (["007", "007"], ["null", "2"])
    assert samples.objects == (("cat", "Dog"), ("cat", "dog"))
    assert samples.key.tolist() == ["cat;dog", "cat;dog"]
    assert samples.counts.tolist() == [10, 20, 10, 20]
    assert samples.correct.tolist() == [1, 0.25]
    assert samples.count_set.tolist() == [3, 3]
    assert samples.pmi[0] == 0.5
    assert np.isnan(samples.pmi[1])


def test_parquet_holds_the_same(tmp_path):
    path = write(tmp_path, "m,c,1,cat;dog,1,10;20,3,0.5,1000")
    table = pa.table(
        {"model": ["m"], "corpus": ["c"], "sample": [1], "objects": ["cat;dog"], "correct": [1], "count_objects": ["10;20"],
         "count_set": [3], "pmi": [0.5], "corpus_size": [1000]}
    )  # fmt: skip
    pq.write_table(table, tmp_path / "samples.parquet")
    one, other = read_objects(path, {}), read_objects(tmp_path / "samples.parquet", {})
    assert one.sample.tolist() == other.sample.tolist()
    assert one.counts.tolist() == other.counts.tolist()
    assert one.count_set.tolist() == other.count_set.tolist()


def test_what_the_table_leaves_empty_is_looked_up_and_what_it_says_stays(tmp_path):
    captions = ["cat and dog", "cat and dog", "cat", "van"]
    count(write_corpus(tmp_path / "corpus", captions), tmp_path / "counts")
    path = write(tmp_path, "m,c,1,cat;dog,1,,,,", "m,c,2,cat;van,0,4;4,,,", "m,c,3,cat;unicorn,0,,,,")
    samples = read_objects(path, {"c": tmp_path / "counts"})
    assert samples.counts[:4].tolist() == [3, 2, 4, 4]
    assert samples.count_set[:2].tolist() == [2, 0]
    assert samples.usable.tolist() == [True, True, False]
    assert samples.corpus_size.tolist() == [4] * 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no rows"),
        (
            ["m,c,1,cat;dog,1,10,3,0.5,1000"],
            r"row 0 \(from 0\) has the counts '10', needed 2 numbers split by ';'",
        ),
        (["m,c,1,cat;dog,1,10;many,3,0.5,1000"], "has the counts '10;many', needed 2 numbers"),
        (["m,c,1,cat;,1,10;20,3,0.5,1000"], "has the objects 'cat;', one of which is no name"),
        (["m,c,1,,1,10;20,3,0.5,1000"], r"row 0 \(from 0\) has no objects: fill it in"),
        (["m,c,1,cat;dog,,10;20,3,0.5,1000"], "row 0 does not say what is correct"),
        (["m,c,1,cat;dog,2,10;20,3,0.5,1000"], r"row 0: correct is 2 \(rows count from 0\)"),
        (["m,c,1,cat;dog,yes,10;20,3,0.5,1000"], "is no CSV file of samples"),
        (["m,c,1,cat;dog,1,10;20,3"], "is no CSV file of samples"),
        (
            ["m,c,1,cat;dog,1,,,,"],
            "row 0 and all others of corpus 'c' do not say how often their objects occur",
        ),
        (["m,c,1,cat;dog,1,10;20,30,,"], "an object has the count 10, less than all objects together"),
    ],
)
def test_what_is_no_table_of_samples_is_refused(rows, message, tmp_path):
    with pytest.raises(Refusal, match=message):
        read_objects(write(tmp_path, *rows), {})


def test_a_missing_file_or_column_and_counts_of_another_corpus_are_refused(tmp_path):
    with pytest.raises(Refusal, match="does not exist: check the path"):
        read_objects(tmp_path / "none.csv", {})
    path = write(tmp_path, "m,c,1,cat;dog", head="model,corpus,sample,objects\n")
    with pytest.raises(Refusal, match="has no column 'correct', only 'model', 'corpus', 'sample', 'objects'"):
        read_objects(path, {})
    path = write(tmp_path, "m,c,1,cat;dog,1,10;20,3,0.5,1000")
    with pytest.raises(Refusal, match=r"counts of a corpus 'd' were given, .* has models of c"):
        read_objects(path, {"d": tmp_path})


def test_a_parquet_column_of_texts_is_no_column_of_numbers(tmp_path):
    table = pa.table(
        {"model": ["m"], "corpus": ["c"], "sample": ["1"], "objects": ["cat;dog"], "correct": ["1"]}
    )
    pq.write_table(table, tmp_path / "samples.parquet")
    with pytest.raises(Refusal, match="column 'correct' is string, needed numbers"):
        read_objects(tmp_path / "samples.parquet", {})
