"""What the leaderboard says: plain data, from which the page, the JSON and the CSV are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["recomputed", "reproduced"]
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A fraction with its interval, its support and what guessing scores (``None`` where that is no number)."""

    value: float
    low: float
    high: float
    n: int
    chance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardTask:
    """A task of the board: ``benchmark.task``, its version, family, kind, main metric, and whether ranks need it."""

    name: str
    version: int
    family: str
    kind: str
    metric: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something for a person to look at; a flag refuses nothing.

    Attributes:
        kind: ``degenerate``, ``copy``, ``above-prediction``, ``outlier``, ``variants`` or ``in-training``.
        text: One sentence with the numbers.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """Where a ranked entry stands.

    Attributes:
        place: 1 for the best; entries of equal score are in alphabetical order.
        low: 1 plus the number of entries that are significantly better.
        high: Number of ranked entries less those that are significantly worse.
        band: 1 for the entries not separated from the first, 2 for those not separated from the next, ...
    """

    place: int
    low: int
    high: int
    band: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """Accuracy out of distribution beside the line of the other entries.

    Attributes:
        axes: ``benchmark.axes``, such as ``miniature.rendition``.
        x: Accuracy in distribution, a fraction.
        y: Accuracy out of distribution.
        above: Accuracy less that of the line, a fraction, with the 99 % interval of a new model; ``None`` where too few other
            entries make a line.
    """

    axes: str
    x: float
    y: float
    above: Score | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptPoint:
    """Accuracy on one concept (or pair) of a task beside what its count foretells.

    Attributes:
        task: ``benchmark.task``.
        concept: The concept, or both of a pair joined by `` + ``.
        count: Captions of the declared corpus that name it.
        pmi: Of a pair, in nats; ``None`` otherwise, and where the corpus never shows it (minus infinity).
        accuracy: Fraction.
        n: Questions.
        predicted: From counts and other entries, with the interval that should hold nine in ten.
    """

    task: str
    concept: str
    count: int
    pmi: float | None
    accuracy: float
    n: int
    predicted: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEntry:
    """One model.

    Attributes:
        id: Name of its folder, unique.
        handle: Who submitted it.
        model: Name of the model.
        architecture: Its architecture.
        parameters: Number of parameters.
        weights: sha256.
        open_weights: Whether the weights are public.
        training: Names of the declared corpora; empty for unknown.
        samples_seen: Or ``None``.
        variants_tried: 1 or more.
        level: ``reproduced`` where maintainers ran the weights again.
        rank: ``None`` for one that lacks a required task.
        missing: Required tasks that it lacks.
        score: Macro mean over families; ``None`` where unranked.
        families: Score by family.
        tasks: Main metric by task.
        metrics: All metrics by task.
        styles: Accuracy by style over classification tasks (``photo``, ``sketch``, ...).
        robustness: One for each axes that its tasks cover.
        residual: Accuracy less what counts of the declared corpus foretell, a fraction, by task; empty where unknown.
        points: Behind ``residual``.
        residual_bands: Predicted accuracy by task with the 99 % band of honest entries; ``n`` is the others behind it.
        residual_note: Why there is no residual, in a sentence; ``""`` where there is one.
        flags: For a person.
        links: https addresses by kind.
        precision: Arithmetic of the run, such as ``fp32``.
        commit: Commit of oddpair that ran, or ``""``.
    """

    id: str
    handle: str
    model: str
    architecture: str
    parameters: int
    weights: str
    open_weights: bool
    training: tuple[str, ...]
    samples_seen: int | None
    variants_tried: int
    level: Level
    rank: Rank | None
    missing: tuple[str, ...]
    score: Score | None
    families: Mapping[str, Score]
    tasks: Mapping[str, Score]
    metrics: Mapping[str, Mapping[str, Score]]
    styles: Mapping[str, Score]
    robustness: tuple[Robustness, ...]
    residual: Mapping[str, Score]
    points: tuple[ConceptPoint, ...]
    flags: tuple[Flag, ...]
    links: Mapping[str, str]
    precision: str
    commit: str
    residual_bands: Mapping[str, Score] = field(default_factory=dict)
    residual_note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The line of effective robustness through the entries.

    Attributes:
        axes: ``benchmark.axes``.
        x: Its tasks in distribution.
        y: Its tasks out of distribution.
        slope: In probit of both accuracies.
        intercept: Likewise.
        n: Entries behind it.
        points: The line on the scale of accuracies, pairs of x and y, rising in x; empty for fewer than three entries.
    """

    axes: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    slope: float
    intercept: float
    n: int
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise:
    """Two ranked entries on the same questions, ``first`` before ``second`` in the ranking.

    Attributes:
        first: Id of the higher.
        second: Id of the lower.
        difference: First less second of the macro mean, as fractions, with the interval of this pair alone.
        p_adjusted: Adjusted by max-t for all pairs at once.
        significant: Whether the pair is separated at 5 % over all pairs.
        tasks: The same difference by required task.
    """

    first: str
    second: str
    difference: Score
    p_adjusted: float
    significant: bool
    tasks: Mapping[str, Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrence:
    """Kendall's tau-b of two tasks over the entries that have both; ``None`` for fewer than four."""

    first: str
    second: str
    tau: Score | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """Share of random halvings of the questions in which the first place of one half is that of the other.

    Attributes:
        share: The share.
        by_chance: What as many models that are all alike would show.
        halvings: Halvings.
    """

    share: float
    by_chance: float
    halvings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The leaderboard.

    Attributes:
        benchmarks: Version by benchmark.
        families: Families that rank, in the order of the suite.
        tasks: Every task that an entry has, in the order of the suite.
        entries: Ranked ones by place, then the others by name.
        lines: Lines of effective robustness.
        pairs: Every two ranked entries.
        concurrence: Every two required tasks.
        stability: Of the first place; ``None`` for fewer than two ranked entries.
        draws: Draws behind intervals of ranks.
    """

    benchmarks: Mapping[str, int]
    families: tuple[str, ...]
    tasks: tuple[BoardTask, ...]
    entries: tuple[BoardEntry, ...]
    lines: tuple[Line, ...]
    pairs: tuple[Pairwise, ...]
    concurrence: tuple[Concurrence, ...]
    stability: Stability | None
    draws: int
