"""The suite that ships asks what its sources say, and the miniature what its world shows."""

from pathlib import Path

import pytest

from oddpair.benchmarks.benchmark_file import load_benchmark, shipped
from oddpair.benchmarks.lock import LOCKS
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.rows import RENDITIONS
from oddpair.benchmarks.miniature.words import noun_phrase
from oddpair.benchmarks.questions import fill
from oddpair.benchmarks.suite import read_suite
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.pmi.bands import TAILS, name_band
from oddpair.splits.recipes.pmi_bands import PmiBandsRecipe

PUBLISHED = Path("/work/shared/published")


def tasks_of(name):
    return {task.name: task for task in load_benchmark(name).tasks}


def test_the_miniature_asks_for_each_concept_of_the_world_with_its_article():
    tasks = tasks_of("miniature")
    for task in tasks.values():
        assert task.classes.keys == CONCEPTS
        assert task.classes.names == tuple(noun_phrase(key) for key in CONCEPTS)
    classes, templates = tasks["natural"].classes, tasks["natural"].templates
    names = dict(zip(classes.keys, classes.names, strict=True))
    assert [fill(each, names["egg"]) for each in templates] == [
        "a photo of an egg",
        "an egg",
        "a picture of an egg",
        "an image of an egg",
    ]
    of_two = tasks["pairs-seen"].templates
    assert fill(of_two[0], names["egg"], names["cup"]) == "a photo of an egg and a cup"
    assert len(of_two) == 3


def test_prompts_of_the_miniature_name_their_concept_and_no_other_but_nested_ones():
    task = tasks_of("miniature")["natural"]
    vocabulary = build_vocabulary(CONCEPTS)
    place = {name: column for column, name in enumerate(vocabulary.names)}
    for key, name in zip(task.classes.keys, task.classes.names, strict=True):
        prompts = {fill(template, name) for template in task.templates}
        assert len(prompts) == len(task.templates)
        mentions = find_mentions(vocabulary, sorted(prompts)).toarray()
        assert mentions[:, place[key]].all()
        named = {other for other in CONCEPTS if mentions[:, place[other]].any()}
        assert all(other in key.split() or other == key for other in named), (key, named)


def test_the_miniature_has_each_rendition_style_and_each_pmi_band():
    tasks = tasks_of("miniature")
    assert {style for task in tasks.values() for style in task.styles} == set(RENDITIONS)
    bands = PmiBandsRecipe().bands
    expected = {f"pairs-{tail}" for tail in TAILS} | {
        f"pairs-{name_band(each + 1, bands)}" for each in range(bands)
    }
    assert {task.split for task in tasks.values() if task.family.startswith("PMI")} == expected


def test_pairs_are_drawn_whole_as_pairs_and_single_pictures_as_classes():
    for task in tasks_of("miniature").values():
        assert task.cluster == ("pair" if task.kind == "pairs" else "class")


def test_accuracy_on_fewer_classes_is_of_the_classes_of_its_shift():
    tasks = tasks_of("imagenet")
    for shift, task in (("a", "val-on-imagenet-a-classes"), ("r", "val-on-imagenet-r-classes")):
        assert tasks[shift].only == tasks[task].only
        assert len(tasks[task].only) == 200
    assert len(tasks["val-on-objectnet-classes"].only) == 125
    assert len(tasks["objectnet"].only) == 113


def test_imagenet_asks_80_prompts_of_each_name_and_all_names_of_a_folder_of_objectnet():
    tasks = tasks_of("imagenet")
    assert {len(task.templates) for name, task in tasks.items() if not name.startswith("objectnet")} == {80}
    classes = tasks["objectnet"].classes
    pen = classes.keys.index("pen")
    assert classes.names[pen] == "ballpoint pen or quill or fountain pen"
    assert len(classes.prompts[pen]) == 240
    assert len(classes.prompts[classes.keys.index("wok")]) == 80


