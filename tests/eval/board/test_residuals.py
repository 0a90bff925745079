"""Residuals of planted models: none where counts and skill are all there is, and bands that hold what they say."""

from itertools import permutations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import t as student
from tests.eval.board.planted_entries import (
    CAPTIONS,
    CONCEPTS,
    QUESTIONS,
    answer,
    draw_answers,
    make_entry,
    make_key,
    name_hash,
    plant_corpus,
    plant_world,
)

from oddpair.eval.board.residual_fit import group_copies
from oddpair.eval.board.residuals import find_residuals
from oddpair.eval.submission.submission import TrainingData

TASK = "world.things"


def scored(residuals):
    return residuals.above[TASK].value + residuals.bands[TASK].value


def replaced(entries, number, accuracy, seed=0):
    """The same entries, of which one has other accuracies."""
    old = entries[number]
    key = old.tasks[TASK].key
    task = answer(key, draw_answers(key, accuracy, np.random.default_rng(seed)))
    told = old.submission
    new = make_entry(told.model, [task], training=told.training)
    return [*entries[:number], new, *entries[number + 1 :]]


@pytest.fixture(scope="module")
def worlds():
    found = []
    for seed in range(30):
        entries, corpora, truth = plant_world(seed)
        residuals = find_residuals(entries, corpora)
        found += [
            (residuals[one.submission.name], accuracy) for one, accuracy in zip(entries, truth, strict=True)
        ]
    return found


def test_models_of_counts_and_skill_lie_on_their_predictions_on_average(worlds):
    above = [one.above[TASK].value for one, _ in worlds]
    # Entries of a world share what it is predicted from: their errors of eight are about those of three.
    assert abs(np.mean(above)) < 3 * np.std(above) / np.sqrt(30 * 3)
    assert np.std(above) < 0.1


def test_bands_hold_99_in_100_of_honest_models(worlds):
    outside = sum(not one.bands[TASK].low <= scored(one) <= one.bands[TASK].high for one, _ in worlds)
    # Of 240 models 2.4 are expected outside; 9 or more would come once in 1,000 if they were independent.
    assert outside <= 8
    assert np.median([one.bands[TASK].high - one.bands[TASK].low for one, _ in worlds]) < 0.7


def test_the_interval_of_a_concept_holds_nine_in_ten(worlds):
    inside = [
        point.predicted.low <= point.accuracy <= point.predicted.high
        for one, _ in worlds
        for point in one.points
    ]
    assert 0.87 < np.mean(inside) < 0.94


def test_what_counts_foretell_is_found_concept_by_concept(worlds):
    correlations = [
        np.corrcoef([point.predicted.value for point in one.points], accuracy)[0, 1]
        for one, accuracy in worlds
    ]
    assert np.median(correlations) > 0.9


def test_leaked_questions_lie_above_the_band():
    entries, corpora, truth = plant_world(3, n_entries=10)
    leaky = replaced(entries, 4, np.maximum(truth[4], 0.97))
    name = leaky[4].submission.name
    found = find_residuals(leaky, corpora)
    assert scored(found[name]) > found[name].bands[TASK].high
    others = [one for key, one in found.items() if key != name]
    assert all(scored(one) <= one.bands[TASK].high for one in others)
    honest = find_residuals(entries, corpora)[name]
    assert scored(honest) <= honest.bands[TASK].high


def test_no_answer_of_an_entry_reaches_its_own_prediction():
    entries, corpora, truth = plant_world(1)
    other = replaced(entries, 2, 1 - truth[2])
    name = entries[2].submission.name
    one, two = (find_residuals(each, corpora)[name] for each in (entries, other))
    assert [point.predicted.value for point in one.points] == [point.predicted.value for point in two.points]
    assert one.above != two.above


def test_an_entry_is_predicted_without_itself_where_others_share_its_corpus():
    entries, corpora, truth = plant_world(1)
    training = entries[0].submission.training
    shared = [make_entry(f"s{row}", list(entries[row].tasks.values()), training=training) for row in range(4)]
    found = find_residuals([*shared, *entries[4:]], corpora)
    changed = replaced([*shared, *entries[4:]], 2, 1 - truth[2])
    name = shared[2].submission.name
    one, two = (
        [point.predicted.value for point in each[name].points]
        for each in (found, find_residuals(changed, corpora))
    )
    assert one == pytest.approx(two, abs=1e-5)
    # Three others of its corpus, and four of their own, are seven.
    assert found[name].bands[TASK].n == 7


