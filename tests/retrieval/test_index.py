import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from tests.retrieval.brute_force import all_scores, search
from tests.retrieval.stored_folder import write_manifest, write_stored
from typer.testing import CliRunner

from oddpair import cli, files
from oddpair.errors import Refusal
from oddpair.retrieval import index as index_search
from oddpair.retrieval.faiss_import import load_faiss
from oddpair.retrieval.index import search_index
from oddpair.retrieval.index_build import build_index, choose_lists, interval_of
from oddpair.retrieval.index_file import open_index
from oddpair.retrieval.scan import Ask
from oddpair.retrieval.stored import open_stored


def unit(rows):
    """Rows of length 1, and then in float16, as they are stored."""
    rows = np.asarray(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def clustered(rng, n, d, centres=12):
    """Rows around some centres, so that an index has something to find."""
    return unit(rng.normal(size=(centres, d))[rng.integers(0, centres, n)] + 0.5 * rng.normal(size=(n, d)))


def names(rng, n):
    return [f"{place:05d}" for place in rng.permutation(n)]


def store(folder, rows, uids, shards=3):
    ends = np.linspace(0, len(rows), shards + 1).astype(int)
    return open_stored(write_stored(folder, rows, uids, np.diff(ends).tolist()))


def top_of(rows, uids, queries, k):
    return search(rows, uids, queries, [str(query) for query in range(len(queries))], Ask(top=k)).top


def above_of(rows, uids, queries, limit):
    """All pairs above a threshold, by query, score and uid, slowly."""
    scores = all_scores(rows, queries)
    found = []
    for query in range(len(queries)):
        seen = set()
        for row in sorted(range(len(rows)), key=lambda row: (-scores[row, query], uids[row])):
            if scores[row, query] > np.float32(limit) and uids[row] not in seen:
                seen.add(uids[row])
                found.append((query, row, scores[row, query]))
    return found


def as_tuples(pairs):
    return list(zip(pairs.test.tolist(), pairs.row.tolist(), pairs.score, strict=True))


def names_found(stored, pairs):
    return list(zip(pairs.test.tolist(), stored.uids(pairs.row), pairs.score, strict=True))


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 150),
    distinct=st.integers(1, 150),
    d=st.sampled_from([2, 5, 24]),
    lists=st.integers(1, 9),
    k=st.integers(1, 30),
    seed=st.integers(0, 10_000),
)
def test_with_all_lists_looked_through_it_is_brute_force(tmp_path_factory, n, distinct, d, lists, k, seed):
    rng = np.random.default_rng(seed)
    rows = unit(rng.normal(size=(min(n, distinct), d)))[rng.integers(0, min(n, distinct), n)]
    uids = names(rng, n)
    stored = store(tmp_path_factory.mktemp("rows"), rows, uids)
    index = build_index(stored, tmp_path_factory.mktemp("index"), lists=min(lists, n), sample=3)
    queries = np.concatenate([unit(rng.normal(size=(3, d))), rows[:2]]).astype(np.float32)
    found = search_index(index, stored, queries, k=k, probes=min(lists, n))
    assert as_tuples(found) == as_tuples(top_of(rows, uids, queries, k))
    assert [str(column.dtype) for column in (found.test, found.row, found.score)] == [
        "int64",
        "int64",
        "float32",
    ]
    limit = float(np.median(all_scores(rows, queries)))
    found = search_index(index, stored, queries, above=limit, probes=min(lists, n))
    assert as_tuples(found) == above_of(rows, uids, queries, limit)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), d=st.sampled_from([8, 32]))
def test_no_planted_near_duplicate_is_kept_by_an_index_that_probes_few_lists(tmp_path_factory, seed, d):
    rng = np.random.default_rng(seed)
    tests = unit(rng.normal(size=(40, d)))
    planted = unit(tests.astype(np.float64) + 0.01 * rng.normal(size=(40, d)))
    rows = np.concatenate([clustered(rng, 800, d), planted])[rng.permutation(840)]
    uids = names(rng, 840)
    stored = store(tmp_path_factory.mktemp("rows"), rows, uids)
    index = build_index(stored, tmp_path_factory.mktemp("index"), lists=16, probes=6, sample=50)
    # Where other rows are as near by chance too, an index may miss them, and only them.
    limit = 0.99
    violators = {row for _, row, _ in above_of(rows, uids, tests.astype(np.float32), limit)}
    found = search_index(index, stored, tests.astype(np.float32), above=limit)
    assert set(found.row.tolist()) == violators
    assert len(violators) >= 40
    assert (found.score > np.float32(limit)).all()


