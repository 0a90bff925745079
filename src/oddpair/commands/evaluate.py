"""``oddpair eval``: embed once, ask every task of every model, keep each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from oddpair import files
from oddpair.benchmarks.lock import hash_uids, lock_uids
from oddpair.benchmarks.questions import Questions, ask
from oddpair.commands.evaluate_plan import Plan, Planned
from oddpair.errors import Refusal
from oddpair.eval.answer import answer, texts_of
from oddpair.eval.models_file import ModelChoice
from oddpair.eval.picture_cache import EmbeddedPictures, damaged_of, embed_sets, load_pictures
from oddpair.eval.results import (
    RECORDS_ENDING,
    RUN_FILE,
    Metric,
    TaskResult,
    name_folder,
    read_result,
    result_path,
    write_result,
)
from oddpair.eval.run_record import run_record
from oddpair.eval.scoring.metrics import measure
from oddpair.eval.scoring.records import read_records, write_records
from oddpair.eval.text_cache import EmbeddedTexts, embed_texts, load_texts
from oddpair.progress import say
from oddpair.retrieval.embed_shard import Tower, encoder_of
from oddpair.retrieval.encoder import identify_encoder
from oddpair.retrieval.model_checks import ModelReport, check_model
from oddpair.retrieval.models import identify_model
from oddpair.retrieval.towers import Precision

LOCKS = "locks"
# Parts of the run record that one folder has once; of the others, each run has its own.
_MODEL_PARTS = ("format", "model", "precision", "dtype", "seeds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What became of an evaluation.

    Attributes:
        results: What was scored, now or earlier.
        failures: What could not be, by model and task, and why.
    """

    results: tuple[TaskResult, ...]
    failures: Mapping[str, str]


def evaluate(
    models: Sequence[ModelChoice],
    plan: Plan,
    out: Path,
    *,
    cache: Path,
    workers: int,
    precision: Precision = "fp32",
    device: str = "cpu",
) -> Evaluated:
    """Score models on tasks; what is finished is kept, and a task that fails leaves the others as they are.

    Writes for each model a folder with ``run.json`` and, for each task, ``BENCHMARK.TASK.result.json`` and
    ``BENCHMARK.TASK.parquet``; ``locks/BENCHMARK.json`` with the hash of the pictures that each task was first asked of.

    Args:
        models: The models.
        plan: The tasks.
        out: Folder to write.
        cache: Folder of embeddings, which several evaluations may share.
        workers: Processes.
        precision: Arithmetic of the models.
        device: Where they run.

    Returns:
        Results and failures.
    """
    results: list[TaskResult] = []
    failures: dict[str, str] = {}
    for choice in models:
        tower = Tower(
            model=choice.model, pretrained=choice.pretrained, precision=precision, exact=True, device=device
        )
        try:
            scored, failed = _evaluate_model(choice, tower, plan, out, cache, workers)
        except Refusal as refusal:
            slug = name_folder(choice.model, choice.pretrained)
            failures |= {f"{slug}/{planned.name}": str(refusal) for planned in plan.tasks}
            say(f"{slug}: {refusal}")
            continue
        results += scored
        failures |= failed
    return Evaluated(results=tuple(results), failures=failures)


def _evaluate_model(
    choice: ModelChoice, tower: Tower, plan: Plan, out: Path, cache: Path, workers: int
) -> tuple[list[TaskResult], dict[str, str]]:
    slug = name_folder(choice.model, choice.pretrained)
    folder = out / slug
    here = cache / _cache_name(tower)
    encoder = encoder_of(tower)
    report = check_model(choice.model, choice.pretrained, encoder, sha256=choice.sha256)
    for note in report.notes:
        say(f"{choice.model}: {note}")
    record = run_record(choice, report, encoder, tower=tower)
    # Of its tokenizer and configuration the files are told, whose content need not change what the record says.
    record["model"]["files"] = identify_model(tower.model, tower.pretrained)
    run = _begin(folder, record)
    with files.locked(here):
        embed_sets((planned.found for planned in plan.tasks), tower, here, workers=workers)
    asked, failures = _ask_all(plan, out, here, slug, weights=files.digest(record["model"]))
    results = {one.planned.name: _finished(one, folder) for one in asked}
    left = [one for one in asked if results[one.planned.name] is None]
    with files.locked(here):
        embed_texts((text for one in left for text in one.texts), tower, here, workers=workers)
    texts = load_texts(here) if left else None
    for one in left:
        assert texts is not None
        try:
            # One thread for all sums: last bits then do not depend on the machine's cores.
            with threadpool_limits(limits=1):
                results[one.planned.name] = _score(one, texts, report, choice, folder, run)
        except Refusal as refusal:
            failures[f"{slug}/{one.planned.name}"] = _tell(slug, one.planned, refusal)
    return [result for result in results.values() if result is not None], failures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """A task with its questions and the pictures they are about."""

    planned: Planned
    questions: Questions
    pictures: EmbeddedPictures
    hashes: dict[str, str]
    texts: list[str]

    def result_path(self, folder: Path) -> Path:
        return result_path(folder, self.planned.benchmark.name, self.planned.task.name)

    def records_path(self, folder: Path) -> Path:
        return folder / f"{self.planned.name}{RECORDS_ENDING}"


