import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from oddpair.benchmarks.evaluation_set import EvaluationSet
from oddpair.benchmarks.sets.annotations import clean
from oddpair.benchmarks.sets.captions import open_captions
from oddpair.benchmarks.sets.picture_files import corpus_of_files
from oddpair.errors import Refusal
from oddpair.retrieval.samples import Bad, Sample

PICTURES = Path(__file__).parents[4] / "shared" / "pictures"


def draw(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def karpathy(name: str, *raws: str, split: str = "test", folder: str = "") -> dict[str, object]:
    image: dict[str, object] = {
        "filename": name,
        "split": split,
        "sentences": [{"raw": raw, "tokens": raw.split(), "sentid": 0} for raw in raws],
    }
    return {**image, "filepath": folder, "cocoid": 1} if folder else image


def read(found: EvaluationSet) -> dict[str, list[str]]:
    table = found.table
    return dict(zip(table["key"].to_pylist(), table["captions"].to_pylist(), strict=True))


def stream(found: EvaluationSet) -> list[Sample | Bad]:
    return [one for shard in found.corpus.shards for one in found.corpus.stream(shard)]


def stream_good(found: EvaluationSet) -> list[Sample]:
    samples = [one for one in stream(found) if isinstance(one, Sample)]
    assert len(samples) == len(found)
    return samples


@pytest.fixture
def coco(tmp_path):
    names = ["COCO_val2014_000000000002.jpg", "COCO_val2014_000000000001.jpg"]
    for shade, name in enumerate(names):
        draw(tmp_path / "val2014" / name, shade)
    images = [
        karpathy(names[0], "  A dog\non a  mat. ", "b", "c", "d", "e", "f", folder="val2014"),
        karpathy(names[1], "A cat.", folder="val2014"),
        karpathy("absent.jpg", "A fox.", split="restval", folder="train2014"),
    ]
    return write(tmp_path / "dataset_coco.json", {"images": images, "dataset": "coco"})


def test_karpathys_coco_gives_the_first_five_captions_of_the_test_split(coco):
    found = open_captions(coco, name="coco", settings={})
    assert read(found) == {
        "val2014/COCO_val2014_000000000001.jpg": ["A cat."],
        "val2014/COCO_val2014_000000000002.jpg": ["A dog on a mat.", "b", "c", "d", "e"],
    }
    assert (found.kind, found.layout, len(found)) == ("retrieval", "captions", 2)
    assert found.table["style"].to_pylist() == ["", ""]
    assert found.notes == (
        "1 captions behind the first 5 of their picture are left out",
        "1 pictures have fewer than 5 captions",
    )


def test_samples_of_the_corpus_come_in_the_order_of_the_table_and_under_its_keys(coco):
    found = open_captions(coco, name="coco", settings={})
    samples = stream_good(found)
    assert [sample.key for sample in samples] == found.table["key"].to_pylist()
    assert [sample.image for sample in samples] == [
        (coco.parent / key).read_bytes() for key in found.table["key"].to_pylist()
    ]


@pytest.mark.parametrize("folder", ["val2014", "."])
def test_pictures_are_found_by_either_spelling_in_the_folder_that_the_user_names(coco, folder):
    found = open_captions(coco, name="coco", settings={"images": folder})
    prefix = "" if folder == "val2014" else "val2014/"
    assert found.table["key"].to_pylist()[0] == prefix + "COCO_val2014_000000000001.jpg"
    assert not [one for one in stream(found) if isinstance(one, Bad)]


def test_pictures_one_level_above_the_annotations_are_found(coco):
    moved = coco.rename(write(coco.parent / "annotations" / "x", "").parent / coco.name)
    (moved.parent / "x").unlink()
    assert len(open_captions(moved.parent, name="coco", settings={})) == 2


@pytest.mark.parametrize(("captions", "kept"), [("1", 1), ("6", 6), ("all", 6)])
def test_the_setting_captions_says_how_many_are_kept(coco, captions, kept):
    found = open_captions(coco, name="coco", settings={"captions": captions})
    assert len(read(found)["val2014/COCO_val2014_000000000002.jpg"]) == kept


def test_empty_captions_are_no_captions_and_do_not_count_among_the_first_five(tmp_path):
    draw(tmp_path / "flickr30k-images" / "a.jpg")
    images = [karpathy("a.jpg", "a", " \n", "b", "c", "d", "e", "f")]
    found = open_captions(
        write(tmp_path / "dataset_flickr30k.json", {"images": images}), name="f", settings={}
    )
    assert read(found) == {"a.jpg": ["a", "b", "c", "d", "e"]}
    assert found.notes[0] == "1 captions are empty and left out"


def test_cocos_own_captions_come_in_the_order_of_the_annotations(tmp_path):
    draw(tmp_path / "val2014" / "a.jpg")
    draw(tmp_path / "val2014" / "b.jpg", 9)
    file = write(
        tmp_path / "annotations" / "captions_val2014.json",
        {
            "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
            "annotations": [
                {"id": 9, "image_id": 3, "caption": "second id first"},
                {"id": 1, "image_id": 7, "caption": "of b"},
                {"id": 2, "image_id": 3, "caption": "after it"},
            ],
        },
    )
    assert read(open_captions(file, name="coco", settings={})) == {
        "a.jpg": ["second id first", "after it"],
        "b.jpg": ["of b"],
    }


def test_a_list_of_image_and_captions_is_read(tmp_path):
    draw(tmp_path / "val2014" / "a.jpg")
    file = write(tmp_path / "coco_karpathy_test.json", [{"image": "val2014/a.jpg", "caption": ["x", "y"]}])
    assert read(open_captions(file, name="coco", settings={})) == {"val2014/a.jpg": ["x", "y"]}


def test_flickrs_token_file_joins_the_captions_of_a_picture_and_keeps_quotes(tmp_path):
    draw(tmp_path / "images" / "1.jpg")
    draw(tmp_path / "images" / "2#3.jpg", 9)
    text = '2#3.jpg#0\t"Hi , \tshe says .\n1.jpg#0\tOne .\r\n2#3.jpg#1\tTwo .\n'
    found = open_captions(write(tmp_path / "results.token", text), name="flickr", settings={})
    assert read(found) == {"1.jpg": ["One ."], "2#3.jpg": ['"Hi , she says .', "Two ."]}


@pytest.mark.parametrize(
    "text",
    [
        "image,caption\na.jpg,A dog, a cat.\nb.jpg,One.\na.jpg,Two.\n",
        '\ufeffimage,caption\r\na.jpg,"A dog, a cat."\r\nb.jpg,One.\r\na.jpg,Two.\r\n',
        "caption\timage\nA dog, a cat.\ta.jpg\nOne.\tb.jpg\n\nTwo.\t./a.jpg\n",
        'filepath,title,more\na.jpg,"A dog, \na cat.",1\nb.jpg,One.,2\na.jpg,Two.,3\n',
    ],
    ids=["bare commas", "quotes and CRLF", "tabs", "open_clip's columns"],
)
def test_tables_have_a_row_a_caption(tmp_path, text):
    draw(tmp_path / "a.jpg")
    draw(tmp_path / "b.jpg", 9)
    file = write(tmp_path / ("captions.tsv" if "\t" in text else "captions.csv"), text)
    assert read(open_captions(file, name="own", settings={})) == {
        "a.jpg": ["A dog, a cat.", "Two."],
        "b.jpg": ["One."],
    }


def test_a_gallery_with_holes_is_refused_unless_the_user_will_have_it(coco):
    hole = "val2014/COCO_val2014_000000000002.jpg"
    (coco.parent / hole).unlink()
    with pytest.raises(Refusal, match=rf"lacks 1 of 2 listed pictures \({hole}\).*missing: drop"):
        open_captions(coco, name="coco", settings={})
    found = open_captions(coco, name="coco", settings={"missing": "drop"})
    assert found.table["key"].to_pylist() == ["val2014/COCO_val2014_000000000001.jpg"]
    assert len(found.corpus) == 1
    assert found.notes[0] == "1 of 2 listed pictures are missing: recall is of a smaller gallery"


def test_where_no_picture_is_found_the_places_that_were_tried_are_told(coco):
    for picture in (coco.parent / "val2014").iterdir():
        picture.unlink()
    with pytest.raises(Refusal, match=r"not found \(tried .*/val2014/COCO_.*, .*/images/val2014/.*'images'"):
        open_captions(coco, name="coco", settings={"missing": "drop"})


def test_pictures_of_the_same_bytes_are_samples_of_their_own(tmp_path):
    draw(tmp_path / "a.jpg")
    draw(tmp_path / "b.jpg")
    file = write(
        tmp_path / "x.json", [{"image": "a.jpg", "caption": "a"}, {"image": "b.jpg", "caption": "b"}]
    )
    samples = stream_good(open_captions(file, name="own", settings={}))
    assert [sample.key for sample in samples] == ["a.jpg", "b.jpg"]
    assert samples[0].uid == samples[1].uid


def test_a_picture_that_cannot_be_read_is_set_aside_by_the_corpus(tmp_path):
    draw(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"")
    file = write(
        tmp_path / "x.json", [{"image": "a.jpg", "caption": "a"}, {"image": "b.jpg", "caption": "b"}]
    )
    good, bad = stream(open_captions(file, name="own", settings={}))
    assert isinstance(good, Sample)
    assert isinstance(bad, Bad)
    assert (good.key, bad.file, bad.reason) == ("a.jpg", "b.jpg", "empty file")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../a.jpg", "inside the folder"),
        ("/etc/a.jpg", "inside the folder"),
        ("s3://bucket/a.jpg", "inside the folder"),
        ("b\\a.jpg", "inside the folder"),
        ("b\0a.jpg", "inside the folder"),
        ("./", "names no picture"),
        (" ", "'image' is empty"),
        ("a\ud800.jpg", "half a letter"),
    ],
    ids=["11-up", "11-absolute", "17-url", "backslash", "zero byte", "folder", "blank", "surrogate"],
)
def test_names_that_lead_out_of_the_folder_or_nowhere_are_refused(tmp_path, name, message):
    file = write(tmp_path / "x.json", [{"image": "a.jpg", "caption": "a"}, {"image": name, "caption": "b"}])
    with pytest.raises(Refusal, match=rf"x\.json entry 1.*{message}"):
        open_captions(file, name="own", settings={})