def test_more_probes_find_no_less_and_all_of_them_find_everything(tmp_path):
    rng = np.random.default_rng(1)
    rows, uids = clustered(rng, 1500, 16), names(rng, 1500)
    stored = store(tmp_path / "rows", rows, uids)
    recalls = []
    for probes in (1, 2, 4, 8, 16):
        index = build_index(stored, tmp_path / "index", lists=16, probes=probes, sample=100)
        recalls.append(index.card.recall["img_emb"].at_10.value)
    assert recalls == sorted(recalls)
    assert recalls[0] < recalls[-1] == 1.0


def test_the_recall_told_is_that_of_sampled_rows_without_themselves(tmp_path):
    rng = np.random.default_rng(2)
    rows, uids = clustered(rng, 300, 12), names(rng, 300)
    stored = store(tmp_path / "rows", rows, uids)
    index = build_index(stored, tmp_path / "index", lists=12, probes=1, sample=300)
    recall = index.card.recall["img_emb"]
    one, ten = [], []
    for row in range(300):
        query = rows[row : row + 1].astype(np.float32)
        true = [other for _, other, _ in as_tuples(top_of(rows, uids, query, 11)) if other != row][:10]
        found = search_index(index, stored, query, k=11).row
        mine = [other for other in found.tolist() if other != row][:10]
        one.append(mine[:1] == true[:1])
        ten.append(len(set(mine) & set(true)) / 10)
    assert recall.queries == 300
    assert recall.at_1.value == np.mean(one)
    assert recall.at_10.value == pytest.approx(np.mean(ten), abs=1e-12)
    assert recall.at_1.low < recall.at_1.value < 1
    assert "300 queries" in str(recall)


def test_captions_are_measured_too_where_they_are_embedded(tmp_path):
    rng = np.random.default_rng(3)
    rows, uids = clustered(rng, 400, 12), names(rng, 400)
    write_stored(tmp_path / "rows", rows, uids, [150, 250])
    write_stored(tmp_path / "rows", unit(rng.normal(size=(400, 12))), uids, [150, 250], kind="text_emb")
    write_manifest(tmp_path / "rows", dimensions={"img_emb": 12, "text_emb": 12})
    for kind in ("img_emb", "text_emb"):
        card = build_index(open_stored(tmp_path / "rows", kind), tmp_path / kind, sample=60).card
        assert set(card.recall) == {"img_emb", "text_emb"}
        assert card.kind == kind
        assert min(recall.at_10.value for recall in card.recall.values()) >= 0.99


def test_probes_are_chosen_for_the_recall_and_no_more(tmp_path):
    rng = np.random.default_rng(4)
    rows, uids = clustered(rng, 2000, 16), names(rng, 2000)
    stored = store(tmp_path / "rows", rows, uids)
    card = build_index(stored, tmp_path / "index", lists=32, sample=1000).card
    assert 1 < card.probes < 32
    assert card.recall["img_emb"].at_10.value == pytest.approx(0.99, abs=0.01)
    fewer = build_index(stored, tmp_path / "index", lists=32, sample=1000, probes=card.probes - 1).card
    assert fewer.recall["img_emb"].at_10.value < card.recall["img_emb"].at_10.value


def test_the_recall_told_is_measured_with_other_queries_than_chose_the_probes(tmp_path):
    rng = np.random.default_rng(12)
    rows, uids = clustered(rng, 2000, 16), names(rng, 2000)
    stored = store(tmp_path / "rows", rows, uids)
    told, true = [], []
    for seed in range(12):
        index = build_index(stored, tmp_path / "index", lists=32, sample=10, seed=seed)
        told.append(index.card.recall["img_emb"].at_10.value)
        same = build_index(
            stored, tmp_path / "all", lists=32, sample=2000, seed=seed, probes=index.card.probes
        )
        true.append(same.card.recall["img_emb"].at_10.value)
        assert index.card.recall["img_emb"].queries == 10
    # Those that chose are at 0.99 or more each time, whatever is true.
    assert min(told) < 0.99
    assert np.mean(told) == pytest.approx(np.mean(true), abs=0.01)


