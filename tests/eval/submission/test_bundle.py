"""A submission is plain files of a few names, in a folder as in a commit; everything else is refused unread."""

import os
import re
import socket

import pytest
from tests.board.commits import commit, git, start

from oddpair.errors import Refusal
from oddpair.eval.submission.bundle import read_commit, read_folder
from oddpair.eval.submission.submission import MOST_BYTES, MOST_PREDICTION_BYTES

NAME = "lab-a__tiny__0123abcd"
PLACE = f"benchmarks/submissions/{NAME}"
TOLD, PREDICTION = "submission.json", "predictions/a.x@1.parquet"
FILES = {TOLD: b"{}", PREDICTION: b"PAR1"}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / NAME
    for path, data in FILES.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(data)
    return made


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return start(tmp_path_factory.mktemp("repository"))


def below(files):
    return {f"{PLACE}/{path}": content for path, content in files.items()}


def refusal(read, *arguments):
    with pytest.raises(Refusal) as caught:
        read(*arguments)
    line = str(caught.value)
    assert line.isprintable()
    assert re.search(r": [a-z]", line), line
    return line


def test_a_folder_and_a_commit_of_the_same_files_are_the_same_bundle(folder, repository):
    listed = read_folder(folder)
    committed = read_commit(repository, commit(repository, below(FILES)), PLACE)
    for bundle in (listed, committed):
        assert bundle.name == NAME
        assert list(bundle.files) == [PREDICTION, TOLD]
        assert {path: (file.path, file.size) for path, file in bundle.files.items()} == {
            path: (path, len(data)) for path, data in FILES.items()
        }
        assert {path: file.read() for path, file in bundle.files.items()} == FILES
    assert listed.where == str(folder)
    assert committed.where == PLACE


def test_the_folder_one_stands_in_has_its_own_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert read_folder(folder / "predictions" / "..").name == NAME
    monkeypatch.chdir(folder / "predictions")
    (bundle,) = {read_folder(place).name for place in (folder, folder.parent / NAME)}
    assert bundle == NAME


def link(folder):
    (folder / PREDICTION).rename(folder.parent / "elsewhere")
    (folder / PREDICTION).symlink_to(folder.parent / "elsewhere")


def link_folder(folder):
    (folder / "predictions").rename(folder.parent / "elsewhere")
    (folder / "predictions").symlink_to(folder.parent / "elsewhere")


def link_nowhere(folder):
    (folder / TOLD).unlink()
    (folder / TOLD).symlink_to("/dev/stdin")


def hard_link(folder):
    os.link(folder / TOLD, folder.parent / "twin")


def pipe(folder):
    (folder / TOLD).unlink()
    os.mkfifo(folder / TOLD)


def listen(folder):
    (folder / TOLD).unlink()
    with socket.socket(socket.AF_UNIX) as server:
        # A path of a socket is short.
        before = os.getcwd()  # noqa: PTH109
        os.chdir(folder)
        server.bind(TOLD)
        os.chdir(before)


def grow(path, size):
    def change(folder):
        os.truncate(folder / path, size)

    return change


def write(path):
    def change(folder):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")

    return change


def make_executable(folder):
    (folder / PREDICTION).chmod(0o755)


def set_user(folder):
    (folder / PREDICTION).chmod(0o4644)


def bury(folder):
    (folder / TOLD).unlink()
    (folder / TOLD).mkdir()


def crowd(folder):
    for number in range(300):
        (folder / "predictions" / f"b.x{number}@1.parquet").write_bytes(b"x")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (link, f"{PREDICTION} is a link, needed a plain file"),
        (link_folder, "holds 'predictions', needed"),
        (link_nowhere, f"{TOLD} is a link"),
        (hard_link, f"{TOLD} is a hard link, one of 2"),
        (pipe, f"{TOLD} is a pipe"),
        (listen, f"{TOLD} is a socket"),
        (bury, f"{TOLD} is a folder"),
        (make_executable, f"{PREDICTION} is executable"),
        (set_user, f"{PREDICTION} is executable, or set to run as somebody else"),
        (grow(TOLD, MOST_BYTES + 1), "has 65,537 bytes, at most 65,536 are taken"),
        (grow(PREDICTION, MOST_PREDICTION_BYTES + 1), "has 20,971,521 bytes, at most 20,971,520"),
        (grow(PREDICTION, 1 << 36), "has 68,719,476,736 bytes"),
        (crowd, "holds more than 201 files"),
        (write("setup.py"), "holds 'setup.py', needed"),
        (write(".git/config"), "holds '.git', needed"),
        (write(".gitattributes"), "holds '.gitattributes', needed"),
        (write("Submission.json"), "holds 'Submission.json', needed"),
        (write("predictions/A.x@1.parquet"), "holds 'predictions/A.x@1.parquet', needed"),
        (write("predictions/a.x@01.parquet"), "holds 'predictions/a.x@01.parquet', needed"),
        (write("predictions/a.x@1.parquet.pkl"), "holds 'predictions/a.x@1.parquet.pkl', needed"),
        (write("predictions/..@1.parquet"), "holds 'predictions/..@1.parquet', needed"),
        (write("predictions/a/a.x@1.parquet"), "holds 'predictions/a', needed"),
        (write("predictions/\u202ea.x@1.parquet"), "holds 'predictions/?a.x@1.parquet', needed"),
        (write("a\nb\x1b[2J"), "holds 'a?b??2J', needed"),
    ],
)  # fmt: skip
def test_a_folder_of_anything_else_is_refused(folder, change, told):
    change(folder)
    line = refusal(read_folder, folder)
    assert line.startswith(str(folder))
    assert told in line


