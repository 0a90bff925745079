"""Pictures that somebody's annotations name: where they lie, which are missing, and the corpus of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.formats.folder_source import FolderSource
from oddpair.retrieval.formats.listing import ROWS_PER_BLOCK, is_outside
from oddpair.retrieval.formats.loose import LooseFiles

_PROBES = 32
_TOLD = 8


def corpus_of_files(root: Path, names: Iterable[str]) -> Corpus:
    """Make a corpus of some files of a folder, each a sample whatever its bytes, in the order of their names.

    Args:
        root: The folder.
        names: Names relative to it, with ``/`` between their parts; each counts once.

    Returns:
        The corpus, without captions, in shards of 1,000 files; keys are the names. Nothing has been looked at.

    Raises:
        ValueError: If there is no name.
    """
    chosen = sorted(set(names))
    if not chosen:
        raise ValueError(f"no names of files in {root}, needed one at least")
    blocks = [chosen[row : row + ROWS_PER_BLOCK] for row in range(0, len(chosen), ROWS_PER_BLOCK)]
    source = FolderSource(
        root=root,
        shards=tuple(f"{number:05d}" for number in range(len(blocks))),
        sizes=tuple(len(block) for block in blocks),
        captioned=False,
        outside=False,
        names=tuple(zlib.compress("\0".join(block).encode("utf-8", "surrogateescape")) for block in blocks),
        repeats=True,
    )
    return Corpus(source=source)


def require_inside(name: str, where: str) -> str:
    """Return a name of a picture without ``./`` and doubled slashes.

    Raises:
        Refusal: If it leads out of the folder that it is looked for in, or is no name of a file.

    >>> require_inside("./val2014//a.jpg", "here")
    'val2014/a.jpg'
    """
    if is_outside(name) or "\\" in name or "\0" in name:
        raise Refusal(
            f"{where} names the picture {name[:80]!r}: give a path inside the folder of pictures, with /"
        )
    plain = str(PurePosixPath(name))
    if plain == ".":
        raise Refusal(f"{where} names no picture: fill it in")
    return plain


def choose_folder(
    annotations: Path, setting: str | None, folders: Sequence[str], spellings: Sequence[Sequence[str]]
) -> tuple[Path, Sequence[str]]:
    """Find the folder in which annotated pictures lie, and which spelling of their names fits it.

    Args:
        annotations: The file, or folder, of annotations.
        setting: Folder that the user gave, relative to the folder of the annotations; ``None`` to look in
            `folders` there and one level up.
        folders: Names of folders that such pictures come in; ``""`` for no folder of their own.
        spellings: Ways to write the names of all pictures, each in the same order; an earlier one is preferred.

    Returns:
        The folder that holds most of 32 pictures spread over the list, and the names as they are written there.

    Raises:
        Refusal: If not one of them is anywhere.
    """
    home = annotations.absolute()
    home = home if home.is_dir() else home.parent
    if setting is not None:
        places = [home / setting]
    else:
        places = list(dict.fromkeys(base / name for base in (home, home.parent) for name in folders))
    most, best = 0, (places[0], spellings[0])
    for place in places:
        files = LooseFiles(place, outside=True)
        for names in spellings:
            step = -(-len(names) // _PROBES)
            hits = sum(not isinstance(files.check(name), str) for name in names[::step])
            if hits > most:
                most, best = hits, (place, names)
    if not most:
        tried = ", ".join(dict.fromkeys(str(place / names[0]) for place in places for names in spellings))
        raise Refusal(
            f"{annotations}: its pictures are not found (tried {tried}): name their folder with the setting 'images'"
        )
    return best


def find_missing(root: Path, names: Iterable[str], *, drop: bool, because: str) -> set[str]:
    """Return the names of a folder's pictures that are not there.

    Args:
        root: The folder.
        names: Names relative to it.
        drop: Whether the user will go without them.
        because: What going without them means, for the error.

    Raises:
        Refusal: If one is missing and `drop` is false, all are, or a link leads out of the folder.
    """
    files = LooseFiles(root, outside=False)
    every = sorted(set(names))
    missing = [name for name in every if isinstance(files.check(name), str)]
    if not missing or (drop and len(missing) < len(every)):
        return set(missing)
    told = ", ".join(missing[:_TOLD]) + (", ..." if len(missing) > _TOLD else "")
    raise Refusal(
        f"{root} lacks {len(missing):,} of {len(every):,} listed pictures ({told}): fetch them"
        + ("" if drop else f", or set 'missing: drop', after which {because}")
    )


def may_drop(settings: Mapping[str, str], *, name: str) -> bool:
    """Say whether the user will go without pictures that are missing.

    Raises:
        Refusal: If the setting ``missing`` is neither ``refuse``, as it is when left out, nor ``drop``.
    """
    value = settings.get("missing", "refuse")
    if value not in ("refuse", "drop"):
        raise Refusal(f"set {name}: missing is {value!r}, needed 'refuse' or 'drop'")
    return value == "drop"
