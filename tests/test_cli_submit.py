"""``oddpair submit``: from scores to a folder that the validator takes, or to a list of what stands in the way."""

import json
import os
import shutil
import subprocess

import pytest
import yaml
from tests.command import files_in, run
from tests.eval.submission.scores import SLUG, declaration_of, rounded, write_scores

from oddpair import files
from oddpair.eval.submission.schema import parse_submission
from oddpair.eval.submission.submission import SUBMISSION_FILE

TASKS = ("miniature.natural", "miniature.rendition")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_scores(tmp_path_factory.mktemp("made"), tasks=TASKS)


@pytest.fixture
def scores(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "scores")


@pytest.fixture
def declare(made, tmp_path):
    path = tmp_path / "me.yaml"
    path.write_text(declaration_of(made[1]), encoding="utf-8")
    return path


def change(path, **values):
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}), encoding="utf-8")


def change_json(path, change):
    value = files.read_json(path)
    change(value)
    files.write_json(path, value)


def test_a_submission_holds_the_very_predictions_and_is_taken_by_the_validator(
    made, scores, declare, tmp_path
):
    out, honest = tmp_path / "out", made[1]
    status, told = run("submit", scores, "--declare", declare, "--out", out, stream="stdout")
    assert status == 0, told
    written, submitted = files_in(out / honest.name), files_in(honest)
    assert rounded(parse_submission(written.pop(SUBMISSION_FILE), "")) == rounded(
        parse_submission(submitted.pop(SUBMISSION_FILE), "")
    )
    assert written == submitted
    assert [path.name for path in out.iterdir()] == [honest.name]
    assert f"written: {out / honest.name}" in told
    assert "not ranked: no score of miniature.pairs-seen, miniature.pairs-unseen" in told
    assert run("validate", out / honest.name)[0] == 0


def test_without_a_declaration_one_to_fill_in_is_printed_and_nothing_written(scores, tmp_path):
    before = files_in(tmp_path)
    status, told = run("submit", scores, "--out", tmp_path / "out", stream="stdout")
    assert status == 0
    assert list(yaml.safe_load(told))[:2] == ["handle", "model"]
    assert files_in(tmp_path) == before


def test_a_declaration_that_is_missing_is_written_to_be_filled_in_and_never_again(scores, tmp_path):
    words = ("submit", scores, "--declare", tmp_path / "new.yaml", "--out", tmp_path / "out")
    status, told = run(*words)
    assert (status, "fill it in, and run the same command again" in told) == (2, True)
    written = (tmp_path / "new.yaml").read_bytes()
    assert b"handle:" in written
    status, told = run(*words, stream="stdout")
    assert status == 2
    assert "handle is not filled in" in told
    assert (tmp_path / "new.yaml").read_bytes() == written
    assert not (tmp_path / "out").exists()


def test_a_dry_run_lists_everything_that_is_in_the_way_and_writes_nothing(scores, declare, tmp_path):
    change_json(scores / SLUG / "run.json", dirty)
    change(declare, handle=None, parameters="many")
    before = files_in(tmp_path)
    told = lines_of("submit", scores, "--declare", declare, "--out", tmp_path / "out", "--dry-run")
    start = told.index("in the way of a submission:")
    assert [line.split(". ", 1)[0] for line in told[start + 1 :]] == ["  1", "  2", "  3"]
    assert "changes that no commit holds" in told[start + 1]
    assert "handle is not filled in" in told[start + 2]
    assert "parameters is 'many'" in told[start + 3]
    assert files_in(tmp_path) == before
    assert run("submit", scores, "--out", tmp_path / "out", "--dry-run")[0] == 2


def dirty(record):
    for one in record["runs"].values():
        one["package"]["dirty"] = True


def lines_of(*words):
    """What a run that is refused has printed before."""
    from typer.testing import CliRunner

    from oddpair import cli

    return CliRunner().invoke(cli.app, [str(word) for word in words]).stdout.splitlines()


def test_a_dry_run_of_what_can_be_submitted_recomputes_it_and_writes_nothing(scores, declare, tmp_path):
    status, told = run("submit", scores, "--declare", declare, "--out", tmp_path / "out", "--dry-run")
    assert status == 0, told
    assert "nothing stands in the way, and nothing was written" in told
    assert not (tmp_path / "out").exists()


