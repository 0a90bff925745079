"""Cases 52 and 53: an interrupted run, and a run whose worker dies or hangs."""

from __future__ import annotations

import signal
from typing import Any

import pytest

# Where workers work, where the main process does, and where workers run for long.
PLACES: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("draw", {"where": "worker"}, 2),
    ("split", {}, 1),
    ("train", {"where": "worker", "delay": 0.5}, 2),
)


@pytest.mark.parametrize(("stage_hit", "where", "workers"), PLACES, ids=[place[0] for place in PLACES])
def test_an_interrupted_run_exits_130_with_one_line_and_goes_on_to_the_same_bytes(
    demo: Any, stage_hit: str, where: dict[str, Any], workers: int
) -> None:
    folder = demo.copy(f"interrupted in {stage_hit}", before=stage_hit)
    # To the process alone, as kill and systems do, then, as a terminal does, to its workers too.
    for number, action in ((signal.SIGTERM, "signal main"), (signal.SIGINT, "signal all")):
        fault = {"stage": stage_hit, "event": 2, "action": action, "signals": [number], **where}
        ended = demo.run(folder, fault, workers=workers)
        assert ended.status == 130, ended.stderr
        assert ended.line == "oddpair: interrupted: run the same command again to go on from here"
        demo.expect_whole(folder)
    demo.run(folder, demo.until_after(stage_hit))
    demo.expect_same(folder, through=stage_hit)


def test_an_impatient_user_changes_nothing(demo: Any) -> None:
    folder = demo.copy("impatient", before="draw")
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGINT]
    fault = {"stage": "draw", "event": 3, "action": "signal all", "signals": signals, "where": "worker"}
    ended = demo.run(folder, fault, workers=2)
    assert ended.status == 130
    demo.expect_whole(folder)


def test_the_installed_command_is_interrupted_while_its_workers_start(demo: Any) -> None:
    folder = demo.copy("interrupted at the start", before="draw")
    fault = {"stage": "draw", "event": 1, "action": "signal all", "signals": [signal.SIGINT], "delay": 0.2}
    ended = demo.run(folder, fault, workers=2, fresh=True)
    assert ended.status == 130
    demo.expect_whole(folder)


def test_a_worker_killed_once_changes_nothing(demo: Any) -> None:
    folder = demo.copy("worker killed once", before="draw")
    fault = {"stage": "draw", "event": 2, "action": "die", "where": "worker"}
    ended = demo.run(folder, {**fault, **demo.until_after("draw")}, workers=2)
    assert [strike[0] for strike in ended.strikes] == ["die", "kill"]
    demo.expect_same(folder, through="draw")


def test_a_worker_killed_each_time_ends_the_run_and_the_next_ends_in_the_same_bytes(demo: Any) -> None:
    folder = demo.copy("worker killed", before="draw")
    fault = {"stage": "draw", "event": 2, "action": "die", "stays": True, "where": "worker"}
    ended = demo.run(folder, fault, workers=2)
    assert ended.status == 2
    assert "a worker process was killed" in ended.line
    assert "run again" in ended.line
    demo.expect_whole(folder)
    demo.run(folder, demo.until_after("draw"))
    demo.expect_same(folder, through="draw")


def test_a_hung_worker_ends_the_run_and_the_next_ends_in_the_same_bytes(demo: Any) -> None:
    folder = demo.copy("worker hung", before="draw")
    fault = {"stage": "draw", "event": 2, "action": "stop", "where": "worker", "timeout": 6}
    ended = demo.run(folder, fault, workers=2)
    assert ended.status == 2
    assert "the workers hang" in ended.line
    assert "run again" in ended.line
    demo.expect_whole(folder)
    demo.run(folder, demo.until_after("draw"))
    demo.expect_same(folder, through="draw")
