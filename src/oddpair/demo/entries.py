"""``python -m oddpair.demo.entries``: tiny CLIPs of several sizes and training splits, submitted to the leaderboard."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from oddpair import files, stages
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.train import TrainPlan
from oddpair.benchmarks.suite import read_suite
from oddpair.commands.evaluate import evaluate
from oddpair.commands.evaluate_plan import make_plan, read_splits
from oddpair.commands.submit import submit
from oddpair.demo.baseline import cut_parts
from oddpair.demo.build import Training, export_split, train_all
from oddpair.errors import Refusal
from oddpair.eval.board.corpora import write_corpus
from oddpair.eval.models_file import ModelChoice
from oddpair.eval.results import find_results, name_folder
from oddpair.eval.submission.template import count_parameters
from oddpair.progress import say
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts_file import write_counts
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.manifest import Manifest, read_manifest

BENCHMARK = "miniature"
HANDLE = "oddpair"
SUBMISSIONS, CORPORA = Path("benchmarks/submissions"), Path("benchmarks/corpora")

WHOLE, NATURAL, CONTROL = "corpus", "natural-strict", "control"
QUARTER = f"{NATURAL}-1-of-4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One model of the leaderboard's first entries: its width, and the split that it is trained on."""

    width: int
    split: str

    @property
    def name(self) -> str:
        """Name of the model and of its folder."""
        return f"tiny-{self.width}-{self.split}"


# Sizes beside sizes, and corpora beside corpora of one size: natural pictures alone, as many of all styles, a quarter of
# the natural ones, and everything.
ENTRIES = (
    *(Trained(width=width, split=split) for split in (NATURAL, CONTROL) for width in (8, 16, 32)),
    Trained(width=16, split=QUARTER),
    Trained(width=16, split=WHOLE),
)


def train_entries(demo: Path, out: Path, *, workers: int) -> list[Path]:
    """Train the models on parts of a finished demo's corpus; what is complete is kept.

    Args:
        demo: Folder of the demo.
        out: Folder for ``shards/`` and ``models/``.
        workers: Processes.

    Returns:
        Model folders, in the order of `ENTRIES`.

    Raises:
        Refusal: If the demo is not finished.
    """
    training = demo / "models" / NATURAL / "training.json"
    if not training.is_file():
        raise Refusal(f"{training} does not exist: let oddpair demo finish first")
    plan = TrainPlan(**files.read_json(training)["plan"])
    with files.locked(out):
        for split in find_splits(demo, seed=plan.seed):
            inputs = {"uids": split.uids_sha256, "world": stages.digest(demo / "world")}
            export_split(split, demo / "world" / "corpus", out / "shards" / split.name, inputs)
        models = [
            Training(
                shards=out / "shards" / entry.split,
                folder=out / "models" / entry.name,
                plan=replace(plan, width=entry.width),
            )
            for entry in ENTRIES
        ]
        train_all(models, workers=workers)
    return [model.folder for model in models]


def find_splits(demo: Path, *, seed: int) -> list[Manifest]:
    """Return the splits that `ENTRIES` are trained on.

    Args:
        demo: Folder of a finished demo.
        seed: Of the random part.
    """
    natural = read_manifest(demo / "splits" / NATURAL)
    uids = open_corpus(demo / "world" / "corpus").metadata()["uid"].to_pylist()
    return [
        natural,
        read_manifest(demo / "splits" / CONTROL),
        next(part for part in cut_parts(natural, seed=seed) if part.name == QUARTER),
        Manifest(name=WHOLE, recipe="all", uids=sorted(uids), parameters={}, provenance={}),
    ]


