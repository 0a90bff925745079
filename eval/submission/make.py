"""A submission from what ``oddpair eval`` wrote and what its maker declares, or all that stands in its way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.benchmarks.answer_keys import KEYS, AnswerKey, known_keys, read_key
from oddpair.benchmarks.suite import Suite
from oddpair.errors import Refusal
from oddpair.eval.ranking.macro import macro_score, required_families
from oddpair.eval.results import RUN_FILE, Found, TaskResult
from oddpair.eval.scoring.records import read_records
from oddpair.eval.submission.declaration import Declaration
from oddpair.eval.submission.submission import MOST_PREDICTION_BYTES, Claim, Submission, TaskClaim
from oddpair.eval.submission.write_key import key_of
from oddpair.retrieval.model_places import LOCAL

_AGAIN = "run oddpair eval again"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What the results of one model are worth to the leaderboard.

    Attributes:
        run: The model's record of its run, cut to the runs that its results name, without the folders of this machine.
        claims: What is claimed, by task.
        predictions: The file of predictions of each claim, by its path in a submission.
        score: Macro mean over families; ``None`` where a required task has no score.
        missing: Required tasks without a score: the entry is shown, and not ranked.
        open: Other tasks with an answer key and without a score.
        left_out: Results that are not submitted, a line each with the reason.
        problems: What stands in the way of a submission, a line each with the remedy.
    """

    run: Mapping[str, Any]
    claims: tuple[TaskClaim, ...]
    predictions: Mapping[str, Path]
    score: float | None
    missing: tuple[str, ...]
    open: tuple[str, ...]
    left_out: tuple[str, ...]
    problems: tuple[str, ...]


def choose_model(found: Sequence[Found], model: str | None = None) -> list[Found]:
    """Return the results of one model: of the only one, or of the one that is named.

    Args:
        found: Results of any number of models, at least one.
        model: Name of its folder, or what it was called when it was scored.

    Raises:
        Refusal: If there are several, or none of the name, or a task has two results.
    """
    slugs = list(dict.fromkeys(one.result.slug for one in found))
    named = [slug for slug in slugs if slug == model] or list(
        dict.fromkeys(one.result.slug for one in found if one.result.model == model)
    )
    chosen = slugs if model is None else named
    if len(chosen) != 1:
        told = ", ".join(chosen or slugs)
        what = f"no results of {model}" if not chosen else f"results of {len(chosen)} models"
        raise Refusal(f"{what} were found, and a submission is of one: give --model with one of {told}")
    mine = [one for one in found if one.result.slug == chosen[0]]
    places: dict[str, Path] = {}
    for one in mine:
        before = places.setdefault(_task_of(one.result), one.path)
        if before != one.path:
            raise Refusal(
                f"{one.path} and {before} are results of one task: give the folder that one of them lies in"
            )
    return mine


def gather(found: Sequence[Found], *, suite: Suite, keys: Path = KEYS) -> Evidence:
    """Look through the results of one model, and say everything that stands in the way of submitting them.

    Args:
        found: Results of one model, as `choose_model` returns.
        suite: Which tasks a ranked entry must have.
        keys: Folder of answer keys.

    Raises:
        Refusal: If there is no record of the run beside the results, or a file of predictions is damaged.
    """
    path = found[0].path.with_name(RUN_FILE)
    run = files.read_json(path)
    _need_record(run, path)
    known = known_keys(keys)
    claims: dict[str, TaskClaim] = {}
    predictions: dict[str, Path] = {}
    means: dict[str, float] = {}
    used: set[str] = set()
    left_out: list[str] = []
    problems: list[str] = []
    for one in found:
        task, version = _task_of(one.result), one.result.version
        if f"{task}@{version}" not in known:
            left_out.append(_why_left_out(task, version, known))
            continue
        used.add(one.result.run)
        key = read_key(task, version, keys)
        wrong = _find_fault(one, key)
        if wrong:
            problems.append(wrong)
            continue
        claims[task] = _claim(one.result, key)
        predictions[claims[task].file] = one.record_path
        means[task] = one.result.main.estimate.value
    if not claims and not problems:
        problems.append(f"no result is of a task that has an answer key: score one of {', '.join(known)}")
    problems += _find_dirty(run, used, path)
    return Evidence(
        run=_without_folders(
            {**run, "runs": {name: run["runs"][name] for name in sorted(used & set(run["runs"]))}}
        ),
        claims=tuple(claims[task] for task in sorted(claims)),
        predictions=predictions,
        score=macro_score(means, required_families(suite)),
        missing=tuple(task for task in suite.required if task not in claims),
        open=tuple(task for task in _tasks(known) if task not in claims and task not in suite.required),
        left_out=tuple(left_out),
        problems=tuple(problems),
    )


