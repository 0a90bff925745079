import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from oddpair.benchmarks.evaluation_set import QUESTIONS, EvaluationSet
from oddpair.benchmarks.sets.choices import open_choices
from oddpair.benchmarks.sets.crops import write_crops
from oddpair.errors import Refusal
from oddpair.retrieval.pictures import BadPicture, decode_pixels
from oddpair.retrieval.samples import Sample


def draw(path: Path, pixels: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8) if pixels is None else pixels).save(path, "PNG")


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def lines(*entries: dict[str, object]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def read(found: EvaluationSet) -> list[tuple[str, list[str], list[str], str]]:
    assert found.questions is not None
    assert found.questions.schema == QUESTIONS
    return [tuple(question.values()) for question in found.questions.to_pylist()]


def stream(found: EvaluationSet) -> dict[str, bytes]:
    every = [one for shard in found.corpus.shards for one in found.corpus.stream(shard)]
    return {one.key: one.image for one in every if isinstance(one, Sample)}


def crepe(image: str, right: str, wrong: str) -> dict[str, str]:
    return {"filename": image, "caption": right, "negative_caption": wrong}


@pytest.fixture
def sugar_crepe(tmp_path):
    draw(tmp_path / "val2017" / "1.jpg")
    draw(tmp_path / "val2017" / "2.jpg")
    write(tmp_path / "data" / "swap_att.json", {"9": crepe("1.jpg", "A red dog. ", "A  blue dog.")})
    write(
        tmp_path / "data" / "add_obj.json",
        {"0": crepe("2.jpg", "a cat", "a cat and a hat"), "3": crepe("1.jpg", "a dog", "a dog and a hat")},
    )
    return tmp_path / "data"


def test_sugar_crepe_is_a_folder_whose_files_are_the_categories(sugar_crepe):
    found = open_choices(sugar_crepe, name="sugar crepe", settings={})
    assert read(found) == [
        ("add_obj/0", ["2.jpg"], ["a cat", "a cat and a hat"], "add_obj"),
        ("add_obj/3", ["1.jpg"], ["a dog", "a dog and a hat"], "add_obj"),
        ("swap_att/9", ["1.jpg"], ["A red dog.", "A blue dog."], "swap_att"),
    ]
    assert found.table.to_pydict() == {"key": ["1.jpg", "2.jpg"], "style": ["", ""]}
    assert (found.kind, found.layout, found.notes) == ("choice", "choices", ())
    assert list(stream(found)) == ["1.jpg", "2.jpg"]


def test_one_file_of_sugar_crepe_asks_the_same_under_the_same_ids(sugar_crepe):
    whole = read(open_choices(sugar_crepe, name="x", settings={}))
    assert (
        read(open_choices(sugar_crepe / "add_obj.json", name="x", settings={"images": "../val2017"}))
        == whole[:2]
    )


def test_another_file_among_those_of_sugar_crepe_is_named(sugar_crepe):
    write(sugar_crepe / "zz.json", [{"question": "1", "images": "1.jpg", "captions": ["a", "b"]}])
    with pytest.raises(Refusal, match=r"holds 3 files, and zz\.json is none of SugarCrepe's"):
        open_choices(sugar_crepe, name="x", settings={})


WINOGROUND = {
    "id": 0,
    "image_0": "ex_0_img_0",
    "image_1": "ex_0_img_1",
    "caption_0": "a b",
    "caption_1": "b a",
}


def test_winoground_shows_two_pictures_whose_endings_its_file_leaves_out(tmp_path):
    for number in range(2):
        draw(tmp_path / "images" / f"ex_0_img_{number}.png")
    write(tmp_path / "other.json", {})
    write(tmp_path / "examples.jsonl", lines({**WINOGROUND, "tag": "Noun", "collapsed_tag": "Object"}))
    found = open_choices(tmp_path, name="winoground", settings={})
    assert read(found) == [("0", ["ex_0_img_0.png", "ex_0_img_1.png"], ["a b", "b a"], "Object")]


def test_winoground_as_a_table_is_the_same(tmp_path):
    for number in range(2):
        draw(tmp_path / f"ex_0_img_{number}.png")
    cells = {**WINOGROUND, "collapsed_tag": "Object", "image_1": "ex_0_img_1.png"}
    file = write(tmp_path / "x.csv", ",".join(cells) + "\n" + ",".join(map(str, cells.values())) + "\n")
    found = open_choices(file, name="winoground", settings={})
    assert read(found) == [("0", ["ex_0_img_0.png", "ex_0_img_1.png"], ["a b", "b a"], "Object")]


def aro(image: str, box: tuple[float, ...], **more: object) -> dict[str, object]:
    sides = dict(zip(("bbox_x", "bbox_y", "bbox_w", "bbox_h"), box, strict=True))
    return {"image_path": image, **sides, "true_caption": "a on b", "false_caption": "b on a", **more}


@pytest.fixture
def gradient(tmp_path):
    pixels = np.arange(10 * 20 * 3, dtype=np.uint16).astype(np.uint8).reshape(10, 20, 3)
    draw(tmp_path / "images" / "1.jpg", pixels)
    return pixels


def test_aro_asks_about_what_its_boxes_cut_out(tmp_path, gradient):
    entries = [
        aro("1.jpg", (2, 3, 5, 4), relation_name="on"),
        aro("1.jpg", (18, 8.0, 4, 4), relation_name="on"),
        aro("1.jpg", (2, 3, 5, 4), attributes=["red", "tall"]),
    ]
    file = write(tmp_path / "visual_genome_relation.json", entries)
    found = open_choices(file, name="aro", settings={"crops": "cut"})
    inside, beyond = "1.jpg.2_3_5_4.bmp", "1.jpg.18_8_4_4.bmp"
    assert read(found) == [
        ("visual_genome_relation/0", [inside], ["a on b", "b on a"], "on"),
        ("visual_genome_relation/1", [beyond], ["a on b", "b on a"], "on"),
        ("visual_genome_relation/2", [inside], ["a on b", "b on a"], "red_tall"),
    ]
    crops = {key: decode_pixels(image) for key, image in stream(found).items()}
    assert np.array_equal(crops[inside], gradient[3:7, 2:7])
    padded = np.zeros((4, 4, 3), np.uint8)
    padded[:2, :2] = gradient[8:, 18:]
    assert np.array_equal(crops[beyond], padded)


def test_crops_are_written_once(tmp_path, gradient):
    boxes = [("1.jpg", (2, 3, 5, 4)), ("1.jpg", (2, 3, 5, 4)), ("1.jpg", (0, 0, 1, 1))]
    assert write_crops(tmp_path / "images", tmp_path / "cut", boxes) == 2
    first = {file.name: file.read_bytes() for file in (tmp_path / "cut").iterdir()}
    (tmp_path / "cut" / "1.jpg.0_0_1_1.bmp").unlink()
    assert write_crops(tmp_path / "images", tmp_path / "cut", boxes) == 1
    assert {file.name: file.read_bytes() for file in (tmp_path / "cut").iterdir()} == first


@pytest.mark.parametrize("data", [b"", b"<html>"], ids=["8-empty", "8-page"])
def test_a_picture_that_cannot_be_cut_is_set_aside_where_pictures_are_read(tmp_path, gradient, data):
    (tmp_path / "images" / "2.jpg").write_bytes(data)
    entries = [aro("1.jpg", (0, 0, 4, 4), relation_name="on"), aro("2.jpg", (0, 0, 4, 4), relation_name="on")]
    found = open_choices(write(tmp_path / "x.json", entries), name="aro", settings={"crops": "cut"})
    assert len(found) == len(read(found)) == 2
    assert (tmp_path / "cut" / "2.jpg.0_0_4_4.bmp").read_bytes() == data
    with pytest.raises(BadPicture):
        decode_pixels(stream(found).get("2.jpg.0_0_4_4.bmp", b""))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0, 0, 0, 4), "a box of 0 x 4 pixels"),
        ((0, 0, 1.5, 4), "'bbox_w' is '1.5', needed a whole number"),
        ((0, 0, 10**5, 10**5), "a box of 100000 x 100000 pixels, more than 50,000,000"),
    ],
    ids=["empty", "part of a pixel", "10-bomb"],
)
def test_boxes_that_no_picture_has_are_refused(tmp_path, gradient, box, message):
    file = write(tmp_path / "x.json", [aro("1.jpg", box, relation_name="on")])
    with pytest.raises(Refusal, match=message):
        open_choices(file, name="aro", settings={"crops": "cut"})


