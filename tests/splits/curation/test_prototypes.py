import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.command import files_in
from tests.retrieval.brute_force import draw_names, unit
from tests.retrieval.neighbour_data import stored, whole

from oddpair.errors import Refusal
from oddpair.splits.curation.prototypes import Nearest, PrototypePlan, find_prototypes, make_prototypes, prune
from oddpair.splits.pool import pool_of_stored

PLAN = PrototypePlan(clusters=5, rows_per_cluster=20, iterations=20, seed=0)


def draw(n=200, d=8, clusters=5, seed=1):
    """Rows around some directions."""
    rng = np.random.default_rng(seed)
    around = rng.normal(size=(clusters, d))[rng.integers(clusters, size=n)]
    return unit(around + 0.3 * rng.normal(size=(n, d)), np.float16), draw_names(rng, n)


def slow_kmeans(rows, plan):
    """Spherical k-means in a loop over rows, on rows sorted by uid."""
    rng = np.random.default_rng((plan.seed, 1))
    sample = rows[
        np.sort(rng.choice(len(rows), min(len(rows), plan.clusters * plan.rows_per_cluster), replace=False))
    ]
    sample = sample.astype(np.float64)
    first = np.random.default_rng((plan.seed, 2)).choice(len(sample), plan.clusters, replace=False)
    centroids = sample[first]
    for _ in range(plan.iterations):
        nearest = [max(range(plan.clusters), key=lambda c: row @ centroids[c]) for row in sample]
        for c in range(plan.clusters):
            mine = [row for row, cluster in zip(sample, nearest, strict=True) if cluster == c]
            if mine:
                centroids[c] = np.sum(mine, axis=0) / np.linalg.norm(np.sum(mine, axis=0))
    return centroids


def test_prototypes_are_those_of_a_slow_obvious_k_means(tmp_path):
    rows, uids = draw()
    held = stored(tmp_path / "e", rows, uids)
    found = make_prototypes(held, pool_of_stored(held), PLAN, threads=1)
    expected = slow_kmeans(rows[np.argsort(uids)], PLAN)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_neither_threads_nor_shards_nor_the_order_of_rows_change_a_bit(tmp_path):
    rows, uids = draw()
    one = stored(tmp_path / "one", rows, uids)
    order = np.random.default_rng(5).permutation(len(rows))
    other = stored(tmp_path / "other", rows[order], [uids[row] for row in order], [50, 0, 120, 30])
    first = find_prototypes(one, pool_of_stored(one), PLAN, tmp_path / "a", threads=1)
    second = find_prototypes(other, pool_of_stored(other), PLAN, tmp_path / "b", threads=3)
    for name in ("centroids", "cluster", "cosine"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_each_row_has_its_nearest_prototype_and_a_killed_run_goes_on(tmp_path):
    rows, uids = draw()
    held = stored(tmp_path / "e", rows, uids)
    pool = pool_of_stored(held)
    found = find_prototypes(held, pool, PLAN, tmp_path / "w")
    scores = whole(held)[0][pool.rows].astype(np.float64) @ found.centroids.astype(np.float64).T
    np.testing.assert_allclose(found.cosine, scores.max(axis=1), atol=1e-6)
    assert (found.cluster == scores.argmax(axis=1)).all()
    before = files_in(tmp_path / "w")
    for name in ("done.json", "cosine.npy"):
        (tmp_path / "w" / name).unlink()
    find_prototypes(held, pool, PLAN, tmp_path / "w")
    assert files_in(tmp_path / "w") == before


def test_a_prototype_that_loses_its_rows_stays_and_equal_rows_do_no_harm(tmp_path):
    rows = np.repeat(np.eye(3), [6, 6, 6], axis=0).astype(np.float16)
    held = stored(tmp_path / "e", rows, [f"{row:02d}" for row in range(18)])
    plan = PrototypePlan(clusters=6, rows_per_cluster=10, iterations=5, seed=1)
    found = find_prototypes(held, pool_of_stored(held), plan, tmp_path / "w")
    assert np.isfinite(found.centroids).all()
    assert sorted(found.rows.tolist(), reverse=True)[3:] == [0, 0, 0]


def test_more_prototypes_than_rows_are_refused(tmp_path):
    held = stored(tmp_path / "e", *draw(4))
    with pytest.raises(Refusal, match="clusters is 5, there are 4 rows: ask for fewer clusters"):
        make_prototypes(held, pool_of_stored(held), PLAN, threads=1)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3)), min_size=1, max_size=40),
    st.data(),
    st.booleans(),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_pruning_is_that_of_a_slow_obvious_version(drawn, data, hard, balance):
    cluster, cosine = np.array(drawn).T
    nearest = Nearest(
        centroids=np.eye(4, dtype=np.float32), cluster=cluster, cosine=(cosine / 4).astype(np.float32)
    )
    n = len(drawn)
    size = data.draw(st.integers(1, n))
    found = prune(nearest, size, hard=hard, balance=balance)
    best = sorted(range(n), key=lambda row: (cosine[row] if hard else -cosine[row], row))
    kept = set()
    for c in range(4):
        mine = [row for row in best if cluster[row] == c]
        kept |= set(mine[: int(round(balance * 1000) * len(mine) * size // (1000 * n))])
    for row in best:
        if len(kept) < size:
            kept.add(row)
    assert set(np.flatnonzero(found.kept).tolist()) == kept
    assert found.kept.sum() == size
    assert (np.bincount(cluster[found.kept], minlength=4) >= found.floors).all()
