"""``oddpair eval`` and ``score``: any set on disk, any checkpoint, the same scores for any way of getting there."""

import csv
import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tests.command import files_in, run

from oddpair import files
from oddpair.eval.results import find_results
from oddpair.retrieval.encoder import reference_folder

CLASSES = ("red square", "green circle", "blue star")


def write_set(root, pictures, labels, *, shards=2):
    """A set in CLIP_benchmark's layout."""
    (root / "test").mkdir(parents=True)
    (root / "test" / "nshards.txt").write_text(str(shards))
    (root / "classnames.txt").write_text("\n".join(CLASSES))
    (root / "zeroshot_classification_templates.txt").write_text("a photo of a {c}\na drawing of a {c}\n")
    parts = np.array_split(np.arange(len(pictures)), shards)
    for number, rows in enumerate(parts):
        with tarfile.open(root / "test" / f"{number}.tar", "w") as tar:
            for row in rows.tolist():
                for ending, data in (("cls", str(labels[row]).encode()), ("png", pictures[row])):
                    member = tarfile.TarInfo(f"s{row:07d}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return root


@pytest.fixture(scope="module")
def pictures(noise, as_bytes):
    return [as_bytes(noise(seed)) for seed in range(14)]


@pytest.fixture(scope="module")
def wds(tmp_path_factory, pictures):
    return write_set(tmp_path_factory.mktemp("sets") / "shapes", pictures, [row % 3 for row in range(14)])


@pytest.fixture(scope="module")
def scored(tmp_path_factory, wds):
    out = tmp_path_factory.mktemp("scored") / "out"
    status, told = run("eval", "--model", "reference", "--suite", wds, "--out", out, "--workers", 1)
    assert status == 0, told
    return out, told


def result_of(out):
    (found,) = find_results([out])
    return found.result


def test_a_set_on_disk_is_scored_without_any_file_about_it(scored):
    out, told = scored
    result = result_of(out)
    assert result.kind == "classification"
    assert result.class_names == CLASSES
    assert result.n_images == 14
    assert result.main.estimate.n == 14
    assert result.main.chance == pytest.approx(1 / 3)
    assert f"{100 * result.main.estimate.value:.2f}" in told


def test_the_table_has_the_same_digits_in_every_format(scored):
    out, _ = scored
    digits = f"{100 * result_of(out).main.estimate.value:.2f}"
    for ending in ("md", "csv", "tex"):
        assert digits in (out / f"table.{ending}").read_text()


def test_accuracy_by_class_lies_beside_the_result_and_adds_up_to_it(scored):
    out, _ = scored
    (path,) = out.glob("*/*.by-class.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} == set(CLASSES)
    hits = sum(float(row["value"]) * int(row["n"]) for row in rows)
    assert hits / 14 == pytest.approx(result_of(out).main.estimate.value)
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)


def test_everything_written_is_the_same_for_another_number_of_workers_and_after_an_interruption(
    scored, wds, tmp_path
):
    out, _ = scored
    run("eval", "--model", "reference", "--suite", wds, "--out", tmp_path / "out", "--workers", 2)
    assert files_in(tmp_path / "out") == files_in(out)
    for name in ("result.json", "parquet"):
        (gone,) = (path for path in (tmp_path / "out").glob(f"*/*.{name}"))
        gone.unlink()
        run("eval", "--model", "reference", "--suite", wds, "--out", tmp_path / "out", "--workers", 1)
        assert files_in(tmp_path / "out") == files_in(out)


def test_a_second_run_computes_nothing(scored, wds, monkeypatch):
    out, _ = scored
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    monkeypatch.setattr("oddpair.commands.evaluate.answer", None)
    assert run("eval", "--model", "reference", "--suite", wds, "--out", out, "--workers", 1)[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}


def test_every_metric_follows_from_the_records_alone(scored, tmp_path):
    out, _ = scored
    status, told = run("score", out)
    assert status == 0
    assert "metrics follow from the records" in told
    changed = shutil.copytree(out, tmp_path / "out")
    (path,) = changed.rglob("*.result.json")
    value = files.read_json(path)
    value["metrics"][0]["estimate"]["value"] += 1e-9
    files.write_json(path, value)
    status, told = run("score", changed)
    assert status == 2
    assert "top1 does not follow from its records" in told


def test_scores_of_other_weights_are_not_kept_where_the_run_record_is_lost(wds, tmp_path):
    model, out = shutil.copytree(reference_folder(), tmp_path / "model"), tmp_path / "out"
    words = ("eval", "--model", model, "--suite", wds, "--out", out, "--workers", 1)
    run(*words)
    before = next(out.glob("*/*.result.json")).read_bytes()
    weights = load_file(model / "open_clip_model.safetensors")
    weights["text_projection"] = weights["text_projection"].flip(0)
    save_file(
        {name: value.contiguous() for name, value in weights.items()}, model / "open_clip_model.safetensors"
    )
    next(out.glob("*/run.json")).unlink()
    assert run(*words)[0] == 0
    assert next(out.glob("*/*.result.json")).read_bytes() != before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics", []),
        ("hashes", {}),
        ("cluster", "pair"),
        ("n_images", None),
        ("class_keys", ["0"]),
        ("version", "x"),
    ],
)
def test_a_result_that_was_tampered_with_is_refused_by_every_reader(scored, name, value, tmp_path):
    out = shutil.copytree(scored[0], tmp_path / "out")
    (path,) = out.rglob("*.result.json")
    files.write_json(path, {**files.read_json(path), name: value})
    for verb in (("score", out), ("results", out), ("power", out)):
        status, told = run(*verb)
        assert status == 2
        assert "is no result of oddpair eval" in told


