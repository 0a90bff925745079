"""``oddpair validate`` from end to end: what holds is shown, what does not is one line, what is odd is a flag."""

import json
import shutil

import pytest
from tests.board.bundles import write_honest
from tests.command import files_in, run

from oddpair.benchmarks.answer_keys import read_key
from oddpair.eval.submission.submission import SUBMISSION_FILE
from oddpair.splits.manifest import Manifest, uids_digest, write_manifest

NATURAL = "miniature.natural"


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Three honest entries; the last lacks three required tasks."""
    folder = tmp_path_factory.mktemp("submissions")
    write_honest(folder, model="first", seed=1)
    write_honest(folder, model="second", seed=2)
    write_honest(folder, model="third", seed=3, tasks=(NATURAL,))
    return sorted(folder.iterdir())


def rewrite(folder, **changes):
    path = folder / SUBMISSION_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}, sort_keys=True, indent=1) + "\n")


def test_an_honest_submission_is_shown_with_every_metric_and_nothing_is_written(entries):
    before = files_in(entries[0].parent)
    status, said = run("validate", entries[0])
    assert status == 0
    lines = said.splitlines()
    assert lines[0] == f"{entries[0].name}: recomputed, every claimed number follows from the predictions"
    told = json.loads((entries[0] / SUBMISSION_FILE).read_text())
    for claim in told["tasks"]:
        for name, metric in claim["metrics"].items():
            row = next(
                line.split()
                for line in lines
                if line.startswith(f"{claim['task']}@1  ") and f" {name} " in line
            )
            assert row[2] == f"{metric['n']:,}"
            assert row[-3:] == [
                f"{100 * metric['value']:.2f}", f"[{100 * metric['low']:.2f},", f"{100 * metric['high']:.2f}]"
            ]  # fmt: skip
    assert f"can be ranked: macro mean over families {100 * told['score']:.2f} %" in lines
    assert lines[-2:] == ["no flags", "nothing is refused"]
    assert files_in(entries[0].parent) == before


def test_an_entry_that_lacks_required_tasks_holds_and_is_not_ranked(entries):
    status, said = run("validate", entries[2])
    assert status == 0
    assert (
        "not ranked: no predictions of miniature.rendition, miniature.pairs-seen, miniature.pairs-unseen"
        in said
    )


def test_json_has_the_numbers_of_the_text(entries):
    status, said = run("validate", *entries, "--json", stream="stdout")
    assert status == 0
    first, _, third = json.loads(said)
    told = json.loads((entries[0] / SUBMISSION_FILE).read_text())
    assert (first["name"], first["level"], first["missing"]) == (entries[0].name, "recomputed", [])
    assert first["score"] == pytest.approx(told["score"])
    assert first["tasks"][NATURAL]["top1"]["chance"] == pytest.approx(1 / 87)
    assert third["score"] is None
    assert len(third["missing"]) == 3


def test_one_that_does_not_hold_is_one_line_and_none_is_shown(entries, tmp_path):
    broken = shutil.copytree(entries[1], tmp_path / entries[1].name)
    rewrite(broken, score=0.99)
    status, said = run("validate", entries[0], broken)
    assert status == 2
    assert said.startswith(f"{broken}/{SUBMISSION_FILE}: score is 0.99, its tasks make 0.")


def test_a_copy_is_flagged_beside_the_entry_that_it_copies(entries, tmp_path):
    copy = write_honest(tmp_path, handle="lab-b", model="mine", seed=1)
    status, said = run("validate", copy, "--submissions", entries[0].parent)
    assert status == 0
    assert "flag, copy: " in said
    assert entries[0].name in said
    assert "flag, copy: " not in run("validate", copy)[1]


def test_an_entry_is_no_copy_of_itself(entries):
    status, said = run("validate", entries[0], "--submissions", entries[0].parent)
    assert status == 0
    assert "no flags" in said


def test_variants_are_flagged(entries, tmp_path):
    folder = shutil.copytree(entries[2], tmp_path / entries[2].name)
    rewrite(folder, variants_tried=7)
    assert "flag, variants: " in run("validate", folder)[1]


def test_questions_among_the_declared_training_data_are_flagged(entries, tmp_path):
    asked = read_key(NATURAL, 1).table["uid"].to_pylist()
    uids = sorted([*asked[:3], *(f"{number:032x}" for number in range(20))])
    folder = shutil.copytree(entries[2], tmp_path / entries[2].name)
    rewrite(folder, training=[{"name": "ours", "manifest": uids_digest(uids)}])
    listed = tmp_path / "uids.txt"
    listed.write_text("\n".join(reversed(uids)) + "\n")
    status, said = run("validate", folder, "--manifest", listed)
    assert status == 0
    flag = next(line for line in said.splitlines() if line.startswith("flag, in-training: "))
    assert "3" in flag
    assert "2,175" in flag
    write_manifest(tmp_path / "split", Manifest(name="ours", recipe="r", uids=uids))
    assert flag in run("validate", folder, "--manifest", tmp_path / "split")[1]
    status, said = run("validate", entries[2], "--manifest", listed)
    assert status == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give folders of submissions, or --base and --head of a pull request"),
        (("x", "--base", "a", "--head", "b"), "give folders of submissions, or --base and --head"),
        (("--base", "a"), "give folders of submissions, or --base and --head"),
        (("{entry}", "--submissions", "{entry}/none"), "is no folder: give one that holds submissions"),
        (("{entry}", "--manifest", "{entry}/none"), "none does not exist: check the path"),
        (("{entry}", "--corpora", "{entry}/none"), "is no folder: give one that holds a folder"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(entries, arguments, told):
    status, said = run("validate", *(argument.format(entry=entries[0]) for argument in arguments))
    assert status == 2
    assert told in said
