"""YAML is read strictly: what its loader would let pass is refused with its place."""

import pytest

from oddpair.benchmarks.sections import read_section
from oddpair.errors import Refusal


def read(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return read_section(path)


def test_values_of_each_type_are_read(tmp_path):
    found = read(tmp_path, "a: text\nb: [x, y]\nc: 3\nd: true\ne: {f: g}\n")
    assert (found.text("a"), found.texts("b"), found.whole("c"), found.flag("d")) == (
        "text",
        ("x", "y"),
        3,
        True,
    )
    assert found.section("e").text("f") == "g"
    assert (found.text("z", "none"), found.texts("z", ()), found.flag("z", default=False)) == (
        "none",
        (),
        False,
    )


def test_texts_that_need_not_be_distinct_may_be_given_twice(tmp_path):
    assert read(tmp_path, "a: [x, x]\n").texts("a", distinct=False) == ("x", "x")


def test_merged_mappings_may_be_overridden(tmp_path):
    found = read(tmp_path, "a: &a {x: one, y: two}\nb: {<<: *a, y: three}\n")
    assert dict(found.section("b").values) == {"x": "one", "y": "three"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml line 3 gives the key 'a' once more"),
        ("a: {b: 1, c: [{d: 1, d: 2}]}\n", "line 1 gives the key 'd' once more"),
        ("- a\n", "holds no mapping"),
        ("", "holds no mapping"),
        ("a: [\n", "is no YAML"),
        ("a: *none\n", "is no YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "is no YAML"),
        ("a: 1\n---\nb: 2\n", "is no YAML"),
        ("? [a]\n: 1\n", "is no YAML"),
        ("1: a\n", "the key 1 is no text"),
        ("a: 2020-13-45\n", "is no YAML"),
    ],
    ids=["twice", "twice inside", "list", "empty", "open", "alias", "object", "two", "key", "number", "date"],
)
def test_what_is_no_plain_mapping_is_refused(tmp_path, text, message):
    with pytest.raises(Refusal, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda s: s.text("number"), "number is 7, a text was expected"),
        (lambda s: s.text("empty"), "empty is '', a text was expected"),
        (lambda s: s.text("none"), "'none' is missing"),
        (lambda s: s.texts("text"), "text is 'x', a list of texts was expected"),
        (lambda s: s.texts("twice"), "twice names 'x' twice"),
        (lambda s: s.whole("zero"), "zero is 0, a whole number from 1 to 1,000,000 was expected"),
        (lambda s: s.whole("yes"), "yes is True, a whole number from 1"),
        (lambda s: s.text("half"), r"half holds half a letter \('.ud800'\): write the whole one"),
        (lambda s: s.texts("halves"), r"halves holds half a letter \('.udfff'\)"),
        (lambda s: s.section("halved"), "halved holds half a letter"),
        (lambda s: s.flag("number"), "number is 7, true or false was expected"),
        (lambda s: s.section("text"), "text is 'x', names with what each stands for was expected"),
        (lambda s: s.section("numbered"), "numbered has the name 1, a text was expected"),
        (lambda s: s.expect("number", "tex"), "unknown key 'text'; did you mean 'tex'"),
    ],
)
def test_another_type_is_refused_with_file_and_place(tmp_path, take, message):
    found = read(
        tmp_path,
        "text: x\nnumber: 7\nempty: ''\ntwice: [x, x]\nzero: 0\n'yes': true\nnumbered: {1: a}\n"
        'half: "a\\ud800"\nhalves: [a, "\\udfff"]\nhalved: {"\\ud800": a}\n',
    )
    with pytest.raises(Refusal, match=f"x.yaml: {message}"):
        take(found)
