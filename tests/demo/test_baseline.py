import pytest

from oddpair.demo.baseline import PARTS, SPLIT, cut_parts, train_baseline
from oddpair.errors import Refusal
from oddpair.files import read_json, write_json
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest

PLAN = {"batch": 8, "decay": 0.1, "rate": 0.002, "seed": 3, "steps": 2, "warmup": 1, "width": 16}


@pytest.fixture
def demo(tmp_path, small_run):
    """A finished demo as the baseline sees it: a world, a natural split of 80 rows, and a model of two steps."""
    folder = tmp_path / "demo"
    (folder / "splits").mkdir(parents=True)
    (folder / "world").symlink_to(small_run / "world")
    uids = read_manifest(small_run / "splits" / SPLIT).uids.to_pylist()[:80]
    write_manifest(folder / "splits" / SPLIT, Manifest(name=SPLIT, recipe="style-strict", uids=uids))
    write_json(folder / "models" / SPLIT / "training.json", {"plan": PLAN})
    return folder


def split_of(n):
    return Manifest(name=SPLIT, recipe="style-strict", uids=[f"{number:04}" for number in range(n)])


def test_parts_are_nested_random_and_of_the_sizes_that_they_say():
    parts = cut_parts(split_of(1000), seed=0)
    assert [len(part) for part in parts] == [1000 // part for part in PARTS] == [125, 250, 500]
    members = [set(part.uids.to_pylist()) for part in parts]
    assert members[0] < members[1] < members[2]
    assert 30 < sum(uid < "0500" for uid in members[0]) < 95
    assert cut_parts(split_of(1000), seed=0) == parts
    assert cut_parts(split_of(1000), seed=1) != parts


def test_a_model_is_trained_on_each_part_with_the_plan_of_the_demo_and_the_whole_is_its_own(demo, tmp_path):
    models = train_baseline(demo, tmp_path / "out", workers=1)
    assert [model.name for model in models] == [
        f"{SPLIT}-1-of-8",
        f"{SPLIT}-1-of-4",
        f"{SPLIT}-1-of-2",
        SPLIT,
    ]
    assert models[-1] == demo / "models" / SPLIT
    trained = [read_json(model / "training.json") for model in models[:-1]]
    assert [(one["rows"], one["plan"]) for one in trained] == [(10, PLAN), (20, PLAN), (40, PLAN)]
    before = {model: (model / "open_clip_model.safetensors").stat().st_mtime_ns for model in models[:-1]}
    assert train_baseline(demo, tmp_path / "out", workers=1) == models
    assert before == {
        model: (model / "open_clip_model.safetensors").stat().st_mtime_ns for model in models[:-1]
    }


def test_a_demo_that_is_not_finished_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"training\.json does not exist: let oddpair demo finish first"):
        train_baseline(tmp_path, tmp_path / "out", workers=1)


def test_a_demo_of_too_few_rows_is_refused(demo, tmp_path):
    write_json(demo / "models" / SPLIT / "training.json", {"plan": PLAN | {"batch": 128}})
    with pytest.raises(Refusal, match="the smallest part of natural-strict holds 10 rows, a batch needs 128"):
        train_baseline(demo, tmp_path / "out", workers=1)