def score_entries(demo: Path, out: Path, models: list[Path], *, workers: int) -> Path:
    """Score the models on the tasks that ranks need.

    Args:
        demo: Folder of a finished demo.
        out: Folder for ``scores/``.
        models: Model folders.
        workers: Processes.

    Returns:
        The folder of results.

    Raises:
        Refusal: If a task cannot be scored.
    """
    tasks = [task for task in read_suite().required if task.startswith(f"{BENCHMARK}.")]
    plan = make_plan(
        [BENCHMARK],
        {BENCHMARK: demo / "world"},
        read_splits([str(demo / "splits")]),
        only=tasks,
    )
    results = out / "scores"
    with files.locked(results):
        done = evaluate(
            [ModelChoice(model=str(model)) for model in models],
            plan,
            results,
            cache=results / "cache",
            workers=workers,
        )
    if done.failures:
        name, why = next(iter(done.failures.items()))
        raise Refusal(f"{name}: {why}")
    return results


def count_splits(demo: Path, out: Path, corpora: Path, *, seed: int) -> None:
    """Count the concepts in the captions of the splits, and write them for the leaderboard to foretell accuracies from.

    Args:
        demo: Folder of a finished demo.
        out: What `train_entries` wrote.
        corpora: Folder to write.
        seed: Of the random part.
    """
    vocabulary = build_vocabulary(CONCEPTS)
    for split in find_splits(demo, seed=seed):
        shards, folder = out / "shards" / split.name, out / "counts" / split.name
        if stages.begin(folder, {"shards": stages.digest(shards)}):
            captions = open_corpus(shards).metadata()["caption"].to_pylist()
            write_counts(folder, count(find_mentions(vocabulary, captions), vocabulary=vocabulary))
            stages.finish(folder)
        write_corpus(corpora, f"{BENCHMARK}-{split.name}", split.uids_sha256, folder)


def declare(entry: Trained, folder: Path, split: Manifest, plan: TrainPlan) -> dict[str, Any]:
    """Return the declaration of a model: what it was trained on, and for how long.

    Args:
        entry: The model.
        folder: Its folder.
        split: What it was trained on.
        plan: How.
    """
    return {
        "handle": HANDLE,
        "model": entry.name,
        "architecture": f"ResNet of width {entry.width}",
        "parameters": count_parameters(folder / "open_clip_model.safetensors"),
        "open_weights": False,
        "training": [{"name": f"{BENCHMARK}-{split.name}", "manifest": split.uids_sha256}],
        "samples_seen": plan.steps * plan.batch,
        "variants_tried": 1,
        "links": {},
    }


def submit_entries(demo: Path, out: Path, submissions: Path, corpora: Path, *, workers: int) -> list[Path]:
    """Train, score and submit every model; what is finished is kept.

    Args:
        demo: Folder of a finished demo.
        out: Folder of models, scores and declarations.
        submissions: Folder of submissions.
        corpora: Folder of corpora whose counts are known.
        workers: Processes.

    Returns:
        The folders of the submissions.

    Raises:
        Refusal: If the demo is not finished, or a submission is refused, such as one of a tree with changes.
    """
    models = train_entries(demo, out, workers=workers)
    plan = TrainPlan(**files.read_json(demo / "models" / NATURAL / "training.json")["plan"])
    splits = {split.name: split for split in find_splits(demo, seed=plan.seed)}
    # Before anything is written to the repository, whose tree a run must find without changes.
    results = score_entries(demo, out, models, workers=workers)
    count_splits(demo, out, corpora, seed=plan.seed)
    written = []
    for entry, folder in zip(ENTRIES, models, strict=True):
        path = out / "declarations" / f"{entry.name}.yaml"
        told = declare(entry, folder, splits[entry.split], plan)
        files.write_text(path, yaml.safe_dump(told, sort_keys=False))
        done = submit(find_results([results / name_folder(str(folder), None)]), path, submissions)
        if done.folder is None:
            raise Refusal(f"{entry.name} cannot be submitted: {done.problems[0]}")
        say(f"submitted: {done.folder}")
        written.append(done.folder)
    return written


def main() -> None:
    """Run from the command line: ``python -m oddpair.demo.entries --demo DIR --out DIR``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    try:
        submit_entries(asked.demo, asked.out, SUBMISSIONS, CORPORA, workers=asked.workers)
    except Refusal as refusal:
        say(f"oddpair: {refusal}")
        sys.exit(2)


if __name__ == "__main__":
    main()
