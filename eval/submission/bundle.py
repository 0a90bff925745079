"""The files of a submission, from a folder or a commit: only plain files of the names that a submission has."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.eval.submission.objects import (
    BLOB,
    TREE,
    TreeEntry,
    find_commit,
    find_tree,
    list_tree,
    read_blob,
)
from oddpair.eval.submission.submission import (
    MOST_BYTES,
    MOST_PREDICTION_BYTES,
    PREDICTIONS,
    SUBMISSION_FILE,
)
from oddpair.eval.submission.words import show

# Of the folder of a submission: handle, model and the first 8 digits of the weights' hash.
FOLDER = re.compile(r"[A-Za-z0-9-]{1,39}__[A-Za-z0-9._-]{1,60}__[0-9a-f]{8}")
_PREDICTION = re.compile(rf"{PREDICTIONS}/[a-z0-9-]+\.[a-z0-9-]+@[1-9][0-9]{{0,3}}\.parquet")
# More than there will be tasks; a folder of a million names is not read to its end.
_MOST_FILES = 201
_PLAIN = "100644"
_MODES = {"120000": "a link", "100755": "executable", "160000": "a submodule", "040000": "a folder"}
_NAMES = f"{SUBMISSION_FILE} and {PREDICTIONS}/TASK@VERSION.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """One file of a submission.

    Attributes:
        path: Within the submission, with ``/``.
        size: Bytes.
        read: Returns them, as many as ``size``; raises a Refusal if the file has changed.
    """

    path: str
    size: int
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The files of a submission, by path; nothing of them has been read yet.

    Attributes:
        name: Name of the folder.
        where: The folder, for messages.
        files: Plain files of no more than their size limits.
    """

    name: str
    where: str
    files: Mapping[str, BundleFile]


def read_folder(folder: Path) -> Bundle:
    """List a submission that lies in a folder, following no link.

    Args:
        folder: The folder, named ``HANDLE__MODEL__WEIGHTS``.

    Returns:
        Its files.

    Raises:
        Refusal: If it holds anything but plain files of the names and sizes of a submission: links (hard ones too),
            devices, executable bits, other names, other folders.
    """
    name = Path(folder).resolve().name if Path(folder).name in ("", "..") else Path(folder).name
    where = _where(f"{Path(folder).parent}/", name)
    try:
        status = folder.lstat()
    except (OSError, ValueError) as error:
        raise Refusal(f"{where} does not exist: check the path") from error
    if not stat.S_ISDIR(status.st_mode):
        raise Refusal(
            f"{where} is {_kind(status.st_mode)}, needed a folder: give that of the submission itself"
        )
    files: dict[str, BundleFile] = {}
    for entry in _scan(folder, where):
        if entry.name == PREDICTIONS and entry.is_dir(follow_symlinks=False):
            for inner in _scan(folder / PREDICTIONS, where):
                _add(files, where, f"{PREDICTIONS}/{inner.name}", folder / PREDICTIONS / inner.name)
        else:
            _add(files, where, entry.name, folder / entry.name)
    return Bundle(name=name, where=where, files=dict(sorted(files.items())))


def read_commit(repository: Path, commit: str, folder: str) -> Bundle:
    """List a submission as a commit holds it; its files are read as git objects and never checked out.

    Args:
        repository: Folder of the repository.
        commit: Any name of the commit.
        folder: Of the submission, from the repository's root, with ``/``.

    Returns:
        Its files.

    Raises:
        Refusal: If it holds anything but plain files (mode 100644) of the names and sizes of a submission.
    """
    above, _, name = folder.rpartition("/")
    where = _where(f"{above}/", name)
    tree = find_tree(repository, find_commit(repository, commit), folder)
    if tree is None:
        raise Refusal(f"{where} is no folder of the commit: give one that holds the submission")
    files: dict[str, BundleFile] = {}
    for own, entry in list_tree(repository, tree).items():
        if own == PREDICTIONS and entry.kind == TREE:
            for inner, each in list_tree(repository, entry.sha).items():
                _add_object(files, repository, where, f"{PREDICTIONS}/{inner}", each)
        else:
            _add_object(files, repository, where, own, entry)
    return Bundle(name=name, where=where, files=dict(sorted(files.items())))