def test_a_corpus_of_fewer_rows_than_both_samples_is_halved(tmp_path):
    rng = np.random.default_rng(13)
    stored = store(tmp_path / "rows", clustered(rng, 31, 8), names(rng, 31))
    assert build_index(stored, tmp_path / "index", lists=4, sample=20).card.recall["img_emb"].queries == 16


def test_the_answer_depends_neither_on_threads_nor_on_other_queries(tmp_path):
    rng = np.random.default_rng(5)
    rows, uids = clustered(rng, 2000, 40), names(rng, 2000)
    stored = store(tmp_path / "rows", rows, uids)
    index = build_index(stored, tmp_path / "index", lists=64, probes=3, sample=50)
    queries = clustered(rng, 64, 40).astype(np.float32)
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
    assert np.abs(lengths - 1).max() < 2e-3
    for ask in ({"k": 7}, {"above": 0.6}):
        together = as_tuples(search_index(index, stored, queries, threads=8, **ask))
        alone = [
            (query, row, score)
            for query in range(64)
            for _, row, score in as_tuples(search_index(index, stored, queries[query : query + 1], **ask))
        ]
        assert together == alone
        assert together


def test_of_centres_that_are_equally_near_each_query_takes_the_same_in_any_batch(tmp_path):
    rng = np.random.default_rng(11)
    # The same numbers in other orders: sums of them differ in the last bits, by the order in which they are added.
    rows = unit(np.array([rng.permutation(np.linspace(0.1, 1.7, 40)) for _ in range(128)]))
    uids = names(rng, 128)
    stored = store(tmp_path / "rows", rows, uids)
    index = build_index(stored, tmp_path / "index", lists=128, probes=2, sample=5)
    query = np.full((1, 40), 40**-0.5, dtype=np.float32)
    alone = search_index(index, stored, query, k=2)
    together = search_index(index, stored, np.repeat(query, 64, axis=0), k=2)
    assert together.row.tolist() == alone.row.tolist() * 64


