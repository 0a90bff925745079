"""Benchmarks in YAML: read strictly, with their classes and templates, and the ones that ship checked by their locks.

::

    benchmark: mine            # letters, digits, '_' and '-'; names of sets and tasks may have '.' too
    version: 1                 # from 1; any change of what is asked needs the next one
    about: What it measures.
    sets:
      photos:
        layout: class-folders  # clip_benchmark, class-folders, corpus, captions, choices; left out: recognised
        path: photos           # below the folder that the user gives; left out: that folder itself
        settings: {}           # of the layout, such as {split: test}; for a corpus, its columns: {label: concept}
    classes:                   # each list in one of these forms
      pets: [cat, dog]
      animals: {keys: [n02, n01], names: [cat, dog]}
      birds: {file: birds.tsv}           # one class a line: its key, a tab, its name; further names after tabs
      imagenet: {open_clip: imagenet}    # keys are wnids; imagenet-by-index: they are 0 to 999
      toys: {prompts: toys.yaml}         # whole prompts: {ball: [a red ball, a ball], ...}
    templates:                 # a list, a file with one a line, or openai-imagenet-80, simple, class
      two: ["a photo of a {}.", "a drawing of a {}."]
      own: templates.txt
    tasks:
      photos:
        set: photos
        kind: classification   # or multilabel, pairs, retrieval, choice
        family: natural        # what tasks are averaged by
        classes: pets          # left out: the set's own
        templates: two         # of `templates`, or a name or list as there; left out: the set's own
        only: [cat]            # keys, or a file of them: pictures and candidates are limited to these classes
        present_only: false    # whether classes without a picture in the task are no candidates
        styles: [sketch]       # pictures are limited to these styles
        split: clean           # pictures are limited to the manifest given as --split clean=FOLDER
        cluster: image         # or class, or for pairs pair: what goes alike, and is drawn whole for intervals
    gaps:
      photos minus drawings: {first: [photos], second: [drawings]}
    robustness:
      drawings: {x: [photos], y: [drawings], same_classes: true, baseline: {testbed: {x: [val], y: [imagenet-r]}}}
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

from oddpair.benchmarks.benchmark import CLUSTERS, Benchmark, ClassList, Gap, RobustnessAxes, SetPlace, Task
from oddpair.benchmarks.class_lists import Spelled, read_classes, read_keys
from oddpair.benchmarks.evaluation_set import EvaluationSet, Kind
from oddpair.benchmarks.lock import check_lock
from oddpair.benchmarks.sections import Section, read_section
from oddpair.benchmarks.sets.open_set import LAYOUTS
from oddpair.benchmarks.templates import NAMED, check_templates, named_templates, read_templates
from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest

SHIPPED = Path(__file__).resolve().parent
SUITE = "suite"
BASELINES = ("testbed", "openclip")
# A dot joins the names of a benchmark and of its task, in names of files too, which may have 255 bytes.
_BENCHMARK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{,59}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{,99}")
_WNID = re.compile(r"n\d{8}")
# These are asked with the texts of their sets.
_WORDLESS: tuple[Kind, ...] = ("retrieval", "choice")


@cache
def shipped() -> tuple[str, ...]:
    """Return the names of the benchmarks that ship.

    >>> "miniature" in shipped()
    True
    """
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml") if path.stem != SUITE))


def load_benchmark(name_or_path: str) -> Benchmark:
    """Load a benchmark, its class lists and templates resolved.

    Args:
        name_or_path: The name of one that ships, whose lock is then checked, or a YAML file. A file of such a name is
            given as ``./imagenet``; a benchmark in it may not have such a name.

    Raises:
        Refusal: If there is none, it is not written as this module says, or what ships has changed without a new
            version.

    >>> load_benchmark("miniature").tasks[0].name
    'natural'
    """
    if name_or_path in shipped():
        return _load_shipped(name_or_path)
    path = Path(name_or_path)
    if not path.is_file():
        raise Refusal(f"no benchmark '{name_or_path}'{suggest(name_or_path, shipped())}, or a YAML file")
    if path.resolve().parent == SHIPPED and path.stem in shipped():
        return _load_shipped(path.stem)
    benchmark = read_benchmark(path)
    if benchmark.name in shipped():
        raise Refusal(
            f"{path}: a benchmark that ships is called {benchmark.name}: give this one another name"
        )
    return benchmark


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark's file, without a look at its lock.

    Raises:
        Refusal: If it is not written as this module says.
    """
    section = read_section(path)
    section.expect(
        "benchmark", "version", "about", "sets", "classes", "templates", "tasks", "gaps", "robustness"
    )
    sets = {name: _read_place(place, name) for name, place in section.sections("sets").items()}
    lists = section.section("classes", {})
    classes = {name: read_classes(lists, name, path.parent) for name in lists}
    tasks = {
        name: _read_task(task, name, sets, classes, section.section("templates", {}), path.parent)
        for name, task in section.sections("tasks").items()
    }
    if not tasks:
        raise Refusal(f"{path}: there are no tasks: name at least one")
    return Benchmark(
        name=_check_benchmark_name(section),
        version=section.whole("version"),
        about=section.text("about"),
        sets=sets,
        tasks=tuple(tasks.values()),
        gaps=tuple(_read_gap(gap, name, tasks) for name, gap in section.sections("gaps", {}).items()),
        robustness=tuple(
            _read_axes(axes, name, tasks) for name, axes in section.sections("robustness", {}).items()
        ),
    )


