"""Labels come back as they were given, are merged by one rule, and a damaged file is named with its row."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.splits.labelling.labels import (
    Labels,
    Look,
    drawn_at_random,
    identify_labels,
    read_labels,
    read_labels_table,
    read_looks,
)


def look(uid, label, annotator="ann", kind="first"):
    return Look(uid=uid, label=label, annotator=annotator, kind=kind)


def as_line(**changes):
    value = {"annotator": "ann", "label": "natural", "look": "first", "order": 1, "uid": "a"}
    return json.dumps({**value, **changes}) + "\n"


def write_folder(folder, said, drawn):
    """``said``: lines by person; ``drawn``: way by uid."""
    folder.mkdir()
    pq.write_table(pa.table({"uid": list(drawn), "drawn": list(drawn.values())}), folder / "rows.parquet")
    for person, lines in said.items():
        (folder / "annotators" / person).mkdir(parents=True)
        (folder / "annotators" / person / "labels.jsonl").write_text("".join(lines))
    return folder


def test_a_picture_on_which_people_disagree_is_left_out():
    labels = Labels(looks=(look("a", "natural"), look("a", "rendition", "bob"), look("b", "natural")))
    assert labels.merge() == {"b": "natural"}
    assert labels.disputed() == labels.unsettled() == ("a",)


def test_a_review_overrules_what_was_said_before_and_reviews_that_disagree_settle_nothing():
    disputed = (look("a", "natural"), look("a", "rendition", "bob"))
    settled = Labels(looks=(*disputed, look("a", "ambiguous", "cy", "review")))
    assert settled.merge() == {"a": "ambiguous"}
    assert settled.disputed() == ("a",)
    assert settled.unsettled() == ()
    open_again = Labels(looks=(*settled.looks, look("a", "natural", "ann", "review")))
    assert open_again.merge() == {}
    assert open_again.unsettled() == ("a",)


def test_a_second_look_changes_no_label():
    labels = Labels(looks=(look("a", "natural"), look("a", "rendition", kind="again")))
    assert labels.merge() == {"a": "natural"}
    assert labels.by_person("again") == {"ann": {"a": "rendition"}}


@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from(["first", "review", "again"])
        ),
        st.sampled_from(["natural", "rendition"]),
    )
)
def test_every_labelled_picture_is_merged_or_unsettled_and_never_both(said):
    labels = Labels(looks=tuple(look(uid, label, who, kind) for (uid, who, kind), label in said.items()))
    merged, unsettled = labels.merge(), set(labels.unsettled())
    reviewed = {one.uid for one in labels.looks if one.kind == "review"}
    first = {one.uid for one in labels.looks if one.kind == "first"}
    assert not merged.keys() & unsettled
    assert first <= merged.keys() | unsettled | reviewed
    assert list(merged) == sorted(merged)


def test_a_folder_is_read_with_what_each_said_last_and_how_pictures_were_drawn(tmp_path):
    said = {
        "ann": [as_line(), as_line(uid="b", order=2), as_line(label="rendition", order=3), as_line(uid="b", label=None, order=4)],
        "bob": [as_line(annotator="bob", label="rendition"), as_line(annotator="bob", uid="c", order=2)],
    }  # fmt: skip
    folder = write_folder(
        tmp_path / "labels", said, {"a": "random", "b": "random", "c": "enriched", "d": "random"}
    )
    assert read_labels(folder) == {"a": "rendition", "c": "natural"}
    assert drawn_at_random(folder) == {"a"}
    assert read_labels_table(folder).drawn == {"a": "random", "c": "enriched"}


def test_the_hash_of_a_folder_changes_with_a_label_and_not_with_how_often_it_was_changed(tmp_path):
    drawn = {"a": "random"}
    one = write_folder(tmp_path / "one", {"ann": [as_line()]}, drawn)
    two = write_folder(tmp_path / "two", {"ann": [as_line(label="rendition"), as_line(order=2)]}, drawn)
    three = write_folder(tmp_path / "three", {"ann": [as_line(label="rendition")]}, drawn)
    assert identify_labels(one) == identify_labels(two) != identify_labels(three)


def test_a_last_line_that_was_cut_counts_for_nothing(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(as_line() + as_line(uid="b")[:-1])
    assert [one.uid for one in read_looks(path)] == ["a"]
    assert read_labels(path) == {"a": "natural"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("no json\n", "labels.jsonl line 2 is not valid JSON"),
        ("[]\n", "line 2 needs annotator, label, look, order, uid"),
        (as_line(extra=1), "line 2 needs annotator"),
        (as_line(uid=7), "line 2: uid, annotator and label are texts"),
        (as_line(uid=""), "line 2: uid, annotator"),
        (as_line(look="third"), "line 2: look is 'third', needed first, again, review"),
        (as_line(order="1"), "line 2: order is '1', needed a whole number"),
        (as_line(order=True), "line 2: order is True"),
    ],
)
def test_a_damaged_line_is_refused_with_its_number(tmp_path, line, told):
    path = tmp_path / "labels.jsonl"
    path.write_text(as_line() + line)
    with pytest.raises(Refusal, match=told):
        read_labels(path)


def test_parquet_and_csv_say_the_same(tmp_path):
    columns = {
        "uid": ["0012", "0012", "b"],
        "label": ["natural", "natural", "a, \"b\""],
        "annotator": ["ann", "bob", "ann"],
        "drawn": ["random", None, "enriched"],
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text(
        'uid,label,annotator,drawn\n0012,natural,ann,random\n0012,natural,bob,\nb,"a, ""b""",ann,enriched\n'
    )
    for name in ("t.parquet", "t.csv"):
        assert read_labels(tmp_path / name) == {"0012": "natural", "b": 'a, "b"'}
        assert drawn_at_random(tmp_path / name) == {"0012"}
    assert read_labels_table(tmp_path / "t.csv") == read_labels_table(tmp_path / "t.parquet")


