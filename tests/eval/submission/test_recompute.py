"""Claims beside what predictions make of them."""

import hashlib
import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from tests.board.bundles import write_honest

from oddpair.benchmarks.answer_keys import KEYS, read_key
from oddpair.benchmarks.evaluation_set import Kind
from oddpair.benchmarks.suite import read_suite
from oddpair.errors import Refusal
from oddpair.eval.scoring.choice import score_choice
from oddpair.eval.scoring.classification import score_classification
from oddpair.eval.scoring.multilabel import score_multilabel
from oddpair.eval.scoring.pairs import score_pairs
from oddpair.eval.scoring.records import SCHEMAS, check_records, read_records, write_records
from oddpair.eval.scoring.retrieval import score_retrieval
from oddpair.eval.submission.bundle import read_folder
from oddpair.eval.submission.possible import MOST, bound_logsumexp, find_impossible
from oddpair.eval.submission.recompute import measure_records, recompute, score_of
from oddpair.eval.submission.submission import SUBMISSION_FILE, TOLERANCE

NATURAL = "miniature.natural"
ONE = (NATURAL,)
SCALE = 20.0


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A submission of the required tasks."""
    return write_honest(tmp_path_factory.mktemp("honest"))


@pytest.fixture
def one(honest, tmp_path):
    """A submission of one task, to be changed."""
    return write_honest(tmp_path, tasks=ONE)


def read(folder):
    return recompute(read_folder(folder))


def rewrite(folder, change):
    """Change what a submission says."""
    path = folder / SUBMISSION_FILE
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told, sort_keys=True, indent=1) + "\n")


def records_path(folder, task=NATURAL):
    return folder / "predictions" / f"{task}@1.parquet"


def change_records(folder, change, *, task=NATURAL):
    """Change the predictions and the hash that is claimed of them."""
    key, path = read_key(task, 1), records_path(folder, task)
    table = pa.table(change({name: column.to_pylist() for name, column in _columns(path, key.kind)}))
    write_records(path, key.kind, table.cast(SCHEMAS[key.kind]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    rewrite(folder, lambda told: told["tasks"][0].update(records=digest))


def _columns(path, kind):
    table = read_records(path, kind)
    return zip(table.column_names, table.columns, strict=True)


def refusal(folder):
    with pytest.raises(Refusal) as caught:
        read(folder)
    line = str(caught.value)
    assert line.isprintable()
    assert str(folder) in line
    return line


def test_an_honest_submission_holds_and_its_numbers_are_those_of_its_predictions(honest):
    entry = read(honest)
    told = json.loads((honest / SUBMISSION_FILE).read_text())
    assert entry.sha256 == hashlib.sha256((honest / SUBMISSION_FILE).read_bytes()).hexdigest()
    suite = read_suite()
    order = [task for tasks in suite.families.values() for task in tasks if task in suite.required]
    assert list(entry.tasks) == order
    for claim in told["tasks"]:
        task = entry.tasks[claim["task"]]
        credit = [
            1 / (tied + 1) if greater == 0 else 0.0
            for greater, tied in zip(
                task.records["n_greater"].to_pylist(), task.records["n_tied"].to_pylist(), strict=True
            )
        ]
        assert task.main.name == "top1"
        assert task.main.estimate.value == pytest.approx(np.mean(credit), abs=1e-12)
        assert claim["metrics"]["top1"]["n"] == len(credit)
        assert claim["metrics"].keys() == {metric.name for metric in task.metrics}
    by_hand = [entry.tasks[task].main.estimate.value for task in order]
    # Each required task of the miniature is alone in its family.
    assert score_of(entry, suite) == pytest.approx(np.mean(by_hand))


def test_an_entry_without_a_required_task_has_no_score(one):
    entry = read(one)
    assert list(entry.tasks) == [NATURAL]
    assert score_of(entry, read_suite()) is None
    rewrite(one, lambda told: told.update(score=0.5))
    assert "score is 0.5, its tasks make none" in refusal(one)


def test_a_claimed_score_must_be_the_macro_mean(honest, tmp_path):
    folder = shutil.copytree(honest, tmp_path / honest.name)
    rewrite(folder, lambda told: told.update(score=told["score"] + 2 * TOLERANCE))
    assert "its tasks make 0." in refusal(folder)
    rewrite(folder, lambda told: told.update(score=told["score"] - 1.5 * TOLERANCE))
    assert read(folder)
    rewrite(folder, lambda told: told.update(score=None))
    assert "score is none, its tasks make 0." in refusal(folder)


@pytest.mark.parametrize("metric", ["top1", "top5", "mean_per_class", "calibration_error"])
@pytest.mark.parametrize("end", ["value", "low", "high"])
def test_every_claimed_number_is_compared_to_a_millionth(one, metric, end):
    def move(told, by):
        told["tasks"][0]["metrics"][metric][end] += by

    rewrite(one, lambda told: move(told, 0.5 * TOLERANCE))
    assert read(one)
    rewrite(one, lambda told: move(told, TOLERANCE))
    assert f"{NATURAL}@1: {metric} is claimed with {end} " in refusal(one)


def test_support_is_compared_exactly(one):
    rewrite(one, lambda told: told["tasks"][0]["metrics"]["top1"].update(n=2176))
    assert "top1 is claimed with n 2176, its predictions make 2175" in refusal(one)


def test_a_metric_too_few_or_too_many_is_refused(one):
    rewrite(one, lambda told: told["tasks"][0]["metrics"].pop("calibration_error"))
    assert "has no calibration_error, needed top1, top5, mean_per_class, calibration_error" in refusal(one)
    more = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 2175}
    rewrite(one, lambda told: told["tasks"][0]["metrics"].update(calibration_error=more, top2=more))
    assert "claims 'top2', which the task has not" in refusal(one)


def test_predictions_that_were_changed_after_the_claim_are_refused(one):
    path = records_path(one)
    path.write_bytes(path.read_bytes() + b"\0")
    assert "is not the file whose sha256 submission.json names" in refusal(one)


def test_better_answers_than_the_claims_are_refused_like_worse_ones(one):
    def improve(table):
        right = table["n_greater"].index(1)
        target = table["target"][right]
        top = table["top_classes"][right]
        top[:2] = [target, top[0]]
        table["target_score"][right] = table["top_scores"][right][0]
        table["n_greater"][right] = 0
        table["n_tied"][right] = 1
        table["top_scores"][right][1] = table["top_scores"][right][0]
        # Forged as well as can be: the sum is one that these scores may have.
        low, high = _bounds(table, scale)
        table["logsumexp"][right] = (low[right] + high[right]) / 2
        return table

    scale = scale_of(one)
    before = read(one).tasks[NATURAL].main.estimate.value
    change_records(one, improve)
    assert (
        f"top1 is claimed with value {before:.10g}, its predictions make {before + 0.5 / 2175:.10g}"
        in refusal(one)
    )


def test_a_name_other_than_the_folders_is_refused(one, tmp_path):
    moved = one.rename(tmp_path / "lab-b__tiny__00000000")
    assert f"says that the folder is {one.name}: rename it" in refusal(moved)


def test_files_are_those_that_are_claimed(one):
    records_path(one, "miniature.sketch").write_bytes(records_path(one).read_bytes())
    assert "miniature.sketch@1.parquet is named by no task of submission.json" in refusal(one)
    records_path(one, "miniature.sketch").unlink()
    records_path(one).unlink()
    assert f"has no predictions/{NATURAL}@1.parquet, which submission.json names" in refusal(one)


def test_a_folder_without_a_submission_is_refused(one):
    (one / SUBMISSION_FILE).unlink()
    assert "has no submission.json" in refusal(one)


def test_another_lock_or_version_or_an_unknown_task_is_refused(one):
    rewrite(one, lambda told: told["tasks"][0].update(lock="0" * 64))
    assert "has lock 000000000000, its answer key" in refusal(one)
    records_path(one).rename(records_path(one).with_name(f"{NATURAL}@2.parquet"))
    rewrite(one, lambda told: told["tasks"][0].update(version=2))
    line = refusal(one)
    assert f"submission.json: {NATURAL}@2: there is no answer key of {NATURAL}@2" in line


def test_weights_other_than_those_of_the_run_are_refused(one):
    rewrite(one, lambda told: told["run"]["model"].update(sha256="0" * 64))
    assert "the run scored others (run.model.sha256)" in refusal(one)


@pytest.mark.parametrize("scale", [0, -1.0, True, "20", None, 1e7])
def test_a_logit_scale_that_is_none_is_refused(one, scale):
    rewrite(one, lambda told: told["run"]["model"].update(logit_scale=scale))
    assert "run.model.logit_scale is no number above 0" in refusal(one)


def test_keys_may_lie_elsewhere(one, tmp_path):
    bundle = read_folder(one)
    keys = shutil.copytree(KEYS, tmp_path / "keys")
    assert recompute(bundle, keys).tasks.keys() == {NATURAL}
    shutil.rmtree(keys / "miniature-v1")
    with pytest.raises(Refusal, match="there is no answer key"):
        recompute(bundle, keys)


def scale_of(folder):
    return json.loads((folder / SUBMISSION_FILE).read_text())["run"]["model"]["logit_scale"]


def table_of(folder, task=NATURAL):
    return read_records(records_path(folder, task), read_key(task, 1).kind)


@pytest.mark.parametrize("by", [0.001, -0.001, 30.0])
def test_a_forged_confidence_is_refused_where_the_scores_rule_it_out(one, by):
    """Calibration is made of logsumexp, which the listed scores and the target's place hold between bounds."""

    scale = scale_of(one)

    def forge(columns):
        low, high = _bounds(columns, scale)
        edge = high if by > 0 else low
        columns["logsumexp"] = [float(value) + by for value in edge]
        return columns

    change_records(one, forge)
    assert "row 0 has a logsumexp of " in refusal(one)


