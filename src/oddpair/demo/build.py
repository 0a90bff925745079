"""The stages of a run that lead from nothing to trained models, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from oddpair import stages
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.draw import draw_corpus, draw_tests, write_truth
from oddpair.benchmarks.miniature.rows import ChosenPair, choose_test_pairs
from oddpair.benchmarks.miniature.train import STEP, TrainPlan, train_model
from oddpair.benchmarks.miniature.world import World, make_world
from oddpair.demo.plan import Plan
from oddpair.jobs import run_jobs
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts_file import write_counts
from oddpair.retrieval.counting.tags import load_tags
from oddpair.retrieval.embed import EmbedTask, embed_corpora
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.encoder import reference_folder
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.exports.shards import export_webdataset
from oddpair.splits.manifest import Manifest, read_manifest

TESTS = ("natural", "rendition", "pairs")
MODELS = ("natural-strict", "control")
PAIR_STREAM = 11
# The pixels of open_clip's own transform: pictures are tiny here, and the figures of the study stay comparable.
REFERENCE = Tower(model="reference", exact=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the path: its plan, its folder, and how many processes it may use."""

    plan: Plan
    out: Path
    workers: int

    def world(self) -> World:
        """Plan the world; a function of the seed."""
        return make_world(self.plan.seed)

    def test_pairs(self, world: World) -> list[ChosenPair]:
        """Choose the pairs to test, before anything is drawn."""
        plan = self.plan
        return choose_test_pairs(
            world,
            plan.rows,
            held=plan.held_pairs,
            rare=plan.rare_pairs,
            seen=plan.seen_pairs,
            rng=np.random.default_rng((plan.seed, PAIR_STREAM)),
            minimum_count=plan.minimum_count,
        )


def draw_world(run: Run) -> None:
    """Draw corpus, test sets and the record of what was planted into ``world/``."""
    folder, plan = run.out / "world", run.plan
    versions = {name: version(name) for name in ("pillow", "numpy")}
    if not stages.begin(folder, {**plan.as_inputs(), "versions": versions}):
        return
    world = run.world()
    draw_corpus(world, folder, plan.rows, workers=run.workers)
    draw_tests(
        world,
        folder,
        per_concept=plan.per_concept,
        per_rendition=plan.per_rendition,
        test_pairs=run.test_pairs(world),
        per_pair=plan.per_pair,
        workers=run.workers,
    )
    write_truth(world, plan.rows, folder)
    stages.finish(folder)


def embed_world(run: Run) -> None:
    """Embed the corpus with its captions, and the test pictures, with the reference encoder."""
    tasks = [
        EmbedTask(
            corpus=open_corpus(run.out / "world" / name),
            out=run.out / "embeddings" / name,
            tower=REFERENCE,
            only_images=name != "corpus",
        )
        for name in ("corpus", *TESTS)
    ]
    embed_corpora(tasks, workers=run.workers, title="embed with the reference encoder")


def count_world(run: Run) -> None:
    """Count concepts and pairs in the corpus's captions and, by its tags, in its pictures."""
    folder, world = run.out / "counts", run.out / "world"
    if not stages.begin(folder, {"world": stages.digest(world)}):
        return
    metadata = open_corpus(world / "corpus").metadata()
    vocabulary = build_vocabulary(CONCEPTS)
    mentions = find_mentions(vocabulary, metadata["caption"].to_pylist())
    tags = load_tags(world / "truth" / "tags.parquet", vocabulary, metadata["uid"].to_pylist(), threshold=0.5)
    write_counts(folder, count(mentions, tags, vocabulary=vocabulary))
    stages.finish(folder)


def export_training(run: Run) -> None:
    """Write the training splits as webdataset shards into ``shards/``."""
    inputs = {"splits": stages.digest(run.out / "splits")}
    for name in MODELS:
        split = read_manifest(run.out / "splits" / name)
        export_split(split, run.out / "world" / "corpus", run.out / "shards" / name, inputs)


def export_split(split: Manifest, corpus: Path, folder: Path, inputs: Mapping[str, Any]) -> None:
    """Write a split of a corpus as webdataset shards, a stage made from ``inputs``."""
    if stages.begin(folder, inputs):
        export_webdataset(split, open_corpus(corpus), folder)
        stages.finish(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One model to train: on which shards, into which folder, by which plan."""

    shards: Path
    folder: Path
    plan: TrainPlan


def train_models(run: Run) -> None:
    """Train a tiny CLIP on each training split, side by side, into ``models/``."""
    train_splits(MODELS, run.out, TrainPlan(steps=run.plan.steps, seed=run.plan.seed), workers=run.workers)


def train_splits(names: Sequence[str], out: Path, plan: TrainPlan, *, workers: int) -> None:
    """Train a tiny CLIP on each of some exported splits, side by side; one that is complete is kept.

    Args:
        names: Folders in ``shards/``, and of the models in ``models/``.
        out: Folder of both.
        plan: How to train.
        workers: Processes.
    """
    train_all(
        [Training(shards=out / "shards" / name, folder=out / "models" / name, plan=plan) for name in names],
        workers=workers,
    )


def train_all(models: Sequence[Training], *, workers: int) -> None:
    """Train some tiny CLIPs side by side; one that is complete is kept.

    Args:
        models: The models, each in a folder of its own.
        workers: Processes.
    """
    jobs = []
    for model in models:
        inputs = {
            "shards": stages.digest(model.shards),
            "steps": model.plan.steps,
            "seed": model.plan.seed,
            "width": model.plan.width,
            "torch": version("torch"),
        }
        if stages.begin(model.folder, inputs):
            jobs.append(model)
    if not jobs:
        return

    def steps_done() -> int:
        return sum(_steps(job.folder) for job in jobs)

    run_jobs(
        _train,
        jobs,
        workers=workers,
        title="train " + " and ".join(job.folder.name for job in jobs),
        unit="steps",
        size=_steps_of,
        watch=steps_done,
    )


def embed_tests(run: Run) -> None:
    """Embed every test set with every trained model into ``model-embeddings/``."""
    tasks = [
        EmbedTask(
            corpus=open_corpus(run.out / "world" / name),
            out=run.out / "model-embeddings" / model / name,
            tower=Tower(model=str(run.out / "models" / model), exact=True),
            only_images=True,
        )
        for model in MODELS
        for name in TESTS
    ]
    embed_corpora(tasks, workers=run.workers, title="embed the test sets with the trained models")


def _train(job: Training) -> None:
    train_model(job.shards, reference_folder() / "bpe.txt.gz", job.folder, job.plan)
    # Here and not when all have ended: a model that is done has no checkpoint to go on from.
    stages.finish(job.folder)


def _steps_of(job: Training) -> int:
    return job.plan.steps


def _steps(folder: Path) -> int:
    try:
        return int((folder / STEP).read_text())
    except (OSError, ValueError):
        return 0
