"""``oddpair split unseen-pairs`` and ``verify`` by their command line."""

import dataclasses

import pytest
from tests.command import files_in, run
from tests.splits.unseen_data import NAMES, World, uid, write_corpus

from oddpair import files
from oddpair.splits.manifest import as_uids, read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("no_network")
SETTINGS = ("--set", "caliper=0.3")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    (folder / "words.txt").write_text("\n".join(NAMES))
    return World(folder, seed=2)


def given(world, out, **others):
    options = {"corpus": world.corpus, "tests": f"coco={world.tests}", "tags": world.tags, **others}
    named = [word for name, value in options.items() for word in (f"--{name}", value)]
    return (*named, "--vocabulary", world.folder / "words.txt", "--out", out)


@pytest.fixture(scope="module")
def made(world):
    out = world.folder / "out"
    status, said = run("split", "unseen-pairs", *given(world, out), *SETTINGS, stream="stdout")
    assert status == 0, said
    return out / "splits", said


def test_a_run_says_what_each_split_guarantees_and_leaves_pairs_samples_and_a_page(made):
    folder, said = made
    assert "no caption of the corpus names all concepts of a sample (0 of 1,000 rows" in said
    assert "no image of the corpus is tagged with all concepts of a sample" in said
    assert "to be ranked among all its 200 rows" in said
    samples = files.read_table(folder / "samples.parquet")
    assert samples.num_rows == 200
    assert files.read_table(folder / "pairs.parquet").num_rows
    page = (folder / "card.html").read_text()
    for told in ("Samples by what the corpus has shown of them", "Pairs of concepts in 1,000 captions"):
        assert told in page


def test_a_dry_run_says_the_same_and_writes_nothing(world, made, tmp_path):
    options = (*given(world, tmp_path / "out"), *SETTINGS, "--dry-run")
    status, said = run("split", "unseen-pairs", *options, stream="stdout")
    assert status == 0
    assert said.splitlines()[-1] == "nothing was written"
    assert said.splitlines()[:-1] == made[1].splitlines()[:-1]
    assert not files_in(tmp_path)


def test_every_split_is_verified_and_made_again_byte_by_byte(world, made, tmp_path):
    names = sorted(path.parent.name for path in made[0].glob("*/manifest.json"))
    assert {"full-set-unseen", "pairwise-unseen", "unseen-matched", "seen-matched", "gallery"} <= set(names)
    for name in names:
        status, said = run("verify", made[0] / name, stream="stdout")
        assert status == 0, said
        assert "DOES NOT HOLD" not in said
    status, said = run("split", made[0] / "full-set-unseen", "--out", tmp_path / "again")
    assert status == 0, said
    for name in names:
        assert files_in(tmp_path / "again" / "splits" / name) == files_in(made[0] / name)


def test_a_forged_split_is_refused_in_one_line_that_names_the_sample_and_the_row(made, tmp_path):
    split = read_manifest(made[0] / "full-set-unseen")
    lines = files.read_table(made[0] / "samples.parquet").to_pylist()
    seen = next(line for line in lines if line["status"] == "seen")
    folder = tmp_path / "out" / "splits" / "full-set-unseen"
    uids = as_uids(sorted([*split.uids.to_pylist()[1:], seen["uid"]]))
    write_manifest(folder, dataclasses.replace(split, uids=uids))
    files.write_bytes(tmp_path / "out" / "sources.json", (made[0].parent / "sources.json").read_bytes())
    status, said = run("verify", folder)
    assert status == 2
    assert "no caption of the corpus names all concepts of a sample" in said
    assert f"of sample {seen['sample']}, are together in row " in said


def test_a_caption_that_was_added_to_the_corpus_is_found_and_named(world, made, tmp_path):
    split = read_manifest(made[0] / "full-set-unseen")
    lines = files.read_table(made[0] / "samples.parquet").to_pylist()
    sample = next(line for line in lines if line["uid"] == split.uids[0].as_py())
    corpus = write_corpus(tmp_path / "more", [*world.captions, " behind ".join(sample["concepts"])])
    status, said = run("verify", made[0] / "full-set-unseen", "--corpus", corpus)
    assert status == 2
    assert f"of sample {sample['sample']}, are together in row {uid(1000)}" in said


def test_a_split_is_not_made_again_from_another_corpus(world, made, tmp_path):
    corpus = write_corpus(tmp_path / "more", [*world.captions, "a cat"])
    options = ("--corpus", corpus, "--out", tmp_path / "again")
    status, said = run("split", made[0] / "full-set-unseen", *options)
    assert status == 2
    assert "has other inputs: corpus is" in said
    assert not (tmp_path / "again").exists()


def test_test_sets_without_a_vocabulary_are_refused_and_nothing_is_left(world, tmp_path):
    options = ("--corpus", world.corpus, "--tests", world.tests, "--out", tmp_path / "out")
    status, said = run("split", "unseen-pairs", *options)
    assert status == 2
    assert "test sets need a vocabulary" in said
    assert "--vocabulary" in said
    assert not files_in(tmp_path)