def test_the_files_are_the_same_for_any_threads_and_shards(tmp_path):
    rng = np.random.default_rng(6)
    rows, uids = clustered(rng, 1200, 16), names(rng, 1200)
    digests = set()
    for shards, threads in ((1, 1), (5, 4)):
        stored = store(tmp_path / f"rows-{shards}", rows, uids, shards)
        build_index(stored, tmp_path / f"index-{shards}", threads=threads, sample=50)
        digests.add(hashlib.sha256((tmp_path / f"index-{shards}" / "rows.faiss").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_an_index_is_opened_as_it_was_built(tmp_path):
    rng = np.random.default_rng(7)
    rows, uids = clustered(rng, 500, 8), names(rng, 500)
    stored = store(tmp_path / "rows", rows, uids)
    built = build_index(stored, tmp_path / "index", sample=20)
    found = open_index(tmp_path / "index", stored)
    assert found.card == built.card
    queries = rows[:9].astype(np.float32)
    assert as_tuples(search_index(found, stored, queries, k=5)) == as_tuples(
        search_index(built, stored, queries, k=5)
    )
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == ["index.json", "rows.faiss"]


def test_rows_are_held_to_the_bit_also_where_numbers_are_tiny(tmp_path):
    tiny = np.zeros((3, 4), dtype=np.float16)
    tiny[:, 0] = 1
    tiny[0, 1:] = [6e-8, -6e-8, 3e-5]
    stored = store(tmp_path / "rows", tiny, ["a", "b", "c"], shards=1)
    index = build_index(stored, tmp_path / "index", sample=1)
    assert np.array_equal(index.held.reconstruct_batch(np.arange(3)), tiny.astype(np.float32))


def test_of_rows_with_one_uid_the_best_is_found_once(tmp_path):
    rng = np.random.default_rng(8)
    near = unit(rng.normal(size=(1, 32)))
    rows = np.concatenate([unit(near + 0.05 * rng.normal(size=(60, 32))), clustered(rng, 200, 32)])
    # So many of one uid that the first candidates hold too few uids.
    uids = ["same"] * 60 + [f"{row:03d}" for row in range(200)]
    stored = store(tmp_path / "rows", rows, uids)
    index = build_index(stored, tmp_path / "index", lists=4, sample=20)
    query = near.astype(np.float32)
    found = search_index(index, stored, query, k=5, probes=4)
    assert as_tuples(found) == as_tuples(top_of(rows, uids, query, 5))
    assert names_found(stored, found)[0][1] == "same"
    assert len(set(stored.uids(found.row))) == 5
    assert stored.uids(search_index(index, stored, query, above=0.9, probes=4).row) == ["same"]


def test_many_pairs_are_scored_in_parts(tmp_path, monkeypatch):
    rng = np.random.default_rng(9)
    rows, uids = clustered(rng, 120, 8), names(rng, 120)
    stored = store(tmp_path / "rows", rows, uids)
    index = build_index(stored, tmp_path / "index", lists=2, sample=9)
    queries = rows[:5].astype(np.float32)
    monkeypatch.setattr(index_search, "_PAIRS_AT_ONCE", 7)
    found = search_index(index, stored, queries, above=-0.5, probes=2)
    assert as_tuples(found) == above_of(rows, uids, queries, -0.5)


def test_what_no_row_is_above_is_found_nowhere(tmp_path):
    rows = unit(np.eye(4))
    stored = store(tmp_path / "rows", rows, list("abcd"), shards=1)
    index = build_index(stored, tmp_path / "index", lists=2)
    assert len(search_index(index, stored, rows[:2].astype(np.float32), above=1.0, probes=2)) == 0
    assert search_index(index, stored, rows[:2].astype(np.float32), above=0.9, probes=2).row.tolist() == [
        0,
        1,
    ]


def test_a_part_of_a_folder_has_an_index_of_its_own(tmp_path):
    rng = np.random.default_rng(10)
    rows, uids = clustered(rng, 90, 8), names(rng, 90)
    part = store(tmp_path / "rows", rows, uids).only(1, 2)
    index = build_index(part, tmp_path / "index", sample=9)
    found = search_index(index, part, rows[40:41].astype(np.float32), k=3, probes=index.card.lists)
    assert as_tuples(found) == as_tuples(top_of(rows[30:60], uids[30:60], rows[40:41].astype(np.float32), 3))
    assert index.card.start == 30


@pytest.mark.parametrize("rows", [1, 2, 7, 39, 77, 78, 1000, 250_000, 10_000_000])
def test_lists_are_a_power_of_two_with_enough_rows_each(rows):
    lists = choose_lists(rows)
    assert lists & (lists - 1) == 0
    assert lists == 1 or rows / lists >= 39
    assert lists <= 2**0.5 * 4 * rows**0.5
    assert lists >= min(2**-0.5 * 4 * rows**0.5, max(1, rows // 39)) / 2


def test_a_corpus_of_one_row_can_be_searched(tmp_path):
    rows = unit([[3, 4]])
    stored = store(tmp_path / "rows", rows, ["a"], shards=1)
    index = build_index(stored, tmp_path / "index")
    found = search_index(index, stored, rows.astype(np.float32), k=10)
    assert names_found(stored, found) == [(0, "a", all_scores(rows, rows)[0, 0])]
    assert index.card.recall["img_emb"].queries == 1


@pytest.mark.parametrize(("right", "n"), [(0, 20), (1, 20), (19, 20), (20, 20), (500, 1000)])
def test_the_interval_of_whole_successes_is_clopper_and_pearsons(right, n):
    share = interval_of(np.r_[np.ones(right), np.zeros(n - right)])
    expected = binomtest(right, n).proportion_ci(0.95, "exact")
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert share.value == right / n


def test_what_cannot_be_built_is_refused(tmp_path):
    rows = unit(np.eye(4))
    stored = store(tmp_path / "rows", rows, list("abcd"), shards=2)
    with pytest.raises(Refusal, match=r"5 lists for 4 rows of .*: give 1 to 4 lists"):
        build_index(stored, tmp_path / "index", lists=5)
    with pytest.raises(Refusal, match="3 probes of 2 lists: give 1 to 2 probes"):
        build_index(stored, tmp_path / "index", lists=2, probes=3)
    with pytest.raises(ValueError, match="sample is 0, needed 1 or more"):
        build_index(stored, tmp_path / "index", sample=0)
    empty = open_stored(write_stored(tmp_path / "empty", rows[:0], [], [0]))
    with pytest.raises(Refusal, match="has no rows, an index needs one at the least: embed a corpus that"):
        build_index(empty, tmp_path / "index")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("bad", [np.nan, 0.0, 2.0], ids=["nan", "zero", "long"])
def test_a_row_that_is_not_of_length_1_is_refused_with_its_place(tmp_path, bad):
    rows = unit(np.eye(6))
    rows[4] *= np.float16(bad)
    stored = store(tmp_path / "rows", rows, list("abcdef"), shards=2)
    with pytest.raises(Refusal, match=r"img_emb_0001.npy row 1 has length (nan|0|2), needed 1: embed again"):
        build_index(stored, tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_what_cannot_be_searched_is_an_error_with_both_numbers(tmp_path):
    rows = unit(np.eye(4))
    stored = store(tmp_path / "rows", rows, list("abcd"), shards=1)
    index = build_index(stored, tmp_path / "index", lists=2)
    query = rows[:1].astype(np.float32)
    for wrong in (query[:, :2], query.astype(np.float64), query[0], query[:0]):
        with pytest.raises(ValueError, match=r"needed float32 of \(m, 4\)"):
            search_index(index, stored, wrong, k=1)
    for wrong, length in ((query * 0, "0"), (query * np.nan, "nan"), (query * 2, "2")):
        with pytest.raises(ValueError, match=f"query 0 has length {length}, needed 1"):
            search_index(index, stored, wrong, k=1)
    with pytest.raises(ValueError, match="k is None and above is None, needed one of them"):
        search_index(index, stored, query)
    with pytest.raises(ValueError, match=r"k is 1 and above is 0.5, needed one of them"):
        search_index(index, stored, query, k=1, above=0.5)
    with pytest.raises(ValueError, match="k is 0, at least 1 is needed"):
        search_index(index, stored, query, k=0)
    with pytest.raises(ValueError, match="above is nan, needed a number"):
        search_index(index, stored, query, above=np.nan)
    with pytest.raises(ValueError, match="probes is 3, needed 1 to 2"):
        search_index(index, stored, query, k=1, probes=3)


def test_faiss_has_its_threads_back_after_a_search(tmp_path):
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    rows = unit(np.eye(4))
    stored = store(tmp_path / "rows", rows, list("abcd"), shards=1)
    index = build_index(stored, tmp_path / "index", threads=before + 1)
    search_index(index, stored, rows.astype(np.float32), k=2, threads=before + 2)
    assert faiss.omp_get_max_threads() == before


def test_a_full_disk_is_a_refusal_and_leaves_the_old_index(tmp_path, monkeypatch):
    rows = unit(np.eye(4))
    stored = store(tmp_path / "rows", rows, list("abcd"), shards=1)
    build_index(stored, tmp_path / "index")
    before = {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()}

    def fail(*arguments):
        raise RuntimeError("Error in fwrite: No space left on device")

    monkeypatch.setattr(load_faiss(), "write_index", fail)
    with pytest.raises(Refusal, match=r"could not write .*rows.faiss \(.*No space left.*\): free some space"):
        build_index(stored, tmp_path / "index", seed=1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()} == before


def test_the_verb_builds_an_index_and_says_what_it_finds(drawn, tmp_path):
    def run(*arguments):
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        assert result.exception is None, result.exception
        return result.stdout

    said = run("index", drawn, "--out", tmp_path / "index", "--sample", 50, "--workers", 1)
    card = files.read_json(tmp_path / "index" / "index.json")
    assert f"{card['rows']:,} rows of dimension" in said
    assert "50 queries: pictures of the corpus, each without itself" in said
    assert "50 queries: captions of the corpus\n" in said
    folder = next((tmp_path / "embeddings").iterdir())
    query = ("search", drawn, "a red square", "--embeddings", folder, "--out", tmp_path / "page.html")
    exact = run(*query)
    assert exact.splitlines()[0] in run(*query, "--index", tmp_path / "index")
    before = sorted(folder.rglob("*"))
    refused = CliRunner().invoke(
        cli.app, ["index", str(drawn), "--embeddings", str(folder), "--out", str(folder)]
    )
    assert isinstance(refused.exception, Refusal)
    assert "holds the embeddings" in str(refused.exception)
    assert sorted(folder.rglob("*")) == before
