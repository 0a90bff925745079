import copy
import io
from typing import Any

import pyarrow as pa
import pytest

from oddpair.demo import answers, concept_tables, pair_tables, tables
from oddpair.demo.numbers import show_estimate, show_share, side_of
from oddpair.demo.tables import show
from oddpair.demo.tabulate import Table
from oddpair.splits.manifest import Manifest
from oddpair.splits.pairs.unseen_pairs import PairTable


def estimate(value, low, high, n=10):
    return {"value": value, "low": low, "high": high, "n": n, "what": ""}


def score(model, **gains):
    return {
        "model": model,
        "r2": estimate(0.5, 0.4, 0.6),
        "log_loss": estimate(0.6, 0.5, 0.7),
        "absolute_error": estimate(12.0, 10.0, 14.0),
        "r2_gain": {name.replace("_", " "): gain for name, gain in gains.items()},
        "log_loss_gain": {name.replace("_", " "): estimate(0.01, -0.02, 0.03) for name in gains},
    }


IMPOSSIBLE = {"impossible": "no row is left"}
VALIDATION = {
    "scores": [
        score("mean", log_count=estimate(-0.5, -0.6, -0.4)),
        score("log count", mean=estimate(0.5, 0.4, 0.6)),
        score("log counts + PMI", mean=estimate(0.5, 0.4, 0.6), log_count=estimate(0.01, -0.01, 0.02)),
    ],
    "ceiling": 0.9,
    "n_rows": 1234,
    "n_concepts": 80,
    "folds": 10,
}
PENALTY = {
    "points": estimate(-3.0, -5.0, -1.0),
    "beta": estimate(-0.2, -0.3, -0.1),
    "n_unseen": 40,
    "n_seen": 60,
}
MATCHED = {"difference": estimate(-1.0, -4.0, 2.0), "n_matched": 30, "n_unmatched": 10}
TRANSFER = {
    "predicted": 0.41,
    "observed": 0.4,
    "bias": estimate(1.0, -1.0, 3.0),
    "r": estimate(0.5, 0.4, 0.6),
    "r_binned": None,
    "n_pairs": 20,
    "n_seen_pairs": 30,
    "n_outside": 2,
}
STYLE = {
    "precision": estimate(0.987, 0.985, 0.989, 12629),
    "recall": estimate(0.96, 0.95, 0.97, 13000),
    "wrong_before_search": estimate(0.011, 0.009, 0.013, 15621),
    "wrong_after_search": estimate(0.01, 0.008, 0.012, 15488),
    "left_by_search": 133,
}
RESULTS = {
    "plan": {"precision": 0.98},
    "styles": {
        "natural": {
            "natural-strict": estimate(0.5, 0.48, 0.52, 2175),
            "control": estimate(0.5, 0.48, 0.52, 2175),
            "ratio": estimate(1.0, 0.95, 1.05, 2175),
        },
        "painting": {
            "natural-strict": estimate(0.3, 0.2, 0.4),
            "control": estimate(0.2, 0.1, 0.3),
            "ratio": estimate(1.5, 1.1, None),
        },
        "sketch": {
            "natural-strict": estimate(0.1, 0.05, 0.2),
            "control": estimate(0.4, 0.3, 0.5),
            "ratio": estimate(0.25, 0.1, 0.5),
        },
        "cartoon": {
            "natural-strict": estimate(0.0, 0.0, 0.1),
            "control": estimate(0.0, 0.0, 0.1),
            "ratio": None,
        },
    },
    "concepts": {
        "r": estimate(0.8, 0.7, 0.9, 87),
        "trend": {
            "raw": estimate(0.8, 0.7, 0.9, 87),
            "binned": None,
            "all_bins": estimate(0.95, 0.8, 0.99, 11),
            "points": [{"count": 10.0, "accuracy": 0.5, "n": 6}, {"count": 20.0, "accuracy": 0.6, "n": 7}],
            "dropped": ["bin 1 (counts up to 1, 2 concepts): first bin, left out by rule"],
        },
        "cross_validation": VALIDATION,
    },
    "pairs": {
        "accuracy": {
            "seen": estimate(0.5, 0.45, 0.55, 4000),
            "held-out": estimate(0.4, 0.35, 0.45, 2400),
        },
        "penalty": {"all": PENALTY, "held-out": PENALTY, "rare": IMPOSSIBLE},
        "matched": {"all": MATCHED, "held-out": MATCHED, "rare": IMPOSSIBLE},
        "transfer": {"all": TRANSFER, "held-out": TRANSFER, "rare": IMPOSSIBLE},
        "pmi": IMPOSSIBLE,
        "cross_validation": VALIDATION,
    },
    "planted": {
        "style": {"natural": STYLE, "rendition": STYLE},
        "pairs": {
            "held_out_tested": 150,
            "held_out_found_unseen": 150,
            "found_unseen": 241,
            "found_unseen_but_shown_or_named": 0,
            "silent_but_shown": 21,
            "silent_but_shown_found_by_search": 12,
        },
        "counts": {
            "count_text_differences": 0,
            "count_image_differences": 0,
            "largest": 3291,
            "smallest": 3,
            "concepts": 87,
        },
    },
}


