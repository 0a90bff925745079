import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tests.eval.composing.pmi_worlds import draw_sets
from tests.retrieval.counting.counted import counted
from tests.splits.unseen_data import NAMES, count, draw_captions, write_corpus

from oddpair.commands.predict_texts import (
    PREDICTIONS,
    SCORES,
    make_curves,
    predict_pmi,
    predict_texts,
    show_pmi,
    show_texts,
)
from oddpair.errors import Refusal
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.files import read_json, read_table
from oddpair.retrieval.counting.count_shards import VOCABULARY
from oddpair.retrieval.counting.counts_file import write_counts


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    count(write_corpus(folder / "corpus", draw_captions(np.random.default_rng(0), 400)), folder / "counts")
    return folder / "counts"


def write_samples(path, n=300, seed=0):
    """Questions about some concepts; model "b" is always right about cats."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "sample", "question", "answer", "predicted", "correct"])
        for sample in range(n):
            asked = rng.choice(NAMES, rng.integers(0, 4), replace=False).tolist()
            answer = str(rng.choice([*NAMES, "yes", "no"]))
            for model in ("a", "b"):
                right = model == "b" and "cat" in asked
                score = 1 if right else int(rng.integers(0, 2))
                question = f"Is there a {', a '.join(asked)}?"
                writer.writerow([model, sample, question, answer, answer if score else "cat", score])
    return path


@pytest.fixture(scope="module")
def found(counts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    return predict_texts(write_samples(folder / "samples.csv"), counts, folder / "out"), folder


def test_both_variants_are_told_of_every_model_and_all_rows_are_accounted_for(found):
    told, _ = found
    assert list(told["models"]) == ["a", "b"]
    assert list(told["models"]["a"]) == ["smoothed", "published"]
    assert told["rows"] == 600
    assert told["used"] + told["fewer_than_two_concepts"] + told["no_counted_pair"] == 600
    assert told["fewer_than_two_concepts"] > 0
    samples = sum(told["models"][model]["smoothed"]["samples"] for model in ("a", "b"))
    assert samples == told["used"]
    assert told["captions"] == 400
    # Few captions: the constants of the published form outweigh their counts.
    assert any(note.startswith("published PMI adds 1,000") for note in told["notes"])


def test_the_folder_holds_the_scores_and_every_sample(found):
    told, folder = found
    assert read_json(folder / "out" / SCORES) == json.loads(json.dumps(told))
    rows = read_table(folder / "out" / PREDICTIONS)
    assert rows.num_rows == 600
    known = rows["pmi_smoothed"].is_valid().to_numpy()
    assert known.sum() == told["used"]
    named = np.array([len(text.split(";")) if text else 0 for text in rows["concepts"].to_pylist()])
    assert (named < 2).sum() == told["fewer_than_two_concepts"]


def test_predicted_answers_put_other_concepts_beside_the_questions(found, counts):
    told, folder = found
    other = predict_texts(folder / "samples.csv", counts, None, answers="predicted")
    assert other["answers"] == "predicted"
    assert other["fewer_than_two_concepts"] != told["fewer_than_two_concepts"]


def test_the_lines_say_what_the_scores_say(found):
    told, _ = found
    lines = list(show_texts(told))
    assert lines[0].startswith(f"{told['used']} of 600 rows have a mean PMI (gold answers)")
    gap = told["models"]["b"]["smoothed"]["gap"]["difference"]["value"]
    at = lines.index(next(line for line in lines if line.startswith("b, smoothed PMI: ")))
    assert f"bottom 5 %: {100 * gap:.1f} [" in lines[at + 2]
    assert any("imbalance left: mean log10 count " in line for line in lines)


def test_curves_of_a_report_are_made_of_the_scores_as_they_are_stored(found):
    told, _ = found
    curves = make_curves(json.loads(json.dumps(told)))
    assert [curve.name for curve in curves] == [
        f"{model}, {variant} PMI" for model in "ab" for variant in ("smoothed", "published")
    ]
    first = told["models"]["a"]["smoothed"]
    assert curves[0].gap is not None
    assert curves[0].gap.value == first["gap"]["difference"]["value"]
    assert [point.at for point in curves[0].points] == [each["at"] for each in first["plain"]["bins"]]


def accuracy_table(**columns):
    rows, _ = draw_sets(0, effect=0.5, n_sets=150)
    n = len(rows)
    whole = AccuracyTable(
        model=np.full(n, "a"),
        corpus=np.full(n, "c"),
        dataset=np.full(n, "d"),
        concept=np.array([f"pair {place}" for place in range(n)]),
        accuracy=rows.accuracy,
        n=rows.samples,
        count_text=np.round(10 ** rows.controls[:, 0]),
        count_image=np.full(n, np.nan),
        count_joint=np.full(n, np.nan),
        pmi=rows.pmi,
    )
    return replace(whole, **columns)


def test_a_table_with_pmi_tells_its_effect_by_model():
    told = predict_pmi(accuracy_table())
    assert json.loads(json.dumps(told)) == told
    each = told["models"]["a"]
    assert each["controls"] == ["log10 count_text"]
    assert each["slope_given_counts"]["low"] > 0.2
    assert each["matched"]["couples"] >= 5
    lines = list(show_pmi(told))
    assert lines[0].startswith("a, PMI: ")
    (curve,) = make_curves(told)
    assert curve.name == "a"
    assert curve.matched_gap is not None
    assert curve.matched_gap.value == each["matched"]["difference"]["value"]


def test_what_cannot_be_told_is_said():
    flat = predict_pmi(accuracy_table(pmi=np.full(150, 1.5)))
    assert list(show_pmi(flat)) == ["a, PMI: all samples have the PMI 1.5"]
    assert make_curves(flat) == ()
    assert predict_pmi(accuracy_table(pmi=np.full(150, np.nan))) == {"models": {}}
    without = predict_pmi(accuracy_table(count_text=np.full(150, np.nan)))
    assert "  at matched counts: nothing, no counts were given" in list(show_pmi(without))


def test_counts_that_cannot_find_the_concepts_again_are_refused(tmp_path, counts):
    samples = write_samples(tmp_path / "samples.csv", n=5)
    with pytest.raises(Refusal, match="gone does not exist: give the folder that oddpair count wrote"):
        predict_texts(samples, tmp_path / "gone", None)
    bare = tmp_path / "bare"
    bare.mkdir()
    write_counts(bare, counted(np.ones((2, 5), np.bool_)))
    with pytest.raises(Refusal, match="is not finished"):
        predict_texts(samples, bare, None)
    changed = tmp_path / "changed"
    shutil.copytree(counts, changed)
    (changed / VOCABULARY).write_text("cat\n")
    with pytest.raises(Refusal, match=r"vocabulary.txt has changed since it was counted"):
        predict_texts(samples, changed, None)


def test_texts_without_a_pair_are_refused(tmp_path, counts):
    samples = tmp_path / "samples.csv"
    samples.write_text("model,sample,text,correct\na,1,a cat,1\na,2,nothing,0\n")
    with pytest.raises(Refusal, match="none of 2 texts names two concepts whose pair"):
        predict_texts(samples, counts, None)
