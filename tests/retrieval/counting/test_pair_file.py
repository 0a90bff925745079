import itertools
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Concept, Vocabulary, build_vocabulary, nested_pairs
from oddpair.retrieval.counting.pair_file import load_pairs

VOCABULARY = build_vocabulary(["cat", "tree", "pine tree", "Sea_Lion", "dog"])


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(path, vocabulary=VOCABULARY):
    return load_pairs(path, vocabulary).tolist()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.txt", "# a comment\ncat\tdog\n\n sea lions , CAT \n  # another\ndog,cat\n"),
        ("pairs", "\ufeffDogs\tcat's\r\nsea-lion\tcat\r\n"),
        ("pairs.csv", 'score,b,a\n1,cat,"dog"\n\n,,\n2,"sea lion",cats\n'),
        ("pairs.tsv", "a\tb\ncat\tdog\nSEA_LION\tcat\n"),
    ],
)
def test_pairs_are_read_in_any_spelling_form_and_order_each_once(tmp_path, name, text):
    assert load(write(tmp_path, name, text)) == [[0, 3], [0, 4]]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_pairs_are_read_from_the_text_columns_of_a_parquet_file(tmp_path, kind):
    columns = {
        "b": pa.array(["cats", "dog"]).cast(kind),
        "count": [1, 2],
        "a": pa.array(["dog", "tree"]).cast(kind),
    }
    pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
    found = load_pairs(tmp_path / "pairs.parquet", VOCABULARY)
    assert found.tolist() == [[0, 4], [1, 4]]
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("p.txt", "cat,dog\ncat,dgo\n", r"p\.txt line 2: concept 'dgo' is not among the 5 counted; did you mean 'dog'\?"),
        ("p.txt", "cat,zebra\n", r"p\.txt line 1: concept 'zebra' is not among the 5 counted: give one of"),
        ("p.txt", "cat,!!\n", r"p\.txt line 1: concept '!!' is not among the 5 counted: give one of"),
        ("p.txt", "cat,Cats\n", r"p\.txt line 1: 'cat' is paired with itself: give two"),
        ("p.txt", "cat dog\n", r"p\.txt line 1 is 'cat dog', needed two concepts"),
        ("p.txt", "cat,dog,tree\n", r"p\.txt line 1 is 'cat,dog,tree', needed two concepts"),
        ("p.txt", "cat\t\n", r"p\.txt line 1 is 'cat', needed two concepts"),
        pytest.param("p.txt", "\x1b[2Jcat", r"p\.txt line 1 is '\\x1b\[2Jcat', needed", id="34-ansi"),
        pytest.param("p.txt", "x" * 1_000_000 + ",cat", r"line 1: concept 'x{60}…' is not among", id="32-line-of-1-mb"),
        ("p.txt", "# nothing\n", r"p\.txt holds no pair: write two"),
        ("p.csv", "", r"p\.csv holds no pair"),
        ("p.csv", "a,b\n", r"p\.csv holds no pair"),
        ("p.csv", "cat,dog\n", r"p\.csv line 1: the header is 'cat,dog', needed one column a and one column b"),
        ("p.csv", "a,b,a\n", r"p\.csv line 1: the header is 'a,b,a', needed one column a"),
        ("p.csv", "a,b\ncat,dog\ncat\n", r"p\.csv line 3: a concept is missing"),
        ("p.csv", "a,b\n'cat',dgo\n", r"p\.csv line 2: concept 'dgo' .*did you mean 'dog'"),
        ("p.csv", 'a,b\n"cat"s,dog\n', r"p\.csv line 2 is no table .*: mend its quotes"),
        pytest.param("p.txt", b"cat,dog\n\xff", r"p\.txt is not UTF-8 at byte 8: save it", id="31-not-utf-8"),
    ],
)  # fmt: skip
def test_a_file_of_no_pairs_is_refused_by_file_line_and_remedy(tmp_path, name, text, line):
    with pytest.raises(Refusal, match=line) as caught:
        load(write(tmp_path, name, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"none\.txt cannot be read \(No such file or directory\): give a file"):
        load(tmp_path / "none.txt")
    with pytest.raises(Refusal, match=r"none\.parquet does not exist"):
        load(tmp_path / "none.parquet")


@pytest.mark.parametrize(
    ("a", "line"),
    [
        (
            pa.array([3, 4]),
            "has int64 in column 'a', needed names of concepts: numbers mean a concept in one",
        ),
        (pa.array([["cat"], ["dog"]]), "has list<element: string> in column 'a', needed names"),
        (pa.array(["cat", None]), "row 1: a concept is missing"),
        (pa.array(["cat", "dgo"]), "row 1: concept 'dgo' is not among"),
    ],
)
def test_a_parquet_file_of_no_pairs_is_refused_by_column_or_row(tmp_path, a, line):
    pq.write_table(pa.table({"a": a, "b": ["dog", "tree"]}), tmp_path / "p.parquet")
    with pytest.raises(Refusal, match=rf"p\.parquet {re.escape(line)}"):
        load(tmp_path / "p.parquet")
    pq.write_table(pa.table({"a": ["cat"]}), tmp_path / "p.parquet")
    with pytest.raises(Refusal, match="has no column 'b'"):
        load(tmp_path / "p.parquet")


def test_a_nested_pair_is_refused_with_the_forms_that_nest(tmp_path):
    line = r"line 2: 'pine tree' and 'tree' are nested and no pair, because 'pine tree' of 'pine tree' holds 'tree' of"
    with pytest.raises(Refusal, match=line):
        load(write(tmp_path, "p.txt", "cat,dog\nTrees,pine trees\n"))
    shared = concepts(("sofa", "couch"), ("couch",))
    with pytest.raises(Refusal, match=r"because 'couch' of 'sofa' is also 'couch' of 'couch'"):
        load(write(tmp_path, "p.txt", "sofa,couch"), shared)


def concepts(*forms):
    return Vocabulary(concepts=tuple(Concept(name=form[0], forms=form) for form in forms))


def test_a_form_of_several_concepts_is_refused_by_file_and_line(tmp_path):
    vocabulary = concepts(("axe", "axes"), ("axis", "axes"), ("dog", "cat"), ("cat", "cats"))
    assert load(write(tmp_path, "p.txt", "axe,cat"), vocabulary) == [[0, 3]]
    with pytest.raises(Refusal, match=r"p\.txt line 1: 'Axes' is ambiguous, a form of 'axe', 'axis'"):
        load(write(tmp_path, "p.txt", "Axes,cat"), vocabulary)


words = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=3).map(" ".join)


@configure(max_examples=60, deadline=None)
@given(st.lists(st.lists(words, min_size=1, max_size=3, unique=True).map(tuple), min_size=2, max_size=5,
                unique_by=lambda forms: forms[0]))  # fmt: skip
def test_exactly_the_nested_pairs_of_a_vocabulary_are_refused(tmp_path_factory, forms):
    vocabulary = concepts(*forms)
    path = tmp_path_factory.mktemp("pairs") / "p.txt"
    refused = {}
    for first, second in itertools.combinations(range(len(forms)), 2):
        path.write_text(f"{vocabulary.names[second]}\t{vocabulary.names[first]}\n")
        try:
            found = load(path, vocabulary)
        except Refusal as refusal:
            found = str(refusal)
        if found != [[first, second]]:
            refused[first, second] = found
    assert all("are nested and no pair" in line for line in refused.values())
    assert refused.keys() == nested_pairs(vocabulary)
