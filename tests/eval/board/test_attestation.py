"""Attestations: what is written is read, what is none is refused, and only the very submission counts as reproduced."""

import json
from dataclasses import replace

import pytest
from tests.eval.board.planted_entries import answer, make_entry, make_key, name_hash

from oddpair.errors import Refusal
from oddpair.eval.board.attestation import Attestation, read_attestation, reproduced, write_attestation
from oddpair.eval.submission.agreement import Agreement

KEY = make_key()
ENTRY = make_entry("tiny", [answer(KEY, KEY.table["target"].to_numpy())])
NAME = ENTRY.submission.name
GOOD = Agreement(n=100, agree=0.99, largest_difference=1e-6)


def attestation(**changes):
    told = {
        "entry": NAME,
        "submission": ENTRY.sha256,
        "weights": ENTRY.submission.weights,
        "seed": "0123456789abcdef",
        "tasks": {KEY.task: GOOD},
        "package": {"version": "0.1.0", "commit": "a1" * 20, "dirty": False},
    }
    return Attestation(**told | changes)


def write(folder, **changes):
    path = folder / f"{NAME}.json"
    write_attestation(path, attestation(**changes))
    return path


def test_what_is_written_is_read_back(tmp_path):
    assert read_attestation(write(tmp_path)) == attestation()


def test_the_submission_that_was_run_is_reproduced(tmp_path):
    write(tmp_path)
    assert reproduced(tmp_path, [ENTRY]) == {NAME}


def test_nothing_is_reproduced_where_there_is_no_folder(tmp_path):
    assert reproduced(tmp_path / "none", [ENTRY]) == frozenset()


@pytest.mark.parametrize(
    "changes",
    [
        {"submission": name_hash("another")},
        {"entry": "lab__other__01234567"},
        {"tasks": {}},
        {"tasks": {KEY.task: replace(GOOD, n=99)}},
        {"tasks": {KEY.task: replace(GOOD, agree=0.9899)}},
        {"tasks": {"world.other": GOOD}},
        {"tasks": {KEY.task: GOOD, "world.other": replace(GOOD, agree=0.5)}},
    ],
    ids=[
        "changed since",
        "another entry",
        "no task",
        "too few",
        "too different",
        "another task",
        "one of two",
    ],
)
def test_what_does_not_hold_for_this_very_submission_counts_for_nothing(tmp_path, changes):
    write(tmp_path, **changes)
    assert reproduced(tmp_path, [ENTRY]) == frozenset()


def test_an_entry_that_is_gone_is_passed_over(tmp_path):
    write(tmp_path)
    assert reproduced(tmp_path, []) == frozenset()


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("seed"),
        lambda told: told.update(more=1),
        lambda told: told.update(format=2),
        lambda told: told.update(entry=1),
        lambda told: told.update(tasks=[]),
        lambda told: told["tasks"].update({KEY.task: {"n": 100}}),
        lambda told: told["tasks"][KEY.task].update(agree=1.5),
        lambda told: told["tasks"][KEY.task].update(agree=True),
        lambda told: told["tasks"][KEY.task].update(n=True),
        lambda told: told["tasks"][KEY.task].update(largest_difference="0"),
    ],
    ids=["no seed", "a key more", "format", "entry", "tasks", "no share", "share", "true", "n", "text"],
)
def test_what_is_no_attestation_is_refused_in_one_line(tmp_path, change):
    path = write(tmp_path)
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    with pytest.raises(Refusal, match=r"\.json is no attestation \(.*: run oddpair reproduce again$"):
        read_attestation(path)