def test_a_block_of_prompts_that_is_damaged_is_embedded_again(scored, wds, tmp_path):
    out = shutil.copytree(scored[0], tmp_path / "out")
    for path in [*out.glob("cache/*/texts/*.npy"), *out.rglob("*.result.json")]:
        path.write_bytes(path.read_bytes()[:80]) if path.suffix == ".npy" else path.unlink()
    assert run("eval", "--model", "reference", "--suite", wds, "--out", out, "--workers", 1)[0] == 0
    assert files_in(out) == files_in(scored[0])


def test_gaps_are_never_of_two_versions(benchmark, tmp_path):
    out = tmp_path / "out"
    words = ("eval", "--model", "reference", "--suite", benchmark, "--out", out, "--workers", 1)
    run(*words)
    benchmark.write_text(benchmark.read_text().replace("version: 1", "version: 2"))
    run(*words, "--task", "all")
    assert not list(out.glob("*/gaps.json"))


def test_records_of_another_run_are_refused(scored, tmp_path):
    changed = shutil.copytree(scored[0], tmp_path / "out")
    (path,) = changed.glob("*/*.parquet")
    table = files.read_table(path)
    files.write_table(path, table.slice(0, table.num_rows - 1))
    status, told = run("score", changed)
    assert status == 2
    assert "is not the file that" in told


def test_other_pictures_under_the_same_name_are_refused_and_the_score_is_kept(scored, pictures, tmp_path):
    out = shutil.copytree(scored[0], tmp_path / "out")
    kept = next(out.rglob("*.result.json")).read_bytes()
    other = write_set(tmp_path / "sets" / "shapes", pictures[:9], [0, 1, 2] * 3)
    status, told = run("eval", "--model", "reference", "--suite", other, "--out", out, "--workers", 1)
    assert status == 2
    assert "1 of 1 scores failed" in told
    assert next(out.rglob("*.result.json")).read_bytes() == kept


def test_a_damaged_picture_is_counted_and_exit_is_3(pictures, tmp_path):
    root = write_set(tmp_path / "shapes", [*pictures[:8], b"<html>"], [row % 3 for row in range(9)])
    status, told = run(
        "eval", "--model", "reference", "--suite", root, "--out", tmp_path / "out", "--workers", 1
    )
    assert status == 3
    assert "11.11% of the pictures of a set are damaged" in told
    result = result_of(tmp_path / "out")
    assert (result.n_images, result.damaged) == (8, 1)
    again = run(
        "eval",
        "--model",
        "reference",
        "--suite",
        root,
        "--out",
        tmp_path / "out",
        "--max-bad",
        0.2,
        "--workers",
        1,
    )
    assert again[0] == 0


def test_two_models_share_a_table_and_a_failing_one_leaves_the_other(wds, tmp_path):
    broken = shutil.copytree(reference_folder(), tmp_path / "broken")
    weights = broken / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    out = tmp_path / "out"
    status, told = run(
        "eval", "--model", broken, "--model", "reference", "--suite", wds, "--out", out, "--workers", 1
    )
    assert status == 2
    assert "1 of 2 scores failed, and the others are kept" in told
    assert result_of(out).model == "reference"


def test_the_run_record_says_what_ran(scored):
    out, _ = scored
    (record,) = (files.read_json(path) for path in out.rglob("run.json"))
    assert record["model"]["sha256"] == files.sha256(reference_folder() / "open_clip_model.safetensors")
    run_of_result = record["runs"][result_of(out).run]
    assert run_of_result["libraries"]["torch"]


def test_json_is_one_line_without_nan(wds, tmp_path):
    status, told = run(
        "eval",
        "--model",
        "reference",
        "--suite",
        wds,
        "--out",
        tmp_path,
        "--workers",
        1,
        "--json",
        stream="stdout",
    )
    assert status == 0
    found = json.loads(told, parse_constant=pytest.fail)
    assert found["failures"] == {}
    assert found["results"][0]["task"]


BENCHMARK = """
benchmark: mine
version: 1
about: Shapes.
sets:
  shapes: {layout: clip_benchmark, path: shapes}
  more: {layout: clip_benchmark, path: more}
tasks:
  all: {set: shapes, kind: classification, family: natural, templates: ["a {}"]}
  two: {set: shapes, kind: classification, family: natural, only: ["0", "2"]}
  rest: {set: more, kind: classification, family: natural}
gaps:
  all minus two: {first: [all], second: [two]}
"""


