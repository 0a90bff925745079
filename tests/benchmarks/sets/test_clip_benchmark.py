import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.benchmarks.evaluation_set import COLUMNS
from oddpair.benchmarks.sets.clip_benchmark import open_clip_benchmark
from oddpair.benchmarks.sets.label_vectors import read_vector
from oddpair.errors import Refusal
from oddpair.retrieval.formats.tars import write_tar
from oddpair.retrieval.samples import Bad, Sample

NAMES = "cat\ndog\ncat\n"
TEMPLATES = "a photo of a {c}.\n{c} {in} {braces}\n"


def opened(path, **given):
    return open_clip_benchmark(path, name="pets", settings=given)


def as_npy(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def samples(labels, *, member="cls", first=0):
    """Members of a tar as the builder orders them; a label may be bytes, or None for no such member."""
    members = []
    for row, label in enumerate(labels, first):
        if label is not None:
            members.append(
                (f"s{row:07d}.{member}", label if isinstance(label, bytes) else str(label).encode())
            )
        members.append((f"s{row:07d}.webp", f"picture {row}".encode()))
    return members


def write(root, *tars, split="test", names=NAMES, templates=TEMPLATES, kind=None, member="cls", count=None):
    (root / split).mkdir(parents=True, exist_ok=True)
    first = 0
    for number, labels in enumerate(tars):
        write_tar(root / split / f"{number}.tar", samples(labels, member=member, first=first))
        first += len(labels)
    (root / split / "nshards.txt").write_text(f"{len(tars) if count is None else count}\n")
    files = {
        "classnames.txt": names,
        "zeroshot_classification_templates.txt": templates,
        "dataset_type.txt": kind,
    }
    for name, text in files.items():
        if text is not None:
            (root / name).write_text(text)
    return root


def streamed(found):
    """Keys and uids as a reader of the pictures meets them."""
    for shard in found.corpus.shards:
        for one in found.corpus.stream(shard):
            yield (f"{shard}/{one.key}", one.uid) if isinstance(one, Sample) else one


def rows(found):
    return dict(
        zip(found.table["key"].to_pylist(), found.table[COLUMNS[found.kind][0]].to_pylist(), strict=True)
    )


def test_a_set_is_its_labels_its_names_its_templates_and_its_pictures(tmp_path):
    found = opened(write(tmp_path, [2, 0], [1]))
    assert (found.root, found.layout, found.kind, len(found)) == (
        tmp_path,
        "clip_benchmark",
        "classification",
        3,
    )
    assert rows(found) == {"0/s0000000": "2", "0/s0000001": "0", "1/s0000002": "1"}
    assert found.table.column_names == ["key", "style", "label"]
    assert found.table["style"].to_pylist() == [""] * 3
    assert (found.classes, found.class_names) == (("0", "1", "2"), ("cat", "dog", "cat"))
    assert found.keyed_by_shard
    assert [key for key, _ in streamed(found)] == found.table["key"].to_pylist()
    assert any("2 of 3 classes share their name" in note for note in found.notes)


def test_templates_keep_all_braces_but_those_of_the_class(tmp_path):
    assert opened(write(tmp_path, [0])).templates == ("a photo of a {}.", "{} {in} {braces}")


def test_more_than_ten_tars_keep_each_label_with_its_picture(tmp_path):
    found = opened(write(tmp_path, *([row % 3] for row in range(12))))
    assert rows(found) == {f"{row}/s{row:07d}": str(row % 3) for row in range(12)}
    assert [key for key, _ in streamed(found)] == found.table["key"].to_pylist()


@pytest.mark.parametrize("text", ["0017", " 17\n", "17"])
def test_a_label_is_a_whole_number_however_it_is_padded(tmp_path, text):
    found = opened(write(tmp_path, [text], names="\n".join(f"class {row}" for row in range(20))))
    assert rows(found) == {"0/s0000000": "17"}


def test_the_labels_are_those_that_the_writer_and_the_reader_of_the_peer_agree_on(tmp_path):
    wds = pytest.importorskip("webdataset")
    vectors = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], dtype=np.float32)
    (tmp_path / "test").mkdir()
    with wds.ShardWriter(str(tmp_path / "test" / "%d.tar"), maxcount=2, verbose=0) as sink:
        for row, vector in enumerate(vectors):
            sink.write({"__key__": f"s{row:07d}", "webp": b"picture", "npy": vector})
    (tmp_path / "test" / "nshards.txt").write_text("2\n")
    (tmp_path / "classnames.txt").write_text("a\nb\nc\n")
    (tmp_path / "dataset_type.txt").write_text("multilabel\n")
    read = wds.WebDataset(str(tmp_path / "test" / "{0..1}.tar"), shardshuffle=False).decode()
    expected = [[str(place) for place in np.flatnonzero(sample["npy"])] for sample in read]
    assert list(rows(opened(tmp_path)).values()) == expected == [["1", "2"], [], ["0"]]


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64", "float16", ">f8"])
def test_a_vector_of_any_plain_type_names_its_ones(kind):
    assert read_vector(as_npy(np.array([1, 0, 1]).astype(kind)), 3) == [0, 2]


