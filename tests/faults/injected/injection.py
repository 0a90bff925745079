"""Faults from outside: an audit hook counts what a run does to the files of a stage, and strikes at the n-th.

The environment variable ``ODDPAIR_FAULT`` holds the fault as JSON; without it nothing is installed. The hook
runs just before Python opens a file to write or to sync, renames, removes or makes a folder, so the strikes fall
between any two such steps of ``oddpair.files.atomic``. Production code knows nothing of it.
"""
# The hook runs inside the calls of pathlib:
# ruff: noqa: PTH100, PTH112, PTH202

import errno
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

FOLDERS = {
    "world": "draw",
    "embeddings": "embed",
    "counts": "count",
    "splits": "split",
    "shards": "export",
    "models": "train",
    "model-embeddings": "embed tests",
    "predictions": "score",
    "results": "analyse",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def install() -> None:
    """Install the fault that the environment asks for, in this process."""
    text = os.environ.get("ODDPAIR_FAULT")
    if text is None:
        return
    fault: dict[str, Any] = json.loads(text)
    _patch(fault)
    sys.addaudithook(_Hook(fault))


def _patch(fault: dict[str, Any]) -> None:
    if "shuffle" in fault:
        _shuffle_folders(random.Random(fault["shuffle"]), [fault["out"], *fault.get("listed", [])])
    if "timeout" in fault:
        from oddpair import jobs

        defaults = jobs.run_jobs.__kwdefaults__
        assert defaults is not None
        defaults["timeout"] = fault["timeout"]
    if "checkpoint_every" in fault:
        from oddpair.benchmarks.miniature import train

        train.CHECKPOINT_EVERY = fault["checkpoint_every"]
    if "deadly" in fault:
        _crash_decoders(fault["deadly"].encode())
    if "deadly_batch" in fault:
        _crash_towers(fault["deadly_batch"])


def _crash_decoders(mark: bytes) -> None:
    """Let pictures that bear the mark kill the process that decodes them, as a bug of a C library does."""
    import simplejpeg

    decode = simplejpeg.decode_jpeg

    def decode_jpeg(data: bytes, *arguments: Any, **options: Any) -> Any:
        if mark in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        return decode(data, *arguments, **options)

    simplejpeg.decode_jpeg = decode_jpeg


def _crash_towers(number: int) -> None:
    """Let the n-th batch of every process kill it in the model."""
    from oddpair.retrieval.towers import Towers

    embed, batches = Towers.embed_images, itertools.count(1)

    def embed_images(*arguments: Any, **options: Any) -> Any:
        if next(batches) == number:
            os.kill(os.getpid(), signal.SIGSEGV)
        return embed(*arguments, **options)

    Towers.embed_images = embed_images  # type: ignore[method-assign]


class _Hook:
    """Numbers the matching events over all processes of the run: each appends one byte to one file."""

    def __init__(self, fault: dict[str, Any]) -> None:
        self.fault = fault
        self.out = os.path.abspath(fault["out"])
        self.notes = os.open(f"{fault['notes']}.events", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.counter = os.open(f"{fault['notes']}.counter", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.is_worker = os.getpid() != os.getsid(0)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        kind, path = _kind(event, arguments)
        if kind is None or not _is_in(path, self.out):
            return
        name = os.path.relpath(path, self.out)
        stage = _stage(kind, name)
        if stage is None:
            return
        os.write(self.notes, f"{stage}\t{kind}\t{name}\n".encode())
        fault = self.fault
        if stage == fault.get("until"):
            self._strike("kill", stage, kind, path)
        if stage != fault.get("stage") or kind not in fault.get("kinds", [kind]):
            return
        if fault.get("name", "") not in name:
            return
        if not self.is_worker and fault.get("where") == "worker":
            return
        os.write(self.counter, b".")
        number = os.lseek(self.counter, 0, os.SEEK_CUR)
        # A full disk stays full, and short memory may stay short; every other fault strikes once.
        stays = fault["action"] == "full" or fault.get("stays", False)
        if number == fault["event"] or (number > fault["event"] and stays):
            if fault.get("delay"):
                threading.Thread(
                    target=self._strike, args=(fault["action"], stage, "later", path), daemon=True
                ).start()
            else:
                self._strike(fault["action"], stage, kind, path)

    def _strike(self, action: str, stage: str, kind: str, path: str) -> None:
        if kind == "later":
            time.sleep(self.fault["delay"])
        os.write(
            self.notes, f"strike\t{action}\t{stage}\t{kind}\t{os.path.relpath(path, self.out)}\n".encode()
        )
        if kind == "sync" and action in {"kill", "die"}:
            os.truncate(path, os.path.getsize(path) // 2)  # as if struck in the middle of the write
        if action == "kill":
            os.killpg(0, signal.SIGKILL)
        elif action == "kill main":
            os.kill(os.getsid(0), signal.SIGKILL)
        elif action == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif action == "signal main":
            for number in self.fault["signals"]:
                os.kill(os.getsid(0), number)
        elif action == "signal all":
            for number in self.fault["signals"]:
                os.killpg(0, number)
        elif action == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        else:
            raise ValueError(action)


def _kind(event: str, arguments: tuple[Any, ...]) -> tuple[str | None, str]:
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int):
            return None, ""
        path = os.path.abspath(os.fsdecode(path))
        if flags & _WRITING:
            return "write", path
        if mode is None and os.path.isdir(path):
            return "settle", path
        return ("sync" if mode is None and path.endswith(".tmp") else None), path
    if event == "os.rename":
        return "rename", os.path.abspath(os.fsdecode(arguments[1]))
    if event == "os.remove" and arguments[1] == -1:
        return "remove", os.path.abspath(os.fsdecode(arguments[0]))
    if event == "os.mkdir":
        return "mkdir", os.path.abspath(os.fsdecode(arguments[0]))
    return None, ""


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _stage(kind: str, name: str) -> str | None:
    first = Path(name).parts[:1]
    if name == ".lock":
        return "start"
    if not first:
        return "report" if kind == "settle" else None
    return FOLDERS.get(first[0], "report")


def _shuffle_folders(rng: random.Random, folders: list[str]) -> None:
    list_names, scan = os.listdir, os.scandir

    class Shuffled:
        def __init__(self, path: Any) -> None:
            with scan(path) as entries:
                self.entries = list(entries)
            rng.shuffle(self.entries)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def __iter__(self) -> Any:
            return iter(self.entries)

        def __next__(self) -> Any:
            if not self.entries:
                raise StopIteration
            return self.entries.pop()

        def close(self) -> None:
            return

    def is_ours(path: Any) -> bool:
        if isinstance(path, int):
            return False
        place = os.path.abspath(os.fsdecode(path))
        return any(_is_in(place, os.path.abspath(folder)) for folder in folders)

    def listdir(path: Any = ".") -> Any:
        names = list_names(path)
        if is_ours(path):
            rng.shuffle(names)
        return names

    def scandir(path: Any = ".") -> Any:
        return Shuffled(path) if is_ours(path) else scan(path)

    os.listdir = listdir
    os.scandir = scandir
