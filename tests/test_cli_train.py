"""``oddpair train`` before and after the trainer runs: what it is told, and what is refused; interop runs the trainer."""

import signal

import open_clip_train.data as theirs  # type: ignore[import-untyped]
import open_clip_train.main  # type: ignore[import-untyped]
import pytest
from tests.command import run

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.subset import write_subset
from oddpair.splits.exports.train_filter import KeepSplit
from oddpair.splits.manifest import Manifest, write_manifest


@pytest.fixture
def split(drawn, tmp_path):
    uids = sorted(open_corpus(drawn).metadata()["uid"].to_pylist())[:7]
    write_manifest(tmp_path / "seven", Manifest(name="seven", recipe="hand", uids=uids))
    write_subset(tmp_path / "seven.npy", uids, [2] * 7)
    return tmp_path / "seven"


@pytest.fixture
def told(monkeypatch):
    """What the trainer is told, and the step that it would build its pipeline with."""
    found = {}

    def stand_in(arguments):
        found["arguments"] = arguments
        found["step"] = theirs.tarfile_to_samples_nothrow

    monkeypatch.setattr(open_clip_train.main, "main", stand_in)
    return found


def shards(drawn):
    return f"{drawn}/{{00000..00002}}.tar"


def test_the_trainer_is_told_the_rows_of_the_split_and_its_own_reader_is_given_back(drawn, split, told):
    before = theirs.tarfile_to_samples_nothrow
    status, said = run("train", split, "--", "--train-data", shards(drawn), "--batch-size", 4)
    assert status == 0
    assert "training on 7 rows" in said
    assert told["arguments"] == [
        "--train-data",
        shards(drawn),
        "--batch-size",
        "4",
        "--train-num-samples",
        "7",
    ]
    step = told["step"]
    assert isinstance(step, KeepSplit)
    assert (step.shards, step.at_least, step.resampled) == (3, 4, False)
    assert theirs.tarfile_to_samples_nothrow is before


def test_repeats_of_a_subset_file_count_and_a_number_that_is_given_stays(drawn, split, told):
    assert run("train", f"{split}.npy", "--", "--train-data", shards(drawn))[0] == 0
    assert told["arguments"][-2:] == ["--train-num-samples", "14"]
    assert run("train", split, "--", "--train-data", shards(drawn), "--train-num-samples=3")[0] == 0
    assert told["arguments"] == ["--train-data", shards(drawn), "--train-num-samples=3"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--epochs", "1"), "--train-data is not among the arguments of the trainer"),
        (("--train-data", "list.csv"), "--train-data list.csv is no list of .tar shards"),
        (("--train-data", "a.tar", "--dataset-type", "csv"), "is no list of .tar shards"),
        (("--train-data", "x"), "--train-data x is no list of .tar shards that open_clip can read"),
        (
            ("--train-data", "{0..1.tar"),
            "--train-data {0..1.tar is no list of .tar shards that open_clip can",
        ),
    ],
)
def test_data_that_would_not_be_filtered_is_refused(split, told, arguments, expected):
    status, line = run("train", split, "--", *arguments)
    assert status == 2
    assert expected in line
    assert len(line.splitlines()) == 1
    assert not told


def test_what_a_process_that_loads_data_refuses_is_one_line(drawn, split, monkeypatch):
    def stand_in(arguments):
        raise Refusal(
            "Caught Refusal in DataLoader worker process 0.\nTraceback:\noddpair.errors.Refusal: 3 shards: why\n"
        )

    monkeypatch.setattr(open_clip_train.main, "main", stand_in)
    assert run("train", split, "--", "--train-data", shards(drawn)) == (2, "3 shards: why")


def test_an_interrupted_training_ends_with_130_and_says_how_to_go_on(drawn, split, monkeypatch):
    def stand_in(arguments):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(open_clip_train.main, "main", stand_in)
    before = signal.getsignal(signal.SIGTERM)
    status, said = run("train", split, "--", "--train-data", shards(drawn))
    assert status == 130
    assert "interrupted: open_clip's --resume latest goes on" in said
    assert signal.getsignal(signal.SIGTERM) is before
