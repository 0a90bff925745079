import csv
import dataclasses
import functools
import json
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from tests.command import run as run_command

from oddpair import files, stages
from oddpair.commands.graph import graph_pairs
from oddpair.commands.graph_page import write_rows
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts_file import read_counts, write_counts
from oddpair.retrieval.vocabulary_file import load_vocabulary, save_vocabulary

pytestmark = pytest.mark.usefixtures("no_network")

CAPTIONS = ["cat dog", "cat tree", "dog tree", "cat", "cat dog", "tree bird", "bird", "fish"]


run = functools.partial(run_command, stream="stdout")


@pytest.fixture
def counts(tmp_path):
    """Write the counts of a few captions as ``oddpair count`` does."""
    vocabulary = build_vocabulary(["cat", "dog", "tree", "pine tree", "bird", "fish", "unicorn"])
    mentions = sparse.csr_array([[name in text.split() for name in vocabulary.names] for text in CAPTIONS])
    folder = tmp_path / "counts"
    stages.begin(folder, {"corpus": "some"})
    write_counts(folder, count(mentions, vocabulary=vocabulary))
    save_vocabulary(folder / "vocabulary.txt", vocabulary)
    stages.finish(folder)
    return folder


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("Dogs, cat\nbird, cats\nfish\tdog\nunicorn,cat\n")
    return path


def test_pairs_become_a_table_a_page_and_a_summary(counts, pairs, tmp_path):
    code, said = run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out")
    assert (code, said.splitlines()[0]) == (
        0,
        "4 pairs: 1 seen together in 8 captions, 2 unseen, 0 not counted",
    )
    assert "of the unseen 2 supported, 1 identifiable, 1 both" in said
    assert "    1 absent: one of their concepts is in no caption" in said
    rows = files.read_table(tmp_path / "out" / "graph.parquet").to_pylist()
    assert [(row["a"], row["b"], row["status"], row["path"]) for row in rows] == [
        ("cat", "dog", "seen", 1),
        ("cat", "bird", "unseen", 2),
        ("cat", "unicorn", "absent", None),
        ("dog", "fish", "unseen", None),
    ]
    assert rows[0]["expected"] == 4 * 3 / 8
    assert rows[0]["strongest"] == ["tree"]
    with (tmp_path / "out" / "graph.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == list(rows[0])
    assert [line["count_text"] for line in lines] == ["2", "0", "0", "0"]
    assert (lines[0]["identifiable"], lines[2]["pmi"], lines[1]["pmi"]) == ("true", "", "-inf")
    page = (tmp_path / "out" / "graph.html").read_text()
    for words in (
        "together in no counted caption, though each",
        "arXiv:2307.05596",
        "necessary there",
        "unseen, identifiable, n = 1",
        "chance",
    ):
        assert words in page
    assert "<script" not in page
    assert "not counted: neither seen nor unseen" in page
    assert "rules mentions, overlap all" in page


def test_json_is_one_line_and_a_second_run_does_nothing(counts, pairs, tmp_path):
    command = ("graph", counts, "--pairs", pairs, "--out", tmp_path / "out", "--json")
    code, said = run(*command)
    assert code == 0
    assert said.count("\n") == 1
    found = json.loads(said)
    assert (found["pairs"], found["captions"], found["out"]) == (4, 8, str(tmp_path / "out"))
    assert found["statuses"]["unseen"] == {"pairs": 2, "supported": 2, "identifiable": 1, "both": 1}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir() if path.name != ".lock"}
    assert run(*command) == (0, said)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_folder_gets_the_same_bytes(counts, pairs, tmp_path):
    for name in ("one", "other"):
        assert run("graph", counts, "--pairs", pairs, "--out", tmp_path / name)[0] == 0
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes() or path.name == ".lock"


def test_other_settings_in_the_same_folder_are_refused_by_name(counts, pairs, tmp_path):
    assert run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out")[0] == 0
    code, line = run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out", "--minimum", 2)
    assert code == 2
    assert "minimum" in line


@pytest.mark.parametrize(
    "name", ["counts.parquet", "pairs.parquet", "nested.parquet", "meta.json", "vocabulary.txt"]
)
def test_counts_that_are_not_whole_are_refused_and_nothing_is_left(counts, pairs, tmp_path, name):
    (counts / name).unlink()
    code, line = run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out")
    assert code == 2
    assert re.search(rf"{name} does not exist, but was counted: run oddpair count again", line)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name != ".lock"]


