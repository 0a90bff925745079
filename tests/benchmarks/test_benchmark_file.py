"""A benchmark in YAML becomes what it says, or is refused with the place and the near word."""

from pathlib import Path
from typing import Any, cast, get_args

import pyarrow as pa
import pytest

from oddpair.benchmarks import benchmark_file
from oddpair.benchmarks.benchmark import CLUSTERS
from oddpair.benchmarks.benchmark_file import benchmark_of_set, load_benchmark, read_benchmark, shipped
from oddpair.benchmarks.evaluation_set import EvaluationSet, Kind
from oddpair.errors import Refusal
from oddpair.eval.scoring.metrics import clusters_of

MINE = """
benchmark: mine
version: 2
about: Cats and dogs.
sets:
  photos: {layout: class-folders, path: photos, settings: {list: test.txt}}
  both: {layout: corpus, settings: {concepts: shown}}
  texts: {}
classes:
  animals: {keys: [n02, n01], names: [cat, dog]}
  spelled: {file: spelled.tsv}
templates:
  one: ["a photo of a {}.", "{}"]
  two: ["a {} and a {}"]
tasks:
  photos: &photos {set: photos, kind: classification, family: natural, classes: animals, templates: one}
  cats: {<<: *photos, only: [n02], present_only: true, styles: [photo], split: clean, cluster: class}
  openai: {<<: *photos, templates: openai-imagenet-80}
  own: {set: photos, kind: multilabel, family: natural}
  inline: {<<: *photos, templates: ["the {}"]}
  of-file: {<<: *photos, templates: t.txt, only: keys.txt}
  spelled: {<<: *photos, classes: spelled}
  pairs: {set: both, kind: pairs, family: pairs, classes: animals, templates: two, cluster: pair}
  words: {set: texts, kind: retrieval, family: retrieval}
gaps:
  all minus cats: {first: [photos], second: [cats, own]}
robustness:
  cats:
    x: [photos]
    y: [cats]
    same_classes: false
    baseline: {testbed: {x: [val], y: [a, b]}, openclip: {x: [ImageNet 1k], y: [c]}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spelled.tsv").write_text("n02\tcat\tkitten\nn01\tdog\n")
    (tmp_path / "t.txt").write_text("a drawing of a {}\n")
    (tmp_path / "keys.txt").write_text("# dogs\nn01\n")
    return tmp_path


def load(folder, text=MINE, **changes):
    for old, new in changes.get("change", {}).items():
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return load_benchmark(str(folder / "mine.yaml"))


def test_every_key_becomes_what_it_says(folder):
    found = load(folder)
    tasks = {task.name: task for task in found.tasks}
    assert (found.name, found.version, found.about) == ("mine", 2, "Cats and dogs.")
    photos = found.sets["photos"]
    assert (photos.layout, photos.path, dict(photos.settings)) == (
        "class-folders",
        "photos",
        {"list": "test.txt"},
    )
    assert (found.sets["texts"].layout, found.sets["texts"].path) == ("", "")
    assert list(tasks) == [
        "photos",
        "cats",
        "openai",
        "own",
        "inline",
        "of-file",
        "spelled",
        "pairs",
        "words",
    ]
    plain = tasks["photos"]
    assert (plain.classes.keys, plain.classes.names) == (("n02", "n01"), ("cat", "dog"))
    assert plain.templates == ("a photo of a {}.", "{}")
    assert (plain.only, plain.present_only, plain.styles, plain.split, plain.cluster) == (
        (),
        False,
        (),
        "",
        "image",
    )
    cats = tasks["cats"]
    assert (cats.only, cats.present_only, cats.styles) == (("n02",), True, ("photo",))
    assert (cats.split, cats.cluster, cats.family) == ("clean", "class", "natural")
    assert (tasks["own"].classes, tasks["own"].templates) == (None, ())
    assert len(tasks["openai"].templates) == 80
    assert tasks["inline"].templates == ("the {}",)
    assert (tasks["of-file"].templates, tasks["of-file"].only) == (("a drawing of a {}",), ("n01",))
    assert tasks["pairs"].templates == ("a {} and a {}",)
    gap, axes = found.gaps[0], found.robustness[0]
    assert (gap.name, gap.first, gap.second) == ("all minus cats", ("photos",), ("cats", "own"))
    assert (axes.x, axes.y, axes.same_classes) == (("photos",), ("cats",), False)
    assert axes.baseline["testbed"]["y"] == ("a", "b")
    assert axes.baseline["openclip"]["x"] == ("ImageNet 1k",)


@pytest.mark.parametrize(("name", "n"), [("benchmark: mine", 60), ("  openai:", 100)])
def test_a_name_of_the_most_letters_is_one(folder, name, n):
    key, _, told = name.partition(": ")
    longest = f"{key}: {n * 'a'}" if told else f"  {n * 'a'}:"
    found = load(folder, change={name: longest})
    assert n * "a" in (found.name, *(task.name for task in found.tasks))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_cluster_that_a_kind_may_name_is_one_that_its_records_have(kind):
    row = pa.table({"uid": ["b", "a"], "target": [1, 0], "partner": [0, 1]})
    codes = [clusters_of(row, kind, cluster).tolist() for cluster in CLUSTERS[kind]]
    assert codes == [[1, 0], [1, 0], [0, 0]][: len(codes)]
    for other in {"image", "class", "pair"} - set(CLUSTERS[kind]):
        with pytest.raises(ValueError, match=f"records of {kind} know no cluster '{other}'"):
            clusters_of(row, kind, other)


def test_several_names_of_a_class_use_its_templates_up(folder):
    task = next(task for task in load(folder).tasks if task.name == "spelled")
    assert task.templates == ()
    assert task.classes.prompts == (
        ("a photo of a cat.", "cat", "a photo of a kitten.", "kitten"),
        ("a photo of a dog.", "dog"),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "family: natural, classes: animals",
            "famly: x, classes: animals",
            "photos: unknown key 'famly'; did you mean 'family'",
        ),
        ("version: 2", "version: 0", "version is 0, a whole number from 1"),
        ("version: 2", "", "'version' is missing"),
        ("about:", "abuot:", "unknown key 'abuot'; did you mean 'about'"),
        ("benchmark: mine", "benchmark: my bench", "the name 'my bench' of a benchmark may have 60 letters"),
        ("benchmark: mine", "benchmark: imagenet", "a benchmark that ships is called imagenet"),
        (
            "layout: class-folders",
            "layout: class-folder",
            "no layout 'class-folder'; did you mean 'class-folders'",
        ),
        ("{set: photos, kind: c", "{set: photo, kind: c", "no set 'photo'; did you mean 'photos'"),
        ("kind: classification", "kind: classify", "no kind 'classify'; did you mean 'classification'"),
        ("classes: animals", "classes: animal", "no classes 'animal'; did you mean 'animals'"),
        ("templates: one}", "templates: onee}", "no templates 'onee'; did you mean 'one'"),
        ("templates: one}", "templates: []}", "templates is empty"),
        ("templates: one}", "templates: two}", "has 2 times {}, a task of kind classification needs 1"),
        ("templates: two", "templates: one", "a task of kind pairs needs 2"),
        ("only: [n02]", "only: [n03]", "'n03' of 'only' is no class of animals"),
        ("cluster: class", "cluster: classes", "no cluster 'classes'; did you mean 'class'"),
        ("present_only: true", "present_only: 'yes'", "present_only is 'yes', true or false"),
        ("second: [cats, own]", "second: [cat]", "second has no task 'cat'; did you mean 'cats'"),
        ("second: [cats, own]", "second: []", "second names no task"),
        ("testbed:", "test-bed:", "unknown key 'test-bed'; did you mean 'testbed'"),
        ("same_classes: false", "", "'same_classes' is missing"),
        ("x: [val], y: [a, b]", "x: [val]", "testbed: 'y' is missing"),
        ("family: retrieval}", "family: retrieval, templates: one}", "kind retrieval has no templates"),
        (
            "classes: animals, templates: two",
            "classes: spelled, templates: two",
            "pairs need one name a class",
        ),
        ("classes: spelled}", "classes: spelled, templates: []}", "templates is empty"),
        ("cluster: class", "cluster: pair", "kind classification has no cluster 'pair'; use image, class"),
        ("kind: multilabel,", "kind: multilabel, cluster: class,", "kind multilabel has no cluster 'class'"),
        (
            "kind: retrieval,",
            "kind: retrieval, cluster: pair,",
            "kind retrieval has no cluster 'pair'; use image",
        ),
        ("about: Cats", 'about: "\\ud800" #', "mine.yaml: about holds half a letter ('.ud800')"),
        ("family: natural, classes", 'family: "\\ud800", classes', "photos: family holds half a letter"),
        ('["a photo of a {}."', '["\\ud83d\\ude00 {}"', "templates: one holds half a letter ('.ud83d')"),
        ("names: [cat, dog]", 'names: [cat, "\\udfff"]', "animals: names holds half a letter"),
        ("all minus cats:", '"\\ud800":', "gaps holds half a letter"),
        ("benchmark: mine", "benchmark: mi.ne", "the name 'mi.ne' of a benchmark may have 60 letters"),
        ("benchmark: mine", "benchmark: " + 61 * "a", "of a benchmark may have 60 letters"),
        ("  texts: {}", f"  {101 * 't'}: {{}}", "may have 100 letters"),
        ("  openai: {", f"  {101 * 't'}: {{", "may have 100 letters"),
        ("only: [n02]", "only: []", "cats: only is empty: name at least one"),
        ("styles: [photo]", "styles: []", "cats: styles is empty: name at least one"),
        ("second: [cats, own]", "second: [cats, photos]", "'photos' is in first and in second"),
        ("version: 2", "version: 1000001", "version is 1000001, a whole number from 1 to 1,000,000"),
        (
            'one: ["a photo of a {}.", "{}"]',
            "one: one",
            "templates: there are no templates 'one'; use openai-imagenet-80, simple, class, or a file",
        ),
        ("  words: {", "  words: {}\n  wor/ds: {", "'set' is missing|'kind' is missing"),
    ],
)
def test_what_is_not_written_as_the_schema_says_is_refused(folder, old, new, message):
    with pytest.raises(
        Refusal, match=message.replace("{", r"\{").replace("}", r"\}").replace("(", r"\(").replace(")", r"\)")
    ) as refusal:
        load(folder, change={old: new})
    assert "mine.yaml" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_refused_by_its_path(folder):
    with pytest.raises(Refusal, match=r"none\.txt cannot be read"):
        load(folder, change={"only: [n02]": "only: none.txt"})


def test_whole_prompts_and_templates_exclude_each_other(folder):
    (folder / "p.yaml").write_text("n02: [a cat]\nn01: [a dog]\n")
    change = {"animals: {keys: [n02, n01], names: [cat, dog]}": "animals: {prompts: p.yaml}"}
    with pytest.raises(Refusal, match="animals has whole prompts: leave the templates out"):
        load(folder, change=change)


def test_classes_of_several_names_need_templates(folder):
    change = {"classes: animals, templates: one": "classes: spelled"}
    with pytest.raises(Refusal, match="spelled has classes of several names: name the templates"):
        load(folder, change=change)


def test_a_benchmark_without_tasks_is_refused(folder):
    (folder / "b.yaml").write_text("benchmark: b\nversion: 1\nabout: x\nsets: {}\ntasks: {}\n")
    with pytest.raises(Refusal, match="there are no tasks"):
        read_benchmark(folder / "b.yaml")


def test_an_unknown_name_is_refused_with_the_near_one():
    with pytest.raises(Refusal, match="no benchmark 'imagnet'; did you mean 'imagenet'"):
        load_benchmark("imagnet")


def test_the_file_of_one_that_ships_is_that_one():
    path = Path(benchmark_file.__file__).with_name("miniature.yaml")
    assert load_benchmark(str(path)) is load_benchmark("miniature")


def test_the_suite_is_no_benchmark():
    assert "suite" not in shipped()
    assert {"miniature", "imagenet", "domainnet", "coco", "flickr", "letitwag"} <= set(shipped())


def a_set(kind="classification", **more):
    empty = pa.table({"key": pa.array([], pa.string())})
    return EvaluationSet(
        root=Path("pets"), layout="class-folders", kind=kind, corpus=cast(Any, None), table=empty, **more
    )


def test_the_benchmark_in_the_documentation_is_one(root, tmp_path):
    text = (root / "docs" / "evaluation.md").read_text(encoding="utf-8").split("```yaml")[1].split("```")[0]
    (tmp_path / "mine.yaml").write_text(text)
    found = load_benchmark(str(tmp_path / "mine.yaml"))
    assert [task.name for task in found.tasks] == ["photos", "drawings"]


def test_a_set_of_its_own_words_is_a_benchmark_of_one_task():
    found = benchmark_of_set(a_set(classes=("cat", "dog"), templates=("a {}",)), "pets")
    (task,) = found.tasks
    assert (found.name, list(found.sets), found.sets["pets"].layout) == ("pets", ["pets"], "class-folders")
    assert (task.set, task.kind, task.classes, task.templates) == ("pets", "classification", None, ("a {}",))


def test_a_set_without_templates_is_asked_with_the_simple_one():
    assert benchmark_of_set(a_set(classes=("cat",)), "x").tasks[0].templates == ("a photo of a {}.",)


@pytest.mark.parametrize("kind", ["retrieval", "choice"])
def test_a_set_of_captions_needs_no_templates(kind):
    assert benchmark_of_set(a_set(kind), "x").tasks[0].kind == kind


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"templates": ("{}",)}, "pets names no classes"),
        ({"classes": ("n01440764",), "templates": ("{}",)}, "by wnids such as n01440764, not by words"),
    ],
)
def test_a_set_that_lacks_words_says_which(more, message):
    with pytest.raises(Refusal, match=message):
        benchmark_of_set(a_set(**more), "pets")
