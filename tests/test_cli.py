"""The command line: quick help, one line of refusal with a remedy, nothing half-written."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import oddpair
from oddpair import cli, files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.manifest import Manifest, write_manifest

VERBS = ("demo", "study", "embed", "count", "search", "split", "verify", "export")
HEAVY = ("torch", "faiss", "pandas", "open_clip", "sklearn", "scipy", "matplotlib", "pyarrow", "numpy", "PIL")


def call(*arguments):
    """Run the program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "oddpair.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def invoke(*arguments):
    """Run a command in this process; a refusal is returned as its line."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if isinstance(result.exception, Refusal):
        return str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return None


def left_in(folder):
    """What a refused command left: nothing but the lock and empty folders."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_folder, noise, as_bytes):
    pictures = {f"{number:02d}.png": as_bytes(noise(number)) for number in range(12)}
    captions = [f"a {('cat', 'dog', 'cow')[number % 3]} and a barn" for number in range(12)]
    styles = ["photo", "sketch"] * 6
    return write_folder(tmp_path_factory.mktemp("cli") / "folder", pictures, captions, style=styles)


@pytest.fixture(scope="module")
def split(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("split") / "first"
    uids = tuple(sorted(open_corpus(folder).metadata()["uid"].to_pylist()[:5]))
    write_manifest(place, Manifest(name="first", recipe="hand", uids=uids))
    return place


@pytest.fixture(scope="module")
def broken(tmp_path_factory, folder, drawn, transformer):
    """Files and folders that are not what they should be."""
    place = tmp_path_factory.mktemp("broken")
    (place / "empty").mkdir()
    (place / "file.tar").write_bytes(b"not a corpus")
    shutil.copytree(drawn, place / "truncated")
    tar = place / "truncated" / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:30_000])
    shutil.copytree(drawn, place / "lacking")
    (place / "lacking" / "00001.parquet").unlink()
    (place / "no-captions").mkdir()
    (place / "no-captions" / "list.csv").write_text("file,text\na.png,a cat\n")
    shutil.copytree(folder, place / "unlabelled")
    lines = (place / "unlabelled" / "list.csv").read_text().splitlines()
    (place / "unlabelled" / "list.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in lines) + "\n")
    (place / "empty.txt").write_text("\n\n")
    (place / "bad.yaml").write_text("recipe: style-strict\nprecison: 0.9\n")
    (place / "no.yaml").write_text("a: [")
    (place / "tags.parquet").write_bytes(b"PAR1 no table")
    (place / "html.jpg").write_bytes(b"<html></html>")
    (place / "q.txt").write_text("a cat")
    (place / "manifest").mkdir()
    (place / "manifest" / "manifest.json").write_text(json.dumps({"format_version": 2, "name": "x"}))
    shutil.copytree(transformer, place / "model")
    weights = place / "model" / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    return place


def test_help_is_quick_because_it_imports_nothing_heavy():
    script = f"""
import sys
from typer.testing import CliRunner
from oddpair import cli
for arguments in [["--help"], *([verb, "--help"] for verb in {VERBS})]:
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert "Usage" in result.stdout
print([name for name in {HEAVY} if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"


def test_help_lists_every_verb_and_the_version_is_printed():
    result = CliRunner().invoke(cli.app, ["--help"])
    for verb in VERBS:
        assert f" {verb} " in result.stdout
    assert CliRunner().invoke(cli.app, ["--version"]).stdout.strip() == oddpair.__version__


CORPUS_VERBS = {
    "embed": lambda corpus, out: ("embed", corpus, "--out", out, "--workers", 1),
    "count": lambda corpus, out: ("count", corpus, "--out", out),
    "search": lambda corpus, out: ("search", corpus, "a cat", "--out", out / "s.html", "--workers", 1),
    "style-strict": lambda corpus, out: (
        "split",
        "style-strict",
        "--corpus",
        corpus,
        "--out",
        out,
        "--workers",
        1,
    ),
    "unseen-pairs": lambda corpus, out: ("split", "unseen-pairs", "--corpus", corpus, "--out", out),
}
BAD_CORPORA = {
    "none": r"none does not exist: check the path; a corpus is a local path",
    "empty": r"empty is empty: a corpus is a folder, list or URL of img2dataset",
    "file.tar": r"holds 1 tars and not one sample with a picture \(ends at byte 12 .*\): fetch them again",
    "lacking": r"lacking lacks 00001.parquet beside the other parts of the shard: still downloading, or run the download",
    "no-captions": r"list.csv has the columns \['file', 'text'\], needed 'file' and 'caption', or 'filepath' and",
}


@pytest.mark.parametrize("verb", CORPUS_VERBS)
@pytest.mark.parametrize("corpus", BAD_CORPORA)
def test_a_corpus_that_is_none_is_refused_in_one_line_with_the_remedy(broken, tmp_path, verb, corpus):
    line = invoke(*CORPUS_VERBS[verb](broken / corpus, tmp_path / "out"))
    assert line is not None
    assert "\n" not in line
    assert re.search(BAD_CORPORA[corpus], line), line
    assert not (tmp_path / "out").exists()


def test_a_truncated_shard_is_set_aside_by_its_name_and_exits_3(broken, tmp_path):
    result = CliRunner().invoke(
        cli.app, ["embed", str(broken / "truncated"), "--out", str(tmp_path / "out"), "--workers", "1"]
    )
    assert result.exit_code == 3, result.output
    (line,) = [json.loads(text) for text in (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()]
    assert line["file"] == "00001.tar"
    assert "the shard is truncated" in line["reason"]
    assert f"{line['rows']} of" in result.output


def bad_arguments(broken, folder, split, out):
    """Command lines with one thing wrong, and what the line must say."""
    html = ("search", folder, broken / "html.jpg", "--out", out / "s.html", "--workers", 1)
    return {
        "unknown model": (("embed", folder, "--out", out, "--model", "refrence"), "no model 'refrence': give a folder"),
        "missing model": (
            ("embed", folder, "--out", out, "--model", f"local-dir:{broken}/none"),
            "open_clip_config.json is missing: a model folder holds",
        ),
        "truncated model": (
            ("embed", folder, "--out", out, "--model", broken / "model", "--workers", 1),
            "open_clip_model.safetensors cannot be loaded",
        ),
        "missing weights": (
            ("embed", folder, "--out", out, "--model", "ViT-B-32", "--workers", 1),
            "model 'ViT-B-32' needs weights: add --pretrained",
        ),
        "unknown model to search": (
            ("search", folder, "a cat", "--model", "none", "--out", out / "s.html"),
            "no model 'none': give a folder",
        ),
        "empty query": (("search", folder, " ", "--out", out / "s.html", "--workers", 1), "the query is empty: give"),
        "missing query": (
            ("search", folder, "none.jpg", "--out", out / "s.html", "--workers", 1),
            "none.jpg does not exist: check the path",
        ),
        "query of no picture": (
            ("search", folder, broken / "q.txt", "--out", out / "s.html", "--workers", 1),
            "q.txt: not a picture: give a JPEG",
        ),
        "page is a folder": (
            ("search", folder, "a cat", "--out", broken / "empty"),
            "empty is a folder: give the HTML file to write",
        ),
        "bad query": (html, "html.jpg: not a picture: give a JPEG"),
        "missing vocabulary": (
            ("count", folder, "--out", out, "--vocabulary", broken / "none.txt"),
            "none.txt does not exist: check the path",
        ),
        "vocabulary is a folder": (
            ("count", folder, "--out", out, "--vocabulary", broken / "empty"),
            "empty is a folder, needed a file: check the path",
        ),
        "weights beside a model": (
            ("embed", folder, "--out", out, "--pretrained", "openai"),
            "model 'reference' has its own weights, and --pretrained openai would go unused: leave",
        ),
        "tags of another recipe": (
            ("split", "style-strict", "--corpus", folder, "--out", out, "--tags", broken / "tags.parquet"),
            "--tags: a recipe of kind style-strict makes no use of it: leave it out",
        ),
        "embeddings is a file": (
            ("search", folder, "a cat", "--out", out / "s.html", "--embeddings", broken / "file.tar"),
            "file.tar is a file: choose a folder",
        ),
        "empty vocabulary": (("count", folder, "--out", out, "--vocabulary", broken / "empty.txt"), "empty.txt"),
        "missing tags": (("count", folder, "--out", out, "--tags", broken / "none"), "none does not exist: check"),
        "bad tags": (("count", folder, "--out", out, "--tags", broken / "tags.parquet"), "tags.parquet is truncated"),
        "missing recipe": (
            ("split", "none.yaml", "--corpus", folder, "--out", out),
            "no recipe 'none.yaml': give a YAML file, the folder of a split, or one of style-strict",
        ),
        "bad key": (
            ("split", broken / "bad.yaml", "--corpus", folder, "--out", out),
            "bad.yaml: unknown key 'precison'; did you mean 'precision'?",
        ),
        "no yaml": (("split", broken / "no.yaml", "--corpus", folder, "--out", out), "no.yaml is no YAML"),
        "no share": (
            ("split", "style-strict", "--corpus", folder, "--out", out, "--set", "precision=2"),
            "precision is 2.0: it must lie between 0 and 1",
        ),
        "option of another recipe": (
            ("split", "unseen-pairs", "--corpus", folder, "--out", out, "--set", "precision=0.9"),
            "a recipe of kind unseen-pairs has no 'precision': leave the option out",
        ),
        "no labels": (
            ("split", "style-strict", "--corpus", broken / "unlabelled", "--out", out),
            "has no column 'style'",
        ),
        "other column": (
            ("split", "style-strict", "--corpus", folder, "--out", out, "--set", "style_column=look"),
            "name another with --set style_column=NAME",
        ),
        "missing split": (("verify", broken / "none"), "manifest.json does not exist: check the path"),
        "bad manifest": (("verify", broken / "manifest"), "manifest.json: no 'card', needed a list"),
        "split of nothing": (
            ("export", broken / "none", "--corpus", folder, "--out", out),
            "manifest.json does not exist: check the path",
        ),
        "split of another corpus": (
            ("export", split, "--corpus", broken.parent / "none", "--out", out),
            "none does not exist: check the path; a corpus is",
        ),
        "unknown size": (("demo", "--size", "tiny", "--out", out), "no size 'tiny': use demo, study or small"),
        "few rows": (("demo", "--rows", 10, "--out", out), "a world of 10 rows is too small for its splits: use"),
        "unknown study": (("study", "--size", "tiny", "--out", out), "no size 'tiny': use demo, study or small"),
        "out is a file": (("count", folder, "--out", broken / "file.tar"), "file.tar is a file: choose a folder"),
    }  # fmt: skip


@pytest.mark.parametrize("case", bad_arguments(*[Path()] * 4))
def test_bad_input_is_refused_in_one_line_that_says_what_and_what_to_do(
    broken, folder, split, tmp_path, case
):
    out = tmp_path / "out"
    arguments, expected = bad_arguments(broken, folder, split, out)[case]
    line = invoke(*arguments)
    assert line is not None, "nothing was refused"
    assert expected in line, line
    assert "\n" not in line
    assert left_in(tmp_path) == []


def test_a_split_of_another_corpus_is_refused_by_the_uids_that_are_missing(drawn, split, tmp_path):
    line = invoke("export", split, "--corpus", drawn, "--out", tmp_path / "out")
    assert line is not None
    assert "lacks 5 of the 5 uids of split 'first'" in line
    assert "give the corpus that the split was made from" in line
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("embed", "{none}", "--out", "{out}"),
        ("demo", "--size", "tiny", "--out", "{out}"),
        ("embed", "{folder}", "--out", "{out}", "--model", "{model}", "--workers", "2"),
    ],
    ids=["missing folder", "unknown size", "truncated model"],
)
def test_the_program_exits_2_with_exactly_one_line_of_refusal(broken, folder, tmp_path, arguments):
    names = {"none": tmp_path / "none", "out": tmp_path / "out", "folder": folder, "model": broken / "model"}
    result = call(*(argument.format(**names) for argument in arguments))
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("embed ")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("oddpair: ")
    assert "Traceback" not in result.stderr + result.stdout
    assert result.stdout == ""


def test_a_name_that_would_move_the_cursor_is_escaped(tmp_path):
    result = call("verify", tmp_path / "a\x1b[2J\nb")
    assert result.returncode == 2
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_interrupted_program_exits_130_with_one_line_and_goes_on_later(tmp_path):
    command = [
        sys.executable,
        "-m",
        "oddpair.cli",
        "demo",
        "--size",
        "small",
        "--workers",
        "1",
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (tmp_path / "world" / "inputs.json").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "oddpair: interrupted: run the same command again to go on from here"
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("done.json"))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_refused_setting_may_be_put_right_in_the_same_folder(folder, broken, tmp_path):
    out = tmp_path / "out"
    assert invoke("embed", folder, "--out", out, "--model", "none", "--workers", 1) is not None
    assert invoke("embed", folder, "--out", out, "--model", broken / "model", "--workers", 1) is not None
    assert invoke("embed", folder, "--out", out, "--workers", 1) is None
    assert invoke("count", folder, "--out", tmp_path / "c", "--tags", broken / "tags.parquet") is not None
    assert invoke("count", folder, "--out", tmp_path / "c") is None


def test_a_second_process_in_the_same_folder_is_refused_with_the_first_ones_number(folder, tmp_path):
    with files.locked(tmp_path):
        result = call("count", folder, "--out", tmp_path)
    assert result.returncode == 2
    assert f"{tmp_path} is in use by process {os.getpid()}" in result.stderr
    assert left_in(tmp_path) == []


def test_a_second_run_of_a_command_changes_no_file(folder, tmp_path):
    arguments = ("count", folder, "--out", tmp_path)
    assert invoke(*arguments) is None
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    assert invoke(*arguments) is None
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"} == before


def test_search_and_export_say_what_they_found_and_wrote(folder, split, tmp_path):
    options = ["-k", "20", "--out", str(tmp_path / "s.html"), "--workers", "1"]
    result = CliRunner().invoke(cli.app, ["search", str(folder), "a cat", *options], catch_exceptions=False)
    hits = result.stdout.splitlines()[:-1]
    assert len(hits) == 12
    scores = [float(line.split()[1]) for line in hits]
    assert scores == sorted(scores, reverse=True)
    assert (tmp_path / "s.html").read_text().count("<img") == 12
    exported = CliRunner().invoke(
        cli.app,
        ["export", str(split), "--corpus", str(folder), "--out", str(tmp_path / "x")],
        catch_exceptions=False,
    )
    assert "first: 5 rows as webdataset" in exported.stdout
    assert len(open_corpus(tmp_path / "x")) == 5


def test_a_changed_uid_list_fails_verification(split, tmp_path):
    import pyarrow as pa

    copied = shutil.copytree(split, tmp_path / "copied")
    assert invoke("verify", copied) is None
    uids = files.read_table(copied / "uids.parquet")["uid"].to_pylist()
    files.write_table(copied / "uids.parquet", pa.table({"uid": [*uids[:-1], "f" * 32]}))
    line = invoke("verify", copied)
    assert line is not None
    assert "one of them was changed, make the split again" in line


def bytes_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def shards(drawn, tmp_path):
    """A corpus of shards that a test may try to spoil, and a split of it."""
    corpus = shutil.copytree(drawn, tmp_path / "corpus")
    uids = tuple(sorted(open_corpus(corpus).metadata()["uid"].to_pylist()[:7]))
    write_manifest(tmp_path / "seven", Manifest(name="seven", recipe="hand", uids=uids))
    return corpus


@pytest.mark.parametrize("kind", ["webdataset", "uids", "parquet"])
@pytest.mark.parametrize("out", ["corpus", "corpus/export", ".", "link"])
def test_an_export_into_around_or_over_the_corpus_is_refused_before_anything_is_written(
    shards, tmp_path, out, kind
):
    (tmp_path / "link").symlink_to(shards)
    before = bytes_below(tmp_path)
    line = invoke("export", tmp_path / "seven", "--corpus", shards, "--out", tmp_path / out, "--as", kind)
    assert line is not None
    assert re.search("is the corpus, which is never written to: choose|lie one in the other: choose", line)
    assert bytes_below(tmp_path) == before


def test_an_export_over_another_splits_is_refused_and_the_same_again_changes_nothing(shards, split, tmp_path):
    arguments = ("export", tmp_path / "seven", "--corpus", shards, "--out", tmp_path / "out")
    assert invoke(*arguments) is None
    before = bytes_below(tmp_path / "out")
    uids = tuple(sorted(open_corpus(shards).metadata()["uid"].to_pylist()[7:14]))
    write_manifest(tmp_path / "other", Manifest(name="other", recipe="hand", uids=uids))
    line = invoke("export", tmp_path / "other", "--corpus", shards, "--out", tmp_path / "out")
    assert line is not None
    assert 'was made with split="seven"' in line
    line = invoke(*arguments, "--as", "uids")
    assert line is not None
    assert 'was made with format="webdataset", now format="uids": choose another --out' in line
    assert invoke(*arguments) is None
    assert bytes_below(tmp_path / "out") == before


def test_an_export_among_files_of_unknown_origin_is_refused_without_a_word_of_deleting_them(shards, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "00000.tar").write_bytes(b"mine")
    line = invoke("export", tmp_path / "seven", "--corpus", shards, "--out", tmp_path / "mine")
    assert line is not None
    assert line.endswith("choose an empty folder")
    assert (tmp_path / "mine" / "00000.tar").read_bytes() == b"mine"


@pytest.mark.parametrize("verb", ["embed", "count", "style-strict", "unseen-pairs"])
def test_no_verb_leaves_even_a_lock_in_the_corpus(folder, verb):
    before = bytes_below(folder)
    line = invoke(*CORPUS_VERBS[verb](folder, folder))
    assert line is not None
    assert line.endswith("is the corpus, which is never written to: choose another folder")
    assert bytes_below(folder) == before


@pytest.mark.parametrize("verb", ["search", "style-strict"])
def test_embeddings_are_not_made_in_the_corpus(folder, tmp_path, verb):
    before = bytes_below(folder)
    line = invoke(*CORPUS_VERBS[verb](folder, tmp_path / "out"), "--embeddings", folder)
    assert line is not None
    assert "is the corpus, which is never written to" in line
    assert bytes_below(folder) == before
    assert left_in(tmp_path) == []


def test_corpora_of_one_name_searched_into_one_folder_have_embeddings_of_their_own(
    folder, write_folder, noise, as_bytes, tmp_path
):
    other = write_folder(tmp_path / "folder", {"a.png": as_bytes(noise(99))}, ["a bird"])
    for corpus in (folder, other, folder):
        options = ("--out", tmp_path / "work" / "s.html", "--workers", 1)
        assert invoke("search", corpus, "a bird", *options) is None
    made = sorted(path.name for path in (tmp_path / "work" / "embeddings").iterdir())
    assert len(made) == 2
    assert all(re.fullmatch(r"folder-[0-9a-f]{12}-[0-9a-f]{8}", name) for name in made)


def test_splits_of_two_corpora_side_by_side_have_embeddings_of_their_own(folder, drawn, tmp_path):
    for name, corpus in (("one", folder), ("two", drawn)):
        # Too few labels to certify anything: what matters is where the embeddings lie.
        line = invoke(*CORPUS_VERBS["style-strict"](corpus, tmp_path / name))
        assert line is None or "choose another" not in line
    assert len(list((tmp_path / "embeddings").glob("*/done.json"))) == 2


def test_what_is_printed_of_captions_and_cards_moves_no_cursor(write_folder, noise, as_bytes, tmp_path):
    corpus = write_folder(tmp_path / "c", {"a.png": as_bytes(noise(1))}, ["a cat\x1b[2J\x07\u202etac"])
    options = ["--out", str(tmp_path / "s.html"), "--workers", "1"]
    result = CliRunner().invoke(cli.app, ["search", str(corpus), "a cat", *options], catch_exceptions=False)
    assert r"a cat\x1b[2J\x07\u202etac" in result.stdout
    assert not set("\x1b\x07\u202e") & set(result.stdout)


def test_rows_that_are_left_out_are_told_and_too_many_bad_pictures_exit_3(
    write_folder, noise, as_bytes, tmp_path
):
    pictures = {f"{number}.png": as_bytes(noise(number)) for number in range(4)}
    pictures |= {"copy.png": pictures["0.png"], "again.png": pictures["0.png"], "bad.png": b"<html>"}
    corpus = write_folder(tmp_path / "c", pictures, ["a cat"] * 7)
    out = tmp_path / "out"
    result = call("embed", corpus, "--out", out, "--workers", 1)
    assert result.returncode == 3
    said = result.stderr.splitlines()
    assert said[-1] == (
        f"oddpair: done, but 14.29% of the rows are damaged, --max-bad is 0.001: see {out}/quarantine.jsonl"
    )
    first, second = result.stdout.splitlines()
    assert first == f"4 rows of dimension 128 in {out}, 3 of 7 quarantined"
    assert second.strip().startswith("2 of them have the bytes of an earlier row's picture")
    assert (out / "done.json").is_file()
    assert call("embed", corpus, "--out", out, "--max-bad", 0.15).returncode == 0


def test_the_help_of_tags_says_the_threshold():
    from oddpair.retrieval.counting.tags import THRESHOLD

    for verb in ("count", "split"):
        said = CliRunner().invoke(cli.app, [verb, "--help"]).stdout
        assert f"score is above {THRESHOLD}" in " ".join(re.sub("[│\n]", " ", said).split())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("embed", "corpus"), "Missing option '--out': see oddpair embed --help"),
        (("embed", "corpus", "--out", "x", "--nope"), "No such option: --nope"),
        (("embed", "corpus", "--out", "x", "--workers", "0"), "Invalid value for '--workers': "),
        (("embed", "corpus", "--out", "x", "--workers", "two"), "Invalid value for '--workers': "),
        (("export", "s", "--corpus", "c", "--out", "x", "--as", "tsv"), "Invalid value for '--as': "),
        (("verify",), "Missing argument '"),
        (("divide",), "No such command 'divide': see oddpair --help"),
    ],
)
def test_a_wrong_command_line_exits_2_with_one_line(arguments, line, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["oddpair", *arguments])
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"oddpair: {line}")
    assert said.err.count("\n") == 1
    assert said.err.endswith("--help\n")


def test_without_a_verb_the_help_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["oddpair"])
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr()
    assert "Usage" in said.out + said.err
    assert "Traceback" not in said.err


def test_a_long_text_is_no_path(folder, tmp_path):
    text = "a cat and a dog " * 40
    assert invoke("search", folder, text, "--out", tmp_path / "s.html", "--workers", 1) is None


def test_a_refused_split_leaves_no_begun_stage(folder, tmp_path):
    (tmp_path / "one.txt").write_text("cat\n")
    options = ("--vocabulary", tmp_path / "one.txt")
    line = invoke(*CORPUS_VERBS["unseen-pairs"](folder, tmp_path / "pairs"), *options)
    assert line is not None
    assert "lower minimum_count in the recipe" in line
    assert not (tmp_path / "pairs" / "splits").exists()
    assert (tmp_path / "pairs" / "work" / "counts" / "done.json").is_file()
    line = invoke(*CORPUS_VERBS["style-strict"](folder, tmp_path / "styles"))
    assert line is not None
    assert "precision" in line
    assert not (tmp_path / "styles" / "splits").exists()