def test_pairs_that_the_vocabulary_lacks_are_refused_and_may_be_mended_in_the_same_folder(
    counts, pairs, tmp_path
):
    command = ("graph", counts, "--pairs", pairs, "--out", tmp_path / "out")
    pairs.write_text("cat,dgo\n")
    assert run(*command) == (
        2,
        f"{pairs} line 1: concept 'dgo' is not among the 7 counted; did you mean 'dog'?",
    )
    pairs.write_text("tree,pine tree\n")
    assert "are nested and no pair" in run(*command)[1]
    pairs.write_text("cat,dog\n")
    assert run(*command)[0] == 0


def test_the_folder_of_the_counts_is_not_written_to(counts, pairs, tmp_path):
    before = sorted(path.name for path in counts.iterdir())
    code, line = run("graph", counts, "--pairs", pairs, "--out", counts)
    assert (code, "which stay as they are: choose another --out" in line) == (2, True)
    assert "which stay as they are" in run("graph", counts, "--pairs", pairs, "--out", counts / "a" / "b")[1]
    assert sorted(path.name for path in counts.iterdir()) == before
    assert (
        "does not exist: give the folder"
        in run("graph", tmp_path / "none", "--pairs", pairs, "--out", tmp_path / "out")[1]
    )
    assert (
        "none.txt does not exist"
        in run("graph", counts, "--pairs", tmp_path / "none.txt", "--out", tmp_path / "out")[1]
    )


@pytest.mark.parametrize("at_once", [1, 3, 4096])
def test_rows_are_the_same_bytes_however_many_are_text_at_once(tmp_path, monkeypatch, at_once):
    table = pa.table(
        {
            "name": ["=cmd|' /C calc'!A0", 'a "b", c', "two\nlines", "\u202eü\x1b[2J", "@x; -1"],
            "number": [1.0, -math.inf, 1e-7, 123456789012345680.0, None],
            "count": [0, None, -3, 2**62, 5],
            "list": [["=a", "b"], [], [None], None, ["c"]],
        }
    )
    monkeypatch.setattr("oddpair.commands.graph_page._ROWS_AT_ONCE", at_once)
    write_rows(tmp_path / "rows.csv", table)
    assert (tmp_path / "rows.csv").read_bytes() == (
        b"name,number,count,list\n"
        b"=cmd|' /C calc'!A0,1.0,0,=a; b\n"
        b'"a ""b"", c",-inf,,\n'
        b'"two\nlines",1e-07,-3,None\n'
        + "\u202eü\x1b[2J,1.2345678901234568e+17,4611686018427387904,\n".encode()
        + b"@x; -1,,5,c\n"
    )
    write_rows(tmp_path / "none.csv", table.slice(0, 0))
    assert (tmp_path / "none.csv").read_bytes() == b"name,number,count,list\n"


def test_progress_is_told_of_many_pairs_only_and_changes_nothing(
    counts, pairs, tmp_path, monkeypatch, capsys
):
    graph_pairs(counts, pairs, tmp_path / "few", minimum=1, support=1)
    assert "follow pairs" not in capsys.readouterr().err
    monkeypatch.setattr("oddpair.commands.graph._MANY_PAIRS", 3)
    graph_pairs(counts, pairs, tmp_path / "many", minimum=1, support=1)
    assert "follow pairs: 4 pairs in " in capsys.readouterr().err
    for name in ("graph.parquet", "graph.csv", "graph.html", "summary.json"):
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_a_page_of_pairs_that_nobody_sees_or_expects_is_drawn(counts, tmp_path):
    (tmp_path / "pairs.tsv").write_text("a\tb\nunicorn\tcat\n")
    assert run("graph", counts, "--pairs", tmp_path / "pairs.tsv", "--out", tmp_path / "out")[0] == 0
    page = (tmp_path / "out" / "graph.html").read_text()
    assert "a concept is absent, n = 1" in page
    assert "seen together, n" not in page