def _ask_all(
    plan: Plan, out: Path, cache: Path, slug: str, *, weights: str
) -> tuple[list[_Asked], dict[str, str]]:
    pictures: dict[int, EmbeddedPictures] = {}
    asked: list[_Asked] = []
    failures: dict[str, str] = {}
    for planned in plan.tasks:
        benchmark = planned.benchmark
        try:
            if id(planned.found) not in pictures:
                pictures[id(planned.found)] = load_pictures(cache, planned.found)
                for reason, n in damaged_of(cache, planned.found).items():
                    say(f"{planned.found.root}: {n:,} pictures are set aside: {reason}")
            here = pictures[id(planned.found)]
            questions = ask(planned.task, planned.found, here.uids, planned.members)
            hashes = {
                "uids": hash_uids(questions.keys, questions.uids),
                "questions": questions.identify(),
                "prompts": files.digest(_prompts(questions)),
                "classes": files.digest([questions.classes.keys, questions.classes.names]),
                "preprocessing": files.digest(here.preprocessing),
                "weights": weights,
            }
            lock_uids(
                out / LOCKS / f"{benchmark.name}.json",
                benchmark,
                planned.task,
                hashes["questions"],
                n=len(questions.keys),
            )
        except Refusal as refusal:
            failures[f"{slug}/{planned.name}"] = _tell(slug, planned, refusal)
            continue
        asked.append(
            _Asked(
                planned=planned, questions=questions, pictures=here, hashes=hashes, texts=texts_of(questions)
            )
        )
    return asked, failures


def _prompts(questions: Questions) -> list[object]:
    task = questions.task
    if task.kind in ("retrieval", "choice"):
        return [list(captions) for captions in questions.captions]
    return [list(task.templates) if task.kind == "pairs" else list(questions.prompts())]


def _score(
    one: _Asked, texts: EmbeddedTexts, report: ModelReport, choice: ModelChoice, folder: Path, run: str
) -> TaskResult:
    benchmark, task, questions = one.planned.benchmark, one.planned.task, one.questions
    found = answer(questions, one.pictures, texts, logit_scale=report.logit_scale)
    records = one.records_path(folder)
    write_records(records, task.kind, found)
    result = TaskResult(
        benchmark=benchmark.name,
        version=benchmark.version,
        task=task.name,
        kind=task.kind,
        family=task.family,
        cluster=task.cluster,
        model=choice.model,
        pretrained=choice.pretrained or "",
        slug=folder.name,
        n_images=questions.n_pictures,
        damaged=one.pictures.damaged,
        class_keys=questions.classes.keys,
        class_names=questions.classes.names,
        logit_scale=report.logit_scale,
        hashes=one.hashes,
        records=files.sha256(records),
        run=run,
        metrics=(),
    )
    result = replace(result, metrics=measure_again(result, records))
    write_result(one.result_path(folder), result)
    return result


def measure_again(result: TaskResult, records: Path) -> tuple[Metric, ...]:
    """Compute the metrics of a result from its records alone.

    Args:
        result: The result, whose metrics are not looked at.
        records: The file of its records.

    Returns:
        Metrics, the main one first.

    Raises:
        Refusal: If the records are damaged.
    """
    table = read_records(records, result.kind)
    with threadpool_limits(limits=1):
        return measure(
            table,
            result.kind,
            cluster=result.cluster,
            n_classes=len(result.class_keys),
            seed=seed_of(result),
            logit_scale=result.logit_scale,
        )


def seed_of(result: TaskResult) -> int:
    """Return the seed of a task's draws: made from the pictures it asks of, so that all models share them."""
    return int(result.hashes["uids"][:12], 16)


def _finished(one: _Asked, folder: Path) -> TaskResult | None:
    path, records = one.result_path(folder), one.records_path(folder)
    if not path.is_file() or not records.is_file():
        return None
    found = read_result(path)
    benchmark = one.planned.benchmark
    same = (found.hashes, found.version) == (one.hashes, benchmark.version)
    return found if same and found.records == files.sha256(records) else None


def _begin(folder: Path, record: Mapping[str, Any]) -> str:
    """Note the run beside earlier ones of the same model, and return the name that results know it by."""
    path = folder / RUN_FILE
    model = {name: record[name] for name in _MODEL_PARTS}
    run = {name: value for name, value in record.items() if name not in _MODEL_PARTS}
    name = files.digest(run)[:12]
    before = files.read_json(path) if path.is_file() else {**model, "runs": {}}
    if not isinstance(before, dict) or not isinstance(before.get("runs"), dict):
        raise Refusal(f"{path} is no record of a run: delete {folder} to score the model again")
    for part in _MODEL_PARTS:
        if before.get(part) != model[part]:
            raise Refusal(
                f"{folder} holds scores of another model: its {_difference(before.get(part), model[part])}: "
                "choose another --out, or delete the folder"
            )
    files.write_json(path, {**before, "runs": {**before["runs"], name: run}})
    return name


def _difference(before: object, now: object) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        name = next(name for name in sorted(before | now) if before.get(name) != now.get(name))
        return f"{name} was {before.get(name)}, now {now.get(name)}"
    return f"setting was {before}, now {now}"


def _cache_name(tower: Tower) -> str:
    identity = identify_encoder(tower.model, tower.pretrained, precision=tower.precision, exact=tower.exact)
    return files.digest([identity, tower.device.partition(":")[0]])[:16]


def _tell(slug: str, planned: Planned, refusal: Refusal) -> str:
    say(f"{slug}: {planned.name} has no score: {refusal}")
    return str(refusal)
