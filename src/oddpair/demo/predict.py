"""The stage that asks every trained model every question, and keeps each answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from oddpair import stages
from oddpair.benchmarks.benchmark import Benchmark, Task
from oddpair.benchmarks.benchmark_file import load_benchmark
from oddpair.benchmarks.evaluation_set import Kind
from oddpair.benchmarks.questions import ask
from oddpair.benchmarks.sets.open_set import open_set
from oddpair.eval.answer import answer, texts_of
from oddpair.eval.picture_cache import open_pictures
from oddpair.eval.scoring.records import write_records
from oddpair.eval.text_cache import hold_texts
from oddpair.jobs import run_jobs
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.model_checks import check_model

BENCHMARK = "miniature"
TASKS: dict[str, Kind] = {"natural": "classification", "rendition": "classification", "pairs": "pairs"}
# The benchmark asks of the pairs of a split, the demo of all: their kinds are told apart afterwards.
_ALL_PAIRS = "pairs-seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    out: Path
    model: str


def predict_world(out: Path, models: tuple[str, ...], *, workers: int) -> None:
    """Score every model on every test set into ``predictions/<model>.<task>.parquet``.

    Args:
        out: The run's folder.
        models: Names of the trained models.
        workers: Processes.
    """
    folder = out / "predictions"
    made_from = {
        f"{model}/{name}": stages.digest(out / "model-embeddings" / model / name)
        for model in models
        for name in TASKS
    }
    benchmark = load_benchmark(BENCHMARK)
    questions = f"{benchmark.name} version {benchmark.version}"
    if not stages.begin(folder, {"questions": questions, "made_from": made_from}):
        return
    jobs = [
        _Job(out=out, model=model)
        for model in models
        if not all(records_path(out, model, task).is_file() for task in TASKS)
    ]
    if jobs:
        run_jobs(_predict, jobs, workers=min(workers, len(jobs)), title="zero-shot scores", unit="models")
    stages.finish(folder)


def records_path(out: Path, model: str, task: str) -> Path:
    """Return where the answers of a model to a task lie."""
    return out / "predictions" / f"{model}.{task}.parquet"


def _predict(job: _Job) -> None:
    model = job.out / "models" / job.model
    encoder = load_encoder(str(model))
    scale = check_model(str(model), None, encoder).logit_scale
    benchmark = load_benchmark(BENCHMARK)
    for name in TASKS:
        task = _find_task(benchmark, name)
        found = open_set(benchmark.sets[task.set], job.out / "world")
        pictures = open_pictures(job.out / "model-embeddings" / job.model / name, found)
        questions = ask(task, found, pictures.uids, None)
        prompts = texts_of(questions)
        texts = hold_texts(prompts, encoder.encode_texts(prompts))
        records = answer(questions, pictures, texts, logit_scale=scale)
        write_records(records_path(job.out, job.model, name), task.kind, records)


def _find_task(benchmark: Benchmark, name: str) -> Task:
    tasks = {task.name: task for task in benchmark.tasks}
    return tasks[name] if name in tasks else replace(tasks[_ALL_PAIRS], name=name, split="")
