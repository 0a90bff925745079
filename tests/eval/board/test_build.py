"""The board of real answer keys: hand arithmetic on the answers, and nothing that hangs on the order or the company."""

from dataclasses import replace

import numpy as np
import pytest
from tests.board.bundles import LOGIT_SCALE, REQUIRED, draw_records, read_known, run_of
from tests.eval.board.planted_entries import make_entry

from oddpair.benchmarks.benchmark_file import load_benchmark, shipped
from oddpair.benchmarks.suite import read_suite
from oddpair.eval.board.build import make_board
from oddpair.eval.board.serialise import as_json
from oddpair.eval.comparing.answers import answers_of
from oddpair.eval.ranking.standings import rank, seed_of
from oddpair.eval.scoring.metrics import credit
from oddpair.eval.submission.entry import Recomputed
from oddpair.eval.submission.recompute import measure_records

SUITE = read_suite()
NATURAL, RENDITION, SEEN, UNSEEN = REQUIRED
SKETCH = "miniature.sketch"
ALL_BENCHMARKS = {name: load_benchmark(name) for name in shipped()}
HASH = "ab" * 32


def random_entry(model, *, seed, skill, tasks=REQUIRED, **declared):
    """An entry of a random model, as `write_honest` draws it and `recompute` reads it."""
    found = []
    for task in tasks:
        key, records = read_known(task), draw_records(task, seed=seed, skill=skill)
        found.append(Recomputed(key=key, records=records, metrics=measure_records(key, records, LOGIT_SCALE)))
    return make_entry(model, found, run=run_of(HASH), **declared)


def build(entries, *, benchmarks=ALL_BENCHMARKS, reproduced=()):
    return make_board(entries, suite=SUITE, benchmarks=benchmarks, corpora={}, reproduced=reproduced)


def name_of(entry):
    return entry.submission.name


def mean_credit(entry, task, style=None):
    """The slow way: of single rows."""
    records = entry.tasks[task].records
    earned = credit(records, entry.tasks[task].key.kind).tolist()
    return float(
        np.mean(
            [
                one
                for one, shown in zip(earned, records["style"].to_pylist(), strict=True)
                if style in (None, shown)
            ]
        )
    )


@pytest.fixture(scope="module")
def entries():
    """Ranked ones of four skills, a copy of the second, and one that lacks a family."""
    made = [random_entry(f"skill-{skill}", seed=skill, skill=skill) for skill in (1, 2, 3)]
    copy = replace(made[1], submission=replace(made[1].submission, model="a-copy"))
    return [
        *made,
        copy,
        random_entry("optional", seed=7, skill=1.5, tasks=(*REQUIRED, SKETCH), variants_tried=3),
        random_entry("partial", seed=8, skill=4, tasks=(RENDITION, SEEN)),
    ]


@pytest.fixture(scope="module")
def board(entries):
    return build(entries, reproduced={name_of(entries[0])})


@pytest.fixture(scope="module")
def listed(board):
    return {entry.id: entry for entry in board.entries}


def test_entries_are_listed_by_rank_and_those_without_one_last(entries, board):
    first, second, third, copy, optional, partial = map(name_of, entries)
    assert [entry.id for entry in board.entries] == [third, copy, second, optional, first, partial]
    assert [entry.rank and entry.rank.place for entry in board.entries] == [1, 2, 3, 4, 5, None]


def test_the_order_of_submissions_changes_no_byte(entries, board):
    assert as_json(build(entries[::-1], reproduced={name_of(entries[0])})) == as_json(board)


def test_scores_are_means_over_questions_then_tasks_then_families(entries, listed):
    for entry in entries[:5]:
        found = listed[name_of(entry)]
        means = {task: mean_credit(entry, task) for task in REQUIRED}
        assert {task: found.tasks[task].value for task in REQUIRED} == pytest.approx(means)
        assert found.score.value == pytest.approx(sum(means.values()) / 4)
        assert {family: score.value for family, score in found.families.items()} == pytest.approx(
            {
                "natural": means[NATURAL],
                "rendition": means[RENDITION],
                "unseen pairs": means[UNSEEN],
                "composition": means[SEEN],
            }
        )
        assert found.score.n == sum(read_known(task).table.num_rows for task in REQUIRED)
        assert found.score.low < found.score.value < found.score.high