@given(st.lists(st.booleans(), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_vectors_come_back_as_the_places_of_their_ones(values):
    assert read_vector(as_npy(np.array(values)), len(values)) == [
        row for row, one in enumerate(values) if one
    ]


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_bytes_that_are_no_vector_are_told_and_nothing_else_happens(data):
    with pytest.raises(ValueError, match=r"is no whole \.npy file"):
        read_vector(data, 3)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        pytest.param(
            as_npy(np.array([1, 0])), r"has shape \(2,\) of int64, needed 3 numbers", id="too-short"
        ),
        pytest.param(as_npy(np.array([[1, 0, 0]])), r"has shape \(1, 3\)", id="a-row"),
        pytest.param(as_npy(np.array([1, 0, 2])), "holds 2, needed 0 or 1", id="a-count"),
        pytest.param(as_npy(np.array([1, 0, np.nan])), "holds nan, needed 0 or 1", id="nan"),
        pytest.param(as_npy(np.array([1, 0, -1])), "holds -1, needed 0 or 1", id="difficult"),
        pytest.param(
            as_npy(np.array(["1", "0", "0"])), r"has shape \(3,\) of <U1, needed 3 numbers", id="text"
        ),
        pytest.param(as_npy(np.array([1, 0, 0]))[:-3], "holds 21 bytes, its header needs 24", id="cut"),
        pytest.param(
            as_npy(np.array([1, None, 0])), "holds pickled Python objects, which are never read", id="pickle"
        ),
        pytest.param(b"1 0 0", "is no whole .npy file", id="no-npy"),
        pytest.param(b"", "is no whole .npy file", id="empty"),
    ],
)
def test_a_vector_that_is_none_is_refused_with_its_tar_and_key(tmp_path, vector, message):
    root = write(tmp_path, [as_npy(np.array([0, 1, 0])), vector], kind="multilabel", member="npy")
    with pytest.raises(Refusal, match=rf"0\.tar sample s0000001 has a npy which {message}"):
        opened(root)


def test_captions_are_the_stripped_lines_and_pictures_without_any_stay(tmp_path):
    texts = [b" A dog.\r\n\nA  cat \n", b"  \n", "Ein Männchen\\n".encode()]
    found = opened(write(tmp_path, texts, kind="Retrieval\n", member="txt", names=None, templates=None))
    assert list(rows(found).values()) == [["A dog.", "A  cat"], [], ["Ein Männchen\\n"]]
    assert (found.kind, found.classes, found.templates) == ("retrieval", (), ())
    # The corpus of pictures sets none of them aside for its captions.
    assert [key for key, _ in streamed(found)] == ["0/s0000000", "0/s0000001", "0/s0000002"]
    assert found.notes == ("Pictures without a caption, which stay in the gallery: 1.",)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param([0, None], "sample s0000001 has no cls, only webp: label it", id="none"),
        pytest.param([0, b"dog"], "has a cls which says b'dog', no whole number from 0", id="a-name"),
        pytest.param([0, b""], "says b'', no whole number", id="empty"),
        pytest.param([0, -1], "says b'-1', no whole number", id="negative"),
        pytest.param([0, "1.0"], "says b'1.0', no whole number", id="a-float"),
        pytest.param([0, 3], "says 3, classnames.txt has 3 classes, from 0", id="out-of-range"),
        pytest.param([0, "٣".encode()], "no whole number", id="digits-of-another-script"),
        pytest.param([0, "9" * 5000], "no whole number", id="thousands-of-digits"),
    ],
)
def test_a_label_is_never_guessed(tmp_path, labels, message):
    with pytest.raises(Refusal, match=rf"test/0\.tar .*{message}"):
        opened(write(tmp_path, labels))