def test_a_name_that_no_file_can_have_is_a_missing_picture(tmp_path):
    file = write(tmp_path / "x.json", [{"image": "a" * 300, "caption": "a"}])
    with pytest.raises(Refusal, match="its pictures are not found"):
        open_captions(file, name="own", settings={})


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    draw(tmp_path / "elsewhere" / "b.jpg")
    draw(tmp_path / "set" / "a.jpg")
    (tmp_path / "set" / "b.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")
    file = write(
        tmp_path / "set" / "x.json", [{"image": "a.jpg", "caption": "a"}, {"image": "b.jpg", "caption": "b"}]
    )
    with pytest.raises(Refusal, match=r"b\.jpg is a link to a file which is outside"):
        open_captions(file, name="own", settings={})


COCO_IMAGE = {"id": 1, "file_name": "a.jpg"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"images": [karpathy("a.jpg", "a"), karpathy("a.jpg", "b")]},
            "entry 1 names the picture 'a.jpg', as an earlier",
        ),
        ({"images": [karpathy("a.jpg", " ")]}, r"a\.jpg has no caption"),
        (
            {"images": [{"filename": "a.jpg", "split": "test", "sentences": [{"tokens": []}]}]},
            "'raw' is 'None', needed text",
        ),
        ({"images": [{"filename": "a.jpg"}]}, "has no 'split', only filename"),
        (
            {"images": [karpathy("a.jpg", "a", split="train"), karpathy("b.jpg", "b", split="tst")]},
            "no split 'test'; did you mean 'tst'",
        ),
        (
            {"images": [COCO_IMAGE], "annotations": [{"image_id": 2, "caption": "a"}]},
            "of picture 2, which 'images' does not list",
        ),
        ({"images": [COCO_IMAGE], "annotations": []}, r"a\.jpg has no caption"),
        (
            {"images": [COCO_IMAGE, {"id": 1, "file_name": "b.jpg"}], "annotations": []},
            "id 1 of an earlier picture",
        ),
        (
            {"images": [COCO_IMAGE, {"id": 2, "file_name": "a.jpg"}], "annotations": []},
            "names the picture 'a.jpg', as an",
        ),
        (
            {"images": [{"id": 1.5, "file_name": "a.jpg"}], "annotations": []},
            "'id' is '1.5', needed a whole number",
        ),
        ({"images": [], "annotations": []}, "lists no picture"),
        ({"info": {}}, "is no JSON of captions"),
        ([], "lists no picture"),
        ("[1]", "needed an object of fields"),
        ("[NaN", "is not valid JSON"),
        ('{"images": [], "images": []}', "a key is given twice"),
    ],
)
def test_damaged_annotations_are_refused(tmp_path, value, message):
    draw(tmp_path / "a.jpg")
    with pytest.raises(Refusal, match=message):
        open_captions(write(tmp_path / "x.json", value), name="own", settings={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,text\na.jpg,x\n", "has the columns image, text, needed 'image' and 'caption'"),
        ("image,caption\n", "an empty table"),
        ("image,image\na,b\n", "names a column twice"),
        ("image,caption\na.jpg\n", r"line 2 has 1 cells, the header 2: quote cells that hold a comma"),
        ('image,caption\na.jpg,x,"y, z"\n', "line 2 has 3 cells, the header 2"),
        ('image,caption\na.jpg,"x" y\n', "line 2 is no csv"),
        ("image,caption\na.jpg,\n", "has no caption"),
        ("a.jpg#0\tx\na.jpg y\n", "line 2 is not NAME#NUMBER"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, text, message):
    draw(tmp_path / "a.jpg")
    with pytest.raises(Refusal, match=message):
        open_captions(write(tmp_path / "x.csv", text), name="own", settings={})


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes("image,caption\na.jpg,caf\xe9\n".encode("latin-1"))
    with pytest.raises(Refusal, match="is not UTF-8 at byte 23"):
        open_captions(tmp_path / "x.csv", name="own", settings={})


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"splt": "val"}, "has no setting 'splt'; did you mean 'split'"),
        ({"split": "tests"}, "has no split 'tests'; did you mean 'test'"),
        ({"captions": "0"}, "captions is '0', needed a whole number from 1"),
        ({"captions": "five"}, "captions is 'five'"),
        ({"missing": "skip"}, "missing is 'skip', needed 'refuse' or 'drop'"),
        ({"images": "nowhere"}, "tried .*nowhere/val2014/COCO_.*, .*nowhere/COCO_"),
    ],
)
def test_settings_that_mean_nothing_are_refused(coco, chosen, message):
    with pytest.raises(Refusal, match=message):
        open_captions(coco, name="coco", settings=chosen)


