"""What was said is on disk, survives a cut, and can be taken back."""

import errno
import os

import pytest

from oddpair.errors import Refusal
from oddpair.splits.labelling.journal import open_journal
from oddpair.splits.labelling.labels import Kind, read_looks

BOTH: tuple[Kind, ...] = ("first", "again")


def now(path):
    return {(look.uid, look.kind): look.label for look in read_looks(path)}


def test_what_is_said_is_in_the_file_at_once_and_forced_to_disk(tmp_path, monkeypatch):
    path = tmp_path / "ann" / "labels.jsonl"
    forced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: forced.append(now(path)))
    with open_journal(path, "ann") as journal:
        assert journal.say([("a", "first", "natural"), ("b", "first", "rendition")]) == 1
        assert forced[-1] == {("a", "first"): "natural", ("b", "first"): "rendition"}
        assert journal.say([("a", "first", "ambiguous")]) == 2
        assert forced[-1][("a", "first")] == "ambiguous"


def test_undo_takes_back_whole_steps_from_the_last_to_the_first_also_of_earlier_runs(tmp_path):
    path = tmp_path / "labels.jsonl"
    with open_journal(path, "ann") as journal:
        journal.say([("a", "first", "x")])
        journal.say([("b", "first", "y"), ("c", "first", "y")])
    with open_journal(path, "ann") as journal:
        assert [look.uid for look in journal.undo(BOTH)] == ["b", "c"]
        assert now(path) == {("a", "first"): "x"}
        # The number of a step is never given twice.
        assert journal.say([("d", "first", "z")]) == 4
        assert [look.uid for look in journal.undo(BOTH)] == ["d"]
        assert [look.uid for look in journal.undo(BOTH)] == ["a"]
        assert journal.undo(BOTH) == []
    assert now(path) == {}


def test_undo_leaves_other_occasions_alone(tmp_path):
    path = tmp_path / "labels.jsonl"
    with open_journal(path, "ann") as journal:
        journal.say([("a", "review", "x")])
        journal.say([("a", "first", "y")])
        assert [look.kind for look in journal.undo({"review"})] == ["review"]
    assert now(path) == {("a", "first"): "y"}


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_line_that_was_cut_anywhere_is_removed_and_the_next_one_is_whole(tmp_path, cut):
    path = tmp_path / "labels.jsonl"
    with open_journal(path, "ann") as journal:
        journal.say([("a", "first", "x")])
        whole = path.stat().st_size
        journal.say([("b", "first", "y")])
    with path.open("r+b") as file:
        file.truncate(whole + cut)
    with open_journal(path, "ann") as journal:
        assert path.stat().st_size == whole
        journal.say([("c", "first", "z")])
    assert now(path) == {("a", "first"): "x", ("c", "first"): "z"}


def test_a_full_disk_is_refused_leaves_no_half_line_and_what_was_said_before(tmp_path, monkeypatch):
    path = tmp_path / "labels.jsonl"
    real = os.write

    def write_a_little(descriptor, data):
        if len(data) < 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:30])

    with open_journal(path, "ann") as journal:
        journal.say([("a", "first", "x")])
        before = path.read_bytes()
        monkeypatch.setattr(os, "write", write_a_little)
        with pytest.raises(
            Refusal, match=r"could not be written \(No space left on device\): free some space"
        ):
            journal.say([("b", "first", "y")])
        monkeypatch.setattr(os, "write", real)
        assert path.read_bytes() == before
        assert ("b", "first") not in journal.looks
        journal.say([("b", "first", "y")])
    assert now(path) == {("a", "first"): "x", ("b", "first"): "y"}


def test_the_file_of_another_person_is_refused(tmp_path):
    path = tmp_path / "labels.jsonl"
    with open_journal(path, "ann") as journal:
        journal.say([("a", "first", "x")])
    with pytest.raises(Refusal, match="holds labels by 'ann', not by 'bob'"), open_journal(path, "bob"):
        pass


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(Refusal, match="cannot be opened to write"),
        open_journal(tmp_path / "file" / "l", "ann"),
    ):
        pass
