"""What a model scored on a task, on disk: metrics with interval and chance level, and what they were made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from oddpair.benchmarks.benchmark import CLUSTERS
from oddpair.benchmarks.evaluation_set import KINDS, Kind
from oddpair.errors import Refusal
from oddpair.eval.intervals import Estimate
from oddpair.files import digest, read_json, write_json

FORMAT = 1
_HEX = re.compile(r"[0-9a-f]{64}")
_HASHES = ("uids", "questions", "prompts", "classes", "preprocessing", "weights")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "benchmark task family cluster model pretrained slug records run": str,
    "version n_images damaged": int,
    "logit_scale": (int, float),
}
RUN_FILE = "run.json"
RESULT_ENDING = ".result.json"
RECORDS_ENDING = ".parquet"
# The metric that stands for a task in tables, gaps and robustness.
MAIN: dict[Kind, str] = {
    "classification": "top1",
    "pairs": "top1",
    "multilabel": "mean_average_precision",
    "retrieval": "text_to_image_recall@1",
    "choice": "accuracy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of a task.

    Attributes:
        name: Such as ``top1`` or ``text_to_image_recall@5``.
        estimate: Value, interval and support.
        chance: What guessing scores; ``None`` where that is no number.
        interval: How the interval was made, such as ``Clopper-Pearson``.
    """

    name: str
    estimate: Estimate
    chance: float | None
    interval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What one model scored on one task.

    Attributes:
        benchmark: Name of the benchmark.
        version: Its version.
        task: Name of the task.
        kind: What was asked.
        family: What the task is compared by.
        cluster: What was drawn whole for intervals.
        model: What the user called the model.
        pretrained: Likewise its weights; ``""`` where the model has its own.
        slug: Name of the model's folder.
        n_images: Pictures scored.
        damaged: Pictures set aside because they cannot be read.
        class_keys: The candidates, in order.
        class_names: What prompts called them.
        logit_scale: What scores were multiplied with for ``logsumexp``.
        hashes: ``uids`` of the pictures, ``questions`` with their right answers, ``prompts``, ``classes``,
            ``preprocessing`` and ``weights``; hex.
        records: sha256 of the file of records.
        run: Which of the runs in the model's ``run.json`` scored it.
        metrics: Metrics, the main one first.
    """

    benchmark: str
    version: int
    task: str
    kind: Kind
    family: str
    cluster: str
    model: str
    pretrained: str
    slug: str
    n_images: int
    damaged: int
    class_keys: tuple[str, ...]
    class_names: tuple[str, ...]
    logit_scale: float
    hashes: Mapping[str, str]
    records: str
    run: str
    metrics: tuple[Metric, ...]

    def metric(self, name: str) -> Metric:
        """Return a metric by its name.

        Raises:
            KeyError: If the task has none of this name.
        """
        return next((metric for metric in self.metrics if metric.name == name), None) or _no_metric(
            self, name
        )

    @property
    def main(self) -> Metric:
        """The metric that stands for the task."""
        return self.metric(MAIN[self.kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A result and where it lies.

    Attributes:
        result: The result.
        path: Its file.
        record_path: The file of its records.
    """

    result: TaskResult
    path: Path
    record_path: Path = field(init=False)

    def __post_init__(self) -> None:
        stem = self.path.name.removesuffix(RESULT_ENDING)
        object.__setattr__(self, "record_path", self.path.with_name(stem + RECORDS_ENDING))


def name_folder(model: str, pretrained: str | None) -> str:
    """Return a folder's name for a model: readable, safe for any id, and different for different ids.

    >>> name_folder("ViT-B-32", "laion2b_s34b_b79k")
    'ViT-B-32-laion2b_s34b_b79k-841aa120'
    >>> name_folder("local-dir:/a/b", None)[:-9]
    'local-dir-a-b'
    """
    told = "-".join(filter(None, (model, pretrained)))
    readable = re.sub(r"[^A-Za-z0-9_.]+", "-", told).strip("-.")[-60:].strip("-.")
    return f"{readable or 'model'}-{digest([model, pretrained or ''])[:8]}"