def benchmark_of_set(found: EvaluationSet, name: str) -> Benchmark:
    """Make a benchmark with one task of a set that has its own classes.

    Where the set has no templates, ``a photo of a {}.`` is asked.

    Args:
        found: The set.
        name: What to call the benchmark, and the set in it.

    Raises:
        Refusal: If the set lacks classes, or templates for pairs, or names its classes by wnids alone.
    """
    remedy = "write a benchmark of it, some lines of YAML, and give that as --suite"
    if found.kind not in _WORDLESS:
        if not found.classes:
            raise Refusal(f"{found.root} names no classes: {remedy}")
        if not found.class_names and all(_WNID.fullmatch(key) for key in found.classes):
            raise Refusal(
                f"{found.root} calls its classes by wnids such as {found.classes[0]}, not by words: {remedy}"
            )
    templates = found.templates
    if not templates and found.kind == "pairs":
        raise Refusal(f"{found.root} has no templates of prompts for two: {remedy}")
    if not templates and found.kind not in _WORDLESS:
        templates = named_templates("simple")
    task = Task(name=found.kind, set=name, kind=found.kind, family=name, templates=templates)
    return Benchmark(
        name=name,
        version=1,
        about=f"The set {name} with its own classes and templates.",
        sets={name: SetPlace(name=name, layout=found.layout, path="")},
        tasks=(task,),
    )


@cache
def _load_shipped(name: str) -> Benchmark:
    benchmark = read_benchmark(SHIPPED / f"{name}.yaml")
    check_lock(benchmark)
    return benchmark


def _read_place(section: Section, name: str) -> SetPlace:
    section.expect("layout", "path", "settings")
    layout = section.text("layout", "")
    if layout and layout not in LAYOUTS:
        raise Refusal(f"{section.where}: there is no layout '{layout}'{suggest(layout, LAYOUTS)}")
    settings = section.section("settings", {})
    return SetPlace(
        name=_check_name(section.where, name),
        layout=layout,
        path=section.text("path", ""),
        settings={key: settings.text(key) for key in settings},
    )


def _read_task(
    section: Section,
    name: str,
    sets: Collection[str],
    classes: dict[str, Spelled],
    templates: Section,
    folder: Path,
) -> Task:
    section.expect(*(each for each in Task.__dataclass_fields__ if each != "name"))
    kind = cast(Kind, _choice(section, "kind", get_args(Kind)))
    if kind in _WORDLESS:
        for key in ("classes", "templates", "only", "present_only"):
            if key in section.values:
                raise Refusal(f"{section.where}: a task of kind {kind} has no {key}: leave it out")
    asked = _read_templates(section, "templates", templates, folder, kind)
    listed, asked = _choose_classes(section, classes, asked, kind)
    return Task(
        name=_check_name(section.where, name),
        set=_choice(section, "set", sets),
        kind=kind,
        family=section.text("family"),
        classes=listed,
        templates=asked,
        only=_read_only(section, listed, folder),
        present_only=section.flag("present_only", default=False),
        styles=_some(section, "styles") if "styles" in section.values else (),
        split=section.text("split", ""),
        cluster=_read_cluster(section, kind),
    )


