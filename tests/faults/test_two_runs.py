"""Case 54: two runs at once in one folder."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


def test_a_second_run_names_the_first_and_a_dead_run_is_no_obstacle(demo: Any) -> None:
    folder = demo.copy("two runs")
    (folder / "report.html").unlink()
    first = demo.start(folder, {"stage": "report", "event": 1, "action": "stop"}, fresh=True)
    _wait_until_stopped(first.pid)
    before = demo.hashes(folder)
    second = demo.run(folder)
    assert second.status == 2
    assert f"{folder} is in use by process {first.pid}:" in second.line
    assert demo.hashes(folder) == before
    os.kill(first.pid, signal.SIGKILL)
    assert first.end().status == -signal.SIGKILL
    assert (folder / ".lock").read_text() == str(first.pid)
    assert demo.run(folder).status == 0
    demo.expect_same(folder)


def _wait_until_stopped(pid: int) -> None:
    end = time.monotonic() + 600
    while time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T":
            return
        time.sleep(0.05)
    raise TimeoutError
