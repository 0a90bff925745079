"""A declaration is read strictly, and everything that it lacks is said at once."""

import pytest
import yaml

from oddpair.errors import Refusal
from oddpair.eval.submission.declaration import read_declaration
from oddpair.eval.submission.submission import TrainingData

WHOLE = {
    "handle": "lab-a",
    "model": "tiny",
    "architecture": "RN-tiny",
    "parameters": 1_547_673,
    "open_weights": False,
    "training": [{"name": "drawn", "manifest": "ab" * 32}, {"name": "more", "manifest": "unknown"}],
    "samples_seen": "unknown",
    "variants_tried": 3,
    "links": {"code": "https://github.com/a/b"},
}


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        path = tmp_path / "me.yaml"
        values = {name: value for name, value in (WHOLE | changes).items() if value is not ...}
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


def test_a_whole_declaration_is_read_as_it_stands(write):
    found, problems = read_declaration(write())
    assert problems == ()
    assert found is not None
    assert found.training == (
        TrainingData(name="drawn", manifest="ab" * 32),
        TrainingData(name="more", manifest=""),
    )
    assert (found.samples_seen, found.parameters, found.open_weights) == (None, 1_547_673, False)
    assert found.links == {"code": "https://github.com/a/b"}


def test_unknown_training_data_are_declared_as_such_and_never_by_leaving_them_out(write):
    found, _ = read_declaration(write(training="unknown"))
    assert found is not None
    assert found.training == ()
    assert read_declaration(write(training=None))[0] is None
    assert read_declaration(write(training=...))[0] is None
    assert read_declaration(write(training=[]))[0] is None


def test_everything_that_is_wrong_is_said_at_once_a_line_for_each_field(write):
    found, problems = read_declaration(write(handle=None, model=..., parameters=1.5, links=["x"], extra=1))
    assert found is None
    assert [problem.partition(": ")[2].split(" (")[0] for problem in problems] == [
        "unknown key 'extra'; use handle, model, architecture, parameters, open_weights, training, samples_seen, "
        "variants_tried, links",
        "handle is not filled in",
        "'model' is missing",
        "parameters is 1.5, a whole number from 1 was expected",
        "links is ['x'], names with what each stands for was expected",
    ]
    assert all("\n" not in problem for problem in problems)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"parameters": True}, "parameters is True"),
        ({"parameters": 0}, "parameters is 0"),
        ({"parameters": 2**60}, "a whole number from 1 was expected"),
        ({"samples_seen": "many"}, "samples_seen is 'many'"),
        ({"variants_tried": "unknown"}, "variants_tried is 'unknown', a whole number from 1 was expected"),
        ({"open_weights": "yes"}, "open_weights is 'yes', true or false was expected"),
        ({"handle": 7}, "handle is 7, a text was expected"),
        ({"training": "laion"}, "a list of 'name' and 'manifest' was expected, or unknown"),
        ({"training": [{1: "a"}]}, "a list of 'name' and 'manifest' was expected, or unknown"),
        ({"training": [{"name": "a"}]}, "training 1: 'manifest' is missing"),
        ({"training": [{"name": "a", "manifest": None}]}, "training 1: manifest is not filled in"),
        (
            {"training": [{"name": "a", "manifest": "AB" * 32}]},
            "the 64 hex digits of a SHA-256 were expected",
        ),
        ({"training": [{"name": "a", "manifest": "unknown", "url": "x"}]}, "training 1: unknown key 'url'"),
        ({"architecture": "ViT\u202eB"}, "architecture cannot be shown: it has a character that is not seen"),
        (
            {"training": [{"name": "=1+1", "manifest": "unknown"}]},
            "training 1: name cannot be shown: it begins",
        ),
        (
            {"links": {"code": "http://github.com/a"}},
            "links: code cannot be linked to: link does not begin with",
        ),
        ({"links": {"paper": 3}}, "paper is 3, a text was expected"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(write, changes, line):
    found, (problem,) = read_declaration(write(**changes))
    assert found is None
    assert line in problem


def test_a_file_that_is_no_yaml_is_refused(tmp_path):
    (tmp_path / "me.yaml").write_text("handle: [")
    with pytest.raises(Refusal, match="is no YAML"):
        read_declaration(tmp_path / "me.yaml")


def test_a_field_that_is_given_twice_is_refused(tmp_path):
    (tmp_path / "me.yaml").write_text("handle: a\nhandle: b\n")
    with pytest.raises(Refusal, match="gives the key 'handle' once more"):
        read_declaration(tmp_path / "me.yaml")
