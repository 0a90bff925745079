import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.brute_force import FIRST_PASSES, all_scores
from tests.retrieval.neighbour_data import content, draw, read_rows, read_tests, stored, whole
from tests.retrieval.stored_folder import write_manifest, write_stored

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval import neighbour_jobs, neighbours
from oddpair.retrieval.neighbours import find_neighbours, gap_thresholds
from oddpair.retrieval.scan import Work
from oddpair.retrieval.stored import open_stored

SIZES = (7, 0, 12, 5, 16)


@pytest.fixture(autouse=True)
def small_jobs(monkeypatch):
    """Four jobs for the corpus below."""
    monkeypatch.setattr(neighbours, "ROWS_PER_JOB", 5)


@pytest.fixture
def corpus(tmp_path):
    rows, uids = draw(0, sum(SIZES))
    rows[20:24], uids[33] = rows[2:6], uids[4]
    rows[33] = rows[4]
    return stored(tmp_path / "corpus", rows, uids, SIZES)


@pytest.fixture
def tests(tmp_path):
    rows, uids = draw(1, 9)
    return stored(tmp_path / "tests", rows, uids, [4, 5])


def expected(corpus, tests, k, above=None):
    """Rows, tests and hits as lists, by Python's own sorting of all scores."""
    (rows, uids), (test_rows, test_uids) = whole(corpus), whole(tests)
    scores = all_scores(rows, test_rows)
    best = [
        min((-score, uid) for score, uid in zip(line, test_uids, strict=True)) for line in scores.tolist()
    ]
    lines = [
        {"uid": uid, "score": -score, "test": test} for uid, (score, test) in zip(uids, best, strict=True)
    ]
    if above is not None:
        for line, hit in zip(lines, (scores > np.float32(above)).any(axis=1).tolist(), strict=True):
            line["hit"] = hit
    table = []
    for test in sorted(test_uids):
        of_uid: dict[str, float] = {}
        for uid, score in zip(uids, scores[:, test_uids.index(test)].tolist(), strict=True):
            of_uid[uid] = max(score, of_uid.get(uid, -2.0))
        order = sorted(of_uid, key=lambda uid: (-of_uid[uid], uid))[:k]
        table += [
            {"test": test, "place": place, "uid": uid, "score": of_uid[uid]}
            for place, uid in enumerate(order, start=1)
        ]
    return lines, table


@pytest.mark.parametrize("first_pass", FIRST_PASSES)
@pytest.mark.parametrize("k", [1, 3, 100])
def test_both_directions_are_those_of_all_scores_sorted(corpus, tests, tmp_path, first_pass, k):
    found = find_neighbours(corpus, tests, tmp_path / "out", k=k, above=0.5, first_pass=first_pass)
    rows, table = expected(corpus, tests, k, above=0.5)
    assert read_rows(tmp_path / "out") == rows
    assert read_tests(tmp_path / "out") == table
    assert (found.rows, found.tests, found.hits) == (sum(SIZES), 9, sum(row["hit"] for row in rows))
    assert found.work.pairs == sum(SIZES) * 9


def test_there_is_a_file_for_each_shard_and_no_hit_without_a_threshold(corpus, tests, tmp_path):
    found = find_neighbours(corpus, tests, tmp_path / "out", k=2)
    tables = [pq.read_table(path) for path in sorted((tmp_path / "out" / "rows").iterdir())]
    assert [len(table) for table in tables] == list(SIZES)
    assert {tuple(table.schema.names) for table in tables} == {("uid", "score", "test")}
    assert len(list((tmp_path / "out" / "top").iterdir())) == 4
    assert found.hits is None


