"""Case 55: a folder made from something else is refused, by name, and not touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--rows", "2100"), "rows=2000, now rows=2100"),
        (("--steps", "30"), "steps=20, now steps=30"),
        (("--seed", "1"), "seed=0, now seed=1"),
    ],
    ids=["rows", "steps", "seed"],
)
def test_another_plan_is_refused(demo: Any, more: tuple[str, ...], told: str) -> None:
    folder = demo.copy(f"plan {more[0]}")
    _expect_refusal(demo, folder, told, more=more)


@pytest.mark.parametrize(
    ("stage_folder", "path"),
    [
        ("world", ("versions", "pillow")),
        ("world", ("oddpair",)),
        ("embeddings/corpus", ("model", "torch")),
        ("models/control", ("torch",)),
        ("model-embeddings/control/pairs", ("model", "open_clip_torch")),
    ],
    ids=lambda value: value if isinstance(value, str) else ".".join(value),
)
def test_another_version_of_a_library_is_refused(demo: Any, stage_folder: str, path: tuple[str, ...]) -> None:
    folder = demo.copy(f"version {stage_folder} {'.'.join(path)}".replace("/", "-"))
    record = folder / stage_folder / "inputs.json"
    inputs = json.loads(record.read_text())
    place = inputs
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = "0.0.1"
    record.write_text(json.dumps(inputs))
    _expect_refusal(demo, folder, f'{folder / stage_folder} was made with {".".join(path)}="0.0.1", now ')


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("world/corpus/00001.parquet", "embeddings/corpus was made with files.00001.parquet="),
        ("world/natural/00000.parquet", "embeddings/natural was made with files.00000.parquet="),
        (
            "models/control/open_clip_model.safetensors",
            "model-embeddings/control/natural was made with model.weights=",
        ),
    ],
)
def test_a_changed_input_of_the_same_size_is_refused(demo: Any, changed: str, told: str) -> None:
    folder = demo.copy(f"input {changed.replace('/', '-')}")
    data = bytearray((folder / changed).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / changed).write_bytes(data)
    _expect_refusal(demo, folder, told)


def test_truncated_and_lost_files_are_made_again(demo: Any) -> None:
    folder = demo.copy("lost")
    for lost in ("world/corpus/00001.parquet", "counts/pairs.parquet", "report.html"):
        (folder / lost).unlink()
    for cut in ("world/natural/00000.tar", "models/control/open_clip_model.safetensors"):
        (folder / cut).write_bytes((folder / cut).read_bytes()[:-1])
    assert demo.run(folder).status == 0
    demo.expect_same(folder)


def _expect_refusal(demo: Any, folder: Path, told: str, **options: Any) -> None:
    before = demo.hashes(folder)
    ended = demo.run(folder, **options)
    assert ended.status == 2
    assert told in ended.line
    assert "choose another --out, or delete the folder to make it again" in ended.line
    assert demo.hashes(folder) == before
