import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddpair.benchmarks.sets.class_folders import PICTURES, open_class_folders, order_classes
from oddpair.errors import Refusal
from oddpair.retrieval.samples import Sample


def opened(path, **given):
    return open_class_folders(path, name="val", settings=given)


def write(root, *names, data=None):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode() if data is None else data)
    return root


def rows(found):
    return dict(zip(found.table["key"].to_pylist(), found.table["label"].to_pylist(), strict=True))


def streamed(found):
    return [one for shard in found.corpus.shards for one in found.corpus.stream(shard)]


def test_folders_are_the_classes_of_the_pictures_in_them(tmp_path):
    found = opened(write(tmp_path, "n02/b.JPEG", "n01/a.jpeg", "n01/c.png"))
    assert (found.root, found.layout, found.kind, len(found)) == (
        tmp_path,
        "class-folders",
        "classification",
        3,
    )
    assert rows(found) == {"n01/a.jpeg": "n01", "n01/c.png": "n01", "n02/b.JPEG": "n02"}
    assert (found.classes, found.class_names, found.templates) == (("n01", "n02"), (), ())
    assert (found.keyed_by_shard, found.notes) == (False, ())
    assert found.table.column_names == ["key", "style", "label"]
    assert [one.key for one in streamed(found)] == found.table["key"].to_pylist()


@pytest.mark.parametrize("ending", PICTURES)
def test_every_kind_of_picture_that_a_folder_corpus_reads_is_a_picture_here(tmp_path, ending):
    from oddpair.retrieval.corpus import open_corpus

    write(tmp_path, f"a/x{ending}", f"a/y{ending.upper()}")
    assert len(opened(tmp_path)) == len(open_corpus(tmp_path)) == 2


def test_folders_of_whole_numbers_are_sorted_as_numbers(tmp_path):
    found = opened(write(tmp_path, *(f"{row}/x.jpeg" for row in range(12))))
    assert found.classes == tuple(str(row) for row in range(12))
    assert found.notes == ("Folders are whole numbers: classes are in the order of numbers, not of text.",)


@given(st.lists(st.text(alphabet="019a_ é", min_size=1, max_size=4), min_size=1, max_size=20))
def test_classes_come_once_and_in_an_order_that_their_own_order_does_not_change(keys):
    found = order_classes(keys)
    assert set(found) == set(keys)
    assert len(found) == len(set(keys))
    assert order_classes(reversed(found)) == found


def test_the_order_of_text_is_that_of_torchvision(tmp_path):
    datasets = pytest.importorskip("torchvision.datasets.folder")
    write(tmp_path, *(f"{name}/x.png" for name in ("b", "a b", "Z", "é", "_", "10", "9")))
    assert opened(tmp_path).classes == tuple(datasets.find_classes(str(tmp_path))[0])


def test_the_same_bytes_in_two_classes_are_two_pictures(tmp_path):
    found = opened(write(tmp_path, "a/1.png", "b/2.png", "b/3.png", data=b"one drawing"))
    samples = streamed(found)
    assert all(isinstance(one, Sample) for one in samples)
    assert [one.key for one in samples] == ["a/1.png", "b/2.png", "b/3.png"]
    assert len({one.uid for one in samples}) == 1


def test_captions_beside_pictures_make_no_row_bad(tmp_path):
    found = opened(write(tmp_path, "a/1.png", "a/1.txt", "a/2.png", "b/3.png"))
    assert [one.caption for one in streamed(found)] == ["", "", ""]
    assert found.notes == ("Files that are no pictures of a class, passed over: 1, such as a/1.txt.",)


def test_files_beside_folders_and_folders_without_a_picture_are_told_and_passed_over(tmp_path):
    write(tmp_path, "README.txt", "loose.jpg", ".DS_Store", "a/1.png", "a/.hidden.png", "__MACOSX/._1.png")
    (tmp_path / "empty").mkdir()
    found = opened(tmp_path)
    assert (rows(found), found.classes) == ({"a/1.png": "a"}, ("a",))
    assert found.notes == (
        "Files that are no pictures of a class, passed over: 2, such as README.txt.",
        "Folders without a picture, which are no classes: 2, such as __MACOSX.",
    )


def test_pictures_in_no_folder_are_refused_with_what_to_do(tmp_path):
    write(tmp_path, "ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG")
    message = "holds pictures such as ILSVRC2012_val_00000001.JPEG in no folder.*move each into a folder"
    with pytest.raises(Refusal, match=message):
        opened(tmp_path)


@pytest.mark.parametrize("deep", ["real/airplane/1.jpg", "real/deeper/airplane/1.jpg"])
def test_the_folder_above_the_right_one_is_refused_and_the_right_one_named(tmp_path, deep):
    write(tmp_path, deep, "sketch/airplane/1.jpg")
    right = (tmp_path / deep).parent.parent
    with pytest.raises(Refusal, match=rf"needed is CLASS/PICTURE: name the folder .* such as {right}$"):
        opened(tmp_path)
    assert opened(right).classes == ("airplane",)


def test_a_folder_without_a_picture_and_no_folder_are_refused(tmp_path):
    write(tmp_path, "a/b.txt")
    with pytest.raises(Refusal, match="holds no folder with a picture"):
        opened(tmp_path)
    with pytest.raises(Refusal, match="is no folder"):
        opened(tmp_path / "a" / "b.txt")


