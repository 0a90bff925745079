import json

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as configure
from hypothesis import strategies as st

from oddpair.commands.read import read_vocabulary
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Concept, Vocabulary, build_vocabulary
from oddpair.retrieval.vocabulary_file import load_vocabulary, save_vocabulary
from oddpair.retrieval.words import normalise

FORMS = [
    ("cat", "kitty"),
    ("Pine_Tree",),
    ("über mensch", "Übermensch"),
    ("no",),
    ("5",),
    ("axes",),
    ("axe",),
    ("axis",),
]


def written(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("name", ["vocabulary.txt", "vocabulary.yaml", "vocabulary.json", "vocabulary"])
def test_a_saved_vocabulary_comes_back(tmp_path, name):
    vocabulary = build_vocabulary(FORMS)
    save_vocabulary(tmp_path / name, vocabulary)
    assert load_vocabulary(tmp_path / name) == vocabulary


def test_a_saved_vocabulary_is_text_whose_first_line_says_that_the_forms_are_complete(tmp_path):
    path = tmp_path / "vocabulary.txt"
    save_vocabulary(path, build_vocabulary(["Pine_Tree", ("news", "tidings")]))
    assert path.read_text() == (
        "# oddpair vocabulary, forms complete\npine tree\tpine trees\nnews\ttidings\n"
    )


WORDS = st.text(alphabet="abcs'- é王ß５", min_size=1, max_size=6).filter(normalise)


@configure(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=6), st.booleans())
def test_any_vocabulary_comes_back_from_its_file_with_names_and_forms(tmp_path, entries, is_built):
    if is_built:
        vocabulary = build_vocabulary(entries)
    else:
        # Not even a plural beside its singular is joined: the file says all there is.
        normal = {normalise(entry[0]): tuple(dict.fromkeys(map(normalise, entry))) for entry in entries}
        vocabulary = Vocabulary(
            concepts=tuple(Concept(name=name, forms=forms) for name, forms in normal.items())
        )
    save_vocabulary(tmp_path / "vocabulary.txt", vocabulary)
    loaded = load_vocabulary(tmp_path / "vocabulary.txt")
    assert loaded == vocabulary
    assert loaded.sha256 == vocabulary.sha256


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("words.txt", "cat\tkitty\nPine_Tree\nno\n"),
        ("words.csv", "cat \t kitty\r\n\r\n# plants\r\n  Pine_Tree\r\nno"),
        ("words", "\ufeff# animals\rcat\tkitty\t\rPine_Tree\t\rno\r"),
        ("synsets.txt", "n02121620 cat, kitty\nn1 is no synset\tPine_Tree\nno\n"),
        ("words.yaml", "- [cat, kitty]\n- Pine_Tree\n- 'no'\n"),
        ("words.YML", "cat: [kitty]\nPine_Tree:\n'no': []\n"),
        (
            "words.yaml",
            "# oddpair vocabulary, forms complete\ncat\tcats\tkitty\tkitties\nPine_Tree\tpine trees\nno\tnos\tnoes\n",
        ),
        ("words.json", '[["cat", "kitty"], "Pine_Tree", "no"]'),
        ("words.json", '\ufeff{"cat": ["kitty"], "Pine_Tree": [], "no": []}'),
        (
            "words.JSON",
            '{"0": ["n02121620", "cat"], "1": ["n00000001", "Pine_Tree"], "2": ["n00000002", "no"]}',
        ),
    ],
)
def test_every_kind_of_file_gives_names_and_forms(tmp_path, name, data):
    vocabulary = load_vocabulary(written(tmp_path, name, data))
    expected = {"cat": {"cat", "cats", "kitty", "kitties"}, "pine tree": {"pine tree", "pine trees"}}
    found = {concept.name: set(concept.forms) for concept in vocabulary.concepts}
    if name.startswith("synsets"):
        expected = {"n1 is no synset": {"n1 is no synset", "n1 is no synsets", "pine tree", "pine trees"}} | {
            "cat": expected["cat"]
        }
    if name.endswith("JSON"):
        expected["cat"] = {"cat", "cats"}
    assert found == {**expected, "no": {"no", "nos", "noes"}}
    if "complete" not in data:
        assert list(vocabulary.by_given())[-1] == "no"


def test_names_of_imagenet_are_those_that_the_installed_classifier_is_made_of():
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    vocabulary = load_vocabulary("imagenet")
    assert list(vocabulary.by_given()) == list(dict.fromkeys(IMAGENET_CLASSNAMES))
    assert len(vocabulary) == 998


