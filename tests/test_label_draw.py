"""Rows are drawn by the hash of their uid, once, and everybody goes through them in an order of his own."""

import hashlib
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.commands import label_draw
from oddpair.commands.label_draw import Draw, Plan, draw_rows, extend_plan, read_plan
from oddpair.commands.label_session import order_queue
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus

ROWS = 200


@pytest.fixture(scope="module")
def corpora(tmp_path_factory, write_folder):
    """The same 200 rows in two orders; every tenth is a sketch, and row 7 has no style."""
    order = list(range(ROWS))
    found = []
    for name in ("forth", "back"):
        folder = write_folder(
            tmp_path_factory.mktemp("corpora") / name,
            {f"{row}.png": b"" for row in order},
            [f"caption {row} " + "long " * 200 for row in order],
            uid=[f"u{row}" for row in order],
            style=["" if row == 7 else "photo" if row % 10 else "sketch" for row in order],
        )
        found.append(open_corpus(folder))
        order.reverse()
    return found


def hashed(row, seed=0):
    digest = hashlib.blake2b(f"u{row}".encode(), key=str(seed).encode(), digest_size=8).digest()
    return int.from_bytes(digest)


@pytest.mark.parametrize("sample", [1, 20, 199, 200, 1000])
@pytest.mark.parametrize("seed", [0, 3])
def test_the_rows_of_lowest_hash_are_drawn_in_its_order_whatever_that_of_the_corpus(corpora, sample, seed):
    slow = sorted(range(ROWS), key=lambda row: hashed(row, seed))[:sample]
    for corpus in corpora:
        table, bad = draw_rows(corpus, Draw(sample=sample, seed=seed))
        assert table["uid"].to_pylist() == [f"u{row}" for row in slow]
        assert table["caption"].to_pylist() == [f"caption {row} {'long ' * 200}"[:500] for row in slow]
        assert bad == []


def test_a_sample_taken_while_reading_is_that_of_all_rows(corpora, monkeypatch):
    whole, _ = draw_rows(corpora[0], Draw(sample=5))
    monkeypatch.setattr(label_draw, "_AT_ONCE", 10)
    table = next(corpora[0].scan(corpora[0].shards[0])).table
    lowest = label_draw._Lowest(0, 5)
    for row in range(ROWS):
        lowest.add(table.slice(row, 1).select(["uid", "shard", "caption"]))
    assert lowest.take()["uid"].to_pylist() == whole["uid"].to_pylist()


def test_a_uid_that_the_corpus_holds_twice_is_drawn_once(write_folder, tmp_path):
    names = {f"{row}.png": b"" for row in range(6)}
    corpus = open_corpus(write_folder(tmp_path / "c", names, ["x"] * 6, uid=["a", "b", "a", "c", "b", "a"]))
    table, _ = draw_rows(corpus, Draw(sample=3))
    assert sorted(table["uid"].to_pylist()) == ["a", "b", "c"]


def test_a_draw_by_class_holds_as_many_of_each_group_and_no_row_without_one(corpora):
    draw = Draw(queue="by-class", sample=40, groups="column style")
    one, other = (draw_rows(corpus, draw, groups="style")[0] for corpus in corpora)
    assert one["uid"].to_pylist() == other["uid"].to_pylist()
    sketches = [int(uid[1:]) % 10 == 0 for uid in one["uid"].to_pylist()]
    assert sum(sketches) == len(sketches) - sum(sketches) == 20
    table, _ = draw_rows(corpora[0], draw, groups={"u1": "x", "u2": "x", "u3": "y"})
    assert sorted(table["uid"].to_pylist()) == ["u1", "u2", "u3"]


def test_a_page_of_a_draw_by_class_is_of_one_group(corpora):
    draw = Draw(queue="by-class", sample=100, groups="x")
    names = {f"u{row}": "even" if row % 2 == 0 else "odd" for row in range(ROWS)}
    table, _ = draw_rows(corpora[0], draw, groups=names)
    groups = [names[uid] for uid in table["uid"].to_pylist()]
    assert groups == (["even"] * 25 + ["odd"] * 25) * 2


def test_too_many_groups_and_no_group_are_refused(corpora):
    draw = Draw(queue="by-class", sample=40, groups="x")
    with pytest.raises(Refusal, match="more than 50 groups"):
        draw_rows(corpora[0], draw, groups="caption")
    with pytest.raises(Refusal, match="has no row of a group that is not drawn yet"):
        draw_rows(corpora[0], draw, groups={"nobody": "x"})
    with pytest.raises(Refusal, match="has no column 'nothing'"):
        draw_rows(corpora[0], draw, groups="nothing")


