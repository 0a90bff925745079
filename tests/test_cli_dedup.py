import functools
import json
import shutil

import numpy as np
import pytest
from tests.command import files_in, run
from tests.retrieval.brute_force import all_scores, unit
from tests.retrieval.stored_folder import write_manifest, write_stored
from typer.testing import CliRunner

from oddpair import cli, files, stages
from oddpair.commands.dedup import need_place
from oddpair.errors import Refusal
from oddpair.retrieval.dedup import DedupPlan
from oddpair.retrieval.stored import open_stored
from oddpair.splits.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def embedded(tmp_path):
    """Write rows as a finished folder of ``oddpair embed``."""

    def make(name, rows, uids, sizes, **manifest):
        folder = tmp_path / name
        stages.begin(folder, {"name": name})
        write_stored(folder, rows, uids, sizes)
        write_manifest(folder, **manifest)
        stages.finish(folder)
        return folder

    return make


@pytest.fixture
def corpus(embedded):
    """40 pictures, of which every fourth comes again, nearly the same."""
    rng = np.random.default_rng(2)
    first = rng.normal(size=(40, 32))
    rows = unit(np.concatenate([first, first[::4] + 0.1 * rng.normal(size=(10, 32))]), np.float16)
    return embedded("corpus", rows, [f"u{row:02d}" for row in range(50)], [20, 30])


@pytest.fixture(scope="module")
def drawn_run(drawn, tmp_path_factory):
    """A run on pictures."""
    out = tmp_path_factory.mktemp("run") / "dedup"
    code, said = run("dedup", drawn, "--out", out, "--threshold", 0.95, "--workers", 1)
    assert code == 0, said
    return out, said


def test_a_corpus_of_pictures_becomes_a_table_a_split_and_a_page_with_pictures(drawn_run, drawn):
    out, said = drawn_run
    stored = open_stored(next((out.parent / "embeddings").glob("corpus-*")))
    uids = stored.uids(np.arange(300))
    place = {uid: row for row, uid in enumerate(uids)}
    scores = all_scores(stored.read(0, 300), stored.read(0, 300))
    table = files.read_table(out / "duplicates.parquet").to_pylist()
    summary = files.read_json(out / "summary.json")
    kept = read_manifest(out / "kept").uids.to_pylist()
    assert sorted([*kept, *(line["uid"] for line in table)]) == sorted(uids)
    assert (summary["kept"], summary["dropped"]) == (len(kept), len(table))
    assert f"{len(kept)} of 300 rows stay, {len(table)} are near-duplicates" in said
    rows = [place[uid] for uid in kept]
    assert np.triu(scores[np.ix_(rows, rows)], 1).max() <= np.float32(0.95)
    for line in table:
        assert line["score"] == scores[place[line["uid"]], place[line["witness"]]] > np.float32(0.95)
    page = (out / "page.html").read_text()
    assert page.count("data:image/jpeg") > min(len(table), 24)
    assert "Nearest to the threshold" in page
    assert not (out / ".parts").exists()


def test_what_stays_can_be_verified_and_exported(drawn_run, drawn, tmp_path):
    out, _ = drawn_run
    kept = read_manifest(out / "kept")
    assert run("verify", out / "kept")[0] == 0
    code, said = run("export", out / "kept", "--corpus", drawn, "--as", "csv", "--out", tmp_path / "export")
    assert (code, said.splitlines()[0].split(":")[1].split()[0]) == (0, str(len(kept)))


def test_a_second_run_does_nothing(drawn_run, drawn):
    out, said = drawn_run
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != ".lock"}
    assert run("dedup", drawn, "--out", out, "--threshold", 0.95, "--workers", 1)[1].endswith(
        said[said.index("split:") :]
    )
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != ".lock"} == before


def test_any_number_of_workers_gives_the_same_bytes(corpus, tmp_path):
    for workers in (1, 4):
        code, _ = run(
            "dedup", corpus, "--out", tmp_path / f"out{workers}", "--threshold", 0.9, "--workers", workers
        )
        assert code == 0
    assert files_in(tmp_path / "out1") == files_in(tmp_path / "out4")
    dropped = files.read_table(tmp_path / "out1" / "duplicates.parquet").to_pylist()
    assert [(line["uid"], line["witness"]) for line in dropped] == [
        (f"u{40 + row}", f"u{4 * row:02d}") for row in range(10)
    ]


