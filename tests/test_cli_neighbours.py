import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.retrieval.brute_force import draw_names, unit
from tests.retrieval.stored_folder import write_manifest, write_stored

from oddpair import files, stages
from oddpair.cli import app
from oddpair.errors import Refusal
from oddpair.retrieval.neighbours import gap_thresholds
from oddpair.retrieval.stored import open_stored


def run(*arguments):
    app([str(word) for word in ("neighbours", *arguments)], standalone_mode=False)


def embedded(folder, seed, n, sizes=None):
    """A folder that looks as ``oddpair embed`` leaves it."""
    rng = np.random.default_rng(seed)
    stages.begin(folder, {"seed": seed})
    write_stored(folder, unit(rng.normal(size=(n, 5)), np.float16), draw_names(rng, n), sizes or [n])
    stages.finish(folder)
    return folder


@pytest.fixture
def sides(tmp_path):
    return embedded(tmp_path / "corpus", 1, 40, [25, 15]), embedded(tmp_path / "tests", 2, 30)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, noise, as_bytes, write_folder):
    """Eight pictures, and a test set of five, of which two are among them."""
    folder = tmp_path_factory.mktemp("pictures")
    ours = {f"{seed}.png": as_bytes(noise(seed)) for seed in range(8)}
    theirs = {f"test-{seed}.png": as_bytes(noise(seed)) for seed in (3, 5, 20, 21, 22)}
    corpus = write_folder(folder / "corpus", ours, [f"picture {seed}" for seed in range(8)])
    return corpus, write_folder(folder / "tests", theirs, ["a test"] * 5)


def test_pictures_on_both_sides_are_embedded_and_shown_beside_each_other(
    pictures, transformer, tmp_path, capsys
):
    corpus, tests = pictures
    out = tmp_path / "out"
    run(
        corpus,
        "--tests",
        tests,
        "--out",
        out,
        "-k",
        2,
        "--above",
        0.9999,
        "--model",
        transformer,
        "--workers",
        1,
    )
    nearest = pq.read_table(out / "samples.parquet").to_pylist()[:2]
    assert {line["caption"] for line in nearest} == {"picture 3", "picture 5"}
    assert [line["score"] for line in nearest] == pytest.approx([1, 1], abs=1e-3)
    rows = pq.read_table(out / "rows" / "rows_0000.parquet").to_pylist()
    assert {row["uid"] for row in rows if row["hit"]} == {line["uid"] for line in nearest}
    told = capsys.readouterr().out
    assert told.startswith(f"8 rows and 5 test images, the nearest of each: {out}\n")
    assert "of 40 similarities " in told
    page = (out / "page.html").read_text()
    # Both pictures of a pair are one file.
    assert page.count("data:image/jpeg") == 5
    assert "1.000 picture 3" in page
    assert sorted(path.name[:6] for path in (tmp_path / "embeddings").iterdir()) == ["corpus", "tests-"]


def test_finished_embeddings_are_searched_where_they_lie(sides, tmp_path, capsys):
    corpus, tests = sides
    out = tmp_path / "out"
    run(corpus, "--tests", tests, "--out", out)
    assert not (tmp_path / "embeddings").exists()
    assert sum(pq.read_table(path).num_rows for path in (out / "rows").iterdir()) == 40
    page = (out / "page.html").read_text()
    assert "data:image" not in page
    assert "caption of " in page
    assert "kept" not in page
    assert "are above a threshold" not in capsys.readouterr().out


def test_a_reference_set_marks_what_similarity_gap_pruning_removes(sides, tmp_path, capsys):
    corpus, tests = sides
    reference = embedded(tmp_path / "reference", 3, 20)
    run(corpus, "--tests", tests, "--out", tmp_path / "out", "--reference", reference)
    tau = gap_thresholds(open_stored(reference), open_stored(tests))
    stored = [open_stored(folder).read(0, n).astype(np.float64) for folder, n in ((corpus, 40), (tests, 30))]
    expected = ((stored[0] @ stored[1].T).astype(np.float32) > tau).any(axis=1)
    tables = [pq.read_table(tmp_path / "out" / "rows" / f"rows_000{shard}.parquet") for shard in (0, 1)]
    hits = [hit for table in tables for hit in table["hit"].to_pylist()]
    assert hits == expected.tolist()
    assert 0 < sum(hits) < 40
    assert f"    {sum(hits)} rows are above a threshold, {40 - sum(hits)} are not" in capsys.readouterr().out


