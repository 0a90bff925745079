import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddpair.retrieval.counting.partials import RowRecord, add_records, join_files, read_record, write_record
from oddpair.retrieval.counting.rows import repeat_rows
from oddpair.retrieval.mentions.incidence import from_lists


def test_records_add_up_and_come_back_from_disk(tmp_path):
    one = RowRecord(captions=5, rows=(2, 3), quarantined={"no caption": 1}, lost=0, tagged=2)
    other = RowRecord(captions=1, rows=(1,), quarantined={"no caption": 2, "cut": 3}, lost=1, tagged=0)
    both = add_records(one, other)
    assert both == RowRecord(
        captions=6, rows=(2, 3, 1), quarantined={"no caption": 3, "cut": 3}, lost=1, tagged=2
    )
    write_record(tmp_path / "r.json", both)
    assert read_record(tmp_path / "r.json") == both


def test_a_damaged_file_of_unknown_size_is_told_with_its_reason():
    nothing = {"cut": 0}
    record = RowRecord(captions=0, rows=(0,), quarantined=nothing, lost=1, tagged=0)
    assert add_records(record, record).quarantined == nothing


def test_files_are_joined_byte_by_byte(tmp_path):
    parts = [tmp_path / str(number) for number in range(3)]
    for part, data in zip(parts, (b"a\n", b"", b"x" * (1 << 20) + b"\n"), strict=True):
        part.write_bytes(data)
    join_files(tmp_path / "all", parts)
    assert (tmp_path / "all").read_bytes() == b"a\n" + b"x" * (1 << 20) + b"\n"


@given(st.lists(st.tuples(st.sets(st.integers(0, 6)), st.integers(0, 4))))
def test_rows_are_repeated_as_often_as_asked(rows):
    incidence = from_lists([sorted(held) for held, _ in rows], n_concepts=7)
    found = repeat_rows(incidence, np.array([times for _, times in rows], np.int64))
    expected = from_lists([sorted(held) for held, times in rows for _ in range(times)], n_concepts=7)
    assert found.ends.tolist() == expected.ends.tolist()
    assert found.concepts.tolist() == expected.concepts.tolist()


def test_a_negative_number_of_copies_is_an_error():
    with pytest.raises(ValueError, match="negative"):
        repeat_rows(from_lists([[0]], n_concepts=1), np.array([-1]))
