"""The miniature's baseline of effective robustness: models trained on nested parts of a demo's natural split."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from oddpair import files, stages
from oddpair.benchmarks.miniature.train import STEP, TrainPlan, train_model
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.encoder import reference_folder
from oddpair.splits.exports.shards import export_webdataset
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest

SPLIT = "natural-strict"
# Denominators of the shares; the whole is the model that the demo has trained.
PARTS = (8, 4, 2)
_STREAM = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    shards: Path
    folder: Path
    plan: TrainPlan


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
            _export(part, demo, out)
        _train([part.name for part in parts], out, plan, workers=workers)
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


def _export(part: Manifest, demo: Path, out: Path) -> None:
    shards = out / "shards" / part.name
    if stages.begin(shards, {"uids": part.uids_sha256, "world": stages.digest(demo / "world")}):
        write_manifest(out / "splits" / part.name, part)
        export_webdataset(part, open_corpus(demo / "world" / "corpus"), shards)
        stages.finish(shards)


def _train(names: list[str], out: Path, plan: TrainPlan, *, workers: int) -> None:
    jobs = [
        _Training(shards=out / "shards" / name, folder=out / "models" / name, plan=plan) for name in names
    ]
    jobs = [job for job in jobs if stages.begin(job.folder, _inputs(job))]
    run_jobs(
        _train_one,
        jobs,
        workers=workers,
        title="train on parts of the natural split",
        unit="steps",
        size=_steps_of,
        watch=lambda: sum(_steps_done(job.folder) for job in jobs),
    )


def _inputs(job: _Training) -> dict[str, object]:
    return {
        "shards": stages.digest(job.shards),
        "steps": job.plan.steps,
        "seed": job.plan.seed,
        "torch": version("torch"),
    }


def _train_one(job: _Training) -> None:
    train_model(job.shards, reference_folder() / "bpe.txt.gz", job.folder, job.plan)
    stages.finish(job.folder)


def _steps_of(job: _Training) -> int:
    return job.plan.steps


def _steps_done(folder: Path) -> int:
    try:
        return int((folder / STEP).read_text())
    except (OSError, ValueError):
        return 0
