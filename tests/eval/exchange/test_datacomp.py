import json

import pytest

from oddpair.errors import Refusal
from oddpair.eval.exchange.datacomp import read_lines, write_lines
from oddpair.eval.exchange.entry import Entry

# As DataComp's evaluate.py writes them.
LINES = (
    '{"key": "vtab/caltech101", "dataset": "Caltech-101", "metrics": {"acc1": 0.78, "acc5": 0.93, '
    '"mean_per_class_recall": 0.75, "main_metric": 0.75}}\n'
    '{"key": "retrieval/flickr_1k_test_image_text_retrieval", "dataset": "Flickr", "metrics": '
    '{"image_retrieval_recall@1": 0.25, "text_retrieval_recall@1": 0.5, "mean_recall@1": 0.375, "main_metric": 0.375}}\n'
    '{"key": "vtab/pcam", "dataset": "PatchCamelyon", "metrics": {"acc1": 0.5, "acc5": NaN, '
    '"mean_per_class_recall": 0.49, "main_metric": 0.5}}\n'
    '{"key": "fairness/fairface", "dataset": "FairFace", "metrics": {"acc_gender_x_avg": 0.6, "main_metric": null}}\n'
)


def entry(**changes):
    fields = {
        **{
            "model": "small",
            "pretrained": "",
            "dataset": "imagenet/val",
            "title": "imagenet val",
            "task": "",
        },
        **{"language": "en", "metrics": {"acc1": 2 / 3, "acc5": 0.9}, "main": "acc1"},
    }
    return Entry(**{**fields, **changes})


def written(folder, text):
    path = folder / "small" / "eval_results.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_are_read_with_the_metric_that_is_the_main_one_and_the_folder_as_model(tmp_path):
    found = read_lines(written(tmp_path, LINES))
    assert [(one.model, one.title, one.main) for one in found] == [
        ("small", "Caltech-101", "mean_per_class_recall"),
        ("small", "Flickr", "mean_recall@1"),
        ("small", "PatchCamelyon", "acc1"),
        ("small", "FairFace", None),
    ]
    assert found[2].metrics == {"acc1": 0.5, "mean_per_class_recall": 0.49}


def test_a_main_metric_that_no_other_equals_is_itself(tmp_path):
    line = '{"key": "k", "dataset": "d", "metrics": {"acc1": 0.5, "main_metric": 0.25}}'
    found = read_lines(written(tmp_path, line))[0]
    assert (found.main, found.metrics["main_metric"]) == ("main_metric", 0.25)


def test_lines_read_are_written_again_as_they_were_but_for_nan(tmp_path):
    path = written(tmp_path, LINES)
    entries = read_lines(path)
    write_lines(tmp_path / "again.jsonl", entries)
    ours = [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()]
    theirs = [json.loads(line.replace('"acc5": NaN, ', "")) for line in LINES.splitlines()]
    assert ours == theirs


def test_the_main_metric_of_retrieval_is_the_mean_of_both_directions(tmp_path):
    metrics = {"image_retrieval_recall@1": 0.2, "text_retrieval_recall@1": 0.4}
    write_lines(tmp_path / "a.jsonl", [entry(metrics=metrics, main="image_retrieval_recall@1")])
    line = json.loads((tmp_path / "a.jsonl").read_text())
    assert line["metrics"]["main_metric"] == line["metrics"]["mean_recall@1"] == pytest.approx(0.3)


def test_what_is_written_reads_back_to_the_last_bit(tmp_path):
    several = [entry(), entry(dataset="imagenet/a", main=None)]
    write_lines(tmp_path / "small" / "eval_results.jsonl", several)
    assert read_lines(tmp_path / "small" / "eval_results.jsonl") == several


def test_results_of_several_models_do_not_fit_into_one_file(tmp_path):
    with pytest.raises(Refusal, match="of one model, found 2"):
        write_lines(tmp_path / "a.jsonl", [entry(), entry(model="other")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no result"),
        ("{\n", "line 1 is no result of DataComp"),
        ("[]\n", "line 1 is no result of DataComp"),
        ('{"dataset": "d", "metrics": {}}', "line 1 is no result of DataComp"),
        ('{"key": 1, "dataset": "d", "metrics": {"acc1": 1}}', "line 1: key and dataset are no text"),
        ('{"key": "k", "dataset": "d", "metrics": {}}', "without any number"),
        (LINES + LINES, "line 5: vtab/caltech101 is there twice"),
        (LINES[:-20], "line 4 is no result of DataComp"),
    ],
)
def test_what_is_no_file_of_results_is_refused(tmp_path, text, message):
    with pytest.raises(Refusal, match=message):
        read_lines(written(tmp_path, text))
