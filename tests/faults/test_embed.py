"""Cases 30 and 50 to 56 of ``oddpair embed``: over pictures, and over embeddings that are there."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.faults.embedding import DEADLY, MARK, ROWS
from tests.faults.runs import hashes


def test_50_an_embedding_killed_again_and_again_ends_in_the_same_bytes(embedding: Any, kills: int) -> None:
    out = embedding.new("killed")
    for fault in _schedule(embedding, kills):
        while not embedding.run(out, fault, workers=2 if fault["action"] == "kill main" else 1).strikes:
            # It was through before it could be struck: a new start, and no more time than before.
            embedding.expect_same(out)
            shutil.rmtree(out / "embeddings")
            fault["delay"] = fault.get("delay", 0) / 2
            fault["event"] = 1 + fault["event"] // 2
    assert embedding.run(out).status == 0
    embedding.expect_same(out)


def _schedule(embedding: Any, kills: int) -> list[dict[str, Any]]:
    """A third of the kills falls at any time, the others just before the n-th thing done to the files."""
    rng = random.Random("kill embed")
    n_at_events = kills - kills // 3
    points = sorted(rng.sample(range(1, embedding.events + 1), n_at_events))
    gaps = [after - before for before, after in zip([0, *points], points, strict=False)]
    faults: list[dict[str, Any]] = [{"stage": "embed", "event": gap} for gap in gaps]
    for _ in range(kills - n_at_events):
        delay = rng.uniform(0, embedding.seconds)
        faults.insert(rng.randrange(len(faults) + 1), {"stage": "embed", "event": 1, "delay": delay})
    for fault in faults:
        fault["action"] = rng.choice(["kill", "kill", "kill main"])
    return faults


@pytest.mark.parametrize("kind", ["mkdir", "write", "sync", "rename", "settle"])
def test_50_an_embedding_killed_inside_each_step_of_a_write_ends_in_the_same_bytes(
    embedding: Any, kind: str
) -> None:
    out = embedding.new(f"killed in {kind}")
    for event in (2, 3, 2):
        fault = {"stage": "embed", "kinds": [kind], "event": event, "action": "kill"}
        (strike,) = embedding.run(out, fault).strikes
        assert strike[1:3] == ["embed", kind]
    assert embedding.run(out).status == 0
    embedding.expect_same(out)


@pytest.mark.parametrize("workers", [1, 2])
def test_51_no_space_is_told_in_one_line_and_the_next_run_ends_in_the_same_bytes(
    embedding: Any, workers: int
) -> None:
    out = embedding.new(f"full {workers}")
    rng = random.Random("full embed")
    # The first writes are the lock and what the folder is made from, by the main process.
    where = {"where": "worker"} if workers > 1 else {}
    for kind, kinds in (("rename", ["rename"]), ("write", ["write", "sync"])):
        before = {name: mark for name, mark in hashes(out).items() if not name.endswith("inputs.json")}
        event = 2 if workers > 1 else rng.randint(3, embedding.writes[kind] // 2)
        fault = {"stage": "embed", "kinds": kinds, "event": event, "action": "full", **where}
        ended = embedding.run(out, fault, workers=workers)
        assert ended.status == 2
        assert f"no space left to write {out}/embeddings/" in ended.line
        assert ended.line.endswith(": free some space and run again, everything finished so far is kept")
        embedding.expect_whole(out)
        assert before.items() <= hashes(out).items()
    assert embedding.run(out).status == 0
    embedding.expect_same(out)


@pytest.mark.parametrize(("where", "workers"), [({}, 1), ({"where": "worker"}, 2)], ids=["main", "worker"])
def test_52_an_interrupted_embedding_exits_130_and_goes_on_to_the_same_bytes(
    embedding: Any, where: dict[str, str], workers: int
) -> None:
    out = embedding.new(f"interrupted {workers}")
    # To the process alone, as kill and systems do, then, as a terminal does, to its workers too.
    for number, action in ((signal.SIGTERM, "signal main"), (signal.SIGINT, "signal all")):
        fault = {"stage": "embed", "event": 9, "action": action, "signals": [number], **where}
        ended = embedding.run(out, fault, workers=workers)
        assert ended.status == 130, ended.stderr
        assert ended.line == "oddpair: interrupted: run the same command again to go on from here"
        embedding.expect_whole(out)
    assert embedding.run(out).status == 0
    embedding.expect_same(out)


def test_53_a_worker_killed_once_changes_nothing(embedding: Any) -> None:
    out = embedding.new("worker killed once")
    fault = {"stage": "embed", "event": 6, "action": "die", "where": "worker"}
    ended = embedding.run(out, fault, workers=2)
    assert ended.status == 0
    assert [strike[0] for strike in ended.strikes] == ["die"]
    embedding.expect_same(out)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"action": "die", "stays": True}, "a worker process was killed"),
        ({"action": "stop", "timeout": 12}, "the workers hang"),
    ],
    ids=["killed each time", "hung"],
)
def test_53_workers_that_die_or_hang_end_the_run_and_the_next_ends_in_the_same_bytes(
    embedding: Any, fault: dict[str, Any], told: str
) -> None:
    out = embedding.new(f"worker {told}")
    ended = embedding.run(out, {"stage": "embed", "event": 3, "where": "worker", **fault}, workers=2)
    assert ended.status == 2
    assert told in ended.line
    assert "run again" in ended.line
    embedding.expect_whole(out)
    assert embedding.run(out).status == 0
    embedding.expect_same(out)


def test_54_a_second_run_names_the_first_and_a_dead_run_is_no_obstacle(shards: Any) -> None:
    out = shards.new("two runs")
    first = shards.start(out, {"stage": "embed", "event": 12, "action": "stop"}, fresh=True)
    _wait_until_stopped(first.pid)
    before = hashes(out)
    second = shards.run(out)
    assert second.status == 2
    assert f"{out}/embeddings is in use by process {first.pid}:" in second.line
    assert hashes(out) == before
    os.kill(first.pid, signal.SIGKILL)
    assert first.end().status == -signal.SIGKILL
    assert shards.run(out).status == 0
    shards.expect_same(out)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"options": ()}, r"model.weights="),
        ({"more": ("--precision", "bf16")}, 'model.precision="fp32", now model.precision="bf16"'),
        ({"more": ("--preprocess", "exact")}, 'model.resizing="exact"'),
    ],
    ids=["model", "precision", "preprocess"],
)
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "half-made"])
def test_55_another_setting_is_refused_by_its_name(
    shards: Any, change: dict[str, Any], told: str, finished: bool
) -> None:
    out = shards.copy(f"changed {told[:15]} {finished}")
    if not finished:
        for name in ("done.json", "manifest.json", "records/record_0002.json"):
            (out / "embeddings" / name).unlink()
    _expect_refusal(shards, out, told, **change)


@pytest.mark.parametrize("name", ["00004.parquet", "00004.tar"])
def test_55_a_changed_shard_is_refused_by_its_name(shards: Any, name: str) -> None:
    corpus = shutil.copytree(shards.corpus, shards.folder / f"changed-{name}")
    data = bytearray((corpus / name).read_bytes())
    # A tar is known by its size, which is what every other pair of shards differs in.
    changed = bytes(data) + bytes(10240) if name.endswith("tar") else _flip(data)
    (corpus / name).write_bytes(changed)
    out = shards.copy(f"of a changed {name}")
    _expect_refusal(shards, out, f"files.{name}=", corpus=corpus)


def test_55_changed_embeddings_are_refused_by_their_name(taken: Any) -> None:
    corpus = shutil.copytree(taken.corpus, taken.folder / "changed-rows")
    path = corpus / "img_emb" / "img_emb_0002.npy"
    path.write_bytes(_flip(bytearray(path.read_bytes())))
    out = taken.copy("of changed rows")
    _expect_refusal(taken, out, "files.img_emb/img_emb_0002.npy=", corpus=corpus)


@pytest.mark.parametrize(
    ("workers", "environment"),
    [
        (1, {"LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu"}),
        (3, {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "4242", "OMP_NUM_THREADS": "3", "COLUMNS": "40"}),
    ],
    ids=["one worker", "three workers"],
)
def test_56_workers_locale_hash_seed_place_and_order_of_files_change_no_byte(
    embedding: Any, workers: int, environment: dict[str, str]
) -> None:
    place = embedding.new(f"another place {workers}")
    shutil.copytree(embedding.corpus, place / "a corpus")
    ended = embedding.run(
        Path("out"),
        {"shuffle": workers, "listed": [str(place)]},
        workers=workers,
        corpus=Path("a corpus"),
        fresh=True,
        environment=environment,
        folder=place,
    )
    assert ended.status == 0
    embedding.expect_same(place / "out")


def test_30_a_picture_that_kills_the_decoder_is_quarantined_and_all_others_are_embedded(shards: Any) -> None:
    outs = [shards.new(f"deadly {number}") for number in range(2)]
    for out, workers in zip(outs, (2, 3), strict=True):
        ended = shards.run(out, {"deadly": MARK.decode()}, workers=workers)
        assert ended.status == 0, ended.stderr
    assert hashes(outs[0]) == hashes(outs[1])

    lines = _quarantine(outs[0])
    killers = [line for line in lines if line["reason"] == "kills the decoder"]
    reference = shards.reference / "embeddings"
    uids = [_metadata(reference, shard) for shard in range(6)]
    assert [line["uid"] for line in killers] == [uids[shard][row] for shard, row in DEADLY]
    assert [line for line in lines if line not in killers] == _quarantine(shards.reference)
    for shard in range(6):
        deadly = [row for place, row in DEADLY if place == shard]
        kept = [row for row in range(len(uids[shard])) if row not in deadly]
        assert _metadata(outs[0] / "embeddings", shard) == [uids[shard][row] for row in kept]
        for kind in ("img_emb", "text_emb", "texture"):
            name = f"{kind}/{kind}_{shard:04d}.npy"
            expected = np.load(reference / name)[kept]
            assert np.load(outs[0] / "embeddings" / name).tobytes() == expected.tobytes(), name
    manifest = json.loads((outs[0] / "embeddings" / "manifest.json").read_text())
    assert sum(manifest["rows"]) + manifest["quarantined"] == manifest["seen"] == 6 * ROWS


def test_30_more_of_them_than_max_bad_is_exit_3(shards: Any) -> None:
    out = shards.new("deadly and strict")
    ended = shards.run(out, {"deadly": MARK.decode()}, workers=2, more=("--max-bad", "0.001"))
    assert ended.status == 3
    assert "--max-bad is 0.001: see " in ended.line
    assert "quarantined" in ended.stdout


def test_30_a_model_that_crashes_convicts_no_picture(shards: Any) -> None:
    out = shards.new("deadly model")
    ended = shards.run(out, {"deadly_batch": 2}, workers=2)
    assert ended.status == 2
    # Two jobs crash side by side, and either may be the first to do so once too often.
    assert re.search(r"a worker process crashed \(SIGSEGV\) in job [12] of 6", ended.line)
    shards.expect_whole(out)
    assert shards.run(out).status == 0
    shards.expect_same(out)


def _expect_refusal(embedding: Any, out: Path, told: str, **options: Any) -> None:
    before = hashes(out)
    ended = embedding.run(out, **options)
    assert ended.status == 2
    assert f"{out}/embeddings was made with " in ended.line
    assert told in ended.line
    assert "choose another --out, or delete the folder to make it again" in ended.line
    assert hashes(out) == before


def _flip(data: bytearray) -> bytes:
    data[len(data) // 2] ^= 1
    return bytes(data)


def _metadata(folder: Path, shard: int) -> list[str]:
    found: list[str] = pq.read_table(folder / f"metadata/metadata_{shard:04d}.parquet")["uid"].to_pylist()
    return found


def _quarantine(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "embeddings" / "quarantine.jsonl").read_text().splitlines()]


def _wait_until_stopped(pid: int) -> None:
    end = time.monotonic() + 600
    while time.monotonic() < end:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T":
            return
        time.sleep(0.05)
    raise TimeoutError
