"""A benchmark as data: sets on disk, and the tasks asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oddpair.benchmarks.evaluation_set import Kind

# What the records of a kind can be drawn by.
CLUSTERS: Mapping[Kind, tuple[str, ...]] = {
    "classification": ("image", "class"),
    "multilabel": ("image",),
    "pairs": ("image", "class", "pair"),
    "retrieval": ("image",),
    "choice": ("image",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassList:
    """Classes, in their order.

    Attributes:
        name: What the benchmark calls the list.
        keys: What pictures are labelled with: a wnid, a folder's name, a concept; unique.
        names: What prompts call them, in the same order.
        prompts: Whole prompts of each class, in the same order, where a class has prompts of its own; else empty,
            and templates make them.
    """

    name: str
    keys: tuple[str, ...]
    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse lists that do not fit each other."""
        if len(self.keys) != len(self.names) or len(set(self.keys)) != len(self.keys):
            raise ValueError(
                f"{self.name}: {len(self.keys)} keys, {len(set(self.keys))} of them different, {len(self.names)} names"
            )
        if self.prompts and len(self.prompts) != len(self.keys):
            raise ValueError(f"{self.name}: prompts of {len(self.prompts)} classes, {len(self.keys)} classes")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPlace:
    """Where a set of a benchmark lies, and how it is read.

    Attributes:
        name: Name of the set in the benchmark.
        layout: Layout to read it by; ``""`` to recognise it.
        path: Below the folder that the user gives for the benchmark; ``""`` for that folder itself.
        settings: Of the layout, by name, such as ``split: test``; for a corpus, which of its columns says what
            (``label``, ``concepts``, ``captions``, ``style``).
    """

    name: str
    layout: str
    path: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is asked of a set.

    Attributes:
        name: Unique in the benchmark; letters, digits, ``.``, ``_`` and ``-``.
        set: Name of its set.
        kind: What is asked.
        family: What tasks are averaged and compared by, such as ``natural``, ``rendition`` or ``unseen pairs``.
        classes: The classes; ``None`` takes the set's own.
        templates: With one ``{}`` each, where the class's name goes; for ``pairs`` two, and each is asked in both
            orders. Empty takes the set's own; a lone ``{}`` is the bare name.
        only: Class keys that the task is limited to, its pictures and its candidates; empty for all.
        present_only: Whether classes without a picture in the task are no candidates.
        styles: Styles that the task is limited to; empty for all.
        split: Name of a split manifest that its pictures are limited to; ``""`` for none.
        cluster: What goes alike and is drawn whole for intervals: one of ``CLUSTERS`` of its kind.
    """

    name: str
    set: str
    kind: Kind
    family: str
    classes: ClassList | None = None
    templates: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    present_only: bool = False
    styles: tuple[str, ...] = ()
    split: str = ""
    cluster: str = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A difference of two families of tasks: mean accuracy of the first minus that of the second.

    Attributes:
        name: Such as ``seen minus unseen``.
        first: Tasks in distribution, or seen.
        second: Tasks out of distribution, or unseen.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessAxes:
    """Two axes of an effective-robustness plot: mean accuracy over tasks on each.

    Attributes:
        name: Such as ``natural``.
        x: Tasks in distribution.
        y: Tasks out of distribution.
        same_classes: Whether x is measured on the classes of y.
        baseline: Columns of a published table that stand for x and y, by table: ``testbed`` and ``openclip``.
    """

    name: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    same_classes: bool
    baseline: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark.

    Attributes:
        name: Its name.
        version: 1 and up; changes with any hash of its lock.
        about: What it measures, and where its data come from.
        sets: Its sets, by name.
        tasks: Its tasks, in the order of reports.
        gaps: Differences to report.
        robustness: Axes of effective robustness.
    """

    name: str
    version: int
    about: str
    sets: Mapping[str, SetPlace]
    tasks: tuple[Task, ...]
    gaps: tuple[Gap, ...] = ()
    robustness: tuple[RobustnessAxes, ...] = ()
