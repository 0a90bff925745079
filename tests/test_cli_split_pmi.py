"""``oddpair split pmi-bands`` and ``verify`` by their command line."""

import dataclasses
import itertools

import pytest
from tests.command import files_in, run
from tests.splits.pair_data import WORDS, count_captions, draw_captions, write_captions, write_pairs

from oddpair.splits.manifest import read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("no_network")
SETTINGS = ("--set", "bands=3", "--set", "cell=0.5", "--set", "tail=0.1")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bands")
    path = write_captions(folder / "captions.parquet", draw_captions(n=1500))
    count_captions(path, folder / "counts")
    write_pairs(folder / "pictures", itertools.combinations(WORDS, 2), 1)
    return folder


@pytest.fixture(scope="module")
def made(place):
    status, said = run(
        *("split", "pmi-bands", "--counts", place / "counts", "--corpus", place / "captions.parquet"),
        *("--tests", f"made={place / 'pictures'}", "--out", place / "out", *SETTINGS),
    )
    assert status == 0, said
    return place / "out" / "splits", said


def test_a_run_says_what_each_band_holds_and_leaves_the_table_of_pairs(made):
    folder, said = made
    assert "made-band-1-of-3: " in said
    assert "the plain PMI of each pair is in part 1 of 3, from low to high" in said
    assert (folder / "bands.parquet").is_file()
    assert (folder / "card.html").is_file()


def test_a_dry_run_says_the_same_and_writes_nothing(place, made, tmp_path):
    status, said = run(
        *("split", "pmi-bands", "--counts", place / "counts", "--corpus", place / "captions.parquet"),
        *("--tests", f"made={place / 'pictures'}", "--out", tmp_path / "out", "--dry-run", *SETTINGS),
    )
    assert status == 0
    assert said.endswith("nothing was written\n")
    assert sorted(said.splitlines()[:-1]) == sorted(made[1].splitlines()[:-1])
    assert not files_in(tmp_path)


def test_every_split_is_verified_in_its_corpus(made):
    for name in ("made-band-2-of-3", "made-unseen", "made-top"):
        status, said = run("verify", made[0] / name, stream="stdout")
        assert status == 0, said
        assert "DOES NOT HOLD" not in said
        assert "counted again in the corpus" in said


def test_a_split_with_pictures_of_another_band_is_refused_in_one_line(made, tmp_path):
    folder = made[0] / "made-band-3-of-3"
    split, other = read_manifest(folder), read_manifest(made[0] / "made-band-1-of-3")
    forged = made[0].parent / "forged" / "made"
    write_manifest(
        forged, dataclasses.replace(split, uids=sorted([other.uids[0].as_py(), *split.uids.to_pylist()[1:]]))
    )
    status, said = run("verify", forged)
    assert status == 2
    assert "make the split again" in said


def test_a_split_made_again_from_its_folder_has_the_same_bytes(made, tmp_path):
    status, said = run("split", made[0] / "made-top", "--out", tmp_path / "again")
    assert status == 0, said
    for name in ("made-top", "made-band-1-of-3"):
        assert files_in(tmp_path / "again" / "splits" / name) == files_in(made[0] / name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "a recipe of kind pmi-bands needs --counts"),
        (
            ("--counts", "COUNTS", "--labels", "x.csv"),
            "--labels: a recipe of kind pmi-bands makes no use of it",
        ),
        (
            ("--counts", "COUNTS", "--set", "pmi=exact"),
            "pmi is 'exact', one of plain, smoothed, normalised, published",
        ),
        (("--counts", "COUNTS", "--set", "bands=1"), "bands is 1: it must be 2 to 100"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_and_nothing_is_written(place, tmp_path, options, said):
    given = [place / "counts" if option == "COUNTS" else option for option in options]
    status, line = run("split", "pmi-bands", *given, "--out", tmp_path / "out")
    assert status == 2
    assert said in line
    assert not files_in(tmp_path)