def _bounds(columns, scale):
    greater, tied, candidates = (np.array(columns[f"n_{name}"]) for name in ("greater", "tied", "candidates"))
    return bound_logsumexp(
        np.array(columns["top_scores"], dtype=np.float64),
        np.array(columns["target_score"]),
        greater=greater,
        tied=tied,
        candidates=candidates,
        logit_scale=scale,
    )


def test_bounds_hold_for_the_true_sum_whatever_the_place_of_the_target():
    rng = np.random.default_rng(0)
    for n in (2, 4, 5, 6, 30):
        for _ in range(40):
            scores = np.round(rng.uniform(-1, 1, n), int(rng.integers(0, 4)))
            target = int(rng.integers(n))
            own = scores[target]
            listed = np.full(5, -np.inf)
            listed[: min(n, 5)] = np.sort(scores)[::-1][:5]
            scale = float(rng.uniform(0.1, 100))
            low, high = bound_logsumexp(
                listed[np.newaxis],
                np.array([own]),
                greater=np.array([(scores > own).sum()]),
                tied=np.array([(scores == own).sum() - 1]),
                candidates=np.array([n]),
                logit_scale=scale,
            )
            true = scale * scores.max() + np.log(np.exp(scale * (scores - scores.max())).sum())
            assert low[0] - 1e-9 <= true <= high[0] + 1e-9
            if n <= 5:
                assert high[0] - low[0] < 1e-9


