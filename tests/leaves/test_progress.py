import io
import subprocess
import sys
import time

import pytest

from oddpair.errors import Refusal
from oddpair.progress import say, track, visible


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_short_step_says_one_closing_line_with_its_rate(capsys, clock):
    with track("drawing the world", 22_000) as step:
        clock.now += 8.0
        step.advance(22_000)
    captured = capsys.readouterr()
    assert captured.err == "drawing the world: 22,000 rows in 8.0 s (2,750 rows/s)\n"
    assert captured.out == ""


def test_a_long_step_says_a_line_every_ten_seconds_at_most(capsys, clock):
    with track("embedding", 400, "shards") as step:
        for _ in range(40):
            clock.now += 1.0
            step.advance(10)
    assert capsys.readouterr().err.splitlines() == [
        "embedding: 100 of 400 shards, 10 shards/s, 30 s left",
        "embedding: 200 of 400 shards, 10 shards/s, 20 s left",
        "embedding: 300 of 400 shards, 10 shards/s, 10 s left",
        "embedding: 400 of 400 shards, 10 shards/s, 0.0 s left",
        "embedding: 400 shards in 40 s (10 shards/s)",
    ]


def test_quarantined_units_are_told_when_there_are_any(capsys, clock):
    with track("reading", 10) as step:
        clock.now += 200.0
        step.quarantine(3)
        step.advance(7)
    assert capsys.readouterr().err.splitlines() == [
        "reading: 7 of 10 rows, 0.035 rows/s, 86 s left, 3 quarantined",
        "reading: 7 rows in 3 min 20 s (0.035 rows/s), 3 quarantined",
    ]


def test_what_an_earlier_run_did_is_done_and_enters_neither_rate_nor_time_left(capsys, clock):
    with track("embedding", 1000) as step:
        step.skip(800)
        assert step.status() == "800 of 1,000 rows"
        clock.now += 10.0
        step.advance(100)
        assert step.status() == "900 of 1,000 rows, 10 rows/s, 10 s left"
        clock.now += 10.0
        step.advance(100)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "embedding: 1,000 rows in 20 s (10 rows/s), 800 of them done before"
    )


def test_an_error_ends_the_block_without_a_closing_line(capsys):
    with pytest.raises(Refusal, match="no corpus"), track("reading", 10):
        raise Refusal("no corpus")
    assert capsys.readouterr().err == ""


def test_a_step_without_units_ends_in_a_line_too(capsys, clock):
    with track("reading", 0):
        clock.now += 0.5
    assert capsys.readouterr().err == "reading: 0 rows in 0.5 s (0 rows/s)\n"


def test_a_terminal_shows_a_bar_and_keeps_only_the_closing_line(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with track("[bold]drawing", 1000) as step:
        step.advance(250)
        step.quarantine(2)
    written = terminal.getvalue()
    assert "[bold]drawing 250 of 1,000 rows" in written.replace("\x1b[0m", "")
    assert "2 quarantined" in written
    assert "━" in written
    assert written.splitlines()[-1].split("\x1b[2K")[1].startswith("[bold]drawing: 250 rows in ")


def test_a_worker_process_is_silent():
    code = (
        "import multiprocessing, sys\n"
        "from oddpair.progress import track\n"
        "multiprocessing.parent_process = lambda: object()\n"
        "with track('drawing', 3) as step: step.advance(3)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stderr == b""


def test_a_line_that_is_said_stays_one_line_and_cannot_steer_the_terminal(capsys):
    say("caption \x1b[2J\r\nowl \u202egnp.exe \u2028 café 猫\x00")
    assert capsys.readouterr().err == "caption \\x1b[2J\\r\\nowl \\u202egnp.exe \\u2028 café 猫\\x00\n"


def test_visible_text_is_left_alone_and_can_always_be_encoded():
    assert visible("pine tree, 34.1\u202f%") == "pine tree, 34.1\u202f%"
    assert visible("lone \ud800").encode("utf-8") == b"lone \\ud800"


def test_rich_is_not_imported_before_a_bar_is_shown():
    code = "import sys, oddpair.progress, oddpair.files, oddpair.jobs, oddpair.stages; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"rich", "numpy", "pyarrow", "torch", "pandas", "threadpoolctl"} & set(run.stdout.split())