@settings(max_examples=8, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    per_job=st.integers(1, 30),
    k=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_any_shards_and_any_jobs_give_the_same_neighbours(tmp_path_factory, sizes, per_job, k, seed):
    folder = tmp_path_factory.mktemp("any")
    rows, uids = draw(seed, sum(sizes), d=3)
    uids[-1] = uids[0]
    rows[-1] = rows[0]
    corpus = stored(folder / "corpus", rows, uids, sizes)
    tests = stored(folder / "tests", *draw(seed + 100, 4, d=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "ROWS_PER_JOB", per_job)
        find_neighbours(corpus, tests, folder / "out", k=k, above=0.25)
    lines, table = expected(corpus, tests, k, above=0.25)
    assert read_rows(folder / "out") == lines
    assert read_tests(folder / "out") == table


def test_shards_in_another_order_give_the_same_rows_by_uid_and_the_same_tests(tmp_path, tests):
    rows, uids = draw(3, 40)
    starts = np.arange(0, 40, 8)
    find_neighbours(stored(tmp_path / "a", rows, uids, [8] * 5), tests, tmp_path / "out a", k=4, above=0.4)
    order = np.concatenate([np.arange(start, start + 8) for start in starts[[3, 0, 4, 2, 1]]])
    other = stored(tmp_path / "b", rows[order], [uids[row] for row in order], [8] * 5)
    find_neighbours(other, tests, tmp_path / "out b", k=4, above=0.4)
    by_uid = [{line["uid"]: line for line in read_rows(tmp_path / name)} for name in ("out a", "out b")]
    assert by_uid[0] == by_uid[1]
    one, two = ((tmp_path / name / "tests.parquet").read_bytes() for name in ("out a", "out b"))
    assert one == two


@pytest.mark.parametrize(
    "how",
    [{"workers": 2}, {"first_pass": "float32"}, {"first_pass": "int8"}],
    ids=["2 workers", "float32", "int8"],
)
def test_workers_and_first_pass_change_no_byte(corpus, tests, tmp_path, how):
    find_neighbours(corpus, tests, tmp_path / "one", k=3, above=0.5, first_pass="bfloat16")
    find_neighbours(corpus, tests, tmp_path / "other", k=3, above=0.5, **how)
    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_a_finished_search_is_not_made_again(corpus, tests, tmp_path):
    find_neighbours(corpus, tests, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    again = find_neighbours(corpus, tests, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    assert again.work == Work()
    assert (again.rows, again.tests) == (sum(SIZES), 9)


@pytest.mark.parametrize(
    ("lost", "jobs"),
    [
        (["done.json", "tests.parquet", "top/top_0001.parquet"], [1]),
        (["done.json", "summary.json", "samples.parquet"], []),
        (["rows/rows_0003.parquet"], [2]),
        (["done.json", "rows/rows_0000.parquet", "rows/rows_0004.parquet"], [0, 3]),
        (["top/top_0002.parquet", "done.json", "thresholds.parquet"], [2]),
    ],
    ids=["a job", "the end", "a shard's rows", "rows of two jobs", "thresholds"],
)
def test_only_what_is_missing_is_made_again_to_the_same_bytes(corpus, tests, tmp_path, lost, jobs):
    out, sizes = tmp_path / "out", [7, 12, 5, 16]
    find_neighbours(corpus, tests, out, k=3, above=0.5)
    before = content(out)
    for name in lost:
        (out / name).unlink()
    again = find_neighbours(corpus, tests, out, k=3, above=0.5)
    assert content(out) == before
    assert again.work.pairs == 9 * sum(sizes[job] for job in jobs)


def test_work_is_told_and_no_part_of_the_summary(corpus, tests, tmp_path):
    find_neighbours(corpus, tests, tmp_path / "out")
    summary = files.read_json(tmp_path / "out" / "summary.json")
    assert not {"work", "pairs", "refined", "exact"} & summary.keys()
    assert (summary["corpus_digest"], summary["tests_digest"]) == (corpus.digest, tests.digest)
    assert summary["encoder_sha256"] == corpus.encoder


def test_the_summary_tells_of_the_scores_that_are_there(corpus, tests, tmp_path):
    find_neighbours(corpus, tests, tmp_path / "out", k=1, above=0.3)
    summary = files.read_json(tmp_path / "out" / "summary.json")
    for name, lines in (("row", read_rows(tmp_path / "out")), ("test", read_tests(tmp_path / "out"))):
        scores = np.array([line["score"] for line in lines])
        shares = summary["shares"]
        assert summary[f"{name}_quantiles"] == np.quantile(scores, shares, method="inverted_cdf").tolist()
        lower, counts = zip(*summary[f"{name}_histogram"], strict=True)
        assert list(counts) == np.histogram(scores, [*lower, lower[-1] + 0.02])[0].tolist()


def test_a_long_job_shows_that_it_lives_by_a_number_that_changes(tmp_path, tests, monkeypatch):
    noted: list[int] = []
    monkeypatch.setattr(neighbour_jobs, "note_done", noted.append)
    find_neighbours(stored(tmp_path / "corpus", *draw(2, 60_000)), tests, tmp_path / "out")
    assert len(noted) > 2
    assert sorted(noted) == list(range(len(noted)))


def test_samples_are_the_most_similar_and_the_median_pairs(tmp_path):
    rows, uids = draw(4, 60)
    corpus = stored(tmp_path / "corpus", rows, uids, [25, 35])
    find_neighbours(corpus, stored(tmp_path / "tests", *draw(5, 41)), tmp_path / "out", k=2)
    samples = pq.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    nearest = [line for line in read_tests(tmp_path / "out") if line["place"] == 1]
    order = sorted(nearest, key=lambda line: (-line["score"], line["test"]))
    assert [sample["kind"] for sample in samples] == ["nearest"] * 12 + ["median"] * 12
    assert [sample["test"] for sample in samples] == [line["test"] for line in order[:12] + order[14:26]]
    for sample in samples:
        assert uids[sample["row"]] == sample["uid"]
        assert sample["caption"] == f"caption of {sample['uid']}"


def test_a_uid_in_two_shards_is_one_neighbour_with_its_best_score(tmp_path, tests):
    rows, uids = draw(6, 30)
    uids[25] = uids[3]
    corpus = stored(tmp_path / "corpus", rows, uids, [10, 10, 10])
    find_neighbours(corpus, tests, tmp_path / "out", k=30)
    of_first = [line for line in read_tests(tmp_path / "out") if line["test"] == tests.uids(np.array([0]))[0]]
    assert sorted(line["uid"] for line in of_first) == sorted(set(uids))
    scores = all_scores(rows[[3, 25]], tests.read(0, 1))[:, 0]
    assert [line["score"] for line in of_first if line["uid"] == uids[3]] == [scores.max()]
    assert [line["uid"] for line in read_rows(tmp_path / "out")] == uids


def test_a_test_image_that_comes_twice_counts_once_with_its_lower_threshold(corpus, tmp_path):
    rows, uids = draw(7, 3)
    twice = stored(tmp_path / "twice", rows[[0, 1, 0, 2]], [uids[0], uids[1], uids[0], uids[2]])
    found = find_neighbours(corpus, twice, tmp_path / "out", above=np.array([2, 2, 0.1, 2], dtype=np.float32))
    once = stored(tmp_path / "once", rows, uids)
    assert found.tests == 3
    assert found.hits == find_neighbours(corpus, once, tmp_path / "b", above=np.array([0.1, 2, 2])).hits
    assert gap_thresholds(corpus, twice).tolist() == gap_thresholds(corpus, once)[[0, 1, 0, 2]].tolist()
    assert files.read_json(tmp_path / "out" / "summary.json")["tests_left_out"] == 1


def test_of_a_test_image_with_two_vectors_no_order_of_shards_changes_the_results(corpus, tmp_path):
    rows, uids = draw(7, 4)
    rows[3] = rows[0]
    rows[3, 0] += np.float16(0.002)
    uids[3] = uids[0]
    out = []
    for name, order in (("one", [0, 1, 2, 3]), ("other", [3, 2, 1, 0])):
        tests = stored(tmp_path / name, rows[order], [uids[row] for row in order], [2, 2])
        find_neighbours(corpus, tests, tmp_path / "out" / name, k=4)
        out.append(
            ((tmp_path / "out" / name / "tests.parquet").read_bytes(), read_rows(tmp_path / "out" / name))
        )
    assert out[0] == out[1]


def test_a_threshold_at_a_score_is_no_hit_and_one_below_it_is(corpus, tests, tmp_path):
    best = max(line["score"] for line in expected(corpus, tests, 1)[0])
    below = float(np.nextafter(np.float32(best), np.float32(-1)))
    hits = [find_neighbours(corpus, tests, tmp_path / f"{tau}", above=tau).hits for tau in (best, below)]
    at_best = sum(line["score"] == best for line in expected(corpus, tests, 1)[0])
    assert hits == [0, at_best]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda corpus, tests: {"k": 4}, r"was made with k=3, now k=4"),
        (lambda corpus, tests: {"above": 0.6}, r"was made with above=\S+, now above="),
        (lambda corpus, tests: {"above": tests}, r"now no above, above\.digest="),
        (
            lambda corpus, tests: {"corpus": corpus.only(0, 3)},
            r"corpus\.shards=\[0, 5\], now corpus\.shards=\[0, 3\]",
        ),
        (lambda corpus, tests: {"tests": corpus}, r"tests\.digest="),
    ],
    ids=["k", "threshold", "reference", "shards", "tests"],
)
def test_another_question_is_refused_by_its_name(corpus, tests, tmp_path, change, told):
    asked = {"corpus": corpus, "tests": tests, "k": 3, "above": 0.5}
    find_neighbours(out=tmp_path / "out", **asked)
    before = content(tmp_path / "out")
    with pytest.raises(Refusal, match=told):
        find_neighbours(out=tmp_path / "out", **{**asked, **change(corpus, tests)})
    assert content(tmp_path / "out") == before


def test_a_corpus_that_was_embedded_anew_is_refused(corpus, tests, tmp_path):
    find_neighbours(corpus, tests, tmp_path / "out")
    write_manifest(corpus.folder, layout="other")
    with pytest.raises(Refusal, match=r"corpus\.digest="):
        find_neighbours(open_stored(corpus.folder), tests, tmp_path / "out")
    with pytest.raises(Refusal, match=r"corpus does not hold what the run began with"):
        find_neighbours(corpus, tests, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_other_models_dimensions_and_empty_sides_are_refused(corpus, tests, tmp_path, capsys):
    def refuse(told, **sides):
        with pytest.raises(Refusal, match=told):
            find_neighbours(out=tmp_path / "out", **{"corpus": corpus, "tests": tests, **sides})
        with pytest.raises(Refusal, match=told):
            find_neighbours(corpus, tests, tmp_path / "out", above=sides.get("corpus", corpus.only(1, 2)))
        assert not (tmp_path / "out").exists()

    wide = stored(tmp_path / "wide", *draw(2, 3, d=7))
    refuse(r"wide has embeddings of dimension 7, .*tests of 12: embed both with the same model", corpus=wide)
    other = stored(tmp_path / "other", *draw(2, 3))
    write_manifest(other.folder, encoder_sha256="cd" * 32)
    refuse(
        "other was embedded by a model with weights cdcdcdcdcdcd….*abababababab…",
        corpus=open_stored(other.folder),
    )
    refuse("corpus holds no rows: give one that has some", corpus=corpus.only(1, 2))
    with pytest.raises(Refusal, match="tests holds no test images"):
        find_neighbours(corpus, tests.only(1, 1), tmp_path / "out")
    write_manifest(other.folder, encoder_sha256="")
    capsys.readouterr()
    find_neighbours(open_stored(other.folder), tests, tmp_path / "unknown")
    assert "other: nothing tells which model made these embeddings" in capsys.readouterr().err


def test_one_test_uid_with_two_vectors_is_refused(corpus, tmp_path):
    rows, uids = draw(7, 3)
    twice = stored(tmp_path / "twice", rows, [uids[0], uids[1], uids[0]])
    with pytest.raises(Refusal, match=f"uid {uids[0]} has one vector in .*row 0 and another in .*row 2"):
        find_neighbours(corpus, twice, tmp_path / "out")


@pytest.mark.parametrize(
    ("value", "workers"),
    [(np.nan, 1), (0.0, 1), (0.5, 2)],
    ids=["38-nan", "39-zero", "47-not-of-length-1"],
)
def test_a_row_that_is_no_unit_row_is_refused_with_file_and_row(tmp_path, tests, value, workers):
    rows, uids = draw(0, sum(SIZES))
    rows[25] *= np.float16(value)
    corpus = stored(tmp_path / "corpus", rows, uids, SIZES)
    with pytest.raises(Refusal, match=r"img_emb_0004\.npy row 1\b"):
        find_neighbours(corpus, tests, tmp_path / "out", workers=workers)
    assert not (tmp_path / "out" / "done.json").exists()
    assert not (tmp_path / "out" / "tests.parquet").exists()


@pytest.mark.parametrize("value", [np.nan, 0.5], ids=["38-nan", "47-not-of-length-1"])
def test_a_test_row_that_is_no_unit_row_is_refused_with_file_and_row(corpus, tmp_path, value):
    rows, uids = draw(1, 9)
    uids[3] = uids[2]
    rows[3] = rows[2]
    rows[7] *= np.float16(value)
    tests = stored(tmp_path / "tests", rows, uids, [4, 5])
    with pytest.raises(Refusal, match=r"tests/.*img_emb_0001\.npy row 3 has length"):
        find_neighbours(corpus, tests, tmp_path / "out")


def test_wrong_numbers_are_errors_that_say_what_was_found(corpus, tests, tmp_path):
    with pytest.raises(ValueError, match="k is 0, needed 1 or more"):
        find_neighbours(corpus, tests, tmp_path, k=0)
    with pytest.raises(ValueError, match=r"thresholds of shape \(8,\), 0 of them NaN, needed one or 9"):
        find_neighbours(corpus, tests, tmp_path, above=np.zeros(8, dtype=np.float32))
    with pytest.raises(ValueError, match=r"thresholds of shape \(\), 1 of them NaN"):
        find_neighbours(corpus, tests, tmp_path, above=float("nan"))
    rows, uids = draw(1, 2)
    texts = open_stored(write_stored(tmp_path / "text", rows, uids, [2], kind="text_emb"), "text_emb")
    with pytest.raises(ValueError, match=r"found text_emb of .*, needed img_emb"):
        find_neighbours(corpus, texts, tmp_path)
