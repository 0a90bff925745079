"""Cases 50 to 56 of ``oddpair count``, whose jobs are made small enough to be many."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from tests.faults.runs import hashes
from tests.faults.verb_runs import VerbRuns
from tests.retrieval.counting.count_data import draw_captions, uid_of, write_tables

SHARDS, ROWS = 6, 180
# The real command, with jobs of one shard each, in processes of their own where several are asked for.
COMMAND = """
from oddpair.cli import main
from oddpair.retrieval.counting import shard_jobs

if __name__ == "__main__":
    shard_jobs.ROWS_PER_JOB = 1
    shard_jobs.FEW_ROWS = 1
    main()
"""
# Without names the words are mined, in a pass of its own; with few concepts for pairs, these take another.
OPTIONS = ("--pair-concepts", "4", "--postings", "--mined", "9")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> VerbRuns:
    """Return what starts runs, with the undisturbed one made."""
    folder = tmp_path_factory.mktemp("count")
    rows = [(uid_of(number), caption) for number, caption in enumerate(draw_captions(2, ROWS))]
    write_tables(folder / "corpus", rows, parts=SHARDS)
    return VerbRuns(folder, COMMAND, ["count", "corpus"], OPTIONS, passing="parts")


def test_50_a_count_killed_again_and_again_ends_in_the_same_bytes(runs: VerbRuns, kills: int) -> None:
    runs.kill_again_and_again(kills, "kill count")


@pytest.mark.parametrize("kind", ["mkdir", "write", "sync", "rename", "settle", "remove"])
def test_50_a_count_killed_inside_each_step_of_a_write_ends_in_the_same_bytes(
    runs: VerbRuns, kind: str
) -> None:
    runs.kill_inside(kind, 1 if kind in ("mkdir", "remove") else 2)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("name", "event"), [("record_", 2), ("counts.parquet", 1)])
def test_51_no_space_is_told_in_one_line_and_the_next_run_ends_in_the_same_bytes(
    runs: VerbRuns, workers: int, name: str, event: int
) -> None:
    out = runs.new(f"full {workers} {name}")
    runs.fill_disk(out, name, event, workers, f"{out}/")


def test_52_an_interrupted_count_exits_130_and_goes_on_to_the_same_bytes(runs: VerbRuns) -> None:
    runs.interrupt("record_")


def test_53_a_worker_killed_once_changes_nothing(runs: VerbRuns) -> None:
    runs.kill_a_worker()


def test_54_a_second_run_names_the_first_and_a_dead_run_is_no_obstacle(runs: VerbRuns) -> None:
    runs.run_two("counts.parquet", 1)


def test_55_a_count_that_was_killed_goes_on_with_the_same_inputs_alone(runs: VerbRuns) -> None:
    out = runs.new("changed")
    fault = {"stage": "report", "name": "record_", "event": 4, "action": "kill"}
    assert runs.run(out, fault).strikes
    before = hashes(out)
    for more, named in (
        ((*OPTIONS, "--overlap", "longest"), 'rules.overlap="all", now rules.overlap="longest"'),
        ((*OPTIONS[:1], "5", *OPTIONS[2:]), "pairs.concepts=4, now pairs.concepts=5"),
    ):
        ended = runs.run(out, more=more)
        assert ended.status == 2
        assert named in ended.line
        assert hashes(out) == before
    table = runs.folder / "corpus" / "part-003.parquet"
    whole = table.read_bytes()
    try:
        pq.write_table(pq.read_table(table).slice(1), table)
        ended = runs.run(out)
        assert ended.status == 2
        assert f"{out} was made with corpus=" in ended.line
        assert hashes(out) == before
    finally:
        table.write_bytes(whole)
    assert runs.run(out).status == 0
    runs.expect_same(out)


def test_56_workers_locale_hash_seed_and_order_of_files_change_no_byte(runs: VerbRuns) -> None:
    runs.shuffle({"shuffle": 3, "listed": [str(runs.folder / "corpus")]})
