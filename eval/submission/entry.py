"""A submission whose every number was computed again from its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from oddpair.benchmarks.answer_keys import AnswerKey
from oddpair.eval.results import Metric
from oddpair.eval.submission.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recomputed:
    """One task of a submission, from its predictions alone.

    Attributes:
        key: What was asked, and the right answers.
        records: The predictions, as `oddpair.eval.scoring.records.read_records`.
        metrics: Every metric with its interval, the main one first.
    """

    key: AnswerKey
    records: pa.Table
    metrics: tuple[Metric, ...]

    @property
    def main(self) -> Metric:
        """The metric that stands for the task."""
        return self.metrics[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """A submission that holds.

    Attributes:
        submission: What it says.
        sha256: Of its ``submission.json``, which names the hash of every other file.
        tasks: By ``benchmark.task``, in the order of the suite.
    """

    submission: Submission
    sha256: str
    tasks: Mapping[str, Recomputed]
