"""What a person is to look at is flagged, and honest models are not."""

import numpy as np
import pyarrow as pa
import pytest
from tests.eval.board.planted_entries import (
    CONCEPTS,
    answer,
    draw_answers,
    make_entry,
    make_key,
    plant_world,
)
from tests.eval.scoring.scored import ask_every_kind

from oddpair.errors import Refusal
from oddpair.eval.board.board import Robustness, Score
from oddpair.eval.board.flags import find_flags
from oddpair.eval.board.residuals import Residuals, find_residuals
from oddpair.eval.submission.agreement import best_answers
from oddpair.eval.submission.submission import TrainingData
from oddpair.splits.manifest import uids_digest

KEY = make_key()
N = KEY.table.num_rows


def flags(entry, others=(), robustness=(), residuals=None, manifest_uids=None):
    found = find_flags(
        entry,
        others,
        robustness=robustness,
        residuals=residuals or Residuals(),
        manifest_uids=manifest_uids,
    )
    return {flag.kind: flag.text for flag in found}


def drawn(seed=0, accuracy=0.6):
    return draw_answers(KEY, np.full(len(CONCEPTS), accuracy), np.random.default_rng(seed))


def test_honest_models_have_no_flag():
    entries, corpora, _ = plant_world(0)
    residuals = find_residuals(entries, corpora)
    for entry in entries:
        assert flags(entry, entries, residuals=residuals[entry.submission.name]) == {}


def test_a_constant_model_is_degenerate():
    constant = make_entry("constant", [answer(KEY, np.full(N, 7))])
    assert flags(constant) == {
        "degenerate": "100.0% of the 600 answers to world.things are 'thing 07', which is right for 3.3%."
    }


@pytest.mark.parametrize(("share", "flagged"), [(0.79, False), (0.81, True)])
def test_four_answers_in_five_of_one_class_are_degenerate(share, flagged):
    answers = np.where(np.arange(N) < share * N, 3, np.arange(N) % 29)
    answers[np.arange(N) >= share * N] = 5
    assert ("degenerate" in flags(make_entry("one", [answer(KEY, answers)]))) == flagged


def test_one_class_that_is_mostly_right_is_not_degenerate():
    key = make_key("world.two", ("cat", "dog"), pairs=[(0, 1)])
    assert flags(make_entry("cats", [answer(key, np.zeros(20, dtype=int))])) == {}


def test_copied_predictions_are_flagged_for_both():
    first = make_entry("first", [answer(KEY, drawn())])
    second = make_entry("second", [answer(KEY, drawn())])
    told = flags(second, [first, second])["copy"]
    wrong = int((drawn() != KEY.table["target"].to_numpy()).sum())
    assert told == (
        f"100.00% of 600 answers to 1 shared tasks are those of {first.submission.name}; of {wrong} that either has wrong, "
        f"{wrong} are the same."
    )
    assert second.submission.name in flags(first, [first, second])["copy"]


def test_a_copy_is_known_though_a_few_answers_were_changed():
    changed = drawn()
    changed[::50] = (changed[::50] + 1) % len(CONCEPTS)
    first, second = (make_entry(name, [answer(KEY, a)]) for name, a in (("a", drawn()), ("b", changed)))
    assert "98.00% of 600 answers" in flags(second, [first])["copy"]


@pytest.mark.parametrize("share", [0.004, 0.02])
def test_a_leak_and_its_twin_are_known_as_copies_though_the_twin_hides_them_from_the_band(share):
    leaked = drawn(4, 0.9)
    rng = np.random.default_rng(5)
    twin = np.where(rng.random(N) < share, rng.integers(0, len(CONCEPTS), N), leaked)
    first, second = (make_entry(name, [answer(KEY, a)]) for name, a in (("leak", leaked), ("twin", twin)))
    assert "copy" in flags(first, [second])
    assert "copy" in flags(second, [first])


def test_good_models_that_err_apart_are_no_copies():
    first, second = (make_entry(f"m{seed}", [answer(KEY, drawn(seed, 0.93))]) for seed in (1, 2))
    assert flags(first, [second]) == {}


def test_only_shared_questions_are_compared():
    first = make_entry("first", [answer(KEY, drawn())])
    other_task = make_entry("second", [answer(make_key("world.other"), drawn())])
    assert flags(first, [other_task]) == {}
    other_lock = make_key()
    object.__setattr__(other_lock, "lock", "0" * 64)
    assert flags(first, [make_entry("third", [answer(other_lock, drawn())])]) == {}


