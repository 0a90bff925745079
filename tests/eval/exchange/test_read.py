import json
from dataclasses import replace

import pytest
from tests.eval.result_files import write_results

from oddpair.errors import Refusal
from oddpair.eval.exchange.entry import Entry, entry_of, score_of_entry
from oddpair.eval.exchange.read import as_entry, read_results
from oddpair.eval.intervals import Estimate
from oddpair.eval.results import Found, Metric, find_results

RESULT = {
    **{"dataset": "wds/imagenet1k", "model": "ViT-B-32", "pretrained": "openai", "language": "en"},
    **{"task": "zeroshot_classification", "metrics": {"acc1": 0.6, "acc5": 0.8}},
}
LINE = {"key": "imagenet1k", "dataset": "ImageNet 1k", "metrics": {"acc1": 0.1, "main_metric": 0.1}}


def write_all(folder):
    (folder / "clip").mkdir()
    (folder / "clip" / "a.json").write_text(json.dumps(RESULT))
    (folder / "clip" / "classes.json").write_text('["cat", "dog"]')
    (folder / "small").mkdir()
    (folder / "small" / "eval_results.jsonl").write_text(json.dumps(LINE) + "\n")
    write_results(folder / "ours", {"one": {"natural": 0.5}})


def named(found):
    return [one.result.model if isinstance(one, Found) else one.model for one in found]


def test_folders_of_every_harness_are_recognised(tmp_path):
    write_all(tmp_path)
    found = read_results([tmp_path / name for name in ("ours", "clip", "small")])
    assert named(found) == ["one", "ViT-B-32", "small"]


def test_files_of_every_harness_are_recognised(tmp_path):
    write_all(tmp_path)
    paths = [tmp_path / "clip" / "a.json", tmp_path / "small" / "eval_results.jsonl"]
    paths += sorted((tmp_path / "ours").rglob("*.json"))
    assert named(read_results(paths)) == ["ViT-B-32", "small", "one"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("empty", "holds no result"), ("none.csv", "does not exist"), ("note.txt", "is no file of results")],
)
def test_a_path_without_results_is_refused(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(Refusal, match=message):
        read_results([tmp_path / name])


def renamed(tmp_path, **values):
    """A result of ours with these metrics, in the shared words."""
    (found,) = find_results([write_results(tmp_path, {"one": {"natural": 0.5}})])
    metrics = [
        Metric(
            name=name,
            estimate=Estimate(value=value, low=0, high=1, n=9, what=name),
            chance=None,
            interval="none",
        )
        for name, value in values.items()
    ]
    return entry_of(replace(found.result, metrics=tuple(metrics)))


def test_metrics_of_ours_take_the_names_of_clip_benchmark(tmp_path):
    entry = renamed(tmp_path, top1=0.5, top5=0.9, mean_per_class=0.4, calibration_error=0.1)
    assert entry.metrics == {"acc1": 0.5, "acc5": 0.9, "mean_per_class_recall": 0.4, "calibration_error": 0.1}
    assert (entry.dataset, entry.task, entry.main) == ("toy/natural", "zeroshot_classification", "acc1")


def test_images_found_by_captions_are_image_retrieval(tmp_path):
    entry = renamed(tmp_path, **{"text_to_image_recall@1": 0.2, "image_to_text_recall@5": 0.6})
    assert entry.metrics == {"image_retrieval_recall@1": 0.2, "text_retrieval_recall@5": 0.6}
    assert entry.main == "image_retrieval_recall@1"


def test_the_group_score_of_two_images_is_acc_and_the_accuracy_of_one_is_too(tmp_path):
    two = renamed(tmp_path, accuracy=0.4, text_score=0.4, image_score=0.3, group_score=0.2)
    assert two.metrics == {"text_acc": 0.4, "image_acc": 0.3, "acc": 0.2}
    assert two.main == "text_acc"
    assert renamed(tmp_path, accuracy=0.4).metrics == {"acc": 0.4}


def test_an_entry_in_per_cent_is_refused_in_a_table():
    entry = Entry(
        model="m",
        pretrained="",
        dataset="d",
        title="",
        task="",
        language="en",
        metrics={"acc1": 63.2},
        main="acc1",
    )
    with pytest.raises(Refusal, match=r"acc1 of m is 63.2, needed a fraction"):
        score_of_entry(entry)
    assert as_entry(entry) is entry
