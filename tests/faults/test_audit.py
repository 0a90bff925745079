"""Cases 50 to 54 and 56 of ``oddpair audit``, whose searches are made of small jobs; and sets with damaged or few pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.faults.verb_runs import VerbRuns
from typer.testing import CliRunner, Result

from oddpair import cli, files
from oddpair.errors import Refusal

COMMAND = """
from oddpair.cli import main
from oddpair.retrieval import neighbours

if __name__ == "__main__":
    neighbours.ROWS_PER_JOB = 1
    main()
"""
EMBEDDED = ["--embeddings", "emb-web", "--test-embeddings", "emb-val"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a test set and their embeddings, as a finished audit leaves them."""
    from oddpair.benchmarks.miniature.draw import draw_corpus
    from oddpair.benchmarks.miniature.world import make_world

    folder = tmp_path_factory.mktemp("audit")
    for seed, name, rows in ((5, "web", 400), (8, "val", 40)):
        draw_corpus(make_world(seed), folder / "drawn", rows, rows_per_shard=100, workers=1)
        (folder / "drawn" / "corpus").rename(folder / name)
        made = run("embed", folder / name, "--out", folder / f"emb-{name}", "--workers", 1)
        assert made.exit_code == 0, made.output
    (folder / "words.txt").write_text("clock\ndrum\ntree\nwhale\ncat\n")
    return folder


@pytest.fixture(scope="module")
def runs(folder: Path) -> VerbRuns:
    """Return what starts runs, with the undisturbed one made."""
    words = ["audit", "val", "--against", "web", *EMBEDDED]
    more = ["--vocabulary", "words.txt", "--precision", "0.6"]
    return VerbRuns(folder, COMMAND, words, more, passing=".work")


def run(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)


def test_50_an_audit_killed_again_and_again_ends_in_the_same_bytes(runs: VerbRuns, kills: int) -> None:
    runs.kill_again_and_again(kills, "kill audit")


@pytest.mark.parametrize("kind", ["mkdir", "write", "sync", "rename", "settle"])
def test_50_an_audit_killed_inside_each_step_of_a_write_ends_in_the_same_bytes(
    runs: VerbRuns, kind: str
) -> None:
    runs.kill_inside(kind, 1 if kind == "mkdir" else 2)


def test_51_no_space_is_told_in_one_line_and_the_next_run_ends_in_the_same_bytes(runs: VerbRuns) -> None:
    out = runs.new("full")
    runs.fill_disk(out, "images.parquet", 1, 1, f"{out}/images.parquet")


def test_52_an_interrupted_audit_exits_130_and_goes_on_to_the_same_bytes(runs: VerbRuns) -> None:
    runs.interrupt("rows_")


def test_54_a_second_run_names_the_first_and_a_dead_run_is_no_obstacle(runs: VerbRuns) -> None:
    runs.run_two("images.parquet", 1)


def test_56_workers_locale_hash_seed_and_order_of_files_change_no_byte(runs: VerbRuns) -> None:
    runs.shuffle({"shuffle": 3})


def audit(out: Path, folder: Path, *more: object) -> Result:
    words = ["audit", folder / "val", "--against", folder / "web", "--out", out, "--workers", 1]
    return run(*words, *more)


def test_a_corpus_that_changed_after_an_audit_is_refused_by_its_name(folder, tmp_path):
    shutil.copytree(folder / "web", tmp_path / "web")
    shutil.copytree(folder / "val", tmp_path / "val")
    assert audit(tmp_path / "out", tmp_path).exit_code == 0
    before = (tmp_path / "out" / "audit.json").read_bytes()
    for ending in (".tar", ".parquet", "_stats.json"):
        (tmp_path / "web" / f"00003{ending}").unlink()
    shutil.rmtree(tmp_path / "embeddings")
    with pytest.raises(Refusal, match=r"out was made with corpus="):
        audit(tmp_path / "out", tmp_path)
    assert (tmp_path / "out" / "audit.json").read_bytes() == before


def test_damaged_pictures_of_either_side_are_counted_and_stop_nothing(folder, tmp_path):
    for name in ("web", "val"):
        shutil.copytree(folder / name, tmp_path / name)
        tar = tmp_path / name / "00000.tar"
        data = bytearray(tar.read_bytes())
        # The first picture's bytes, behind the header of its member.
        data[512:560] = bytes(48)
        tar.write_bytes(bytes(data))
    result = audit(tmp_path / "out", tmp_path)
    assert result.exit_code == 0, result.output
    card = files.read_json(tmp_path / "out" / "audit.json")
    assert (card["tests"], card["rows"]) == (39, 399)


def test_a_test_set_of_one_picture_has_an_interval_as_wide_as_one_picture_tells(
    folder, tmp_path, noise, as_bytes, write_folder
):
    write_folder(tmp_path / "one", {"a.png": as_bytes(noise(1))}, ["a cat"])
    words = [
        "audit",
        tmp_path / "one",
        "--against",
        folder / "web",
        "--out",
        tmp_path / "out",
        "--workers",
        1,
    ]
    result = run(*words, "--embeddings", folder / "emb-web")
    assert result.exit_code == 0, result.output
    card = files.read_json(tmp_path / "out" / "audit.json")
    assert (card["tests"], card["duplicates"]["found"]["high"]) == (1, 0.975)
    # Of one value no interval of a median is bounded.
    assert card["nearness"]["corpus"]["median"]["low"] is None
