"""Every number of a submission again from its predictions; what differs from what is claimed is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
from threadpoolctl import threadpool_limits

from oddpair.benchmarks.answer_keys import KEYS, AnswerKey, read_key
from oddpair.benchmarks.suite import Suite, read_suite
from oddpair.errors import Refusal
from oddpair.eval.ranking.macro import macro_score, required_families
from oddpair.eval.results import Metric
from oddpair.eval.scoring.metrics import measure
from oddpair.eval.submission.bundle import Bundle, BundleFile
from oddpair.eval.submission.entry import Entry, Recomputed
from oddpair.eval.submission.possible import find_impossible
from oddpair.eval.submission.predictions import read_predictions
from oddpair.eval.submission.schema import parse_submission
from oddpair.eval.submission.submission import SUBMISSION_FILE, TOLERANCE, Claim, Submission, TaskClaim

_AGAIN = "make the submission again with oddpair submit"


def recompute(bundle: Bundle, keys: Path = KEYS) -> Entry:
    """Read a submission as data and compute every number in it again.

    Its folder is named after what it says; its files are those that it names, with their hashes; every lock is that of an
    answer key that ships; the predictions answer the key's questions; and each metric, interval, support and the score
    follow from them, values to 1e-6.

    Args:
        bundle: The files.
        keys: Folder of answer keys.

    Returns:
        The entry; its numbers are the recomputed ones.

    Raises:
        Refusal: In one line, with the file and what to do.
    """
    told = _read(bundle, SUBMISSION_FILE)
    where = f"{bundle.where}/{SUBMISSION_FILE}"
    submission = parse_submission(told, where)
    if bundle.name != submission.name:
        raise Refusal(
            f"{bundle.where}: {where} says that the folder is {submission.name}: rename it, or {_AGAIN}"
        )
    _check_files(bundle, submission)
    scale = _check_run(submission, where)
    found = {claim.task: _recompute_task(bundle, claim, keys, scale) for claim in submission.tasks}
    suite = read_suite()
    entry = Entry(
        submission=submission,
        sha256=hashlib.sha256(told).hexdigest(),
        tasks={task: found[task] for task in sorted(found, key=lambda task: _place(suite, task))},
    )
    _compare_score(submission.score, score_of(entry, suite), where)
    return entry


def score_of(entry: Entry, suite: Suite) -> float | None:
    """Return the macro mean of an entry, a fraction; ``None`` where a required task is missing."""
    means = {task: each.main.estimate.value for task, each in entry.tasks.items()}
    return macro_score(means, required_families(suite))


def _read(bundle: Bundle, path: str) -> bytes:
    if path not in bundle.files:
        raise Refusal(f"{bundle.where} has no {path}: {_AGAIN}")
    return bundle.files[path].read()


def _check_files(bundle: Bundle, submission: Submission) -> None:
    named = {SUBMISSION_FILE, *(claim.file for claim in submission.tasks)}
    missing, extra = sorted(named - bundle.files.keys()), sorted(bundle.files.keys() - named)
    if missing:
        raise Refusal(f"{bundle.where} has no {missing[0]}, which {SUBMISSION_FILE} names: {_AGAIN}")
    if extra:
        raise Refusal(
            f"{bundle.where}/{extra[0]} is named by no task of {SUBMISSION_FILE}: take it away, or {_AGAIN}"
        )


def _check_run(submission: Submission, where: str) -> float:
    """Return the logit scale of the run, whose weights must be those that are submitted."""
    model = submission.run.get("model")
    if not isinstance(model, dict):
        raise Refusal(f"{where}: run has no model: {_AGAIN}")
    if model.get("sha256") != submission.weights:
        raise Refusal(
            f"{where}: weights are {submission.weights[:12]}, the run scored others (run.model.sha256): {_AGAIN}"
        )
    scale = model.get("logit_scale")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 1e6:
        raise Refusal(f"{where}: run.model.logit_scale is no number above 0: {_AGAIN}")
    return float(scale)


def _recompute_task(bundle: Bundle, claim: TaskClaim, keys: Path, logit_scale: float) -> Recomputed:
    where = f"{bundle.where}/{SUBMISSION_FILE}: {claim.task}@{claim.version}"
    try:
        key = read_key(claim.task, claim.version, keys)
    except Refusal as refusal:
        raise Refusal(f"{where}: {refusal}") from refusal
    if claim.lock != key.lock:
        raise Refusal(
            f"{where} has lock {claim.lock[:12]}, its answer key {key.lock[:12]}: other questions were asked; score the "
            "model with the benchmark that ships"
        )
    data = _read(bundle, claim.file)
    path = f"{bundle.where}/{claim.file}"
    if hashlib.sha256(data).hexdigest() != claim.records:
        raise Refusal(f"{path} is not the file whose sha256 {SUBMISSION_FILE} names: {_AGAIN}")
    # Read once: what was hashed is what is decoded.
    records = read_predictions(BundleFile(path=path, size=len(data), read=lambda: data), key)
    fault = find_impossible(records, key.kind, n_classes=len(key.class_keys), logit_scale=logit_scale)
    if fault is not None:
        raise Refusal(f"{path}: row {fault.row} {fault.what}: score the model again")
    metrics = measure_records(key, records, logit_scale)
    _compare(claim, metrics, where)
    return Recomputed(key=key, records=records, metrics=metrics)


def measure_records(key: AnswerKey, records: pa.Table, logit_scale: float) -> tuple[Metric, ...]:
    """Compute every metric of a task with the draws that its pictures seed.

    Args:
        key: What was asked.
        records: The answers.
        logit_scale: What the model multiplies cosines with.

    Returns:
        Metrics, the main one first.
    """
    # One thread for all sums: last bits then do not depend on the machine's cores.
    with threadpool_limits(limits=1):
        return measure(
            records,
            key.kind,
            cluster=key.cluster,
            n_classes=len(key.class_keys),
            seed=key.seed,
            logit_scale=logit_scale,
        )


def _compare(claim: TaskClaim, metrics: tuple[Metric, ...], where: str) -> None:
    found = {metric.name: metric.estimate for metric in metrics}
    if found.keys() != claim.metrics.keys():
        missing, extra = (
            sorted(found.keys() - claim.metrics.keys()),
            sorted(claim.metrics.keys() - found.keys()),
        )
        what = f"has no {missing[0]}" if missing else f"claims {extra[0]!a}, which the task has not"
        raise Refusal(f"{where} {what}, needed {', '.join(found)}: {_AGAIN}")
    for name, estimate in found.items():
        told = claim.metrics[name]
        wrong = _differing(
            told, Claim(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)
        )
        if wrong:
            raise Refusal(
                f"{where}: {name} is claimed with {wrong} {getattr(told, wrong):.10g}, its predictions make "
                f"{getattr(estimate, wrong):.10g}: {_AGAIN}"
            )


def _differing(told: Claim, found: Claim) -> str | None:
    if told.n != found.n:
        return "n"
    return next(
        (
            end
            for end in ("value", "low", "high")
            if abs(getattr(told, end) - getattr(found, end)) > TOLERANCE
        ),
        None,
    )


def _compare_score(told: float | None, found: float | None, where: str) -> None:
    if (told is None) != (found is None) or (
        told is not None and found is not None and abs(told - found) > TOLERANCE
    ):
        claimed, made = ("none" if each is None else f"{each:.10g}" for each in (told, found))
        raise Refusal(f"{where}: score is {claimed}, its tasks make {made}: {_AGAIN}")


def _place(suite: Suite, task: str) -> tuple[int, str]:
    """Where a task stands among those of the suite; one that is of no family stands behind them."""
    order = [each for tasks in suite.families.values() for each in tasks]
    return (order.index(task) if task in order else len(order), task)
