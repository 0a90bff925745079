"""The miniature benchmark end to end, by command: every task of it on a drawn world and the models trained there."""

import csv
import io

import numpy as np
import pytest
from PIL import Image
from tests.command import run

from oddpair import files
from oddpair.benchmarks.benchmark_file import load_benchmark
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.eval.results import find_results
from oddpair.eval.scoring.records import read_records
from oddpair.retrieval.corpus import open_corpus

MODELS = ("control", "natural-strict")


@pytest.fixture(scope="module")
def splits(small_run, tmp_path_factory):
    """Everything that the benchmark asks for: the demo's own splits, and what two recipes make of its counts."""
    place, counts, world = tmp_path_factory.mktemp("splits"), small_run / "counts", small_run / "world"
    (place / "concepts.txt").write_text("".join(f"{name}\n" for name in CONCEPTS))
    tail = ("--vocabulary", place / "concepts.txt", "--set", "concepts=10", "--workers", 1)
    for words in (
        ("pmi-bands", "--tests", f"pairs={world / 'pairs'}", "--out", place / "bands"),
        ("long-tail", "--tests", f"natural={world / 'natural'}", "--out", place / "tail", *tail),
    ):
        code, said = run("split", *words, "--counts", counts)
        assert code == 0, said
    # The recipe calls one of its bands as the demo calls its unseen pairs.
    bands = [path for path in (place / "bands" / "splits").glob("pairs-*") if path.name != "pairs-unseen"]
    return [small_run / "splits", place / "tail" / "splits", *(f"{path.name}={path}" for path in bands)]


@pytest.fixture(scope="module")
def words(small_run, splits):
    given = [word for split in splits for word in ("--split", split)]
    models = [word for model in MODELS for word in ("--model", small_run / "models" / model)]
    return ["eval", *models, "--suite", "miniature", "--data", f"miniature={small_run / 'world'}", *given]


@pytest.fixture(scope="module")
def scored(words, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored") / "out"
    code, said = run(*words, "--out", out, "--workers", 1)
    assert code == 0, said
    return out, said


def results_of(out, model="control"):
    return {found.result.task: found for found in find_results([out]) if found.result.model.endswith(model)}


def test_every_task_of_the_benchmark_is_scored(scored):
    out, said = scored
    tasks = {task.name for task in load_benchmark("miniature").tasks}
    assert "is left out" not in said
    for model in MODELS:
        assert set(results_of(out, model)) == tasks


def test_the_hits_are_those_of_a_plain_loop_over_open_clip(small_run, scored):
    import open_clip
    import torch

    folder = small_run / "models" / "control"
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=str(folder / "bpe.txt.gz"))
    found = results_of(scored[0])["natural"]
    task = next(task for task in load_benchmark("miniature").tasks if task.name == "natural")
    prompts = [
        [template.replace("{}", name) for template in task.templates] for name in found.result.class_names
    ]
    corpus = open_corpus(small_run / "world" / "natural")
    rows = [corpus.read(shard) for shard in corpus.shards]
    keys = [f"{shard.shard}/{key}" for shard in rows for key in shard.keys]
    pictures = [Image.open(io.BytesIO(image)).convert("RGB") for shard in rows for image in shard.images]
    with torch.inference_mode():
        normal = torch.nn.functional.normalize
        texts = [normal(model.encode_text(tokenizer(of_class)), dim=1).mean(0) for of_class in prompts]
        images = torch.cat([normal(model.encode_image(preprocess(one)[None]), dim=1) for one in pictures])
        said = (images @ normal(torch.stack(texts), dim=1).T).argmax(1).tolist()
    records = read_records(found.record_path, "classification")
    mine = dict(zip(records["key"].to_pylist(), records["top_classes"].to_pylist(), strict=True))
    assert [mine[key][0] for key in keys] == said


def test_tasks_ask_about_the_pictures_that_the_world_drew_for_them(small_run, scored):
    found = results_of(scored[0])
    styles = open_corpus(small_run / "world" / "rendition").metadata(["style"])["style"].to_pylist()
    for style in ("sketch", "cartoon", "painting", "silhouette"):
        assert found[style].result.n_images == styles.count(style) > 0
    assert found["rendition"].result.n_images == len(styles)
    for name in ("pairs-seen", "pairs-unseen"):
        uids = files.read_table(small_run / "splits" / name / "uids.parquet")["uid"].to_pylist()
        records = read_records(found[name].record_path, "pairs")
        assert sorted(records["uid"].to_pylist()) == sorted([*uids, *uids])


def test_gaps_are_differences_of_the_accuracies(scored):
    found = results_of(scored[0])
    folder = found["natural"].path.parent
    gaps = files.read_json(folder / "gaps.json")
    assert len(gaps) == len(load_benchmark("miniature").gaps)
    for gap in load_benchmark("miniature").gaps:
        first, second = (
            np.mean([found[name].result.main.estimate.value for name in side])
            for side in (gap.first, gap.second)
        )
        entry = gaps[f"miniature: {gap.name}"]
        assert entry["value"] == pytest.approx(100 * (first - second))
        assert entry["low"] <= entry["value"] <= entry["high"]


def test_scores_do_not_depend_on_the_batch_or_the_number_of_workers(words, scored, tmp_path, monkeypatch):
    before = {name: one.result.metrics for name, one in results_of(scored[0]).items()}
    only = ["--task", "natural", "--task", "pairs-unseen"]
    assert run(*words, *only, "--out", tmp_path / "two", "--workers", 2)[0] == 0
    monkeypatch.setattr("oddpair.retrieval.encoder.BATCH", 7)
    assert run(*words, *only, "--out", tmp_path / "seven", "--workers", 1)[0] == 0
    for name in ("two", "seven"):
        for task, one in results_of(tmp_path / name).items():
            mine, theirs = (
                {metric.name: metric.estimate.value for metric in each}
                for each in (one.result.metrics, before[task])
            )
            # Float32 embeddings of another batch differ in their last bits, which calibration alone can show.
            assert mine.pop("calibration_error") == pytest.approx(theirs.pop("calibration_error"), abs=1e-6)
            assert mine == theirs


def test_everything_that_reads_results_reads_these(scored, tmp_path):
    out, _ = scored
    folders = [results_of(out, model)["natural"].path.parent for model in MODELS]
    assert run("score", out)[0] == 0
    code, said = run("compare", *folders)
    assert code == 0
    assert "miniature.natural" in said
    code, said = run("power", folders[0])
    assert code == 0
    value = results_of(out)["natural"].result.main.estimate.value
    for ending in ("md", "csv", "tex"):
        assert run("results", out, "--out", tmp_path / f"table.{ending}")[0] == 0
        assert f"{100 * value:.2f}" in (tmp_path / f"table.{ending}").read_text()
    rows = [("model", "x", "y"), *((f"m{n}", 0.02 * n, 0.015 * n) for n in range(1, 12))]
    with (tmp_path / "baseline.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    code, said = run("robustness", out, "--baseline", tmp_path / "baseline.csv")
    assert code == 0
    assert "11 models" in said
