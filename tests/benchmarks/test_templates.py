"""Templates: the 80 of open_clip as text, and files of a user's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddpair.benchmarks.questions import fill
from oddpair.benchmarks.templates import (
    NAMED,
    as_template,
    check_templates,
    named_templates,
    read_templates,
)
from oddpair.errors import Refusal


def test_the_80_make_the_very_prompts_that_open_clip_makes_for_every_class():
    from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

    templates = named_templates("openai-imagenet-80")
    assert len(templates) == len(set(templates)) == 80
    for name in (*IMAGENET_CLASSNAMES[::37], "kite (bird of prey)", "odd {name}"):
        assert [fill(each, name) for each in templates] == [make(name) for make in OPENAI_IMAGENET_TEMPLATES]


def test_simple_is_one_prompt_and_class_the_bare_name():
    assert [fill(each, "egg") for each in named_templates("simple")] == ["a photo of a egg."]
    assert [fill(each, "egg") for each in named_templates("class")] == ["egg"]


@given(st.text(alphabet="ab {", max_size=8), st.text(alphabet="ab }.", max_size=8))
def test_a_function_that_puts_the_name_between_two_texts_becomes_these_texts(before, after):
    if "{}" not in before + "x" + after:
        assert as_template(lambda name: f"{before}{name}{after}") == f"{before}{{}}{after}"


@pytest.mark.parametrize(
    "make",
    [
        lambda name: "a photo",
        lambda name: f"{name} and {name}",
        lambda name: f"{'an' if name[0] in 'aeiou' else 'a'} {name}",
        lambda name: name.lower(),
        lambda name: f"{{}} {name}",
    ],
    ids=["no place", "two places", "article", "lower case", "braces"],
)
def test_a_function_that_does_more_than_to_place_the_name_is_an_error(make):
    with pytest.raises(ValueError, match=r"is not|no single place"):
        as_template(make)


def test_a_file_holds_one_template_a_line(tmp_path):
    path = tmp_path / "templates.txt"
    path.write_text("# mine\na photo of a {}.\r\n\n{}\n", encoding="utf-8")
    assert read_templates(path) == ("a photo of a {}.", "{}")


def test_a_file_without_a_template_is_refused(tmp_path):
    path = tmp_path / "templates.txt"
    path.write_text("# none\n\n")
    with pytest.raises(Refusal, match="has no template"):
        read_templates(path)


@pytest.mark.parametrize(
    ("templates", "kind", "message"),
    [
        (["a photo"], "classification", r"has 0 times \{\}, a task of kind classification needs 1"),
        (["{} and {}"], "classification", r"has 2 times \{\}"),
        (["a photo of {}"], "pairs", r"has 1 times \{\}, a task of kind pairs needs 2"),
        (["{}", "{}"], "classification", r"'\{\}' is given twice"),
    ],
)
def test_templates_need_as_many_places_as_there_are_names(templates, kind, message):
    with pytest.raises(Refusal, match=message):
        check_templates(templates, kind, "file.yaml")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(Refusal, match=", ".join(NAMED)):
        named_templates("imagenet-7")
