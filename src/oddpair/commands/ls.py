"""``oddpair ls``: what lies under a folder that oddpair made or can take, by the files that mark it, each with its card."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oddpair.commands.ls_kinds import KINDS, Marks
from oddpair.errors import Refusal

# Folders of programs, and what oddpair eval keeps to be quick.
_PASSED = frozenset({"node_modules", "__pycache__", "site-packages", "cache"})
DEEPEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One thing that was found.

    Attributes:
        kind: Such as ``split``.
        path: Where it lies.
        line: Its main figures.
        card: Everything that it says of itself, as JSON.
        broken: Why it cannot be read; ``""`` if it can.
    """

    kind: str
    path: Path
    line: str
    card: dict[str, Any]
    broken: str = ""


def find_artifacts(paths: Sequence[Path], told: Callable[[str], None] = lambda _: None) -> list[Artifact]:
    """Look through folders, and say what is in each that is known, without opening a picture or a whole table.

    Hidden folders are passed over, and links to folders; what lies inside of something that was found belongs to it, but for
    folders that hold several things.

    Args:
        paths: Folders.
        told: Called with a line where folders lie too deep to be looked at.

    Returns:
        What was found, by path. What cannot be read is among it and says why.

    Raises:
        Refusal: If a path is no folder.
    """
    found: list[Artifact] = []
    for path in paths:
        if not path.is_dir():
            raise Refusal(f"{path} is no folder, nor the name of a benchmark: give one of them")
        found += _walk(path, 0, told)
    return sorted(found, key=lambda artifact: str(artifact.path))


def _walk(folder: Path, depth: int, told: Callable[[str], None]) -> Iterator[Artifact]:
    marks = _read_marks(folder)
    if marks is None:
        return
    for name, kind in KINDS.items():
        if not kind.marks(marks):
            continue
        try:
            line, card = kind.describe(folder, marks)
        except (Refusal, AttributeError, LookupError, TypeError, ValueError, OSError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            yield Artifact(kind=name, path=folder, line="", card={}, broken=why)
        else:
            yield Artifact(kind=name, path=folder, line=line, card=card)
        if not kind.holds_others:
            return
        break
    if depth == DEEPEST:
        if marks.folders:
            told(
                f"{folder}: {len(marks.folders)} folders are more than {DEEPEST} deep, and were not looked at"
            )
        return
    for name in sorted(marks.folders):
        yield from _walk(folder / name, depth + 1, told)


def _read_marks(folder: Path) -> Marks | None:
    """List the files and folders of a folder; ``None`` if it may not be read."""
    try:
        with os.scandir(folder) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False), entry.is_file()) for entry in entries]
    except OSError:
        return None
    return Marks(
        files=frozenset(name for name, _, is_file in listed if is_file),
        folders=frozenset(
            name
            for name, is_folder, _ in listed
            if is_folder and not name.startswith(".") and name not in _PASSED
        ),
    )