def test_captions_that_are_no_utf8_are_refused(tmp_path):
    with pytest.raises(Refusal, match="sample s0000000 has a txt which is not UTF-8 at byte 1"):
        opened(write(tmp_path, [b"a\xff", b"b"], kind="retrieval", member="txt"))


@pytest.mark.parametrize("gone", ["webp", "bmp"])
def test_a_label_without_a_picture_is_refused_and_not_passed_over(tmp_path, gone):
    members = samples([0, 1, 2])
    members[3] = (f"s0000001.{gone}", members[3][1])
    if gone == "webp":
        del members[3]
    root = write(tmp_path, [0])
    write_tar(root / "test" / "0.tar", members)
    with pytest.raises(Refusal, match=r"0\.tar holds s0000001\.cls without a jpg, png or webp"):
        opened(root)


def test_members_with_several_dots_and_folders_in_names_are_no_trouble(tmp_path):
    root = write(tmp_path, [0])
    extra = [("a/0.cls", b"1"), ("a/0.png", b"picture"), ("a/0.seg.cls", b"7"), ("README.cls.txt", b"hello")]
    write_tar(root / "test" / "0.tar", [*samples([2]), *extra[:3]])
    assert rows(opened(root)) == {"0/s0000000": "2", "0/a/0": "1"}


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    root = write(tmp_path, [0])
    write_tar(root / "test" / "0.tar", samples([0, 1]) + samples([2]))
    with pytest.raises(Refusal, match="sample s0000000 is there twice: which label holds cannot be told"):
        opened(root)


def test_a_sample_with_two_pictures_keeps_its_row_and_is_set_aside_where_pictures_are_read(tmp_path):
    root = write(tmp_path, [0])
    write_tar(root / "test" / "0.tar", [*samples([0, 1]), ("s0000001.png", b"another")])
    found = opened(root)
    assert rows(found) == {"0/s0000000": "0", "0/s0000001": "1"}
    bad = [one for one in streamed(found) if isinstance(one, Bad)]
    assert [(one.file, one.reason) for one in bad] == [
        ("0.tar", "sample s0000001 holds 2 pictures, needed one jpg, png or webp")
    ]


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(2 * 1024 * 2, id="1-cut-at-member-boundary"),
        pytest.param(2 * 1024 * 2 + 1024, id="1-cut-behind-a-label"),
        pytest.param(2 * 1024 * 2 + 100, id="2-cut-in-a-header"),
        pytest.param(2 * 1024 * 2 + 1024 + 515, id="3-cut-in-a-picture"),
    ],
)
def test_a_tar_that_was_cut_is_refused(tmp_path, cut):
    root = write(tmp_path, [0, 1], [0, 1, 2])
    tar = root / "test" / "1.tar"
    tar.write_bytes(tar.read_bytes()[:cut])
    with pytest.raises(Refusal, match=r"1\.tar .*the shard is truncated.*fetch it again"):
        opened(root)


def test_a_tar_without_end_mark_is_taken_where_sizes_say_that_it_is_whole(tmp_path):
    root = write(tmp_path, [0, 1])
    tar = root / "test" / "0.tar"
    tar.write_bytes(tar.read_bytes()[: 4 * 1024])
    (root / "test" / "sizes.json").write_text(json.dumps({"0.tar": 2}))
    assert list(rows(opened(root)).values()) == ["0", "1"]
    (root / "test" / "sizes.json").write_text(json.dumps({"0.tar": 3}))
    with pytest.raises(Refusal, match=r"0\.tar .*fetch it again"):
        opened(root)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (3, r"lacks 2\.tar of the 3 tars that nshards.txt tells of: fetch it again"),
        (1, r"holds 1\.tar beside the 1 tars of nshards.txt"),
        (10**8, r"lacks 2\.tar of the 100000000 tars"),
        ("two", r"nshards.txt says 'two', needed the number of tars"),
    ],
)
def test_the_tars_must_be_those_that_nshards_tells_of(tmp_path, count, message):
    with pytest.raises(Refusal, match=message):
        opened(write(tmp_path, [0], [1], count=count))