@pytest.mark.parametrize("at", [1, 3, 5, 6, 7])
def test_a_run_that_is_interrupted_goes_on_to_the_same_bytes(corpus, tmp_path, monkeypatch, at):
    def dedup(out):
        return run("dedup", corpus, "--out", tmp_path / out, "--threshold", 0.9)

    assert dedup("whole")[0] == 0
    atomic, count = files.atomic, iter(range(at, -1, -1))

    def interrupted(path):
        if next(count) == 0:
            raise cli.Interrupted
        return atomic(path)

    monkeypatch.setattr(files, "atomic", interrupted)
    with pytest.raises(cli.Interrupted):
        dedup("out")
    monkeypatch.undo()
    assert dedup("out")[0] == 0
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")


def test_a_corpus_without_near_duplicates_is_kept_whole(corpus, tmp_path):
    code, said = run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.999)
    assert (code, said.splitlines()[-3]) == (0, "50 of 50 rows stay, 0 are near-duplicates")
    assert len(read_manifest(tmp_path / "out" / "kept")) == 50
    assert files.read_table(tmp_path / "out" / "duplicates.parquet").num_rows == 0


def test_of_a_corpus_too_large_for_all_pairs_it_is_told_what_clusters_miss(corpus, tmp_path, monkeypatch):
    small = functools.partial(DedupPlan, exact_rows=10, cluster_rows=13)
    monkeypatch.setattr("oddpair.retrieval.dedup.DedupPlan", small)
    code, said = run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.9)
    summary = files.read_json(tmp_path / "out" / "summary.json")
    recall = summary["recall"]
    assert (code, summary["way"], recall["clusters"]) == (0, "pairs within clusters", 4)
    assert (recall["pairs"], recall["sampled"]) == (20, 50)
    assert recall["recall"] == recall["together"] / 20
    assert f"{recall['recall']:.2%} of near-duplicate pairs share a cluster (n = 20); " in said
    card = dict(read_manifest(tmp_path / "out" / "kept").card)
    assert card["compared"] == "pairs within clusters"
    together = "pairs that clusters keep together (95 %, over the rows drawn)"
    assert str(card[together]).endswith("n = 20")
    assert "pairs that clusters keep together" in (tmp_path / "out" / "page.html").read_text()


def test_pictures_of_a_test_set_are_found_and_what_is_left_has_none(corpus, embedded, tmp_path):
    rng = np.random.default_rng(8)
    theirs = np.concatenate([open_stored(corpus).read(4, 6), unit(rng.normal(size=(3, 32)), np.float16)])
    tests = embedded("tests", theirs, ["t0", "t1", "t2", "t3", "t4"], [5])
    code, said = run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.9, "--against", tests)
    assert (code, "2 of 5 test pictures have a near-duplicate in the corpus, 3 of its 50 rows" in said) == (
        0,
        True,
    )
    found = files.read_table(tmp_path / "out" / "duplicates.parquet").to_pylist()
    assert [(line["test"], line["uid"]) for line in found] == [("t0", "u04"), ("t0", "u41"), ("t1", "u05")]
    kept = read_manifest(tmp_path / "out" / "kept").uids.to_pylist()
    assert kept == [f"u{row:02d}" for row in range(50) if row not in (4, 5, 41)]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["dropped"], summary["kept"], summary["tests_found"]) == (3, 47, 2)
    tests_found = files.read_table(tmp_path / "out" / "tests.parquet").to_pylist()
    assert [(line["test"], line["uid"]) for line in tests_found] == [("t0", "u04"), ("t1", "u05")]


def test_a_corpus_that_is_all_test_pictures_leaves_no_split(corpus, tmp_path):
    code, said = run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.9, "--against", corpus)
    assert (code, "keeps no row" in said) == (2, True)
    assert files_in(tmp_path / "out") == {}
    tests = ["--threshold", 0.95, "--against", corpus]
    assert "keeps no row" in run("dedup", corpus, "--out", tmp_path / "out", *tests)[1]


