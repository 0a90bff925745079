"""Where a corpus is: a local folder or file, a list in open_clip's notation, or a store of files by URL."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from braceexpand import braceexpand

from oddpair.errors import Refusal
from oddpair.retrieval.stores import (
    ACCEPTED,
    SCHEME,
    find_path,
    is_folder,
    list_folder,
    store_errors,
    unreadable,
)

# "train-00003", and "train-00003-of-00064" as datasets of the Hugging Face Hub are named.
_NUMBERED = re.compile(r"(.*?)(\d+)(-of-\d+)?", re.ASCII | re.DOTALL)
_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.-?\d+)?\}")
_MOST_FILES = 2_000_000
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What was found at the path of a corpus; of the files only the names have been looked at.

    Attributes:
        root: Folder that all names are relative to, local or remote.
        names: Files, as posix names relative to ``root``, sorted; of a folder only the files right in it.
        folders: Names of the folders right in ``root``, sorted; none where files were listed.
        explicit: Whether the user named each file, so that gaps between them are meant.
    """

    root: Path
    names: tuple[str, ...]
    folders: tuple[str, ...] = ()
    explicit: bool = False


def locate(path: str | Path) -> Place:
    """Find the files of a corpus.

    Hidden files and ``*.tmp`` are passed over in folders. Lists are written as open_clip's ``--train-data``
    has them: ``{00000..00012}`` and ``{a,b}`` stand for several names, and ``::`` stands between lists.

    Args:
        path: Local folder or file, list of files, or URL; a local path that exists is never read as a list,
            and a ``Path`` never as a URL.

    Returns:
        Names of files and folders.

    Raises:
        Refusal: If there is no such place, a listed file is missing, the kind of URL is not accepted or its
            driver is not installed, or the store does not answer.
    """
    listed = _expand(str(path))
    if len(listed) > 1:
        return _locate_files(listed)
    where = Path(listed[0]) if isinstance(path, Path) else find_path(listed[0])
    if is_folder(where):
        names, folders = list_folder(where)
        return Place(root=where, names=names, folders=folders)
    return Place(root=where.parent, names=(where.name,), explicit=True)


def find_gaps(stems: Sequence[str]) -> Iterator[str]:
    """Give the numbers that are missing between the lowest and the highest of some numbered names.

    >>> list(find_gaps(["00003", "00000", "00001"]))
    ['00002']
    """
    for before, after in pairwise(sorted(stems, key=int)):
        yield from (f"{number:0{len(before)}d}" for number in range(int(before) + 1, int(after)))


def require_no_gaps(place: Place, shards: Sequence[str]) -> None:
    """Refuse a folder of numbered shards that lacks some between the first and the last.

    Args:
        place: Where the shards are; of files that the user listed, gaps are meant.
        shards: Their names without ending. Those that differ in the number at their end alone are one run; a
            name that ends in no number belongs to none.

    Raises:
        Refusal: If shards are missing; up to five are named.
    """
    if place.explicit:
        return
    runs: dict[tuple[str, str], list[str]] = {}
    for match in filter(None, map(_NUMBERED.fullmatch, shards)):
        runs.setdefault((match[1], match[3] or ""), []).append(match[2])
    for (before, after), numbers in sorted(runs.items()):
        shown = [f"{before}{number}{after}" for number in islice(find_gaps(numbers), _SHOWN)]
        if shown:
            first, last = (f"{before}{end(numbers, key=int)}{after}" for end in (min, max))
            count = int(max(numbers, key=int)) - int(min(numbers, key=int)) + 1 - len(set(map(int, numbers)))
            raise Refusal(
                f"{place.root} lacks {_some(shown, count)} between shards {first} and {last}: fetch what is missing, "
                "or list the files that are meant, as in 'a/{00000..00012}.tar'"
            )