def result_path(folder: Path, benchmark: str, task: str) -> Path:
    """Return where a task's result lies in a model's folder."""
    return folder / f"{benchmark}.{task}{RESULT_ENDING}"


def write_result(path: Path, result: TaskResult) -> None:
    """Write a result as strict JSON."""
    write_json(path, {"format": FORMAT, **asdict(result)})


def read_result(path: Path) -> TaskResult:
    """Read a result.

    Raises:
        Refusal: If the file is none, or of another format.
    """
    found = read_json(path)
    try:
        if found.pop("format") != FORMAT or found["kind"] not in KINDS:
            raise ValueError("of another format")
        found["metrics"] = tuple(_metric(entry) for entry in found["metrics"])
        for name in ("class_keys", "class_names"):
            found[name] = tuple(found[name])
        result = TaskResult(**found)
        _check(result)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refusal(
            f"{path} is no result of oddpair eval, format {FORMAT} ({_tell(error)}): score the model again"
        ) from error
    return result


def _check(result: TaskResult) -> None:
    """Refuse a result that oddpair eval cannot have written.

    Raises:
        ValueError: With what is wrong.
    """
    for names, kind in _TYPES.items():
        for name in names.split():
            value = getattr(result, name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(f"{name} is {value!r}")
    for name in _HASHES:
        if not _HEX.fullmatch(str(result.hashes.get(name))):
            raise ValueError(f"its hash of {name} is {result.hashes.get(name)!r}")
    if result.cluster not in CLUSTERS[result.kind]:
        raise ValueError(f"{result.kind} knows no cluster {result.cluster!r}")
    if not all(isinstance(name, str) for name in (*result.class_keys, *result.class_names)):
        raise ValueError("a class is no text")
    if len(result.class_keys) != len(result.class_names):
        raise ValueError(f"{len(result.class_keys)} keys of classes, {len(result.class_names)} names")
    if MAIN[result.kind] not in [metric.name for metric in result.metrics]:
        raise ValueError(f"it has no {MAIN[result.kind]}")
    for metric in result.metrics:
        ends = (metric.estimate.low, metric.estimate.value, metric.estimate.high)
        if not 0 <= ends[0] <= ends[1] <= ends[2] <= 1:
            raise ValueError(f"{metric.name} is {ends[1]} in [{ends[0]}, {ends[2]}]")


def _tell(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def find_results(folders: Iterable[Path]) -> list[Found]:
    """Read every result below some folders, sorted by model and task.

    Args:
        folders: What ``oddpair eval`` wrote, or the folder of one model in it, or one result file.

    Returns:
        The results.

    Raises:
        Refusal: If a folder has none, or one cannot be read.
    """
    found: list[Found] = []
    for folder in folders:
        if not folder.exists():
            raise Refusal(f"{folder} does not exist: check the path")
        if folder.is_file() and not folder.name.endswith(RESULT_ENDING):
            raise Refusal(f"{folder} is no result: give NAME{RESULT_ENDING}, or the folder it lies in")
        paths = [folder] if folder.is_file() else sorted(folder.rglob(f"*{RESULT_ENDING}"))
        if not paths:
            raise Refusal(f"{folder} holds no result: give what oddpair eval wrote")
        found += [Found(result=read_result(path), path=path) for path in paths]
    return sorted(
        found, key=lambda one: (one.result.slug, one.result.benchmark, one.result.task, str(one.path))
    )


def _metric(entry: dict[str, Any]) -> Metric:
    return Metric(**{**entry, "estimate": Estimate(**entry["estimate"])})


def _no_metric(result: TaskResult, name: str) -> Metric:
    known = ", ".join(metric.name for metric in result.metrics)
    raise KeyError(f"{result.task} has no metric {name}; it has {known}")