def test_an_entry_of_ones_own_is_mended_and_that_of_other_weights_is_left_alone(
    scores, declare, made, tmp_path
):
    out = tmp_path / "out"
    words = ("submit", scores, "--declare", declare, "--out", out)
    assert run(*words)[0] == 0
    change(declare, variants_tried=77)
    assert run(*words)[0] == 0
    path = out / made[1].name / "submission.json"
    assert files.read_json(path)["variants_tried"] == 77
    assert [each.name for each in out.iterdir()] == [made[1].name]

    def other(value):
        value["weights"] = value["run"]["model"]["sha256"] = value["weights"][:8] + "0" * 56

    change_json(path, other)
    before = files_in(out)
    status, told = run(*words)
    assert status == 2
    assert "holds another entry" in told
    assert files_in(out) == before


def test_what_the_validator_would_refuse_is_refused_and_leaves_what_was_there(scores, declare, tmp_path):
    out = tmp_path / "out"
    words = ("submit", scores, "--declare", declare, "--out", out)
    assert run(*words)[0] == 0
    before = files_in(out)

    def forge(value):
        estimate = value["metrics"][0]["estimate"]
        estimate["value"] = estimate["high"]

    change_json(scores / SLUG / "miniature.natural.result.json", forge)
    status, told = run(*words)
    assert status == 2
    assert "top1 is claimed with value" in told
    assert files_in(out) == before
    assert [each.name for each in out.iterdir()] == [each.split("/")[0] for each in before][:1]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"handle": "-a-"}, "handle"),
        ({"model": "../../etc"}, "model"),
        ({"architecture": "ViT\u202eB"}, "U+202E"),
        ({"links": {"paper": "http://arxiv.org/abs/1"}}, "https"),
        ({"links": {"blog": "https://arxiv.org/abs/1"}}, "blog"),
    ],
)
def test_a_declaration_that_the_schema_refuses_makes_no_folder(scores, declare, tmp_path, changes, line):
    change(declare, **changes)
    status, told = run("submit", scores, "--declare", declare, "--out", tmp_path / "out")
    assert status == 2
    assert line in told
    assert "\u202e" not in told
    assert not (tmp_path / "out").exists()


def test_json_is_one_line(scores, declare, made, tmp_path):
    words = ("submit", scores, "--declare", declare, "--out", tmp_path / "out", "--json")
    status, told = run(*words, stream="stdout")
    assert status == 0
    found = json.loads(told)
    assert (found["name"], found["problems"], found["tasks"]) == (made[1].name, [], list(TASKS))
    change(declare, handle=None)
    assert run(*words)[0] == 2


def test_the_printed_command_leads_to_a_pull_request_that_the_workflow_takes(
    scores, declare, made, tmp_path, monkeypatch
):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text('#!/bin/sh\necho "gh $*" > "$ASKED"\n')
    (tools / "gh").chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "A"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@localhost"),
        **{"PATH": f"{tools}:{os.environ['PATH']}", "ASKED": str(tmp_path / "asked")},
        **dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"), os.devnull),
    }

    def shell(line, folder):
        return subprocess.run(
            ["bash", "-ec", line], cwd=folder, env=environment, check=True, capture_output=True, text=True
        ).stdout

    host, fork = tmp_path / "host.git", tmp_path / "fork"
    shell(f"git init --bare --initial-branch main {host} && git clone {host} {fork}", tmp_path)
    (fork / "README.md").write_text("oddpair\n")
    shell("git switch --create main; git add . && git commit -m begin && git push -u origin main", fork)
    monkeypatch.chdir(fork)
    status, told = run("submit", scores, "--declare", declare, stream="stdout")
    assert status == 0
    command = told.splitlines()[-1].strip()
    shell(command, fork)
    assert (tmp_path / "asked").read_text() == "gh pr create --fill\n"
    branch = shell("git branch --show-current", fork).strip()
    assert branch == f"submit-{made[1].name[-8:]}"
    status, told = run("validate", "--repository", host, "--base", "main", "--head", branch)
    assert status == 0, told
    assert made[1].name in told
