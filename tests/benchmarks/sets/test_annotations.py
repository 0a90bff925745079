import json

import pytest

from oddpair.benchmarks.sets.annotations import read_entries, recognise_annotations
from oddpair.errors import Refusal

KARPATHY = {"images": [{"filename": "a.jpg", "split": "test", "sentences": [{"raw": "a question"}]}]}
COCO = {
    "info": {},
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "annotations": [{"image_id": 1, "caption": "x"}],
}


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("dataset_coco.json", json.dumps(KARPATHY), "captions"),
        ("captions_val2014.json", json.dumps(COCO), "captions"),
        ("coco_karpathy_test.json", '[{"image": "a.jpg", "caption": ["x"]}]', "captions"),
        ("results.token", "a.jpg#0\tA question , caption_0 .\n", "captions"),
        ("captions.csv", "\ufeffimage,caption\na.jpg,question\n", "captions"),
        ("add_att.json", '{"0": {"filename": "a.jpg", "caption": "x", "negative_caption": "y"}}', "choices"),
        ("relation.json", '[{"image_path": "a.jpg", "true_caption": "x", "false_caption": "y"}]', "choices"),
        ("order.json", '[{"image": "a.jpg", "caption_options": ["x", "y"]}]', "choices"),
        ("examples.jsonl", '{"id": 0, "caption_0": "x", "caption_1": "y", "image_0": "a"}\n', "choices"),
        ("own.tsv", 'question\timages\t"caption_0"\tcaption_1\r\n', "choices"),
        ("package.json", '{"name": "question"}', ""),
        ("empty.csv", "", ""),
    ],
)
def test_a_file_is_recognised_by_its_first_fields_and_never_by_its_captions(tmp_path, file, text, told):
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert recognise_annotations(tmp_path / file) == told


def test_entries_by_key_keep_their_keys_and_those_of_a_list_are_numbered(tmp_path):
    (tmp_path / "x.json").write_text('{"7": {"a": 1}, "3": {"a": 2}}')
    (tmp_path / "y.json").write_text('[{"a": 1}, {"a": 2}]')
    (tmp_path / "z.csv").write_text("a\n1\n\n2\n")
    assert [entry.key for entry in read_entries(tmp_path / "x.json")] == ["7", "3"]
    assert [entry.key for entry in read_entries(tmp_path / "y.json")] == ["0", "1"]
    assert [(entry.key, entry.where[-6:]) for entry in read_entries(tmp_path / "z.csv")] == [
        ("0", "line 2"),
        ("1", "line 4"),
    ]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "x.json").mkdir()
    with pytest.raises(Refusal, match=r"x\.json cannot be read"):
        read_entries(tmp_path / "x.json")
