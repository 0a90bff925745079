import json
from pathlib import Path

import pytest

from oddpair.benchmarks.benchmark import SetPlace
from oddpair.benchmarks.sets.open_set import LAYOUTS, open_set, recognise
from oddpair.errors import Refusal
from oddpair.retrieval.formats.tars import write_tar

CHOICE = {"0": {"filename": "1.jpg", "caption": "a", "negative_caption": "b"}}
KARPATHY = {"images": [{"filename": "1.jpg", "split": "test", "imgid": 0, "sentences": [{"raw": "a dog"}]}]}

ASKING = {"images": [{"filename": "a.jpg", "split": "test", "sentences": [{"raw": "a question"}]}]}
COCO = {
    "info": {},
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "annotations": [{"image_id": 1, "caption": "x"}],
}


def place(layout="", path="", **settings):
    return SetPlace(name="mine", layout=layout, path=path, settings=settings)


def write(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def wds(root):
    write(root, {"test/nshards.txt": "1", "classnames.txt": "cat\ndog\n"})
    write_tar(root / "test" / "0.tar", [("s0.cls", b"1"), ("s0.jpg", b"picture")])
    return root


LAID_OUT = {
    "clip_benchmark": {"test/nshards.txt": "1", "test/0.tar": ""},
    "class-folders": {"n01/1.JPEG": "", "README.txt": "", "class_index.json": '{"0": ["n01", "tench"]}'},
    "corpus": {"00000.tar": ""},
    "captions": {"dataset_coco.json": json.dumps(KARPATHY), "images/1.jpg": ""},
    "choices": {"add_att.json": json.dumps(CHOICE), "swap_obj.json": json.dumps(CHOICE)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_told_by_its_files(tmp_path, layout):
    assert recognise(write(tmp_path, LAID_OUT[layout])) == layout


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        ({"nshards.txt": "1", "0.tar": ""}, "clip_benchmark"),
        ({"val/nshards.txt": "1"}, "clip_benchmark"),
        ({"a.parquet": ""}, "corpus"),
        ({"list.csv": "file,caption,kind\na.png,b,c\n", "a.png": ""}, "corpus"),
        ({"list.tsv": '"filepath"\t"title"\r\n', "images/a.png": ""}, "corpus"),
        ({"img_emb/img_emb_0.npy": ""}, "corpus"),
        ({"ILSVRC2012_val_00000001.JPEG": ""}, "class-folders"),
        ({"real/airplane/1.jpg": ""}, "class-folders"),
        ({"examples.jsonl": '{"id": 0, "image_0": "a", "caption_0": "b"}\n', "images/a.png": ""}, "choices"),
        ({"results_20130124.token": "1.jpg#0\ta dog\n", "images/1.jpg": ""}, "captions"),
    ],
)
def test_variants_of_layouts_are_told_too(tmp_path, files, layout):
    assert recognise(write(tmp_path, files)) == layout


@pytest.mark.parametrize(
    ("name", "text", "layout"),
    [
        ("captions_val2014.json", '{"info": {}, "images": [], "annotations": []}', "captions"),
        # COCO's captions come behind tens of thousands of pictures.
        (
            "a.json",
            json.dumps({"images": [{"id": row, "file_name": "1.jpg"} for row in range(9000)]}),
            "captions",
        ),
        (
            "a.json",
            json.dumps([{"image": "1.jpg", "caption": "a man asks a question: choices?"}]),
            "captions",
        ),
        ("a.json", json.dumps(CHOICE), "choices"),
        ("a.csv", "image,caption\n1.jpg,a dog\n", "captions"),
        ("a.csv", "file,caption\n1.jpg,a dog\n", "corpus"),
        ("00000.tar", "", "corpus"),
    ],
)
def test_a_file_tells_its_layout(tmp_path, name, text, layout):
    assert recognise(write(tmp_path, {name: text}) / name) == layout


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"README.md": "hello", "a/b.txt": ""},
            "holds a/, README.md, which tells no layout .* they are clip_benchmark, ",
        ),
        ({}, "is empty, which tells no layout"),
        (
            {"a.json": json.dumps(CHOICE), "b.json": json.dumps(KARPATHY)},
            r"holds a\.json, b\.json, which tells no",
        ),
    ],
)
def test_what_tells_no_layout_is_refused_with_what_was_found(tmp_path, files, message):
    with pytest.raises(Refusal, match=message):
        recognise(write(tmp_path, files))


