"""Sets whose classes are folders of pictures: the ImageNet family in folders by wnid, ObjectNet, DomainNet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pyarrow as pa

from oddpair.benchmarks.evaluation_set import EvaluationSet
from oddpair.benchmarks.sets.picture_files import corpus_of_files
from oddpair.benchmarks.sets.settings import require_known
from oddpair.benchmarks.sets.text_lines import read_lines
from oddpair.errors import Refusal
from oddpair.retrieval.stores import list_folder

LAYOUT = "class-folders"
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")

_NAMES = "classnames.txt"


@dataclass(slots=True, kw_only=True)
class _Found:
    """What lies in folders of classes: the class of each picture by its name, and what is no picture of a class."""

    classes: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)


def open_class_folders(path: Path, *, name: str, settings: Mapping[str, str]) -> EvaluationSet:
    """Open a folder of folders, each named by the class of the pictures that lie right in it.

    The classes are the folders that hold a picture, sorted by code points as torchvision's ``ImageFolder`` sorts
    them; where all are whole numbers, as in ImageNetV2, they are sorted as numbers, which is what their authors
    mean by them. Every file is a picture of its own, even with the bytes of another: ImageNet-Sketch has the same
    drawing in two classes. Captions beside pictures are not read.

    Args:
        path: The folder above the classes; with ``list`` it may lie higher, as the root of DomainNet does.
        name: What the user calls the set.
        settings: ``list``: a text file, relative to ``path``, of ``relative/path label`` lines that limits the
            pictures, not the classes, to those that it names; the class is the folder, and the label, a word
            without spaces that may be missing, must not contradict it. ``names``: a text file, relative to
            ``path``, of what the classes are called, one a line in their order; left out, ``classnames.txt`` in
            ``path`` if there is one.

    Returns:
        The set, its rows sorted by path; keys are paths below ``path``.

    Raises:
        Refusal: If pictures lie in no folder or in folders of folders, there is none, a listed one is not there,
            labels contradict folders, or there are not as many names as classes.
    """
    require_known(settings, ("list", "names"), name=name, layout=LAYOUT)
    if not path.is_dir():
        raise Refusal(f"{path} is no folder: name the folder above the folders of the classes")
    listed = _read_list(path, settings["list"]) if "list" in settings else None
    parents = [""] if listed is None else sorted({str(PurePosixPath(one).parents[1]) for one in listed})
    found = _Found()
    for parent in parents:
        _look_into(path, "" if parent == "." else parent, found)
    if not found.classes:
        raise Refusal(_nothing_in(path, found))
    chosen = sorted(found.classes)
    if listed is not None:
        missing = sorted(listed.keys() - found.classes.keys())
        if missing:
            raise Refusal(
                f"{path} lacks {missing[0]}, one of {len(missing):,} of {len(listed):,} pictures that "
                f"{settings['list']} names and that are not there: fetch them; paths are relative to {path}"
            )
        chosen = sorted(listed)
        _require_agreement(path / settings["list"], listed, found.classes)
    classes = order_classes(found.classes.values())
    return EvaluationSet(
        root=path,
        layout=LAYOUT,
        kind="classification",
        corpus=corpus_of_files(path, chosen),
        table=pa.table(
            {
                "key": pa.array([_as_text(one) for one in chosen], pa.string()),
                "style": pa.repeat(pa.scalar(""), len(chosen)),
                "label": pa.array([found.classes[one] for one in chosen], pa.string()),
            }
        ),
        classes=classes,
        class_names=_read_names(path, settings, len(classes)),
        notes=_tell(found, classes, settings),
    )


def order_classes(keys: Iterable[str]) -> tuple[str, ...]:
    """Sort the different ones of some keys by code points; as numbers if all are whole numbers.

    >>> order_classes(["10", "9", "9"]), order_classes(["10", "9", "a"])
    (('9', '10'), ('10', '9', 'a'))
    """
    different = set(keys)
    if all(key.isascii() and key.isdecimal() for key in different):
        return tuple(sorted(different, key=lambda key: (int(key), key)))
    return tuple(sorted(different))


def _look_into(root: Path, parent: str, found: _Found) -> None:
    files, folders = list_folder(root / parent)
    found.beside += [_join(parent, file) for file in files]
    for folder in folders:
        below = _join(parent, folder)
        names, deeper = list_folder(root / below)
        pictures = [file for file in names if _is_picture(file)]
        nested = next((one for inner in deeper if (one := _first_picture(root, _join(below, inner)))), None)
        if nested is not None:
            raise Refusal(
                f"{root / nested} lies in a folder of a folder, needed is CLASS/PICTURE: name the folder right above "
                f"the classes, such as {(root / nested).parent.parent}"
            )
        found.classes.update({_join(below, file): _as_text(folder) for file in pictures})
        found.beside += [_join(below, file) for file in names if not _is_picture(file)]
        if not pictures:
            found.empty.append(below)


def _first_picture(root: Path, folder: str) -> str | None:
    names, folders = list_folder(root / folder)
    picture = next((_join(folder, file) for file in names if _is_picture(file)), None)
    inner = (_first_picture(root, _join(folder, one)) for one in folders)
    return picture or next((one for one in inner if one), None)


def _read_list(root: Path, setting: str) -> dict[str, str]:
    """Return the label of each listed picture by its path; ``""`` where the line has none."""
    path = root / setting
    listed: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        start, _, label = line.rpartition(" ")
        name, label = (start.strip(), label) if _is_picture(start.strip()) else (line, "")
        parts = PurePosixPath(name).parts
        if len(parts) < 2 or name.startswith("/") or ".." in parts:
            raise Refusal(
                f"{path} line {number} names {name[:80]!r}: needed is CLASS/PICTURE, relative to {root} and inside it"
            )
        name = "/".join(parts)
        if name in listed:
            raise Refusal(f"{path} line {number} names {name} a second time: remove one of the lines")
        listed[name] = label
    return listed


def _require_agreement(path: Path, listed: Mapping[str, str], classes: Mapping[str, str]) -> None:
    folder_of: dict[str, str] = {}
    label_of: dict[str, str] = {}
    for picture, label in listed.items():
        folder = classes[picture]
        if label and (folder_of.setdefault(label, folder), label_of.setdefault(folder, label)) != (
            folder,
            label,
        ):
            raise Refusal(
                f"{path} labels {picture} {label}, which stands for {folder_of[label]} elsewhere, while {folder} is "
                f"{label_of.get(folder, label)}: the list and the folders contradict each other"
            )


def _read_names(root: Path, settings: Mapping[str, str], n_classes: int) -> tuple[str, ...]:
    path = root / settings.get("names", _NAMES)
    if "names" not in settings and not path.is_file():
        return ()
    names = read_lines(path)
    if len(names) != n_classes:
        raise Refusal(
            f"{path} names {len(names):,} classes, there are {n_classes:,} folders with pictures: mend it"
        )
    return names


def _nothing_in(root: Path, found: _Found) -> str:
    flat = next((name for name in found.beside if _is_picture(name)), None)
    if flat is not None:
        return (
            f"{root} holds pictures such as {flat} in no folder, which says nothing of their classes: move each into a "
            "folder named by its class (for ImageNet's validation pictures the script valprep.sh is commonly used)"
        )
    return f"{root} holds no folder with a picture ({', '.join(PICTURES)}): name the folder above the classes"


def _tell(found: _Found, classes: tuple[str, ...], settings: Mapping[str, str]) -> tuple[str, ...]:
    known = {_NAMES, *settings.values()}
    beside = sorted(name for name in found.beside if name not in known)
    notes = []
    if beside:
        notes.append(
            f"Files that are no pictures of a class, passed over: {len(beside):,}, such as {beside[0]}."
        )
    if found.empty:
        notes.append(
            f"Folders without a picture, which are no classes: {len(found.empty):,}, such as {found.empty[0]}."
        )
    if all(key.isdecimal() for key in classes):
        notes.append("Folders are whole numbers: classes are in the order of numbers, not of text.")
    return tuple(notes)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _as_text(name: str) -> str:
    # As the corpus spells the names that are no text when it sets their files aside.
    return name.encode("utf-8", "backslashreplace").decode()
