"""Where the inputs of a recipe come from: options before the recipe's file, and nothing that would go unused."""

import pytest

from oddpair.commands.given import Given, merge_given, open_inputs, read_named, read_sources, write_sources
from oddpair.errors import Refusal
from oddpair.splits.recipe_file import load_recipe


def test_sets_are_named_and_a_path_alone_is_named_after_its_last_part():
    found = read_named(["sketch=a/b", "c/val", "./odd=name/x", "s3://bucket/test"], "--tests")
    assert found == {"sketch": "a/b", "val": "c/val", "x": "./odd=name/x", "test": "s3://bucket/test"}


def test_a_name_that_could_not_name_a_split_is_refused_and_one_taken_from_a_path_is_made_fit():
    assert read_named(["data/my set!"], "--tests") == {"my-set-": "data/my set!"}
    with pytest.raises(Refusal, match="--tests: the set is named 'my set', needed letters"):
        read_named(["my set=data"], "--tests")


@pytest.mark.parametrize(
    ("value", "said"),
    [("val=", "'val=' names no path"), ("corpus=x", "'corpus' is what the rows of the corpus are of")],
)
def test_a_set_without_a_path_or_with_the_name_of_the_corpus_is_refused(value, said):
    with pytest.raises(Refusal, match=said):
        read_named([value], "--tests")


@pytest.mark.parametrize("text", ["[1]", '{"corpus": 3}', '{"tests": ["a"]}', '{"nothing": "a"}'])
def test_sources_that_are_none_are_refused_and_addresses_in_them_are_not_opened(tmp_path, text):
    path = tmp_path / "sources.json"
    path.write_text(text)
    with pytest.raises(Refusal, match="does not say where inputs are: delete it"):
        read_sources(tmp_path / "splits" / "kept")
    path.write_text('{"corpus": "s3://bucket/corpus", "labels": "/tmp/labels"}')
    assert read_sources(tmp_path / "splits" / "kept") == {"labels": "/tmp/labels"}


def test_two_sets_of_one_name_are_refused():
    with pytest.raises(Refusal, match="--tests: two sets are named 'val': give each a name, NAME=PATH"):
        read_named(["a/val", "b/val"], "--tests")


def test_an_option_outranks_the_file_and_the_file_gives_the_rest():
    option = Given(corpus="mine", tests={})
    file = {"corpus": "theirs", "tests": {"val": "v"}, "vocabulary": "words.txt"}
    found = merge_given(option, file)
    assert (found.corpus, found.tests, found.vocabulary) == ("mine", {"val": "v"}, ("words.txt",))


def test_the_paths_in_a_file_are_meant_from_its_folder(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("recipe: unseen-pairs\ninputs:\n  corpus: data\n  tests: {coco: s3://b/coco}\n")
    assert load_recipe(str(path), {}).inputs == {
        "corpus": str(tmp_path / "data"),
        "tests": {"coco": "s3://b/coco"},
    }


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("inputs: 3", "inputs is 3, names and paths were expected"),
        ("inputs: {corpse: a}", r"unknown input 'corpse'; did you mean 'corpus'\?"),
        ("inputs: {corpus: [a]}", r"corpus is \['a'\], a path was expected"),
        ("inputs: {tests: a}", "tests is 'a', a path for each name was expected"),
    ],
)
def test_inputs_of_a_file_that_are_no_paths_are_refused(tmp_path, lines, said):
    path = tmp_path / "my.yaml"
    path.write_text(f"recipe: unseen-pairs\n{lines}\n")
    with pytest.raises(Refusal, match=f"my.yaml: {said}"):
        load_recipe(str(path), {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Given(corpus="c", pools={"a": "b"}), "--pool: a recipe of kind unseen-pairs makes no use of it"),
        (Given(), "a recipe of kind unseen-pairs needs --corpus"),
        (Given(corpus="c", reference="r"), "--reference: a recipe of kind unseen-pairs makes no use of it"),
    ],
)
def test_inputs_that_are_missing_or_would_go_unused_are_refused_before_anything_is_opened(
    tmp_path, given, said
):
    with pytest.raises(Refusal, match=said):
        open_inputs(load_recipe("unseen-pairs", {}), given, tmp_path / "out", workers=1)


def test_sources_are_kept_as_absolute_paths_and_names_of_models_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write_sources(
        tmp_path / "out", Given(corpus="data", tests={"t": "data"}, model="ViT-B-32", vocabulary=("coco",))
    )
    found = read_sources(tmp_path / "out" / "splits" / "kept")
    assert found == {
        "corpus": str(tmp_path / "data"),
        "tests": {"t": str(tmp_path / "data")},
        "model": "ViT-B-32",
        "vocabulary": ["coco"],
    }
    assert read_sources(tmp_path / "elsewhere" / "splits" / "kept") == {}
