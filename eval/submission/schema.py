"""``submission.json``, format 1: read as strangers' data with exactly its keys, and written so that it reads the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from oddpair import files
from oddpair.errors import Refusal
from oddpair.eval.submission.fields import MOST, Field
from oddpair.eval.submission.submission import FORMAT, MOST_BYTES, Claim, Submission, TaskClaim, TrainingData
from oddpair.eval.submission.words import LINKS, check_link, check_name, check_text, show

LONGEST_NAME = 80
_HANDLE = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
_MODEL = re.compile(r"(?!.*__)[A-Za-z0-9](?:[A-Za-z0-9._-]{0,58}[A-Za-z0-9])?")
_TASK = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")
_METRIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_@/. -]{0,99}")
_RUN = re.compile(r"[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_KEYS = (
    *("format", "handle", "model", "architecture", "parameters", "weights", "open_weights", "training"),
    *("samples_seen", "variants_tried", "run", "tasks", "score", "links"),
)
_MOST_TASKS = 200
_MOST_METRICS = 100
_MOST_CORPORA = 20
_MOST_RUNS = 20
_MOST_VERSION = 9_999
# Of the record of a run, whose parts are those of whatever oddpair wrote it.
_DEPTH = 8
_MOST_VALUES = 500
_LONGEST_VALUE = 500


def parse_submission(data: bytes, where: str) -> Submission:
    """Read a submission's description; nothing in it is believed, and nothing of another form is taken.

    Args:
        data: The bytes of ``submission.json``, at most 64 KiB.
        where: The file, for messages.

    Returns:
        What it says. That its numbers follow from the predictions is not looked at here.

    Raises:
        Refusal: In one line with the file, the place in it, what stands there and what was needed.
    """
    if len(data) > MOST_BYTES:
        raise Refusal(
            f"{where} has {len(data):,} bytes, at most {MOST_BYTES:,} are taken: make it again with oddpair submit"
        )
    try:
        value = files.parse_json(data)
    except ValueError as error:
        told = show(str(error))[1:-1]
        raise Refusal(
            f"{where} is not valid JSON ({told}): make the submission again with oddpair submit"
        ) from error
    whole = Field(where=where, path="", value=value)
    if isinstance(value, dict) and "format" in value:
        form = whole.items(most=len(value))["format"]
        # Of another format the other keys would be told instead.
        if type(form.value) is not int or form.value != FORMAT:
            raise form.need(f"{FORMAT}, the format of this oddpair")
    given = whole.fields(*_KEYS)
    return Submission(
        handle=given["handle"].match(_HANDLE, "1 to 39 letters, digits or single hyphens between them"),
        model=given["model"].match(
            _MODEL, "1 to 60 letters, digits, '.', '-' or single '_', the first and last a letter or digit"
        ),
        architecture=_name(given["architecture"]),
        parameters=given["parameters"].whole(least=1),
        weights=given["weights"].match(_SHA256, "64 hex digits of a SHA-256"),
        open_weights=given["open_weights"].flag(),
        training=_training(given["training"]),
        samples_seen=None if given["samples_seen"].value is None else given["samples_seen"].whole(least=1),
        variants_tried=given["variants_tried"].whole(least=1),
        run=_run(given["run"]),
        tasks=_tasks(given["tasks"]),
        score=None if given["score"].value is None else given["score"].share(),
        links=_links(given["links"]),
    )


def format_submission(submission: Submission) -> bytes:
    """Return the bytes of ``submission.json``: ASCII, sorted keys, as `oddpair.files.write_json` writes.

    What `parse_submission` reads of them is equal to ``submission``.
    """
    told: dict[str, Any] = {**asdict(submission), "format": FORMAT}
    return (json.dumps(told, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


def _name(field: Field) -> str:
    text = field.text()
    try:
        check_name(text, "the name", longest=LONGEST_NAME)
    except ValueError as problem:
        raise field.refuse(f"cannot be shown: {problem}") from problem
    return text


def _training(field: Field) -> tuple[TrainingData, ...]:
    made: list[TrainingData] = []
    for row in field.rows(most=_MOST_CORPORA):
        corpus = row.fields("name", "manifest")
        manifest = corpus["manifest"]
        made.append(
            TrainingData(
                name=_name(corpus["name"]),
                manifest=""
                if manifest.value == ""
                else manifest.match(_SHA256, "64 hex digits of a SHA-256, or nothing for unknown"),
            )
        )
        if made[-1].name in [one.name for one in made[:-1]]:
            raise corpus["name"].refuse("is listed twice")
    return tuple(made)


def _tasks(field: Field) -> tuple[TaskClaim, ...]:
    made: list[TaskClaim] = []
    for row in field.rows(most=_MOST_TASKS):
        told = row.fields("task", "version", "lock", "records", "metrics")
        claim = TaskClaim(
            task=told["task"].match(_TASK, "benchmark.task in small letters, digits and hyphens"),
            version=told["version"].whole(least=1, most=_MOST_VERSION),
            lock=told["lock"].match(_SHA256, "64 hex digits of a SHA-256"),
            records=told["records"].match(_SHA256, "64 hex digits of a SHA-256"),
            metrics=_metrics(told["metrics"]),
        )
        if made and claim.task <= made[-1].task:
            raise told["task"].refuse("is not behind the one before it: tasks are sorted, each once")
        made.append(claim)
    if not made:
        raise field.refuse("is empty, needed one task or more")
    return tuple(made)


def _metrics(field: Field) -> dict[str, Claim]:
    made = {}
    for name, metric in field.items(most=_MOST_METRICS).items():
        if not _METRIC.fullmatch(name):
            raise metric.refuse("is no name of a metric")
        told = metric.fields("value", "low", "high", "n")
        claim = Claim(
            value=told["value"].share(),
            low=told["low"].share(),
            high=told["high"].share(),
            n=told["n"].whole(least=1),
        )
        if not claim.low <= claim.value <= claim.high:
            raise metric.refuse(
                f"is {claim.value:.6g} in [{claim.low:.6g}, {claim.high:.6g}], needed a value within"
            )
        made[name] = claim
    if not made:
        raise field.refuse("is empty, needed the metrics of the task")
    return made


def _links(field: Field) -> dict[str, str]:
    made = {}
    for kind, link in field.items(most=len(LINKS)).items():
        address = link.text()
        try:
            check_link(kind, address)
        except ValueError as problem:
            raise link.refuse(f"cannot be linked to: {problem}") from problem
        made[kind] = address
    return made


def _run(field: Field) -> dict[str, Any]:
    told = field.fields("format", "model", "precision", "dtype", "seeds", "runs")
    _check_values(field)
    runs = told["runs"].items(most=_MOST_RUNS)
    if not runs:
        raise told["runs"].refuse("is empty, needed the runs that the results name")
    for name, run in runs.items():
        if not _RUN.fullmatch(name):
            raise run.refuse("is no name of a run, needed 12 hex digits")
        package = run.fields("package", "libraries", "machine")["package"].fields(
            "version", "commit", "dirty"
        )
        if package["commit"].value is not None:
            package["commit"].match(_COMMIT, "the hex digits of a commit, or null")
        if package["dirty"].value is not None and package["dirty"].flag():
            raise package["dirty"].refuse(
                "is true, the run was made by an oddpair with changes that no commit holds: commit them, score the model "
                "again"
            )
    return dict(field.value)


def _check_values(record: Field) -> None:
    """Refuse a record that is deep, long, or holds text that cannot be shown."""
    for number, (field, depth) in enumerate(_walk(record, 1), 1):
        if number > _MOST_VALUES:
            raise record.refuse(f"has more than {_MOST_VALUES:,} values")
        if depth > _DEPTH:
            raise field.refuse(f"lies deeper than {_DEPTH} levels")
        texts = [field.value] if isinstance(field.value, str) else []
        keys = list(field.value) if isinstance(field.value, dict) else []
        for text in (*texts, *keys):
            try:
                check_text(text, "the text" if texts else "a key", longest=_LONGEST_VALUE)
            except ValueError as problem:
                raise field.refuse(f"cannot be shown: {problem}") from problem
        if isinstance(field.value, int) and abs(field.value) > MOST:
            raise field.need(f"a whole number of at most {MOST:,}")


def _walk(field: Field, depth: int) -> Iterator[tuple[Field, int]]:
    yield field, depth
    below: list[Field] = []
    # Deeper than is taken nothing is looked at: the value above is refused.
    if depth <= _DEPTH and isinstance(field.value, dict):
        below = list(field.items(most=_MOST_VALUES).values())
    elif depth <= _DEPTH and isinstance(field.value, list):
        below = field.rows(most=_MOST_VALUES)
    for each in below:
        yield from _walk(each, depth + 1)