def test_above_and_band_follow_from_the_points():
    entries, corpora, _ = plant_world(2)
    found = find_residuals(entries, corpora)
    away = {}
    for name, one in found.items():
        accuracy = np.mean([point.accuracy for point in one.points])
        predicted = np.mean([point.predicted.value for point in one.points])
        assert one.above[TASK].value == pytest.approx(accuracy - predicted)
        assert one.bands[TASK].value == pytest.approx(predicted)
        assert one.above[TASK].low < one.above[TASK].value < one.above[TASK].high
        assert one.above[TASK].n == len(CONCEPTS) * QUESTIONS
        away[name] = np.arcsin(np.sqrt(accuracy)) - np.arcsin(np.sqrt(predicted)), predicted
    for name, one in found.items():
        theirs = np.array([away[other][0] for other in found if other != name])
        reach = student.ppf(0.995, 6) * theirs.std(ddof=1) * np.sqrt(1 + 1 / 7)
        for sign, end in ((-1, one.bands[TASK].low), (1, one.bands[TASK].high)):
            at = np.arcsin(np.sqrt(away[name][1])) + theirs.mean() + sign * reach
            assert end == pytest.approx(np.sin(np.clip(at, 0, np.pi / 2)) ** 2)
        assert one.bands[TASK].n == 7


def test_the_interval_is_that_of_a_bootstrap_over_concepts():
    entries, corpora, _ = plant_world(5)
    one = find_residuals(entries, corpora)[entries[0].submission.name]
    gaps = np.array([point.accuracy - point.predicted.value for point in one.points])
    rng = np.random.default_rng(0)
    draws = gaps[rng.integers(len(gaps), size=(4000, len(gaps)))].mean(axis=1)
    spread = one.above[TASK].high - one.above[TASK].low
    # A little wider than plain percentiles, as few concepts ask for.
    assert 1.0 < spread / np.ptp(np.quantile(draws, [0.025, 0.975])) < 1.2


def test_a_copy_neither_predicts_its_original_nor_counts_in_a_band():
    entries, corpora, _ = plant_world(4)
    first = entries[0]
    copy = make_entry("zz-copy", list(first.tasks.values()), training=first.submission.training)
    alone, beside = find_residuals(entries, corpora), find_residuals([*entries, copy], corpora)
    name = first.submission.name
    assert beside[name].bands[TASK].n == alone[name].bands[TASK].n == 7
    for field in ("value", "low", "high"):
        assert getattr(beside[name].bands[TASK], field) == pytest.approx(
            getattr(alone[name].bands[TASK], field)
        )
    assert [p.predicted for p in beside[copy.submission.name].points] == [
        p.predicted for p in beside[name].points
    ]


def test_copies_are_grouped_by_their_first():
    accuracy = np.array([[0.5, 0.5, 0.5, 0.1], [0.2, 0.2, 0.25, 0.2]])
    assert group_copies(accuracy, np.array([1000.0, 20.0])).tolist() == [0, 0, 0, 1]
    assert group_copies(accuracy, np.array([20.0, 20.0])).tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize("n_entries", [1, 3, 4])
def test_fewer_than_four_others_foretell_nothing(n_entries):
    entries, corpora, _ = plant_world(0, n_entries=n_entries)
    for one in find_residuals(entries, corpora).values():
        assert (one.above, one.bands, one.points) == ({}, {}, ())
        assert "fewer than 4 other entries" in one.note


def test_four_others_are_enough():
    entries, corpora, _ = plant_world(0, n_entries=5)
    assert all(one.above and not one.note for one in find_residuals(entries, corpora).values())


def test_why_nothing_is_foretold_is_said():
    entries, corpora, _ = plant_world(0, n_entries=5)
    tasks = list(entries[0].tasks.values())
    two = tuple(TrainingData(name=one.name, manifest=one.manifest) for one in list(corpora.values())[:2])
    told = {
        "unknown": (make_entry("unknown", tasks), "are not declared"),
        "two": (make_entry("two", tasks, training=two), "2 corpora are declared"),
        "secret": (
            make_entry("secret", tasks, training=(TrainingData(name="mine", manifest=""),)),
            "counts of the declared corpus are not known",
        ),
    }
    found = find_residuals([*entries, *(entry for entry, _ in told.values())], corpora)
    for entry, note in told.values():
        assert note in found[entry.submission.name].note
        assert not found[entry.submission.name].above
    # What is not known of them changes nothing for the others.
    assert found[entries[1].submission.name] == find_residuals(entries, corpora)[entries[1].submission.name]


