"""Cases 50 to 56 of ``oddpair split similarity``, whose jobs are made small enough to be many."""

from __future__ import annotations

import numpy as np
import pytest
from tests.faults.verb_runs import VerbRuns
from tests.retrieval.brute_force import draw_names, unit
from tests.retrieval.stored_folder import write_stored

from oddpair import stages

SHARDS, ROWS = 4, 30
# The real command, with jobs of one shard each, and blocks of few rows where near-duplicates are dropped.
COMMAND = """
from oddpair.cli import main
from oddpair.retrieval import neighbours
from oddpair.retrieval.dedup import DedupPlan
from oddpair.splits.similar import pruning as similarity

if __name__ == "__main__":
    neighbours.ROWS_PER_JOB = 1
    similarity.DedupPlan = lambda threshold: DedupPlan(threshold=threshold, block=30)
    main()
"""
SETTINGS = {"sizes": "[0.5]", "deduplicate": "0.9", "combined": "false", "sampled": "4"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> VerbRuns:
    """Return what starts runs, with the undisturbed one made."""
    folder = tmp_path_factory.mktemp("split")
    rng = np.random.default_rng(0)
    rows, uids = unit(rng.normal(size=(SHARDS * ROWS, 6)), np.float16), draw_names(rng, SHARDS * ROWS)
    tests = unit(rng.normal(size=(9, 6)), np.float16), draw_names(rng, 9)
    sets = {"corpus": (rows, uids), "known": (rows[:20], uids[:20]), "tests": tests}
    for name, (each, names) in sets.items():
        stages.begin(folder / name, {"name": name})
        write_stored(folder / name, each, names, [ROWS] * SHARDS if name == "corpus" else [len(names)])
        stages.finish(folder / name)
    words = ["split", "similarity", "--corpus", "corpus", "--tests", "tests", "--reference", "known"]
    options = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    return VerbRuns(folder, COMMAND, words, options, passing="work/duplicate-parts")


def test_50_a_split_killed_again_and_again_ends_in_the_same_bytes(runs: VerbRuns, kills: int) -> None:
    runs.kill_again_and_again(kills, "kill split")


@pytest.mark.parametrize("kind", ["mkdir", "write", "sync", "rename", "settle", "remove"])
def test_50_a_split_killed_inside_each_step_of_a_write_ends_in_the_same_bytes(
    runs: VerbRuns, kind: str
) -> None:
    runs.kill_inside(kind, 1 if kind in ("mkdir", "remove") else 2)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("name", "event"), [("neighbours-tests/rows/", 3), ("scores.npy", 1)])
def test_51_no_space_is_told_in_one_line_and_the_next_run_ends_in_the_same_bytes(
    runs: VerbRuns, workers: int, name: str, event: int
) -> None:
    out = runs.new(f"full {workers} {name.replace('/', '')}")
    runs.fill_disk(out, name, event, workers, f"{out}/work/")


def test_52_an_interrupted_split_exits_130_and_goes_on_to_the_same_bytes(runs: VerbRuns) -> None:
    runs.interrupt("work/")


def test_53_a_worker_killed_once_changes_nothing(runs: VerbRuns) -> None:
    runs.kill_a_worker()


def test_54_a_second_run_names_the_first_and_a_dead_run_is_no_obstacle(runs: VerbRuns) -> None:
    runs.run_two("rows_", 5)


def test_56_workers_locale_hash_seed_and_order_of_files_change_no_byte(runs: VerbRuns) -> None:
    runs.shuffle({"shuffle": 3})
