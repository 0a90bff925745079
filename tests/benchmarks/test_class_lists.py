"""Lists of classes: every form that a benchmark may give them in, and those that ship against their sources."""

import importlib.util
from pathlib import Path

import pytest

from oddpair.benchmarks.class_lists import CLASSES, Spelled, read_class_file, read_classes, read_keys
from oddpair.benchmarks.sections import Section
from oddpair.errors import Refusal


def read(spec, folder=CLASSES):
    return read_classes(Section(where="b.yaml: classes", values={"list": spec}), "list", Path(folder))


def lines_of_timm(name):
    package = importlib.util.find_spec("timm")
    path = Path(package.origin).parent / "data" / "_info" / name if package and package.origin else None
    if path is None or not path.is_file():
        pytest.skip(f"the installed timm has no {name}")
    return path.read_text().splitlines()


def test_names_alone_are_keys_too():
    found = read(["cat", "dog"])
    assert (found.keys, found.spellings) == (("cat", "dog"), (("cat",), ("dog",)))


def test_keys_and_names_stay_in_their_order_and_names_may_repeat():
    found = read({"keys": ["n2", "n1"], "names": ["crane", "crane"]}).with_templates([])
    assert (found.keys, found.names) == (("n2", "n1"), ("crane", "crane"))


def test_a_file_holds_keys_names_and_further_names(tmp_path):
    (tmp_path / "list.tsv").write_text("# mine\nn1\tcat\n\nn2\tpen\tquill\r\ndog\n", encoding="utf-8")
    found = read({"file": "list.tsv"}, tmp_path)
    assert found.keys == ("n1", "n2", "dog")
    assert found.spellings == (("cat",), ("pen", "quill"), ("dog",))
    assert found.needs_templates


def test_a_class_of_two_names_is_asked_with_the_prompts_of_both():
    found = Spelled(name="x", keys=("a", "b"), spellings=(("pen", "quill"), ("cup",)))
    made = found.with_templates(["a {}.", "the {}."])
    assert made.names == ("pen or quill", "cup")
    assert made.prompts == (("a pen.", "the pen.", "a quill.", "the quill."), ("a cup.", "the cup."))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "ball: [a red ball, a ball]\nbig_cup: [a cup]\n"),
        ("p.json", '{"ball": ["a red ball", "a ball"], "big_cup": ["a cup"]}'),
    ],
)
def test_whole_prompts_are_taken_as_they_are(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = read({"prompts": name}, tmp_path).with_templates([])
    assert found.names == ("ball", "big cup")
    assert found.prompts == (("a red ball", "a ball"), ("a cup",))


def test_imagenet_is_keyed_by_wnid_or_by_index_in_open_clips_order():
    from open_clip import IMAGENET_CLASSNAMES

    by_wnid, by_index = (
        read({"open_clip": each}).with_templates([]) for each in ("imagenet", "imagenet-by-index")
    )
    assert by_wnid.names == by_index.names == tuple(IMAGENET_CLASSNAMES)
    assert by_index.keys == tuple(map(str, range(1000)))
    # Indices that everybody knows, from both ends and from among the dogs.
    told = [(by_wnid.keys[row], by_wnid.names[row].lower()) for row in (0, 207, 999)]
    assert told == [("n01440764", "tench"), ("n02099601", "golden retriever"), ("n15075141", "toilet paper")]


def test_the_order_of_open_clips_names_is_that_of_the_wnids():
    lemmas = dict(line.split("\t")[:2] for line in lines_of_timm("imagenet_synset_to_lemma.txt"))
    found = read({"open_clip": "imagenet"}).with_templates([])
    words = [
        set(name.lower().replace("-", " ").split())
        & set(lemmas[key].lower().replace(",", "").replace("-", " ").split())
        for key, name in zip(found.keys, found.names, strict=True)
    ]
    # open_clip renamed some classes beyond recognition; a shift by one row would leave a few dozen alike.
    assert sum(map(bool, words)) > 900


@pytest.mark.parametrize(
    ("ours", "theirs", "n"),
    [
        ("imagenet_wnids.txt", "imagenet_synsets.txt", 1000),
        ("imagenet_a_wnids.txt", "imagenet_a_synsets.txt", 200),
        ("imagenet_r_wnids.txt", "imagenet_r_synsets.txt", 200),
    ],
)
def test_wnids_are_those_of_timm(ours, theirs, n):
    keys = read_keys(CLASSES / ours)
    assert len(keys) == n
    assert list(keys) == sorted(lines_of_timm(theirs))


def test_113_folders_of_objectnet_show_125_classes_of_imagenet():
    folders = read_class_file(CLASSES / "objectnet.tsv", "objectnet")
    imagenet = read({"open_clip": "imagenet"}).with_templates([])
    wnids = read_keys(CLASSES / "objectnet_wnids.txt")
    called = dict(zip(imagenet.keys, imagenet.names, strict=True))
    assert len(folders.keys) == 113
    assert len(wnids) == 125
    assert sorted(name for names in folders.spellings for name in names) == sorted(
        called[wnid] for wnid in wnids
    )
    assert sum(len(names) > 1 for names in folders.spellings) == 9
    assert read_keys(CLASSES / "objectnet_own_names.tsv") == folders.keys


@pytest.mark.parametrize(
    ("file", "n"), [("domainnet.tsv", 345), ("letitwag.tsv", 290), ("miniature.tsv", 87)]
)
def test_each_list_has_as_many_classes_as_its_set_and_names_without_underscores(file, n):
    found = read_class_file(CLASSES / file, file)
    assert len(found.keys) == n
    assert not [names for names in found.spellings if "_" in names[0] or len(names) > 1]


def test_domainnet_is_in_the_order_of_sorted_folders():
    keys = read_keys(CLASSES / "domainnet.tsv")
    assert list(keys) == sorted(keys)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"keys": ["a"], "file": "x"}, "needed one of file, open_clip, keys, prompts"),
        ({}, "has nothing, needed one of"),
        ({"file": "x", "names": ["a"]}, "names only beside keys"),
        ({"keyss": ["a"]}, "unknown key 'keyss'; did you mean 'keys'"),
        ({"keys": ["a", "b"], "names": ["x"]}, "one for each of the 2 keys"),
        ({"keys": ["a", "a"]}, "names 'a' twice"),
        ({"open_clip": "coco"}, "no classes 'coco': use imagenet or imagenet-by-index"),
        ({"file": "none.tsv"}, "none.tsv cannot be read"),
        (["cat", 7], "a list of texts was expected"),
        ("cat", "names with what each stands for was expected"),
    ],
)
def test_a_list_that_says_nothing_clear_is_refused(spec, message):
    with pytest.raises(Refusal, match=message):
        read(spec)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tcat\nb\tdog\na\tcow\n", "line 3 has the class 'a' of line 1"),
        ("a\t\n", "line 1 has an empty cell"),
        ("a\tcat\tcat\n", "a name twice"),
        ("# nothing\n", "has no class"),
        ("a\0b\n", "holds a NUL"),
    ],
)
def test_a_damaged_file_of_classes_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "x.tsv").write_text(text)
    with pytest.raises(Refusal, match=message):
        read_class_file(tmp_path / "x.tsv", "x")


@pytest.mark.parametrize("text", ["{}", '{"a": []}', '["a"]'])
def test_a_class_without_a_prompt_is_refused(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(Refusal, match=r"has no prompt|holds no mapping"):
        read({"prompts": "p.json"}, tmp_path)