def test_a_finished_run_of_other_vectors_is_refused(corpus, embedded, tmp_path):
    arguments = ["dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.9]
    assert run(*arguments)[0] == 0
    rows = np.random.default_rng(3).normal(size=(50, 32))
    shutil.rmtree(corpus)
    embedded("corpus", unit(rows, np.float16), [f"u{row:02d}" for row in range(50)], [20, 30])
    code, said = run(*arguments)
    assert (code, "out was made with embeddings=" in said) == (2, True)


@pytest.mark.parametrize("place", [".", "deeper", ".."])
@pytest.mark.parametrize(
    "role", ["corpus", "embeddings", "against", "against embeddings", "given embeddings"]
)
def test_a_folder_that_is_read_gets_no_output_not_even_a_lock(corpus, tmp_path, place, role):
    pictures = tmp_path / "read" / "pictures"
    pictures.mkdir(parents=True)
    (pictures / "a.png").write_bytes(b"")
    (pictures / ".a.1.tmp").write_bytes(b"not ours")
    arguments = {
        "corpus": [pictures],
        "embeddings": [corpus, "--embeddings", pictures],
        "against": [corpus, "--against", pictures],
        "against embeddings": [corpus, "--against", corpus, "--against-embeddings", pictures],
        "given embeddings": [corpus],
    }[role]
    read = corpus if role == "given embeddings" else pictures
    before = sorted(tmp_path.rglob("*"))
    code, said = run("dedup", *arguments, "--out", read / place, "--threshold", 0.9)
    assert (code, "lie one in the other: choose another --out" in said) == (2, True)
    assert sorted(tmp_path.rglob("*")) == before


def test_beside_files_that_are_listed_there_is_room_for_the_output(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    need_place(tmp_path / "out", [str(tmp_path / "a.parquet")], [])
    with pytest.raises(Refusal, match="lie one in the other"):
        need_place(tmp_path, [str(tmp_path / "a.parquet")], [])
    with pytest.raises(Refusal, match="is a file"):
        need_place(tmp_path / "a.parquet", [], [])


@pytest.mark.parametrize(
    ("width", "encoder", "told"),
    [
        (16, "ab" * 32, "corpus has embeddings of dimension 32, tests of 16: embed both with the same model"),
        (
            32,
            "cd" * 32,
            "corpus was embedded by a model with weights abababababab…, tests by one with cdcdcdcdcdcd…: embed both",
        ),
    ],
    ids=["47-dimension", "47-model"],
)
def test_embeddings_of_different_models_are_refused(corpus, embedded, tmp_path, width, encoder, told):
    tests = embedded("tests", np.eye(width)[:3], ["a", "b", "c"], [3], encoder_sha256=encoder)
    code, said = run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.9, "--against", tests)
    assert (code, said[: len(told)]) == (2, told)
    assert files_in(tmp_path / "out") == {}


def test_a_model_that_is_not_known_is_said(corpus, embedded, tmp_path):
    tests = embedded("tests", np.eye(32)[:3], ["a", "b", "c"], [3], encoder_sha256="")
    code, said = run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.9, "--against", tests)
    assert code == 0
    assert "tests: nothing tells which model made these embeddings" in said


@pytest.mark.parametrize("value", [np.nan, 0, 0.9], ids=["38-nan", "39-zero", "47-not-normalised"])
def test_a_bad_row_is_refused_and_nothing_is_published(embedded, tmp_path, value):
    rows = np.eye(8)
    rows[5] *= value
    folder = embedded("corpus", rows, [f"u{row}" for row in range(8)], [4, 4])
    code, said = run("dedup", folder, "--out", tmp_path / "out", "--threshold", 0.9)
    assert code == 2
    assert "img_emb_0001.npy row 1 has length" in said
    assert not [name for name in files_in(tmp_path / "out") if not name.startswith(".")]


def test_another_threshold_needs_another_folder(corpus, tmp_path):
    run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.9)
    code, said = run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 0.8)
    assert (code, "plan.threshold=0.9, now plan.threshold=0.8" in said) == (2, True)


def test_a_threshold_must_be_given_and_be_a_cosine(corpus, tmp_path):
    with pytest.raises(cli._Misuse, match="threshold"):
        CliRunner().invoke(
            cli.app,
            ["dedup", str(corpus), "--out", str(tmp_path)],
            standalone_mode=False,
            catch_exceptions=False,
        )
    code, said = run("dedup", corpus, "--out", tmp_path / "out", "--threshold", 1)
    assert (code, said) == (2, "threshold 1, needed a cosine similarity from -1 to below 1, such as 0.95")


def test_an_option_of_a_test_set_that_is_not_given_is_refused(corpus, tmp_path):
    code, said = run(
        "dedup",
        corpus,
        "--out",
        tmp_path / "out",
        "--threshold",
        0.9,
        "--against-embeddings",
        tmp_path / "other",
    )
    assert (code, said.startswith("--against-embeddings is of a test set, and none is given")) == (2, True)