@pytest.mark.parametrize("name", ["imagenet", "domainnet"])
def test_each_set_has_a_clean_task_of_its_classes_that_are_present(name):
    tasks = tasks_of(name)
    for name_of_set in load_benchmark(name).sets:
        plain, clean = tasks[name_of_set], tasks[f"{name_of_set}-clean"]
        assert clean.present_only
        assert clean.split.startswith("clean-")
        assert (clean.set, clean.only, clean.classes) == (plain.set, plain.only, plain.classes)
    assert not tasks["val" if name == "imagenet" else "real"].present_only


def test_only_axes_of_the_same_classes_say_so():
    axes = {each.name: each for each in load_benchmark("imagenet").robustness}
    assert {name for name, each in axes.items() if not each.same_classes} == {"natural", "rendition"}
    for shift, column in (("a", "imagenet-a"), ("r", "imagenet-r")):
        assert axes[shift].baseline["testbed"] == {"x": (f"val-on-{column}-classes",), "y": (column,)}
    for each in axes.values():
        for table in each.baseline.values():
            assert (len(table["x"]), len(table["y"])) == (len(each.x), len(each.y))


@pytest.mark.parametrize(
    ("table", "file"), [("testbed", "imagenet_testbed_top1.csv"), ("openclip", "openclip_results.csv")]
)
def test_the_columns_of_axes_stand_in_the_published_tables(table, file):
    if not PUBLISHED.is_dir():
        pytest.skip(f"{PUBLISHED} is not here")
    with (PUBLISHED / file).open(encoding="utf-8") as lines:
        columns = next(lines).strip().split(",")
    named = [
        name
        for axes in load_benchmark("imagenet").robustness
        for name in sum(axes.baseline.get(table, {}).values(), ())
    ]
    assert named
    assert set(named) <= set(columns)


@pytest.mark.parametrize("name", ["coco", "flickr"])
def test_retrieval_compares_unseen_with_seen_partners_for_each_corpus(name):
    found = load_benchmark(name)
    corpora = ("cc3m", "cc12m", "yfcc15m", "laion400m")
    assert [(gap.first, gap.second) for gap in found.gaps] == [
        ((f"seen-matched-{corpus}",), (f"unseen-matched-{corpus}",)) for corpus in corpora
    ]
    for task in found.tasks:
        assert task.split == ("" if task.name == "full" else f"{name}-{task.name}")


def test_no_split_of_two_benchmarks_has_one_name():
    home: dict[str, str] = {}
    for name in shipped():
        for task in load_benchmark(name).tasks:
            if task.split:
                assert home.setdefault(task.split, name) == name


def test_every_benchmark_that_ships_is_version_1_and_locked():
    assert {f"{name}-v1.json" for name in shipped()} <= {path.name for path in LOCKS.iterdir()}


def test_the_suite_has_its_families_and_a_ranked_entry_needs_what_anybody_can_draw():
    suite = read_suite()
    assert list(suite.families) == [
        "natural",
        "rendition",
        "unseen pairs",
        "retrieval",
        "long tail",
        "composition",
    ]
    assert {task.partition(".")[0] for task in suite.required} == {"miniature"}
    assert {task.partition(".")[0] for tasks in suite.families.values() for task in tasks} == set(shipped())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("families: {a: [imagnet.val]}\nrequired: []", "no benchmark that ships; did you mean 'imagenet'"),
        ("families: {a: [imagenet.vall]}\nrequired: []", "imagenet has no such task; did you mean 'val'"),
        ("families: {a: [imagenet.val], b: [imagenet.val]}\nrequired: []", "imagenet.val is in a and in b"),
        ("families: {a: []}\nrequired: []", "a has no task"),
        ("families: {a: [imagenet.val]}\nrequired: [imagenet.v2]", "'imagenet.v2', which is in no family"),
        ("families: {a: [imagenet.val]}\nrequire: []", "unknown key 'require'; did you mean 'required'"),
    ],
)
def test_a_suite_of_unknown_or_repeated_tasks_is_refused(tmp_path, text, message):
    (tmp_path / "suite.yaml").write_text(text)
    with pytest.raises(Refusal, match=message):
        read_suite(tmp_path / "suite.yaml")
