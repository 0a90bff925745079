from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.errors import Refusal
from oddpair.files import read_table, write_table
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.pairs.unseen_pairs import PairTable, candidates, check

NAMES = ("zebra", "apple", "dog", "car", "kite")  # not sorted: ids and names disagree


def make_counts(captions: NDArray[np.bool_], tags: NDArray[np.bool_] | None = None) -> Counts:
    vocabulary = build_vocabulary(NAMES)
    assert vocabulary.names == NAMES
    return count(csr_array(captions), None if tags is None else csr_array(tags), vocabulary=vocabulary)


def status_of(table: PairTable) -> dict[tuple[str, str], str]:
    return {
        (a, b): status for a, b, status in zip(table.a.tolist(), table.b.tolist(), table.status, strict=True)
    }


def same(one: PairTable, two: PairTable) -> bool:
    return all(
        np.array_equal(
            getattr(one, column.name),
            getattr(two, column.name),
            equal_nan=column.name == "nearest_similarity",
        )
        for column in fields(one)
    )


def slow_status(
    captions: NDArray[np.bool_],
    image: NDArray[np.bool_] | None,
    pair: tuple[int, int],
    queries: Sequence[tuple[int, int]],
    neighbours: NDArray[np.int64],
    tags: NDArray[np.bool_] | None,
) -> tuple[str, str]:
    """What the table must say of one pair, by looking at every caption and every neighbour."""
    a, b = pair
    if any(row[a] and row[b] for row in captions):
        return "seen", ""
    near = [
        tags is not None and bool(tags[row][a] and tags[row][b])
        for query, rows in zip(queries, neighbours, strict=True)
        if set(query) == {a, b}
        for row in rows
        if tags is not None
    ]
    tagged = image is not None and any(row[a] and row[b] for row in image)
    if any(near) or tagged:
        return "text-unseen", "both" if any(near) and tagged else "search" if any(near) else "tags"
    return ("unseen", "") if near else ("unchecked", "")


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(5, 30),
    density=st.floats(0.15, 0.5),
    n_queries=st.integers(0, 12),
    k=st.integers(1, 4),
    tagged=st.booleans(),
    known=st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_every_status_is_what_looking_at_every_caption_and_neighbour_says(
    seed, n, density, n_queries, k, tagged, known
):
    rng = np.random.default_rng(seed)
    captions = rng.random((n, 5)) < density
    captions[:5] |= np.eye(5, dtype=bool)  # every concept occurs
    image = rng.random((n, 5)) < 0.1 if tagged else None
    tags = rng.random((n, 5)) < density if known else None
    queries = [tuple(rng.permutation(5)[:2].tolist()) for _ in range(n_queries)]
    rows = rng.integers(0, n, (n_queries, k))
    scores = rng.random((n_queries, k)).astype(np.float32)
    table = candidates(make_counts(captions, image), set())
    found = check(
        table,
        query_pair=np.array(queries, dtype=np.int64).reshape(-1, 2),
        scores=scores,
        rows=rows,
        tags=None if tags is None else csr_array(tags),
        names=NAMES,
    )
    assert len(found) == 10
    for a, b in combinations(range(5), 2):
        names = (min(NAMES[a], NAMES[b]), max(NAMES[a], NAMES[b]))
        row = list(zip(found.a.tolist(), found.b.tolist(), strict=True)).index(names)
        expected = slow_status(captions, image, (a, b), queries, rows, tags)
        assert (found.status[row], found.demoted_by[row]) == expected
        mine = [i for i, query in enumerate(queries) if set(query) == {a, b}]
        assert found.neighbours_checked[row] == (len(mine) * k if known else 0)
        nearest = max((scores[i].max() for i in mine), default=np.float32(np.nan))
        assert np.array_equal(found.nearest_similarity[row], nearest, equal_nan=True)
        assert found.count_text[row] == (captions[:, a] & captions[:, b]).sum()
        assert found.count_image[row] == (-1 if image is None else (image[:, a] & image[:, b]).sum())
        assert found.expected[row] == pytest.approx(captions[:, a].sum() * captions[:, b].sum() / n)
    # What cannot be left out: the search changes the table, and only the search makes a pair unseen.
    assert "unseen" not in table.status
    if known and "unchecked" in {table.status[row] for row in np.flatnonzero(found.neighbours_checked)}:
        assert not same(table, found)