def test_a_larger_sample_adds_rows_behind_those_drawn_before(corpora, tmp_path):
    small = extend_plan(tmp_path, corpora[0], None, Draw(sample=30, overlap=10, recheck=2), ("x", "y"))
    large = extend_plan(tmp_path, corpora[0], small, Draw(sample=50, overlap=10, recheck=2), ("x", "y"))
    assert large.rows.slice(0, 30) == small.rows
    assert large.rows.num_rows == 50
    assert sum(large.rows["shared"].to_pylist()) == 10
    assert sum(large.rows["again"].to_pylist()) == 2
    assert set(large.rows["drawn"].to_pylist()) == {"random"}
    assert read_plan(tmp_path, corpora[0]) == large
    wider = extend_plan(tmp_path, corpora[0], large, Draw(sample=50, overlap=20, recheck=4), ("x", "y"))
    assert wider.rows["shared"].to_pylist() == [row < 20 for row in range(50)]
    assert wider.rows["again"].to_pylist() == [row < 4 for row in range(50)]


def test_a_draw_by_class_adds_rows_that_are_marked_and_a_random_one_may_not_follow(corpora, tmp_path):
    plan = extend_plan(tmp_path, corpora[0], None, Draw(sample=30), ("x", "y"))
    by_class = Draw(queue="by-class", sample=20, groups="column style")
    plan = extend_plan(tmp_path, corpora[0], plan, by_class, ("x", "y"), groups="style")
    assert Counter(plan.rows["drawn"].to_pylist()) == {"random": 30, "enriched": 20}
    assert len(set(plan.rows["uid"].to_pylist())) == 50
    with pytest.raises(Refusal, match="random ones must come first"):
        extend_plan(tmp_path, corpora[0], plan, Draw(sample=60), ("x", "y"))
    assert read_plan(tmp_path, corpora[0]) == plan


def test_rows_of_a_list_are_no_random_draw(corpora, tmp_path):
    pool = pa.array(["u3", "u5", "u7"], pa.large_string())
    plan = extend_plan(tmp_path, corpora[0], None, Draw(sample=3, uids="some hash"), ("x", "y"), pool=pool)
    assert sorted(plan.rows["uid"].to_pylist()) == ["u3", "u5", "u7"]
    assert set(plan.rows["drawn"].to_pylist()) == {"given"}


def test_a_plan_of_another_corpus_is_refused(corpora, drawn, tmp_path):
    extend_plan(tmp_path, corpora[0], None, Draw(sample=3), ("x", "y"))
    with pytest.raises(
        Refusal, match=r"has labels of a corpus of 200 rows in 1 shards \(folder\), .* has 300 rows"
    ):
        read_plan(tmp_path, open_corpus(drawn))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "is no plan of oddpair label"),
        ('{"format_version": 9}', "has format version 9, this oddpair reads 1"),
        ('{"format_version": 1, "draws": [{"x": 1}], "classes": [], "corpus": ""}', "is no plan"),
        ("[]", "is no plan"),
    ],
)
def test_a_damaged_plan_is_refused(tmp_path, text, told):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(Refusal, match=told):
        read_plan(tmp_path)


def make_plan(shared, again, ways):
    rows = pa.table(
        {
            "uid": [f"u{row}" for row in range(len(shared))],
            "shared": shared,
            "again": again,
            "drawn": pa.array(ways, pa.string()),
        }
    )
    return Plan(classes=("x", "y"), draws=(), rows=rows)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=120),
    st.sampled_from(["ann", "bob"]),
)
def test_everybody_sees_each_row_once_and_some_again_after_their_first_look(flags, annotator):
    shared, again = ([pair[number] for pair in flags] for number in (0, 1))
    ways = ["random"] * (len(flags) // 2) + ["enriched"] * (len(flags) - len(flags) // 2)
    queue = order_queue(make_plan(shared, again, ways), annotator)
    first = [entry.row for entry in queue if entry.kind == "first"]
    assert sorted(first) == list(range(len(flags)))
    assert first[: sum(shared)] == [row for row, everybody in enumerate(shared) if everybody]
    assert sorted(entry.row for entry in queue if entry.kind == "again") == [
        row for row, twice in enumerate(again) if twice
    ]
    place = {entry: number for number, entry in enumerate(queue)}
    assert all(place[entry._replace(kind="first")] < place[entry] for entry in queue if entry.kind == "again")


def test_two_people_go_through_the_rest_in_different_orders_at_random_rows_first():
    plan = make_plan([False] * 500, [False] * 500, ["random"] * 250 + ["enriched"] * 250)
    ann, bob = ([entry.row for entry in order_queue(plan, who)] for who in ("ann", "bob"))
    assert ann != bob
    assert sorted(ann[:250]) == sorted(bob[:250]) == list(range(250))
    assert ann[:25] == list(range(ann[0], ann[0] + 25))
