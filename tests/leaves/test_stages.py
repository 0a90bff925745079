import json
import signal
import subprocess
import sys

import pytest

from oddpair import __version__, stages
from oddpair.errors import Refusal
from oddpair.files import write_text
from oddpair.stages import begin, finish, verify


def make(folder, inputs, files):
    assert begin(folder, inputs)
    for name, text in files.items():
        write_text(folder / name, text)
    finish(folder)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "corpus"
    make(folder, {"rows": 22000, "seed": 1}, {"a.txt": "aa", "deep/b.txt": "b"})
    return folder


def test_a_new_stage_has_work_and_a_finished_one_has_none(tmp_path):
    folder = tmp_path / "deep" / "corpus"
    assert begin(folder, {"rows": 3})
    assert json.loads((folder / "inputs.json").read_text()) == {"oddpair": __version__, "rows": 3}
    write_text(folder / "a.txt", "a")
    finish(folder)
    assert not begin(folder, {"rows": 3})
    assert (folder / "a.txt").read_text() == "a"


def test_an_interrupted_stage_has_work_and_keeps_its_files(tmp_path):
    assert begin(tmp_path / "corpus", {"rows": 3})
    write_text(tmp_path / "corpus" / "a.txt", "a")
    assert begin(tmp_path / "corpus", {"rows": 3})
    assert (tmp_path / "corpus" / "a.txt").read_text() == "a"


def test_the_record_names_size_and_digest_of_every_file_and_is_the_same_each_time(folder):
    record = (folder / "done.json").read_bytes()
    assert json.loads(record) == {
        "a.txt": {
            "bytes": 2,
            "sha256": "961b6dd3ede3cb8ecbaacbd68de040cd78eb2ed5889130cceb4c49268ea4d506",
        },
        "deep/b.txt": {
            "bytes": 1,
            "sha256": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
        },
    }
    (folder / ".lock").touch()
    (folder / ".hidden").mkdir()
    write_text(folder / ".hidden" / "c", "c")
    finish(folder)
    assert (folder / "done.json").read_bytes() == record


def test_inputs_are_compared_as_json_whatever_their_order_and_kind_of_sequence(tmp_path):
    make(tmp_path / "a", {"b": (1, 2), "a": {"y": 1.0, "x": None}}, {"f": "f"})
    assert not begin(tmp_path / "a", {"a": {"x": None, "y": 1.0}, "b": [1, 2]})


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        ({"rows": 2000, "seed": 1}, "was made with rows=22000, now rows=2000: "),
        ({"rows": 2000, "seed": 2}, "was made with rows=22000, seed=1, now rows=2000, seed=2: "),
        ({"seed": 1}, "was made with rows=22000, now no rows: "),
        ({"rows": 22000, "seed": 1, "style": {"k": "x"}}, 'was made with no style.k, now style.k="x": '),
        ({"rows": 22000, "seed": "1"}, 'was made with seed=1, now seed="1": '),
    ],
)
def test_changed_inputs_are_refused_by_name_with_the_remedy(folder, inputs, line):
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with pytest.raises(Refusal) as caught:
        begin(folder, inputs)
    assert str(caught.value) == (
        f"{folder} {line}choose another --out, or delete the folder to make it again"
    )
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_long_values_that_differ_only_at_their_end_are_refused_and_shown_short(tmp_path):
    make(tmp_path / "a", {"names": "x" * 500 + "y"}, {"f": "f"})
    with pytest.raises(Refusal) as caught:
        begin(tmp_path / "a", {"names": "x" * 500 + "z"})
    assert len(str(caught.value)) < len(str(tmp_path)) + 300


def test_another_version_of_oddpair_is_a_changed_input(folder, monkeypatch):
    monkeypatch.setattr(stages, "__version__", "9.0")
    with pytest.raises(Refusal, match=rf'was made with oddpair="{__version__}", now oddpair="9\.0": choose'):
        begin(folder, {"rows": 22000, "seed": 1})


def test_a_stage_that_made_nothing_may_be_begun_with_other_inputs(tmp_path):
    assert begin(tmp_path / "a", {"rows": 1})
    assert begin(tmp_path / "a", {"rows": 2})
    make(tmp_path / "a", {"rows": 2}, {"f": "f"})
    assert not begin(tmp_path / "a", {"rows": 2})


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_lost_and_truncated_files_are_work_again_and_sound_ones_are_kept(folder, damage):
    if damage == "missing":
        (folder / "deep" / "b.txt").unlink()
    else:
        (folder / "deep" / "b.txt").write_text("")
    kept = (folder / "a.txt").stat()
    assert begin(folder, {"rows": 22000, "seed": 1})
    assert not (folder / "deep" / "b.txt").exists()
    assert not (folder / "done.json").exists()
    assert (folder / "a.txt").stat().st_mtime_ns == kept.st_mtime_ns
    write_text(folder / "deep" / "b.txt", "b")
    finish(folder)
    assert not begin(folder, {"rows": 22000, "seed": 1})


def test_verify_finds_a_change_that_keeps_the_size(folder):
    verify(folder)
    (folder / "a.txt").write_text("ab")
    assert not begin(folder, {"rows": 22000, "seed": 1})
    with pytest.raises(Refusal, match=r"a\.txt has changed since it was made: delete it and run again"):
        verify(folder)


def test_verify_refuses_a_stage_that_is_not_complete(folder):
    (folder / "done.json").unlink()
    with pytest.raises(Refusal, match=r"done\.json does not exist"):
        verify(folder)


