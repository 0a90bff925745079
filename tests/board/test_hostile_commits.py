"""Hostile pull requests, end to end, and what the process itself says and returns."""

import hashlib
import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from tests.board import parquet_lies as lies
from tests.board.bundles import write_honest
from tests.board.commits import commit, files_below, start
from tests.command import run

from oddpair.eval.submission.changes import SUBMISSIONS
from oddpair.eval.submission.submission import SUBMISSION_FILE

TASK = "miniature.sketch"
PREDICTION = f"predictions/{TASK}@1.parquet"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A repository with an honest entry, the commit of it, its files, and those of an honest new entry."""
    folder = start(tmp_path_factory.mktemp("repository"))
    held, new = (
        write_honest(tmp_path_factory.mktemp("made"), handle=handle, tasks=(TASK,))
        for handle in ("held", "new")
    )
    files = {"README.md": b"read me", "benchmarks/suite.yaml": b"x", **files_below(held, place(held.name))}
    return folder, commit(folder, files), files, files_below(new, place(new.name)), held.name, new.name


def place(name):
    return f"{SUBMISSIONS}/{name}"


def validate(asked, files):
    repository, base = asked[:2]
    head = commit(repository, files, base)
    status, said = run("validate", "--repository", repository, "--base", base, "--head", head)
    assert [path.name for path in repository.iterdir()] == [".git"]
    return status, said


def test_an_honest_pull_request_holds_and_leaves_nothing_behind(asked):
    status, said = validate(asked, asked[2] | asked[3])
    assert status == 0
    assert said.splitlines()[-1] == "nothing is refused"
    assert asked[5] in said


def test_the_author_may_put_an_entry_right(asked):
    told = json.loads(asked[2][f"{place(asked[4])}/{SUBMISSION_FILE}"])
    mended = json.dumps({**told, "architecture": "ViT-S-16"}, sort_keys=True, indent=1).encode()
    assert validate(asked, asked[2] | {f"{place(asked[4])}/{SUBMISSION_FILE}": mended})[0] == 0


def rewritten(files, name, **changes):
    path = f"{place(name)}/{SUBMISSION_FILE}"
    return files | {path: json.dumps({**json.loads(files[path]), **changes}).encode()}


CASES = {
    "other-file": (lambda held, new, old, own: held | new | {"README.md": b"x"}, "'README.md' is changed"),
    "other-file-in-the-same-room": (
        lambda held, new, old, own: held | new | {"benchmarks/suite.yaml": b""},
        "'benchmarks/suite.yaml' is changed",
    ),
    "workflow": (
        lambda held, new, old, own: held | new | {".github/workflows/x.yml": b"on: push"},
        "'.github' is changed",
    ),
    "answer-key": (
        lambda held, new, old, own: held | new | {"benchmarks/keys/miniature-v1/sketch.json": b"{}"},
        "'benchmarks/keys' is changed",
    ),
    "two-entries": (
        lambda held, new, old, own: held | new | {path.replace("new__", "also__"): data for path, data in new.items()},
        "2 entries of benchmarks/submissions",
    ),
    "anothers-entry-too": (
        lambda held, new, old, own: rewritten(held, old, variants_tried=50) | new,
        "2 entries of benchmarks/submissions",
    ),
    "anothers-file-deleted-too": (
        lambda held, new, old, own: {path: data for path, data in held.items() if not path.endswith("t")} | new,
        "2 entries of benchmarks/submissions",
    ),
    "anothers-entry-renamed": (
        lambda held, new, old, own: {path.replace("held__", "mine__"): data for path, data in held.items()},
        "2 entries of benchmarks/submissions",
    ),
    "anothers-entry-deleted": (
        lambda held, new, old, own: {path: data for path, data in held.items() if old not in path},
        "is taken away",
    ),
    "anothers-score-lowered": (
        lambda held, new, old, own: rewritten(held, old, score=0.0),
        "score is 0, its tasks make none",
    ),
    "same-name-in-capitals": (
        lambda held, new, old, own: held | {path.replace("held__", "HELD__"): data for path, data in held.items()},
        "only in capitals",
    ),
    "nothing": (lambda held, new, old, own: held, "changes nothing below"),
    "submodule": (
        lambda held, new, old, own: held | new | {f"{place(own)}/predictions/a.b@1.parquet": ("160000", "1" * 40)},
        "is a submodule",
    ),
    "submodule-for-the-entry": (
        lambda held, new, old, own: held | {place(own): ("160000", "1" * 40)},
        "no folder any more",
    ),
    "link": (
        lambda held, new, old, own: held | new | {f"{place(own)}/{PREDICTION}": ("120000", b"/etc/passwd")},
        "is a link",
    ),
    "link-for-the-entry": (
        lambda held, new, old, own: held | {place(own): ("120000", old.encode())},
        "no folder any more",
    ),
    "executable": (
        lambda held, new, old, own: held
        | new
        | {f"{place(own)}/{PREDICTION}": ("100755", new[f"{place(own)}/{PREDICTION}"])},
        "is executable",
    ),
    "extra-file": (
        lambda held, new, old, own: held | new | {f"{place(own)}/conftest.py": b"import os"},
        "holds 'conftest.py'",
    ),
    "name-that-hides": (
        lambda held, new, old, own: held | new | {f"{place(own)}/\u202e\x1b[2J\n": b""},
        "holds '???2J?'",
    ),
    "oversize-json": (
        lambda held, new, old, own: held | new | {f"{place(own)}/{SUBMISSION_FILE}": b" " * (1 << 17)},
        "at most 65,536 are taken",
    ),
    "forged-claim": (
        lambda held, new, old, own: rewritten(held | new, own, score=1.0),
        "score is 1, its tasks make none",
    ),
    "other-weights": (
        lambda held, new, old, own: rewritten(held | new, own, weights="0" * 64),
        "says that the folder is",
    ),
    "bomb": (
        lambda held, new, old, own: held | new | {f"{place(own)}/{PREDICTION}": b"PAR1" * 2_000_000},
        "is not the file whose sha256",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "fragment"), CASES.values(), ids=CASES)
def test_a_hostile_pull_request_is_one_line(asked, change, fragment):
    status, line = validate(asked, change(*asked[2:]))
    assert status == 2
    assert fragment in line
    assert line.isprintable()
    assert ": " in line


@pytest.mark.parametrize("way", ["validate", "leaderboard"])
def test_the_process_says_one_line_and_returns_2(tmp_path, way):
    folder = write_honest(tmp_path / "submissions", tasks=(TASK,))
    path = folder / PREDICTION
    table = pq.read_table(path)
    path.write_bytes(lies.change_footer(lies.repeat(table, "style", "s" * 3_000_000), lies.understate))
    told = json.loads((folder / SUBMISSION_FILE).read_text())
    told["tasks"][0]["records"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / SUBMISSION_FILE).write_text(json.dumps(told))
    arguments = {
        "validate": [folder],
        "leaderboard": ["--submissions", folder.parent, "--out", tmp_path / "site"],
    }[way]
    done = subprocess.run(
        [sys.executable, "-c", "from oddpair.cli import main; main()", way, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"oddpair: {path}: it needs more than ")
    assert not (tmp_path / "site").exists()
