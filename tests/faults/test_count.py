"""Cases 50 to 56 of ``oddpair count``, whose jobs are made small enough to be many."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.faults.runs import HERE, ROOT, Ended, Started, hashes, temporaries
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


class Runs:
    """Runs of ``oddpair count`` under faults, and the undisturbed one to compare with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        (folder / "command.py").write_text(COMMAND)
        rows = [(uid_of(number), caption) for number, caption in enumerate(draw_captions(2, ROWS))]
        write_tables(folder / "corpus", rows, parts=SHARDS)
        self.reference = folder / "reference"
        ended = self.run(self.reference, {})
        assert ended.status == 0, ended.stderr
        self.kinds = [kind for stage, kind, _ in ended.events if stage == "report"]
        self.files = hashes(self.reference)

    def start(
        self,
        out: Path,
        fault: dict[str, Any] | None = None,
        *,
        workers: int = 1,
        more: tuple[str, ...] = OPTIONS,
        **environment: str,
    ) -> Started:
        """Start a run with a fault that strikes its output folder."""
        self.count += 1
        notes = self.folder / f"notes-{self.count:03d}"
        paths = (HERE / "injected", ROOT / "src")
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), **environment}
        if fault is not None:
            variables["ODDPAIR_FAULT"] = json.dumps({"out": str(out), "notes": str(notes), **fault})
        words = ["count", "corpus", "--out", str(out), *more, "--workers", str(workers)]
        with Path(f"{notes}.stdout").open("wb") as stdout, Path(f"{notes}.stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "command.py", *words],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=variables,
                cwd=self.folder,
                start_new_session=True,
            )

        def wait(seconds: float) -> int:
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise TimeoutError from None

        return Started(process.pid, wait, notes)

    def run(self, out: Path, fault: dict[str, Any] | None = None, **options: Any) -> Ended:
        """Start a run and wait for its end."""
        return self.start(out, fault, **options).end()

    def new(self, name: str) -> Path:
        """Return a folder to run into."""
        return self.folder / name.replace(" ", "-")

    def expect_same(self, out: Path) -> None:
        """Expect the files of the undisturbed run, byte for byte, and no other."""
        assert hashes(out) == self.files
        assert temporaries(out) == []

    def expect_whole(self, out: Path) -> None:
        """Expect no temporary file, and beside the parts only files of the undisturbed run, with its bytes."""
        assert temporaries(out) == []
        found = {name: value for name, value in hashes(out).items() if not name.startswith("parts/")}
        assert found.items() <= self.files.items()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return what starts runs, with the undisturbed one made."""
    return Runs(tmp_path_factory.mktemp("count"))


def test_50_a_count_killed_again_and_again_ends_in_the_same_bytes(runs: Runs, kills: int) -> None:
    out, rng = runs.new("killed"), random.Random("kill count")
    points = sorted(rng.sample(range(1, len(runs.kinds)), kills))
    for number, (before, after) in enumerate(zip([0, *points], points, strict=False)):
        main = number % 2
        fault = {"stage": "report", "event": after - before, "action": "kill main" if main else "kill"}
        struck = runs.run(out, fault, workers=1 + main).strikes
        if not struck:
            runs.expect_same(out)
            break
    assert runs.run(out).status == 0
    runs.expect_same(out)


@pytest.mark.parametrize("kind", ["mkdir", "write", "sync", "rename", "settle", "remove"])
def test_50_a_count_killed_inside_each_step_of_a_write_ends_in_the_same_bytes(runs: Runs, kind: str) -> None:
    out = runs.new(f"killed in {kind}")
    for _ in range(1 if kind in ("mkdir", "remove") else 2):
        fault = {"stage": "report", "kinds": [kind], "event": 2, "action": "kill"}
        (strike,) = runs.run(out, fault).strikes
        assert strike[1:3] == ["report", kind]
    assert runs.run(out).status == 0
    runs.expect_same(out)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("name", "event"), [("record_", 2), ("counts.parquet", 1)])
def test_51_no_space_is_told_in_one_line_and_the_next_run_ends_in_the_same_bytes(
    runs: Runs, workers: int, name: str, event: int
) -> None:
    out = runs.new(f"full {workers} {name}")
    fault = {"stage": "report", "kinds": ["write", "sync"], "name": name, "event": event, "action": "full"}
    ended = runs.run(out, fault, workers=workers)
    assert ended.status == 2
    assert f"no space left to write {out}/" in ended.line
    runs.expect_whole(out)
    assert runs.run(out).status == 0
    runs.expect_same(out)


def test_52_an_interrupted_count_exits_130_and_goes_on_to_the_same_bytes(runs: Runs) -> None:
    out = runs.new("interrupted")
    for number, action, workers in ((signal.SIGTERM, "signal main", 1), (signal.SIGINT, "signal all", 2)):
        fault = {"stage": "report", "name": "record_", "event": 5, "action": action, "signals": [number]}
        ended = runs.run(out, fault, workers=workers)
        assert ended.status == 130, ended.stderr
        assert ended.line == "oddpair: interrupted: run the same command again to go on from here"
        runs.expect_whole(out)
    assert runs.run(out).status == 0
    runs.expect_same(out)


def test_53_a_worker_killed_once_changes_nothing(runs: Runs) -> None:
    out = runs.new("worker killed once")
    ended = runs.run(out, {"stage": "report", "event": 6, "action": "die", "where": "worker"}, workers=2)
    assert ended.status == 0
    assert [strike[0] for strike in ended.strikes] == ["die"]
    runs.expect_same(out)


def test_54_a_second_run_names_the_first_and_a_dead_run_is_no_obstacle(runs: Runs) -> None:
    out = runs.new("two runs")
    first = runs.start(out, {"stage": "report", "name": "counts.parquet", "event": 1, "action": "stop"})
    end = time.monotonic() + 600
    while Path(f"/proc/{first.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        assert time.monotonic() < end
        time.sleep(0.05)
    second = runs.run(out)
    assert second.status == 2
    assert f"{out} is in use by process {first.pid}:" in second.line
    os.kill(first.pid, signal.SIGKILL)
    assert first.end().status == -signal.SIGKILL
    assert runs.run(out).status == 0
    runs.expect_same(out)


def test_55_a_count_that_was_killed_goes_on_with_the_same_inputs_alone(runs: Runs) -> None:
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


def test_56_workers_locale_hash_seed_and_order_of_files_change_no_byte(runs: Runs) -> None:
    out = runs.new("shuffled")
    environment = {"LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "4242", "COLUMNS": "40"}
    fault = {"shuffle": 3, "listed": [str(runs.folder / "corpus")]}
    assert runs.run(out, fault, workers=3, **environment).status == 0
    runs.expect_same(out)
