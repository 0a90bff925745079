"""Open an evaluation set in any layout, the one that is named or the one that its files tell of."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from oddpair.benchmarks.benchmark import SetPlace
from oddpair.benchmarks.evaluation_set import EvaluationSet
from oddpair.benchmarks.sets.class_folders import PICTURES, open_class_folders
from oddpair.benchmarks.sets.clip_benchmark import COUNT_FILE, open_clip_benchmark
from oddpair.benchmarks.sets.labelled import open_labelled
from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest
from oddpair.retrieval.stores import list_folder

LAYOUTS = ("clip_benchmark", "class-folders", "corpus", "captions", "choices")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_CORPUS = (".tar", ".parquet")
_LISTINGS = (".csv", ".tsv")
_ANNOTATIONS = (".json", ".jsonl", ".token", *_LISTINGS)
# Fields that only sets of choices have, and those that tell sets of captions among the rest.
_CHOICES = frozenset(("negative_caption", "true_caption", "caption_options", "caption_0", "question"))
_CAPTIONS = frozenset(("sentences", "annotations", "file_name", "image"))
_FIELD = re.compile(r'"(\w+)"\s*:')
_TOKEN = re.compile(r"[^\t]+#\d+\t")
# What is telling lies in the first entry, which is seldom longer.
_HEAD = 1 << 16
_LOOKED_AT = 16


def open_set(place: SetPlace, root: Path) -> EvaluationSet:
    """Open a set of a benchmark.

    Args:
        place: Where it lies below ``root``, in which layout, and its settings.
        root: Folder, or file, that the user gave for the benchmark.

    Returns:
        The set; no picture has been decoded.

    Raises:
        Refusal: If there is nothing there, the layout is none or cannot be told, a setting is unknown, or the
            opener of the layout refuses the files.
    """
    path = _find(place, root)
    layout = place.layout or recognise(path)
    match layout:
        case "clip_benchmark":
            return open_clip_benchmark(path, name=place.name, settings=place.settings)
        case "class-folders":
            return open_class_folders(path, name=place.name, settings=place.settings)
        case "corpus":
            return open_labelled(path, name=place.name, settings=place.settings)
        case "captions":
            from oddpair.benchmarks.sets.captions import open_captions

            return open_captions(path, name=place.name, settings=place.settings)
        case "choices":
            from oddpair.benchmarks.sets.choices import open_choices

            return open_choices(path, name=place.name, settings=place.settings)
    raise Refusal(f"set {place.name}: there is no layout {layout!r}{suggest(layout, LAYOUTS)}")


def recognise(path: Path) -> str:
    """Tell the layout of a set by the names of its files, and by the first bytes of its annotations.

    Args:
        path: A folder or a file.

    Returns:
        One of ``LAYOUTS``.

    Raises:
        Refusal: If there is nothing, or nothing that tells.
    """
    if not path.exists():
        raise Refusal(f"{path} does not exist: check the path")
    found = _recognise_folder(path) if path.is_dir() else _recognise_file(path)
    if found is None:
        raise Refusal(
            f"{path} {_describe(path)}, which tells no layout of an evaluation set: they are {', '.join(LAYOUTS)}; name "
            "one in the benchmark, or the folder that holds the set"
        )
    return found


def _find(place: SetPlace, root: Path) -> Path:
    if _URL.match(str(root)) and not root.exists():
        raise Refusal(f"{root} is a URL: evaluation sets are read from this machine, fetch it first")
    if PurePosixPath(place.path).is_absolute() or ".." in PurePosixPath(place.path).parts:
        raise Refusal(f"set {place.name}: its path {place.path!r} leads out of {root}: name a folder in it")
    path = root / place.path
    if not path.exists():
        raise Refusal(
            f"set {place.name}: {path} does not exist: fetch the set, or give the folder that holds it"
        )
    return path


def _recognise_folder(path: Path) -> str | None:
    files, folders = list_folder(path)
    if COUNT_FILE in files or any((path / folder / COUNT_FILE).is_file() for folder in folders):
        return "clip_benchmark"
    if any(file.lower().endswith(_CORPUS) for file in files) or "img_emb" in folders:
        return "corpus"
    told = {_recognise_file(path / file) for file in files if file.lower().endswith(_ANNOTATIONS)}
    told.discard(None)
    if told:
        return told.pop() if len(told) == 1 else None
    # Where they lie too high or too deep, the opener says which folder is meant.
    if any(file.lower().endswith(PICTURES) for file in files):
        return "class-folders"
    looked = folders[:_LOOKED_AT]
    return "class-folders" if any(_leads_to_pictures(path / folder) for folder in looked) else None


def _leads_to_pictures(folder: Path) -> bool:
    files, folders = list_folder(folder)
    inner = [file for one in folders[:1] for file in list_folder(folder / one)[0]]
    return any(file.lower().endswith(PICTURES) for file in (*files, *inner))


def _recognise_file(path: Path) -> str | None:
    name = path.name.lower()
    if name.endswith(_CORPUS):
        return "corpus"
    if not name.endswith(_ANNOTATIONS):
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8-sig", "replace")
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    first = head.partition("\n")[0]
    if _TOKEN.match(first):
        return "captions"
    if not name.endswith(_LISTINGS):
        return _judge(set(_FIELD.findall(head)))
    columns = {cell.strip('" \r') for cell in re.split("[,\t]", first)}
    is_listing = {"file", "caption"} <= columns or {"filepath", "title"} <= columns
    return "corpus" if is_listing else _judge(columns)


def _judge(fields: set[str]) -> str | None:
    if fields & _CHOICES:
        return "choices"
    return "captions" if fields & _CAPTIONS else None


def _describe(path: Path) -> str:
    if not path.is_dir():
        return "is a file"
    files, folders = list_folder(path)
    some = [*(f"{folder}/" for folder in folders[:3]), *files[:3]]
    return f"holds {', '.join(some)}" if some else "is empty"
