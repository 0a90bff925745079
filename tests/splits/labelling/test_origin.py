"""What a table says of where its labels are from is read as it was written, or refused."""

import pyarrow as pa
import pytest

from oddpair import files
from oddpair.errors import Refusal
from oddpair.splits.labelling.labels import read_labels_table
from oddpair.splits.labelling.origin import Origin, read_labelled_corpus, read_origin, write_origin


def test_a_table_says_where_its_labels_are_from(tmp_path):
    origin = Origin(corpus="5 rows in 1 shards (npy)", unlabelled={"b": "random", "a": ""})
    table = pa.table({"uid": ["c"], "label": ["x"]}).replace_schema_metadata(write_origin(origin))
    files.write_table(tmp_path / "labels.parquet", table)
    found = read_labels_table(tmp_path / "labels.parquet")
    assert found.origin == origin
    assert found.left_open() == {"a": "", "b": "random"}


@pytest.mark.parametrize("metadata", [None, {}, {b"pandas": b"{}"}])
def test_a_table_of_other_makers_says_nothing(tmp_path, metadata):
    assert read_origin(tmp_path, metadata) == Origin()


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b"{}", b'{"corpus": 1, "unlabelled": {}}', b'{"corpus": null, "unlabelled": {"a": 1}}'],
)
def test_damaged_metadata_are_refused(tmp_path, data):
    with pytest.raises(Refusal, match="has damaged metadata on where its labels are from: write it anew"):
        read_origin(tmp_path, {b"oddpair.labels": data})


def test_a_folder_names_the_corpus_that_was_labelled(tmp_path):
    assert read_labelled_corpus(tmp_path) is None
    files.write_json(tmp_path / "plan.json", {"corpus": "5 rows"})
    assert read_labelled_corpus(tmp_path) == "5 rows"
    files.write_json(tmp_path / "plan.json", {"corpus": 5})
    with pytest.raises(Refusal, match="names no corpus: give a folder that oddpair label wrote"):
        read_labelled_corpus(tmp_path)