def test_boxes_need_a_folder_for_their_contents_and_nothing_else_has_one(tmp_path, gradient, sugar_crepe):
    file = write(tmp_path / "x.json", [aro("1.jpg", (0, 0, 4, 4), relation_name="on")])
    with pytest.raises(Refusal, match="name a folder for their contents with 'crops'"):
        open_choices(file, name="aro", settings={})
    with pytest.raises(Refusal, match="has no boxes: leave out 'crops'"):
        open_choices(sugar_crepe, name="x", settings={"crops": "cut"})


def test_aros_orders_have_the_right_caption_first(tmp_path):
    draw(tmp_path / "val2014" / "1.jpg")
    entry = {"image": "val2014/1.jpg", "caption_options": ["a dog runs", "runs a dog", "a dog runs"]}
    found = open_choices(write(tmp_path / "coco_order.json", [entry]), name="order", settings={})
    assert read(found) == [
        ("coco_order/0", ["val2014/1.jpg"], ["a dog runs", "runs a dog", "a dog runs"], "")
    ]
    assert found.notes == ("1 questions have two captions that are the same, which no model can tell apart",)


OWN = [
    ("one", ["a.png"], ["x", "y, z"], "colour"),
    ("2", ["a.png", "d/b.png"], ["p", "q", "r"], ""),
]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "own.csv",
            "question,images,caption_0,caption_1,caption_2,category\n"
            'one,a.png,x,"y, z",,colour\n2,a.png|./d/b.png,p,q,r,\n',
        ),
        (
            "own.tsv",
            "question\timages\tcaption_2\tcaption_1\tcaption_0\tcategory\n"
            "one\ta.png\t\ty, z\tx\tcolour\n2\ta.png | d/b.png\tr\tq\tp\t\n",
        ),
        (
            "own.jsonl",
            lines(
                {"question": "one", "images": "a.png", "captions": ["x", "y,\n z"], "category": "colour"},
                {"question": 2, "images": ["a.png", "d/b.png"], "captions": ["p", "q", "r"]},
            ),
        ),
    ],
)
def test_our_own_layout_says_the_same_in_tables_and_json(tmp_path, file, text):
    draw(tmp_path / "a.png")
    draw(tmp_path / "d" / "b.png")
    assert read(open_choices(write(tmp_path / file, text), name="own", settings={})) == OWN


