"""The board from its entries: a pure function of what was submitted, without a clock, a file or a draw of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from threadpoolctl import threadpool_limits

from oddpair.benchmarks.benchmark import Benchmark
from oddpair.benchmarks.suite import Suite
from oddpair.eval.board.board import Board, BoardTask, Concurrence, Pairwise, Score, Stability
from oddpair.eval.board.corpora import KnownCorpus
from oddpair.eval.board.describe import Known, as_score, describe_entry
from oddpair.eval.board.residuals import find_residuals
from oddpair.eval.board.robust import find_lines, find_robustness
from oddpair.eval.comparing.answers import Answers, answers_of
from oddpair.eval.ranking.concurrence import concur
from oddpair.eval.ranking.macro import Families, required_families
from oddpair.eval.ranking.pairs import Differences
from oddpair.eval.ranking.stability import split_halves
from oddpair.eval.ranking.standings import Ranking, rank, seed_of
from oddpair.eval.results import MAIN
from oddpair.eval.submission.entry import Entry

Answered = Mapping[str, Mapping[str, Answers]]


def make_board(
    entries: Sequence[Entry],
    *,
    suite: Suite,
    benchmarks: Mapping[str, Benchmark],
    corpora: Mapping[str, KnownCorpus],
    reproduced: Collection[str],
) -> Board:
    """Rank entries and look at them from all sides.

    Tasks count in the present version of their benchmark alone. Entries with every required task are ranked; the others
    are listed with what they have, and nothing is averaged over what they lack.

    Args:
        entries: Submissions that hold, in any order.
        suite: Families and required tasks.
        benchmarks: Benchmarks by name, those of the required tasks at least.
        corpora: Corpora whose counts are known, by the sha256 of their uids.
        reproduced: Names of the entries that maintainers ran again.

    Returns:
        The board, the same one for the same entries.

    Raises:
        Refusal: If entries were not asked the same questions.
    """
    present = sorted((keep_present(one, benchmarks) for one in entries), key=lambda one: one.submission.name)
    families = required_families(suite)
    required = [task for tasks in families.values() for task in tasks]
    versions = {name: benchmarks[name].version for name in sorted({_home_of(task) for task in required})}
    seed = seed_of(versions)
    tasks = _list_tasks(present, suite, benchmarks)
    answers = _answer(present, required)
    full = {name: found for name, found in answers.items() if len(found) == len(required)}
    # One thread for all sums: last bits then do not depend on the machine's cores.
    with threadpool_limits(limits=1):
        ranking = rank(full, families, seed=seed)
        standings = {one.name: one for one in ranking.standings}
        robustness = find_robustness(present, benchmarks)
        residuals = find_residuals(present, corpora)
        described = [
            describe_entry(
                entry,
                Known(
                    standing=standings.get(name),
                    answers=answers[name],
                    robustness=robustness[name],
                    residuals=residuals[name],
                    is_reproduced=name in reproduced,
                ),
                present,
                families=families,
                seed=seed,
            )
            for entry in present
            for name in [entry.submission.name]
        ]
        described.sort(key=lambda one: (one.rank is None, one.rank.place if one.rank else 0, one.id))
        return Board(
            benchmarks={**versions, **{_home_of(task.name): task.version for task in tasks}},
            families=tuple(families),
            tasks=tasks,
            entries=tuple(described),
            lines=find_lines(present, benchmarks),
            pairs=tuple(_list_pairs(ranking)),
            concurrence=tuple(
                Concurrence(
                    first=one.first, second=one.second, tau=None if one.tau is None else as_score(one.tau)
                )
                for one in concur(answers, required, seed=seed)
            ),
            stability=_halve(full, families, seed),
            draws=ranking.draws,
        )


def _home_of(task: str) -> str:
    return task.partition(".")[0]


def keep_present(entry: Entry, benchmarks: Mapping[str, Benchmark]) -> Entry:
    """Return the entry with the tasks of the present versions alone."""
    return replace(
        entry,
        tasks={
            name: task
            for name, task in entry.tasks.items()
            if (home := benchmarks.get(_home_of(name))) is not None and home.version == task.key.version
        },
    )


def _list_tasks(
    entries: Sequence[Entry], suite: Suite, benchmarks: Mapping[str, Benchmark]
) -> tuple[BoardTask, ...]:
    """Return every task that an entry has: those of the suite, then the others in the order of their benchmarks."""
    held = {name: task.key for entry in entries for name, task in entry.tasks.items()}
    ranked = {task: family for family, tasks in suite.families.items() for task in tasks}
    others = {
        f"{home}.{task.name}": task.family for home, all_of in benchmarks.items() for task in all_of.tasks
    }
    return tuple(
        BoardTask(
            name=name,
            version=held[name].version,
            family=family,
            kind=held[name].kind,
            metric=MAIN[held[name].kind],
            required=name in suite.required,
        )
        for name, family in {
            **ranked,
            **{name: others[name] for name in others if name not in ranked},
        }.items()
        if name in held
    )


def _answer(entries: Sequence[Entry], required: Sequence[str]) -> dict[str, dict[str, Answers]]:
    """Return the answers of each entry to the required tasks that it has."""
    asked: dict[str, Answers] = {}
    answers: dict[str, dict[str, Answers]] = {}
    for entry in entries:
        held = answers.setdefault(entry.submission.name, {})
        for name in required:
            task = entry.tasks.get(name)
            if task is None:
                continue
            found = answers_of(
                task.records, task.key.kind, cluster=task.key.cluster, class_keys=task.key.class_keys
            )
            first = asked.setdefault(name, found)
            # Names of questions take more memory than all else, and are the same for all.
            if (found.questions, found.clusters) == (first.questions, first.clusters):
                found = replace(found, questions=first.questions, clusters=first.clusters)
            held[name] = found
    return answers


def _list_pairs(ranking: Ranking) -> Iterator[Pairwise]:
    pairs = ranking.pairs
    if pairs is None:
        return
    leader, names = ranking.standings[0], [one.name for one in ranking.standings]
    difference = _differences(pairs.difference, leader.score.n)
    tasks = {task: _differences(found, leader.tasks[task].n) for task, found in pairs.tasks.items()}
    for row in range(len(pairs)):
        yield Pairwise(
            first=names[pairs.first[row]],
            second=names[pairs.second[row]],
            difference=difference[row],
            p_adjusted=float(pairs.p_adjusted[row]),
            significant=bool(pairs.separated[row]),
            tasks={task: scores[row] for task, scores in tasks.items()},
        )


def _differences(found: Differences, n: int) -> list[Score]:
    ends = zip(found.value.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return [Score(value=value, low=low, high=high, n=n) for value, low, high in ends]


def _halve(full: Answered, families: Families, seed: int) -> Stability | None:
    found = split_halves(full, families, seed=seed)
    return (
        None
        if found is None
        else Stability(share=found.share, by_chance=found.by_chance, halvings=found.halvings)
    )