def _where(above: str, name: str) -> str:
    if not FOLDER.fullmatch(name):
        raise Refusal(
            f"folder {show(name)} is not named HANDLE__MODEL__WEIGHTS, the last the first 8 digits of the weights' hash: "
            "name it as oddpair submit does"
        )
    return f"{'' if above == './' else above}{name}"


def _scan(folder: Path, where: str) -> Iterable[os.DirEntry[str]]:
    found: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.append(entry)
                if len(found) > _MOST_FILES:
                    break
    except OSError as error:
        raise Refusal(f"{where} cannot be listed ({error.strerror}): check its permissions") from error
    return sorted(found, key=lambda entry: entry.name)


def _add(files: dict[str, BundleFile], where: str, path: str, place: Path) -> None:
    told = _check_name(files, where, path)
    try:
        status = place.lstat()
    except OSError as error:
        raise Refusal(f"{told} cannot be looked at ({error.strerror}): check its permissions") from error
    if not stat.S_ISREG(status.st_mode):
        raise Refusal(f"{told} is {_kind(status.st_mode)}, needed a plain file: put a copy there")
    if status.st_nlink > 1:
        raise Refusal(f"{told} is a hard link, one of {status.st_nlink:,}, needed a file: put a copy there")
    if status.st_mode & 0o7111:
        raise Refusal(
            f"{told} is executable, or set to run as somebody else: take its bits away by chmod 644"
        )
    _check_size(told, path, status.st_size)
    files[path] = BundleFile(path=path, size=status.st_size, read=partial(_read, place, told, status))


def _read(place: Path, told: str, before: os.stat_result) -> bytes:
    """Read a file that is still the one that was looked at."""
    changed = Refusal(f"{told} has changed while it was read: leave it alone, and run again")
    try:
        # A pipe in the place of the file must not make anybody wait.
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            now = os.fstat(descriptor)
            if _identity(now) != _identity(before):
                raise changed
            data = file.read(before.st_size + 1)
    except OSError as error:
        raise Refusal(f"{told} cannot be read ({error.strerror}): check its permissions") from error
    if len(data) != before.st_size:
        raise changed
    return data


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mode, status.st_nlink, status.st_size


def _add_object(
    files: dict[str, BundleFile], repository: Path, where: str, path: str, entry: TreeEntry
) -> None:
    told = _check_name(files, where, path)
    if entry.mode != _PLAIN or entry.kind != BLOB or entry.size is None:
        what = _MODES.get(entry.mode, f"of mode {entry.mode}")
        raise Refusal(f"{told} is {what}, needed a plain file of mode {_PLAIN}: commit a copy")
    _check_size(told, path, entry.size)
    files[path] = BundleFile(
        path=path, size=entry.size, read=partial(read_blob, repository, entry.sha, entry.size)
    )


def _check_name(files: Mapping[str, BundleFile], where: str, path: str) -> str:
    """Return how a file is told of, once its name is known to be harmless."""
    if len(files) >= _MOST_FILES:
        raise Refusal(f"{where} holds more than {_MOST_FILES:,} files, needed {_NAMES}: take the others away")
    if path != SUBMISSION_FILE and not _PREDICTION.fullmatch(path):
        raise Refusal(f"{where} holds {show(path)}, needed {_NAMES} alone: take it away")
    return f"{where}/{path}"


def _check_size(told: str, path: str, size: int) -> None:
    most = MOST_BYTES if path == SUBMISSION_FILE else MOST_PREDICTION_BYTES
    if size > most:
        raise Refusal(f"{told} has {size:,} bytes, at most {most:,} are taken: make it with oddpair submit")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFREG: "a file",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")