@pytest.fixture
def benchmark(wds, tmp_path):
    (tmp_path / "mine.yaml").write_text(BENCHMARK)
    shutil.copytree(wds, tmp_path / "shapes")
    return tmp_path / "mine.yaml"


def test_tasks_on_one_set_are_scored_from_one_embedding_and_an_absent_set_is_left_out(benchmark, tmp_path):
    out = tmp_path / "out"
    status, told = run("eval", "--model", "reference", "--suite", benchmark, "--out", out, "--workers", 1)
    assert status == 0, told
    assert "mine.rest is left out" in told
    results = {found.result.task: found.result for found in find_results([out])}
    assert {name: result.n_images for name, result in results.items()} == {"all": 14, "two": 9}
    assert results["two"].class_names == ("red square", "blue star")
    assert len(list((out / "cache").glob("*/pictures/*"))) == 1
    (gaps,) = (files.read_json(path) for path in out.glob("*/gaps.json"))
    value = 100 * (results["all"].main.estimate.value - results["two"].main.estimate.value)
    assert gaps["mine: all minus two"]["value"] == pytest.approx(value)


def test_a_shared_cache_embeds_nothing_again(benchmark, tmp_path):
    cache = tmp_path / "cache"
    for name, task in (("one", "all"), ("other", "mine.two")):
        words = ("--suite", benchmark, "--task", task, "--out", tmp_path / name, "--cache", cache)
        assert run("eval", "--model", "reference", *words, "--workers", 1)[0] == 0
        assert not (tmp_path / name / "cache").exists()
    assert len(list(cache.glob("*/pictures/*"))) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--suite", "imagnet"),
            "no benchmark 'imagnet', and no folder or YAML file of that name; did you mean 'imagenet'",
        ),
        (("--suite", "imagenet"), "nothing can be scored: imagenet"),
        (
            ("--suite", "imagenet", "--data", "imgnet=x"),
            "--data imgnet: the benchmarks have no such name; did you mean",
        ),
        (("--suite", "imagenet", "--data", "x"), "--data x: needed is NAME=FOLDER"),
        (("--suite", "imagenet", "--task", "vall"), "--task vall: the benchmarks have no such name"),
        ((), "--suite"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(words, line, tmp_path):
    status, told = run("eval", "--model", "reference", *words, "--out", tmp_path / "out")
    assert status == 2
    assert line in told
    assert not (tmp_path / "out").exists()


def test_other_labels_of_the_same_pictures_are_no_finished_task(scored, pictures, tmp_path):
    out = shutil.copytree(scored[0], tmp_path / "out")
    other = write_set(tmp_path / "sets" / "shapes", pictures, [(row + 1) % 3 for row in range(14)])
    status, told = run("eval", "--model", "reference", "--suite", other, "--out", out, "--workers", 1)
    assert status == 2
    assert "now of 14 that are not the same, or have other labels" in told


def test_another_configuration_of_the_same_weights_is_another_model(wds, tmp_path):
    model = shutil.copytree(reference_folder(), tmp_path / "model")
    words = ("eval", "--model", model, "--suite", wds, "--out", tmp_path / "out", "--workers", 1)
    assert run(*words)[0] == 0
    config = files.read_json(model / "open_clip_config.json")
    config["model_cfg"]["text_cfg"]["heads"] *= 2
    files.write_json(model / "open_clip_config.json", config)
    status, told = run(*words)
    assert status == 2
    assert "holds scores of another model" in told


def test_a_folder_called_like_a_benchmark_that_ships_does_not_take_its_name(pictures, tmp_path):
    root = write_set(tmp_path / "imagenet", pictures, [row % 3 for row in range(14)])
    assert (
        run("eval", "--model", "reference", "--suite", root, "--out", tmp_path / "out", "--workers", 1)[0]
        == 0
    )
    assert result_of(tmp_path / "out").benchmark == "imagenet-folder"


def test_a_split_that_no_task_wants_is_refused(benchmark, tmp_path):
    words = ("--suite", benchmark, "--split", "nothing=/nowhere", "--out", tmp_path / "out")
    status, told = run("eval", "--model", "reference", *words)
    assert status == 2
    assert "--split nothing: the benchmarks have no such name" in told


@pytest.mark.parametrize("name", ["run.json", "locks"])
def test_a_file_of_another_kind_in_the_way_is_refused_in_one_line(scored, wds, name, tmp_path):
    out = shutil.copytree(scored[0], tmp_path / "out")
    (path,) = out.glob("locks/*.json" if name == "locks" else "*/run.json")
    path.write_text("[]")
    status, told = run("eval", "--model", "reference", "--suite", wds, "--out", out, "--workers", 1)
    assert status == 2
    assert str(path) in told
