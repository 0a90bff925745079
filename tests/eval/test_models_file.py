import pytest

from oddpair.errors import Refusal
from oddpair.eval.models_file import ModelChoice, read_models

SHA = "ab" * 32


def pairs(found):
    return [(choice.model, choice.pretrained) for choice in found]


@pytest.mark.parametrize(
    ("models", "pretrained", "wanted"),
    [
        (["a"], [], [("a", None)]),
        (["a", "b"], [], [("a", None), ("b", None)]),
        (["a"], ["x", "y"], [("a", "x"), ("a", "y")]),
        (["a", "b"], ["x", "y"], [("a", "x"), ("b", "y")]),
        (["a", "a"], ["x", "y"], [("a", "x"), ("a", "y")]),
    ],
)
def test_models_and_weights_of_the_command_line_are_paired(models, pretrained, wanted):
    assert pairs(read_models(models, pretrained)) == wanted


def test_a_file_follows_the_command_line_and_may_tell_hashes(tmp_path):
    path = tmp_path / "models.txt"
    path.write_text(
        "\ufeff# ours\nViT-B-32,openai\n\n ViT-L-14 , 'x'.pt ,"
        f'{SHA.upper()}\nlocal-dir:/a b\n"hf-hub:o/n",\nViT-B-16,"a, b.pt"\n  # end\n',
        encoding="utf-8",
    )
    assert read_models(["reference"], [], path) == (
        ModelChoice(model="reference"),
        ModelChoice(model="ViT-B-32", pretrained="openai"),
        ModelChoice(model="ViT-L-14", pretrained="'x'.pt", sha256=SHA),
        ModelChoice(model="local-dir:/a b"),
        ModelChoice(model="hf-hub:o/n"),
        ModelChoice(model="ViT-B-16", pretrained="a, b.pt"),
    )


@pytest.mark.parametrize(
    ("models", "pretrained", "line"),
    [
        ([], [], "no model to evaluate: give --model, or a file of models"),
        ([], ["x"], "0 models and 1 pretrained weights: give one model with all its weights"),
        (["a", "b"], ["x"], "2 models and 1 pretrained weights"),
        (["a", "b"], ["x", "y", "z"], "2 models and 3 pretrained weights"),
        (["a", "a"], [], "the command line names a again, after the command line: leave one out"),
        (["a"], ["x", "x"], "the command line names a, x again"),
    ],
)
def test_numbers_that_do_not_fit_and_repeats_are_refused(models, pretrained, line):
    with pytest.raises(Refusal, match=line):
        read_models(models, pretrained)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "models.txt names no model: give lines model,pretrained"),
        ("# a\n", "models.txt names no model"),
        ("a,b,c,d\n", "models.txt line 1 has 4 columns, needed model,pretrained or model,pretrained,sha256"),
        ("\n,openai\n", "models.txt line 2 has 2 columns, needed"),
        ("a,b,0123\n", "models.txt line 1: '0123' is no SHA-256, needed 64 hex digits"),
        ('a,"b\n', "models.txt line 1 is no line model,pretrained .*: mend its quotes"),
        ("a,b\nc,d\na,b\n", "models.txt line 3 names a, b again, after .*models.txt line 1: leave one out"),
        ("reference\n", "models.txt line 1 names reference again, after the command line"),
    ],
)
def test_a_malformed_file_is_refused_by_its_line(tmp_path, text, line):
    path = tmp_path / "models.txt"
    path.write_text(text)
    with pytest.raises(Refusal, match=line):
        read_models(["reference"], [], path)


@pytest.mark.parametrize("make", ["missing", "folder", "bytes"])
def test_what_is_no_text_is_refused(tmp_path, make):
    path = tmp_path / "models.txt"
    if make == "folder":
        path.mkdir()
    elif make == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match=r"models.txt cannot be read as a file of models"):
        read_models([], [], path)