@pytest.mark.parametrize(
    ("name", "text", "layout"),
    [
        ("dataset_coco.json", json.dumps(ASKING), "captions"),
        ("captions_val2014.json", json.dumps(COCO), "captions"),
        ("coco_karpathy_test.json", '[{"image": "a.jpg", "caption": ["x"]}]', "captions"),
        ("results.token", "a.jpg#0\tA question , caption_0 .\n", "captions"),
        ("captions.csv", "\ufeffimage,caption\na.jpg,question\n", "captions"),
        ("add_att.json", '{"0": {"filename": "a.jpg", "caption": "x", "negative_caption": "y"}}', "choices"),
        ("relation.json", '[{"image_path": "a.jpg", "true_caption": "x", "false_caption": "y"}]', "choices"),
        ("order.json", '[{"image": "a.jpg", "caption_options": ["x", "y"]}]', "choices"),
        ("examples.jsonl", '{"id": 0, "caption_0": "x", "caption_1": "y", "image_0": "a"}\n', "choices"),
        ("own.tsv", 'question\timages\t"caption_0"\tcaption_1\r\n', "choices"),
    ],
)
def test_annotations_are_told_by_their_fields_and_never_by_their_captions(tmp_path, name, text, layout):
    assert recognise(write(tmp_path, {name: text}) / name) == layout


@pytest.mark.parametrize(("name", "text"), [("package.json", '{"name": "question"}'), ("empty.csv", "")])
def test_a_file_without_such_fields_tells_no_layout(tmp_path, name, text):
    with pytest.raises(Refusal, match="is a file, which tells no layout"):
        recognise(write(tmp_path, {name: text}) / name)


def test_a_file_that_tells_no_layout_and_nothing_at_all_are_refused(tmp_path):
    write(tmp_path, {"a.txt": "x"})
    with pytest.raises(Refusal, match=r"a\.txt is a file, which tells no layout"):
        recognise(tmp_path / "a.txt")
    with pytest.raises(Refusal, match="does not exist: check the path"):
        recognise(tmp_path / "b")


def test_a_set_is_opened_by_its_layout_or_by_what_it_looks_like(tmp_path):
    wds(tmp_path / "pets")
    named = open_set(place("clip_benchmark", "pets", split="test"), tmp_path)
    found = open_set(place(path="pets"), tmp_path)
    assert named.table.equals(found.table)
    assert found.table["label"].to_pylist() == ["1"]
    assert open_set(place("", "pets/test"), tmp_path).class_names == ("cat", "dog")


def test_settings_go_to_the_opener_of_the_layout(tmp_path):
    write(tmp_path, {"a/1.png": "x", "b/1.png": "y", "list.csv": "file,caption,kind\na/1.png,one,dog\n"})
    assert open_set(place("class-folders"), tmp_path).classes == ("a", "b")
    assert open_set(place("corpus", label="kind"), tmp_path).classes == ("dog",)
    with pytest.raises(Refusal, match="set mine: layout class-folders has no setting 'label'"):
        open_set(place("class-folders", label="kind"), tmp_path)


def test_the_layouts_of_annotations_are_opened_by_their_own_modules(tmp_path):
    write(tmp_path, {"k.json": json.dumps(KARPATHY), "c.json": json.dumps(CHOICE), "1.jpg": "picture"})
    captions = open_set(place(path="k.json"), tmp_path)
    assert (captions.kind, captions.table["captions"].to_pylist()) == ("retrieval", [["a dog"]])
    choices = open_set(place(path="c.json"), tmp_path)
    assert (choices.kind, choices.questions is not None) == ("choice", True)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("class_folders", "there is no layout 'class_folders'; did you mean 'class-folders'"),
        ("wds", "there is no layout 'wds'; use clip_benchmark, class-folders, corpus, captions, choices"),
    ],
)
def test_an_unknown_layout_is_refused_with_the_near_one(tmp_path, layout, message):
    with pytest.raises(Refusal, match=f"set mine: {message}"):
        open_set(place(layout), tmp_path)


@pytest.mark.parametrize("url", ["https://example.org/set", "s3://bucket/set", "hf://datasets/x"])
def test_a_url_is_refused_in_one_line(url):
    with pytest.raises(
        Refusal, match="is a URL: evaluation sets are read from this machine, fetch it first"
    ) as caught:
        open_set(place(), Path(url))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../b"])
def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path, path):
    with pytest.raises(Refusal, match="leads out of"):
        open_set(place(path=path), tmp_path)


def test_a_set_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        Refusal, match=r"set mine: .*/val does not exist: fetch the set, or give the folder that holds it"
    ):
        open_set(place(path="val"), tmp_path)