def fault_of(table, kind):
    fault = find_impossible(table, kind, n_classes=87, logit_scale=SCALE)
    assert fault is not None
    return fault


def test_scores_that_are_no_cosines_are_refused(honest):
    table = table_of(honest)
    grown = pa.array([[5 * MOST] * 5] * table.num_rows, pa.list_(pa.float32()))
    fault = fault_of(table.set_column(6, "top_scores", grown), "classification")
    assert (fault.row, fault.what) == (0, "has a top_scores of 5.05, which is no cosine")


def test_listed_classes_must_be_candidates(honest):
    table = table_of(honest)
    beyond = pa.array([[0, 1, 2, 3, 87]] * table.num_rows, pa.list_(pa.int32()))
    fault = fault_of(table.set_column(5, "top_classes", beyond), "classification")
    assert fault.what == "lists a class above 86"
    pairs = table_of(honest, "miniature.pairs-seen")
    given = pa.array([[row] * 5 for row in pairs["partner"].to_pylist()], pa.list_(pa.int32()))
    fault = fault_of(pairs.set_column(5, "top_classes", given), "pairs")
    assert fault.what == "lists the class that is given as a candidate"


def retrieval(**changes):
    """Two pictures, the first with two captions."""
    columns = {
        "key": ["a", "b", "a", "a", "b"], "uid": ["1", "2", "1", "1", "2"], "style": [""] * 5,
        "direction": ["image_to_text"] * 2 + ["text_to_image"] * 3, "caption": [-1, -1, 0, 1, 0],
        "best_score": [0.3, 0.2, 0.1, 0.3, 0.2], "n_greater": [0, 1, 0, 1, 0], "n_tied": [0] * 5,
        "n_positives_tied": [1] * 5, "n_candidates": [3, 3, 2, 2, 2],
    }  # fmt: skip
    return pa.table({**columns, **changes}, schema=SCHEMAS["retrieval"])


