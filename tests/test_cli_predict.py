"""`oddpair predict` as it is called: kinds of tables, what it prints and writes, and what it refuses."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.command import files_in, run

from oddpair.eval.prediction.dispersion import Interval
from oddpair.eval.prediction.scoring import score

HEADER = (
    "model",
    "corpus",
    "dataset",
    "concept",
    "accuracy",
    "n",
    "count_text",
    "count_image",
    "count_joint",
)
DATASETS = ("anchor", "birds", "dishes")


def draw(seed=3, models=6, concepts=30):
    """Rows of a table whose accuracies rise with counts and with the number of the model."""
    rng = np.random.default_rng(seed)
    counts = {corpus: np.floor(10 ** rng.uniform(0, 5, (len(DATASETS), concepts))) for corpus in "abc"}
    rows = []
    for model in range(models):
        corpus = "aabbcc"[model]
        for number, dataset in enumerate(DATASETS):
            for concept in range(concepts):
                count = int(counts[corpus][number, concept])
                rate = 1 / (1 + np.exp(2.5 - 0.6 * np.log10(1 + count) - 0.3 * model))
                accuracy = rng.binomial(50, rate) / 50
                row = [
                    f"m{model}",
                    corpus,
                    dataset,
                    f"{dataset} {concept}",
                    accuracy,
                    50,
                    count,
                    2 * count,
                    count // 2,
                ]
                rows.append(row)
    return rows


def write(path, rows, header=HEADER):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("predict") / "table.csv", draw())


@pytest.fixture(scope="module")
def written(table):
    out = table.parent / "out"
    code, said = run("predict", table, "--out", out, "--workers", 1, "--add", 500, "--json", stream="stdout")
    assert code == 0
    return json.loads(said, parse_constant=refuse_constant), out


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


def test_the_json_holds_the_contract_and_its_scores_are_those_of_the_predictions(written):
    told, out = written
    rows = pq.read_table(out / "predictions.parquet").to_pydict()
    model, accuracy = np.array(rows["model"]), np.array(rows["accuracy"])
    assert list(told["models"]) == [f"m{number}" for number in range(6)]
    for name, kinds in told["models"].items():
        assert list(kinds) == ["concepts", "datasets", "model"]
        for kind, one in kinds.items():
            mean = np.array(rows[f"held_out_{kind}"])[model == name]
            again = score(accuracy[model == name], mean, Interval(low=mean, high=mean))
            assert again is not None
            assert one["r2"] == pytest.approx(again.r2)
            assert one["mae"] == pytest.approx(again.mae)
            assert 0 <= one["coverage90"] <= 1
            assert one["interval_score"] > 0
            assert len(one["baselines"]) >= 3
        low, high = (np.array(rows[end])[model == name] for end in ("low90", "high90"))
        inside = (accuracy[model == name] >= low - 1e-9) & (accuracy[model == name] <= high + 1e-9)
        assert kinds["concepts"]["coverage90"] == pytest.approx(inside.mean())
    for kind, one in told["mean"].items():
        assert one["r2"] == pytest.approx(np.mean([kinds[kind]["r2"] for kinds in told["models"].values()]))


def test_the_folder_holds_scores_predictions_tables_and_the_report_and_equal_tables_give_equal_bytes(
    table, written
):
    _, out = written
    first = files_in(out)
    assert {"scores.json", "scores.csv", "scores.md", "predictions.parquet", "report.html"} <= set(first)
    assert sum(name.endswith(".png") for name in first) >= 5
    again = table.parent / "again"
    assert run("predict", table, "--out", again, "--workers", 2, "--add", 500)[0] == 0
    assert files_in(again) == first


def test_people_read_tables_with_baselines_beside_and_what_counts_explain(table):
    code, said = run("predict", table, "--workers", 1, stream="stdout")
    assert code == 0
    for words in (
        "Held-out concepts",
        "Held-out datasets",
        "Held-out models",
        "dataset + count",
        "without counts",
    ):
        assert words in said
    assert "gained by counts" in said
    assert "permutation p" in said


def test_rows_without_an_accuracy_are_predicted_as_what_they_are(tmp_path):
    rows = draw()
    for row in rows:
        model, dataset, concept = row[0], row[2], row[3]
        new_concept = model == "m0" and concept in ("birds 3", "birds 4")
        if new_concept or (model == "m1" and dataset == "dishes") or model == "m5":
            row[4] = ""
    moons = [
        ["m0", "a", "moons", f"moon {number}", "", 50, 9**number, 9**number, 4**number] for number in range(5)
    ]
    table, out = write(tmp_path / "table.csv", [*rows, *moons]), tmp_path / "out"
    assert run("predict", table, "--out", out, "--workers", 1, "--top1", "m5=0.6")[0] == 0
    found = pq.read_table(out / "predictions.parquet").to_pylist()
    unknown = [row for row in found if np.isnan(row["accuracy"])]
    assert len(unknown) == 2 + 30 + 90 + 5
    kinds = {("m0", "birds"): "concepts", ("m0", "moons"): "datasets"}
    for row in unknown:
        # Where other models were tested, they tell more of a dataset than the model's other datasets.
        assert row["predicted_as"] == kinds.get((row["model"], row["dataset"]), "model")
        assert 0 <= row["low90"] <= row["predicted"] <= row["high90"] <= 1
    anchor = [row["predicted"] for row in unknown if row["model"] == "m5" and row["dataset"] == "anchor"]
    assert np.mean(anchor) == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        (lambda rows: rows, ["--top1", "m9=0.5"], "no model 'm9'"),
        (lambda rows: rows, ["--top1", "m1=63"], "not MODEL=FRACTION"),
        (lambda rows: rows, ["--anchor", "moons"], "no dataset 'moons'"),
        (lambda rows: rows, ["--corpus-size", "a"], "not CORPUS=SAMPLES"),
        (lambda rows: [[*row[:4], 100 * row[4], *row[5:]] for row in rows], [], "accuracy"),
        (lambda rows: rows + rows[:1], [], "repeats"),
        (lambda rows: [[*row[:1], f"c{number}", *row[2:]] for number, row in enumerate(rows)], [], "corp"),
        (lambda rows: [], [], "row"),
    ],
    ids=[
        "unknown-model",
        "percent-top1",
        "unknown-anchor",
        "no-size",
        "percent",
        "repeated",
        "two-corpora",
        "no-rows",
    ],
)
def test_what_cannot_be_predicted_is_refused_in_a_line(tmp_path, change, options, told):
    table = write(tmp_path / "table.csv", change(draw(models=5)))
    code, said = run("predict", table, "--workers", 1, *options)
    assert code == 2
    assert told in said


@pytest.mark.parametrize(
    "rows",
    [draw(models=1), draw(models=2, concepts=3), draw(models=1)[:1]],
    ids=["one-model", "few", "one-row"],
)
def test_a_table_too_small_for_something_says_so_and_keeps_the_rest(tmp_path, rows):
    table = write(tmp_path / "table.csv", rows)
    code, said = run("predict", table, "--workers", 1, "--json", stream="stdout")
    assert code == 0
    told = json.loads(said, parse_constant=refuse_constant)
    assert all(one["model"] is None for one in told["models"].values())
    assert (told["mean"]["concepts"] is None) == (len(rows) < 30)
    code, said = run("predict", table, "--workers", 1, stream="stdout")
    assert code == 0
    assert "not possible: the table is too small" in said


def test_a_table_of_another_kind_is_refused_with_what_it_should_hold(tmp_path):
    table = write(tmp_path / "table.csv", [["a", 1]], header=("name", "number"))
    code, said = run("predict", table)
    assert code == 2
    assert "columns name, number" in said
    code, said = run("predict", tmp_path / "none.csv")
    assert code == 2
    assert "none.csv" in said


def test_names_are_shown_escaped(tmp_path):
    rows = draw(models=1)
    for row in rows:
        row[3] = row[3].replace("birds 7", "<script>alert(1)</script>\x1b[2J")
    table = write(tmp_path / "table.csv", rows)
    code, said = run("predict", table, "--workers", 1, "--out", tmp_path / "out", stream="stdout")
    assert code == 0
    assert "\x1b" not in said
    assert "<script>alert" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
