"""Whether what oddpair needs beside speed is there: its libraries, room for files, and what it ships with."""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from oddpair import files
from oddpair.commands.check import Check
from oddpair.errors import Refusal

_LIBRARIES, _PLACE, _SHIPPED = "software", "files", "what ships"
_FEWEST_FILES = 1024
_LEAST_ROOM = 1_000_000_000
# A disk forces a small file within some milliseconds; so slow are file systems of a network.
_SLOW_WRITE = 0.5


def check_libraries(told: Iterable[str], find: Callable[[str], str] = version) -> Iterator[Check]:
    """Compare every library that the package declares with what is installed.

    Args:
        told: Those that are told of elsewhere, by their names in the registry.
        find: Finds the version of one.

    Yields:
        A check for each that is missing or too old, and one for all the others together.
    """
    from packaging.requirements import Requirement

    fitting = 0
    named = set(told)
    for line in requires("oddpair") or ():
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        remedy = f"pip install --upgrade '{wanted.name}{wanted.specifier}'"
        try:
            found = find(wanted.name)
        except PackageNotFoundError:
            if wanted.name not in named:
                yield Check(
                    topic=_LIBRARIES,
                    name=wanted.name,
                    found="not installed",
                    verdict="unusable",
                    remedy=remedy,
                )
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            text = f"{found}, {wanted.specifier} is needed"
            yield Check(topic=_LIBRARIES, name=wanted.name, found=text, verdict="unusable", remedy=remedy)
        elif wanted.name not in named:
            fitting += 1
    yield Check(topic=_LIBRARIES, name="others", found=f"{fitting} libraries as asked for", value=fitting)


def check_files(folder: Path) -> Iterator[Check]:
    """Try whether files can be written, forced to disk, renamed and locked where a run would write, and how many may be open.

    Args:
        folder: Where runs write; nothing stays there.
    """
    yield _try_write(folder)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 0 <= limit < _FEWEST_FILES
    yield Check(
        topic=_PLACE,
        name="open files",
        found="any number" if limit < 0 else f"{limit:,} at once",
        verdict="slow" if few else "ok",
        remedy="ulimit -n 4096" if few else "",
        value=limit,
    )
    temporary = Path(tempfile.gettempdir())
    room = shutil.disk_usage(temporary).free
    yield Check(
        topic=_PLACE,
        name="temporary folder",
        found=f"{room / 1e9:.1f} GB free in {temporary}",
        verdict="slow" if room < _LEAST_ROOM else "ok",
        remedy="set TMPDIR to a folder with room" if room < _LEAST_ROOM else "",
        value=room,
    )
    encoding = sys.getfilesystemencoding().lower()
    plain = encoding == "utf-8"
    yield Check(
        topic=_PLACE,
        name="names",
        found=f"of files, in {encoding}",
        verdict="ok" if plain else "slow",
        remedy="" if plain else "set PYTHONUTF8=1: names of files with other letters cannot be told",
    )


def check_shipped() -> Iterator[Check]:
    """Open what ships with the package: benchmarks with their locks, and the weights of the reference encoder."""
    from safetensors import SafetensorError, safe_open

    from oddpair.benchmarks.benchmark_file import load_benchmark, shipped
    from oddpair.retrieval.model_places import reference_folder

    again = "pip install --force-reinstall oddpair, or check the clone out again"
    names = shipped()
    try:
        for name in names:
            load_benchmark(name)
    except Refusal as refusal:
        yield Check(topic=_SHIPPED, name="benchmarks", found=str(refusal), verdict="unusable", remedy=again)
    else:
        yield Check(
            topic=_SHIPPED, name="benchmarks", found=f"{len(names)}, as their locks say", value=len(names)
        )
    weights = reference_folder() / "open_clip_model.safetensors"
    try:
        with safe_open(str(weights), framework="np") as stored:
            found = f"{len(list(stored.keys())):,} tensors"
    except (OSError, SafetensorError) as error:
        text = str(error).splitlines()[0]
        yield Check(topic=_SHIPPED, name="reference encoder", found=text, verdict="unusable", remedy=again)
    else:
        yield Check(topic=_SHIPPED, name="reference encoder", found=found)


def _try_write(folder: Path) -> Check:
    name = "writing"
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".oddpair-") as place, files.locked(Path(place)):
            start = time.perf_counter()
            files.write_bytes(Path(place) / "try", b"\0" * 4096)
            taken = time.perf_counter() - start
    except (OSError, Refusal) as error:
        text = str(error).splitlines()[0]
        return Check(
            topic=_PLACE,
            name=name,
            found=text,
            verdict="unusable",
            remedy="go to a folder on a disk of this machine",
        )
    slow = taken > _SLOW_WRITE
    return Check(
        topic=_PLACE,
        name=name,
        found=f"a file is locked, written, forced to disk and renamed in {1000 * taken:.0f} ms in {folder}",
        verdict="slow" if slow else "ok",
        remedy="give --out a folder on a disk of this machine" if slow else "",
        value=taken,
    )
