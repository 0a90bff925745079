"""Lists of classes: what pictures are labelled with, and what prompts call it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oddpair import files
from oddpair.benchmarks.benchmark import ClassList
from oddpair.benchmarks.questions import fill
from oddpair.benchmarks.sections import Section, read_section
from oddpair.errors import Refusal
from oddpair.retrieval.vocabulary_file import read_lines
from oddpair.retrieval.vocabulary_names import built_in_names

CLASSES = Path(__file__).resolve().parent / "classes"
WNIDS = CLASSES / "imagenet_wnids.txt"
OPEN_CLIP = ("imagenet", "imagenet-by-index")
_FORMS = ("file", "open_clip", "keys", "prompts")
_REMEDY = "give a file with one class a line: its key, a tab, its name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelled:
    """Classes that may have several names each.

    Attributes:
        name: What the benchmark calls the list.
        keys: What pictures are labelled with.
        spellings: Names of each, in the same order.
        prompts: Whole prompts of each; empty where templates make them.
    """

    name: str
    keys: tuple[str, ...]
    spellings: tuple[tuple[str, ...], ...]
    prompts: tuple[tuple[str, ...], ...] = ()

    @property
    def needs_templates(self) -> bool:
        """Whether prompts of several names for one class have to be made."""
        return not self.prompts and any(len(names) > 1 for names in self.spellings)

    def with_templates(self, templates: Sequence[str]) -> ClassList:
        """Return the list; a class of several names has the prompts of each of them, and so one mean vector.

        >>> clock = Spelled(name="clocks", keys=("clock",), spellings=(("analog clock", "digital clock"),))
        >>> clock.with_templates(["a photo of a {}."]).prompts
        (('a photo of a analog clock.', 'a photo of a digital clock.'),)
        """
        prompts = self.prompts
        if self.needs_templates:
            prompts = tuple(
                tuple(fill(template, name) for name in names for template in templates)
                for names in self.spellings
            )
        names = tuple(" or ".join(spellings) for spellings in self.spellings)
        return ClassList(name=self.name, keys=self.keys, names=names, prompts=prompts)


def read_classes(lists: Section, name: str, folder: Path) -> Spelled:
    """Read one list of a benchmark's ``classes``.

    Args:
        lists: The section ``classes``: each list is a list of names, which are its keys as well, or a mapping with one of
            ``file`` (see `read_class_file`), ``open_clip`` (``imagenet``, whose keys are wnids, or
            ``imagenet-by-index``, whose keys are ``0`` to ``999``), ``keys`` with ``names`` beside them, and
            ``prompts``, a YAML or JSON file of the whole prompts of each key.
        name: Name of the list.
        folder: Folder that files are meant from.

    Raises:
        Refusal: If the list is none of these, a file cannot be read, or a key is given twice.
    """
    if isinstance(lists.values[name], list):
        names = lists.texts(name)
        return Spelled(name=name, keys=names, spellings=tuple((each,) for each in names))
    spec = lists.section(name)
    spec.expect(*_FORMS, "names")
    forms = [form for form in _FORMS if form in spec.values]
    if len(forms) != 1 or ("names" in spec.values and forms != ["keys"]):
        raise Refusal(
            f"{spec.where}: has {', '.join(spec) or 'nothing'}, needed one of {', '.join(_FORMS)}, names only beside keys"
        )
    match forms[0]:
        case "file":
            return read_class_file(folder / spec.text("file"), name)
        case "open_clip":
            return _of_open_clip(spec, name)
        case "prompts":
            return _read_prompts(folder / spec.text("prompts"), name)
    keys = spec.texts("keys")
    called = spec.texts("names", keys, distinct=False)
    if len(called) != len(keys):
        raise Refusal(f"{spec.where}: {len(called):,} names, needed one for each of the {len(keys):,} keys")
    return Spelled(name=name, keys=keys, spellings=tuple((each,) for each in called))


def read_class_file(path: Path, name: str) -> Spelled:
    """Read a file with one class a line: its key, and after tabs its name and maybe further names.

    Args:
        path: The file; a line without a tab is key and name in one. Empty lines and lines that begin with ``#`` are
            passed over.
        name: What to call the list.

    Raises:
        Refusal: If the file cannot be read, has no class, or a key twice.
    """
    keys: dict[str, int] = {}
    spellings: list[tuple[str, ...]] = []
    for number, line in enumerate(read_lines(path, remedy=_REMEDY), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        key, *names = (cell.strip() for cell in line.split("\t"))
        names = names or [key]
        if not key or not all(names) or len(set(names)) < len(names):
            raise Refusal(f"{path} line {number} has an empty cell or a name twice: {_REMEDY}")
        if keys.setdefault(key, number) != number:
            raise Refusal(f"{path} line {number} has the class {key!r} of line {keys[key]}: leave one out")
        spellings.append(tuple(names))
    if not keys:
        raise Refusal(f"{path} has no class: {_REMEDY}")
    return Spelled(name=name, keys=tuple(keys), spellings=tuple(spellings))


def read_keys(path: Path) -> tuple[str, ...]:
    """Read the keys alone of a file of classes."""
    return read_class_file(path, path.stem).keys


def _of_open_clip(spec: Section, name: str) -> Spelled:
    wanted = spec.text("open_clip")
    if wanted not in OPEN_CLIP:
        raise Refusal(f"{spec.where}: open_clip has no classes {wanted!r}: use {' or '.join(OPEN_CLIP)}")
    names = built_in_names("imagenet")
    keys = read_keys(WNIDS) if wanted == "imagenet" else tuple(map(str, range(len(names))))
    return Spelled(name=name, keys=keys, spellings=tuple((first,) for first, *_ in names))


def _read_prompts(path: Path, name: str) -> Spelled:
    if path.suffix.lower() == ".json":
        found = files.read_json(path)
        if not isinstance(found, dict):
            raise Refusal(f"{path} holds no mapping: give each class's key and a list of its prompts")
        section = Section(where=str(path), values=found)
    else:
        section = read_section(path)
    keys = tuple(section)
    prompts = tuple(section.texts(key) for key in keys)
    empty = next((key for key, texts in zip(keys, prompts, strict=True) if not texts), None)
    if not keys or empty is not None:
        raise Refusal(
            f"{path} has no prompt{f' of {empty!r}' if empty else ''}: give each class a list of them"
        )
    return Spelled(
        name=name, keys=keys, spellings=tuple((key.replace("_", " "),) for key in keys), prompts=prompts
    )
