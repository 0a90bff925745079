"""Files that may lie in a store behind a URL: which URLs are followed, what is in a folder, what a file is."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from oddpair.errors import LASTING, PassingRefusal, Refusal
from oddpair.files import sha256

# What each kind of URL needs beside fsspec. Whatever is not named here, "pipe:" above all, is never followed.
_DRIVERS = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "hf": "huggingface_hub",
    "az": "adlfs",
    "abfs": "adlfs",
    "https": "aiohttp requests",
    "memory": "fsspec",
}
ACCEPTED = (
    "a corpus is a local path, a URL of "
    + ", ".join(f"{scheme}://" for scheme in _DRIVERS if scheme != "memory")
    + ", or a list of files such as 'a/{00000..00012}.tar::b/{000..099}.tar'"
)
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")

# What changes with the content of a file, by the name that each store has for it.
_TAGS = ("ETag", "etag", "md5Hash", "content_md5", "blob_id")
# Errors of drivers that are no OSError; a driver that was not loaded cannot raise its own.
_DRIVER_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("aiohttp", "ClientError"),
    ("azure.core.exceptions", "AzureError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
    # huggingface_hub speaks through one or the other.
    ("httpx", "HTTPError"),
    ("httpx2", "HTTPError"),
)


def find_path(text: str) -> Path:
    """Return the path of a local name or of a URL, without looking whether anything is there.

    Args:
        text: A local path, or a URL of an accepted kind; a local name with a colon is written ``./a:b``.

    Returns:
        A ``pathlib.Path``, or for a URL the ``upath.UPath``, which has the same methods.

    Raises:
        Refusal: If it is a URL of a kind that is not accepted, or whose driver is not installed.
    """
    found = SCHEME.match(text)
    if found is None:
        return Path(text)
    scheme = found[1].lower()
    if scheme not in _DRIVERS or not text[found.end() :].startswith("//"):
        raise Refusal(f"{text!r} begins with {found[0]!r}, which is never followed: {ACCEPTED}")
    if "::" in text:
        raise Refusal(f"{text!r} is a chain of file systems, which is never followed: {ACCEPTED}")
    import fsspec
    from upath import UPath

    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise Refusal(
            f"{text} needs a driver that is not installed: pip install {_DRIVERS[scheme]}"
        ) from error
    # A UPath has every method of Path that readers use, and is none by type.
    return cast(Path, UPath(f"{scheme}{text[found.end(1) :]}"))


def is_folder(path: Path) -> bool:
    """Say whether a path is a folder; an https URL is one if it ends with a slash.

    Raises:
        Refusal: If there is nothing at the path, or it cannot be asked.
    """
    text = str(path)
    try:
        if isinstance(path, Path):
            if not path.exists():
                raise Refusal(f"{text} does not exist: check the path; {ACCEPTED}")
            return path.is_dir()
        if text.startswith("https:"):
            # A web server tells files from folders by nothing else.
            return text.endswith("/")
        store, inner = _store(path)
        return bool(store.info(inner)["type"] == "directory")
    except store_errors() as error:
        raise unreadable(text, error) from error


def list_folder(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List the files and the folders right in a folder, sorted, without hidden ones and ``*.tmp``.

    Raises:
        Refusal: If the folder cannot be listed.
    """
    try:
        entries = list(_list_local(folder) if isinstance(folder, Path) else _list_remote(folder))
    except store_errors() as error:
        raise unreadable(str(folder), error) from error
    shown = [entry for entry in entries if not entry[0].startswith(".") and not entry[0].endswith(".tmp")]
    files = sorted(name for name, is_folder in shown if not is_folder)
    return tuple(files), tuple(sorted(name for name, is_folder in shown if is_folder))


def identify_file(path: Path) -> str:
    """Return what changes when the content of a file does.

    Of a local file the SHA-256; of a remote one the tag that its store keeps and the size, or the SHA-256
    where the store keeps none.

    Raises:
        Refusal: If the file cannot be read.
    """
    if isinstance(path, Path):
        return sha256(path)
    tag = read_tag(path)
    if tag is not None:
        return tag
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except store_errors() as error:
        raise unreadable(str(path), error) from error


def read_tag(path: Path) -> str | None:
    """Return the tag that a store keeps of a file's content, and the size; ``None`` where it keeps none.

    Raises:
        Refusal: If the file is not there, or the store cannot be asked.
    """
    try:
        store, inner = _store(path)
        info = store.info(inner)
    except store_errors() as error:
        raise unreadable(str(path), error) from error
    tag = next((str(info[name]).strip('"') for name in _TAGS if info.get(name)), None)
    return None if tag is None else f"{tag} {info['size']}"


def store_errors() -> tuple[type[Exception], ...]:
    """Return what reading a file or a listing may raise: OSError, and what loaded drivers have of their own."""
    loaded = [(sys.modules.get(module), name) for module, name in _DRIVER_ERRORS]
    return (OSError, *(getattr(module, name) for module, name in loaded if hasattr(module, name)))


def unreadable(text: str, error: Exception) -> Refusal:
    """Word the refusal of a path that could not be read; of a store that did not answer, one that may pass."""
    if isinstance(error, FileNotFoundError):
        return Refusal(f"{text} does not exist: check the path")
    said = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
    passing = not isinstance(error, OSError) or error.errno not in LASTING
    kind = PassingRefusal if passing else Refusal
    return kind(f"{text} cannot be read ({said}): check the path, permissions and credentials")


def _list_local(folder: Path) -> Iterator[tuple[str, bool]]:
    # The directory itself tells files from folders: nothing is asked of a million files one by one.
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name, entry.is_dir()


def _list_remote(folder: Path) -> Iterator[tuple[str, bool]]:
    store, inner = _store(folder)
    inner = inner.rstrip("/")
    for entry in store.ls(f"{inner}/" if "://" in inner else inner, detail=True):
        full = str(entry["name"]).rstrip("/")
        # A web page links to much that is not right below it.
        if "://" in inner and full.rpartition("/")[0] != inner:
            continue
        if full != inner:
            yield full.rsplit("/", 1)[-1], entry["type"] == "directory"


def _store(path: Path) -> tuple[Any, str]:
    """Return the file system of a remote path and the path as that file system writes it."""
    remote: Any = path
    return remote.fs, str(remote.path)
