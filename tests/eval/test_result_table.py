import csv
import io
import re
from pathlib import Path

import pytest

from oddpair.errors import Refusal
from oddpair.eval.intervals import Estimate
from oddpair.eval.result_table import (
    CSV_COLUMNS,
    Score,
    as_csv,
    as_latex,
    as_markdown,
    as_text,
    show,
)
from oddpair.eval.results import Found, Metric, TaskResult

NASTY = [
    "under_score",
    "pipe|bar",
    "50% & more",
    r"back\slash",
    "a*b`c`",
    "dash--dash",
    "[x] {y} <z> #1 $2 ~ ^",
]


def score(model="m", task="natural", value=0.5, **changes):
    fields = {
        "model": model,
        "pretrained": "",
        "benchmark": "miniature",
        "version": 1,
        "task": task,
        "metric": "top1",
        "value": value,
        "low": value - 0.02,
        "high": value + 0.02,
        "n": 2500,
        "chance": 0.02,
    }
    return Score(**{**fields, **changes})


def found(value=0.66654, *, questions="a" * 64, model="ViT-B-32", low=0.66, path="OUT/m/b.t.result.json"):
    metric = Metric(
        name="top1",
        estimate=Estimate(value=value, low=low, high=0.67, n=50_000, what="top1"),
        chance=0.001,
        interval="Clopper-Pearson",
    )
    fields = {
        **{
            "benchmark": "imagenet",
            "version": 2,
            "task": "val",
            "kind": "classification",
            "family": "natural",
        },
        **{"cluster": "image", "model": model, "pretrained": "laion2b", "slug": model, "n_images": 50_000},
        **{"damaged": 0, "class_keys": ("a", "b"), "class_names": ("a", "b"), "logit_scale": 100.0},
        **{"hashes": {"questions": questions}, "records": "", "run": "", "metrics": (metric,)},
    }
    return Found(result=TaskResult(**fields), path=Path(path))


