from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.retrieval.counting.partials import (
    PairSums,
    RowRecord,
    add_pairs,
    add_records,
    join_files,
    join_pairs,
    read_pairs,
    read_record,
    write_pairs,
    write_record,
)
from oddpair.retrieval.counting.rows import repeat_rows
from oddpair.retrieval.mentions.incidence import from_lists

PARTS = st.lists(st.dictionaries(st.integers(0, 40), st.integers(0, 5), max_size=8), min_size=1, max_size=5)


def as_sums(part):
    keys = sorted(part)
    return PairSums(keys=np.array(keys, np.int64), counts=np.array([[part[key] for key in keys]], np.int64))


@given(PARTS)
def test_parts_add_up_in_any_order(parts):
    total: Counter[int] = Counter()
    for part in parts:
        total.update(part)
    # Counter.update keeps what adds up to 0, as pairs that were asked for are kept.
    for order in (parts, parts[::-1]):
        found = as_sums(order[0])
        for part in order[1:]:
            found = add_pairs(found, as_sums(part))
        assert found.keys.tolist() == sorted(total)
        assert found.counts.tolist() == [[total[key] for key in sorted(total)]]


def test_adding_leaves_the_parts_as_they_were():
    one, other = as_sums({1: 2, 3: 4}), as_sums({1: 1})
    add_pairs(one, other)
    assert one.counts.tolist() == [[2, 4]]
    assert other.counts.tolist() == [[1]]


@settings(max_examples=30)
@given(
    st.lists(st.dictionaries(st.integers(0, 40), st.integers(0, 2**40), max_size=8), min_size=1, max_size=3)
)
def test_pairs_come_back_from_disk(tmp_path_factory, kinds):
    path = tmp_path_factory.getbasetemp() / "pairs.parquet"
    listed = [
        (
            *np.divmod(np.array(sorted(kind), np.int64), 7),
            np.array([kind[key] for key in sorted(kind)], np.int64),
        )
        for kind in kinds
    ]
    sums = join_pairs(listed, n_concepts=7)
    write_pairs(path, sums)
    found = read_pairs(path)
    assert found.keys.tolist() == sums.keys.tolist() == sorted(set().union(*kinds))
    assert found.counts.tolist() == [[kind.get(key, 0) for key in found.keys.tolist()] for kind in kinds]


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
