import pyarrow as pa
import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.formats.schemas import conform, require_one_schema

FIRST = pa.schema([("url", pa.string()), ("width", pa.int32())])


def test_columns_have_the_order_of_the_first_file():
    turned = pa.schema(list(FIRST)[::-1])
    assert require_one_schema([("a", FIRST), ("b", turned)]) == FIRST


def test_a_column_that_is_null_throughout_one_file_takes_its_type_from_another():
    empty = pa.schema([("url", pa.null()), ("width", pa.null())])
    for files in ([("a", empty), ("b", FIRST)], [("a", FIRST), ("b", empty)]):
        assert require_one_schema(files) == FIRST
    table = pa.table({"url": pa.nulls(2), "width": pa.nulls(2)})
    assert conform(table, FIRST, "a").schema == FIRST


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_text_is_text_however_it_is_encoded(kind):
    other = FIRST.set(0, pa.field("url", kind))
    assert require_one_schema([("a", other), ("b", FIRST)]) == FIRST
    table = pa.table({"url": pa.array(["x"]).cast(kind), "width": pa.array([1], pa.int32())})
    assert conform(table, FIRST, "a").equals(pa.table({"url": ["x"], "width": pa.array([1], pa.int32())}))


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        pytest.param(pa.int64(), "int64", id="36-wider"),
        pytest.param(pa.float64(), "double", id="36-with-missing"),
        pytest.param(pa.string(), "string", id="36-text"),
    ],
)
def test_another_type_is_refused_with_both_types_and_files(kind, shown):
    other = FIRST.set(1, pa.field("width", kind))
    with pytest.raises(Refusal, match=rf"^c has {shown} in column 'width', a has int32: write one of them"):
        require_one_schema([("a", FIRST), ("b", FIRST), ("c", other)])


def test_36_a_type_that_changes_after_a_file_of_nulls_is_refused():
    files = [("a", pa.schema([("x", kind)])) for kind in (pa.null(), pa.int32(), pa.int64())]
    with pytest.raises(Refusal, match="has int64 in column 'x'"):
        require_one_schema(files)


def test_36_a_missing_column_is_refused_in_either_file():
    fewer = pa.schema([("url", pa.string())])
    with pytest.raises(Refusal, match=r"^b has no column 'width', which a has"):
        require_one_schema([("a", FIRST), ("b", fewer)])
    with pytest.raises(Refusal, match=r"^a has no column 'width', which b has"):
        require_one_schema([("a", fewer), ("b", FIRST)])


def test_a_type_that_changed_during_the_run_is_refused():
    table = pa.table({"url": ["x"], "width": pa.array([1.0])})
    with pytest.raises(Refusal, match="it had int32 when the run began: run again"):
        conform(table, FIRST, "a")
