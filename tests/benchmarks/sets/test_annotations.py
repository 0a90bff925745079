import pytest

from oddpair.benchmarks.sets.annotations import read_entries
from oddpair.errors import Refusal


def test_entries_by_key_keep_their_keys_and_those_of_a_list_are_numbered(tmp_path):
    (tmp_path / "x.json").write_text('{"7": {"a": 1}, "3": {"a": 2}}')
    (tmp_path / "y.json").write_text('[{"a": 1}, {"a": 2}]')
    (tmp_path / "z.csv").write_text("a\n1\n\n2\n")
    assert [entry.key for entry in read_entries(tmp_path / "x.json")] == ["7", "3"]
    assert [entry.key for entry in read_entries(tmp_path / "y.json")] == ["0", "1"]
    assert [(entry.key, entry.where[-6:]) for entry in read_entries(tmp_path / "z.csv")] == [
        ("0", "line 2"),
        ("1", "line 4"),
    ]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(Refusal, match=r"x\.json cannot be read"):
        read_entries(tmp_path / "x.json")
