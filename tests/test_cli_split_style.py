"""``oddpair split style-strict`` and ``verify``, from labelled embeddings to manifests and back."""

from dataclasses import replace

import pyarrow as pa
import pytest
from tests.command import files_in, run
from tests.splits.style_data import plant, plant_tests, write_inputs

from oddpair import files
from oddpair.splits.manifest import as_uids, read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("no_network")

SETTINGS = ["precision=0.7", "quantile=0.9", "natural_tests=[val]", "rendition_tests=[sketches]"]


def sets(*values):
    return [part for value in values for part in ("--set", value)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A labelled corpus and two test sets that hold embeddings, to be taken over."""
    folder = tmp_path_factory.mktemp("world")
    write_inputs(folder, plant(), tests=plant_tests())
    return folder


def options(world, *more):
    return [
        "--corpus", world / "corpus", "--tests", f"val={world / 'val'}", "--tests", f"sketches={world / 'sketches'}",
        "--workers", 1, *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "run"
    code, said = run("split", "style-strict", *options(world, "--out", out, *sets(*SETTINGS)))
    assert code == 0, said
    return out, said


def test_the_command_makes_splits_and_clean_tests_and_says_what_they_guarantee(made):
    out, said = made
    found = sorted(path.parent.name for path in out.glob("splits/*/manifest.json"))
    assert found == ["clean-sketches", "clean-val", "natural-strict", "rendition-strict"]
    assert "of the rows are of the other style, 95%" in said
    assert "to a rendition test picture (sketches): the 0.9 quantile of" in said
    page = (out / "splits" / "card.html").read_text()
    assert "Similarity to the nearest rendition test picture" in page
    assert "Clean test sets" in page


def test_a_dry_run_says_the_same_and_writes_no_split(world, made, tmp_path):
    out = tmp_path / "dry"
    code, said = run("split", "style-strict", *options(world, "--out", out, "--dry-run", *sets(*SETTINGS)))
    assert code == 0, said
    assert said.splitlines()[-1] == "nothing was written"
    told = [line for line in said.splitlines() if line.startswith(("natural", "    at most"))]
    assert told
    assert all(line in made[1].splitlines() for line in told)
    assert not (out / "splits").exists()


def test_every_split_verifies_from_where_it_lies(made):
    for split in sorted(made[0].glob("splits/*/manifest.json")):
        code, said = run("verify", split.parent)
        assert code == 0, said
        assert "DOES NOT HOLD" not in said
        assert "holds: every" in said


def test_a_forged_split_is_refused_in_one_line(made, tmp_path):
    out, _ = made
    natural, rendition = (
        read_manifest(out / "splits" / f"{name}-strict") for name in ("natural", "rendition")
    )
    uids = sorted([*natural.uids.to_pylist()[1:], rendition.uids[0].as_py()])
    forged = tmp_path / "splits" / "natural-strict"
    write_manifest(forged, replace(natural, uids=as_uids(uids)))
    files.write_json(tmp_path / "sources.json", files.read_json(out / "sources.json"))
    code, line = run("verify", forged)
    assert code == 2
    assert "every row is natural by its hand label" in line
    assert "1 rows of another class" in line


def test_a_split_is_made_again_from_its_manifest_to_the_same_bytes(made, tmp_path):
    out, _ = made
    again = tmp_path / "again"
    code, said = run("split", out / "splits" / "natural-strict", "--out", again, "--workers", 1)
    assert code == 0, said
    for name in ("natural-strict", "rendition-strict", "clean-val"):
        assert files_in(again / "splits" / name) == files_in(out / "splits" / name)


def test_a_finished_run_is_left_as_it_is(world, made):
    out, said = made
    before = files_in(out)
    code, again = run("split", "style-strict", *options(world, "--out", out, *sets(*SETTINGS)))
    assert code == 0
    assert said.endswith(again)
    assert files_in(out) == before


def test_labels_of_a_table_are_read_instead_of_a_column(world, tmp_path):
    _, _, styles, uids = plant()
    table = pa.table({"uid": uids[:600], "label": ["natural" if s == "photo" else s for s in styles[:600]]})
    files.write_table(tmp_path / "labels.parquet", table)
    code, said = run(
        "split", "style-strict",
        *options(world, "--out", tmp_path / "out", "--labels", tmp_path / "labels.parquet", *sets(*SETTINGS)),
    )  # fmt: skip
    assert code == 0, said
    code, said = run("verify", tmp_path / "out" / "splits" / "rendition-strict")
    assert code == 0, said


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            ["rendition_tests=[sketches,r]"],
            "rendition_tests names 'r', and no such test set is given: add --tests r=PATH",
        ),
        (
            ["natural_tests=[]"],
            "test set 'val' is of no style: name it in natural_tests or in rendition_tests",
        ),
        (["precision=2"], "precision is 2.0: it must lie between 0 and 1"),
        (["labels_are=by-class"], "no labelled row is known to be drawn at random"),
        (
            ["classifier=guess"],
            "classifier is 'guess', one of probe, density-ratio, centroid, knn, fine-tune",
        ),
        (["classifier=fine-tune"], "classifier fine-tune looks at pictures, and only embeddings were given"),
        (["precision=0.999"], "270 labelled rows cannot certify precision 0.999 at 95% confidence"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_in_one_line(world, tmp_path, settings, line):
    code, said = run(
        "split", "style-strict", *options(world, "--out", tmp_path / "out", *sets(*SETTINGS, *settings))
    )
    assert code == 2
    assert line in said
    assert not (tmp_path / "out" / "splits").exists()
