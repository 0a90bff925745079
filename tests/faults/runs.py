"""Runs of the command line under faults: started in a fresh process or forked from a warm one, and judged."""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# No expectation of speed: only a run that never ends is stopped by it.
HANGS_AFTER = 900.0
ORPHANS_LIVE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a run left: exit status (negative: the signal that killed it), its words, and the fault's notes."""

    status: int
    stdout: str
    stderr: str
    events: list[list[str]]
    strikes: list[list[str]]

    @property
    def line(self) -> str:
        """The one line by which a run that stopped itself says why."""
        (line,) = (text for text in self.stderr.splitlines() if text.startswith("oddpair: "))
        return line


class Started:
    """A run under way; ``pid`` is also its session and process group."""

    def __init__(self, pid: int, wait: Any, notes: Path) -> None:
        self.pid = pid
        self._wait = wait
        self._notes = notes

    def end(self) -> Ended:
        """Wait for the end and check what holds for every run: no hang, no traceback, no orphan."""
        try:
            status = self._wait(HANGS_AFTER)
        except TimeoutError:
            _kill_group(self.pid)
            pytest.fail(f"the run hangs; it said: {self._read('stderr')[-2000:]}")
        self._expect_no_orphan()
        notes = [line.split("\t") for line in self._read("events").splitlines()]
        ended = Ended(
            status=status,
            stdout=self._read("stdout"),
            stderr=self._read("stderr"),
            events=[note for note in notes if note[0] != "strike"],
            strikes=[note[1:] for note in notes if note[0] == "strike"],
        )
        for sign in ("Traceback", "Exception ignored", "Error:"):
            assert sign not in ended.stderr, ended.stderr
        if status in (2, 130):
            assert ended.line
            assert "resource_tracker" not in ended.stderr, ended.stderr
        else:
            assert status in (0, 3, -signal.SIGKILL), ended.stderr
        return ended

    def _expect_no_orphan(self) -> None:
        end = time.monotonic() + ORPHANS_LIVE
        while _living(self.pid) and time.monotonic() < end:
            time.sleep(0.02)
        orphans = _living(self.pid)
        _kill_group(self.pid)
        assert not orphans, f"left behind: {orphans}"

    def _read(self, name: str) -> str:
        path = Path(f"{self._notes}.{name}")
        return path.read_text() if path.exists() else ""


class Launcher:
    """Starts runs of ``oddpair``, in a fresh process or forked from one with the libraries loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = 0
        self._server: subprocess.Popen[str] | None = None
        (folder / "notes").mkdir()

    def start(
        self,
        arguments: Sequence[str],
        fault: dict[str, Any] | None,
        *,
        fresh: bool = False,
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> Started:
        """Start ``oddpair`` with a fault; its ``out`` is the folder whose files are struck."""
        self._runs += 1
        notes = self.folder / "notes" / f"{self._runs:04d}"
        text = None if fault is None else json.dumps({"notes": str(notes), **fault})
        if fresh:
            return self._start_fresh(notes, list(arguments), text, environment or {}, folder or self.folder)
        return self._start_warm(notes, list(arguments), text)

    def close(self) -> None:
        """End the process with the libraries."""
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            self._server.wait(60)
            assert self._server.stdout is not None
            self._server.stdout.close()

    def _start_fresh(
        self, notes: Path, arguments: list[str], fault: str | None, environment: dict[str, str], folder: Path
    ) -> Started:
        variables = {**self._environment(), **environment}
        if fault is not None:
            variables["ODDPAIR_FAULT"] = fault
        with Path(f"{notes}.stdout").open("wb") as stdout, Path(f"{notes}.stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(Path(sys.executable).with_name("oddpair")), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=variables,
                cwd=folder,
                start_new_session=True,
            )

        def wait(seconds: float) -> int:
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise TimeoutError from None

        return Started(process.pid, wait, notes)

    def _start_warm(self, notes: Path, arguments: list[str], fault: str | None) -> Started:
        server = self._server = self._server or self._start_server()
        questions, answers = server.stdin, server.stdout
        assert questions is not None
        assert answers is not None
        request = {"arguments": arguments, "fault": fault}
        names = {name: f"{notes}.{name}" for name in ("stdout", "stderr")}
        questions.write(json.dumps({**request, **names}) + "\n")
        questions.flush()
        pid = int(answers.readline())

        def wait(seconds: float) -> int:
            if not select.select([answers], [], [], seconds)[0]:
                raise TimeoutError
            return int(answers.readline())

        return Started(pid, wait, notes)

    def _start_server(self) -> subprocess.Popen[str]:
        server = subprocess.Popen(
            [sys.executable, str(HERE / "injected" / "warm.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment(),
            cwd=self.folder,
            text=True,
        )
        assert server.stdout is not None
        if server.stdout.readline() != "ready\n":
            server.communicate()
            raise RuntimeError("the libraries cannot be loaded, see the traceback above")
        return server

    def _environment(self) -> dict[str, str]:
        paths = (HERE / "injected", ROOT / "src")
        return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that is not hidden, by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def temporaries(folder: Path) -> list[str]:
    """Return the hidden files other than the lock."""
    return [path.name for path in folder.rglob(".*") if path.is_file() and path.name != ".lock"]


def _living(session: int) -> list[str]:
    # A process that waits to be reaped is no orphan.
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state = re.split(r"\) ", (entry / "stat").read_text(), maxsplit=1)[1].split()
            if int(state[3]) == session and state[0] not in "ZX":
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes().decode()!r}")
        except (OSError, IndexError):
            continue
    return found


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