def row_of(table, first):
    return next(row for row in table.rows if row[0] == first)


def with_result(path, value):
    changed: Any = copy.deepcopy(RESULTS)
    place = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return changed


def test_numbers_stand_with_their_intervals_and_ends_without_bound_say_so():
    assert show_estimate(estimate(0.3411, 0.3204, 0.3619)) == "0.341 [0.320, 0.362]"
    assert show_estimate(estimate(1.5, None, None), 1) == "1.5 [unbounded, unbounded]"
    assert show_estimate(estimate(-0.0001, -1.0, 1.0), 2) == "0.00 [-1.00, 1.00]"
    assert show_share(estimate(0.5, 0.25, 0.75)) == "50.0 % [25.0, 75.0]"


def test_what_cannot_be_measured_gives_its_reason():
    assert show_estimate(IMPOSSIBLE) == "not measurable: no row is left"
    assert show_estimate(None, reason="no hit") == "not measurable: no hit"


@pytest.mark.parametrize(
    ("low", "high", "side"),
    [
        (0.1, 0.2, "above"),
        (-0.2, -0.1, "below"),
        (0.0, 0.2, "neither"),
        (0.04, 0.2, "neither"),  # shown as [0.0, 0.2]
        (None, -1.0, "below"),
        (None, None, "neither"),
    ],
)
def test_an_interval_that_as_shown_touches_the_value_lies_on_neither_side(low, high, side):
    assert side_of(estimate(0.0, low, high), 0.0, 1) == side


def test_styles_are_listed_natural_first_then_by_ratio():
    found = concept_tables.style_table(RESULTS)
    assert [row[0] for row in found.rows] == ["natural", "sketch", "painting", "cartoon"]
    assert found.rows[0] == (
        "natural",
        "0.500 [0.480, 0.520]",
        "0.500 [0.480, 0.520]",
        "1.00 [0.95, 1.05]",
        "2,175",
    )
    assert row_of(found, "painting")[3] == "1.50 [1.10, unbounded]"
    assert row_of(found, "cartoon")[3] == "not measurable: the control has no hit"


def test_raw_r_stands_beside_binned_r_with_what_was_left_out():
    found = concept_tables.correlation_table(RESULTS)
    assert found.rows[0] == ("each concept", "0.800 [0.700, 0.900]", "87", "every concept")
    assert found.rows[1][1].startswith("not measurable: fewer than three bins")
    assert found.rows[1][3] == "13 concepts in 2 bins"
    assert "bin 1 (counts up to 1, 2 concepts)" in found.caption