def test_files_of_unknown_origin_are_refused_and_kept(tmp_path):
    write_text(tmp_path / "a" / "deep" / "thesis.txt", "mine")
    with pytest.raises(
        Refusal,
        match=r"thesis\.txt but no inputs\.json that says what it was made from: choose an empty folder$",
    ):
        begin(tmp_path / "a", {"rows": 1})
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["deep", "thesis.txt"]


def test_an_abandoned_stage_that_made_nothing_leaves_nothing(tmp_path):
    assert begin(tmp_path / "a", {"rows": 1})
    stages.abandon(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    stages.abandon(tmp_path / "a")


def test_an_abandoned_stage_keeps_its_lock_and_files_that_it_made_with_their_record(tmp_path):
    assert begin(tmp_path / "a", {"rows": 1})
    (tmp_path / "a" / ".lock").touch()
    stages.abandon(tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == [".lock"]
    make(tmp_path / "b", {"rows": 1}, {"f": "f"})
    (tmp_path / "b" / "done.json").unlink()
    stages.abandon(tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["f", "inputs.json"]


def test_empty_folders_and_hidden_files_are_no_obstacle(tmp_path):
    (tmp_path / "a" / "img_emb").mkdir(parents=True)
    (tmp_path / "a" / ".lock").touch()
    assert begin(tmp_path / "a", {"rows": 1})


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("inputs.json", "{", r"inputs\.json is not valid JSON"),
        ("inputs.json", "[]", r"inputs\.json is not a JSON object: delete its folder"),
        ("done.json", '{"a.txt": 3}', r"done\.json is not a list of files: delete it and run again"),
        (
            "done.json",
            '{"a.txt": {"bytes": 2}}',
            r"done\.json is not a list of files: delete it and run again",
        ),
    ],
)
def test_damaged_records_are_refused(folder, name, content, line):
    (folder / name).write_text(content)
    with pytest.raises(Refusal, match=line):
        begin(folder, {"rows": 22000, "seed": 1})


def test_only_a_begun_stage_with_files_can_be_finished(tmp_path):
    with pytest.raises(ValueError, match=r"a was not begun, needed inputs\.json in it"):
        finish(tmp_path / "a")
    begin(tmp_path / "a", {})
    with pytest.raises(ValueError, match="a holds no file, a complete stage makes one or more"):
        finish(tmp_path / "a")
    with pytest.raises(ValueError, match="not JSON compliant"):
        begin(tmp_path / "b", {"share": float("nan")})


_STAGE = """
import os, signal, sys
from pathlib import Path
from oddpair.files import locked, write_text
from oddpair.stages import begin, finish
folder, calls_left = Path(sys.argv[1]), int(sys.argv[2])
def counted(call):
    def count(*arguments):
        global calls_left
        calls_left -= 1
        if not calls_left:
            signal.raise_signal(signal.SIGKILL)
        return call(*arguments)
    return count
os.fsync, os.replace = counted(os.fsync), counted(os.replace)
with locked(folder):
    if begin(folder, {"rows": 2}):
        for name in ("a", "b"):
            if not (folder / name).exists():
                write_text(folder / name, name * 1000)
        finish(folder)
"""
# inputs.json, a, b and done.json are each forced to disk, renamed, and their folder forced to disk.
_CALLS = 4 * 3


def test_a_stage_killed_before_any_step_of_any_write_ends_in_the_same_bytes_when_it_is_run_again(tmp_path):
    def run(folder, calls):
        return subprocess.run([sys.executable, "-c", _STAGE, folder, str(calls)]).returncode

    def contents(folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    assert run(tmp_path / "whole", 0) == 0
    assert sorted(contents(tmp_path / "whole")) == [".lock", "a", "b", "done.json", "inputs.json"]
    for calls in range(1, _CALLS + 1):
        folder = tmp_path / str(calls)
        assert run(folder, calls) == -signal.SIGKILL
        assert run(folder, 0) == 0
        assert contents(folder) == contents(tmp_path / "whole")
    assert run(tmp_path / "more", _CALLS + 1) == 0


def test_a_stage_that_is_made_is_done_and_one_that_refuses_leaves_no_trace(tmp_path):
    begin(tmp_path / "made", {"rows": 1})
    with stages.make(tmp_path / "made"):
        write_text(tmp_path / "made" / "rows.txt", "1")
    assert not begin(tmp_path / "made", {"rows": 1})
    begin(tmp_path / "refused", {"rows": 1})
    with pytest.raises(Refusal, match="no rows"), stages.make(tmp_path / "refused"):
        raise Refusal("no rows")
    assert not (tmp_path / "refused").exists()


def test_what_a_stage_was_made_from_is_told_of_a_complete_one_only(folder, tmp_path):
    assert stages.made_from(folder) == {"oddpair": __version__, "rows": 22000, "seed": 1}
    assert stages.made_from(tmp_path / "none") is None
    begin(tmp_path / "begun", {"rows": 1})
    assert stages.made_from(tmp_path / "begun") is None
    (folder / "a.txt").write_text("longer")
    assert stages.made_from(folder) is None
    assert (folder / "done.json").is_file()


def test_of_many_changes_three_are_told_and_the_others_counted(tmp_path):
    begin(tmp_path, {"files": {f"{shard:05d}.tar": shard for shard in range(2000)}})
    (tmp_path / "part").write_text("made")
    with pytest.raises(Refusal, match=r"files\.00003\.tar=0, and 1,997 more differ: choose") as caught:
        begin(tmp_path, {"files": {f"{shard:05d}.tar": 0 for shard in range(2001)}})
    assert len(str(caught.value)) < 400
