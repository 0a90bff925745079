"""Runs of one verb under faults, beside an undisturbed one, and the cases that are the same for each such verb."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.runs import HERE, ROOT, Ended, Started, hashes, temporaries


class VerbRuns:
    """Runs of a verb of ``oddpair`` under faults, and the undisturbed one to compare with."""

    def __init__(
        self,
        folder: Path,
        command: str,
        words: Sequence[str],
        more: Sequence[str],
        *,
        passing: str | None = None,
    ) -> None:
        """Make the undisturbed run.

        Args:
            folder: Where runs have their inputs.
            command: The program that is run in it.
            words: Verb and inputs.
            more: Options of every run that gives no others.
            passing: Folder of what a run removes at its end.
        """
        self.folder = folder
        self.count = 0
        self.words, self.more, self.passing = words, more, passing
        (folder / "command.py").write_text(command)
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
        more: Sequence[str] | None = None,
        **environment: str,
    ) -> Started:
        """Start a run with a fault that strikes its output folder."""
        self.count += 1
        notes = self.folder / f"notes-{self.count:03d}"
        paths = (HERE / "injected", ROOT / "src")
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), **environment}
        if fault is not None:
            variables["ODDPAIR_FAULT"] = json.dumps({"out": str(out), "notes": str(notes), **fault})
        options = self.more if more is None else more
        words = [*self.words, "--out", str(out), *options, "--workers", str(workers)]
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
        """Expect no temporary file, and beside what passes only files of the undisturbed run, with its bytes."""
        assert temporaries(out) == []
        found = hashes(out)
        if self.passing is not None:
            found = {name: value for name, value in found.items() if not name.startswith(f"{self.passing}/")}
        assert found.items() <= self.files.items()

    def expect_end(self, out: Path) -> None:
        """Expect that the next run ends in the same bytes."""
        assert self.run(out).status == 0
        self.expect_same(out)

    def kill_again_and_again(self, kills: int, seed: str) -> None:
        """Kill a run at random points of its writing, one after the other, the whole or its main process."""
        out, rng = self.new("killed"), random.Random(seed)
        points = sorted(rng.sample(range(1, len(self.kinds)), kills))
        for number, (before, after) in enumerate(zip([0, *points], points, strict=False)):
            main = number % 2
            fault = {"stage": "report", "event": after - before, "action": "kill main" if main else "kill"}
            struck = self.run(out, fault, workers=1 + main).strikes
            if not struck:
                self.expect_same(out)
                break
        self.expect_end(out)

    def kill_inside(self, kind: str, times: int) -> None:
        """Kill a run inside a step of a write, so many times."""
        out = self.new(f"killed in {kind}")
        for _ in range(times):
            fault = {"stage": "report", "kinds": [kind], "event": 2, "action": "kill"}
            (strike,) = self.run(out, fault).strikes
            assert strike[1:3] == ["report", kind]
        self.expect_end(out)

    def fill_disk(self, out: Path, name: str, event: int, workers: int, told: str) -> None:
        """Let there be no space for a file, and expect one line that tells so."""
        fault = {
            "stage": "report",
            "kinds": ["write", "sync"],
            "name": name,
            "event": event,
            "action": "full",
        }
        ended = self.run(out, fault, workers=workers)
        assert ended.status == 2
        assert f"no space left to write {told}" in ended.line
        self.expect_whole(out)
        self.expect_end(out)

    def interrupt(self, name: str) -> None:
        """Interrupt a run at the writing of a file, by both signals."""
        out = self.new("interrupted")
        for number, action, workers in ((signal.SIGTERM, "signal main", 1), (signal.SIGINT, "signal all", 2)):
            fault = {"stage": "report", "name": name, "event": 5, "action": action, "signals": [number]}
            ended = self.run(out, fault, workers=workers)
            assert ended.status == 130, ended.stderr
            assert ended.line == "oddpair: interrupted: run the same command again to go on from here"
            self.expect_whole(out)
        self.expect_end(out)

    def kill_a_worker(self) -> None:
        """Kill a worker once, which changes nothing."""
        out = self.new("worker killed once")
        ended = self.run(out, {"stage": "report", "event": 6, "action": "die", "where": "worker"}, workers=2)
        assert ended.status == 0
        assert [strike[0] for strike in ended.strikes] == ["die"]
        self.expect_same(out)

    def run_two(self, name: str, event: int) -> None:
        """Stop a run at the writing of a file, and start a second, which names the first."""
        out = self.new("two runs")
        first = self.start(out, {"stage": "report", "name": name, "event": event, "action": "stop"})
        end = time.monotonic() + 600
        while Path(f"/proc/{first.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            assert time.monotonic() < end
            time.sleep(0.05)
        second = self.run(out)
        assert second.status == 2
        assert f"{out} is in use by process {first.pid}:" in second.line
        os.kill(first.pid, signal.SIGKILL)
        assert first.end().status == -signal.SIGKILL
        self.expect_end(out)

    def shuffle(self, fault: dict[str, Any]) -> None:
        """Run with another locale, hash seed, number of workers and order of files."""
        out = self.new("shuffled")
        environment = {"LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "4242", "COLUMNS": "40"}
        assert self.run(out, fault, workers=3, **environment).status == 0
        self.expect_same(out)