def test_models_stand_beside_the_baselines_and_the_ceiling():
    found = concept_tables.prediction_table(RESULTS, "concepts")
    assert [row[0] for row in found.rows] == ["mean", "log count", "log counts + PMI", "ceiling"]
    assert found.rows[0][1:] == ("0.500 [0.400, 0.600]", "0.600 [0.500, 0.700]", "12.0 [10.0, 14.0]")
    assert found.rows[3][1] == "0.900"
    assert "1,234 rows of 80 concepts in 10 folds" in found.caption


def test_gains_are_over_the_baselines_and_not_over_the_model_itself():
    found = concept_tables.gain_table(RESULTS, "pairs")
    assert [row[:2] for row in found.rows] == [
        ("log count", "mean"),
        ("log counts + PMI", "mean"),
        ("log counts + PMI", "log count"),
    ]
    assert found.rows[2][2:] == ("0.010 [-0.010, 0.020]", "0.0100 [-0.0200, 0.0300]")


def test_the_raw_gap_is_the_difference_to_seen_pairs_in_points():
    found = pair_tables.pair_accuracy_table(RESULTS)
    assert found.rows == (
        ("seen", "0.500 [0.450, 0.550]", "–", "4,000"),
        ("held out by design", "0.400 [0.350, 0.450]", "-10.0", "2,400"),
    )


def test_held_out_and_rare_pairs_are_reported_apart():
    unseen, transfer = pair_tables.unseen_table(RESULTS), pair_tables.transfer_table(RESULTS)
    assert row_of(unseen, "held out by design")[1:] == (
        "-1.0 [-4.0, 2.0]",
        "30 of 40",
        "-3.0 [-5.0, -1.0]",
        "-0.200 [-0.300, -0.100]",
        "40 + 60",
    )
    assert row_of(unseen, "unseen by rarity")[1::2] == ("not measurable: no row is left",) * 2 + ("–",)
    assert row_of(transfer, "all unseen")[1:] == (
        "0.410",
        "0.400",
        "1.0 [-1.0, 3.0]",
        "0.50 [0.40, 0.60]",
        "not measurable: no variation",
        "20",
        "2",
    )
    assert row_of(transfer, "unseen by rarity")[1] == "not measurable: no row is left"


def test_what_the_rows_cannot_give_makes_a_table_of_one_row():
    for found in (pair_tables.pmi_table(RESULTS), pair_tables.quintile_table(RESULTS)):
        assert [row[1] for row in found.rows] == ["not measurable: no row is left"]


def test_planted_truth_stands_beside_what_was_needed():
    found = tables.planted_table(RESULTS)
    assert row_of(found, "natural: precision of the classifier")[1:] == (
        "98.70 % [98.50, 98.90] of 12,629",
        "98% or more",
    )
    assert row_of(found, "tested held-out pairs found unseen")[1:] == ("150 of 150", "all")
    assert row_of(found, "pairs called unseen that a caption names or a picture shows")[1:] == (
        "0 of 241",
        "0",
    )
    assert row_of(found, "pairs in no caption but in a picture, found by the search")[1] == "12 of 21"


def test_captions_and_pictures_are_told_apart_where_pairs_occur_together(pair_table):
    rows = pa.table(
        {
            "target": ["cat", "bee", "bee"],
            "partner": ["bee", "cat", "dog"],
            "kind": ["seen", "seen", "held-out"],
        }
    )
    found = pair_tables.cooccurrence_table(rows, pair_table)
    assert found.rows == (("seen", "1", "4", "4", "9", "9"), ("held out by design", "1", "0", "0", "0", "0"))


