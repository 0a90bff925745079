import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.auditing.card import FORMAT_VERSION, compare_cards, hash_table, read_card

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_equal_cards_have_no_difference_and_each_other_entry_is_named():
    card = {"a": {"b": [1, 2.5], "c": "x"}, "d": None}
    assert list(compare_cards(card, card)) == []
    other = {"a": {"b": [1, 2.5, 3], "c": "y"}}
    assert list(compare_cards(card, other)) == [
        "a.c: 'x' in the card, 'y' found",
        "d: None in the card, nothing found",
        "a.b.2: nothing in the card, 3 found",
    ]


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=2), plain),
    st.dictionaries(st.text("ab", min_size=1, max_size=2), plain),
)
@settings(max_examples=60, deadline=None)
def test_two_cards_differ_if_and_only_if_a_difference_is_told(one, other):
    # True is 1 to Python, and JSON tells them apart nowhere that a card uses either.
    assert bool(list(compare_cards(one, other))) == (one != other)


def test_a_card_of_another_version_or_none_is_refused(tmp_path):
    with pytest.raises(Refusal, match="does not exist"):
        read_card(tmp_path)
    files.write_json(tmp_path / "audit.json", {"format_version": FORMAT_VERSION + 1})
    with pytest.raises(
        Refusal, match=rf"format version {FORMAT_VERSION + 1}, this oddpair reads {FORMAT_VERSION}"
    ):
        read_card(tmp_path)
    files.write_json(tmp_path / "audit.json", [1])
    with pytest.raises(Refusal, match="format version 'list'"):
        read_card(tmp_path)


def test_the_hash_of_a_table_is_of_what_it_holds(tmp_path):
    table = pa.table(
        {
            "uid": pa.array(["a", "b", "c"], pa.large_string()),
            "score": pa.array([0.5, math.pi, None], pa.float32()),
            "names": pa.array([["x", "y"], [], None], pa.list_(pa.string())),
        }
    )
    files.write_table(tmp_path / "table.parquet", table)
    again = files.read_table(tmp_path / "table.parquet")
    assert (
        hash_table(again)
        == hash_table(table)
        == hash_table(pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    )
    others = [
        table.set_column(0, "uid", pa.array(["a", "b", "d"])),
        table.set_column(0, "id", table["uid"]),
        table.set_column(1, "score", pa.array([0.5, math.pi, 0.0], pa.float32())),
        table.set_column(2, "names", pa.array([["x y"], [], None], pa.list_(pa.string()))),
        table.set_column(2, "names", pa.array([["x", "y"], None, []], pa.list_(pa.string()))),
        table.slice(0, 2),
    ]
    assert len({hash_table(other) for other in [table, *others]}) == len(others) + 1
