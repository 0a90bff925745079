import json
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pytest
from tests.eval.composing.object_worlds import draw_world

from oddpair.commands.predict_objects import PREDICTIONS, SCORES, predict_objects, show_objects
from oddpair.eval.composing.unseen import predict_unseen
from oddpair.files import read_json, read_table


def write_table(path, *worlds):
    """Write worlds as the table that a user gives."""
    tables = []
    for world in worlds:
        ends = world.ends.tolist()
        tables.append(
            pa.table(
                {
                    "model": world.model.tolist(),
                    "corpus": world.corpus.tolist(),
                    "sample": world.sample.tolist(),
                    "objects": [";".join(objects) for objects in world.objects],
                    "correct": world.correct,
                    "count_objects": [
                        ";".join(f"{count:.0f}" for count in world.counts[start:stop].tolist())
                        for start, stop in pairwise(ends)
                    ],
                    "count_set": world.count_set,
                    "corpus_size": world.corpus_size,
                }
            )
        )
    pyarrow.csv.write_csv(pa.concat_tables(tables), path)
    return path


@pytest.fixture(scope="module")
def worlds():
    return [
        draw_world(2, n_sets=150, models=models, corpus=corpus, size=size)
        for corpus, size, models in (
            ("small", 1_000_000, ("a", "b")),
            ("middle", 3_000_000, ("c",)),
            ("huge", 9_000_000, ("d",)),
        )
    ]


@pytest.fixture(scope="module")
def found(worlds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects")
    table = write_table(folder / "samples.csv", *worlds)
    return predict_objects(table, {}, folder / "out"), folder


def test_models_corpora_and_scaling_are_told(found, worlds):
    told, _ = found
    assert list(told["models"]) == ["a", "b", "c", "d"]
    # One model is what its corpus is.
    assert list(told["corpora"]) == ["small"]
    alone = predict_unseen(worlds[0].take(worlds[0].model == "a"))
    assert told["models"]["a"]["bias"]["value"] == pytest.approx(alone.bias.value)
    assert told["models"]["a"]["choice"]["columns"] == list(alone.choice.columns)
    assert told["corpora"]["small"]["models"] == ["a", "b"]
    assert told["scaling"]["largest"] == "huge"


def test_the_folder_holds_the_scores_and_each_unseen_samples_prediction(found, worlds):
    told, folder = found
    assert read_json(folder / "out" / SCORES) == json.loads(json.dumps(told))
    rows = read_table(folder / "out" / PREDICTIONS)
    assert rows.num_rows == sum(int(world.unseen.sum()) for world in worlds)
    of_model = rows.filter(pa.compute.equal(rows["model"], "b"))
    expected = predict_unseen(worlds[0].take(worlds[0].model == "b"))
    assert of_model["predicted"].to_pylist() == pytest.approx(expected.predictions.tolist())
    assert of_model["objects"][0].as_py() == ";".join(worlds[0].objects[expected.rows[0]])


def test_lines_say_bias_baselines_and_which_law_to_quote(found):
    told, _ = found
    said = "\n".join(show_objects(told))
    bias = told["models"]["a"]["bias"]
    assert f"bias {bias['value']:.1f} [{bias['low']:.1f}, {bias['high']:.1f}] points" in said
    assert "below the mean of seen by number of objects" in said
    assert "all models of small (small): " in said
    assert said.count("(the law to quote)") == 1
    assert "2 corpora were fitted: intervals are over sets of objects alone" in said


def test_a_model_that_allows_no_prediction_is_told_so_and_the_others_are_predicted(tmp_path, worlds):
    few = worlds[1].take(worlds[1].unseen)
    told = predict_objects(write_table(tmp_path / "samples.csv", worlds[0], few), {}, None)
    assert told["models"]["c"] == {"left_out": "c has samples of 0 seen sets of objects, needed 20 or more"}
    assert "bias" in told["models"]["a"]
    assert told["scaling"] == {"left_out": "samples of 2 corpora, needed 3 or more"}
    said = list(show_objects(told))
    assert "c: no prediction: c has samples of 0 seen sets of objects, needed 20 or more" in said
    assert said[-1] == "scaling with data: samples of 2 corpora, needed 3 or more"


def test_the_same_table_gives_the_same_bytes(worlds, tmp_path):
    table = write_table(tmp_path / "samples.csv", worlds[1])
    for run in ("one", "other"):
        predict_objects(table, {}, tmp_path / run)
    for name in (SCORES, PREDICTIONS):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
