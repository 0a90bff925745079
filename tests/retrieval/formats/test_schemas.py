import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.formats.schemas import conform, fit_columns, widen_schemas, widen_type

FIRST = pa.schema([("url", pa.string()), ("width", pa.int32())])

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


def test_columns_have_the_order_of_the_first_file():
    turned = pa.schema(list(FIRST)[::-1])
    assert widen_schemas([("a", FIRST), ("b", turned)]) == FIRST
    assert widen_schemas([]) == pa.schema([])


def test_a_column_that_is_null_throughout_one_file_takes_its_type_from_another():
    empty = pa.schema([("url", pa.null()), ("width", pa.null())])
    for files in ([("a", empty), ("b", FIRST)], [("a", FIRST), ("b", empty)]):
        assert widen_schemas(files) == FIRST
    table = pa.table({"url": pa.nulls(2), "width": pa.nulls(2)})
    assert conform(table, FIRST, "a").schema == FIRST


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_text_is_text_however_it_is_encoded(kind):
    other = FIRST.set(0, pa.field("url", kind))
    assert widen_schemas([("a", other), ("b", FIRST)]) == FIRST
    table = pa.table({"url": pa.array(["x"]).cast(kind), "width": pa.array([1], pa.int32())})
    assert conform(table, FIRST, "a").equals(pa.table({"url": ["x"], "width": pa.array([1], pa.int32())}))


@pytest.mark.parametrize("kind", [pa.string(), pa.list_(pa.int32()), pa.bool_()])
def test_36_a_type_that_does_not_fit_is_refused_with_both_types_and_files(kind):
    files = [("a", FIRST.set(1, pa.field("width", pa.null()))), ("b", FIRST)]
    other = FIRST.set(1, pa.field("width", kind))
    message = rf"^c has {kind} in column 'width', b has int32: write one of them"
    with pytest.raises(Refusal, match=message.replace("<", ".").replace(">", ".")):
        widen_schemas([*files, ("c", other)])


def test_36_a_missing_column_is_refused_in_either_file():
    fewer = pa.schema([("url", pa.string())])
    with pytest.raises(Refusal, match=r"^b has no column 'width', which a has"):
        widen_schemas([("a", FIRST), ("b", fewer)])
    with pytest.raises(Refusal, match=r"^a has no column 'width', which b has"):
        widen_schemas([("a", fewer), ("b", FIRST)])


@pytest.mark.parametrize("kinds", [[pa.int64(), pa.float64()], [pa.float32(), pa.null(), pa.int8()]])
def test_36_integers_of_ids_do_not_become_double(kinds):
    assert widen_schemas(named(*kinds)).field("a").type == pa.float64()
    with pytest.raises(
        Refusal, match=r"has \w+ in column 'a', part0 has (int64|float): write one of them anew"
    ):
        widen_schemas(named(*kinds), exact=("a",))


def test_ids_that_are_double_everywhere_are_what_they_are():
    kinds = [pa.null(), pa.float32(), pa.float64()]
    assert widen_schemas(named(*kinds), exact=("a",)).field("a").type == pa.float64()


def test_columns_of_a_pandas_index_are_left_out():
    one, other = (
        pa.schema([("a", pa.int8()), ("__index_level_0__", pa.int64())]),
        pa.schema([("a", pa.int8())]),
    )
    for parts in ([("x", one)], [("x", one), ("y", other)], [("y", other), ("x", one)]):
        assert widen_schemas(parts).names == ["a"]


def test_a_file_is_compared_in_the_columns_that_are_read():
    other = pa.schema([("width", pa.float64()), ("url", pa.int64()), ("more", pa.int8())])
    assert fit_columns(("a", FIRST), ("b", other), ["width", "more"]) == pa.schema(
        [("width", pa.float64()), ("more", pa.int8())]
    )
    with pytest.raises(Refusal, match=r"^b has int64 in column 'url', a has string: write"):
        fit_columns(("a", FIRST), ("b", other), ["url"])
    with pytest.raises(Refusal, match=r"^a has no column 'more', which b has"):
        fit_columns(("b", other), ("a", FIRST), ["more"])
    with pytest.raises(Refusal, match=r"^b has string in column 'hash', a has int64"):
        fit_columns(
            ("a", pa.schema([("hash", pa.int64())])), ("b", pa.schema([("hash", pa.string())])), ["hash"]
        )
    ids = [(name, pa.schema([("hash", kind)])) for name, kind in (("a", pa.int64()), ("b", pa.float64()))]
    with pytest.raises(Refusal, match=r"^b has double in column 'hash', a has int64"):
        fit_columns(ids[0], ids[1], ["hash"])


def test_a_column_takes_the_wider_type_and_no_other():
    table = pa.table({"a": pa.array([1, None], pa.int8())})
    wide = pa.schema([("a", pa.float64())])
    assert conform(table, wide, "x")["a"].to_pylist() == [1.0, None]
    for kind, shown in ((pa.string(), "string"), (pa.bool_(), "bool")):
        with pytest.raises(Refusal, match=rf"x has int8 in column 'a', it had {shown} when it was opened"):
            conform(table, pa.schema([("a", kind)]), "x")
    with pytest.raises(Refusal, match=r"y has double in column 'a', it had int8 when"):
        conform(pa.table({"a": [0.5]}), pa.schema([("a", pa.int8())]), "y")
