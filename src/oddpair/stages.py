"""A stage owns one folder: ``inputs.json`` says what it is made from, ``done.json`` that it is complete."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oddpair import __version__
from oddpair.errors import Refusal
from oddpair.files import read_json, sha256, write_json

_INPUTS = "inputs.json"
_DONE = "done.json"
_LONGEST_VALUE = 60
_MOST_TOLD = 3


def begin(folder: Path, inputs: Mapping[str, Any]) -> bool:
    """Say whether the stage of ``folder`` has work to do, and record what it is made from.

    A folder whose ``done.json`` no longer fits its files needs work again: damaged files are deleted, so
    that a stage which keeps the files it finds makes only the missing ones.

    Args:
        folder: Folder of the stage, made if missing.
        inputs: Everything the output depends on, as JSON: settings, seeds, digests of earlier stages. The
            version of oddpair is added.

    Returns:
        False if the stage is complete, True if it is new, was interrupted or lost files.

    Raises:
        Refusal: If the folder was made from other inputs, or holds files but no ``inputs.json``.
    """
    folder = Path(folder)
    wanted: dict[str, Any] = json.loads(json.dumps({"oddpair": __version__, **inputs}, allow_nan=False))
    # A stage that was refused before it made a file may be tried with other settings in the same folder.
    if not (folder / _INPUTS).exists() or _files(folder) == [folder / _INPUTS]:
        _refuse_strangers(folder)
        write_json(folder / _INPUTS, wanted)
        return True
    _refuse_changes(folder, _record(folder / _INPUTS), wanted)
    if not (folder / _DONE).exists():
        return True
    damaged = list(_damaged(folder))
    if damaged:
        (folder / _DONE).unlink()
        for path in damaged:
            path.unlink(missing_ok=True)
    return bool(damaged)


def finish(folder: Path) -> None:
    """Mark the stage of ``folder`` complete: record the size in bytes and SHA-256 of each of its files.

    Hidden files (lock, temporary) are no part of a stage.

    Raises:
        ValueError: If the stage was not begun or made no file.
    """
    folder = Path(folder)
    if not (folder / _INPUTS).exists():
        raise ValueError(f"{folder} was not begun, needed {_INPUTS} in it")
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in _files(folder)
        if path not in {folder / _INPUTS, folder / _DONE}
    }
    if not files:
        raise ValueError(f"{folder} holds no file, a complete stage makes one or more")
    write_json(folder / _DONE, files)


@contextmanager
def make(folder: Path) -> Iterator[None]:
    """Finish the stage of ``folder`` when the block ends; abandon it if the block refuses."""
    try:
        yield
    except Refusal:
        abandon(folder)
        raise
    finish(folder)


def abandon(folder: Path) -> None:
    """Take back the record of a stage that was begun and made no file, and the folder if nothing is left in it.

    A stage that made files keeps them and their record, to go on from there.
    """
    folder = Path(folder)
    if _files(folder) == [folder / _INPUTS]:
        (folder / _INPUTS).unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def made_from(folder: Path) -> dict[str, Any] | None:
    """Return what a stage was made from; ``None`` if it is not complete, or a file is missing or of another size."""
    folder = Path(folder)
    if not (folder / _INPUTS).exists() or not (folder / _DONE).exists() or any(_damaged(folder)):
        return None
    return _record(folder / _INPUTS)


def digest(folder: Path) -> str:
    """Return the SHA-256 of what a complete stage made, for the inputs of the stages behind it."""
    return sha256(Path(folder) / _DONE)


def verify(folder: Path) -> None:
    """Compare every file of a complete stage with its recorded SHA-256.

    Raises:
        Refusal: If the stage is not complete, or a file is missing or has changed.
    """
    folder = Path(folder)
    for name, (_, expected) in _completed(folder).items():
        if sha256(folder / name) != expected:
            raise Refusal(
                f"{folder / name} has changed since it was made: delete it and run again to make it anew"
            )


def _refuse_strangers(folder: Path) -> None:
    # Files of unknown origin would be taken for finished work; an empty folder is what a killed run leaves.
    strangers = [path for path in _files(folder) if path != folder / _INPUTS]
    if strangers:
        raise Refusal(
            f"{folder} holds {strangers[0].relative_to(folder)} but no {_INPUTS} that says what it was made from: "
            "choose an empty folder"
        )


def _refuse_changes(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    before, now = dict(_flat(found)), dict(_flat(wanted))
    changed = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    if changed:
        told = changed[:_MOST_TOLD]
        others = f", and {len(changed) - len(told):,} more differ" if len(changed) > len(told) else ""
        raise Refusal(
            f"{folder} was made with {_settings(told, before)}, now {_settings(told, now)}{others}: "
            "choose another --out, or delete the folder to make it again"
        )


def _settings(names: list[str], values: dict[str, str]) -> str:
    return ", ".join(f"{name}={_short(values[name])}" if name in values else f"no {name}" for name in names)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _flat(inputs: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in inputs.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value, sort_keys=True)


def _damaged(folder: Path) -> Iterator[Path]:
    for name, (size, _) in _completed(folder).items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            yield path


def _completed(folder: Path) -> dict[str, tuple[int, str]]:
    try:
        record = _record(folder / _DONE)
        return {name: (int(file["bytes"]), str(file["sha256"])) for name, file in record.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(f"{folder / _DONE} is not a list of files: delete it and run again") from error


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict):
        raise Refusal(f"{path} is not a JSON object: delete its folder to make it again")
    return record
