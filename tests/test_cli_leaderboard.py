"""``oddpair leaderboard`` from end to end: one site for the same submissions, whole or as it was."""

import csv
import errno
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.board.boards import make_board
from tests.board.bundles import write_honest
from tests.command import files_in, run

from oddpair import files
from oddpair.commands.leaderboard import write_site
from oddpair.errors import Refusal
from oddpair.eval.board.attestation import Attestation, write_attestation
from oddpair.eval.board.serialise import as_json, read_board
from oddpair.eval.submission.agreement import Agreement

NATURAL = "miniature.natural"


@pytest.fixture(scope="module")
def submissions(tmp_path_factory):
    """Two ranked submissions and one that lacks required tasks."""
    folder = tmp_path_factory.mktemp("leaderboard") / "submissions"
    write_honest(folder, model="first", seed=1, skill=2.0)
    write_honest(folder, handle="lab-b", model="second", seed=2, skill=1.0)
    write_honest(folder, model="third", seed=3, tasks=(NATURAL,))
    return folder


@pytest.fixture(scope="module")
def site(submissions):
    """What the command wrote and said of them."""
    status, said = publish(submissions, submissions.parent / "site")
    assert status == 0
    return submissions.parent / "site", said


def publish(submissions, out, *more):
    return run("leaderboard", "--submissions", submissions, "--out", out, *more, stream="stdout")


def names_in(submissions):
    return sorted(path.name for path in submissions.iterdir())


def forge(submission):
    """Claim a better score than the predictions make."""
    path = submission / "submission.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "score": 0.99}, sort_keys=True, indent=1) + "\n")


def test_the_site_has_a_page_of_each_entry_and_the_downloads_and_nothing_else(submissions, site):
    out, _ = site
    pages = {f"entries/{name}.html" for name in names_in(submissions)}
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert found == {*pages, "index.html", "leaderboard.json", "leaderboard.csv", "pairs.csv"}


def test_pages_are_made_of_the_numbers_in_the_json(submissions, site):
    out, _ = site
    board = read_board((out / "leaderboard.json").read_bytes())
    assert as_json(board) == (out / "leaderboard.json").read_bytes()
    assert [entry.rank and entry.rank.place for entry in board.entries] == [1, 2, None]
    rows = list(csv.DictReader(io.StringIO((out / "leaderboard.csv").read_text())))
    for row, entry in zip(rows, board.entries, strict=True):
        told = json.loads((submissions / entry.id / "submission.json").read_text())
        assert row["id"] == entry.id
        assert row["score"] == ("" if told["score"] is None else str(round(told["score"], 6)))
        page = (out / "entries" / f"{entry.id}.html").read_text()
        assert entry.model in page
        assert f"entries/{entry.id}.html" in (out / "index.html").read_text()
    assert (out / "pairs.csv").read_text().count("\n") == 2


def test_the_ranking_is_told(submissions, site):
    out, said = site
    first, second, third = names_in(submissions)
    lines = [line.split() for line in said.splitlines()]
    assert lines[0] == ["rank", "interval", "band", "score", "(%)", "flags", "entry"]
    assert (lines[1][0], lines[1][-1]) == ("1", first)
    assert (lines[2][0], lines[2][-1]) == ("2", third)
    assert lines[1][1:5] == ["1", "to", "1", "1"]
    score = json.loads((submissions / first / "submission.json").read_text())["score"]
    assert lines[1][5] == f"{100 * score:.1f}"
    assert lines[3][-1] == second
    assert (
        f"{second} is not ranked: no miniature.rendition, miniature.pairs-unseen, miniature.pairs-seen"
        in said
    )
    assert said.splitlines()[-1] == f"site: {out}/index.html"


def test_another_process_locale_and_folder_write_the_same_bytes(submissions, site, tmp_path):
    moved = shutil.copytree(submissions, tmp_path / "elsewhere")
    done = subprocess.run(
        [sys.executable, "-m", "oddpair.cli", "leaderboard", "--submissions", "elsewhere", "--out", "site"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONHASHSEED": "7",
            "LC_ALL": "C",
            "TZ": "Asia/Tokyo",
            "PYTHONPATH": str(source()),
        },
        capture_output=True,
        check=False,
    )
    assert (done.returncode, moved.is_dir()) == (0, True), done.stderr.decode()
    assert files_in(tmp_path / "site") == files_in(site[0])


def source():
    return Path(files.__file__).parents[1]