def test_names_of_coco_and_voc_are_those_that_torchvision_gives_with_its_detectors():
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
    from torchvision.models.segmentation import FCN_ResNet50_Weights

    coco = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    voc = FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"]
    assert list(load_vocabulary("coco").by_given()) == [
        name for name in coco if name not in ("__background__", "N/A")
    ]
    assert list(load_vocabulary("voc").by_given()) == voc[1:]


def test_names_of_imagenet_are_refused_where_open_clip_does_not_hold_them(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Refusal, match="open_clip is not installed with its class names: give a file"):
        load_vocabulary("imagenet")


def test_the_same_concept_in_two_vocabularies_is_one_concept(tmp_path):
    path = written(tmp_path, "words.txt", "Cats\nwine-glass\nquokka\n")
    coco, both = load_vocabulary("coco"), load_vocabulary("coco", path)
    assert both.names == (*coco.names, "quokka")
    assert both.by_given()["Cats"] == both.by_given()["cat"]


@pytest.mark.parametrize("times", [2, 3])
def test_a_vocabulary_united_with_itself_is_itself(tmp_path, times):
    path = written(tmp_path, "words.txt", "\n".join("\t".join(forms) for forms in FORMS))
    saved = tmp_path / "saved.txt"
    save_vocabulary(saved, load_vocabulary(path))
    assert load_vocabulary(*[path] * times) == load_vocabulary(path)
    assert load_vocabulary(*[saved] * times) == load_vocabulary(path)
    assert load_vocabulary(saved, path) == load_vocabulary(path)


def test_a_file_with_the_name_of_a_built_in_list_is_given_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, "coco", "cocoa\n")
    assert load_vocabulary("./coco").names == load_vocabulary(path).names == ("cocoa",)
    assert len(load_vocabulary("coco")) == 80


def test_vocabularies_chosen_shard_by_shard_are_refused_with_the_reason():
    with pytest.raises(
        Refusal, match="makes counts depend on how the corpus is cut into shards: give one vocabulary"
    ):
        load_vocabulary("per-shard")