def test_a_plot_of_very_many_pairs_says_how_many_it_leaves_out(counts, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("oddpair.commands.graph_plot._MOST_POINTS", 1)
    pairs.write_text("cat,dog\ncat,tree\n")
    assert run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out")[0] == 0
    page = (tmp_path / "out" / "graph.html").read_text()
    assert "Not drawn, as there are so many of their kind: 1." in page
    assert "seen together, n = 2" in page


def test_counts_of_a_paper_s_rules_and_of_a_tagger_are_marked(counts, pairs, tmp_path):
    meta = files.read_json(counts / "meta.json")
    meta |= {
        "counting": {"rules": "unigrams", "paper": "arXiv:2404.04125", "check": "unverified against spaCy"},
        "tagger": {"kind": "zero-shot", "encoder": {"name": "0123<b>"}, "same_encoder": True},
        "tag_threshold": 0.3,
    }
    files.write_json(counts / "meta.json", meta)
    stages.finish(counts)
    code, said = run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(said)["counting"] == meta["counting"]
    page = (tmp_path / "out" / "graph.html").read_text()
    assert "rules unigrams, paper arXiv:2404.04125, check unverified against spaCy" in page
    assert "tags by 0123&lt;b&gt;, zero-shot, a model under evaluation" in page
    assert "{" not in page[page.index("how concepts were found") :][:600]
    marks = pq.read_schema(tmp_path / "out" / "graph.parquet").metadata
    assert json.loads(marks[b"oddpair.counting"]) == meta["counting"]
    assert json.loads(marks[b"oddpair.tagger"]) == meta["tagger"]
    assert (
        "    counted: captions by the rules of unigrams, arXiv:2404.04125, unverified against spaCy; tags by 0123<b>"
        in run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out")[1]
    )


def test_a_pair_that_is_nested_by_the_rules_of_the_count_is_no_pair(counts, pairs, tmp_path):
    vocabulary = load_vocabulary(counts / "vocabulary.txt")
    ids = sorted(vocabulary.names.index(name) for name in ("cat", "bird"))
    keys = np.array([ids[0] * len(vocabulary) + ids[1]])
    write_counts(counts, dataclasses.replace(read_counts(counts), nested=keys))
    stages.finish(counts)
    code, said = run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out")
    assert code == 0
    assert "    1 no pair: mentioned together by construction" in said
    assert "count again" not in said
    rows = files.read_table(tmp_path / "out" / "graph.parquet").to_pylist()
    assert [(row["a"], row["b"], row["count_text"]) for row in rows if row["status"] == "nested"] == [
        ("cat", "bird", None)
    ]
    assert ",nested," in (tmp_path / "out" / "graph.csv").read_text()
    assert files.read_json(tmp_path / "out" / "summary.json")["statuses"]["nested"]["pairs"] == 1
    assert "nested, no pair, n = 1" in (tmp_path / "out" / "graph.html").read_text()


def finished(damage):
    """Damage a folder whose record then fits, as whoever edits it by hand might leave it."""

    def apply(folder):
        damage(folder)
        stages.finish(folder)

    return apply


def tell(**changes):
    return finished(
        lambda folder: files.write_json(folder / "meta.json", files.read_json(folder / "meta.json") | changes)
    )


def rename(names):
    def apply(folder):
        table = pq.read_table(folder / "counts.parquet")
        files.write_table(
            folder / "counts.parquet", table.set_column(1, "name", names(table["name"].to_pylist()))
        )

    return finished(apply)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (tell(counting=5), "lacks counting, or gives another type"),
        (tell(counting="x"), "lacks counting"),
        (tell(tagger="x"), "lacks tagger"),
        (tell(tagger=[1]), "lacks tagger"),
        (tell(tag_threshold="x"), "lacks tag_threshold"),
        (tell(n=10**30), "lacks n"),
        (rename(lambda names: pa.array([None, *names[1:]])), "name is string with 1 nulls"),
        (rename(lambda names: pa.array(range(len(names)))), "name is int64 with 0 nulls"),
        (rename(lambda names: pa.array(names[::-1])), "names 'unicorn' as concept 0, its vocabulary 'cat'"),
        (lambda folder: (folder / "done.json").unlink(), "is not finished: run oddpair count again"),
        (lambda folder: (folder / "pairs.parquet").write_bytes(b"x"), "has changed since it was counted"),
    ],
)
def test_counts_that_were_tampered_with_are_refused_before_anything_is_written(
    counts, pairs, tmp_path, damage, found
):
    damage(counts)
    code, line = run("graph", counts, "--pairs", pairs, "--out", tmp_path / "out")
    assert (code, found in line) == (2, True), line
    assert not [path for path in (tmp_path / "out").iterdir() if path.name != ".lock"]
