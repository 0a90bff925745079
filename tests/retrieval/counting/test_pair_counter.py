import itertools
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.retrieval.counting import pair_counter
from oddpair.retrieval.counting.pair_counter import PairCounter, nested_keys
from oddpair.retrieval.mentions.incidence import Incidence, from_lists

N = 9
LOOPS = pytest.mark.parametrize("loops", ["compiled", "sparse"], indirect=True)

rows_of_ids = st.lists(st.sets(st.integers(0, N - 1)).map(sorted), max_size=12)
all_pairs = list(itertools.combinations(range(N), 2))
plans = st.builds(
    lambda among, requested, nested: {"among": among, "requested": requested - nested, "nested": nested},
    among=st.none() | st.lists(st.integers(0, N - 1), unique=True),
    requested=st.sets(st.sampled_from(all_pairs), max_size=8),
    nested=st.sets(st.sampled_from(all_pairs), max_size=4),
)


@pytest.fixture(scope="module")
def loops(request):
    """Count by the compiled loops, or as if numba were missing."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "sparse":
            patched.setattr(pair_counter, "load_loops", lambda: None)
        yield


def make_counter(plan, n_concepts=N):
    among = plan["among"]
    return PairCounter(
        n_concepts,
        among=None if among is None else np.array(among, np.int64),
        requested=np.array(sorted(plan["requested"]), np.int64).reshape(-1, 2),
        nested=nested_keys(plan["nested"], n_concepts),
    )


def count_slowly(rows, plan, n_concepts=N):
    """Every pair of every row, one by one."""
    among = set(range(n_concepts) if plan["among"] is None else plan["among"])
    found = Counter(pair for row in rows for pair in itertools.combinations(row, 2))
    listed = [pair for pair in found if among.issuperset(pair) and pair not in plan["nested"]]
    return {pair: found[pair] for pair in sorted({*listed, *plan["requested"]})}


def listed(counter):
    a, b, counts = counter.pairs()
    assert {column.dtype for column in (a, b, counts)} == {np.dtype(np.int64)}
    return dict(zip(zip(a.tolist(), b.tolist(), strict=True), counts.tolist(), strict=True))


@LOOPS
@configure(max_examples=80, deadline=None)
@given(rows=rows_of_ids, plan=plans, cuts=st.lists(st.integers(0, 12), max_size=3))
def test_pairs_are_those_counted_one_by_one_in_whatever_batches(loops, rows, plan, cuts):
    counter = make_counter(plan)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, end in itertools.pairwise(edges):
        counter.add(from_lists(rows[start:end], N))
    expected = count_slowly(rows, plan)
    assert listed(counter) == expected
    assert list(listed(counter)) == list(expected)


@LOOPS
@configure(max_examples=40, deadline=None)
@given(rows=rows_of_ids, plan=plans, random=st.randoms(use_true_random=False), n_parts=st.integers(1, 4))
def test_merged_counters_are_one_counter_in_whatever_order(loops, rows, plan, random, n_parts):
    parts = [make_counter(plan) for _ in range(n_parts)]
    for row in rows:
        # The first rows that a counter sees give it an order of its own.
        random.choice(parts).add(from_lists([row], N))
    random.shuffle(parts)
    for part in parts[1:]:
        parts[0].merge(part)
    assert listed(parts[0]) == count_slowly(rows, plan)


@LOOPS
@configure(max_examples=40, deadline=None)
@given(rows=rows_of_ids, plan=plans, most=st.integers(1, 5), cut=st.integers(0, 12))
def test_a_cell_never_overflows(loops, rows, plan, most, cut):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pair_counter, "_MOST_ROWS", most)
        first, second = make_counter(plan), make_counter(plan)
        first.add(from_lists(rows[:cut], N))
        second.add(from_lists(rows[cut:], N))
        for counter in (first, second):
            assert counter._cells.max(initial=0) <= counter._rows_in_cells <= most
        first.merge(second)
        assert first._cells.max(initial=0) <= first._rows_in_cells <= most
    assert listed(first) == count_slowly(rows, plan)


@LOOPS
def test_a_cell_at_its_most_is_emptied_into_a_wider_one(loops):
    counter = PairCounter(2)
    counter.add(from_lists([[0, 1]], 2))
    counter._cells[:] = counter._rows_in_cells = 2**32 - 1
    counter.add(from_lists([[0, 1]] * 3, 2))
    assert listed(counter) == {(0, 1): 2**32 + 2}
    other = PairCounter(2)
    other.merge(counter)
    other.merge(counter)
    assert listed(other) == {(0, 1): 2**33 + 4}


@LOOPS
def test_rows_of_hundreds_of_concepts_count_all_their_pairs(loops):
    n = 300
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(rng.random(n) < share).tolist() for share in (1.0, 0.5, 0.01, 0.9, 0.0, 0.02)]
    plan = {"among": range(0, n, 2), "requested": {(0, 1), (1, 3), (4, 7)}, "nested": {(0, 2)}}
    counter = make_counter(plan, n)
    counter.add(from_lists(rows, n))
    assert listed(counter) == count_slowly(rows, plan, n)


@LOOPS
def test_many_zipf_rows_equal_the_product_of_the_matrix_with_itself(loops):
    n, rng = 200, np.random.default_rng(1)
    rows = [np.unique(rng.zipf(1.3, 8) % n).tolist() for _ in range(3000)]
    whole = from_lists(rows, n)
    counter = PairCounter(n)
    counter.add(whole)
    matrix = whole.to_csr().astype(np.int64).toarray()
    product = np.triu(matrix.T @ matrix, k=1)
    a, b = np.nonzero(product)
    assert [column.tolist() for column in counter.pairs()] == [a.tolist(), b.tolist(), product[a, b].tolist()]


@configure(max_examples=40, deadline=None)
@given(rows=rows_of_ids, times=st.integers(1, 4))
def test_a_row_that_comes_k_times_counts_k_times(rows, times):
    once, often = PairCounter(N), PairCounter(N)
    once.add(from_lists(rows, N))
    often.add(from_lists([row for row in rows for _ in range(times)], N))
    assert listed(often) == {pair: times * count for pair, count in listed(once).items()}


@configure(max_examples=40, deadline=None)
@given(rows=rows_of_ids, pair=st.sampled_from(all_pairs))
def test_a_pair_stays_within_the_bounds_of_sets(rows, pair):
    counter = make_counter({"among": [], "requested": {pair}, "nested": set()})
    counter.add(from_lists(rows, N))
    first, second = (sum(concept in row for row in rows) for concept in pair)
    assert max(0, first + second - len(rows)) <= listed(counter)[pair] <= min(first, second)


def test_a_counter_that_saw_nothing_lists_only_what_was_asked_for():
    plan = {"among": None, "requested": {(1, 2)}, "nested": set()}
    counter = make_counter(plan)
    counter.merge(make_counter(plan))
    assert listed(counter) == {(1, 2): 0}
    assert listed(PairCounter(1)) == {}


def test_pairs_are_counted_alike_where_numba_is_missing():
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np\n"
        "from oddpair.retrieval.counting.pair_counter import PairCounter, load_loops\n"
        "from oddpair.retrieval.mentions.incidence import from_lists\n"
        "counter = PairCounter(4, among=np.array([0, 1]), requested=np.array([[1, 3]]))\n"
        "counter.add(from_lists([[0, 1, 3], [0, 1]], 4))\n"
        "print(load_loops(), [column.tolist() for column in counter.pairs()])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None [[0, 1], [1, 3], [2, 1]]\n"


def pairs_of(*pairs):
    return np.array(pairs, np.int64)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            {"n_concepts": 40_000},
            "all pairs among 40,000 concepts need 3.0 GiB: count them among 32,768 at most",
        ),
        ({"among": np.array([1, 1])}, "among holds a concept twice"),
        ({"among": np.array([1, 9])}, "among goes from 1 to 9, needed ids 0 to 8"),
        ({"among": np.array([-1])}, "among goes from -1 to -1, needed ids 0 to 8"),
        ({"requested": pairs_of((1, 1))}, "requested pairs need ids 0 <= a < b < 9"),
        ({"requested": pairs_of((1, 9))}, "requested pairs need ids 0 <= a < b < 9"),
        ({"requested": pairs_of((-1, 2))}, "requested pairs need ids 0 <= a < b < 9"),
        ({"requested": pairs_of((1, 2), (0, 1))}, r"not sorted by \(a, b\), or repeat"),
        ({"requested": pairs_of((1, 2), (1, 2))}, r"not sorted by \(a, b\), or repeat"),
        ({"requested": np.array([1, 2])}, r"requested pairs have shape \(2,\), needed \(n, 2\)"),
        ({"requested": pairs_of((1, 2)), "nested": np.array([1 * 9 + 2])}, r"pair \(1, 2\) is nested"),
    ],
)
def test_a_plan_that_makes_no_sense_is_an_error(plan, message):
    with pytest.raises(ValueError, match=message):
        PairCounter(**({"n_concepts": N} | plan))


def test_as_many_concepts_as_fit_are_counted():
    assert listed(PairCounter(32_768)) == {}


@LOOPS
def test_rows_of_another_vocabulary_are_an_error(loops):
    counter = PairCounter(N)
    with pytest.raises(ValueError, match="rows of 3 concepts, 9 are counted"):
        counter.add(from_lists([[0]], 3))
    for wrong in (-1, 9):
        row = Incidence(ends=np.array([0, 1]), concepts=np.array([wrong], np.int32), n_concepts=N)
        with pytest.raises(ValueError, match=rf"rows hold ids {wrong} to {wrong}, needed 0 to 8"):
            counter.add(row)


@pytest.mark.parametrize("change", [{"among": [0, 1]}, {"requested": {(1, 2)}}, {"nested": {(1, 2)}}])
def test_counters_of_other_plans_do_not_merge(change):
    plan: dict[str, Any] = {"among": None, "requested": set(), "nested": set()}
    with pytest.raises(ValueError, match="count other concepts, or were asked for other pairs"):
        make_counter(plan).merge(make_counter(plan | change))