def test_a_plain_table_of_uid_and_label_is_enough(tmp_path):
    pq.write_table(pa.table({"uid": ["b", "a"], "label": ["x", "y"], "more": [1, 2]}), tmp_path / "t.parquet")
    assert list(read_labels(tmp_path / "t.parquet").items()) == [("a", "y"), ("b", "x")]
    assert drawn_at_random(tmp_path / "t.parquet") == set()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("uid,style\na,b\n", "has no column 'label', only 'uid', 'style'"),
        ("", "has no column 'uid', only nothing"),
        ("uid,label\na,\n", "row 0 has no label"),
        ("uid,label\na,x\n,x\n", "row 1 has no uid"),
        ("uid,label\na\n", "row 0 has no label"),
        ("uid,label\na,x\na,y\n", "row 1 labels uid 'a' 'y', row 0 labels it 'x'.*column 'annotator'"),
        ("uid,label,drawn\na,x,random\na,x,enriched\n", "row 1 says that uid 'a' was drawn 'enriched'"),
        ("uid,label,look\na,x,third\n", "row 0: look is 'third'"),
        ("uid,label\n", "holds no label"),
        ('uid,label\na,"x', "is no csv in UTF-8"),
    ],
)
def test_a_table_that_says_too_little_or_two_things_is_refused(tmp_path, text, told):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(Refusal, match=told):
        read_labels(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"uid,label\n\xff,x\n")
    with pytest.raises(Refusal, match="is no csv in UTF-8"):
        read_labels(tmp_path / "t.csv")


def test_uids_that_are_numbers_are_refused(tmp_path):
    pq.write_table(pa.table({"uid": [12], "label": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(Refusal, match="has uid of type int64, needed text"):
        read_labels(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("drawn", pa.array([["random"], None])),
        ("look", pa.array([b"\xff\xfe", b"first"])),
        ("annotator", pa.array([{"a": 1}, None])),
        ("label", pa.array([b"\xff", b"x"]).view(pa.string())),
    ],
)
def test_a_column_that_is_no_text_is_refused_in_one_line(tmp_path, name, cells):
    columns = {"uid": ["a", "b"], "label": ["x", "y"], name: cells}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(Refusal, match=f"has {name} of type [^\n]*, needed text: write it as text$"):
        read_labels(tmp_path / "t.parquet")


def test_what_was_looked_at_and_has_no_label_is_left_open_until_somebody_settles_it(tmp_path):
    said = {
        "ann": [
            as_line(),
            as_line(uid="b", label=None),
            as_line(uid="c", label=None),
            as_line(uid="d", label=None),
        ],
        "bob": [
            as_line(annotator="bob", label="rendition"),
            as_line(annotator="bob", uid="c", label="natural"),
        ],
    }
    drawn = {"a": "random", "b": "random", "c": "random", "d": "enriched", "e": "random"}
    found = read_labels_table(write_folder(tmp_path / "folder", said, drawn))
    assert found.left_open() == {"a": "random", "b": "random", "d": "enriched"}
    (tmp_path / "ann.jsonl").write_text("".join(said["ann"]))
    assert read_labels_table(tmp_path / "ann.jsonl").left_open() == {"b": "", "c": "", "d": ""}
    assert Labels(looks=(look("a", "x"), look("a", "y", "bob"))).left_open() == {"a": ""}


def test_nothing_tells_how_pictures_were_drawn_without_a_column_and_an_empty_one_tells_of_none(tmp_path):
    for name, columns, drawn in (("plain", {}, None), ("empty", {"drawn": pa.nulls(1)}, {})):
        pq.write_table(pa.table({"uid": ["a"], "label": ["x"], **columns}), tmp_path / f"{name}.parquet")
        assert read_labels_table(tmp_path / f"{name}.parquet").drawn == drawn


def test_what_is_not_there_is_refused(tmp_path):
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(Refusal, match="does not exist"):
            read_labels(tmp_path / name)
    with pytest.raises(
        Refusal,
        match=r"no rows.parquet: a folder .*, plan.json and annotators/NAME/labels.jsonl",
    ):
        read_labels(tmp_path)