def test_padded_numbers_of_tars_are_not_those_of_the_layout(tmp_path):
    root = write(tmp_path, [0])
    (root / "test" / "0.tar").rename(root / "test" / "000000.tar")
    with pytest.raises(Refusal, match=r"lacks 0\.tar of the 1 tars"):
        opened(root)


def test_the_split_is_test_or_the_only_one_or_the_one_asked_for(tmp_path):
    write(tmp_path / "one", [2], split="val")
    assert rows(opened(tmp_path / "one")) == {"0/s0000000": "2"}
    root = write(tmp_path / "two", [0], split="test")
    (root / "train").mkdir()
    write_tar(root / "train" / "0.tar", samples([1]))
    (root / "train" / "nshards.txt").write_text("1")
    assert rows(opened(root)) == {"0/s0000000": "0"}
    assert rows(opened(root, split="train")) == rows(opened(root / "train")) == {"0/s0000000": "1"}
    assert opened(root / "train", split="train").class_names == ("cat", "dog", "cat")
    with pytest.raises(Refusal, match="has no split 'dev', only test, train"):
        opened(root, split="dev")
    with pytest.raises(Refusal, match="is the split 'train' itself, not 'test'"):
        opened(root / "train", split="test")


def test_without_test_the_split_must_be_named(tmp_path):
    root = write(tmp_path, [0], split="dev")
    (root / "train").mkdir()
    (root / "train" / "nshards.txt").write_text("1")
    with pytest.raises(Refusal, match="has no split 'test', only dev, train: set split"):
        opened(root)


def test_names_may_lie_beside_the_tars(tmp_path):
    root = write(tmp_path, [1], split=".")
    assert opened(root).class_names == ("cat", "dog", "cat")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"kind": "captioning"},
            r"dataset_type.txt says 'captioning', needed classification, multilabel, retrieval",
        ),
        ({"templates": "a photo\n"}, r"templates.txt line 1 is 'a photo': needed is one \{c\}"),
        ({"templates": "ok {c}\n{c} and {c}\n"}, r"line 2 is '\{c\} and \{c\}'"),
        ({"templates": "{c} {}\n"}, r"line 1 is '\{c\} \{\}'"),
        ({"names": "cat\n\ndog\n"}, r"classnames.txt line 2 is blank"),
        ({"names": " \n"}, r"classnames.txt is empty"),
        ({"kind": "multilabel", "names": None}, r"holds no classnames.txt, which a multilabel set needs"),
    ],
)
def test_files_beside_the_tars_must_say_what_they_are_for(tmp_path, changes, message):
    with pytest.raises(Refusal, match=message):
        opened(write(tmp_path, [0], **changes))


def test_names_may_have_a_byte_order_mark_and_line_ends_of_any_kind(tmp_path):
    root = write(tmp_path, [1])
    (root / "classnames.txt").write_bytes(b"\xef\xbb\xbfcat\r\n\xc3\xa9t\xc3\xa9 \r\n\r\n")
    assert opened(root).class_names == ("cat", "été")
    (root / "classnames.txt").write_bytes(b"cat\n\xe9t\xe9\n")
    with pytest.raises(Refusal, match=r"classnames\.txt is not UTF-8 at byte 4"):
        opened(root)


def test_without_names_the_labels_stay_and_the_classes_must_come_from_elsewhere(tmp_path):
    found = opened(write(tmp_path, [7], names=None, templates=None))
    assert (rows(found), found.classes, found.class_names, found.templates) == (
        {"0/s0000000": "7"},
        (),
        (),
        (),
    )
    assert "the classes must come from the benchmark" in found.notes[0]


def test_unknown_settings_are_refused_with_the_near_one(tmp_path):
    with pytest.raises(
        Refusal, match="set pets: layout clip_benchmark has no setting 'splits'; did you mean 'split'"
    ):
        opened(write(tmp_path, [0]), splits="test")
    with pytest.raises(Refusal, match="its setting 'split' is empty"):
        opened(tmp_path, split="")


def test_a_folder_without_a_set_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"neither .* nor a folder in it holds nshards\.txt"):
        opened(tmp_path)
    with pytest.raises(Refusal, match="is no folder"):
        opened(tmp_path / "nothing")
