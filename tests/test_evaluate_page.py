"""The page of an evaluation: numbers, bars and pictures of mistakes, safe whatever they say."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from oddpair.commands.evaluate_bars import ScoreBar, draw_differences, draw_scores
from oddpair.commands.evaluate_mistakes import count_confusions, find_mistakes
from oddpair.commands.evaluate_page import name_models, write_page
from oddpair.eval.intervals import Estimate
from oddpair.eval.results import Found, Metric, TaskResult
from oddpair.eval.scoring.records import SCHEMAS, write_records

NAMES = ("apple", "<b>boat</b>", "cat")


def estimate(value, low, high, n=100):
    return Estimate(value=value, low=low, high=high, n=n, what="accuracy")


def record(key, target, said, behind, *, partner=-1, style="photo"):
    """A record of three classes whose right one lies so far behind what was said."""
    others = [each for each in range(3) if each not in (said, target)]
    wrong = said != target
    ranked = [said, target, *others] if wrong else [target, *others]
    scores = [0.5, 0.5 - behind, 0.1] if wrong else [0.5, 0.2, 0.1]
    return {
        "key": key,
        "uid": f"uid-{key}",
        "style": style,
        "target": target,
        "partner": partner,
        "top_classes": ranked,
        "top_scores": scores,
        "target_score": 0.5 - behind if wrong else 0.5,
        "logsumexp": 1.5,
        "n_greater": int(wrong),
        "n_tied": 0,
        "n_candidates": 3,
    }


def table_of(*records, kind="classification"):
    return pa.Table.from_pylist(list(records), SCHEMAS[kind])


RECORDS = (
    record("a", 0, 0, 0.0),
    record("b", 0, 1, 0.1),
    record("c", 0, 1, 0.3, style="sketch"),
    record("d", 0, 1, 0.2),
    record("e", 1, 2, 0.05, style="sketch"),
    record("f", 2, 2, 0.0),
)


@pytest.fixture
def write(tmp_path):
    """Write a result with its records; return where it lies."""

    def make(
        table,
        *,
        kind="classification",
        model="reference",
        benchmark="mini",
        task="natural",
        value=0.4,
        **changes,
    ):
        result = TaskResult(
            benchmark=benchmark,
            version=1,
            task=task,
            kind=kind,
            family="natural",
            cluster="image",
            model=model,
            pretrained="",
            slug=f"slug-{model.replace('/', '-')}",
            n_images=6,
            damaged=0,
            class_keys=("0", "1", "2"),
            class_names=NAMES,
            logit_scale=100.0,
            hashes={},
            run="r",
            records="",
            metrics=(
                Metric(
                    name={"retrieval": "text_to_image_recall@1", "choice": "accuracy"}.get(kind, "top1"),
                    estimate=estimate(value, 0.3, 0.6),
                    chance=1 / 3,
                    interval="Clopper-Pearson",
                ),
            ),
        )
        one = Found(
            result=replace(result, **changes), path=tmp_path / result.slug / f"{benchmark}.{task}.result.json"
        )
        one.record_path.parent.mkdir(exist_ok=True)
        write_records(one.record_path, kind, table)
        return one

    return make


def page_of(tmp_path, *found, **options):
    write_page(tmp_path / "report.html", found, **options)
    return (tmp_path / "report.html").read_text()


def test_every_number_of_a_result_is_shown_with_interval_support_and_chance(tmp_path, write):
    text = page_of(tmp_path, write(table_of(*RECORDS)))
    for words in (
        "40.0 %",
        "[30.0, 60.0]",
        "40.00",
        "[30.00, 60.00]",
        "33.33",
        "n = 100",
        "6 pictures, 3 classes",
    ):
        assert words in text
    assert "1 model on 1 task." in text
    assert "left:33.33%;border-left:2px dashed" in text


def test_names_of_classes_models_and_tasks_are_no_markup(tmp_path, write):
    hostile = "<script>alert(1)</script>"
    found = write(
        table_of(*RECORDS),
        model=hostile.replace("/", ""),
        benchmark="mini",
        class_names=(hostile, *NAMES[1:]),
    )
    text = page_of(
        tmp_path,
        found,
        gaps={found.result.slug: {hostile: estimate(0.1, 0.0, 0.2)}},
        pictures=lambda benchmark, task, keys: {},
    )
    assert "<script" not in text
    assert "<b>" not in text
    assert "said &lt;b&gt;boat&lt;/b&gt;" not in text  # no picture was given to say it under
    assert "&lt;script&gt;" in text


def test_equal_results_give_equal_pages(tmp_path, write):
    found = [write(table_of(*RECORDS), model=model) for model in ("one", "two")]
    assert page_of(tmp_path, *found) == page_of(tmp_path, *found)


def test_styles_are_compared_and_classes_shown_worst_first(tmp_path, write):
    text = page_of(tmp_path, write(table_of(*RECORDS)))
    assert "By style of the picture" in text
    styles = text[text.index("By style") : text.index("By class")]
    assert re.findall(r"<bdi>(\w+)</bdi>", styles) == ["photo", "sketch"]
    classes = text[text.index("By class, the surely worst first") :]
    assert re.findall(r'class="label"><bdi>(.*?)</bdi>', classes) == [
        "apple",
        "&lt;b&gt;boat&lt;/b&gt;",
        "cat",
    ]


def test_parts_that_two_words_name_are_called_by_both(tmp_path, write):
    table = table_of(record("p", 0, 2, 0.1, partner=2), record("q", 2, 2, 0.0, partner=0), kind="pairs")
    assert "<bdi>apple, cat</bdi>" in page_of(tmp_path, write(table, kind="pairs"))


def test_one_style_alone_is_no_comparison(tmp_path, write):
    text = page_of(tmp_path, write(table_of(*(each | {"style": ""} for each in RECORDS))))
    assert "By style" not in text


def test_mistakes_are_shown_with_what_was_said_instead(tmp_path, write, noise, as_bytes):
    asked = []

    def pictures(benchmark, task, keys):
        asked.append((benchmark, task, tuple(keys)))
        return {key: as_bytes(noise(number)) for number, key in enumerate(keys) if key != "e"}

    text = page_of(tmp_path, write(table_of(*RECORDS)), pictures=pictures)
    assert asked == [("mini", "natural", ("c", "d", "e"))]
    assert len(re.findall("data:image/jpeg", text)) == 2
    assert "said &lt;b&gt;boat&lt;/b&gt;, is apple" in text


def test_of_many_models_the_best_three_are_looked_at_closely(tmp_path, write):
    found = [write(table_of(*RECORDS), model=f"m{number}", value=number / 10) for number in range(3, 7)]
    text = page_of(tmp_path, *found)
    assert re.findall(r"<summary>(m\d): classes and mistakes", text) == ["m6", "m5", "m4"]
    assert "Below are the 3 models that score best" in text
    assert text.count("<details open>") == 1


def test_gaps_are_drawn_on_both_sides_of_none():
    drawn = draw_differences([ScoreBar(label="g", estimate=estimate(-0.1, -0.2, 0.05))], caption="c")
    assert "left:25.00%;width:25.00%" in drawn
    assert "left:50.00%;border-left:1px solid" in drawn
    assert "−10.0" in drawn
    assert "[−20.0, +5.0]" in drawn
    assert "left:0.00%;width:62.50%" in drawn


def test_an_interval_without_an_end_is_drawn_to_the_edge():
    unbounded = estimate(0.1, float("-inf"), float("inf"))
    assert "[unbounded, unbounded]" in draw_differences(
        [ScoreBar(label="g", estimate=unbounded)], caption="c"
    )


def test_a_legend_names_only_groups_that_are_there_and_colours_stay_those_of_all():
    bars = [ScoreBar(label="x", estimate=estimate(0.5, 0.4, 0.6), group="two")]
    alone = draw_scores(bars, caption="c", groups=("one", "two"))
    assert 'class="legend"' not in alone
    assert "#d55e00" in alone


def test_no_bar_and_no_result_are_errors(tmp_path):
    with pytest.raises(ValueError, match="found no bar"):
        draw_scores([], caption="c")
    with pytest.raises(ValueError, match="found no result"):
        write_page(tmp_path / "report.html", [])


def test_models_are_called_by_the_ends_of_their_paths_unless_two_agree(write):
    table = table_of(*RECORDS)
    found = [write(table, model=model) for model in ("/a/net", "/b/net", "/c/other")]
    assert list(name_models(found).values()) == ["slug--a-net", "slug--b-net", "other"]


def test_confusions_are_counted_with_the_support_of_the_right_class():
    assert count_confusions(table_of(*RECORDS), "classification", NAMES) == [
        ("apple", "<b>boat</b>", 3, 4),
        ("<b>boat</b>", "cat", 1, 1),
    ]


def test_the_surest_mistakes_come_first_and_two_of_a_class_at_most():
    found = find_mistakes(table_of(*RECORDS), "classification", NAMES, 10)
    assert [each.key for each in found] == ["c", "d", "e"]
    assert find_mistakes(table_of(*RECORDS), "classification", NAMES, 1) == found[:1]


def test_a_mistake_in_a_pair_says_what_it_stands_beside():
    table = table_of(record("p", 0, 2, 0.1, partner=1), kind="pairs")
    assert find_mistakes(table, "pairs", NAMES, 5)[0].text == "said cat, is apple, beside <b>boat</b>"


def test_a_picture_that_lacks_what_scores_highest_is_a_mistake_of_many_labels():
    rows = [
        {"key": "x", "uid": "x", "style": "", "scores": [0.1, 0.9, 0.2], "labels": [0, 2]},
        {"key": "y", "uid": "y", "style": "", "scores": [0.1, 0.9, 0.2], "labels": [1]},
        {"key": "z", "uid": "z", "style": "", "scores": [0.1, 0.9, 0.2], "labels": []},
    ]
    found = find_mistakes(table_of(*rows, kind="multilabel"), "multilabel", NAMES, 5)
    assert [(each.key, each.text) for each in found] == [("x", "said <b>boat</b>, has apple, cat")]


def test_pictures_that_other_captions_are_nearer_to_are_the_mistakes_of_retrieval():
    common = {
        "uid": "u",
        "style": "",
        "best_score": 0.5,
        "n_tied": 0,
        "n_positives_tied": 1,
        "n_candidates": 9,
    }
    rows = [
        common | {"key": "x", "direction": "image_to_text", "caption": -1, "n_greater": 3},
        common | {"key": "x", "direction": "text_to_image", "caption": 0, "n_greater": 5},
        common | {"key": "y", "direction": "image_to_text", "caption": -1, "n_greater": 0},
    ]
    found = find_mistakes(table_of(*rows, kind="retrieval"), "retrieval", (), 5)
    assert [(each.key, each.text) for each in found] == [("x", "3 captions of other pictures are nearer")]
