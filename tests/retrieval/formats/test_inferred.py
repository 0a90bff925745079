import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.formats.inferred import widen_column, widen_schemas, widen_type

KINDS = [
    pa.null(), pa.string(), pa.large_string(), pa.bool_(), pa.int8(), pa.int64(), pa.uint8(), pa.uint64(),
    pa.float32(), pa.float64(), pa.list_(pa.null()), pa.list_(pa.list_(pa.float64())), pa.dictionary(pa.int32(), pa.string()),
]  # fmt: skip


def named(*kinds):
    return [(f"part{index}", pa.schema([("a", kind)])) for index, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("first", "second", "wider"),
    [
        (pa.null(), pa.int64(), pa.int64()),
        (pa.int8(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.uint64(), pa.uint64()),
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.string(), pa.large_string(), pa.string()),
        (pa.dictionary(pa.int32(), pa.string()), pa.null(), pa.string()),
        (pa.list_(pa.null()), pa.list_(pa.list_(pa.float64())), pa.list_(pa.list_(pa.float64()))),
        (pa.int64(), pa.bool_(), None),
        (pa.string(), pa.int64(), None),
        (pa.list_(pa.string()), pa.list_(pa.int8()), None),
        (pa.list_(pa.int8()), pa.int8(), None),
    ],
)
def test_the_wider_of_two_types_holds_both(first, second, wider):
    assert widen_type(first, second) == widen_type(second, first) == wider


@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=5).flatmap(
        lambda kinds: st.tuples(st.just(kinds), st.permutations(kinds))
    )
)
def test_the_order_of_files_changes_no_type(orders):
    found = []
    for kinds in orders:
        try:
            found.append(widen_schemas(named(*kinds)).field("a").type)
        except Refusal:
            found.append(None)
    assert found[0] == found[1]


def test_a_type_that_does_not_fit_is_refused_with_both_types_and_the_file():
    with pytest.raises(Refusal, match=r"part2 has string in column 'a', the files before it have double"):
        widen_schemas(named(pa.int64(), pa.float64(), pa.string()))


@pytest.mark.parametrize("kinds", [[pa.float64()], [pa.int64(), pa.float64()], [pa.null(), pa.float32()]])
def test_ids_do_not_become_double(kinds):
    assert widen_schemas(named(*kinds)).field("a").type in (pa.float64(), pa.float32())
    with pytest.raises(Refusal, match=r"has (float|double) in column 'a', which rounds ids"):
        widen_schemas(named(*kinds), exact=("a",))


def test_columns_of_a_pandas_index_are_left_out():
    one, other = (
        pa.schema([("a", pa.int8()), ("__index_level_0__", pa.int64())]),
        pa.schema([("a", pa.int8())]),
    )
    for parts in ([("x", one)], [("x", one), ("y", other)], [("y", other), ("x", one)]):
        assert widen_schemas(parts).names == ["a"]


def test_a_column_takes_the_wider_type_and_no_other():
    table = pa.table({"a": pa.array([1, None], pa.int8())})
    assert widen_column(table, "a", pa.float64(), "x").to_pylist() == [1.0, None]
    with pytest.raises(Refusal, match=r"x has int8 in column 'a', it had string when it was opened"):
        widen_column(table, "a", pa.string(), "x")
    with pytest.raises(Refusal, match=r"y has double in column 'a', it had int8 when"):
        widen_column(pa.table({"a": [0.5]}), "a", pa.int8(), "y")
