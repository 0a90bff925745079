"""Case 50: a run killed anywhere goes on to the same bytes."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest


def test_a_stage_killed_again_and_again_ends_in_the_same_bytes(demo: Any, stage: str, kills: int) -> None:
    folder = demo.copy(f"killed in {stage}", before=stage)
    until = demo.until_after(stage)
    for fault in _schedule(demo, stage, kills):
        while True:
            ended = demo.run(folder, {**fault, **until}, workers=2 if fault["action"] == "kill main" else 1)
            if any(struck in (stage, "start") for _, struck, *_ in ended.strikes):
                break
            # The stage was through before it could be struck: a new start, and no more time than before.
            demo.expect_same(folder, through=stage)
            demo.remove(folder, stage)
            fault["delay"] = fault.get("delay", 0) / 2
    demo.run(folder, until)
    demo.expect_same(folder, through=stage)


def _schedule(demo: Any, stage: str, kills: int) -> list[dict[str, Any]]:
    """A third of the kills falls at any time, the others just before the n-th thing done to the stage's files."""
    rng = random.Random(f"kill {stage}")
    n_at_events = min(demo.events[stage], kills - kills // 3)
    points = sorted(rng.sample(range(1, demo.events[stage] + 1), n_at_events))
    gaps = [after - before for before, after in zip([0, *points], points, strict=False)]
    faults: list[dict[str, Any]] = [{"stage": stage, "event": gap} for gap in gaps]
    for _ in range(kills - n_at_events):
        delay = rng.uniform(0, demo.seconds[stage])
        faults.insert(rng.randrange(len(faults) + 1), {"stage": "start", "event": 1, "delay": delay})
    for fault in faults:
        fault["action"] = rng.choice(["kill", "kill", "kill main"])
    return faults


def test_a_run_killed_inside_each_step_of_a_write_ends_in_the_same_bytes(demo: Any) -> None:
    folder = demo.copy("killed in a write", before="count")
    until = demo.until_after("count")
    for kind in ("mkdir", "write", "sync", "rename", "settle"):
        for event in (1, 2):
            fault = {"stage": "count", "kinds": [kind], "event": event, "action": "kill", **until}
            (strike,) = demo.run(folder, fault).strikes
            assert strike[1:3] == ["count", kind]
    demo.run(folder, until)
    demo.expect_same(folder, through="count")


def test_a_training_killed_between_checkpoints_goes_on_from_the_last_to_the_same_model(demo: Any) -> None:
    folder = demo.copy("killed in training", before="train")
    # Of 20 steps: checkpoints after 4, 8, 12 and 16.
    more = {"checkpoint_every": 4, **demo.until_after("train")}
    place = {"stage": "train", "kinds": ["rename"], "name": "natural-strict/checkpoint"}
    for event in (1, 2, 2):  # just before those after steps 4, 8 and, gone on from 4, 12 are renamed
        ended = demo.run(folder, {**place, **more, "event": event, "action": "kill"})
        assert [strike[1] for strike in ended.strikes] == ["train"]
    rest = demo.run(folder, more, workers=2)
    renamed = [name for _, kind, name in rest.events if kind == "rename"]
    assert renamed.count("models/natural-strict/checkpoint.safetensors") == 2
    assert renamed.count("models/control/checkpoint.safetensors") == 4
    demo.expect_same(folder, through="train")


@pytest.mark.skipif(int(os.environ.get("KILLS", "3")) < 20, reason="takes minutes: make faults KILLS=20")
def test_a_training_of_250_steps_killed_ten_times_ends_in_the_same_bytes(demo: Any) -> None:
    more = ("--steps", "250")
    assert demo.run("long", workers=2, more=more).status == 0
    folder = demo.folder / "long killed"
    rng = random.Random("long")
    for _ in range(10):
        fault = {"stage": "train", "name": "step", "event": rng.randint(4, 16), "action": "kill"}
        demo.run(folder, {**fault, "delay": rng.uniform(0, 1)}, workers=2, more=more)
    assert demo.run(folder, workers=2, more=more).status == 0
    assert demo.hashes(folder) == demo.hashes(demo.folder / "long")