@pytest.fixture
def domains(tmp_path):
    write(
        tmp_path, "real/ant/1.jpg", "real/ant/2.jpg", "real/bee/1.jpg", "real/cow/1.jpg", "sketch/ant/1.jpg"
    )
    (tmp_path / "real_test.txt").write_text("real/bee/1.jpg 1\nreal/ant/2.jpg 0\n")
    return tmp_path


def test_a_list_limits_the_pictures_and_not_the_classes(domains):
    found = opened(domains, list="real_test.txt")
    assert rows(found) == {"real/ant/2.jpg": "ant", "real/bee/1.jpg": "bee"}
    assert found.classes == ("ant", "bee", "cow")
    assert found.notes == ()
    assert [one.key for one in streamed(found)] == ["real/ant/2.jpg", "real/bee/1.jpg"]


def test_a_list_may_be_of_one_domain_without_labels_and_with_spaces_in_names(tmp_path):
    write(tmp_path, "air plane/a b.jpg", "car/1.jpg")
    (tmp_path / "list.txt").write_text("./air plane/a b.jpg\n")
    assert rows(opened(tmp_path, list="list.txt")) == {"air plane/a b.jpg": "air plane"}
    (tmp_path / "list.txt").write_text("air plane/a b.jpg 12\n")
    assert rows(opened(tmp_path, list="list.txt")) == {"air plane/a b.jpg": "air plane"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "real/ant/9.jpg 0\nreal/ant/1.jpg 0\n",
            r"lacks real/ant/9\.jpg, one of 1 of 2 pictures .*fetch them",
        ),
        (
            "real/ant/1.jpg 0\nreal/ant/1.jpg 0\n",
            r"real_test\.txt line 2 names real/ant/1\.jpg a second time",
        ),
        ("../ant/1.jpg 0\n", r"line 1 names '\.\./ant/1\.jpg': needed is CLASS/PICTURE"),
        ("/real/ant/1.jpg 0\n", r"line 1 names '/real/ant/1\.jpg'"),
        ("1.jpg 0\n", r"line 1 names '1\.jpg'"),
        ("real/ant/1.jpg 0\nreal/bee/1.jpg 0\n", r"contradict each other"),
        ("real/ant/1.jpg 0\nreal/ant/2.jpg 1\n", r"labels real/ant/2\.jpg 1, which stands for ant elsewhere"),
        ("", r"real_test\.txt is empty"),
    ],
)
def test_a_list_that_does_not_fit_the_folders_is_refused(domains, lines, message):
    (domains / "real_test.txt").write_text(lines)
    with pytest.raises(Refusal, match=message):
        opened(domains, list="real_test.txt")


def test_a_list_that_is_not_there_is_refused(domains):
    with pytest.raises(Refusal, match=r"real_train\.txt cannot be read \(No such file"):
        opened(domains, list="real_train.txt")


def test_names_of_classes_come_from_a_file_in_their_order(tmp_path):
    write(tmp_path, "n02/1.jpg", "n01/1.jpg")
    (tmp_path / "classnames.txt").write_text("tench\ngold fish\n")
    (tmp_path / "other.txt").write_text("one\ntwo\n")
    assert opened(tmp_path).class_names == ("tench", "gold fish")
    assert opened(tmp_path, names="other.txt").class_names == ("one", "two")
    (tmp_path / "classnames.txt").write_text("tench\n")
    with pytest.raises(Refusal, match=r"classnames\.txt names 1 classes, there are 2 folders with pictures"):
        opened(tmp_path)


def test_unknown_settings_are_refused_with_the_near_one(tmp_path):
    with pytest.raises(Refusal, match="layout class-folders has no setting 'lists'; did you mean 'list'"):
        opened(write(tmp_path, "a/1.png"), lists="x.txt")


def test_a_class_folder_that_is_a_link_is_read_within_the_root_and_refused_outside(tmp_path):
    root = write(tmp_path / "root", "a/1.png")
    (root / "b").symlink_to(root / "a")
    assert [one.key for one in streamed(opened(root))] == ["a/1.png", "b/1.png"]
    write(tmp_path, "elsewhere/2.png")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal, match="is a link to a file which is outside"):
        streamed(opened(root))


def test_a_name_that_is_no_text_keeps_its_row_and_is_set_aside_where_pictures_are_read(tmp_path):
    write(tmp_path, "a/1.png")
    (tmp_path / "a" / b"\xff.png".decode("utf-8", "surrogateescape")).write_bytes(b"picture")
    found = opened(tmp_path)
    assert rows(found) == {"a/1.png": "a", "a/\\udcff.png": "a"}
    assert [(one.file, one.reason) for one in streamed(found) if not isinstance(one, Sample)] == [
        ("a/\\udcff.png", "key is not UTF-8")
    ]


def test_more_pictures_than_a_shard_holds_come_in_the_order_of_the_table(tmp_path):
    found = opened(write(tmp_path, *(f"{row % 7}/{row}.png" for row in range(1100))))
    assert len(found.corpus.shards) == 2
    assert [one.key for one in streamed(found)] == found.table["key"].to_pylist()
