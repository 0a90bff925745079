"""CLIP_benchmark, run as a user would run it, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-parity" / "bin" / "python"
_RUN = Path(__file__).resolve().parent / "theirs" / "run_and_keep.py"
RECALLS = (1, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Theirs:
    """What the peer found.

    Attributes:
        metrics: As its file has them.
        scores: For classes: logits, shape ``(pictures, classes)``; for retrieval: cosines, shape
            ``(texts, pictures)``.
        right: For classes: the right ones, shape ``(pictures,)``; for retrieval: which cosines are of a text and its
            picture, of the shape of the scores.
    """

    metrics: dict[str, float]
    scores: NDArray[np.float32]
    right: NDArray[np.int64]


def evaluate(
    sets: Sequence[Path], model: Path, task: str, out: Path, *, loaders: int = 1
) -> dict[str, Theirs]:
    """Run the peer's command in float32.

    Args:
        sets: Folders in its webdataset layout, side by side.
        model: Folder of a model.
        task: Its name for what is asked.
        out: Where its results go, a new folder.
        loaders: Processes that read and decode; with one the scores are in the order of the files.

    Returns:
        What it found, by name of set.
    """
    out.mkdir(parents=True)
    (home,) = {each.parent for each in sets}
    arguments = [
        *(
            "eval",
            "--dataset",
            *(f"wds/{each.name}" for each in sets),
            "--dataset_root",
            f"{home}/{{dataset}}",
        ),
        *("--model", f"local-dir:{model}", "--pretrained", "none", "--task", task, "--no_amp"),
        *("--num_workers", loaders, "--batch_size", 32, "--recall_k", *RECALLS),
        *("--output", f"{out}/{{dataset}}.json"),
    ]
    inherited = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    done = subprocess.run(
        [PYTHON, _RUN, out, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env=inherited | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, f"clip_benchmark ended with {done.returncode}:\n{done.stderr[-3000:]}"
    found = {}
    for number, each in enumerate(sets):
        with np.load(out / f"{number}.npz") as kept:
            found[each.name] = Theirs(
                metrics=json.loads((out / f"{each.name}.json").read_text())["metrics"],
                scores=kept["scores"],
                right=kept["right"],
            )
    return found
