"""One entry of the board: what is declared, and its scores, each with interval, support and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oddpair.eval.board.board import BoardEntry, Rank, Robustness, Score
from oddpair.eval.board.flags import find_flags
from oddpair.eval.board.residuals import Residuals
from oddpair.eval.board.styles import score_styles
from oddpair.eval.comparing.answers import Answers
from oddpair.eval.intervals import Estimate
from oddpair.eval.ranking.macro import Families, task_weights
from oddpair.eval.ranking.standings import Standing, rank
from oddpair.eval.submission.entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one entry from all of them.

    Attributes:
        standing: ``None`` for one that is not ranked.
        answers: To the required tasks that it has.
        robustness: Beside the lines of the others.
        residuals: Beside what counts foretell.
        is_reproduced: Whether maintainers ran it again.
    """

    standing: Standing | None
    answers: Mapping[str, Answers]
    robustness: tuple[Robustness, ...]
    residuals: Residuals
    is_reproduced: bool


def describe_entry(
    entry: Entry, known: Known, others: Sequence[Entry], *, families: Families, seed: int
) -> BoardEntry:
    """Put together all that the board says of an entry.

    Args:
        entry: The entry.
        known: What is known of it.
        others: All entries, among which copies are looked for.
        families: Required tasks by family.
        seed: Of the ranking's draws.
    """
    told, standing = entry.submission, known.standing
    scores = {
        task: {metric.name: as_score(metric.estimate, metric.chance) for metric in held.metrics}
        for task, held in entry.tasks.items()
    }
    tasks = {task: scores[task][held.main.name] for task, held in entry.tasks.items()}
    chances = {task: score.chance for task, score in tasks.items()}
    return BoardEntry(
        id=told.name,
        handle=told.handle,
        model=told.model,
        architecture=told.architecture,
        parameters=told.parameters,
        weights=told.weights,
        open_weights=told.open_weights,
        training=tuple(data.name for data in told.training),
        samples_seen=told.samples_seen,
        variants_tried=told.variants_tried,
        level="reproduced" if known.is_reproduced else "recomputed",
        rank=None if standing is None else _place(standing),
        missing=tuple(task for of_family in families.values() for task in of_family if task not in tasks),
        score=None if standing is None else as_score(standing.score, _mean_chance(chances, families)),
        families=_score_families(known, families, tasks, seed),
        tasks=tasks,
        metrics=scores,
        styles=score_styles(entry, known.answers, seed=seed),
        robustness=known.robustness,
        residual=known.residuals.above,
        points=known.residuals.points,
        residual_bands=known.residuals.bands,
        residual_note=known.residuals.note,
        flags=find_flags(entry, others, robustness=known.robustness, residuals=known.residuals),
        links=told.links,
        precision=str(told.run.get("precision", "")),
        commit=_name_commits(told.run),
    )


def as_score(estimate: Estimate, chance: float | None = None) -> Score:
    """Return an estimate as a score of the board."""
    return Score(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n, chance=chance)


def _place(standing: Standing) -> Rank:
    return Rank(place=standing.place, low=standing.low, high=standing.high, band=standing.band)


def _score_families(
    known: Known, families: Families, tasks: Mapping[str, Score], seed: int
) -> dict[str, Score]:
    scores = {}
    for family, names in families.items():
        if any(name not in known.answers for name in names):
            continue
        if len(names) == 1:
            # One number has one interval.
            scores[family] = tasks[names[0]]
            continue
        if known.standing is not None:
            estimate = known.standing.families[family]
        else:
            alone = {"": {name: known.answers[name] for name in names}}
            estimate = rank(alone, {family: names}, seed=seed).standings[0].score
        chances = {name: tasks[name].chance for name in names}
        scores[family] = as_score(estimate, _mean_chance(chances, {family: names}))
    return scores


def _mean_chance(chances: Mapping[str, float | None], families: Families) -> float | None:
    total = 0.0
    for task, weight in task_weights(families).items():
        chance = chances[task]
        if chance is None:
            return None
        total += weight * chance
    return total


def _name_commits(run: Mapping[str, object]) -> str:
    """Return the commits of oddpair that ran, as many as differ."""
    runs = run.get("runs")
    found = (
        [one.get("package") for one in runs.values() if isinstance(one, dict)]
        if isinstance(runs, dict)
        else []
    )
    commits = {package.get("commit") for package in found if isinstance(package, dict)}
    return ", ".join(sorted(commit for commit in commits if isinstance(commit, str)))
