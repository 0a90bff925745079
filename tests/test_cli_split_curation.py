"""``oddpair split`` and ``verify`` for balanced, prototypes and importance: from a corpus to manifests and back."""

from dataclasses import replace

import pytest
from tests.command import files_in, run
from tests.retrieval.stored_folder import write_stored
from tests.splits.caption_data import name, write_captions
from tests.splits.curation.test_prototypes import draw
from tests.splits.recipes.test_importance import captions

from oddpair import stages
from oddpair.splits.manifest import read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("no_network")

SPLITS = {"balanced": "balanced-sample", "prototypes": "prototypes-hard", "importance": "importance"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Captions with a target and a vocabulary, and embeddings."""
    folder = tmp_path_factory.mktemp("world")
    write_captions(folder / "corpus", captions(), sizes=[150, 250])
    write_captions(folder / "sketches", ["pencil sketch of one cat", "pencil sketch of one owl"])
    (folder / "concepts.txt").write_text("cat\ndog\nvan\nsketch\n")
    rows, uids = draw(200)
    stages.begin(folder / "embeddings", {"name": "embeddings"})
    write_stored(folder / "embeddings", rows, uids, [80, 120])
    stages.finish(folder / "embeddings")
    return folder


def options(world, kind):
    return {
        "balanced": [
            "--corpus",
            world / "corpus",
            "--vocabulary",
            world / "concepts.txt",
            "--set",
            "share=0.2",
        ],
        "prototypes": ["--corpus", world / "embeddings", "--set", "clusters=5", "--set", "share=0.5"],
        "importance": ["--corpus", world / "corpus", "--tests", world / "sketches", "--set", "size=30"],
    }[kind]


def split(world, kind, out, *more):
    given = [*options(world, kind), "--workers", 1, "--out", out, *more]
    code, said = run("split", kind, *given, stream="stdout")
    assert code == 0, said
    return said


@pytest.fixture(scope="module", params=SPLITS)
def made(request, world, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "run"
    return request.param, out, split(world, request.param, out), out / "splits" / SPLITS[request.param]


def test_a_split_is_made_told_shown_and_verified(made):
    kind, out, said, folder = made
    manifest = read_manifest(folder)
    assert manifest.recipe == kind
    for claim in manifest.statement:
        assert claim.text in said
    assert f"{len(manifest):,} rows" in said
    page = (out / "splits" / "card.html").read_text()
    assert manifest.uids_sha256 in page
    code, told = run("verify", folder, "--workers", 1)
    assert code == 0, told
    assert told.count("holds: ") == 2 + len(manifest.statement)
    assert "DOES NOT HOLD" not in told


def test_a_dry_run_says_the_same_and_writes_nothing(world, made, tmp_path):
    kind, _, said, _ = made
    told = split(world, kind, tmp_path / "dry", "--dry-run")
    assert told.splitlines()[-1] == "nothing was written"
    assert told.splitlines()[:-1] == said.splitlines()[:-1]
    assert not (tmp_path / "dry").exists()


def test_a_forged_split_is_refused_in_one_line(made, world, tmp_path):
    kind, out, _, folder = made
    manifest = read_manifest(folder)
    kept = manifest.uids.to_pylist()
    everything = draw(200)[1] if kind == "prototypes" else [name(row) for row in range(400)]
    left = sorted(set(everything) - set(kept))
    forged = tmp_path / "run" / "splits" / folder.name
    write_manifest(forged, replace(manifest, uids=sorted([*kept[20:], *left[:20]])))
    (tmp_path / "run" / "sources.json").write_bytes((out / "sources.json").read_bytes())
    code, line = run("verify", forged, "--workers", 1)
    assert code == 2
    assert line.startswith(f"{forged}: ")
    assert line.endswith("make the split again, or give the inputs it was made from")
    assert any(claim.text in line for claim in manifest.statement)


def test_a_split_is_made_again_from_its_folder_to_the_same_bytes(made, tmp_path):
    _, _, _, folder = made
    code, said = run("split", folder, "--workers", 1, "--out", tmp_path / "again")
    assert code == 0, said
    assert files_in(tmp_path / "again" / "splits" / folder.name) == files_in(folder)


def test_an_input_that_is_of_no_use_is_refused(world, tmp_path):
    for kind, option in (("balanced", "--tests"), ("prototypes", "--labels"), ("importance", "--reference")):
        code, line = run(
            "split", kind, *options(world, kind), option, world / "labels", "--out", tmp_path / "x"
        )
        assert (code, line) == (2, f"{option}: a recipe of kind {kind} makes no use of it: leave it out")
