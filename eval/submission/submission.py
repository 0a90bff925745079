"""A submission: what a lab says of a model and its scores. Nothing in it is believed; all of it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = 1
SUBMISSION_FILE = "submission.json"
PREDICTIONS = "predictions"
MOST_BYTES = 64 * 1024
MOST_PREDICTION_BYTES = 20 * 2**20
# How far a claimed number may lie from the recomputed one: the last digits of another processor.
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A metric as the submitter reports it: value, interval (fractions) and support."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClaim:
    """What is claimed for one task.

    Attributes:
        task: The task, as ``benchmark.task``.
        version: Version of the benchmark.
        lock: Lock of the task, as `oddpair.benchmarks.answer_keys.AnswerKey.lock`.
        records: sha256 of the file of predictions.
        metrics: Claims by metric, all that ``oddpair eval`` reports.
    """

    task: str
    version: int
    lock: str
    records: str
    metrics: Mapping[str, Claim]

    @property
    def file(self) -> str:
        """Path of the predictions within the submission."""
        return f"{PREDICTIONS}/{self.task}@{self.version}.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """A corpus that a model was trained on, as declared.

    Attributes:
        name: What it is called, such as ``DataComp-1B``.
        manifest: sha256 of its sorted uids, as in a split's manifest; ``""`` for unknown.
    """

    name: str
    manifest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What ``submission.json`` says.

    Attributes:
        handle: Who submits: 1 to 39 letters, digits or single hyphens.
        model: Name of the model: 1 to 60 letters, digits, ``.``, ``-`` or single ``_``.
        architecture: Such as ``ViT-B-32``.
        parameters: Number of its parameters.
        weights: sha256 of its weights, as ``oddpair eval`` records it.
        open_weights: Whether anybody can download them.
        training: What it was trained on; empty for unknown.
        samples_seen: Samples that it was trained on, repeats counted; ``None`` for unknown.
        variants_tried: Models or settings of which this is the best, 1 or more.
        run: Record of the run, as ``oddpair eval`` writes it to ``run.json``.
        tasks: What is claimed.
        score: Claimed macro mean; ``None`` where a required task is missing.
        links: https addresses by what they lead to: ``weights``, ``code``, ``paper``, ``data``.
    """

    handle: str
    model: str
    architecture: str
    parameters: int
    weights: str
    open_weights: bool
    training: tuple[TrainingData, ...]
    samples_seen: int | None
    variants_tried: int
    run: Mapping[str, Any]
    tasks: tuple[TaskClaim, ...]
    score: float | None
    links: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of its folder: handle, model and the first 8 digits of its weights' hash."""
        return f"{self.handle}__{self.model}__{self.weights[:8]}"