def test_chances_are_averaged_as_scores_are(entries, listed):
    found = listed[name_of(entries[0])]
    chances = {task: found.tasks[task].chance for task in REQUIRED}
    assert chances[NATURAL] == pytest.approx(1 / 87)
    assert found.score.chance == pytest.approx(sum(chances.values()) / 4)
    assert found.families["composition"].chance == chances[SEEN]


def test_ranks_are_those_of_the_shared_draws(entries, board, listed):
    answers = {
        name_of(entry): {task: make_answers(entry.tasks[task]) for task in REQUIRED} for entry in entries[:5]
    }
    families = {
        "natural": (NATURAL,),
        "rendition": (RENDITION,),
        "unseen pairs": (UNSEEN,),
        "composition": (SEEN,),
    }
    wanted = rank(answers, families, seed=seed_of({"miniature": 1}))
    for one in wanted.standings:
        found = listed[one.name]
        assert (found.rank.place, found.rank.low, found.rank.high, found.rank.band) == (
            one.place, one.low, one.high, one.band
        )  # fmt: skip
        assert (found.score.low, found.score.high) == (one.score.low, one.score.high)
    assert board.draws == wanted.draws == 2000


def make_answers(task):
    return answers_of(task.records, task.key.kind, cluster=task.key.cluster, class_keys=task.key.class_keys)


def test_an_entry_without_a_rank_shows_what_it_has_and_moves_nobody(entries, board, listed):
    partial = listed[name_of(entries[5])]
    assert (partial.score, partial.rank, partial.missing) == (None, None, (NATURAL, UNSEEN))
    assert set(partial.families) == {"rendition", "composition"}
    for family, task in (("rendition", RENDITION), ("composition", SEEN)):
        score = partial.families[family]
        assert (score.value, score.n) == (pytest.approx(partial.tasks[task].value), partial.tasks[task].n)
        # A family of one task is that task: one number has one interval.
        assert (score.low, score.high) == (partial.tasks[task].low, partial.tasks[task].high)
    without = build(entries[:5])
    assert without.pairs == board.pairs
    assert [(entry.id, entry.rank, entry.score) for entry in without.entries] == [
        (entry.id, entry.rank, entry.score) for entry in board.entries[:5]
    ]


def test_styles_are_of_the_required_tasks_alone_and_each_picture_counts_once(entries, listed):
    for entry in entries[:5]:
        found = listed[name_of(entry)].styles
        assert list(found) == ["cartoon", "painting", "photo", "silhouette", "sketch"]
        for style, score in found.items():
            task = NATURAL if style == "photo" else RENDITION
            assert score.value == pytest.approx(mean_credit(entry, task, style))
            assert score.n == (2175 if style == "photo" else 870)
            assert score.chance == pytest.approx(1 / 87)
            assert score.low < score.value < score.high
    assert SKETCH in listed[name_of(entries[4])].tasks
    assert set(listed[name_of(entries[5])].styles) == {"cartoon", "painting", "silhouette", "sketch"}


def test_every_metric_of_every_task_is_there_and_the_main_one_stands_for_it(entries, listed):
    for entry in entries:
        found = listed[name_of(entry)]
        for task, held in entry.tasks.items():
            assert {
                name: (score.value, score.low, score.high, score.n, score.chance)
                for name, score in found.metrics[task].items()
            } == {
                one.name: (*(getattr(one.estimate, end) for end in ("value", "low", "high", "n")), one.chance)
                for one in held.metrics
            }
            assert found.tasks[task] == found.metrics[task]["top1"]