def test_questions_without_their_pictures_are_refused_unless_the_user_goes_without(sugar_crepe):
    (sugar_crepe.parent / "val2017" / "2.jpg").unlink()
    with pytest.raises(
        Refusal, match=r"lacks 1 of 2 listed pictures \(2\.jpg\).*their questions are left out"
    ):
        open_choices(sugar_crepe, name="x", settings={})
    found = open_choices(sugar_crepe, name="x", settings={"missing": "drop"})
    assert [question for question, *_ in read(found)] == ["add_obj/3", "swap_att/9"]
    assert found.table["key"].to_pylist() == ["1.jpg"]
    assert found.notes == ("1 listed pictures are missing, and 1 of 3 questions left out",)


def test_if_every_question_lacks_a_picture_there_is_no_set(tmp_path):
    draw(tmp_path / "a.png")
    file = write(
        tmp_path / "x.jsonl", lines({"question": 1, "images": "a.png|b.png", "captions": ["a", "b"]})
    )
    with pytest.raises(Refusal, match="no question is left"):
        open_choices(file, name="own", settings={"missing": "drop"})


GOOD: dict[str, object] = {"question": 1, "images": "a.png", "captions": ["a", "b"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": "../a.png"}, "inside the folder"),
        ({"images": ["/a.png"]}, "inside the folder"),
        ({"images": ""}, "names no picture"),
        ({"images": []}, "shows nothing: needed one picture"),
        ({"images": "a.png|a.png"}, "or two different ones"),
        ({"images": "a.png|b.png|c.png"}, "or two different ones"),
        ({"images": 3}, "'images' is '3', needed text"),
        ({"captions": ["a"]}, "has 1 captions: needed two"),
        ({"captions": ["a", " "]}, "has 2 captions, an empty one among them"),
        ({"captions": ["a", None]}, "'captions' is 'None', needed text"),
        ({"captions": ["a", "\udc80"]}, "half a letter"),
        ({"question": 0}, r"has the id '0' of .*x\.jsonl line 1"),
        ({"question": ""}, "'question' is empty"),
        ({"question": None}, "'question' is 'None', needed a whole number"),
    ],
    ids=lambda value: None if isinstance(value, str) else json.dumps(value),
)
def test_questions_that_cannot_be_asked_are_refused_by_their_line(tmp_path, change, message):
    draw(tmp_path / "a.png")
    file = write(tmp_path / "x.jsonl", lines({**GOOD, "question": 0}, {**GOOD, **change}))
    with pytest.raises(Refusal, match=rf"x\.jsonl line 2.*{message}"):
        open_choices(file, name="own", settings={})


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("x.json", "[]", "holds no entry"),
        ("x.json", "7", "is '7', needed a list"),
        ("x.json", '[{"text": "a"}]', "has text, needed 'question', 'images'"),
        ("x.jsonl", '{"question": 1}\n', "has no 'images', only question"),
        ("x.jsonl", "{}\n{\n", "line 2 is not valid JSON"),
        ("x.txt", "a", "is no .json, .jsonl, .csv or .tsv"),
        (
            "x.csv",
            "question,images,caption_0,caption_1,category\n1,a.png,a, here,b,c\n",
            "line 2 has 6 cells",
        ),
    ],
)
def test_files_of_other_kinds_are_refused(tmp_path, file, text, message):
    draw(tmp_path / "a.png")
    with pytest.raises(Refusal, match=message):
        open_choices(write(tmp_path / file, text), name="own", settings={})


