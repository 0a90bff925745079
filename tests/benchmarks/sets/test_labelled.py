import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oddpair.benchmarks.evaluation_set import COLUMNS
from oddpair.benchmarks.sets.labelled import open_labelled
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.formats.tars import write_tar
from oddpair.retrieval.samples import Sample


def opened(path, **given):
    return open_labelled(path, name="mine", settings=given)


def rows(found):
    return dict(
        zip(found.table["key"].to_pylist(), found.table[COLUMNS[found.kind][0]].to_pylist(), strict=True)
    )


def streamed(found):
    for shard in found.corpus.shards:
        for one in found.corpus.stream(shard):
            if isinstance(one, Sample):
                yield f"{shard}/{one.key}" if found.keyed_by_shard else one.key


def tars(root, *shards):
    """Tars of samples, each a dictionary for its json member; keys begin anew in every tar."""
    root.mkdir(exist_ok=True)
    for number, shard in enumerate(shards):
        members = []
        for row, fields in enumerate(shard):
            members.append((f"{row}.jpg", f"picture {number} {row}".encode()))
            members.append((f"{row}.json", json.dumps(fields).encode()))
        write_tar(root / f"{number:05d}.tar", members)
    return root


def parquet(root, columns):
    """Shards of img2dataset's parquet output with further columns."""
    root.mkdir(exist_ok=True)
    n_rows = len(next(iter(columns.values())))
    made = {
        "uid": [f"{row:032x}" for row in range(n_rows)],
        "key": [f"{row:09d}" for row in range(n_rows)],
        "caption": [f"caption {row}" for row in range(n_rows)],
        "status": ["success"] * n_rows,
        "jpg": [b"picture"] * n_rows,
    }
    pq.write_table(pa.table({**made, **columns}), root / "00000.parquet")
    (root / "00000_stats.json").write_text(json.dumps({"successes": n_rows}))
    return root


def test_a_column_of_labels_makes_a_set_whose_keys_are_told_apart_by_shard(tmp_path):
    root = tars(
        tmp_path / "c",
        [{"kind": "dog", "look": "photo"}, {"kind": "cat"}],
        [{"kind": "ant", "look": "sketch"}],
    )
    found = opened(root, label="kind", style="look")
    assert (found.root, found.layout, found.kind, found.keyed_by_shard) == (
        root,
        "corpus",
        "classification",
        True,
    )
    assert rows(found) == {"00000/0": "dog", "00000/1": "cat", "00001/0": "ant"}
    assert found.table["style"].to_pylist() == ["photo", "", "sketch"]
    assert (found.classes, found.class_names, found.templates) == (("ant", "cat", "dog"), (), ())
    assert list(streamed(found)) == found.table["key"].to_pylist()


def test_whole_numbers_are_labels_in_the_order_of_numbers(tmp_path):
    found = opened(tars(tmp_path / "c", [{"y": 10}, {"y": 9}, {"y": 10}]), label="y")
    assert (list(rows(found).values()), found.classes) == (["10", "9", "10"], ("9", "10"))


def test_lists_are_labels_of_many_classes_or_of_one(tmp_path):
    many = parquet(tmp_path / "many", {"all": [["b", "a", "b"], [], ["c"]], "one": [["x"], ["y"], ["x"]]})
    assert list(rows(opened(many, labels="all")).values()) == [["b", "a"], [], ["c"]]
    assert opened(many, labels="all").classes == ("a", "b", "c")
    assert list(rows(opened(many, label="one")).values()) == ["x", "y", "x"]
    assert opened(many, labels="all").kind == "multilabel"


def test_concepts_make_pairs_and_any_number_of_them_waits_for_a_split(tmp_path):
    found = opened(parquet(tmp_path / "c", {"concepts": [["b", "a"], ["c"]]}), concepts="concepts")
    assert (found.kind, list(rows(found).values())) == ("pairs", [["b", "a"], ["c"]])
    assert found.classes == ("a", "b", "c")


def test_captions_are_of_the_corpus_or_of_a_column(tmp_path):
    root = parquet(tmp_path / "c", {"more": [[" A dog. ", "", "A cat."], []]})
    own = opened(root, captions="caption")
    assert (own.kind, own.classes) == ("retrieval", ())
    assert list(rows(own).values()) == [["caption 0"], ["caption 1"]]
    found = opened(root, captions="more")
    assert list(rows(found).values()) == [["A dog.", "A cat."], []]
    assert found.notes == ("Pictures without a caption, which stay in the gallery: 1.",)


