"""What ``oddpair ls`` finds: one of each kind, made by the suite, and broken ones."""

import json
import shutil

import pytest
from typer.testing import CliRunner, Result

from oddpair import cli, files
from oddpair.benchmarks.benchmark_file import shipped
from oddpair.errors import Refusal


def run(*words: object) -> Result:
    return CliRunner().invoke(cli.app, ["ls", *map(str, words)], catch_exceptions=False)


def found(*words: object) -> dict[str, dict[str, str]]:
    """Kind and line by path."""
    told = json.loads(run(*words, "--json").stdout)["found"]
    return {one["path"]: one for one in told}


def test_everything_that_a_demo_makes_is_found_with_its_figures(small_run):
    told = {path.removeprefix(f"{small_run}/"): one for path, one in found(small_run).items()}
    kinds = {path: one["kind"] for path, one in told.items()}
    assert kinds["world/corpus"] == "corpus"
    assert told["world/corpus"]["line"].startswith("2,000 rows in 2 shards")
    assert kinds["embeddings/corpus"] == "embeddings"
    assert told["embeddings/corpus"]["line"].startswith("2,000 rows of dimension 128 by reference (")
    assert kinds["counts"] == "counts"
    assert " in 2,000 captions, tags too (vocabulary " in told["counts"]["line"]
    assert kinds["splits/natural-strict"] == "split"
    manifest = files.read_json(small_run / "splits" / "natural-strict" / "manifest.json")
    assert told["splits/natural-strict"]["card"] == manifest
    assert (
        f"natural-strict by style-strict, {manifest['rows']:,} rows" in told["splits/natural-strict"]["line"]
    )
    assert kinds["models/control"] == "model"
    assert not any(one["broken"] for one in told.values())


def test_one_thing_alone_is_told_with_its_whole_card(small_run):
    lines = run(small_run / "splits" / "control").stdout.splitlines()
    assert lines[0].startswith(f"split {small_run / 'splits' / 'control'}: control by control")
    assert any(line.startswith("    uids_sha256: ") for line in lines)


def test_audits_submissions_and_pictures_are_found_by_what_marks_them(tmp_path, root, noise, as_bytes):
    ours = sorted((root / "benchmarks" / "submissions").iterdir())[0]
    shutil.copytree(ours, tmp_path / "entry")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(as_bytes(noise(1)))
    judgements = [{"aspect": "copies", "answer": "out", "text": "a"}]
    (tmp_path / "audit").mkdir()
    files.write_json(
        tmp_path / "audit" / "audit.json", {"test": "val", "corpus": "web", "judgements": judgements}
    )
    told = found(tmp_path)
    assert told[f"{tmp_path}/audit"]["line"] == "val against web: copies out"
    assert told[f"{tmp_path}/entry"]["kind"] == "submission"
    assert told[f"{tmp_path}/photos"]["line"] == "1 pictures"


def test_what_is_broken_is_a_line_that_says_why_and_stops_nothing(tmp_path):
    for name, content in (("a", "{"), ("b", "[1]"), ("c", '{"judgements": [1]}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "audit.json").write_text(content)
    result = run(tmp_path)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"audit {tmp_path}/") and ": BROKEN: " in line for line in lines)


def test_hidden_folders_links_and_what_lies_too_deep_are_passed_over(tmp_path):
    for place in (".hidden", "a/b/c/d/e/f/g/h"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "audit.json").write_text("{}")
    (tmp_path / "loop").symlink_to(tmp_path)
    result = run(tmp_path)
    assert "audit" not in result.stdout
    assert "1 folders are more than 6 deep, and were not looked at" in result.stdout


def test_names_of_others_move_no_cursor(tmp_path):
    (tmp_path / "a\x1b[2Jb").mkdir()
    (tmp_path / "a\x1b[2Jb" / "audit.json").write_text("{")
    assert "a\\x1b[2Jb" in run(tmp_path).stdout


def test_benchmarks_are_listed_beside_what_lies_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audit").mkdir()
    files.write_json(tmp_path / "audit" / "audit.json", {"test": "val", "corpus": "web", "judgements": []})
    lines = run().stdout.splitlines()
    assert [line for line in lines if ", version " in line] == [
        next(line for line in lines if line.startswith(f"{name}, version ")) for name in shipped()
    ]
    assert lines[-1] == "audit audit: val against web: "
    assert "    task natural: classification of natural" in run("miniature").stdout


def test_what_is_neither_a_benchmark_nor_a_folder_is_refused(tmp_path):
    with pytest.raises(Refusal, match="no benchmark 'imagent', and no such folder: there are coco"):
        run("imagent")
    assert "nothing that oddpair makes or takes lies in" in run(tmp_path).stdout