BOMB = "a: &a [lol, lol]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefghijklmnopqrstuv", "bcdefghijklmnopqrstuvw", strict=True)
)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "none.txt",
            None,
            r"none\.txt cannot be read \(No such file.*\): give a file .*, or one of imagenet, coco, voc",
        ),
        ("words.txt", "", r"words\.txt: the vocabulary is empty"),
        ("words.yaml", "", r"words\.yaml: the vocabulary is empty"),
        ("words.json", "[]", r"words\.json: the vocabulary is empty"),
        ("words.txt", b"caf\xe9", r"words\.txt is not UTF-8 at byte 3: save it as UTF-8"),
        ("words.txt", "cat\ndog\n".encode("utf-16-le"), r"words\.txt holds a NUL at byte 1"),
        (
            "words.txt",
            "cat\n!!\tdog\n",
            r"words\.txt line 2 has '!!', which holds no letter or digit: remove it",
        ),
        ("words.txt", "cat\ndog\t??\n", r"words\.txt line 2 has '\?\?', which holds no letter or digit"),
        ("words.txt", "cat\n\tdog\n", r"words\.txt line 2 has no name of a concept first"),
        (
            "words.txt",
            "cat\n" + "x" * 1_000_000,
            r"words\.txt line 2 has a form of 1,000,000 characters, needed at most",
        ),
        (
            "words.txt",
            "\t".join(f"w{i}" for i in range(300)),
            r"words\.txt line 1 has 300 forms of one concept",
        ),
        ("words.yaml", "cat: 1", r"words\.yaml line 1 has no list of forms after a name"),
        ("words.yaml", "cat", r"words\.yaml holds 'cat', needed a list of names: begin each line with '- '"),
        ("words.yaml", "- cat\n- no\n", r"words\.yaml line 2 has 'no', needed text: put it in quotes"),
        ("words.yaml", "- cat\n- [dog, [puppy]]\n", r"words\.yaml line 2 has a list or mapping, needed text"),
        ("words.yaml", "- cat\n- []\n", r"words\.yaml line 2 has no name of a concept first"),
        ("words.yaml", "cat:\ndog: [puppy]\ncat: [kitty]\n", r"words\.yaml line 3 gives 'cat' once more"),
        ("words.yaml", "- [", r"words\.yaml is no YAML \(.*\): mend it"),
        ("words.yaml", "[" * 100_000, r"words\.yaml is no YAML \(maximum recursion depth"),
        (
            "words.yaml",
            "- !!python/object/apply:os.system [ls]",
            r"words\.yaml line 1 has a list or mapping, needed text",
        ),
        ("words.yaml", "- !!python/name:os.system x", r"words\.yaml line 1 has 'x', needed text"),
        ("words.yaml", BOMB, r"words\.yaml line 1 has a list or mapping, needed text"),
        ("words.yaml", "- cat\n" * 400_000, r"words\.yaml has more than 2,000,000 characters of YAML"),
        ("words.json", "{", r"words\.json is not valid JSON \(.*\): mend it"),
        ("words.json", "[" * 100_000, r"words\.json is not valid JSON \('nested too deep for JSON'\)"),
        ("words.json", '{"cat": [], "cat": []}', r"words\.json is not valid JSON .*key 'cat' is given twice"),
        ("words.json", '["cat", 7]', r"words\.json item 2 has 7, needed text"),
        ("words.json", '["cat", NaN]', r"words\.json is not valid JSON"),
        ("words.json", '"cat"', r"words\.json holds 'cat', needed a list of names"),
        (
            "words.json",
            '{"0": "tench, Tinca tinca"}',
            r"words\.json key '0' has 'tench, Tinca tinca', needed a list",
        ),
        (
            "words.json",
            json.dumps({"set": [f"w{i}" for i in range(300)]}),
            r"item 1 has 301 forms .*a set's classes",
        ),
    ],
)
def test_files_that_hold_no_vocabulary_are_refused_in_one_line(tmp_path, name, data, message):
    path = tmp_path / name if data is None else written(tmp_path, name, data)
    with pytest.raises(Refusal, match=message) as caught:
        load_vocabulary(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(Refusal, match="cannot be read"):
        load_vocabulary(tmp_path)


@configure(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.sampled_from(["x.txt", "x.yaml", "x.json"]))
def test_bytes_of_any_kind_are_a_vocabulary_or_refused(tmp_path, data, name):
    path = written(tmp_path, name, data)
    try:
        found = str(len(load_vocabulary(path)))
    except Refusal as refusal:
        found = str(refusal)
    assert int(found) if found.isdecimal() else found.startswith(str(path))


def test_names_that_captions_rarely_hold_are_told(tmp_path, capsys):
    path = written(tmp_path, "words.txt", "cat\nkite (bird of prey)\n")
    assert len(read_vocabulary(path)) == 2
    assert "rarely: 'kite (bird of prey)'. Give" in capsys.readouterr().err
    read_vocabulary("coco")
    assert capsys.readouterr().err == ""


@configure(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=4))
def test_yaml_and_json_hold_what_text_holds(tmp_path, entries):
    entries = [[form.strip() for form in entry] for entry in entries]
    as_yaml = written(tmp_path, "x.yaml", yaml.safe_dump(entries, allow_unicode=True, default_style='"'))
    as_json = written(tmp_path, "x.json", json.dumps(entries))
    assert load_vocabulary(as_yaml) == load_vocabulary(as_json) == build_vocabulary(entries)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.json", '{"n01440764": ["tench", "Tinca tinca"]}'),
        ("x.txt", "n01440764_tench\nn02121620 cat, kitty\n"),
        ("x.txt", "\t".join(f"form {'x' * (number + 1)}" for number in range(150))),
        ("x.txt", "x" * 999 + "s\n" + "y" * 1000),
    ],
    ids=["synset with forms", "synset in a name", "150 forms", "long forms"],
)
def test_what_a_user_may_write_comes_back_from_the_file_it_is_saved_to(tmp_path, name, data):
    vocabulary = load_vocabulary(written(tmp_path, name, data))
    save_vocabulary(tmp_path / "saved.txt", vocabulary)
    assert load_vocabulary(tmp_path / "saved.txt") == vocabulary
    assert load_vocabulary(tmp_path / "saved.txt").sha256 == vocabulary.sha256


def test_names_that_are_counted_with_another_are_told_in_one_line(tmp_path, capsys):
    singulars = ["new", "glass", "cat", "dog", "tree", "car", "emu"]
    plurals = ["news", "glasses", "cats", "dogs", "trees", "cars", "emus"]
    read_vocabulary(written(tmp_path, "words.txt", "\n".join([*singulars, *plurals, "New"])))
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "'news' is counted with 'new', 'glasses' is counted with 'glass'" in told
    assert "'trees' is counted with 'tree' and 2 more, as plurals; to keep such names apart" in told
    assert "'# oddpair vocabulary, forms complete'" in told


def test_names_in_a_file_with_complete_forms_are_kept_apart_and_nothing_is_told(tmp_path, capsys):
    data = "# oddpair vocabulary, forms complete\nnew\nnews\nglass\nglasses\tspectacles\n"
    vocabulary = read_vocabulary(written(tmp_path, "words.txt", data))
    assert vocabulary.names == ("new", "news", "glass", "glasses")
    assert capsys.readouterr().err == ""
