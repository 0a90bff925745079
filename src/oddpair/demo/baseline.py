"""The miniature's baseline of effective robustness: models trained on nested parts of a demo's natural split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddpair import files, stages
from oddpair.benchmarks.miniature.train import TrainPlan
from oddpair.demo.build import export_split, train_splits
from oddpair.errors import Refusal
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest

SPLIT = "natural-strict"
# Denominators of the shares; the whole is the model that the demo has trained.
PARTS = (8, 4, 2)
_STREAM = 31


def train_baseline(demo: Path, out: Path, *, workers: int) -> list[Path]:
    """Train natural-only models on 1/8, 1/4 and 1/2 of a finished demo's natural split.

    Parts are random, and each holds the smaller ones. Every model takes the steps that the demo's own model took
    and starts from its weights, so that models differ in data alone: a smaller part is seen more often. What
    is complete is kept, and an interrupted training goes on.

    Args:
        demo: Folder of the demo.
        out: Folder for ``splits/``, ``shards/`` and ``models/``.
        workers: Processes.

    Returns:
        Model folders from the smallest part to the whole, which is the demo's own.

    Raises:
        Refusal: If the demo is not finished, or its smallest part holds fewer rows than a batch.
    """
    whole = demo / "models" / SPLIT
    for needed in (whole / "training.json", demo / "splits" / SPLIT / "manifest.json"):
        if not needed.is_file():
            raise Refusal(f"{needed} does not exist: let oddpair demo finish first")
    plan = TrainPlan(**files.read_json(whole / "training.json")["plan"])
    parts = cut_parts(read_manifest(demo / "splits" / SPLIT), seed=plan.seed)
    if len(parts[0]) < plan.batch:
        raise Refusal(
            f"{demo}: the smallest part of {SPLIT} holds {len(parts[0]):,} rows, a batch needs {plan.batch}: "
            "use a demo of more rows"
        )
    with files.locked(out):
        for part in parts:
            inputs = {"uids": part.uids_sha256, "world": stages.digest(demo / "world")}
            export_split(part, demo / "world" / "corpus", out / "shards" / part.name, inputs)
            write_manifest(out / "splits" / part.name, part)
        train_splits([part.name for part in parts], out, plan, workers=workers)
    return [*(out / "models" / part.name for part in parts), whole]


def cut_parts(split: Manifest, *, seed: int) -> list[Manifest]:
    """Return random parts of a split, the smallest first; each holds the ones before it.

    Args:
        split: The split.
        seed: Of the order in which rows are taken.
    """
    order = np.random.default_rng((seed, _STREAM)).permutation(len(split))
    uids = split.uids.to_pylist()
    return [
        Manifest(
            name=f"{SPLIT}-1-of-{part}",
            recipe="part",
            uids=sorted(uids[row] for row in order[: len(uids) // part]),
            parameters={"part_of": split.name, "share": 1 / part, "seed": seed},
            provenance={"part_of": split.uids_sha256},
        )
        for part in PARTS
    ]