def test_unknown_settings_are_refused_with_the_near_one(sugar_crepe):
    with pytest.raises(Refusal, match="layout choices has no setting 'image'; did you mean 'images'"):
        open_choices(sugar_crepe, name="x", settings={"image": "val2017"})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.integers(0, 99),
        st.tuples(
            st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True),
            st.lists(st.text('xyz ,"', min_size=1, max_size=4).filter(str.strip), min_size=2, max_size=4),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_question_finds_its_pictures_and_its_words_in_the_order_of_the_file(tmp_path, asked):
    for name in "abc":
        draw(tmp_path / f"{name}.png")
    entries: list[dict[str, object]] = [
        {"question": number, "images": [f"{name}.png" for name in images], "captions": captions}
        for number, (images, captions) in asked.items()
    ]
    found = open_choices(write(tmp_path / "x.jsonl", lines(*entries)), name="any", settings={})
    assert [(int(question), images, captions) for question, images, captions, _ in read(found)] == [
        (number, [f"{name}.png" for name in images], [" ".join(text.split()) for text in captions])
        for number, (images, captions) in asked.items()
    ]
    assert set(stream(found)) == {key for _, images, *_ in read(found) for key in images}


def test_the_bytes_of_a_crop_depend_on_its_pixels_alone(tmp_path, gradient):
    write_crops(tmp_path / "images", tmp_path / "cut", [("1.jpg", (0, 0, 2, 1))])
    data = (tmp_path / "cut" / "1.jpg.0_0_2_1.bmp").read_bytes()
    blue_first = gradient[0, :2, ::-1].tobytes()
    # A header of 54 bytes, one row, and two bytes that fill it to a multiple of four.
    assert (len(data), data[:2], data[54:]) == (62, b"BM", blue_first + b"\0\0")
    assert Image.open(io.BytesIO(data)).size == (2, 1)
