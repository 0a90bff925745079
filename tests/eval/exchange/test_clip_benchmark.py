import csv
import io
import json

import pytest

from oddpair.errors import Refusal
from oddpair.eval.exchange.clip_benchmark import (
    read_csv,
    read_json_result,
    write_csv,
    write_folder,
    write_json_result,
)
from oddpair.eval.exchange.entry import Entry
from oddpair.files import read_json

# As ``clip_benchmark eval`` writes a set of two classes: one line, and no JSON.
TWO_CLASSES = (
    '{"dataset": "wds/vtab/pcam", "model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k", "task": '
    '"zeroshot_classification", "metrics": {"acc1": 0.587, "acc5": NaN, "mean_per_class_recall": 0.5869}, '
    '"language": "en"}'
)
RETRIEVAL = (
    '{"dataset": "wds/mscoco_captions", "model": "ViT-B-32", "pretrained": "openai", "task": "zeroshot_retrieval", '
    '"metrics": {"image_retrieval_recall@5": 0.5597, "text_retrieval_recall@5": 0.7494}, "language": "en"}'
)
# As ``clip_benchmark build`` writes both: its columns are in no order.
BUILT = (
    "pretrained,acc1,text_retrieval_recall@5,model_fullname,task,mean_per_class_recall,dataset,acc5,language,"
    "image_retrieval_recall@5,model\n"
    "laion2b_s34b_b79k,0.587,,ViT-B-32 laion2b_s34b_b79k,zeroshot_classification,0.5869,wds/vtab/pcam,nan,en,,ViT-B-32\n"
    "openai,,0.7494,ViT-B-32 openai,zeroshot_retrieval,,wds/mscoco_captions,,en,0.5597,ViT-B-32\n"
)


def entry(**changes):
    fields = {
        "model": "ViT-B-32",
        "pretrained": "laion2b",
        "dataset": "imagenet/val",
        "title": "",
        "task": "zeroshot_classification",
        "language": "en",
        "metrics": {"acc1": 2 / 3, "acc5": 0.9, "mean_per_class_recall": 1e-17},
        "main": "acc1",
    }
    return Entry(**{**fields, **changes})


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_result_with_a_bare_nan_is_read_as_one_without_that_metric(tmp_path):
    found = read_json_result(write(tmp_path / "a.json", TWO_CLASSES))
    assert found == Entry(
        model="ViT-B-32",
        pretrained="laion2b_s34b_b79k",
        dataset="wds/vtab/pcam",
        title="",
        task="zeroshot_classification",
        language="en",
        metrics={"acc1": 0.587, "mean_per_class_recall": 0.5869},
        main="acc1",
    )


def test_retrieval_is_read_with_the_recall_that_is_there(tmp_path):
    assert read_json_result(write(tmp_path / "a.json", RETRIEVAL)).main == "image_retrieval_recall@5"


def test_the_table_of_build_reads_as_the_files_it_was_built_of(tmp_path):
    singles = [read_json_result(write(tmp_path / "x.json", text)) for text in (TWO_CLASSES, RETRIEVAL)]
    assert read_csv(write(tmp_path / "benchmark.csv", BUILT)) == singles


def test_what_is_written_reads_back_to_the_last_bit(tmp_path):
    write_json_result(tmp_path / "a.json", entry())
    assert read_json_result(tmp_path / "a.json") == entry()
    several = [entry(), entry(dataset="imagenet/a", metrics={"acc1": 0.1}), entry(pretrained="")]
    write_csv(tmp_path / "a.csv", several)
    assert read_csv(tmp_path / "a.csv") == several


def test_a_result_is_written_with_the_fields_of_clip_benchmark_and_no_others(tmp_path):
    write_json_result(tmp_path / "a.json", entry())
    assert set(read_json(tmp_path / "a.json")) == {
        "dataset",
        "model",
        "pretrained",
        "task",
        "metrics",
        "language",
    }


def test_the_table_has_a_full_name_of_each_model_as_builds_has(tmp_path):
    write_csv(tmp_path / "a.csv", [entry()])
    row = next(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert row["model_fullname"] == "ViT-B-32 laion2b"
    assert row["acc1"] == repr(2 / 3)


def test_a_folder_holds_a_file_for_each_result_and_the_table_of_all(tmp_path):
    several = [entry(), entry(model="hf-hub:org/model", pretrained="")]
    write_folder(tmp_path / "out", several)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "benchmark.csv",
        "imagenet_val__hf-hub_org_model_en_zeroshot_classification.json",
        "imagenet_val_laion2b_ViT-B-32_en_zeroshot_classification.json",
    ]
    with pytest.raises(Refusal, match="two results of ViT-B-32 on imagenet/val"):
        write_folder(tmp_path / "out", [entry(), entry()])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "no result of CLIP_benchmark"),
        (json.dumps({"dataset": "a", "model": "b", "metrics": {"acc1": 1}}), "no result of CLIP_benchmark"),
        (TWO_CLASSES.replace("0.5869", "NaN").replace("0.587", "NaN"), "without any number"),
        (TWO_CLASSES.replace('"acc5"', '"acc1"'), "not valid JSON .*key 'acc1'|a key is given twice"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, text, message):
    with pytest.raises(Refusal, match=message):
        read_json_result(write(tmp_path / "a.json", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,acc1\nm,0.5\n", "has no column 'dataset'"),
        ("dataset,model,pretrained,acc1\n", "has no row"),
        ("dataset,model,pretrained,acc1\nd,m,p,half\n", "line 2: acc1 is 'half', needed a number"),
        ("dataset,model,pretrained,acc1\nd,m,p\n", "line 2 has another number of cells"),
        ("dataset,model,pretrained,acc1\nd,m,p,0.5,1\n", "line 2 has another number of cells"),
        ("dataset,model,pretrained,acc1\nd,m,p,\n", "without any number"),
    ],
)
def test_what_is_no_table_of_results_is_refused(tmp_path, text, message):
    with pytest.raises(Refusal, match=message):
        read_csv(write(tmp_path / "a.csv", text))


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes("dataset,model,pretrained\né".encode("latin-1"))
    with pytest.raises(Refusal, match="cannot be read as CSV"):
        read_csv(tmp_path / "a.csv")