def _expand(text: str) -> list[str]:
    if not ("{" in text or "::" in text) or _exists(text):
        return [text]
    listed: list[str] = []
    for part in text.split("::"):
        try:
            widest = max((abs(int(last) - int(first)) for first, last in _RANGE.findall(part)), default=0)
            # A range too wide is not begun: the expansion of it would fill the memory first.
            if widest <= _MOST_FILES:
                listed.extend(islice(braceexpand(part), _MOST_FILES - len(listed) + 1))
        except ValueError as error:
            raise Refusal(f"{part!r} has a brace without its partner: mend it") from error
        if max(widest, len(listed)) > _MOST_FILES:
            raise Refusal(f"{part!r} stands for more than {_MOST_FILES:,} files: narrow the range")
    if "" in listed:
        raise Refusal(f"{text!r} has an empty entry: {ACCEPTED}")
    return listed


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _locate_files(listed: list[str]) -> Place:
    twice = [text for text, times in Counter(listed).items() if times > 1]
    if twice:
        raise Refusal(f"the list names {_some(twice, len(twice))} twice: name each file once")
    scheme = _scheme(listed[0])
    other = next((text for text in listed if _scheme(text) != scheme), None)
    # A chain such as "simplecache::s3://…" ends here too: its first word is no file of the store.
    if other is not None:
        raise Refusal(f"the list names {listed[0]} and {other}, of different kinds: {ACCEPTED}")
    # One is looked at for all: the kind is accepted and its driver is there, or it is refused.
    find_path(listed[0])
    parts = _split(listed, scheme)
    common = _common([one[:-1] for one in parts])
    if scheme and not common:
        raise Refusal(
            f"the list names files of several stores, such as {listed[0]} and {listed[-1]}: use one"
        )
    root = find_path(f"{scheme}//{'/'.join(common)}") if scheme else Path(*common)
    names = tuple(sorted("/".join(one[len(common) :]) for one in parts))
    missing = _find_missing(root, names)
    if missing:
        raise Refusal(
            f"{root} lacks {_some(missing, len(missing))}, of {len(names):,} files listed: fetch what is missing, "
            "or leave it out of the list"
        )
    return Place(root=root, names=names, explicit=True)


def _scheme(text: str) -> str:
    found = SCHEME.match(text)
    return found[0].lower() if found else ""


def _split(listed: list[str], scheme: str) -> list[tuple[str, ...]]:
    if scheme:
        return [tuple(text[len(scheme) :].lstrip("/").split("/")) for text in listed]
    paths = [Path(text) for text in listed]
    if len({path.is_absolute() for path in paths}) > 1 or any(".." in path.parts for path in paths):
        paths = [path.resolve() for path in paths]
    return [path.parts for path in paths]


def _common(folders: list[tuple[str, ...]]) -> tuple[str, ...]:
    # What the first and the last in order share, all between them share.
    low, high = min(folders), max(folders)
    shared = next(
        (place for place, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), None
    )
    return low[: len(low) if shared is None else shared]


def _find_missing(root: Path, names: Sequence[str]) -> list[str]:
    try:
        if isinstance(root, Path):
            return [name for name in names if not (root / name).is_file()]
        if str(root).startswith("https:"):
            with ThreadPoolExecutor(16) as pool:
                found = list(pool.map(lambda name: (root / name).is_file(), names))
            return [name for name, there in zip(names, found, strict=True) if not there]
    except store_errors() as error:
        raise unreadable(str(root), error) from error
    # One request lists thousands of files where asking for each would take as many requests.
    folders = sorted({name.rpartition("/")[0] for name in names})
    there = {f"{folder}/{name}" if folder else name for folder in folders for name in _files(root, folder)}
    return [name for name in names if name not in there]


def _files(root: Path, folder: str) -> tuple[str, ...]:
    where = root / folder if folder else root
    return list_folder(where)[0] if where.is_dir() else ()


def _some(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {count - _SHOWN:,} more" if count > _SHOWN else shown
