"""A task joined with its set asks what it says, of the pictures that can be read."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from oddpair.benchmarks.benchmark import ClassList, Task
from oddpair.benchmarks.evaluation_set import EvaluationSet
from oddpair.benchmarks.questions import ask, fill, with_templates
from oddpair.errors import Refusal

ANIMALS = ClassList(name="animals", keys=("n01", "n02", "n03"), names=("cat", "dog", "owl"))


def a_set(
    kind="classification",
    column="label",
    values=("n01", "n02", "n01"),
    styles=("photo", "photo", "pencil"),
    **more,
):
    types = {"label": pa.string()}.get(column, pa.list_(pa.string()))
    keys = [f"{row}.png" for row in range(len(values))]
    columns = {"key": keys, "style": list(styles)} | {column: pa.array(values, types)}
    return EvaluationSet(
        root=Path("set"), layout="corpus", kind=kind, corpus=cast(Any, None), table=pa.table(columns), **more
    )


def a_task(kind="classification", **more):
    return Task(
        **{
            "name": "t",
            "set": "s",
            "kind": kind,
            "family": "f",
            "classes": ANIMALS,
            "templates": ("a {}",),
            **more,
        }
    )


def test_every_readable_picture_is_asked_for_its_label():
    found = ask(a_task(), a_set(), ["u0", "u1", "u2"], None)
    assert found.keys == ("0.png", "1.png", "2.png")
    assert found.uids == ("u0", "u1", "u2")
    assert found.target.tolist() == [0, 1, 0]
    assert found.prompts() == (("a cat",), ("a dog",), ("a owl",))


def test_pictures_that_cannot_be_read_or_are_outside_the_split_are_not_asked_for():
    assert ask(a_task(), a_set(), ["u0", None, "u2"], None).keys == ("0.png", "2.png")
    assert ask(a_task(), a_set(), ["u0", "u1", "u2"], {"u1", "u2"}).keys == ("1.png", "2.png")


def test_a_style_limits_pictures_and_not_candidates():
    found = ask(a_task(styles=("pencil",)), a_set(), ["u0", "u1", "u2"], None)
    assert found.keys == ("2.png",)
    assert found.classes.keys == ("n01", "n02", "n03")


def test_a_class_list_limits_pictures_and_candidates():
    found = ask(a_task(only=("n02", "n03")), a_set(), ["u0", "u1", "u2"], None)
    assert found.keys == ("1.png",)
    assert found.classes.keys == ("n02", "n03")
    assert found.target.tolist() == [0]


def test_classes_without_a_picture_are_no_candidates_where_the_task_says_so():
    found = ask(a_task(present_only=True), a_set(), ["u0", "u1", "u2"], {"u0", "u1"})
    assert found.classes.keys == ("n01", "n02")


def test_a_pair_is_asked_for_in_both_orders():
    task = a_task("pairs", templates=("{} and {}",))
    found = ask(task, a_set("pairs", "concepts", [["n01", "n03"]], ["photo"]), ["u0"], None)
    assert found.target.tolist() == [0, 2]
    assert found.partner.tolist() == [2, 0]
    assert found.rows.tolist() == [0, 0]
    assert found.n_pictures == 1
    assert found.pair_prompts(0, 2) == ("cat and owl", "owl and cat")


def test_a_limited_retrieval_task_keeps_the_whole_gallery():
    task = a_task("retrieval", classes=None, templates=())
    found = ask(task, a_set("retrieval", "captions", [["a"], ["b", "c"], ["d"]]), ["u0", "u1", "u2"], {"u1"})
    assert found.keys == ("0.png", "1.png", "2.png")
    assert found.asking is not None
    assert found.asking.tolist() == [False, True, False]
    assert found.captions == (("a",), ("b", "c"), ("d",))


def test_a_picture_without_a_caption_is_in_the_gallery_and_does_not_ask():
    task = a_task("retrieval", classes=None, templates=())
    found = ask(task, a_set("retrieval", "captions", [["a"], [], ["d"]]), ["u0", "u1", "u2"], None)
    assert len(found.keys) == 3
    assert found.asking is not None
    assert found.asking.tolist() == [True, False, True]


def test_a_choice_is_asked_only_where_all_its_pictures_can_be_read():
    questions = pa.table(
        {
            "question": ["q0", "q1"],
            "images": [["0.png", "1.png"], ["1.png", "2.png"]],
            "captions": [["a", "b"], ["c", "d"]],
            "category": ["swap", "add"],
        }
    )
    task = a_task("choice", classes=None, templates=())
    found = ask(task, a_set("choice", questions=questions), ["u0", "u1", None], None)
    assert found.keys == ("q0",)
    assert [rows.tolist() for rows in found.images] == [[0, 1]]
    assert found.n_pictures == 2


def test_labels_of_a_multilabel_picture_are_indices_of_its_classes():
    found = ask(
        a_task("multilabel"),
        a_set("multilabel", "labels", [["n03", "n01"], [], ["n02"]]),
        ["a", "b", "c"],
        None,
    )
    assert found.labels == ((0, 2), (), (1,))


@pytest.mark.parametrize(
    ("task", "found", "members", "line"),
    [
        (a_task("pairs"), a_set(), None, "task t asks for pairs, the set set is for classification"),
        (
            a_task(),
            a_set(values=("n01", "n09", "n01")),
            None,
            "1.png is labelled 'n09', which is no class of animals",
        ),
        (a_task(split="clean"), a_set(), {"other"}, "no picture of set is left after its limits \\(split\\)"),
        (
            a_task(only=("n01",)),
            a_set(),
            None,
            "1 classes of animals are left as candidates, a decision needs 2",
        ),
        (a_task(only=("n07",)), a_set(), None, "'n07' of 'only' is no class of animals"),
    ],
    ids=[
        "another kind",
        "a label that is no class",
        "a split of other pictures",
        "one class left",
        "a limit that is no class",
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(task, found, members, line):
    with pytest.raises(Refusal, match=line):
        ask(task, found, ["u0", "u1", "u2"], members)


def test_templates_of_the_set_are_taken_where_the_task_has_none():
    assert with_templates(a_task(templates=()), a_set(templates=("my {}",))).templates == ("my {}",)
    assert with_templates(a_task(), a_set(templates=("my {}",))).templates == ("a {}",)
    with pytest.raises(Refusal, match="neither it nor set has templates"):
        with_templates(a_task(templates=()), a_set())


def test_only_empty_braces_are_places():
    assert fill("a {} in {c}", "cat") == "a cat in {c}"
    with pytest.raises(ValueError, match="has 2 places, 1 names"):
        fill("{} and {}", "cat")


def test_classes_of_the_set_are_called_by_their_keys_where_nothing_else_is_said():
    found = ask(a_task(classes=None), a_set(classes=("n01", "n02")), ["u0", "u1", "u2"], None)
    assert found.classes.names == ("n01", "n02")
    named = a_set(classes=("n01", "n02"), class_names=("cat", "dog"))
    assert ask(a_task(classes=None), named, ["u0", "u1", "u2"], None).classes.names == ("cat", "dog")
    assert np.array_equal(ask(a_task(classes=None), named, ["u0", "u1", "u2"], None).target, [0, 1, 0])


def test_what_is_asked_is_told_apart_by_labels_captions_and_who_asks_and_not_by_order():
    uids = ["u0", "u1", "u2"]
    plain = ask(a_task(), a_set(), uids, None).identify()
    assert ask(a_task(), a_set(values=("n01", "n02", "n03")), uids, None).identify() != plain
    assert ask(a_task(), a_set(styles=("photo", "photo", "photo")), uids, None).identify() != plain
    assert ask(a_task(), a_set(), ["u0", "u1", "u9"], None).identify() != plain
    task = a_task("retrieval", classes=None, templates=())
    gallery = a_set("retrieval", "captions", [["a"], ["b", "c"], ["d"]])
    every, some, others = (ask(task, gallery, uids, members).identify() for members in (None, {"u0"}, {"u1"}))
    assert len({every, some, others}) == 3