def test_a_forged_submission_beside_honest_ones_is_one_line_and_the_site_stays(submissions, site, tmp_path):
    everything = shutil.copytree(submissions, tmp_path / "submissions")
    out = shutil.copytree(site[0], tmp_path / "site")
    forge(write_honest(everything, handle="mallory", model="best", seed=9))
    before = files_in(out)
    status, said = publish(everything, out)
    assert status == 2
    assert "mallory__best" in said
    assert "score is 0.99" in said
    assert files_in(out) == before


def test_the_page_of_an_entry_that_is_withdrawn_goes(tmp_path):
    more, fewer = as_json(make_board(4)), as_json(make_board(3))
    out = tmp_path / "site"
    write_site(out, more)
    assert len(list((out / "entries").iterdir())) == 4
    write_site(out, fewer)
    write_site(tmp_path / "fresh", fewer)
    assert files_in(out) == files_in(tmp_path / "fresh")


def test_a_page_that_cannot_be_made_leaves_the_old_site(tmp_path, monkeypatch):
    out = tmp_path / "site"
    write_site(out, as_json(make_board(3)))
    before = files_in(out)

    def fail(board):
        raise Refusal("the index cannot be made: mend it")

    monkeypatch.setattr("oddpair.commands.board_page.render_index", fail)
    with pytest.raises(Refusal, match="the index cannot be made"):
        write_site(out, as_json(make_board(4)))
    assert files_in(out) == before
    assert sorted(path.name for path in out.iterdir()) == [
        "entries", "index.html", "leaderboard.csv", "leaderboard.json", "pairs.csv"
    ]  # fmt: skip


def test_a_full_disk_leaves_the_old_site(tmp_path, monkeypatch):
    out = tmp_path / "site"
    write_site(out, as_json(make_board(3)))
    before, real = files_in(out), os.replace

    def replace(source, target):
        if Path(target).name == "leaderboard.json":
            raise OSError(errno.ENOSPC, "No space left on device", str(source))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Refusal, match=r"no space left to write .*leaderboard\.json"):
        write_site(out, as_json(make_board(4)))
    assert files_in(out) == before


def test_a_file_that_cannot_be_replaced_is_one_line(tmp_path):
    out = tmp_path / "site"
    (out / "index.html").mkdir(parents=True)
    with pytest.raises(Refusal, match=r"index\.html cannot be replaced \(.*\): take it away and run again$"):
        write_site(out, as_json(make_board(1)))


def test_a_folder_of_other_things_is_not_written_to(submissions, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    status, said = publish(submissions, tmp_path)
    assert (status, files_in(tmp_path)) == (2, {"mine.txt": b"mine"})
    assert (
        said
        == f"--out {tmp_path} holds other files and no leaderboard.json: give an empty folder, or that of the site"
    )


def test_a_file_in_place_of_the_site_is_refused(submissions, tmp_path):
    (tmp_path / "site").write_text("mine")
    assert publish(submissions, tmp_path / "site") == (2, f"--out {tmp_path}/site is a file: give a folder")


def test_submissions_that_are_not_there_are_refused(tmp_path):
    status, said = publish(tmp_path / "none", tmp_path / "site")
    assert (status, (tmp_path / "site").exists()) == (2, False)
    assert said == f"--submissions {tmp_path}/none is no folder: give one that holds submissions"


def test_a_board_of_nobody_is_a_site_too(tmp_path):
    (tmp_path / "submissions").mkdir()
    status, _ = publish(tmp_path / "submissions", tmp_path / "site")
    assert status == 0
    assert read_board((tmp_path / "site" / "leaderboard.json").read_bytes()).entries == ()


def test_an_attested_entry_is_reproduced_and_json_is_the_file(submissions, site, tmp_path):
    name = names_in(submissions)[0]
    told = json.loads((submissions / name / "submission.json").read_text())
    write_attestation(
        tmp_path / "attested" / f"{name}.json",
        Attestation(
            entry=name,
            submission=files.sha256(submissions / name / "submission.json"),
            weights=told["weights"],
            seed="0123456789abcdef",
            tasks={
                task["task"]: Agreement(n=1000, agree=0.999, largest_difference=0.0) for task in told["tasks"]
            },
            package={"version": "0.1.0", "commit": None, "dirty": None},
        ),
    )
    out = tmp_path / "site"
    status, said = publish(submissions, out, "--reproductions", tmp_path / "attested", "--json")
    assert (status, said.encode()) == (0, (out / "leaderboard.json").read_bytes())
    levels = {
        entry.id: entry.level
        for entry in read_board((tmp_path / "site" / "leaderboard.json").read_bytes()).entries
    }
    assert levels == {one: "reproduced" if one == name else "recomputed" for one in names_in(submissions)}
    assert {entry.level for entry in read_board((site[0] / "leaderboard.json").read_bytes()).entries} == {
        "recomputed"
    }
