"""Cases 50 to 54 and 56 of ``oddpair neighbours``, whose jobs are made small enough to be many."""

from __future__ import annotations

import numpy as np
import pytest
from tests.faults.verb_runs import VerbRuns
from tests.retrieval.brute_force import draw_names, unit
from tests.retrieval.stored_folder import write_stored

from oddpair import stages

SHARDS, ROWS = 6, 30
# The real command, with jobs of one shard each.
COMMAND = """
from oddpair.cli import main
from oddpair.retrieval import neighbours

if __name__ == "__main__":
    neighbours.ROWS_PER_JOB = 1
    main()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> VerbRuns:
    """Return what starts runs, with the undisturbed one made."""
    folder = tmp_path_factory.mktemp("neighbours")
    for name, seed, sizes in (("corpus", 0, [ROWS] * SHARDS), ("tests", 1, [9])):
        rng = np.random.default_rng(seed)
        n = sum(sizes)
        stages.begin(folder / name, {"seed": seed})
        write_stored(folder / name, unit(rng.normal(size=(n, 8)), np.float16), draw_names(rng, n), sizes)
        stages.finish(folder / name)
    words = ["neighbours", "corpus", "--tests", "tests"]
    return VerbRuns(folder, COMMAND, words, ["-k", "3", "--above", "0.6"])


def test_50_a_search_killed_again_and_again_ends_in_the_same_bytes(runs: VerbRuns, kills: int) -> None:
    runs.kill_again_and_again(kills, "kill neighbours")


@pytest.mark.parametrize("kind", ["mkdir", "write", "sync", "rename", "settle"])
def test_50_a_search_killed_inside_each_step_of_a_write_ends_in_the_same_bytes(
    runs: VerbRuns, kind: str
) -> None:
    runs.kill_inside(kind, 1 if kind == "mkdir" else 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_51_no_space_is_told_in_one_line_and_the_next_run_ends_in_the_same_bytes(
    runs: VerbRuns, workers: int
) -> None:
    out = runs.new(f"full {workers}")
    runs.fill_disk(out, "rows_", 3, workers, f"{out}/rows/")


def test_52_an_interrupted_search_exits_130_and_goes_on_to_the_same_bytes(runs: VerbRuns) -> None:
    runs.interrupt("rows_")


def test_53_a_worker_killed_once_changes_nothing(runs: VerbRuns) -> None:
    runs.kill_a_worker()


def test_54_a_second_run_names_the_first_and_a_dead_run_is_no_obstacle(runs: VerbRuns) -> None:
    runs.run_two("rows_", 5)


def test_56_workers_locale_hash_seed_and_order_of_files_change_no_byte(runs: VerbRuns) -> None:
    runs.shuffle({"shuffle": 3})