@pytest.mark.parametrize(
    ("changes", "row", "told"),
    [
        ({"best_score": [0.4, 0.2, 0.1, 0.3, 0.2]}, 0, "another best score than the best of its captions"),
        ({"n_greater": [2, 1, 0, 1, 0]}, 0, "counts more wrong or right answers than there are"),
        ({"n_greater": [0, 1, 0, 1, 2]}, 4, "counts more wrong or right answers than there are"),
        ({"n_positives_tied": [1, 2, 1, 1, 1]}, 1, "counts more wrong or right answers than there are"),
    ],
)
def test_retrieval_counts_no_more_answers_than_there_are(changes, row, told):
    assert find_impossible(retrieval(), "retrieval", n_classes=0, logit_scale=20.0) is None
    fault = fault_of(retrieval(**changes), "retrieval")
    assert fault.row == row
    assert told in fault.what


def test_the_draws_are_seeded_by_the_pictures_and_not_by_the_model(honest):
    key = read_key(NATURAL, 1)
    table = table_of(honest)
    first, again = (measure_records(key, table, 20.0) for _ in range(2))
    assert first == again
    assert key.seed == int(key.uids[:12], 16)


@pytest.mark.parametrize("seed", range(6))
def test_what_the_scorers_write_is_always_possible(seed):
    rng = np.random.default_rng(seed)

    def unit(*shape):
        # Of a coarse grid, so that many scores are tied.
        rows = rng.integers(-1, 2, (*shape, 3)) + np.array([0, 0, 1.5])
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    n, k = 30, int(rng.integers(3, 9))
    asked = {
        "keys": [f"{row:03}" for row in range(n)],
        "uids": [str(row) for row in range(n)],
        "styles": [""] * n,
        "images": unit(n),
    }
    target = rng.integers(0, k, n)
    scale = float(rng.uniform(1, 100))
    made: dict[Kind, pa.Table] = {
        "classification": score_classification(**asked, vectors=unit(k), target=target, logit_scale=scale),
        "pairs": score_pairs(
            **asked, target=target, partner=(target + 1) % k, pair_vectors=unit(k, k), logit_scale=scale
        ),
        "multilabel": score_multilabel(**asked, vectors=unit(k), labels=[[int(one)] for one in target]),
        "retrieval": score_retrieval(**asked, texts=unit(2 * n), owner=np.repeat(np.arange(n), 2)),
        "choice": score_choice(
            questions=asked["keys"],
            uids=asked["uids"],
            categories=["x"] * n,
            image_rows=[unit(2) for _ in range(n)],
            caption_rows=[unit(2) for _ in range(n)],
        ),
    }
    for kind, table in made.items():
        records = check_records(table, kind, kind)
        assert find_impossible(records, kind, n_classes=k, logit_scale=scale) is None