@given(seed=st.integers(0, 10**6), cut=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_checks_add_up_in_any_batches(seed, cut):
    rng = np.random.default_rng(seed)
    captions = (rng.random((12, 5)) < 0.2) | np.eye(12, 5, dtype=bool)
    tags = csr_array(rng.random((12, 5)) < 0.5)
    queries = np.array([rng.permutation(5)[:2] for _ in range(12)])
    rows, scores = rng.integers(0, 12, (12, 2)), rng.random((12, 2)).astype(np.float32)
    start = candidates(make_counts(captions), set())
    whole = check(start, query_pair=queries, scores=scores, rows=rows, tags=tags, names=NAMES)
    table = start
    for part in (slice(cut, None), slice(None, cut)):
        table = check(
            table, query_pair=queries[part], scores=scores[part], rows=rows[part], tags=tags, names=NAMES
        )
    assert same(table, whole)


def test_a_neighbour_with_both_concepts_demotes_the_pair_and_one_with_either_does_not():
    table = candidates(make_counts(np.eye(5, dtype=bool)), set())
    tags = csr_array(np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]], dtype=bool))
    found = check(
        table,
        query_pair=[["zebra", "apple"], ["dog", "car"]],
        scores=np.array([[0.9, 0.8], [0.7, 0.6]], dtype=np.float32),
        rows=np.array([[2, 0], [1, 2]]),
        tags=tags,
        names=NAMES,
    )
    statuses = status_of(found)
    assert statuses["apple", "zebra"] == "text-unseen"
    assert statuses["car", "dog"] == "unseen"
    assert statuses["kite", "zebra"] == "unchecked"
    assert found.neighbour_hits.sum() == 1
    chosen = found.select(found.status == "unseen")
    assert (chosen.a.tolist(), chosen.b.tolist(), chosen.nearest_similarity.tolist()) == (
        ["car"],
        ["dog"],
        [pytest.approx(0.7)],
    )


def test_tags_of_the_corpus_demote_a_pair_without_a_search():
    image = np.zeros((5, 5), dtype=bool)
    image[3, [0, 1]] = True
    table = candidates(make_counts(np.eye(5, dtype=bool), image), set())
    found = check(
        table,
        query_pair=np.empty((0, 2), dtype=np.int64),
        scores=np.empty((0, 3), dtype=np.float32),
        rows=np.empty((0, 3), dtype=np.int64),
        tags=csr_array(image),
        names=NAMES,
    )
    statuses = status_of(found)
    assert statuses.pop(("apple", "zebra")) == "text-unseen"
    assert set(statuses.values()) == {"unchecked"}
    assert found.demoted_by.tolist().count("tags") == 1


def test_neighbours_that_nobody_has_looked_at_prove_nothing():
    table = candidates(make_counts(np.eye(5, dtype=bool)), set())
    found = check(
        table,
        query_pair=[["dog", "car"]],
        scores=np.array([[0.7]], dtype=np.float32),
        rows=np.array([[1]]),
        tags=None,
        names=NAMES,
    )
    assert set(found.status) == {"unchecked"}
    assert np.nanmax(found.nearest_similarity) == pytest.approx(0.7)


def test_nested_and_rare_concepts_are_no_candidates():
    vocabulary = build_vocabulary(["tree", "cat", "pine tree", "dog"])
    captions = ["a pine tree", "a tree", "a cat", "two cats", "a dog and a cat", "a dog", "a tree"]
    counts = count(find_mentions(vocabulary, captions), vocabulary=vocabulary)
    nested = nested_pairs(vocabulary)
    table = candidates(counts, nested)
    assert list(zip(table.a.tolist(), table.b.tolist(), table.status.tolist(), strict=True)) == [
        ("cat", "dog", "seen"),
        ("cat", "pine tree", "unchecked"),
        ("cat", "tree", "unchecked"),
        ("dog", "pine tree", "unchecked"),
        ("dog", "tree", "unchecked"),
    ]
    twice = candidates(counts, nested, minimum_count=2)
    assert set(zip(twice.a.tolist(), twice.b.tolist(), strict=True)) == {
        ("cat", "dog"),
        ("cat", "tree"),
        ("dog", "tree"),
    }
    assert (twice.count_a.min(), twice.count_b.min()) >= (2, 2)


def test_adding_captions_only_removes_unseen_candidates_and_leaving_some_out_only_adds():
    rng = np.random.default_rng(0)
    captions = np.vstack([np.eye(5, dtype=bool), rng.random((40, 5)) < 0.2])
    previous: set[tuple[str, str]] | None = None
    for n in (5, 10, 20, 45):
        silent = {
            pair
            for pair, status in status_of(candidates(make_counts(captions[:n]), set())).items()
            if status != "seen"
        }
        assert previous is None or silent <= previous
        previous = silent


