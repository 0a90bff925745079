"""The leaderboard's own entries: sizes and splits that differ, declared as they are."""

from dataclasses import asdict

import pytest

from oddpair.benchmarks.miniature.train import TrainPlan
from oddpair.demo import entries
from oddpair.demo.entries import CONTROL, ENTRIES, NATURAL, QUARTER, WHOLE, Trained
from oddpair.errors import Refusal
from oddpair.eval.board.corpora import read_corpora
from oddpair.eval.submission.template import count_parameters
from oddpair.files import write_json
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest

PLAN = TrainPlan(batch=8, steps=2, seed=3, warmup=1)


@pytest.fixture
def demo(tmp_path, small_run):
    folder = tmp_path / "demo"
    (folder / "splits").mkdir(parents=True)
    (folder / "world").symlink_to(small_run / "world")
    uids = read_manifest(small_run / "splits" / NATURAL).uids.to_pylist()
    for name, rows in ((NATURAL, uids[:80]), (CONTROL, uids[20:100])):
        write_manifest(folder / "splits" / name, Manifest(name=name, recipe="style-strict", uids=rows))
    write_json(folder / "models" / NATURAL / "training.json", {"plan": asdict(PLAN)})
    return folder


def test_entries_are_models_of_different_sizes_and_corpora():
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) == 8
    assert {entry.width for entry in ENTRIES} == {8, 16, 32}
    assert {entry.split for entry in ENTRIES} == {NATURAL, CONTROL, QUARTER, WHOLE}


def test_models_of_the_asked_widths_are_trained_and_declared_by_their_splits(demo, tmp_path, monkeypatch):
    chosen = (Trained(width=8, split=QUARTER), Trained(width=16, split=QUARTER))
    monkeypatch.setattr(entries, "ENTRIES", chosen)
    out = tmp_path / "out"
    models = entries.train_entries(demo, out, workers=1)
    (split,) = (split for split in entries.find_splits(demo, seed=PLAN.seed) if split.name == QUARTER)
    small, large = (
        entries.declare(entry, folder, split, PLAN) for entry, folder in zip(chosen, models, strict=True)
    )
    assert (small["model"], large["model"]) == (f"tiny-8-{QUARTER}", f"tiny-16-{QUARTER}")
    counted = [each["parameters"] for each in (small, large)]
    assert counted == [count_parameters(folder / "open_clip_model.safetensors") for folder in models]
    assert 0 < counted[0] < 0.4 * counted[1]
    assert small["samples_seen"] == 16
    assert small["training"] == [{"name": f"miniature-{QUARTER}", "manifest": split.uids_sha256}]
    entries.count_splits(demo, out, tmp_path / "corpora", seed=PLAN.seed)
    known = read_corpora(tmp_path / "corpora")
    assert known[split.uids_sha256].counts.counts.n_captions == len(split) == 20


def test_a_demo_that_is_not_finished_is_refused(tmp_path):
    with pytest.raises(Refusal, match="let oddpair demo finish first"):
        entries.train_entries(tmp_path, tmp_path / "out", workers=1)
