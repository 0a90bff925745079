"""``oddpair label`` as a person runs it: drawn once, labelled, killed, gone on with, reported and read again."""

import json
import re
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from tests.command import files_in, run
from tests.label_client import Client, serving

from oddpair import files
from oddpair.commands.label_server import Server
from oddpair.errors import Refusal
from oddpair.splits.labelling.labels import drawn_at_random, identify_labels, read_labels, read_labels_table
from oddpair.splits.manifest import Manifest, write_manifest


@pytest.fixture
def out(tmp_path):
    return tmp_path / "labels"


@pytest.fixture
def label(monkeypatch, out):
    """Run the verb, and do something while it serves its page."""

    def start(corpus, act=lambda client: None, *options, annotator="ann"):
        def serve(server, poll_interval):
            with serving(server) as client:
                act(client)

        with monkeypatch.context() as patch:
            patch.setattr(Server, "serve_forever", serve)
            return run("label", corpus, "--out", out, "--annotator", annotator, *options)

    return start


def label_all(name):
    def act(client):
        while items := client.page(50)["items"]:
            client.label(items, name)

    return act


def test_two_people_label_and_the_report_says_how_far_they_agree(drawn, out, label):
    def bob(client):
        items = client.page(40)["items"]
        client.label(items[:4], "rendition")
        client.label(items[4:10], "natural")

    status, told = label(drawn, label_all("natural"), "--sample", 40, "--overlap", 10)
    assert status == 0
    assert "40 pictures were drawn, 40 in all" in told
    assert re.search(r"label at http://127\.0\.0\.1:\d+/[\w-]{32}/", told)
    assert "ann: 40 labelled, 40 natural (100.0%), 0 rendition (0.0%), 0 ambiguous (0.0%)" in told
    status, told = label(drawn, bob, annotator="bob")
    assert status == 0
    assert "drawn, 40 in all" not in told
    assert "ann and bob: kappa 0.000, 95% 0.000 to 0.000; 6 of 10 alike (60.0%" in told
    status, told = run("label", out, "--report")
    assert status == 0
    assert "with a label: 36: 36 natural (100.0%)" in told
    assert "left out, since people do not agree: 4 of 4 disputes" in told
    table = pq.read_table(out / "labels.parquet")
    assert table.column_names == ["uid", "label", "drawn", "people"]
    assert dict(zip(table["uid"].to_pylist(), table["label"].to_pylist(), strict=True)) == read_labels(out)
    assert sorted(table["people"].to_pylist()) == [1] * 30 + [2] * 6
    assert read_labels(out / "labels.parquet") == read_labels(out)
    assert drawn_at_random(out / "labels.parquet") == set(read_labels(out)) < drawn_at_random(out)
    page = (out / "report.html").read_text()
    assert "Disputes" in page
    assert page.count("ann: natural, bob: rendition") == 4


def test_the_report_has_the_same_bytes_every_time_and_changes_no_label(drawn, out, label):
    label(drawn, label_all("natural"), "--sample", 10)
    run("label", out, "--report")
    before, hashed = files_in(out), identify_labels(out)
    run("label", out, "--report")
    assert files_in(out) == before
    assert identify_labels(out) == hashed


def test_a_larger_sample_by_class_is_added_to_what_was_labelled(drawn, out, label, tmp_path):
    label(drawn, label_all("natural"), "--sample", 20, "--seed", 4, "--overlap", 5)
    status, told = label(drawn, label_all("rendition"), "--sample", 30)
    assert "10 pictures were drawn, 30 in all" in told
    status, told = label(
        drawn, label_all("ambiguous"), "--queue", "by-class", "--groups", "style", "--sample", 12
    )
    assert status == 0
    assert "12 pictures were drawn, 42 in all" in told
    plan = files.read_json(out / "plan.json")
    assert [(draw["queue"], draw["sample"], draw["seed"]) for draw in plan["draws"]] == [
        ("random", 20, 4), ("random", 30, 4), ("by-class", 12, 0),
    ]  # fmt: skip
    assert len(drawn_at_random(out)) == 30
    ways = read_labels_table(out).drawn
    assert ways is not None
    assert sorted(set(ways.values())) == ["enriched", "random"]
    # The rows that were drawn are groups for a draw as well, and those of a split a list to draw from.
    uids = sorted(read_labels(out))
    write_manifest(tmp_path / "split", Manifest(name="split", recipe="by_hand", uids=uids[:7]))
    status, told = label(drawn, lambda client: None, "--uids", tmp_path / "split")
    assert status == 2
    assert "not drawn yet" in told


def test_a_split_and_a_list_are_labelled_whole(drawn, out, label, tmp_path):
    label(drawn, label_all("natural"), "--sample", 6)
    uids = sorted(read_labels(out))
    write_manifest(tmp_path / "split", Manifest(name="split", recipe="by_hand", uids=uids))
    (tmp_path / "uids.txt").write_text("\n".join([*uids, "nobody", ""]))
    found = []
    for source in ("split", "uids.txt"):
        labels = tmp_path / f"labels-{source}"
        assert (
            label(drawn, label_all("x"), "--uids", tmp_path / source, "--out", labels, "--classes", "x,y")[0]
            == 0
        )
        found.append(read_labels(labels))
        assert drawn_at_random(labels) == set()
    assert found == [dict.fromkeys(uids, "x")] * 2


