"""Objects of a git repository read as data: nothing is checked out, no hook or filter runs, nothing is fetched."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.eval.submission.words import show

TREE, BLOB = "tree", "blob"
# Listing one folder; a tree object may name millions of files, or itself be made to look like that.
_MOST_LISTED = 32 << 20
_SECONDS = 60
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LINE = re.compile(rb"([0-7]{6}) ([a-z]+) ([0-9a-f]{40,64}) +(-|[0-9]+)\t(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One name in a folder of a commit.

    Attributes:
        mode: Six octal digits, as git writes them: ``100644`` is a plain file.
        kind: ``tree``, ``blob`` or ``commit`` (a submodule).
        sha: Hash of the object.
        size: Bytes of a blob; ``None`` for what is none.
    """

    mode: str
    kind: str
    sha: str
    size: int | None


def find_commit(repository: Path, revision: str) -> str:
    """Return the hash of the commit that a revision names.

    Raises:
        Refusal: If there is none.
    """
    asked = f"{revision}^{{commit}}"
    found = _ask(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", asked)
    sha = (found or b"").decode("ascii", "replace").strip()
    if not _HASH.fullmatch(sha):
        raise Refusal(f"{repository} has no commit {show(revision)}: fetch it, or check --base and --head")
    return sha


def find_merge_base(repository: Path, base: str, head: str) -> str:
    """Return the commit at which a pull request left its base.

    Args:
        repository: Folder of the repository.
        base: Hash of the commit to merge into.
        head: Hash of the last commit of the pull request.

    Raises:
        Refusal: If there is none, or several, of which each would tell other changes.
    """
    found = (_ask(repository, "merge-base", "--all", base, head) or b"").decode("ascii", "replace").split()
    if len(found) != 1 or not _HASH.fullmatch(found[0]):
        told = "no commit" if not found else f"{len(found)} commits"
        raise Refusal(
            f"{told} of {repository} are where {head[:12]} left {base[:12]}, needed one: fetch the whole history, or rebase "
            "the pull request onto its base"
        )
    return found[0]


def find_tree(repository: Path, commit: str, path: str) -> str | None:
    """Return the hash of a folder in a commit, ``None`` where there is no folder.

    Args:
        repository: Folder of the repository.
        commit: Hash of the commit.
        path: From the root, with ``/``; empty for the root.
    """
    tree = _ask(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}")
    sha = (tree or b"").decode("ascii", "replace").strip()
    if not _HASH.fullmatch(sha):
        raise Refusal(f"{repository} lacks the files of commit {commit[:12]}: fetch it")
    for part in path.split("/") if path else ():
        entry = list_tree(repository, sha).get(part)
        if entry is None or entry.kind != TREE:
            return None
        sha = entry.sha
    return sha


def list_tree(repository: Path, tree: str) -> dict[str, TreeEntry]:
    """Return what a folder holds by name, without what its folders hold.

    Names are as git stores them; bytes that are no UTF-8 are half letters.

    Raises:
        Refusal: If the folder cannot be listed, or has a name twice, which no file system could hold.
    """
    listed = _ask(repository, "ls-tree", "-z", "-l", tree, most=_MOST_LISTED)
    if listed is None:
        raise Refusal(
            f"{repository}: folder {tree[:12]} cannot be listed: fetch it, or make the commit again"
        )
    found: dict[str, TreeEntry] = {}
    for line in listed.split(b"\0")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            raise Refusal(f"{repository}: folder {tree[:12]} lists a file that is not there: fetch it")
        mode, kind, sha, size = (part.decode("ascii") for part in match.groups()[:4])
        name = match[5].decode("utf-8", "surrogateescape")
        if name in found:
            raise Refusal(f"{repository}: folder {tree[:12]} has {show(name)} twice: make the commit again")
        found[name] = TreeEntry(mode=mode, kind=kind, sha=sha, size=None if size == "-" else int(size))
    return found


def read_blob(repository: Path, sha: str, size: int) -> bytes:
    """Return the bytes of a file of a known size.

    Raises:
        Refusal: If they cannot be read, or are not as many.
    """
    data = _ask(repository, "cat-file", BLOB, sha, most=size)
    if data is None or len(data) != size:
        raise Refusal(
            f"{repository}: file {sha[:12]} has not the {size:,} bytes that it should: fetch it again"
        )
    return data


def _ask(repository: Path, *arguments: str, most: int = 1 << 16) -> bytes | None:
    """Return what git says; ``None`` if it fails, says more than ``most`` bytes or takes too long."""
    command = ["git", "--no-pager", "-C", str(repository), *arguments]
    try:
        process = subprocess.Popen(  # noqa: S603  git alone, with arguments that are hashes or behind --end-of-options
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # What it says of a stranger's names is not for a terminal.
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
    except OSError as error:
        raise Refusal(f"git cannot be run ({error.strerror}): install it, or give folders") from error
    timer = threading.Timer(_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        told = process.stdout.read(most + 1)
        if len(told) > most:
            process.kill()
        process.communicate()
    finally:
        timer.cancel()
    return told if process.returncode == 0 and len(told) <= most else None


def _environment() -> dict[str, str]:
    # Variables such as GIT_DIR, which hooks set, name another repository or program.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # Objects are those that their hashes name, and nobody is asked for more.
    return {
        **kept,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