def test_a_folder_is_keyed_by_path_and_keeps_pictures_of_the_same_bytes(tmp_path, write_folder):
    root = write_folder(tmp_path / "c", {"a.png": b"same", "b.png": b"same"}, ["one", "two"], kind=["x", "y"])
    found = opened(root, label="kind")
    assert (rows(found), found.keyed_by_shard) == ({"a.png": "x", "b.png": "y"}, False)
    assert list(streamed(found)) == ["a.png", "b.png"]


def test_rows_that_the_corpus_sets_aside_are_told(tmp_path, write_folder):
    root = write_folder(tmp_path / "c", {"a.png": b"1", "b.png": b"2"}, ["one", " "], kind=["x", "y"])
    found = opened(root, label="kind")
    assert rows(found) == {"a.png": "x"}
    assert found.notes == ("Rows set aside: 1, the first in list.csv (no caption).",)
    assert list(streamed(found)) == ["a.png"]


def test_a_row_of_one_picture_that_is_listed_twice_is_refused(tmp_path):
    root = tmp_path / "c"
    root.mkdir()
    (root / "a.png").write_bytes(b"picture")
    (root / "list.csv").write_text("file,caption,kind\na.png,one,x\na.png,two,y\n")
    with pytest.raises(Refusal, match=r"holds a\.png twice: a picture is asked about once"):
        opened(root, label="kind")


@pytest.mark.parametrize(
    ("values", "given", "message"),
    [
        (["a", None], {"label": "y"}, "column 'y' of 00000/000000001 has no label, which is never guessed"),
        (["a", " "], {"label": "y"}, "00000/000000001 has no label"),
        ([["a"], ["a", "b"]], {"label": "y"}, "00000/000000001 holds 2 labels, needed one"),
        ([["a"], []], {"label": "y"}, "00000/000000001 holds 0 labels, needed one"),
        ([["a"], [None]], {"labels": "y"}, "00000/000000001 has no label"),
        ([["a"], None], {"labels": "y"}, "00000/000000001 is None, needed a list"),
        (["a", "b"], {"labels": "y"}, "00000/000000000 is 'a', needed a list"),
        (["a", "b"], {"concepts": "y"}, "00000/000000000 is 'a', needed a list"),
        ([1.0, 2.0], {"label": "y"}, "column 'y' is double, needed texts or whole numbers"),
        ([True, False], {"label": "y"}, "column 'y' is bool, needed texts or whole numbers"),
        ([[1.5], [2.0]], {"labels": "y"}, "needed texts or whole numbers"),
        ([["a"], ["b"]], {"label": "caption", "style": "y"}, "column 'y' is a list: a picture has one style"),
    ],
)
def test_a_label_is_never_guessed(tmp_path, values, given, message):
    with pytest.raises(Refusal, match=message):
        opened(parquet(tmp_path / "c", {"y": values}), **given)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(Refusal, match=r"has no column 'z', only .*'y'"):
        opened(parquet(tmp_path / "c", {"y": ["a"]}), label="z")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {},
            "set mine: nothing says what is on the pictures of .*: set one of label, labels, concepts, captions",
        ),
        ({"label": "y", "captions": "caption"}, "set mine: label and captions says what is on the pictures"),
        ({"lable": "y"}, "layout corpus has no setting 'lable'; did you mean 'label'"),
    ],
)
def test_settings_must_say_what_is_on_the_pictures_once(tmp_path, given, message):
    with pytest.raises(Refusal, match=message):
        opened(tmp_path, **given)


def test_a_corpus_without_pictures_is_refused(tmp_path):
    pq.write_table(pa.table({"URL": ["http://a"], "TEXT": ["a"], "y": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(Refusal, match="has no pictures: fetch them"):
        opened(tmp_path, label="y")


def test_the_keys_are_those_that_embeddings_are_found_by(drawn):
    found = opened(drawn, labels="concepts", style="style")
    corpus = open_corpus(drawn)
    expected = {
        f"{row['shard']}/{row['key']}": list(dict.fromkeys(row["concepts"]))
        for batch in corpus.batches(["concepts"])
        for row in batch.table.to_pylist()
    }
    assert rows(found) == expected
    assert len(found) == len(corpus) == 300
    assert set(found.table["style"].to_pylist()) > {"photo"}