def test_groups_may_be_splits_and_tables(drawn, out, label, tmp_path):
    label(drawn, label_all("natural"), "--sample", 30)
    uids = sorted(read_labels(out))
    write_manifest(tmp_path / "split", Manifest(name="split", recipe="by_hand", uids=uids[:10]))
    (tmp_path / "table.csv").write_text("uid,label\n" + "".join(f"{uid},far\n" for uid in uids[5:]))
    labels = tmp_path / "grouped"
    groups = ["--groups", tmp_path / "split", "--groups", tmp_path / "table.csv"]
    status, _ = label(
        drawn, label_all("natural"), "--queue", "by-class", *groups, "--sample", 12, "--out", labels
    )
    assert status == 0
    taken = set(read_labels(labels))
    assert len(taken & set(uids[:10])) == len(taken & set(uids[10:])) == 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--annotator", "a/b"], "--annotator 'a/b': give up to 40 letters"),
        (["--annotator", ".."], "--annotator '..': give up to 40 letters"),
        (["--classes", "one"], "--classes one: give two to 9 different labels"),
        (["--classes", "a,a"], "--classes a,a: give two to 9"),
        (["--classes", "a,"], "'' is no label"),
        (["--queue", "by-class"], "--queue by-class needs --groups"),
        (["--groups", "style"], "--queue by-class needs --groups"),
        (["--queue", "by-class", "--groups", "style", "--groups", "gone"], "style does not exist"),
        (["--uids", "gone"], "--uids gone is neither a file of uids"),
        (["--review"], "holds no labels yet: label first"),
        (["--review", "--sample", "3"], "--review draws nothing"),
        (["--report"], "--report takes nothing but the folder of labels"),
        (["--subset", "gone"], "gone cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(drawn, out, label, options, told):
    status, line = label(drawn, lambda client: None, *options)
    assert status == 2
    assert told in line
    assert not (out / "plan.json").exists()


def test_a_folder_keeps_its_classes_its_corpus_and_its_place(
    drawn, out, label, write_folder, as_bytes, noise, tmp_path
):
    label(drawn, label_all("x"), "--sample", 5, "--classes", "x,y")
    status, line = label(drawn, lambda client: None, "--classes", "y,x")
    assert (status, "has x,y: leave the option out" in line) == (2, True)
    other = write_folder(tmp_path / "other", {"0.png": as_bytes(noise(0))}, ["a"])
    status, line = label(other)
    assert (status, "give the corpus that was labelled" in line) == (2, True)
    assert run("label", drawn, "--out", drawn / "labels", "--annotator", "ann")[0] == 2
    assert run("label", other, "--report") == (
        2,
        f"{other} holds no labels: give the folder that oddpair label wrote",
    )
    status, line = label(drawn, lambda client: None, "--review")
    assert (status, "nothing is in dispute" in line) == (2, True)


def test_a_corpus_without_pictures_is_refused(out, tmp_path):
    import pyarrow as pa

    files.write_table(
        tmp_path / "corpus" / f"{0:032x}.parquet", pa.table({"uid": [f"{0:032x}"], "text": ["x"]})
    )
    status, line = run("label", tmp_path / "corpus", "--out", out, "--annotator", "ann")
    assert (status, "has no pictures to label" in line) == (2, True)


def test_one_person_labels_in_one_process_at_a_time(drawn, out, label):
    def again(client):
        status, line = run("label", drawn, "--out", out, "--annotator", "ann")
        assert (status, "is in use by process" in line) == (2, True)

    assert label(drawn, again, "--sample", 5)[0] == 0


def test_a_port_that_is_taken_is_refused(drawn, out, label):
    def again(client):
        status, line = run("label", drawn, "--out", out, "--annotator", "bob", "--port", client.port)
        assert (status, f"--port {client.port}: Address already in use" in line) == (2, True)

    assert label(drawn, again, "--sample", 5)[0] == 0


def test_what_is_damaged_in_the_labels_is_refused_with_its_line(drawn, out, label):
    label(drawn, label_all("natural"), "--sample", 5)
    path = out / "annotators" / "ann" / "labels.jsonl"
    path.write_bytes(path.read_bytes() + b"{}\n")
    status, line = label(drawn)
    assert (status, "labels.jsonl line 6 needs annotator" in line) == (2, True)
    with pytest.raises(Refusal, match="line 6"):
        read_labels(out)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_run_that_is_stopped_goes_on_where_it_was(drawn, out, number):
    def start(*options):
        command = [
            sys.executable,
            "-m",
            "oddpair.cli",
            "label",
            drawn,
            "--out",
            out,
            "--annotator",
            "ann",
            *options,
        ]
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/", line)
            if found:
                return process, Client(int(found[1]), found[2])
        raise AssertionError(process.communicate())

    process, client = start("--sample", 20, "--recheck", 0)
    page = client.page(5)["items"]
    client.label(page[:2], "natural")
    process.send_signal(number)
    told = "".join(process.communicate(timeout=20))
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "ann: 2 labelled" in told
    path = out / "annotators" / "ann" / "labels.jsonl"
    with path.open("ab") as file:
        file.write(b'{"annotator": "an')
    process, client = start()
    again = client.page(5)
    assert again["done"] == 2
    assert again["items"][:3] == page[2:]
    client.label(again["items"][:1], "rendition")
    process.kill()
    process.communicate(timeout=20)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["order"], line["label"]) for line in lines] == [
        (1, "natural"),
        (1, "natural"),
        (2, "rendition"),
    ]
    assert len(read_labels(out)) == 3