def test_concepts_that_were_not_counted_are_left_out():
    entries, corpora, _ = plant_world(6, n_entries=6)
    manifest = entries[0].submission.training[0].manifest
    full = corpora[manifest].counts.counts
    fewer = plant_corpus("corpus-0", full.text[:20], concepts=CONCEPTS[:20])
    found = find_residuals(entries, {**corpora, manifest: fewer})
    points = found[entries[0].submission.name].points
    assert [point.concept for point in points] == list(CONCEPTS[:20])
    assert found[entries[0].submission.name].above[TASK].n == 20 * QUESTIONS
    assert len(found[entries[1].submission.name].points) == len(CONCEPTS)


def test_a_corpus_that_counts_none_of_the_concepts_foretells_nothing():
    entries, corpora, _ = plant_world(6, n_entries=6)
    manifest = entries[0].submission.training[0].manifest
    strange = plant_corpus("corpus-0", [5], concepts=("something else",))
    found = find_residuals(entries, {**corpora, manifest: strange})
    assert found[entries[0].submission.name].note
    assert found[entries[1].submission.name].bands[TASK].n == 4


def test_other_questions_of_the_same_name_are_another_task():
    entries, corpora, _ = plant_world(7, n_entries=6)
    key = make_key(questions=QUESTIONS - 1)
    changed = make_key()
    object.__setattr__(key, "lock", name_hash("another"))
    assert key.lock != changed.lock
    rng = np.random.default_rng(0)
    last = make_entry(
        "m005",
        [answer(key, draw_answers(key, np.full(30, 0.5), rng))],
        training=entries[5].submission.training,
    )
    found = find_residuals([*entries[:5], last], corpora)
    assert found[last.submission.name].note
    assert found[entries[0].submission.name].bands[TASK].n == 4


def test_the_order_of_entries_changes_nothing():
    entries, corpora, _ = plant_world(8, n_entries=5)
    shuffled = [entries[row] for row in (3, 0, 4, 2, 1)]
    assert find_residuals(entries, corpora) == find_residuals(shuffled, corpora)


def plant_pairs(seed=0, n_entries=6):
    """Entries whose accuracy on a pair rises with its PMI alone, over a corpus each."""
    rng = np.random.default_rng(seed)
    concepts = CONCEPTS[:9]
    pairs = list(permutations(range(9), 2))
    key = make_key("world.pairs", concepts, pairs, questions=8)
    entries, corpora = [], {}
    for number in range(n_entries):
        counts = rng.integers(500, 3000, 9)
        unordered = [pair for pair in pairs if pair[0] < pair[1]]
        expected = np.array([counts[a] * counts[b] / CAPTIONS for a, b in unordered])
        seen = np.floor(expected * 10 ** rng.uniform(-1, 0.7, len(unordered))).astype(int)
        seen[::7] = 0
        corpus = plant_corpus(
            f"corpus-{number}", counts, dict(zip(unordered, seen.tolist(), strict=True)), concepts
        )
        pmi = dict(zip(unordered, np.log((seen + 0.5) / (expected + 0.5)), strict=True))
        accuracy = np.array([expit(0.5 + 1.0 * pmi[min(pair), max(pair)]) for pair in pairs])
        corpora[corpus.manifest] = corpus
        entries.append(make_entry(f"p{number}", [answer(key, draw_answers(key, accuracy, rng))], corpus))
    return entries, corpora


def test_pairs_are_foretold_by_their_pmi():
    entries, corpora = plant_pairs()
    for entry in entries:
        corpus = corpora[entry.submission.training[0].manifest]
        one = find_residuals(entries, corpora)[entry.submission.name]
        assert abs(one.above["world.pairs"].value) < 0.08
        assert (
            np.corrcoef([p.accuracy for p in one.points], [p.predicted.value for p in one.points])[0, 1] > 0.5
        )
        point = one.points[9]
        assert point.concept == "thing 01 + thing 02"
        together, (a, b) = corpus.count_pairs(np.array([1]), np.array([2]))[0], corpus.counts.counts.text[1:3]
        assert point.count == together
        assert point.pmi == pytest.approx(np.log(together * CAPTIONS / (a * b)))
        never = one.points[0]
        assert (never.concept, never.count, never.pmi) == ("thing 00 + thing 01", 0, None)
