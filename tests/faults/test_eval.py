"""Cases 50 to 56 of ``oddpair eval``, whose blocks of prompts are made small enough to be many."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.faults.verb_runs import VerbRuns

COMMAND = """
from oddpair.cli import main
from oddpair.eval import text_cache

if __name__ == "__main__":
    text_cache.TEXTS_PER_BLOCK = 2
    main()
"""
BENCHMARK = """
benchmark: shapes
version: 1
about: Two classes.
sets:
  all: {layout: class-folders, path: pictures}
templates:
  two: ["a {}", "a photo of a {}", "a drawing of a {}"]
tasks:
  both: {set: all, kind: classification, family: natural, templates: two}
  bare: {set: all, kind: classification, family: natural, templates: ["{}"]}
gaps:
  difference: {first: [both], second: [bare]}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> VerbRuns:
    """Return what starts runs, with the undisturbed one made."""
    folder = tmp_path_factory.mktemp("eval")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(4):
            picture = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(picture, "PNG")
            (folder / "pictures" / name / f"{number}.png").write_bytes(picture.getvalue())
    (folder / "shapes.yaml").write_text(BENCHMARK)
    return VerbRuns(
        folder, COMMAND, ["eval", "--model", "reference", "--suite", "shapes.yaml"], [], passing="locks"
    )


def test_50_an_evaluation_killed_again_and_again_ends_in_the_same_bytes(runs: VerbRuns, kills: int) -> None:
    runs.kill_again_and_again(kills, "kill eval")


@pytest.mark.parametrize("kind", ["write", "rename"])
def test_50_an_evaluation_killed_inside_a_step_of_a_write_ends_in_the_same_bytes(
    runs: VerbRuns, kind: str
) -> None:
    runs.kill_inside(kind, 1)


@pytest.mark.parametrize(("name", "event"), [("texts/", 3), ("img_emb", 1)])
def test_51_no_space_is_told_in_one_line_and_the_next_run_ends_in_the_same_bytes(
    runs: VerbRuns, name: str, event: int
) -> None:
    out = runs.new(f"full {name.replace('/', '')}")
    runs.fill_disk(out, name, event, 1, f"{out}/")


def test_51_a_task_that_cannot_be_written_leaves_the_others_and_the_next_run_ends_in_the_same_bytes(
    runs: VerbRuns,
) -> None:
    out = runs.new("full at one task")
    fault = {"kinds": ["write", "sync"], "name": "shapes.both.parquet", "event": 1, "action": "full"}
    ended = runs.run(out, {"stage": "report", **fault})
    assert ended.status == 2
    assert "1 of 2 scores failed, and the others are kept; the first: no space left to write" in ended.line
    assert [path.name for path in out.glob("*/*.result.json")] == ["shapes.bare.result.json"]
    runs.expect_end(out)


def test_52_an_interrupted_evaluation_exits_130_and_goes_on_to_the_same_bytes(runs: VerbRuns) -> None:
    runs.interrupt("texts/")


def test_53_a_worker_killed_once_changes_nothing(runs: VerbRuns) -> None:
    runs.kill_a_worker()


def test_54_a_second_run_names_the_first_and_a_dead_run_is_no_obstacle(runs: VerbRuns) -> None:
    runs.run_two("texts/", 5)


def test_56_workers_locale_hash_seed_and_order_of_files_change_no_byte(runs: VerbRuns) -> None:
    runs.shuffle({"shuffle": 3})
