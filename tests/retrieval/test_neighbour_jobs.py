import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.retrieval.neighbour_jobs import merge_tops, sort_tops
from oddpair.retrieval.shard_groups import group_shards


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(1, 20))
def test_groups_are_all_shards_in_order_and_none_is_small_unless_it_is_the_only_one(sizes, rows):
    groups = group_shards(sizes, rows)
    assert [shard for first, last in groups for shard in range(first, last)] == list(range(len(sizes)))
    assert len(groups) == 1 or all(sum(sizes[first:last]) >= rows for first, last in groups)
    # A group ends as soon as it is large enough, but for the last.
    assert all(sum(sizes[first : last - 1]) < rows for first, last in groups[:-1])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_merging_is_keeping_the_best_of_all_whatever_comes_first(data):
    k, tests = data.draw(st.integers(1, 3)), 3
    line = st.tuples(
        st.integers(0, 2), st.sampled_from("abcdé"), st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0])
    )
    parts = data.draw(st.lists(st.lists(line, max_size=8), min_size=2, max_size=4))

    def best(lines):
        found = []
        for test in range(tests):
            of_uid: dict[str, float] = {}
            for place, uid, score in lines:
                if place == test:
                    of_uid[uid] = max(score, of_uid.get(uid, -2.0))
            found += [
                (test, uid, of_uid[uid]) for uid in sorted(of_uid, key=lambda uid: (-of_uid[uid], uid))[:k]
            ]
        return found

    def as_table(lines):
        test, uid, score = zip(*lines, strict=True) if lines else ((), (), ())
        return pa.table(
            {
                "test": pa.array(test, pa.int64()),
                "row": pa.array([0] * len(lines), pa.int64()),
                "uid": pa.array(uid, pa.string()),
                "score": pa.array(score, pa.float32()),
            }
        )

    def as_lines(table):
        return [(line["test"], line["uid"], line["score"]) for line in sort_tops(table).to_pylist()]

    tables = [as_table(best(part)) for part in parts]
    left = tables[0]
    for table in tables[1:]:
        left = merge_tops(left, table, k=k, tests=tests)
    right = tables[-1]
    for table in reversed(tables[:-1]):
        right = merge_tops(table, right, k=k, tests=tests)
    assert as_lines(left) == as_lines(right) == best([line for part in parts for line in part])