def cells_of_text(text):
    """Rows of one block: cells are two or more spaces apart."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def cells_of_markdown(text):
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]
    rows = [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in line] for line in lines]
    return [rows[0], *rows[2:]]


def cells_of_latex(text):
    undone = {
        r"\textbackslash{}": "\\",
        r"\textasciitilde{}": "~",
        r"\textasciicircum{}": "^",
        r"\textless{}": "<",
    }
    undone |= {r"\textgreater{}": ">", r"\textbar{}": "|", "{[}": "[", "{]}": "]", "{*}": "*", "-{}-": "--"}
    pattern = re.compile("|".join(map(re.escape, undone)) + r"|\\([&%$#_{}])")
    body = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r"\\")]
    return [
        [
            pattern.sub(lambda match: match[1] or undone[match[0]], cell.strip())
            for cell in re.split(r"(?<!\\)&", line)
        ]
        for line in body
    ]


def digits_of_csv(text):
    """What the other formats must say of each task and model, from the lines of the CSV."""
    said = {}
    for row in csv.DictReader(io.StringIO(text)):
        ends = [row[f"{end}_percent"] or "unbounded" for end in ("low", "high")]
        said[row["task"], f"{row['model']} {row['pretrained']}".strip()] = (
            f"{int(row['n']):,}",
            row["chance_percent"],
            f"{row['value_percent']} [{', '.join(ends)}]",
        )
    return said


def test_text_markdown_latex_and_csv_hold_the_same_digits():
    scores = [
        score(model, task, value)
        for model, task, value in [
            ("one", "natural", 0.12345),
            ("one", "rendition", 0.00004),
            ("two", "natural", 1.0),
        ]
    ]
    scores.append(score("two", "rendition", 0.99996, low=float("-inf")))
    scores.append(found())
    said = digits_of_csv(as_csv(scores))
    assert len(said) == 5
    for cells in (
        cells_of_text(as_text(scores, width=400)),
        cells_of_markdown(as_markdown(scores)),
        cells_of_latex(as_latex(scores)),
    ):
        header, *rows = cells
        assert header[:5] == ["benchmark", "task", "metric", "n", "chance (%)"]
        shown = {
            (row[1], model): (row[3], row[4], cell)
            for row in rows
            for model, cell in zip(header[5:], row[5:], strict=True)
            if cell != "–"
        }
        assert shown == said


def test_a_row_is_a_task_and_a_column_a_model():
    lines = as_text([score("one"), score("two", value=0.25), score("two", "rendition", 0.1)]).splitlines()
    assert lines == [
        "benchmark     task       metric      n  chance (%)                   one                   two",
        "miniature v1  natural    top1    2,500        2.00  50.00 [48.00, 52.00]  25.00 [23.00, 27.00]",
        "miniature v1  rendition  top1    2,500        2.00                     –   10.00 [8.00, 12.00]",
    ]


def test_models_that_do_not_fit_follow_below_beside_the_same_tasks():
    scores = [score(f"model {number}") for number in range(3)]
    blocks = as_text(scores, width=95).split("\n\n")
    assert [re.findall(r"model \d", block) for block in blocks] == [["model 0", "model 1"], ["model 2"]]
    assert all("natural" in block for block in blocks)
    assert all(len(line) <= 95 for block in blocks for line in block.splitlines())
    assert len(as_text(scores, width=1).split("\n\n")) == 3


def test_a_result_shows_its_main_metric():
    row = next(csv.DictReader(io.StringIO(as_csv([found()]))))
    assert row == dict(
        zip(
            CSV_COLUMNS,
            [
                "imagenet",
                "2",
                "val",
                "top1",
                "ViT-B-32",
                "laion2b",
                "50000",
                "0.10",
                "66.65",
                "66.00",
                "67.00",
            ],
            strict=True,
        )
    )


def test_models_asked_of_other_pictures_never_share_a_row():
    text = as_text([found(model="one"), found(model="two", questions="b" * 64)])
    assert "val (questions aaaaaaaa)" in text
    assert "val (questions bbbbbbbb)" in text
    assert text.count("–") == 2


def test_models_with_another_support_or_chance_level_never_share_a_row():
    rows = cells_of_text(as_text([score("one"), score("two", n=2499), score("three", chance=0.5)], width=400))
    assert [row[3:5] for row in rows[1:]] == [["2,500", "2.00"], ["2,499", "2.00"], ["2,500", "50.00"]]


def test_the_same_result_twice_is_one_and_two_that_disagree_are_refused():
    assert as_text([found(), found(path="B/m/b.t.result.json")]) == as_text([found()])
    with pytest.raises(Refusal, match=r"ViT-B-32 laion2b on imagenet val disagree \(66.65 and 67.00\)"):
        as_text([found(), found(0.67)])


def test_nothing_is_refused():
    with pytest.raises(Refusal, match="no result to show"):
        as_markdown([])


@pytest.mark.parametrize("name", NASTY)
def test_names_come_back_from_every_format(name):
    scores = [score(name)]
    assert cells_of_markdown(as_markdown(scores))[0][5] == name
    assert cells_of_latex(as_latex(scores))[0][5] == name
    assert next(csv.DictReader(io.StringIO(as_csv(scores))))["model"] == name


@pytest.mark.parametrize("write", [as_text, as_markdown, as_latex])
def test_names_move_no_cursor_and_start_no_line(write):
    assert write([score("a\x1b[2J\nb")]).count("\n") == write([score("a")]).count("\n")
    assert "\x1b" not in write([score("a\x1b[2Jb")])


def test_a_row_of_latex_does_not_begin_with_an_argument_of_the_line_break():
    assert "\n[" not in as_latex([score(benchmark="[b]")])


def test_unknown_support_chance_and_interval_are_dashes_and_empty_cells():
    scores = [score(version=None, benchmark="", n=None, chance=None, low=None, high=None)]
    assert cells_of_markdown(as_markdown(scores))[1] == ["", "natural", "top1", "–", "–", "50.00"]
    assert as_csv(scores).splitlines()[1] == ",,natural,top1,m,,,,50.00,,"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (-1e-9, "0.00"), (0.66654, "66.65"), (1.0, "100.00")]
)
def test_a_fraction_is_shown_in_per_cent_with_two_decimals(value, text):
    assert show(value) == text
