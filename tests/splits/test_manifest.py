import hashlib
import json
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.files import read_table, write_json, write_table
from oddpair.splits.manifest import Claim, Manifest, read_manifest, write_manifest

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
UIDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=6),
    min_size=1,
    max_size=8,
    unique=True,
)


def make_manifest(**changed: Any) -> Manifest:
    values: dict[str, Any] = {
        "name": "natural-strict",
        "recipe": "style_strict",
        "uids": ("a", "b", "c"),
        "parameters": {"precision": 0.98, "quantile": 0.99},
        "provenance": {"encoder": "0" * 64, "seed": 7, "inputs": {"corpus": "1" * 64}},
        "rules": (("rows of the corpus", 9), ("rows kept", 3)),
        "statement": (Claim(text="at most 2 % are renditions", values={"bound": 0.02, "n": 149}),),
        "card": (("rows", 3), ("threshold", "0.71"), ("bound", 0.981)),
    }
    return Manifest(**(values | changed))


@given(
    uids=UIDS,
    parameters=st.dictionaries(st.text(), PLAIN, max_size=3),
    card=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5) | st.integers(-9, 9)), max_size=3),
)
@settings(max_examples=25, deadline=None)
def test_a_manifest_comes_back_as_it_was_written(tmp_path_factory, uids, parameters, card):
    folder = tmp_path_factory.mktemp("split")
    manifest = make_manifest(uids=tuple(sorted(uids)), parameters=parameters, card=tuple(card))
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest


def test_equal_manifests_give_equal_bytes(tmp_path):
    write_manifest(tmp_path / "one", make_manifest(parameters={"a": 1, "b": 2}))
    write_manifest(tmp_path / "two", make_manifest(parameters={"b": 2, "a": 1}))
    write_manifest(tmp_path / "three", read_manifest(tmp_path / "one"))
    for name in ("uids.parquet", "manifest.json"):
        assert len({(tmp_path / folder / name).read_bytes() for folder in ("one", "two", "three")}) == 1


def test_the_hash_is_that_of_a_text_file_with_one_uid_a_line(tmp_path):
    write_manifest(tmp_path, make_manifest())
    found = json.loads((tmp_path / "manifest.json").read_text())
    assert found["uids_sha256"] == hashlib.sha256(b"a\nb\nc\n").hexdigest()
    assert found["rows"] == 3
    assert found["card"] == [["rows", 3], ["threshold", "0.71"], ["bound", 0.981]]


@pytest.mark.parametrize(
    ("uids", "said"),
    [
        (["a", "b", "d"], r"uids\.parquet has the uid list .* was written for .* make the split again"),
        (["a", "b"], r"uids\.parquet holds 2 uids, .*manifest\.json says 3"),
        (["a", "c", "b"], r"uids\.parquet: uid 'b' at row 2 sorts before the one above it"),
        (["a", "b", "b"], r"uids\.parquet: uid 'b' stands twice, at rows 1 and 2"),
        (["a", "b", None], r"uids\.parquet holds uids of type string, needed text in every row"),
    ],
)
def test_a_changed_uid_list_is_refused(tmp_path, uids, said):
    write_manifest(tmp_path, make_manifest())
    write_table(tmp_path / "uids.parquet", pa.table({"uid": pa.array(uids, pa.string())}))
    with pytest.raises(Refusal, match=said):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format_version": 1}, "has format version 1, this oddpair reads 2"),
        ({"rows": True}, "'rows' is True, needed a whole number"),
        ({"name": "../../other"}, "split name '../../other', needed letters, digits"),
        ({"name": "a\x1b[2J"}, r"split name 'a\\x1b\[2J', needed letters, digits"),
        ({"recipe": None}, "'recipe' is None, needed text"),
        ({"uids_sha256": "abc"}, "'uids_sha256' is not 64 hex digits"),
        ({"card": [["rows"]]}, "a row of 'card' is not a label and a value"),
        ({"card": [[1, 2]]}, "a card row is a label and a value"),
        ({"rules": [["rows"]]}, "a row of 'rules' is not a label and a value"),
        ({"rules": [["rows", "3"]]}, "a rule is a text and a whole number of rows"),
        ({"statement": ["sure"]}, "a claim of 'statement' is not a text and its values"),
        (
            {"statement": [{"text": "sure", "values": 3}]},
            "a claim of 'statement' is not a text and its values",
        ),
        ({"of": 3}, "'of' is 3, needed text"),
        ({"extra": 1}, "holds an unknown entry 'extra'"),
    ],
)
def test_a_malformed_manifest_is_refused_by_name(tmp_path, change, said):
    write_manifest(tmp_path, make_manifest())
    path = tmp_path / "manifest.json"
    write_json(path, json.loads(path.read_text()) | change)
    with pytest.raises(Refusal, match=re.escape(str(path)) + ".*" + said):
        read_manifest(tmp_path)


def test_a_manifest_that_is_no_object_is_refused(tmp_path):
    write_manifest(tmp_path, make_manifest())
    write_json(tmp_path / "manifest.json", [1])
    with pytest.raises(Refusal, match=r"manifest\.json holds list, needed an object"):
        read_manifest(tmp_path)


def test_a_manifest_without_an_entry_is_refused(tmp_path):
    write_manifest(tmp_path, make_manifest())
    path = tmp_path / "manifest.json"
    value = json.loads(path.read_text())
    del value["provenance"]
    write_json(path, value)
    with pytest.raises(Refusal, match="no 'provenance', needed an object"):
        read_manifest(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"manifest\.json does not exist"):
        read_manifest(tmp_path)


def test_a_uid_of_two_lines_is_refused():
    with pytest.raises(Refusal, match=r"split 'natural-strict': uid 'a\\nb' is not one line"):
        make_manifest(uids=("a\nb", "c"))


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(Refusal, match="split 'natural-strict' keeps no row"):
        make_manifest(uids=())
    write_manifest(tmp_path, make_manifest())
    path = tmp_path / "manifest.json"
    write_json(path, json.loads(path.read_text()) | {"rows": 0})
    table = read_table(tmp_path / "uids.parquet")
    write_table(tmp_path / "uids.parquet", table.slice(0, 0))
    with pytest.raises(Refusal, match=r"uids\.parquet holds no uid"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": ""}, "split name '', needed letters"),
        ({"name": "/tmp/x"}, "split name '/tmp/x', needed letters"),
        ({"name": ".hidden"}, "split name '.hidden', needed letters"),
        ({"name": "line\n"}, "needed letters, digits, '.', '_' and '-', a letter or digit first"),
        ({"uids": ("b", "a")}, "uid 'a' at row 1 sorts before"),
        ({"uids": ("a", "a")}, "uid 'a' stands twice"),
        ({"parameters": {"threshold": float("nan")}}, "parameters is not plain JSON"),
        ({"parameters": {"sizes": (1, 2)}}, "does not come back from JSON"),
        ({"provenance": {1: "x"}}, "does not come back from JSON"),
        ({"statement": (Claim(text="a", values={"n": float("inf")}),)}, "statement is not plain JSON"),
        ({"rules": (("rows", True),)}, "a rule is a text and a whole number of rows"),
        ({"card": (("only a label",),)}, "a card row is a label and a value"),
    ],
)
def test_what_would_not_come_back_is_an_error_at_once(changed, said):
    with pytest.raises(ValueError, match=said):
        make_manifest(**changed)