def test_a_table_comes_back_from_parquet_as_it_was(tmp_path):
    table = candidates(make_counts(np.eye(5, dtype=bool)), set())
    table = check(
        table,
        query_pair=[["dog", "car"]],
        scores=np.array([[0.7]], dtype=np.float32),
        rows=np.array([[1]]),
        tags=csr_array(np.eye(5, dtype=bool)),
        names=NAMES,
    )
    write_table(tmp_path / "pairs.parquet", table.to_table())
    assert same(PairTable.from_table(read_table(tmp_path / "pairs.parquet")), table)
    empty = table.select(np.zeros(len(table), dtype=bool))
    assert len(PairTable.from_table(empty.to_table())) == 0


def test_a_table_with_a_wrong_column_is_refused():
    table = candidates(make_counts(np.eye(5, dtype=bool)), set()).to_table()
    with pytest.raises(Refusal, match="column 'status' is no such column, needed string"):
        PairTable.from_table(table.drop_columns("status"))
    with pytest.raises(Refusal, match="column 'count_a' is double, needed int64"):
        PairTable.from_table(table.set_column(2, "count_a", pa.array([1.0] * 10)))
    with pytest.raises(Refusal, match="column 'b' has 10 nulls"):
        PairTable.from_table(table.set_column(1, "b", pa.nulls(10, pa.string())))
    with pytest.raises(Refusal, match="status 'never' is none of"):
        PairTable.from_table(table.set_column(7, "status", pa.array(["never"] * 10)))


def test_a_corpus_without_two_concepts_has_no_pair():
    with pytest.raises(Refusal, match="1 of 5 concepts occur in at least 1 captions, a pair needs two"):
        candidates(make_counts(np.eye(1, 5, dtype=bool)), set())
    with pytest.raises(Refusal, match="every pair of concepts that occur is nested"):
        candidates(make_counts(np.eye(2, 5, dtype=bool)), {(0, 1)})
    with pytest.raises(ValueError, match="minimum_count is 0"):
        candidates(make_counts(np.eye(5, dtype=bool)), set(), minimum_count=0)


def test_a_list_that_would_not_fit_in_memory_is_refused_with_the_minimum_that_would(monkeypatch):
    with pytest.raises(Refusal, match="another vocabulary or lower minimum_count in the recipe"):
        candidates(make_counts(np.eye(5, dtype=bool)), set(), minimum_count=9)
    # Concepts occur 1, 2, 3, 3 and 4 times, and a name has 5 letters at most.
    counts = make_counts(np.arange(1, 5)[:, None] >= [4, 3, 2, 2, 1])
    for most, remedy in [
        (9, "raise minimum_count in the recipe to 2 or use a smaller vocabulary"),
        (5, "raise minimum_count in the recipe to 3 or use a smaller vocabulary"),
        (2, "use a smaller vocabulary"),
    ]:
        monkeypatch.setattr("oddpair.splits.pairs.unseen_pairs.MOST_BYTES", most * (300 + 5 * 14) + 369)
        line = f"list 10 pairs, needed at most {most} to hold them in memory: {remedy}$"
        with pytest.raises(Refusal, match=line):
            candidates(counts, set())
    monkeypatch.setattr("oddpair.splits.pairs.unseen_pairs.MOST_BYTES", 10 * (300 + 5 * 14))
    assert len(candidates(counts, set())) == 10


def test_ten_thousand_concepts_have_too_many_pairs_for_two_gigabytes():
    n, none = 10_000, np.zeros(0, np.int64)
    counts = Counts(
        names=tuple(f"concept {i}" for i in range(n)),
        vocabulary_sha256="0" * 64,
        n_captions=10**6,
        text=np.arange(1, n + 1),
        image=None,
        joint=None,
        a=none,
        b=none,
        pair_text=none,
        pair_image=None,
        pair_joint=None,
    )
    with pytest.raises(Refusal, match=r"too many to list 49,995,000 pairs, .* raise minimum_count") as caught:
        candidates(counts, set())
    enough = int(str(caught.value).split("recipe to ")[1].split(" ")[0].replace(",", ""))
    assert 2_000 < n - enough < 4_000


