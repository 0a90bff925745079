"""Runs of ``oddpair demo --size small`` under faults, compared with one run that nothing disturbed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.faults.embedding import Embedding, make_shards, take_embeddings
from tests.faults.runs import Ended, Launcher, Started, hashes, temporaries

collect_ignore = ["injected"]
FOLDERS = {
    "draw": "world",
    "embed": "embeddings",
    "count": "counts",
    "split": "splits",
    "export": "shards",
    "train": "models",
    "embed tests": "model-embeddings",
    "score": "predictions",
    "analyse": "results",
    "report": "report.html",
}
STAGES = tuple(FOLDERS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a stage once for each of them."""
    if "stage" in metafunc.fixturenames:
        metafunc.parametrize("stage", STAGES)


@pytest.fixture(scope="session")
def kills() -> int:
    """Return how often each stage is killed: ``make faults KILLS=20`` for the full matrix."""
    return int(os.environ.get("KILLS", "3"))


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Return what starts runs."""
    launcher = Launcher(tmp_path_factory.mktemp("launcher"))
    yield launcher
    launcher.close()


@pytest.fixture(scope="session")
def demo(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Return the runner, with the undisturbed run made."""
    runner = Demo(launcher, tmp_path_factory.mktemp("faults"))
    try:
        runner.make_reference()
        yield runner
    finally:
        shutil.rmtree(runner.folder)


@pytest.fixture(scope="session")
def shards(
    launcher: Launcher,
    transformer: Path,
    noise: Callable[..., Any],
    as_bytes: Callable[..., bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Embedding:
    """Return runs of ``oddpair embed`` over pictures, with the undisturbed run made."""
    folder = tmp_path_factory.mktemp("embed-shards")
    make_shards(folder / "corpus", noise, as_bytes)
    return Embedding(launcher, folder, ("--model", str(transformer)))


@pytest.fixture(scope="session")
def taken(launcher: Launcher, shards: Embedding, tmp_path_factory: pytest.TempPathFactory) -> Embedding:
    """Return runs of ``oddpair embed`` over embeddings that are there, with the undisturbed run made."""
    folder = tmp_path_factory.mktemp("embed-taken")
    take_embeddings(shards.reference, folder / "corpus")
    return Embedding(launcher, folder, ())


@pytest.fixture(params=["shards", "taken"])
def embedding(request: pytest.FixtureRequest) -> Embedding:
    """Return both in turn."""
    found: Embedding = request.getfixturevalue(request.param)
    return found


class Demo:
    """Runs of ``oddpair demo --size small``, and the undisturbed one to compare their folders with."""

    def __init__(self, launcher: Launcher, folder: Path) -> None:
        self.folder = folder
        self._launcher = launcher
        self.reference = folder / "reference"
        self.files: dict[str, str] = {}
        self.events: dict[str, int] = {}
        self.writes: dict[tuple[str, str], int] = {}
        self.seconds = dict.fromkeys(STAGES, 1.0)

    def make_reference(self) -> None:
        """Make the run that nothing disturbs, and count what it does to the files of each stage."""
        ended = self.run(self.reference, {})
        assert ended.status == 0, ended.stderr
        self.files = hashes(self.reference)
        assert {stage_of(name) for name in self.files} == set(STAGES)
        for stage in STAGES:
            kinds = [kind for struck, kind, _ in ended.events if struck == stage]
            self.events[stage] = len(kinds)
            self.writes[stage, "write"] = kinds.count("write") + kinds.count("sync")
            self.writes[stage, "rename"] = kinds.count("rename")
            told = re.search(rf"^{stage}: ([0-9.]+) s$", ended.stderr, re.MULTILINE)
            if told is not None:
                self.seconds[stage] = float(told[1])

    def start(
        self,
        out: Path | str,
        fault: dict[str, Any] | None = None,
        *,
        workers: int = 1,
        fresh: bool = False,
        more: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> Started:
        """Start ``oddpair demo`` of the small size into ``out``, with a fault."""
        cwd = folder or self.folder
        return self._launcher.start(
            [
                "demo",
                "--size",
                "small",
                "--out",
                str(Path(out) if fresh else cwd / out),
                "--workers",
                str(workers),
                *more,
            ],
            None if fault is None else {"out": str(cwd / out), **fault},
            fresh=fresh,
            environment=environment,
            folder=cwd,
        )

    def run(self, out: Path | str, fault: dict[str, Any] | None = None, **options: Any) -> Ended:
        """Start a run and wait for its end."""
        return self.start(out, fault, **options).end()

    def copy(self, name: str, *, before: str | None = None) -> Path:
        """Copy the undisturbed run, without the stages from ``before`` on."""
        copy = self.folder / name.replace(" ", "-")
        assert not copy.exists()
        shutil.copytree(self.reference, copy)
        for stage in STAGES[STAGES.index(before) :] if before else ():
            self.remove(copy, stage)
        return copy

    def remove(self, folder: Path, stage: str) -> None:
        """Remove what a stage made."""
        path = folder / FOLDERS[stage]
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    def until_after(self, stage: str) -> dict[str, str]:
        """Return the fault that ends a run by a kill at the first file of the stage after ``stage``."""
        later = STAGES[STAGES.index(stage) + 1 :]
        return {"until": later[0]} if later else {}

    def expect_same(self, folder: Path, *, through: str = "report") -> None:
        """Expect the files of the stages ``through`` to be the undisturbed run's, byte for byte, and no other."""
        wanted = set(STAGES[: STAGES.index(through) + 1])
        found = {name: value for name, value in hashes(folder).items() if stage_of(name) in wanted}
        expected = {name: value for name, value in self.files.items() if stage_of(name) in wanted}
        assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []

    def expect_whole(self, folder: Path) -> None:
        """Expect no temporary file, and only files that the undisturbed run holds with the same bytes."""
        assert temporaries(folder) == []
        found = hashes(folder)
        mid_training = {name for name in found if name.endswith(("/step", "/checkpoint.safetensors"))}
        wrong = [name for name in found if found[name] != self.files.get(name) and name not in mid_training]
        assert wrong == []

    def hashes(self, folder: Path) -> dict[str, str]:
        """Return the SHA-256 of every file that is not hidden, by its path in the folder."""
        return hashes(folder)


def stage_of(name: str) -> str:
    """Return the stage that makes a file."""
    first = name.split("/")[0]
    return next(stage for stage, folder in FOLDERS.items() if folder == first)
