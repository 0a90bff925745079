"""``submission.json``: exactly its keys, each of its type, and the same again when it is written."""

import copy
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.eval.submission.schema import format_submission, parse_submission
from oddpair.eval.submission.submission import MOST_BYTES, TrainingData

WHERE = "lab-a__tiny__aaaaaaaa/submission.json"
METRIC = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
HONEST: dict[str, Any] = {
    "format": 1,
    "handle": "lab-a",
    "model": "tiny_v1.0",
    "architecture": "ViT-B/32",
    "parameters": 151_000_000,
    "weights": "ab" * 32,
    "open_weights": True,
    "training": [{"name": "DataComp-1B", "manifest": ""}, {"name": "ours", "manifest": "0" * 64}],
    "samples_seen": None,
    "variants_tried": 3,
    "run": {
        "format": 1,
        "model": {"sha256": "ab" * 32, "logit_scale": 100.0, "notes": []},
        "precision": "fp32",
        "dtype": "float32",
        "seeds": "from the hash",
        "runs": {
            "0123456789ab": {
                "package": {"version": "0.1.0", "commit": None, "dirty": None},
                "libraries": {"torch": "2.15.0"},
                "machine": {"platform": "Linux", "threads": 1},
            }
        },
    },
    "tasks": [
        {"task": "a.x", "version": 1, "lock": "1" * 64, "records": "2" * 64, "metrics": {"top1": METRIC}},
        {
            "task": "a.y", "version": 2, "lock": "1" * 64, "records": "2" * 64,
            "metrics": {"text_to_image_recall@1": METRIC, "accuracy/replace_obj": METRIC},
        },
    ],
    "score": 0.5,
    "links": {"code": "https://github.com/lab-a/tiny"},
}  # fmt: skip
RUN = ("run", "runs", "0123456789ab")
CLAIM = ("tasks", 0, "metrics", "top1")


def as_bytes(told):
    return json.dumps(told).encode()


def changed(path, value):
    told = copy.deepcopy(HONEST)
    inner = told
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return told


def refusal(data):
    with pytest.raises(Refusal) as caught:
        parse_submission(data, WHERE)
    line = str(caught.value)
    assert line.startswith(WHERE)
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 700
    return line.removeprefix(WHERE).lstrip(": ")


def test_what_is_read_is_what_was_written_and_writes_the_same_bytes():
    told = parse_submission(as_bytes(HONEST), WHERE)
    assert told.name == "lab-a__tiny_v1.0__abababab"
    assert told.tasks[1].file == "predictions/a.y@2.parquet"
    assert told.training == (
        TrainingData(name="DataComp-1B", manifest=""),
        TrainingData(name="ours", manifest="0" * 64),
    )
    assert (told.samples_seen, told.score, told.tasks[0].metrics["top1"].n) == (None, 0.5, 100)
    data = format_submission(told)
    assert json.loads(data) == HONEST
    assert parse_submission(data, WHERE) == told
    assert format_submission(parse_submission(data, WHERE)) == data
    assert data == (json.dumps(HONEST, sort_keys=True, indent=1) + "\n").encode("ascii")


@given(
    parameters=st.integers(1, 2**53),
    name=st.text("aé日ب \"<&'\\", max_size=20).map(lambda text: " ".join(f"x{text}x".split())),
    value=st.floats(0, 1),
)
@settings(max_examples=50, deadline=None)
def test_every_value_that_is_taken_comes_back(parameters, name, value):
    before = dataclasses.replace(
        parse_submission(as_bytes(HONEST), WHERE),
        parameters=parameters,
        samples_seen=parameters,
        architecture=name,
        score=value,
    )
    assert parse_submission(format_submission(before), WHERE) == before


def test_unknown_training_data_and_a_missing_score_are_told_as_such():
    told = parse_submission(as_bytes({**HONEST, "training": [], "score": None, "links": {}}), WHERE)
    assert (told.training, told.score, told.links) == ((), None, {})


@pytest.mark.parametrize("key", sorted(HONEST))
def test_every_key_is_needed(key):
    assert refusal(as_bytes({name: HONEST[name] for name in HONEST if name != key})).startswith(
        f"it has no {key}"
    )


