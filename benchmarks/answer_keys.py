"""Answer keys: which questions a version of a task asks, and the right answers, so that predictions can be checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from oddpair import files
from oddpair.benchmarks.benchmark import CLUSTERS
from oddpair.benchmarks.evaluation_set import KINDS, Kind
from oddpair.benchmarks.lock import LOCKS
from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest

KEYS = Path(__file__).resolve().parent / "keys"
FORMAT = 1
_FOLDER = re.compile(r"([a-z0-9-]+)-v([0-9]+)")
_QUESTION = [("key", pa.string()), ("uid", pa.string()), ("style", pa.string())]
_RANKED = pa.schema(
    [*_QUESTION, ("target", pa.int32()), ("partner", pa.int32()), ("n_candidates", pa.int32())]
)
# The columns of records that do not depend on the model, in their order there.
TRUTH: dict[Kind, pa.Schema] = {
    "classification": _RANKED,
    "pairs": _RANKED,
    "multilabel": pa.schema([*_QUESTION, ("labels", pa.list_(pa.int32()))]),
    "retrieval": pa.schema(
        [*_QUESTION, ("direction", pa.string()), ("caption", pa.int32()), ("n_candidates", pa.int32())]
    ),
    "choice": pa.schema(
        [*_QUESTION, ("category", pa.string()), ("n_images", pa.int32()), ("n_captions", pa.int32())]
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerKey:
    """Questions of one version of a task with their right answers.

    Attributes:
        task: The task, as ``benchmark.task``.
        version: Version of the benchmark.
        kind: What is asked.
        cluster: What goes alike: ``image``, ``class`` or ``pair``.
        class_keys: Keys of the candidates; empty for retrieval and choice.
        class_names: What prompts call them.
        uids: Hash of the pictures (`oddpair.benchmarks.lock.hash_uids`), from which seeds are made.
        lock: Hash of all that is asked: the benchmark's lock of the task, this key's table and classes.
        table: The columns of records that say what was asked and what is right, in the order of records.
    """

    task: str
    version: int
    kind: Kind
    cluster: str
    class_keys: tuple[str, ...]
    class_names: tuple[str, ...]
    uids: str
    lock: str
    table: pa.Table

    @property
    def name(self) -> str:
        """The task with its version, as ``benchmark.task@version``."""
        return f"{self.task}@{self.version}"

    @property
    def seed(self) -> int:
        """Seed of every draw for intervals: made from the pictures, so that all models share it."""
        return int(self.uids[:12], 16)


def make_key(
    *,
    task: str,
    version: int,
    kind: Kind,
    cluster: str,
    class_keys: tuple[str, ...],
    class_names: tuple[str, ...],
    uids: str,
    table: pa.Table,
    locks: Path = LOCKS,
) -> AnswerKey:
    """Return a key with its lock.

    Args:
        task: The task, as ``benchmark.task``, of a benchmark that ships.
        version: Version of the benchmark.
        kind: What is asked.
        cluster: What goes alike.
        class_keys: Keys of the candidates.
        class_names: What prompts call them.
        uids: Hash of the pictures.
        table: At least the columns of ``TRUTH[kind]``, in the order of records.
        locks: Folder of the locks of benchmarks.

    Raises:
        Refusal: If no lock of the benchmark's version knows the task.
    """
    truth = table.select(TRUTH[kind].names).cast(TRUTH[kind]).combine_chunks()
    asked = _lock_of_task(task, version, locks)
    rows = sorted(zip(*(column.to_pylist() for column in truth.columns), strict=True))
    lock = files.digest([asked, kind, cluster, class_keys, class_names, uids, rows])
    return AnswerKey(
        task=task,
        version=version,
        kind=kind,
        cluster=cluster,
        class_keys=class_keys,
        class_names=class_names,
        uids=uids,
        lock=lock,
        table=truth,
    )


def known_keys(folder: Path = KEYS) -> tuple[str, ...]:
    """Return what there are answer keys for, as ``benchmark.task@version``, sorted.

    >>> "miniature.natural@1" in known_keys()
    True
    """
    found = []
    for path in folder.glob("*/*.json"):
        match = _FOLDER.fullmatch(path.parent.name)
        if match:
            found.append(f"{match[1]}.{path.stem}@{int(match[2])}")
    return tuple(sorted(found))


def read_key(task: str, version: int, folder: Path = KEYS) -> AnswerKey:
    """Read the answer key of a version of a task, and check that it is what its lock says.

    Args:
        task: The task, as ``benchmark.task``.
        version: Version of the benchmark.
        folder: Folder of keys.

    Raises:
        Refusal: If there is none, or it was changed.

    >>> read_key("miniature.natural", 1).table.num_rows
    2175
    """
    name, known = f"{task}@{version}", known_keys(folder)
    # Only a name that was listed becomes a path: a stranger's may hold anything.
    if name not in known:
        raise Refusal(
            f"there is no answer key of {name}{suggest(name, known)}: leave the task out, only the answers to "
            f"{', '.join(known) or 'nothing'} can be checked"
        )
    path = key_path(folder, task, version)
    found, table = files.read_json(path), files.read_table(path.with_suffix(".parquet"))
    try:
        if (found["format"], found["task"], found["version"]) != (FORMAT, task, version):
            raise ValueError(f"it is of format {found['format']}, {found['task']}@{found['version']}")
        if found["kind"] not in KINDS or found["cluster"] not in CLUSTERS[found["kind"]]:
            raise ValueError(f"it asks for {found['kind']} by {found['cluster']}")
        key = make_key(
            task=task,
            version=version,
            kind=found["kind"],
            cluster=found["cluster"],
            class_keys=tuple(found["class_keys"]),
            class_names=tuple(found["class_names"]),
            uids=found["uids"],
            table=table,
        )
        if key.lock != found["lock"]:
            raise ValueError(f"its content has lock {key.lock[:12]}, it says {str(found['lock'])[:12]}")
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(f"{path} is no answer key of {name} ({error}): install oddpair again") from error
    return key


def write_key(folder: Path, key: AnswerKey) -> Path:
    """Write a key below a folder of keys: the table first, so that a key that is listed is whole.

    Returns:
        The JSON file; the table lies beside it.

    Raises:
        Refusal: If the version has another key already.
    """
    path = key_path(folder, key.task, key.version)
    if path.is_file() and read_key(key.task, key.version, folder).lock != key.lock:
        raise Refusal(
            f"{path} is the answer key of version {key.version} of {key.task}, and what was asked now is not the same: "
            f"give the benchmark version {key.version + 1}, or score the pictures of version {key.version}"
        )
    files.write_table(path.with_suffix(".parquet"), key.table)
    files.write_json(path, _as_json(key))
    return path


def key_path(folder: Path, task: str, version: int) -> Path:
    """Return where the JSON file of a key lies in a folder of keys.

    >>> key_path(Path("keys"), "coco.full", 1).as_posix()
    'keys/coco-v1/full.json'
    """
    benchmark, _, name = task.partition(".")
    return folder / f"{benchmark}-v{version}" / f"{name}.json"


def _as_json(key: AnswerKey) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "task": key.task,
        "version": key.version,
        "kind": key.kind,
        "cluster": key.cluster,
        "class_keys": key.class_keys,
        "class_names": key.class_names,
        "uids": key.uids,
        "lock": key.lock,
    }


def _lock_of_task(task: str, version: int, locks: Path) -> Any:
    benchmark, _, name = task.partition(".")
    path = locks / f"{benchmark}-v{version}.json"
    tasks = files.read_json(path)["tasks"] if path.is_file() else {}
    if name not in tasks:
        raise Refusal(
            f"{task}@{version} has no lock in {path}: only tasks of benchmarks that ship have answer keys"
        )
    return tasks[name]
