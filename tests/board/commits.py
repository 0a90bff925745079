"""Commits made object by object, so that a test may commit what no working tree could hold."""

import os
import subprocess
from typing import Any


def git(repository, *arguments, data=b""):
    """Run git in a repository with no settings but its own: what it printed, without the line end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    named = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "a"), ("EMAIL", "a@example.org"), ("DATE", "1700000000 +0000"))
    }
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        input=data,
        capture_output=True,
        check=True,
        env={**kept, **named, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )
    return done.stdout.decode().strip()


def start(folder):
    """Make an empty repository, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet")
    return folder


def write_tree(repository, files):
    """Write a tree of bytes by path, or of ``(mode, bytes)``, or of ``(mode, hash)``; return its hash."""
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for path, content in files.items():
        name, _, rest = path.partition("/")
        if rest:
            inner.setdefault(name, {})[rest] = content
        else:
            own[name] = content if isinstance(content, tuple) else ("100644", content)
    rows = [
        (
            mode,
            what if isinstance(what, str) else git(repository, "hash-object", "-w", "--stdin", data=what),
            name,
        )
        for name, (mode, what) in own.items()
    ]
    rows += [("040000", write_tree(repository, below), name) for name, below in inner.items()]
    kinds = {"040000": "tree", "160000": "commit"}
    listed = b"".join(
        f"{mode} {kinds.get(mode, 'blob')} {sha}\t{name}\0".encode() for mode, sha, name in rows
    )
    return git(repository, "mktree", "-z", "--missing", data=listed)


def commit(repository, files, *parents):
    """Commit a tree as `write_tree` writes it, or of a hash; return the commit's hash."""
    tree = files if isinstance(files, str) else write_tree(repository, files)
    options = [part for parent in parents for part in ("-p", parent)]
    return git(repository, "commit-tree", tree, *options, "-m", "a commit")


def files_below(folder, place):
    """The files of a folder by their path, as they would lie in a commit below ``place``."""
    return {
        f"{place}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