def test_a_split_of_a_file_without_splits_is_refused(tmp_path):
    file = write(tmp_path / "x.csv", "image,caption\na.jpg,x\n")
    with pytest.raises(Refusal, match="has no splits"):
        open_captions(file, name="own", settings={"split": "test"})


def test_a_folder_with_no_or_several_files_of_captions_is_refused(tmp_path):
    with pytest.raises(Refusal, match="holds no file of annotations"):
        open_captions(tmp_path, name="own", settings={})
    with pytest.raises(Refusal, match="does not exist"):
        open_captions(tmp_path / "x.json", name="own", settings={})
    write(tmp_path / "a.csv", "")
    write(tmp_path / "b.csv", "")
    with pytest.raises(Refusal, match=r"holds a\.csv, b\.csv: name one"):
        open_captions(tmp_path, name="own", settings={})


def test_a_corpus_of_files_has_shards_of_a_thousand_each_name_once(tmp_path):
    names = [f"{number}.jpg" for number in range(2001)]
    corpus = corpus_of_files(tmp_path, [*reversed(names), "7.jpg"])
    assert (corpus.shards, corpus.sizes) == (("00000", "00001", "00002"), (1000, 1000, 1))
    with pytest.raises(ValueError, match="no names"):
        corpus_of_files(tmp_path, [])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["a.jpg", "b.jpg", "d/a.jpg"]),
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=7),
        min_size=1,
    )
)
def test_of_any_captions_the_first_five_that_are_not_blank_are_kept(tmp_path, captions):
    for name in captions:
        draw(tmp_path / name)
    file = write(tmp_path / "x.json", [{"image": name, "caption": texts} for name, texts in captions.items()])
    slow = {
        name: [" ".join(text.split()) for text in texts if text.split()] for name, texts in captions.items()
    }
    if not all(slow.values()):
        with pytest.raises(Refusal, match="has no caption"):
            open_captions(file, name="any", settings={})
        return
    found = open_captions(file, name="any", settings={})
    assert read(found) == {name: texts[:5] for name, texts in slow.items()}
    assert found.table["key"].to_pylist() == sorted(captions)
    assert all(clean(text, "") == text for texts in slow.values() for text in texts)


def test_real_pictures_are_streamed_from_where_they_lie():
    listing = PICTURES / "pictures.csv"
    if not listing.is_file():
        pytest.skip(f"{PICTURES} is absent")
    found = open_captions(listing, name="real", settings={})
    samples = stream(found)
    assert len(samples) == len(found) > 400
    assert {sample.key for sample in samples if isinstance(sample, Sample)} == set(read(found))
