"""Paths of the command line, looked at before anything is read or made: what is no place to write is refused."""

from __future__ import annotations

from pathlib import Path

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus


def need_files(*paths: Path | None) -> None:
    """Refuse an input that is no file; ``None`` is an option that was not given."""
    for path in paths:
        if path is not None and not path.is_file():
            found = "is a folder, needed a file" if path.is_dir() else "does not exist"
            raise Refusal(f"{path} {found}: check the path")


def need_folder(folder: Path, option: str) -> None:
    """Refuse an output folder that is a file, or lies below one."""
    here = next(part for part in (folder, *folder.parents) if part.exists())
    if not here.is_dir():
        raise Refusal(f"{option} {folder}: {here} is no folder: choose another")


def need_folders(corpus: Corpus, *folders: Path) -> None:
    """Refuse an output folder that is a file, or the corpus itself, where not even a lock may be left."""
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise Refusal(f"{folder} is a file: choose a folder")
        if isinstance(corpus.root, Path) and folder.resolve() == corpus.root.resolve():
            raise Refusal(f"{folder} is the corpus, which is never written to: choose another folder")


def need_apart(corpus: Corpus, folder: Path) -> None:
    """Refuse an output folder that lies in the corpus or holds it: its shards would be taken for the corpus's."""
    need_folders(corpus, folder)
    if not isinstance(corpus.root, Path):
        return
    mine, theirs = folder.resolve(), corpus.root.resolve()
    if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
        raise Refusal(
            f"{folder} and the corpus {corpus.root} lie one in the other: choose a folder apart from it"
        )
