"""Tables on disk: what is read is what was written, and every fault is told by file, row and remedy."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.eval.prediction.accuracy_tables import as_rows, make_table

from oddpair.errors import Refusal
from oddpair.eval.prediction.table_file import read_table, write_table

HEADER = "model,corpus,dataset,concept,accuracy,n,count_text,count_image,count_joint,pmi\n"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NAMED = TEXT.filter(bool)
COUNT = st.none() | st.integers(0, 2**53)


@st.composite
def tables(draw):
    corpora = draw(st.dictionaries(NAMED, NAMED, min_size=1, max_size=3))
    keys = st.tuples(st.sampled_from(sorted(corpora)), NAMED, TEXT)
    rows = []
    for model, dataset, concept in draw(st.sets(keys, min_size=1, max_size=6)):
        row = {"model": model, "corpus": corpora[model], "dataset": dataset, "concept": concept}
        numbers = {
            "accuracy": draw(st.none() | st.floats(0, 1)),
            "n": draw(st.none() | st.integers(1, 2**53)),
            **{name: draw(COUNT) for name in ("count_text", "count_image", "count_joint")},
            "pmi": draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        }
        rows.append(row | {name: value for name, value in numbers.items() if value is not None})
    return make_table(rows)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@given(table=tables())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_again(tmp_path, ending, table):
    path = tmp_path / f"table.{ending}"
    write_table(path, table)
    assert as_rows(read_table(path)) == as_rows(table)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_bytes_do_not_depend_on_the_order_of_rows(tmp_path, ending):
    table = make_table([{"concept": name, "accuracy": 0.25, "pmi": -1.5} for name in "cab"])
    digests = set()
    for order in ([0, 1, 2], [2, 0, 1]):
        write_table(tmp_path / f"t.{ending}", table.take(np.array(order)))
        digests.add(hashlib.sha256((tmp_path / f"t.{ending}").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_csv_is_plain_text_with_empty_cells_for_what_is_missing(tmp_path):
    rows = [
        {"concept": "kite, bird", "accuracy": 0.5, "n": 50, "count_text": 1e6},
        {"concept": "", "pmi": 0.1},
    ]
    write_table(tmp_path / "t.csv", make_table(rows))
    assert (tmp_path / "t.csv").read_text() == (
        HEADER + 'm,c,d,,,,,,,0.1\nm,c,d,"kite, bird",0.5,50,1000000,,,\n'
    )


def test_words_for_missing_values_are_concepts_like_any_other(tmp_path):
    words = ["", "nan", "null", "None", "NA", "1"]
    lines = "".join(f"m,c,d,{word},0.5\n" for word in words)
    (tmp_path / "t.csv").write_text("model,corpus,dataset,concept,accuracy\n" + lines)
    table = read_table(tmp_path / "t.csv")
    assert table.concept.tolist() == words
    assert np.isnan(table.n).all()
    assert np.isnan(table.pmi).all()


def test_spreadsheets_and_other_columns_are_read(tmp_path):
    text = "note,accuracy,concept,dataset,corpus,model\r\n?,0.5,cat,d,c,m\r\n\r\n?,,dog,d,c,m\r\n?,1e-1,owl,d,c,m"
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    table = read_table(tmp_path / "t.csv")
    assert table.concept.tolist() == ["cat", "dog", "owl"]
    np.testing.assert_array_equal(table.accuracy, [0.5, np.nan, 0.1])


def test_parquet_of_other_types_is_read(tmp_path):
    columns = {
        "model": pa.array(["m", "m"]).dictionary_encode(),
        "corpus": pa.array(["c", "c"], pa.large_string()),
        "dataset": ["d", "d"],
        "concept": ["", "nan"],
        "accuracy": pa.array([0.5, None], pa.float32()),
        "n": pa.array([4, None], pa.int16()),
        "count_text": pa.array([float("nan"), 3.0]),
        "count_image": pa.nulls(2),
        "index": [{"a": 1}, {"a": 2}],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert as_rows(table) == [
        ("m", "c", "d", "", 0.5, 4, None, None, None, None),
        ("m", "c", "d", "nan", None, None, 3, None, None, None),
    ]


ROW = "m,c,d,cat,0.5,50,1,2,1,0.5\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(
            "m,c,d,dog,1.5,,,,,\n", "line 3: accuracy is 1.5, outside 0 to 1: in percent", id="above"
        ),
        pytest.param("m,c,d,dog,-0.1,,,,,\n", "line 3: accuracy is -0.1, .* a share from 0 to 1", id="below"),
        pytest.param("m,c,d,dog,250,,,,,\n", "line 3: accuracy is 250, .* a share from 0 to 1", id="beyond"),
        pytest.param(
            "m,c,d,dog,nan,,,,,\n", "line 3: accuracy is 'nan', needed a number .* empty cell", id="nan"
        ),
        pytest.param("m,c,d,dog,1e999,,,,,\n", "line 3: accuracy is '1e999', needed a number", id="infinite"),
        pytest.param(
            "m,c,d,dog,0.5,,1_000,,,\n", "line 3: count_text is '1_000', needed a number", id="grouped"
        ),
        pytest.param("m,c,d,dog,0.5,,,٣,,\n", "line 3: count_image is '٣', needed a number", id="digits"),
        pytest.param(
            "m,c,d,dog,0.5,,-3,,,\n", "line 3: count_text is -3, needed a whole number", id="negative"
        ),
        pytest.param("m,c,d,dog,0.5,,,,2.5,\n", "line 3: count_joint is 2.5, needed a whole", id="fraction"),
        pytest.param(
            "m,c,d,dog,0.5,0,,,,\n", "line 3: n is 0, needed a whole number .* 1 or more", id="no-n"
        ),
        pytest.param("m,c,d,dog,0.5,,,,,-inf\n", "line 3: pmi is '-inf', needed a number", id="pmi"),
        pytest.param(ROW, "line 3 repeats 'm', 'd', 'cat' .* of line 2: leave one out", id="repeated"),
        pytest.param(
            "m,e,d,dog,0.5,,,,,\n",
            "line 3: model 'm' has corpus 'e', and 'c' on line 2: give each",
            id="corpora",
        ),
        pytest.param(",c,d,dog,0.5,,,,,\n", "line 3 has no model: fill it in", id="no-model"),
        pytest.param(
            "m,c,d,dog,0.5\n", "line 3 has 5 cells, the header 10: put names with commas", id="short"
        ),
        pytest.param('m,c,d,"dog,0.5\n', "line 3 is no CSV .*: mend its quotes", id="quotes"),
        pytest.param('m,c,d,"d\no\ng",0.5,,,,,\nm,c,d,owl,7,,,,,\n', "line 6: accuracy is 7", id="lines"),
        pytest.param("m,c,d,d\0g,0.5,,,,,\n", "line 3 holds a NUL", id="nul"),
    ],
)
def test_a_fault_is_told_by_its_line(tmp_path, lines, message):
    path = tmp_path / "t.csv"
    path.write_text(HEADER + ROW + lines, encoding="utf-8")
    with pytest.raises(Refusal, match=rf"^{path} {message}") as refused:
        read_table(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "holds nothing: give a table", id="empty"),
        pytest.param(HEADER.encode(), "holds a header and no rows", id="no-rows"),
        pytest.param(b"model,acc\nm,1\n", "has no column 'corpus', only 'model', 'acc': add it", id="column"),
        pytest.param(b"model,model\nm,1\n", "has two columns 'model': leave one out", id="twice"),
        pytest.param((HEADER + ROW).encode("utf-16"), "line 1 is not UTF-8", id="utf-16"),
        pytest.param((HEADER + ROW + "ü").encode("latin-1"), "line 3 is not UTF-8: save", id="latin-1"),
        pytest.param(b"PAR1\x15\x04\x15\xff", "line 1 is not UTF-8", id="parquet"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=rf"^{path} {message}"):
        read_table(path)


GOOD = {"model": ["m"], "corpus": ["c"], "dataset": ["d"], "concept": ["x"], "accuracy": [0.5]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"accuracy": ["0.5"]}, "accuracy is string, needed numbers"),
        ({"accuracy": [50.0]}, "row 0: accuracy is 50, outside 0 to 1: in percent"),
        ({"accuracy": [np.inf]}, "row 0: accuracy is inf, outside"),
        ({"concept": pa.array([None], pa.string())}, "row 0 has no concept: fill it in"),
        ({"model": [1.5]}, None),
        ({"pmi": [-np.inf]}, "row 0: pmi is -inf, .* smoothed PMI"),
        ({"count_text": [np.inf]}, "row 0: count_text is inf, needed a whole number"),
    ],
)
def test_faults_of_parquet_are_told(tmp_path, changed, message):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(GOOD | changed), path)
    if message is None:
        assert read_table(path).model.tolist() == ["1.5"]
        return
    with pytest.raises(Refusal, match=message):
        read_table(path)


def test_a_parquet_without_a_column_or_rows_is_told(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(GOOD).drop_columns("dataset"), path)
    with pytest.raises(
        Refusal, match="has no column 'dataset', only 'model', 'corpus', 'concept', 'accuracy'"
    ):
        read_table(path)
    pq.write_table(pa.table(GOOD).slice(0, 0), path)
    with pytest.raises(Refusal, match="holds a header and no rows"):
        read_table(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(Refusal, match="truncated or damaged"):
        read_table(path)


def test_a_missing_file_and_another_ending_are_told(tmp_path):
    with pytest.raises(Refusal, match=r"no\.csv does not exist"):
        read_table(tmp_path / "no.csv")
    with pytest.raises(Refusal, match=r"t\.xlsx: a table is a file \.csv or \.parquet"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(Refusal, match=r"t\.xlsx: a table is a file \.csv or \.parquet"):
        write_table(tmp_path / "t.xlsx", make_table([{}]))