def test_pairs_are_found_in_the_sorted_table_whatever_their_order_and_length():
    table = candidates(make_counts(np.eye(5, dtype=bool)), set())
    table = table.select(table.a != "car")
    names = (*NAMES, "a name longer than any in the table")
    shown = [(a, b) for a in range(6) for b in range(6) if a != b]
    found = check(
        table,
        query_pair=shown,
        scores=np.arange(len(shown), dtype=np.float32)[:, None],
        rows=np.zeros((len(shown), 1), dtype=np.int64),
        tags=None,
        names=names,
    )
    expected = [
        max(i for i, pair in enumerate(shown) if {names[pair[0]], names[pair[1]]} == {a, b})
        for a, b in zip(table.a.tolist(), table.b.tolist(), strict=True)
    ]
    assert found.nearest_similarity.tolist() == expected


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"query_pair": [["dog", "cow"]]}, "test images show 'cow', which is not among the 5 names"),
        ({"query_pair": [["dog", "dog"]]}, "test image 0 shows 'dog' twice"),
        ({"query_pair": [[0, 5]]}, "query_pair goes from 0 to 5, 5 names were given"),
        ({"query_pair": ["dog"]}, r"query_pair has shape \(1,\)"),
        ({"rows": np.array([[5]])}, "neighbour rows go from 5 to 5, tags have 5 rows"),
        ({"rows": np.array([[-1]])}, "neighbour rows go from -1 to -1"),
        ({"rows": np.array([[1, 2]])}, r"1 test images, scores of shape \(1, 1\), rows of shape \(1, 2\)"),
        ({"names": NAMES[:4]}, "tags have 5 columns, 4 names"),
    ],
)
def test_neighbours_must_fit(changed, said):
    table = candidates(make_counts(np.eye(5, dtype=bool)), set())
    options = {
        "query_pair": [["dog", "car"]],
        "scores": np.array([[0.7]], dtype=np.float32),
        "rows": np.array([[1]]),
        "tags": csr_array(np.eye(5, dtype=bool)),
        "names": NAMES,
    }
    with pytest.raises(ValueError, match=said):
        check(table, **(options | changed))


def test_columns_of_two_lengths_are_no_table():
    table = candidates(make_counts(np.eye(5, dtype=bool)), set())
    with pytest.raises(ValueError, match="columns differ in length"):
        replace(table, b=table.b[:9])


def only_among(counts: Counts, members: Sequence[int], listed: Collection[tuple[int, int]] = ()) -> Counts:
    """The same counts, as if pairs had been counted among some concepts and where they were asked for."""
    kept = np.array(
        [
            {a, b} <= set(members) or (a, b) in listed
            for a, b in zip(counts.a.tolist(), counts.b.tolist(), strict=True)
        ],
        dtype=bool,
    )
    columns = ("a", "b", "pair_text", "pair_image", "pair_joint")
    parts: dict[str, Any] = {
        name: None if getattr(counts, name) is None else getattr(counts, name)[kept] for name in columns
    }
    return replace(counts, **parts, members=np.array(sorted(members), np.int64))


@given(
    seed=st.integers(0, 10**6),
    members=st.sets(st.integers(0, 4)),
    asked=st.sets(st.sampled_from(list(combinations(range(5), 2)))),
    nested=st.sets(st.sampled_from(list(combinations(range(5), 2))), max_size=3),
    minimum=st.integers(1, 3),
    tagged=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_pairs_that_were_not_counted_are_left_out_and_numbered(seed, members, asked, nested, minimum, tagged):
    rng = np.random.default_rng(seed)
    captions = rng.random((12, 5)) < 0.4
    whole = make_counts(captions, rng.random((12, 5)) < 0.4 if tagged else None)
    asked = {pair for pair in asked - nested if pair in set(zip(whole.a, whole.b, strict=True))}
    frequent = np.flatnonzero(whole.text >= minimum).tolist()
    wanted = {pair for pair in combinations(frequent, 2) if pair not in nested}
    known = {(a, b) for a, b in wanted if {a, b} <= members or (a, b) in asked}
    limited = only_among(whole, members, asked)
    if not known:
        with pytest.raises(
            Refusal, match=r"a pair needs two|is nested|pairs was counted: count again with a larger"
        ):
            candidates(limited, nested, minimum_count=minimum)
        return
    table = candidates(limited, nested, minimum_count=minimum)
    everything = candidates(whole, nested, minimum_count=minimum)
    names = {tuple(sorted((NAMES[a], NAMES[b]))) for a, b in known}
    kept = np.array([pair in names for pair in zip(everything.a, everything.b, strict=True)])
    assert same(table, replace(everything.select(kept), not_counted=len(wanted) - len(known)))
    assert everything.not_counted == 0


def test_where_no_pair_was_counted_none_is_called_unseen():
    counts = only_among(make_counts(np.eye(5, dtype=bool)), [1])
    with pytest.raises(
        Refusal, match="none of their 10 pairs was counted: count again with a larger --pair-con"
    ):
        candidates(counts, set())


def test_the_number_of_pairs_that_were_not_counted_comes_back_from_parquet(tmp_path):
    table = candidates(only_among(make_counts(np.eye(5, dtype=bool)), [0, 1, 2]), set())
    write_table(tmp_path / "pairs.parquet", table.to_table())
    assert PairTable.from_table(read_table(tmp_path / "pairs.parquet")).not_counted == 7
    damaged = table.to_table().replace_schema_metadata({"not_counted": "many"})
    with pytest.raises(Refusal, match="not_counted is b'many', needed a number"):
        PairTable.from_table(damaged)
