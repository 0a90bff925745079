"""``oddpair split similarity`` and ``verify``, from embeddings to manifests and back."""

from dataclasses import replace

import pytest
from tests.command import files_in, run
from tests.retrieval.brute_force import unit
from tests.retrieval.neighbour_data import draw
from tests.retrieval.stored_folder import write_stored

from oddpair import files, stages
from oddpair.splits.manifest import read_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("no_network")


def write_finished(folder, rows, uids, sizes=None):
    """Write rows as a finished folder of ``oddpair embed``."""
    stages.begin(folder, {"name": folder.name})
    write_stored(folder, rows, uids, sizes or [len(rows)])
    stages.finish(folder)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A corpus, two test sets and a reference set, embedded."""
    folder = tmp_path_factory.mktemp("world")
    rows, uids = draw(3, 150, d=7)
    write_finished(folder / "corpus", rows, uids, [60, 90])
    write_finished(folder / "reference", rows[:25], uids[:25])
    write_finished(folder / "val", *draw(4, 9, d=7))
    write_finished(folder / "sketch", *draw(5, 14, d=7))
    return folder


def options(world, *more):
    return [
        "--corpus", world / "corpus", "--tests", world / "val", "--tests", f"drawn={world / 'sketch'}",
        "--reference", world / "reference", "--workers", 1, *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "run"
    code, said = run("split", "similarity", *options(world, "--out", out, "--set", "sizes=[20]"))
    assert code == 0, said
    return out, said


def test_the_command_makes_a_split_for_each_rule_and_says_what_it_claims(made):
    out, said = made
    names = sorted(path.parent.name for path in out.glob("splits/*/manifest.json"))
    sets = ("combined", "drawn", "val")
    expected = [f"gap-pruned-{name}" for name in sets]
    expected += [f"{kind}-pruned-{name}-20" for kind in ("near", "far") for name in sets]
    assert names == sorted([*expected, "random-pruned-20", "reference"])
    assert "no row is nearer to any of 23 test images of drawn and val than the reference set is" in said
    manifest = read_manifest(out / "splits" / "gap-pruned-val")
    assert manifest.parameters["sizes"] == [20.0]
    assert set(manifest.provenance) == {"embeddings", "encoder", "reference", "tests"}
    assert (out / "splits" / "card.html").is_file()


def test_every_split_is_verified(made):
    out, _ = made
    for path in sorted(out.glob("splits/*/manifest.json")):
        code, said = run("verify", path.parent, "--workers", 1)
        assert code == 0, said
        assert "holds: its statement is that of its recipe on these inputs" in said
        assert "DOES NOT HOLD" not in said


def test_a_dry_run_says_the_same_and_writes_nothing(world, made, tmp_path):
    more = ("--out", tmp_path / "dry", "--dry-run", "--set", "sizes=[20]")
    code, said = run("split", "similarity", *options(world, *more))
    assert code == 0, said
    assert files_in(tmp_path) == {}
    assert "nothing was written" in said
    lines = [line for line in said.splitlines() if line.startswith(("gap-pruned", "    no row"))]
    assert lines
    assert set(lines) <= set(made[1].splitlines())


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("gap-pruned-combined", "no row is nearer to any of 23 test images"),
        ("near-pruned-val-20", "its 20 rows are the least similar of 150"),
        ("random-pruned-20", "its 20 rows are drawn uniformly"),
    ],
)
def test_a_forged_split_is_refused_in_one_line(world, made, tmp_path, name, claim):
    out, _ = made
    split = read_manifest(out / "splits" / name)
    uids = split.uids.to_pylist()
    stranger = next(uid for uid in sorted(draw(3, 150, d=7)[1], reverse=True) if uid not in uids)
    forged = [uid for uid in uids if uid != uids[-1]] + [stranger]
    if name.startswith("gap"):
        forged = sorted(draw(3, 150, d=7)[1])
    folder = tmp_path / "run" / "splits" / name
    write_manifest(folder, replace(split, uids=sorted(forged)))
    code, said = run("verify", folder, *options(world))
    assert code == 2
    assert said.startswith(f"{folder}: {claim}")


def test_a_split_is_made_again_from_its_folder_to_the_same_bytes(made, tmp_path):
    out, _ = made
    code, said = run("split", out / "splits" / "far-pruned-drawn-20", "--out", tmp_path / "again", "--workers", 2)  # fmt: skip
    assert code == 0, said
    first, again = files_in(out / "splits"), files_in(tmp_path / "again" / "splits")
    same = [name for name in first if name.endswith(("manifest.json", "uids.parquet"))]
    assert len(same) == 22
    assert [name for name in same if again[name] != first[name]] == []


def test_a_finished_run_is_left_as_it_is(world, made):
    out, _ = made
    before = files_in(out)
    assert run("split", "similarity", *options(world, "--out", out, "--set", "sizes=[20]"))[0] == 0
    assert files_in(out) == before


def test_near_duplicates_leave_and_one_threshold_is_named_as_what_it_is(world, tmp_path):
    recipe = tmp_path / "my.yaml"
    recipe.write_text(
        "recipe: similarity\nprune: [cut]\nthreshold: 0.8\ndeduplicate: 0.95\ncore: 0.5\n"
        f"inputs:\n  corpus: {world / 'corpus'}\n  tests: {{val: {world / 'val'}}}\n"
    )
    code, said = run("split", recipe, "--out", tmp_path / "out", "--workers", 1)
    assert code == 0, said
    assert "near-duplicates of a row that stays: " in said
    assert "(one threshold for all of them, not the similarity gap)" in said
    for name in ("core", "cut-pruned-val"):
        code, said = run("verify", tmp_path / "out" / "splits" / name, "--workers", 1)
        assert code == 0, said
        assert "holds: no two rows have a cosine similarity above 0.95" in said
    assert not (tmp_path / "out" / "work" / "duplicate-parts").exists()


def test_gap_pruning_without_a_reference_set_is_refused_before_anything_is_searched(world, tmp_path):
    sets = ("--corpus", world / "corpus", "--tests", world / "val")
    code, said = run("split", "similarity", *sets, "--out", tmp_path / "out")
    assert code == 2
    assert said.startswith("prune names 'gap', which compares with a reference set: give --reference")
    assert not (tmp_path / "out" / "work").exists()


def test_a_reference_set_that_goes_unused_is_refused(world, tmp_path):
    code, said = run(
        "split", "similarity", *options(world, "--out", tmp_path / "out", "--set", "prune=[far]")
    )
    assert (code, said[:12]) == (2, "--reference:")


def test_embeddings_of_another_model_are_refused(world, tmp_path):
    other = write_finished(tmp_path / "other", unit(draw(8, 9, d=9)[0]), draw(8, 9, d=9)[1])
    files.write_json(
        other / "manifest.json", {**files.read_json(other / "manifest.json"), "encoder_sha256": "cd" * 32}
    )
    sets = ("--corpus", world / "corpus", "--tests", other, "--set", "prune=[far]")
    code, said = run("split", "similarity", *sets, "--out", tmp_path / "out")
    assert code == 2
    assert "other" in said
