import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.exports.captions import caption_by_class
from oddpair.splits.exports.shards import export_webdataset
from oddpair.splits.manifest import Manifest


def write_folders(folder, numbered, names):
    for number, name in enumerate(names):
        path = folder / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(numbered.image(3 * number + 1))
    return open_corpus(folder)


def captions_of(corpus):
    """Captions by key, which scan and stream must agree on."""
    scanned = {
        row["key"]: row["caption"]
        for shard in corpus.shards
        for batch in corpus.scan(shard)
        for row in batch.table.to_pylist()
    }
    streamed = {item.key: item.caption for shard in corpus.shards for item in corpus.stream(shard)}
    assert streamed == scanned
    return scanned


def test_pictures_are_captioned_by_the_folder_that_they_lie_in(tmp_path, numbered):
    corpus = write_folders(
        tmp_path, numbered, ["train/great_white_shark", "train/cat", "train/great_white_shark"]
    )
    assert not corpus.captioned
    made = caption_by_class(corpus, "a photo of a {}")
    assert made.captioned
    assert captions_of(made) == {
        "train/great_white_shark/0.png": "a photo of a great white shark",
        "train/cat/1.png": "a photo of a cat",
        "train/great_white_shark/2.png": "a photo of a great white shark",
    }


def test_folders_of_imagenet_are_called_by_the_names_of_its_classes(tmp_path, numbered):
    corpus = write_folders(tmp_path, numbered, ["n01440764", "n01491361", "n15075141"])
    assert list(captions_of(caption_by_class(corpus, "a {}.")).values()) == [
        "a tench.",
        "a tiger shark.",
        "a toilet paper.",
    ]


def test_an_id_of_wordnet_that_is_no_class_of_imagenet_is_refused(tmp_path, numbered):
    corpus = write_folders(tmp_path, numbered, ["n01440764", "n99999999"])
    with pytest.raises(Refusal, match=r"class 'n99999999' is none of the 1,000 of ImageNet.*--class-column"):
        captions_of(caption_by_class(corpus, "a {}."))


def test_captions_made_of_a_column_replace_those_that_are_there(tmp_path, numbered):
    made = caption_by_class(numbered.write(tmp_path / "corpus", (3,)), "in the style of a {}", "style")
    (batch,) = made.scan("00000")
    assert batch.table.column_names == ["uid", "key", "caption"]
    assert batch.table["caption"].to_pylist() == [
        "in the style of a sketch",
        "in the style of a photo",
        "in the style of a sketch",
    ]
    (batch,) = made.scan("00000", None)
    assert "style" in batch.table.column_names


def test_an_export_has_the_captions_that_were_made(tmp_path, numbered):
    corpus = write_folders(tmp_path / "train", numbered, ["hot_dog", "cat"])
    uids = sorted(corpus.metadata()["uid"].to_pylist())
    made = caption_by_class(corpus, "a photo of a {}")
    assert export_webdataset(Manifest(name="s", recipe="r", uids=uids), made, tmp_path / "out") == 0
    found = open_corpus(tmp_path / "out").metadata()
    assert found["caption"].to_pylist() == ["a photo of a cat", "a photo of a hot dog"]
    assert sorted(found["uid"].to_pylist()) == uids


@pytest.mark.parametrize("template", ["a photo", "{} and {}", "a {name}", "{{}}", "{0}"])
def test_a_template_that_has_no_one_place_for_the_class_is_refused(tmp_path, numbered, template):
    corpus = write_folders(tmp_path, numbered, ["cat"])
    with pytest.raises(Refusal, match=r"must hold one \{\} for the class"):
        caption_by_class(corpus, template)


def test_a_picture_in_no_folder_has_no_class(tmp_path, numbered):
    corpus = write_folders(tmp_path, numbered, ["cat", "."])
    with pytest.raises(Refusal, match=r"1\.png lies in no folder, .*: name a column with --class-column"):
        captions_of(caption_by_class(corpus, "a {}"))