def test_every_two_ranked_entries_are_a_pair_whose_difference_is_that_of_their_scores(board, listed):
    ranked = [entry.id for entry in board.entries if entry.rank]
    assert [(pair.first, pair.second) for pair in board.pairs] == [
        (one, other) for place, one in enumerate(ranked) for other in ranked[place + 1 :]
    ]
    for pair in board.pairs:
        one, other = listed[pair.first], listed[pair.second]
        assert pair.difference.value == pytest.approx(one.score.value - other.score.value)
        assert {task: score.value for task, score in pair.tasks.items()} == pytest.approx(
            {task: one.tasks[task].value - other.tasks[task].value for task in REQUIRED}
        )
        assert pair.significant == (pair.p_adjusted <= 0.05)
        assert pair.tasks[NATURAL].n == 2175


def test_copies_share_a_score_and_are_flagged_and_not_separated(entries, board, listed):
    second, copy = (name_of(entries[place]) for place in (1, 3))
    assert (
        {flag.kind for flag in listed[copy].flags} == {flag.kind for flag in listed[second].flags} == {"copy"}
    )
    (pair,) = [pair for pair in board.pairs if {pair.first, pair.second} == {second, copy}]
    assert (pair.difference.value, pair.significant) == (0, False)
    assert listed[copy].rank.band == listed[second].rank.band


def test_what_is_declared_is_shown(entries, listed):
    found = listed[name_of(entries[4])]
    assert (found.handle, found.model, found.training, found.variants_tried) == ("lab", "optional", (), 3)
    assert (found.precision, found.commit) == ("fp32", "a1" * 20)
    assert [flag.kind for flag in found.flags] == ["variants"]
    assert found.residual == {}
    assert found.residual_note == "The training data are not declared."


def test_only_entries_that_were_run_again_are_reproduced(entries, listed):
    assert [listed[name_of(entry)].level for entry in entries] == ["reproduced", *["recomputed"] * 5]


def test_tasks_are_those_that_entries_have_in_the_order_of_the_suite(board):
    assert [(task.name, task.family, task.required) for task in board.tasks] == [
        (NATURAL, "natural", True),
        (RENDITION, "rendition", True),
        (UNSEEN, "unseen pairs", True),
        (SEEN, "composition", True),
        (SKETCH, "styles", False),
    ]
    assert {task.metric for task in board.tasks} == {"top1"}
    assert board.families == ("natural", "rendition", "unseen pairs", "composition")
    assert board.benchmarks == {"miniature": 1}


def test_each_is_compared_with_the_line_of_the_others(entries, board, listed):
    (line,) = board.lines
    # The copy lies where the second does.
    assert (line.axes, line.n) == ("miniature.rendition", 4)
    assert all(one.above is None for entry in board.entries for one in entry.robustness)
    assert listed[name_of(entries[5])].robustness == ()


def test_two_tasks_are_compared_over_the_entries_that_have_both(board):
    counts = {(one.first, one.second): one.tau and one.tau.n for one in board.concurrence}
    assert len(counts) == 6
    assert counts[RENDITION, SEEN] == 6
    assert counts[NATURAL, RENDITION] == 5
    assert board.stability.halvings == 1000


def test_answers_to_an_older_version_do_not_count(entries):
    newer = {**ALL_BENCHMARKS, "miniature": replace(ALL_BENCHMARKS["miniature"], version=2)}
    found = build(entries[:1], benchmarks=newer)
    assert (found.entries[0].missing, found.entries[0].tasks, found.tasks) == (
        (NATURAL, RENDITION, UNSEEN, SEEN),
        {},
        (),
    )
    assert found.benchmarks == {"miniature": 2}


@pytest.mark.parametrize("n", [0, 1])
def test_a_board_of_nobody_or_of_one_compares_nothing(entries, n):
    found = build(entries[:n])
    assert (len(found.entries), found.pairs, found.stability, found.lines) == (n, (), None, ())
    assert as_json(found)
    if n:
        assert (found.entries[0].rank.place, found.entries[0].rank.high) == (1, 1)