@pytest.fixture
def pair_table():
    names = {"a": ["bee", "bee", "cat"], "b": ["cat", "dog", "dog"]}
    columns = {
        **names,
        "count_a": [9, 9, 9],
        "count_b": [9, 9, 9],
        "count_text": [4, 0, 7],
        "count_image": [9, 0, 8],
        "expected": [1.0, 1.0, 1.0],
        "status": ["seen", "unseen", "seen"],
        "demoted_by": ["", "", ""],
        "neighbours_checked": [0, 5, 0],
        "neighbour_hits": [0, 0, 0],
        "nearest_similarity": pa.array([0.5, 0.5, 0.5], pa.float32()),
    }
    return PairTable.from_table(pa.table(columns))


def test_splits_say_what_they_are():
    control = Manifest(
        name="control",
        recipe="control",
        uids=("a", "b"),
        parameters={"control_of": "natural-strict", "matched_by": "size"},
        provenance={},
        card=(),
    )
    assert tables.split_table([control]).rows == (
        ("control", "2", "rows in every style, matched with natural-strict by size"),
    )


def test_a_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match="T: row 1 has 1 cells, 2 columns"):
        Table(title="T", caption="", columns=("a", "b"), rows=(("1", "2"), ("1",)))


def test_tables_are_plain_aligned_text_where_there_is_no_terminal(capsys):
    show([Table(title="T", caption="", columns=("a", "long"), rows=(("12345", "1"), ("2", "\x1b[2J")))])
    assert capsys.readouterr().out == "T\n  a      long\n  12345  1\n  2      \\x1b[2J\n\n"


def test_tables_keep_their_cells_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    show([Table(title="T", caption="", columns=("a", "b"), rows=(("0.341 [0.320, 0.362]", "x"),))])
    assert "0.341 [0.320, 0.362]" in terminal.getvalue()


def test_the_style_answer_sorts_styles_by_the_side_of_their_interval():
    said = answers.say_styles(RESULTS)
    assert "worse than its control on sketch (0.25 [0.10, 0.50])." in said
    assert "better than its control on painting (1.50 [1.10, unbounded])." in said
    assert "No difference can be told on natural (1.00 [0.95, 1.05])." in said
    assert "On cartoon the control has no hit" in said


def test_no_difference_is_claimed_where_the_interval_covers_none():
    path = ("pairs", "penalty", "all", "points")
    assert "no difference can be told" in answers.say_penalty(with_result(path, estimate(-1.0, -3.0, 1.0)))
    harder = answers.say_penalty(RESULTS)
    assert "unseen pairs are harder (-3.0 [-5.0, -1.0] points)" in harder
    assert "Matched on both counts, no difference can be told (-1.0 [-4.0, 2.0] points)" in harder


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.2, 0.1, 0.3), "Accuracy rises with log count"),
        ((-0.2, -0.3, -0.1), "Accuracy falls with log count"),
        ((0.1, -0.1, 0.3), "No relation of accuracy and log count can be told"),
    ],
)
def test_the_relation_to_counts_is_named_by_its_interval(interval, words):
    assert answers.say_concepts(with_result(("concepts", "trend", "raw"), estimate(*interval))).startswith(
        words
    )


def test_a_bias_that_cannot_be_told_is_not_called_one():
    assert "cannot be told from no bias" in answers.say_transfer(RESULTS)
    high = with_result(("pairs", "transfer", "all", "bias"), estimate(4.0, 1.0, 7.0))
    assert "too high" in answers.say_transfer(high)


def test_errors_in_what_was_planted_are_called_errors():
    path = ("planted", "pairs", "found_unseen_but_shown_or_named")
    assert "2 of 241 pairs called unseen are named or shown: that is an error" in answers.say_planted(
        with_result(path, 2)
    )
    assert "3 of 150 tested held-out pairs were not found unseen" in answers.say_planted(
        with_result(("planted", "pairs", "held_out_found_unseen"), 147)
    )
    assert "error" not in answers.say_planted(RESULTS)


def test_impossible_effects_are_said_to_be_not_measurable():
    assert answers.say_pmi(RESULTS) == "The effect of PMI is not measurable: no row is left."
    assert "unseen by rarity: not measurable: no row is left" in answers.say_kinds(RESULTS)