def test_a_second_run_does_nothing_and_a_lost_file_is_made_again_with_the_page(sides, tmp_path, capsys):
    corpus, tests = sides
    out = tmp_path / "out"
    arguments = (corpus, "--tests", tests, "--out", out, "--above", 0.5)
    run(*arguments)

    def content():
        return {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}

    before, page = content(), (out / "page.html").stat().st_mtime_ns
    capsys.readouterr()
    run(*arguments)
    assert "similarities" not in capsys.readouterr().out
    assert (out / "page.html").stat().st_mtime_ns == page
    (out / "rows" / "rows_0001.parquet").unlink()
    run(*arguments)
    assert content() == before
    assert "page.html" not in files.read_json(out / "done.json")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            ("--above", 0.5, "--reference", "x"),
            "--above and --reference both say which rows to mark: give one",
        ),
        (
            ("--embeddings", "e"),
            "corpus holds finished embeddings, and e would go unused: leave the option out",
        ),
        (("--test-embeddings", "e"), "tests holds finished embeddings, and e would go unused"),
        (("--reference", "nowhere"), "nowhere"),
        (
            ("--device", "cuda", "--first-pass", "int8"),
            "--first-pass int8 is of the processor, --device cuda has one",
        ),
    ],
    ids=["two rules", "embeddings", "test embeddings", "no reference", "device"],
)
def test_what_would_go_unused_or_is_not_there_is_refused(sides, tmp_path, more, told):
    corpus, tests = sides
    with pytest.raises(Refusal, match=told):
        run(corpus, "--tests", tests, "--out", tmp_path / "out", *more)
    assert not list((tmp_path / "out").glob("[!.]*"))


def test_a_gpu_that_is_not_there_is_refused(sides, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    corpus, tests = sides
    with pytest.raises(Refusal, match="device cuda: torch finds no such GPU here"):
        run(corpus, "--tests", tests, "--out", tmp_path / "out", "--device", "cuda", "--workers", 1)


def test_the_embeddings_are_no_place_to_write(sides, tmp_path):
    corpus, tests = sides
    before = sorted(tmp_path.rglob("*"))
    for out in (corpus, tests, tests / "inside", tmp_path):
        with pytest.raises(Refusal, match="lie one in the other: choose another --out"):
            run(corpus, "--tests", tests, "--out", out)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_corpus_is_no_place_to_write_and_gets_no_lock(pictures, sides, transformer):
    corpus, _ = pictures
    before = sorted(corpus.rglob("*"))
    with pytest.raises(Refusal, match="is the corpus, which is never written to"):
        run(corpus, "--tests", sides[1], "--out", corpus, "--model", transformer)
    assert sorted(corpus.rglob("*")) == before


@pytest.mark.parametrize("inputs", [None, {"plan": 1}], ids=["no run", "another verb"])
def test_a_page_of_somebody_else_is_left_alone(sides, tmp_path, inputs):
    page = tmp_path / "out" / "page.html"
    files.write_text(page, "mine")
    if inputs:
        files.write_json(page.parent / "inputs.json", inputs)
    with pytest.raises(Refusal, match=r"out (holds page\.html but no inputs\.json|was made with)"):
        run(sides[0], "--tests", sides[1], "--out", page.parent)
    assert page.read_text() == "mine"


def test_embeddings_of_two_models_are_refused(sides, tmp_path):
    corpus, tests = sides
    write_manifest(tests, encoder_sha256="cd" * 32)
    stages.finish(tests)
    with pytest.raises(Refusal, match=r"tests by one with cdcdcdcdcdcd…: embed both with the same model"):
        run(corpus, "--tests", tests, "--out", tmp_path / "out")


def test_a_second_run_at_the_same_time_is_refused(sides, tmp_path):
    corpus, tests = sides
    with files.locked(tmp_path / "out"), pytest.raises(Refusal, match="out is in use by process"):
        run(corpus, "--tests", tests, "--out", tmp_path / "out")
