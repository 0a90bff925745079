import io
import json

import pyarrow as pa
import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.formats.json_rows import build_columns, read_row
from oddpair.retrieval.formats.tar_samples import BadSample
from oddpair.retrieval.formats.tars import index_tar, write_tar


@pytest.fixture
def row(tmp_path):
    """Read the row of one sample that is made of a json, or of its bytes, and perhaps a txt."""

    def make(values, txt=None, columns=None):
        data = values if isinstance(values, bytes) else json.dumps(values).encode()
        texts = [] if txt is None else [("1.txt", txt)]
        write_tar(tmp_path / "a.tar", [("1.jpg", b"x"), ("1.json", data), *texts])
        file = io.BytesIO((tmp_path / "a.tar").read_bytes())
        return read_row(file, index_tar(file, "a.tar").entries[0], columns)

    return make


def test_the_caption_is_the_txt_else_a_field_of_the_json(row):
    assert row({"caption": "a", "text": "b"}, b"c").caption == "c"
    assert row({"caption": None, "text": "b"}).caption == "b"
    assert row({"caption": "a"}).caption == "a"
    assert row({"caption": "a"}, b"").caption == ""
    assert row({}).caption is None


def test_fields_that_are_no_ids_are_none(row):
    found = row({"uid": 5, "hash": "x", "url": None})
    assert (found.uid, found.hash, found.url) == (None, None, None)
    assert row({"hash": 2**63}).hash is None
    assert row({"hash": -(2**63)}).hash == -(2**63)


def test_a_hash_speaks_of_the_picture_only_where_the_width_is_null(row):
    assert row({"sha256": "ab", "width": None}).digest == "ab"
    assert row({"sha256": "ab", "width": 3}).digest is None
    assert row({"sha256": "ab"}).digest is None


def test_only_scalars_that_were_asked_for_are_kept(row):
    values = {"a": 1, "b": [1], "c": {"d": 1}, "e": None}
    assert row(values).fields == {"a": 1, "e": None}
    assert row(values, columns=("a", "b", "z")).fields == {"a": 1}


@pytest.mark.parametrize(
    ("values", "txt", "reason"),
    [
        pytest.param(b'{"a": 1, "a": 2}', None, "a key is given twice", id="37-key-twice"),
        pytest.param(b'{"a": ' + b"[" * 100_000, None, "nested too deep", id="37-depth"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", None, "Exceeds the limit", id="37-5000-digits"),
        pytest.param(b"[]", None, "a json that is no object", id="37-no-object"),
        pytest.param(b"\xff", None, "no valid json", id="31-json-not-utf8"),
        pytest.param({}, b"a \xff", "caption is not UTF-8", id="31-txt-not-utf8"),
        pytest.param({"caption": "\ud800"}, None, "caption is not UTF-8", id="31-half-a-letter"),
        pytest.param({"uid": "\ud800"}, None, "uid is not UTF-8", id="31-uid"),
    ],
)
def test_hostile_text_is_bad_for_its_sample_alone(row, values, txt, reason):
    with pytest.raises(BadSample, match=reason):
        row(values, txt)


def column(row, *values):
    return build_columns([row({"a": value}) for value in values], ("a",), "a.tar")["a"]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ((1, None), pa.int64(), [1, None]),
        ((1, 0.5), pa.float64(), [1.0, 0.5]),
        ((True, False), pa.bool_(), [True, False]),
        ((None, None), pa.null(), [None, None]),
        (("a", 1), pa.string(), ["a", "1"]),
        ((2**70, 1), pa.float64(), [float(2**70), 1.0]),
        (("\ud800", "b"), pa.string(), ["\ufffd", "b"]),
        ((True, 2), pa.string(), ["true", "2"]),
    ],
)
def test_a_column_has_the_type_of_all_its_values(row, values, kind, expected):
    found = column(row, *values)
    assert (found.type, found.to_pylist()) == (kind, expected)


def test_a_field_that_no_sample_has_is_refused(row):
    with pytest.raises(Refusal, match=r"no sample of a\.tar has a number or text 'b' in its json"):
        build_columns([row({"a": 1})], ("b",), "a.tar")
    assert build_columns([], ("b",), "a.tar")["b"].type == pa.null()