def make_submission(declaration: Declaration, evidence: Evidence) -> Submission:
    """Put a declaration and the results of its model together.

    Args:
        declaration: What its maker says.
        evidence: What was scored.

    Raises:
        Refusal: If something stands in the way, with the first that does.
    """
    if evidence.problems:
        raise Refusal(evidence.problems[0])
    return Submission(
        handle=declaration.handle,
        model=declaration.model,
        architecture=declaration.architecture,
        parameters=declaration.parameters,
        weights=evidence.run["model"]["sha256"],
        open_weights=declaration.open_weights,
        training=declaration.training,
        samples_seen=declaration.samples_seen,
        variants_tried=declaration.variants_tried,
        run=evidence.run,
        tasks=evidence.claims,
        score=evidence.score,
        links=declaration.links,
    )


def _find_fault(one: Found, key: AnswerKey) -> str | None:
    """Say why a result would be refused; ``None`` if it would not."""
    result, task = one.result, _task_of(one.result)
    size = one.record_path.stat().st_size if one.record_path.is_file() else 0
    if size > MOST_PREDICTION_BYTES:
        return f"{one.record_path} has {size:,} bytes, {MOST_PREDICTION_BYTES:,} are taken: {_AGAIN}"
    if not size or files.sha256(one.record_path) != result.records:
        return (
            f"{one.record_path} is not the file that {one.path.name} was made from: delete both and {_AGAIN}"
        )
    mine = key_of(result, read_records(one.record_path, result.kind))
    if mine.lock == key.lock:
        return None
    if mine.class_keys != key.class_keys or mine.class_names != key.class_names:
        what = f"among {len(mine.class_keys):,} classes that are not the {len(key.class_keys):,} of version {key.version}"
    elif mine.uids != key.uids:
        what = f"about {mine.table.num_rows:,} pictures that are not the {key.table.num_rows:,} of version {key.version}"
        what += f", {result.damaged:,} were damaged" if result.damaged else ""
    else:
        what = f"with other right answers than those of version {key.version}"
    return (
        f"{task} was asked {what}: get the set as docs/leaderboard.md says, and {_AGAIN} with another --out"
    )


def _claim(result: TaskResult, key: AnswerKey) -> TaskClaim:
    return TaskClaim(
        task=key.task,
        version=key.version,
        lock=key.lock,
        records=result.records,
        metrics={
            metric.name: Claim(
                value=metric.estimate.value,
                low=metric.estimate.low,
                high=metric.estimate.high,
                n=metric.estimate.n,
            )
            for metric in result.metrics
        },
    )


def _find_dirty(run: Mapping[str, Any], used: Iterable[str], path: Path) -> list[str]:
    """Say which of the runs in use nobody can repeat."""
    problems = []
    for name in sorted(used):
        package = (run["runs"].get(name) or {}).get("package") or {}
        if not package:
            problems.append(
                f"{path} has no run {name}, which results name: delete {path.parent} and {_AGAIN}"
            )
        elif package.get("dirty"):
            problems.append(
                f"run {name} in {path} was made by oddpair with changes that no commit holds (on top of "
                f"{str(package.get('commit'))[:12]}): commit or undo them, delete {path.parent} and {_AGAIN}; pictures "
                "stay embedded"
            )
    return problems


def _need_record(run: object, path: Path) -> None:
    is_record = (
        isinstance(run, dict)
        and isinstance(run.get("model"), dict)
        and isinstance(run["model"].get("sha256"), str)
        and isinstance(run.get("runs"), dict)
    )
    if not is_record:
        raise Refusal(f"{path} is no record of a run: delete {path.parent} and {_AGAIN}")


def _without_folders(run: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a record where on a machine the model lay: that is nobody's business, and its hash says which it is."""
    model = dict(run["model"])
    for name in ("model", "pretrained"):
        told = model.get(name)
        if isinstance(told, str) and Path(told.removeprefix(LOCAL)).is_absolute():
            model[name] = Path(told).name
    return {**run, "model": model}


def _why_left_out(task: str, version: int, known: Sequence[str]) -> str:
    other = [name for name in known if name.startswith(f"{task}@")]
    if other:
        return f"{task}@{version} is left out: the leaderboard has {', '.join(other)}: {_AGAIN} with this oddpair"
    return f"{task} is left out: it has no answer key"


def _tasks(known: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.rpartition("@")[0] for name in known))


def _task_of(result: TaskResult) -> str:
    return f"{result.benchmark}.{result.task}"
