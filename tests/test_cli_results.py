"""``oddpair results`` as a user runs it: folders of several harnesses, one table, and the files of others."""

import json

import pytest
from tests.command import run
from tests.eval.result_files import write_results

from oddpair.eval.exchange.clip_benchmark import read_csv
from oddpair.eval.exchange.datacomp import read_lines


@pytest.fixture
def ours(tmp_path):
    return write_results(
        tmp_path / "ours", {"one": {"natural": 0.5, "rendition": 0.25}, "two": {"natural": 0.6}}
    )


def test_results_of_several_models_are_shown_side_by_side(ours):
    code, text = run("results", ours, stream="stdout")
    assert code == 0
    assert text.splitlines() == [
        "benchmark  task       metric      n  chance (%)                   one                   two",
        "toy v1     natural    top1    1,000       10.00  50.00 [47.00, 53.00]  60.00 [57.00, 63.00]",
        "toy v1     rendition  top1    1,000       10.00  25.00 [22.00, 28.00]                     –",
    ]


def test_results_of_others_stand_below_without_what_is_not_known(ours, tmp_path):
    result = {"dataset": "wds/imagenet1k", "model": "m", "pretrained": "p", "metrics": {"acc1": 0.6}}
    (tmp_path / "a.json").write_text(json.dumps(result))
    (tmp_path / "eval_results.jsonl").write_text(
        '{"key": "fairness/x", "dataset": "X", "metrics": {"acc_x": 0.6, "main_metric": null}}\n'
    )
    code, text = run("results", ours, tmp_path / "a.json", tmp_path / "eval_results.jsonl")
    assert code == 0
    assert "1 results have no metric that stands for them" in text
    assert text.splitlines()[-1].split() == ["wds/imagenet1k", "acc1", "–", "–", "–", "–", "60.00"]


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.md", "| benchmark"), ("a.csv", "benchmark,"), ("a.tex", "% "), ("a.txt", "benchmark ")],
)
def test_the_table_is_written_in_the_format_of_the_name(ours, tmp_path, name, start):
    code, text = run("results", ours, "--out", tmp_path / name)
    assert (code, text.splitlines()[-1]) == (0, f"written: {tmp_path / name}")
    written = (tmp_path / name).read_text()
    assert written.startswith(start)
    assert "25.00" in written


def test_a_folder_of_clip_benchmark_files_shows_the_same_values(ours, tmp_path):
    assert run("results", ours, "--out", tmp_path / "clip")[0] == 0
    assert len(list((tmp_path / "clip").glob("*.json"))) == 3
    assert [(one.dataset, one.metrics) for one in read_csv(tmp_path / "clip" / "benchmark.csv")] == [
        ("toy/natural", {"acc1": 0.5}),
        ("toy/rendition", {"acc1": 0.25}),
        ("toy/natural", {"acc1": 0.6}),
    ]
    code, text = run("results", tmp_path / "clip")
    assert code == 0
    assert [text.count(value) for value in ("50.00", "25.00", "60.00")] == [1, 1, 1]


def test_one_model_is_written_as_datacomp_does(ours, tmp_path):
    model = next(folder for folder in ours.iterdir() if folder.name.startswith("one"))
    assert run("results", model, "--out", tmp_path / "eval_results.jsonl")[0] == 0
    assert [one.dataset for one in read_lines(tmp_path / "eval_results.jsonl")] == [
        "toy/natural",
        "toy/rendition",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.json", "holds one result, found 3"),
        ("a.jsonl", "of one model, found 2"),
        ("a.pkl", "nothing is written as .pkl"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_not_written(ours, tmp_path, name, message):
    code, line = run("results", ours, "--out", tmp_path / name)
    assert code == 2
    assert message in line
    assert not (tmp_path / name).exists()


def test_a_folder_without_results_is_refused(tmp_path):
    code, line = run("results", tmp_path)
    assert (code, line) == (
        2,
        f"{tmp_path} holds no result: give what oddpair eval, CLIP_benchmark or DataComp wrote",
    )
