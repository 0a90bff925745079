from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.counting import pair_sums
from oddpair.retrieval.counting.pair_sums import (
    PairSums,
    add_sums,
    join_kinds,
    merge_sums,
    write_sums,
    write_tables,
)

PARTS = st.lists(
    st.dictionaries(st.integers(0, 40), st.integers(0, 2**40), max_size=12), min_size=1, max_size=5
)


def as_sums(part):
    keys = sorted(part)
    return PairSums(keys=np.array(keys, np.int64), counts=np.array([[part[key] for key in keys]], np.int64))


def in_blocks(part, sizes):
    keys = sorted(part)
    for size in sizes:
        yield as_sums({key: part[key] for key in keys[:size]})
        keys = keys[size:]
    yield as_sums({key: part[key] for key in keys})


def add_slowly(parts):
    total: Counter[int] = Counter()
    for part in parts:
        # Not a sum of the two: what adds up to 0 was asked for and is kept.
        total.update(part)
    return total


@given(PARTS)
def test_parts_add_up_in_any_order(parts):
    total = add_slowly(parts)
    for order in (parts, parts[::-1]):
        found = add_sums([as_sums(part) for part in order])
        assert found.keys.tolist() == sorted(total)
        assert found.counts.tolist() == [[total[key] for key in sorted(total)]]


def test_adding_leaves_the_parts_as_they_were():
    one, other = as_sums({1: 2, 3: 4}), as_sums({1: 1})
    add_sums([one, other])
    assert one.counts.tolist() == [[2, 4]]
    assert other.counts.tolist() == [[1]]


@settings(max_examples=60, deadline=None)
@given(PARTS, st.lists(st.integers(0, 5), max_size=4), st.integers(1, 4))
def test_parts_on_disk_are_added_some_at_a_time(tmp_path_factory, parts, sizes, at_once):
    folder = tmp_path_factory.mktemp("parts")
    paths = [folder / f"{number}.parquet" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        write_sums(path, in_blocks(part, sizes), n_kinds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_sums, "_AT_ONCE", at_once)
        blocks = list(merge_sums(paths))
    keys = [key for block in blocks for key in block.keys.tolist()]
    total = add_slowly(parts)
    assert keys == sorted(total)
    assert [count for block in blocks for count in block.counts[0].tolist()] == [total[key] for key in keys]


@given(PARTS.filter(lambda kinds: len(kinds) <= 3))
def test_a_pair_that_one_kind_does_not_list_is_0_there(kinds):
    found = join_kinds([(as_sums(kind).keys, as_sums(kind).counts[0]) for kind in kinds])
    assert found.keys.tolist() == sorted(set().union(*kinds))
    assert found.counts.tolist() == [[kind.get(key, 0) for key in found.keys.tolist()] for kind in kinds]


def test_the_bytes_do_not_depend_on_how_rows_fall_into_tables(tmp_path):
    column = np.arange(150_000)
    schema = pa.schema([("x", pa.int64())])
    for name, cuts in (
        ("a", []),
        ("b", [1, 2, 70_000]),
        ("c", [65_536, 131_072]),
        ("d", range(0, 150_000, 999)),
    ):
        tables = [pa.table([part], schema=schema) for part in np.split(column, list(cuts))]
        assert write_tables(tmp_path / name, schema, tables) == len(column)
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1
    assert pq.read_table(tmp_path / "a")["x"].to_pylist() == column.tolist()
    assert write_tables(tmp_path / "none", schema, []) == 0
    assert pq.read_table(tmp_path / "none").num_rows == 0


def test_a_damaged_part_is_told(tmp_path):
    path = tmp_path / "pairs.parquet"
    write_sums(path, [as_sums({1: 2})], n_kinds=1)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Refusal, match=r"pairs\.parquet: .*: delete it and run again"):
        list(merge_sums([path]))