def _choose_classes(
    section: Section, classes: dict[str, Spelled], templates: tuple[str, ...], kind: Kind
) -> tuple[ClassList | None, tuple[str, ...]]:
    """Return the classes, and the templates unless the classes' prompts are made already."""
    if "classes" not in section.values:
        return None, templates
    found = classes[_choice(section, "classes", classes)]
    if kind == "pairs" and (found.prompts or found.needs_templates):
        raise Refusal(
            f"{section.where}: pairs need one name a class, {found.name} has prompts or several names"
        )
    if found.prompts and templates:
        raise Refusal(f"{section.where}: {found.name} has whole prompts: leave the templates out")
    if found.needs_templates and not templates:
        raise Refusal(
            f"{section.where}: {found.name} has classes of several names: name the templates for them"
        )
    listed = found.with_templates(templates)
    return listed, () if listed.prompts else templates


def _read_templates(
    section: Section, key: str, declared: Section, folder: Path, kind: Kind
) -> tuple[str, ...]:
    if key not in section.values:
        return ()
    given: Any = section.values[key]
    known = [*declared, *NAMED]
    if isinstance(given, str) and given in declared.values:
        # What is declared is a list, a file or what ships, and stands for nothing else that is declared.
        section, key, given, known = declared, given, declared.values[given], list(NAMED)
    if not isinstance(given, str):
        found = _some(section, key)
    elif given in NAMED:
        found = named_templates(given)
    elif (folder / section.text(key)).is_file():
        found = read_templates(folder / given)
    else:
        raise Refusal(f"{section.where}: there are no templates '{given}'{suggest(given, known)}, or a file")
    check_templates(found, kind, f"{section.where}: {key}")
    return found


def _read_only(section: Section, listed: ClassList | None, folder: Path) -> tuple[str, ...]:
    if "only" not in section.values:
        return ()
    is_file = isinstance(section.values["only"], str)
    only = read_keys(folder / section.text("only")) if is_file else _some(section, "only")
    strangers = [] if listed is None else sorted(set(only) - set(listed.keys))
    if strangers and listed is not None:
        raise Refusal(f"{section.where}: {strangers[0]!r} of 'only' is no class of {listed.name}")
    return only


def _read_gap(section: Section, name: str, tasks: Collection[str]) -> Gap:
    section.expect("first", "second")
    first, second = (_tasks(section, side, tasks) for side in ("first", "second"))
    both = next((task for task in first if task in second), None)
    if both is not None:
        raise Refusal(f"{section.where}: '{both}' is in first and in second: leave it out of one")
    return Gap(name=name, first=first, second=second)


def _read_axes(section: Section, name: str, tasks: Collection[str]) -> RobustnessAxes:
    section.expect("x", "y", "same_classes", "baseline")
    section.section("baseline", {}).expect(*BASELINES)
    tables = section.sections("baseline", {})
    for table in tables.values():
        table.expect("x", "y")
    return RobustnessAxes(
        name=name,
        x=_tasks(section, "x", tasks),
        y=_tasks(section, "y", tasks),
        same_classes=section.flag("same_classes"),
        baseline={each: {axis: table.texts(axis) for axis in ("x", "y")} for each, table in tables.items()},
    )


def _tasks(section: Section, key: str, known: Collection[str]) -> tuple[str, ...]:
    names = section.texts(key)
    if not names:
        raise Refusal(f"{section.where}: {key} names no task")
    for name in names:
        if name not in known:
            raise Refusal(f"{section.where}: {key} has no task '{name}'{suggest(name, known)}")
    return names


def _some(section: Section, key: str) -> tuple[str, ...]:
    found = section.texts(key)
    if not found:
        raise Refusal(f"{section.where}: {key} is empty: name at least one, or leave it out")
    return found


def _read_cluster(section: Section, kind: Kind) -> str:
    value = section.text("cluster", "image")
    if value not in CLUSTERS[kind]:
        raise Refusal(
            f"{section.where}: a task of kind {kind} has no cluster '{value}'{suggest(value, CLUSTERS[kind])}"
        )
    return value


def _choice(section: Section, key: str, known: Collection[str]) -> str:
    value = section.text(key)
    if value not in known:
        raise Refusal(f"{section.where}: there is no {key} '{value}'{suggest(value, known)}")
    return value


def _check_name(where: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refusal(
            f"{where}: the name {_short(name)} may have 100 letters, digits, '.', '_' and '-', and begins with the "
            "first two"
        )
    return name


def _check_benchmark_name(section: Section) -> str:
    name = section.text("benchmark")
    if not _BENCHMARK_NAME.fullmatch(name):
        raise Refusal(
            f"{section.where}: the name {_short(name)} of a benchmark may have 60 letters, digits, '_' and '-', and "
            "begins with the first two"
        )
    return name


def _short(name: str) -> str:
    told = repr(name)
    return told if len(told) <= 60 else told[:57] + "..."
