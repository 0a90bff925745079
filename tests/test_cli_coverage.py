"""``oddpair coverage`` as a user runs it: a split, a copy whose links have rotted, and a split of what is left."""

import json

import pyarrow as pa
import pytest
from tests.command import files_in, run

from oddpair.files import read_json
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest

LEFT = [0, 1, 2, 5, 6]


def image(number):
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 3), (number, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write(folder, shards, *, uids):
    for index, numbers in enumerate(shards):
        columns = {
            "url": [f"http://example.org/{number}" for number in numbers],
            "style": ["photo" if number % 2 else "sketch" for number in numbers],
        }
        if uids:
            columns["uid"] = [f"{number:032x}" for number in numbers]
        write_shard(
            folder,
            index,
            keys=make_keys(index, len(numbers)),
            captions=[f"thing {number}" for number in numbers],
            images=[image(number) for number in numbers],
            columns=pa.table(columns),
        )
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A corpus of ten rows, a split of its first eight, copies with and without uids, and the split's hashes."""
    folder = tmp_path_factory.mktemp("coverage")
    write(folder / "corpus", [range(5), range(5, 10)], uids=True)
    write(folder / "copy", [[9, *LEFT[:2]], LEFT[2:]], uids=True)
    write(folder / "other", [[9, *LEFT[:2]], LEFT[2:]], uids=False)
    uids = [f"{number:032x}" for number in range(8)]
    write_manifest(folder / "some", Manifest(name="some", recipe="hand", uids=uids))
    hashes = ("--corpus", folder / "corpus", "--as", "url-hash", "--out", folder / "hashes")
    assert run("export", folder / "some", *hashes)[0] == 0
    return folder


def test_what_is_left_is_told_and_written(place, tmp_path):
    out = tmp_path / "out"
    status, said = run("coverage", place / "some", place / "copy", "--out", out)
    assert status == 0
    assert "some: 5 of 8 rows are there (62.5%)" in said
    assert "missing, not listed: 3" in said
    report = read_json(out / "coverage.json")
    assert (report["rows"], report["found"], report["missing"]) == (8, 5, {"not listed": 3})
    assert report["shards"] == {"00000": {"found": 2, "lost": 0}, "00001": {"found": 3, "lost": 0}}
    lost = [json.loads(line)["uid"] for line in (out / "missing.jsonl").read_text().splitlines()]
    assert lost == [f"{number:032x}" for number in (3, 4, 7)]
    left = read_manifest(out / "splits" / "some")
    assert left.uids.to_pylist() == [f"{number:032x}" for number in LEFT]
    assert left.statement == ()
    assert left.card == (("rows of split some that are left in this copy", "5 of 8"),)
    before = files_in(out)
    assert run("coverage", place / "some", place / "copy", "--out", out)[0] == 0
    assert files_in(out) == before


@pytest.mark.parametrize("by", [False, True])
def test_the_split_of_what_is_left_is_verified_and_exported_without_a_word_of_the_copy(place, tmp_path, by):
    copy = place / ("other" if by else "copy")
    options = ("--by", place / "hashes" / "some.parquet") if by else ()
    status, said = run("coverage", place / "some", copy, *options, "--out", tmp_path / "out")
    assert status == 0
    assert ("found by url and caption: 5" if by else "found by uid: 5") in said
    left = tmp_path / "out" / "splits" / "some"
    assert run("verify", left)[0] == 0
    assert run("export", left, "--out", tmp_path / "shards")[0] == 0
    captions = open_corpus(tmp_path / "shards").metadata()["caption"].to_pylist()
    assert sorted(captions) == [f"thing {number}" for number in LEFT]


def test_a_copy_with_other_uids_has_nothing_by_uid_and_says_how_to_look(place, tmp_path):
    status, said = run("coverage", place / "some", place / "other", "--out", tmp_path / "out")
    assert status == 0
    assert "some: 0 of 8 rows are there (0.0%)" in said
    assert "--by, a table of oddpair export --as url-hash" in said
    assert not (tmp_path / "out" / "splits").exists()


def test_rows_are_counted_by_columns_of_the_original(place, tmp_path):
    options = ("--column", "style", "--original", place / "corpus")
    status, said = run("coverage", place / "some", place / "copy", *options, "--out", tmp_path / "out")
    assert status == 0
    assert said.index("style=photo: 2 of 4") < said.index("style=sketch: 3 of 4")
    assert read_json(tmp_path / "out" / "coverage.json")["columns"] == {
        "style": {"photo": {"rows": 4, "found": 2}, "sketch": {"rows": 4, "found": 3}}
    }


def test_a_machine_is_given_one_line(place, tmp_path):
    status, said = run(
        "coverage", place / "some", place / "copy", "--json", "--out", tmp_path / "out", stream="stdout"
    )
    assert status == 0
    assert json.loads(said) == read_json(tmp_path / "out" / "coverage.json")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--original", "{place}/corpus"),
            "--original is read for its columns alone: name one with --column",
        ),
        (("--by", "{place}/none"), "none does not exist: check the path"),
        (("--by", "{place}/some/uids.parquet"), "uids.parquet has no column"),
        (("--column", "style"), "name it with --corpus"),
        (("--column", "look", "--original", "{place}/corpus"), "has no column 'look'"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(place, tmp_path, options, expected):
    given = [option.format(place=place) for option in options]
    status, line = run("coverage", place / "some", place / "copy", *given, "--out", tmp_path / "out")
    assert status == 2
    assert expected in line
    assert files_in(tmp_path / "out") == {}


def test_a_column_that_is_not_there_is_refused_before_the_copy_is_searched(place, tmp_path, monkeypatch):
    def fail(*_):
        raise AssertionError("the copy was searched")

    monkeypatch.setattr("oddpair.commands.coverage.cover", fail)
    options = ("--column", "nope", "--original", place / "corpus", "--out", tmp_path / "out")
    status, line = run("coverage", place / "some", place / "copy", *options)
    assert status == 2
    assert "has no column 'nope'" in line


def test_a_copy_that_lists_no_failed_row_is_not_said_to_have_all_that_it_lists(place, tmp_path):
    said = run("coverage", place / "some", place / "copy", "--out", tmp_path / "out")[1]
    assert "the copy lists no failed row: what it lacks may have rotted or never been asked for" in said
    assert "100.0%" not in said