@pytest.mark.parametrize(
    "path",
    [
        ("extra",), ("training", 0, "extra"), ("tasks", 0, "extra"), (*CLAIM, "extra"), ("run", "extra"),
        (*RUN, "extra"), (*RUN, "package", "extra"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_wherever_it_stands(path):
    assert "has the key 'extra', there are " in refusal(as_bytes(changed(path, 1)))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        (b"\xef\xbb\xbf{}", "is not valid JSON"),
        (b"null", "it is null, needed a mapping"),
        (b"[]", "it is a list of 0, needed a mapping"),
        (b'{"format": 1, "format": 1}', "key 'format' is given twice"),
        (b'{"\\u202eformat": 1, "\\u202eformat": 1}', "is given twice"),
        (b'{"format": NaN}', "NaN is not a number"),
        (b'{"format": -Infinity}', "-Infinity is not a number"),
        (b'{"format": 1e999}', "is out of range"),
        (b'{"format": ' + b"1" * 5000 + b"}", "is not valid JSON"),
        (b'{"format": ' + b"1" * 4000 + b"}", "format is a number of 13,285 bits"),
        (b"[" * 60_000, "is not valid JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "is not valid JSON"),
        (b'{"format": 2}', "format is 2, needed 1, the format of this oddpair"),
        (b'{"format": true}', "format is true, needed 1"),
        (b'{"format": 1.0}', "format is 1.0, needed 1"),
        (b" " * (MOST_BYTES + 1), "has 65,537 bytes, at most 65,536 are taken"),
    ],
)
def test_what_is_no_strict_json_of_this_format_is_refused(data, told):
    assert told in refusal(data)


WRONG: list[tuple[tuple[Any, ...], list[Any]]] = [
    (("handle",), ["", "-a", "a-", "a--b", "a_b", "a" * 40, "a/b", "\u0430lab", "a\n", 1]),
    (("model",), ["", ".a", "a.", "_a", "a_", "a__b", "a" * 61, "a/b", "../a", "a b", "a\n", 1]),
    (("architecture",), ["", "=1+1", "a" * 81, "a\u202eb", "a\u200bb", "a\x1b[2J", "<b>", "e\u0301", None]),
    (("parameters",), [0, -1, True, 1.0, "1", None, 2**53 + 1]),
    (("weights",), ["AB" * 32, "ab" * 31, "ab" * 33, "", None, "ab" * 32 + "\n"]),
    (("open_weights",), [0, 1, "true", None]),
    (("training",), [None, "unknown", {}, [1], [{"name": "a", "manifest": ""}] * 2]),
    (("training",), [[{"name": f"c{n}", "manifest": ""} for n in range(21)]]),
    (("training", 0, "manifest"), [None, "unknown", "0" * 63]),
    (("training", 0, "name"), ["", "<script>", "\u202e", "x" * 10_000, None]),
    (("samples_seen",), [0, True, 1.5, "unknown"]),
    (("variants_tried",), [0, None, True]),
    (("score",), [-0.1, 1.1, True, "0.5", [], 10**400]),
    (("links",), [None, [], {"home": "https://github.com/"}, {"code": None}]),
    (("links", "code"), ["javascript:alert(1)", "http://github.com/", "https://example.org/"]),
    (("tasks",), [None, {}, [], [HONEST["tasks"][0]] * 2, HONEST["tasks"][::-1]]),
    (("tasks", 0, "task"), ["x", "a.b.c", "../a.b", "A.b", "a.b\n", "a/b.c", 1]),
    (("tasks", 0, "version"), [0, True, "1", 1.0, 10_000]),
    (("tasks", 0, "lock"), ["xyz", None]),
    (("tasks", 0, "records"), ["xyz", None]),
    (("tasks", 0, "metrics"), ["xyz", {}, {f"top{n}": METRIC for n in range(101)}]),
    (("tasks", 0, "metrics"), [{"\u202etop1": METRIC}, {"": METRIC}]),
    ((*CLAIM, "value"), [0.39, 0.61, -1, 2, True, None, "0.5"]),
    ((*CLAIM, "n"), [0, True, 1.5, 2**60]),
    (("run",), [None, {}, []]),
    (("run", "runs"), [{}, [], {"x": {}}, {"0123456789AB": HONEST["run"]["runs"]["0123456789ab"]}]),
    ((*RUN, "package", "commit"), ["main", 7]),
    ((*RUN, "package", "dirty"), [1, "no", True]),
    ((*RUN, "machine"), [{"device": "\u202e"}, {"device": "x" * 501}, {"device": "\x1b]0;x\x07"}]),
    ((*RUN, "machine"), [{"threads": 2**60}, {"a\u200b": 1}, list(range(500)), [[1] * 400, [1] * 400]]),
]


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in WRONG for value in values])
def test_a_value_of_another_kind_is_refused_with_its_place(path, value):
    line = refusal(as_bytes(changed(path, value)))
    assert line.startswith((f"{path[0]} ", f"{path[0]}.", f"{path[0]}["))
    assert ": make the submission again with oddpair submit" in line


def test_places_are_told_from_the_root():
    line = refusal(as_bytes(changed((*CLAIM, "high"), 1.5)))
    assert line.startswith("tasks[0].metrics.top1.high is 1.5, needed a number from 0 to 1: ")
    line = refusal(as_bytes(changed((*RUN, "package", "dirty"), True)))
    assert line.startswith("run.runs.0123456789ab.package.dirty is true, the run was made by an oddpair with")


def test_a_record_of_eight_levels_holds_and_one_of_nine_does_not():
    def nested(levels):
        value: Any = 1
        for _ in range(levels):
            value = [value]
        return as_bytes(changed(("run", "model"), value))

    assert parse_submission(nested(6), WHERE)
    assert "lies deeper than 8 levels" in refusal(nested(7))


def test_integers_are_taken_for_shares_at_the_ends():
    told = parse_submission(as_bytes(changed(CLAIM, {"value": 1, "low": 0, "high": 1, "n": 1})), WHERE)
    assert told.tasks[0].metrics["top1"].value == 1.0


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_refusal(data):
    refusal(data)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([("run", "model"), ("tasks",), ("tasks", 0, "metrics"), ("training",), ("links",), RUN]),
)
@settings(max_examples=150, deadline=None)
def test_any_value_anywhere_is_taken_whole_or_refused_in_one_line(value, path):
    data = as_bytes(changed(path, value))
    try:
        told = parse_submission(data, WHERE)
    except Refusal:
        refusal(data)
        return
    assert parse_submission(format_submission(told), WHERE) == told
