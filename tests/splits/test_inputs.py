"""What a recipe is given, and what identifies it."""

import pyarrow as pa

from oddpair import files
from oddpair.splits import inputs as splits_inputs
from oddpair.splits.inputs import Inputs


def test_inputs_are_hashed_once_and_told_the_same_to_all_who_ask(tmp_path, monkeypatch):
    path = tmp_path / "labels.parquet"
    files.write_table(path, pa.table({"uid": ["a"], "label": ["photo"]}))
    hashed = []

    def identify(path):
        hashed.append(path)
        return files.sha256(path)

    monkeypatch.setattr(splits_inputs, "_identify_path", identify)
    inputs = Inputs(labels=path)
    first = inputs.identify()
    assert first == {"labels": files.sha256(path)}
    first["labels"] = "another"
    assert inputs.identify() == {"labels": files.sha256(path)}
    assert hashed == [path]