@pytest.mark.parametrize("kind", ["classification", "pairs", "retrieval", "choice", "multilabel"])
def test_an_answer_is_read_from_every_kind_of_records(kind):
    table, _ = ask_every_kind(np.random.default_rng(0))[kind]
    slow = []
    for row in table.to_pylist():
        if kind in ("classification", "pairs"):
            slow.append(row["top_classes"][0])
        elif kind == "retrieval":
            slow.append(row["n_greater"])
        else:
            slow.append(max(range(len(row["scores"])), key=lambda place: (row["scores"][place], -place)))
    assert best_answers(table, kind).tolist() == slow


def test_accuracy_above_the_band_is_flagged_with_its_numbers():
    residuals = Residuals(
        above={"world.things": Score(value=0.3, low=0.28, high=0.32, n=600)},
        bands={"world.things": Score(value=0.4, low=0.2, high=0.6, n=7)},
    )
    entry = make_entry("leaky", [answer(KEY, drawn())])
    assert flags(entry, residuals=residuals) == {
        "above-prediction": "Accuracy on world.things is 70.0% (n = 600); counts of the declared corpus and 7 other entries "
        "foretell 40.0%, 99 % band 20.0% to 60.0%; skill or styles that they lack look the same as leaked questions."
    }
    inside = Residuals(
        above={"world.things": Score(value=0.19, low=0.18, high=0.2, n=600)}, bands=residuals.bands
    )
    assert flags(entry, residuals=inside) == {}


def test_planted_leakage_is_flagged_and_nothing_else():
    entries, corpora, truth = plant_world(3, n_entries=10)
    key = entries[4].tasks["world.things"].key
    leaked = answer(key, draw_answers(key, np.maximum(truth[4], 0.97), np.random.default_rng(0)))
    entries[4] = make_entry("m004", [leaked], training=entries[4].submission.training)
    residuals = find_residuals(entries, corpora)
    found = {
        entry.submission.model: sorted(flags(entry, entries, residuals=residuals[entry.submission.name]))
        for entry in entries
    }
    assert found == {f"m{row:03}": (["above-prediction"] if row == 4 else []) for row in range(10)}


@pytest.mark.parametrize(
    ("low", "high", "flagged"), [(0.01, 0.2, True), (-0.01, 0.2, False), (-0.3, -0.1, True)]
)
def test_a_model_off_the_line_is_an_outlier(low, high, flagged):
    middle = (low + high) / 2
    off = Robustness(axes="world.drawn", x=0.5, y=0.4, above=Score(value=middle, low=low, high=high, n=6))
    entry = make_entry("one", [answer(KEY, drawn())])
    told = flags(entry, robustness=[off, Robustness(axes="world.cut", x=0.5, y=0.4, above=None)])
    assert ("outlier" in told) == flagged
    if flagged:
        side = "above" if middle > 0 else "below"
        assert f"{100 * abs(middle):.1f} points {side} the line through 6 other entries" in told["outlier"]


def test_the_number_of_variants_is_told():
    assert flags(make_entry("one", [answer(KEY, drawn())], variants_tried=12)) == {
        "variants": "It is the best of 12 variants that were tried, by its own word."
    }


def declare(uids):
    data = TrainingData(name="mine", manifest=uids_digest(uids))
    return make_entry("one", [answer(KEY, drawn())], training=(data,))


def test_questions_among_the_training_data_are_counted():
    uids = sorted(["world.things 00003", "world.things 00004", "x"])
    assert flags(declare(uids), manifest_uids=pa.array(uids)) == {
        "in-training": "Pictures of the tasks are among the 3 that it was trained on: 2 of 600 of world.things."
    }
    clean = sorted(["x", "y"])
    assert flags(declare(clean), manifest_uids=clean) == {}


def test_another_manifest_than_the_declared_is_refused():
    with pytest.raises(
        Refusal, match=r"the manifest has the uid list [0-9a-f]{12}…, declared are [0-9a-f]{12}…"
    ):
        flags(declare(["x"]), manifest_uids=["y"])
    with pytest.raises(Refusal, match="declared are none"):
        flags(make_entry("one", [answer(KEY, drawn())]), manifest_uids=["y"])