def test_a_device_is_refused(folder):
    (folder / TOLD).unlink()
    try:
        os.mknod(folder / TOLD, 0o20644, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make a device")
    assert f"{TOLD} is a device" in refusal(read_folder, folder)


def test_a_link_to_a_submission_is_none(folder, tmp_path):
    other = tmp_path / "lab-b__tiny__0123abcd"
    other.symlink_to(folder)
    assert "is a link, needed a folder: give that of the submission itself" in refusal(read_folder, other)
    assert "is a file, needed a folder" in refusal(read_folder, hidden(tmp_path))
    assert "does not exist" in refusal(read_folder, tmp_path / "lab-c__tiny__0123abcd")


def hidden(tmp_path):
    path = tmp_path / "lab-d__tiny__0123abcd"
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    "name", ["tiny", "lab-a__tiny", "lab-a__tiny__0123ABCD", "a\nb__c__0123abcd", "__tiny__0123abcd"]
)
def test_a_folder_of_another_name_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    assert "is not named HANDLE__MODEL__WEIGHTS" in refusal(read_folder, tmp_path / name)


@pytest.mark.parametrize("swap", [link, hard_link, make_executable, grow(PREDICTION, 3), grow(PREDICTION, 9)])
def test_a_file_that_changes_between_the_look_and_the_reading_is_refused(folder, swap):
    bundle = read_folder(folder)
    swap(folder)
    lines = [refusal(file.read) for path, file in bundle.files.items() if differs(file, path)]
    assert lines
    assert all("changed while it was read" in line or "cannot be read" in line for line in lines)


def differs(file, path):
    try:
        return file.read() != FILES[path]
    except Refusal:
        return True


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({PREDICTION: ("120000", b"/etc/passwd")}, f"{PREDICTION} is a link, needed a plain file of mode"),
        ({PREDICTION: ("100755", b"x")}, f"{PREDICTION} is executable"),
        ({PREDICTION: ("160000", "1" * 40)}, f"{PREDICTION} is a submodule"),
        ({"predictions": ("160000", "1" * 40)}, "holds 'predictions', needed"),
        ({"predictions": ("120000", b"..")}, "holds 'predictions', needed"),
        ({f"{TOLD}/x": b"x"}, f"{TOLD} is a folder"),
        ({f"{PREDICTION}/x": b"x"}, f"{PREDICTION} is a folder"),
        ({"setup.py": b"x"}, "holds 'setup.py', needed"),
        ({".gitmodules": b"x"}, "holds '.gitmodules', needed"),
        ({"SUBMISSION.JSON": b"x"}, "holds 'SUBMISSION.JSON', needed"),
        ({"a\nb\x1b": b"x"}, "holds 'a?b?', needed"),
        ({TOLD: b"x" * (MOST_BYTES + 1)}, "has 65,537 bytes, at most 65,536 are taken"),
        ({PREDICTION: b"x" * (MOST_PREDICTION_BYTES + 1)}, "has 20,971,521 bytes, at most 20,971,520"),
        ({f"predictions/b.x{n}@1.parquet": ("100644", "e" * 40) for n in range(1)}, "lists a file that is not there"),
    ],
)  # fmt: skip
def test_a_commit_of_anything_else_is_refused(repository, files, told):
    beside = {
        path: data
        for path, data in FILES.items()
        if not any(path.startswith(f"{new}/") or new.startswith(f"{path}/") for new in files)
    }
    assert told in refusal(read_commit, repository, commit(repository, below(beside | files)), PLACE)


def test_what_a_commit_has_not_is_told(repository):
    sha = commit(repository, {"README.md": b"x"})
    assert f"{PLACE} is no folder of the commit" in refusal(read_commit, repository, sha, PLACE)
    assert "has no commit 'main'" in refusal(read_commit, repository, "main", PLACE)
    assert "has no commit '--output?x'" in refusal(read_commit, repository, "--output=x", PLACE)
    above = "benchmarks/submissions/.."
    assert "is not named HANDLE__MODEL__WEIGHTS" in refusal(read_commit, repository, sha, above)


def test_variables_that_name_another_repository_are_not_heard(repository, tmp_path, monkeypatch):
    sha = commit(repository, below(FILES))
    other = start(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other / ".git" / "objects"))
    assert read_commit(repository, sha, PLACE).files[TOLD].read() == b"{}"


def test_a_hash_stands_for_its_own_bytes_whatever_is_said_to_replace_it(repository):
    sha = commit(repository, below(FILES))
    blob, other = (git(repository, "hash-object", "-w", "--stdin", data=data) for data in (b"{}", b"[]"))
    git(repository, "replace", blob, other)
    try:
        assert read_commit(repository, sha, PLACE).files[TOLD].read() == b"{}"
    finally:
        git(repository, "replace", "-d", blob)


def test_nothing_is_checked_out_and_no_hook_runs(tmp_path):
    repository = start(tmp_path / "one")
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        path = repository / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        path.chmod(0o755)
    sha = commit(repository, below(FILES))
    read_commit(repository, sha, PLACE).files[TOLD].read()
    assert not (tmp_path / "ran").exists()
    assert [path.name for path in repository.iterdir()] == [".git"]
