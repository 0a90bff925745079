"""What the predictor has to reach on the published tables; one validation of them, 45 to 90 seconds on two cores."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from oddpair.commands.predict import Predicted, as_json
from oddpair.commands.predict_import import import_frequency
from oddpair.commands.predict_summary import summarise
from oddpair.eval.explaining.explain import Explanation
from oddpair.eval.prediction.baselines import DATASET_AND_COUNT
from oddpair.eval.prediction.scoring import is_covered
from oddpair.eval.prediction.table import COUNTS
from oddpair.eval.prediction.table_file import read_table
from oddpair.eval.prediction.validate import OTHER_MODELS, OTHER_MODELS_MOVED, WITHOUT_CORPUS, validate

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published"
pytestmark = pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"{PUBLISHED} is absent")
KINDS = ("concepts", "datasets", "model")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "table.parquet"
    import_frequency(PUBLISHED, path)
    return read_table(path)


@pytest.fixture(scope="module")
def found(table):
    """The table validated, once for the module."""
    return validate(table, table.n, workers=2)


@pytest.fixture(scope="module")
def reference():
    """R2 of the plain reference predictors: by model, those of held-out concepts and those of held-out datasets."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"concepts": [], "datasets": []})
    with (PUBLISHED / "predictor_reference_cv.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            of_model = scores[f"{row['model']}|{row['pretrain']}"]
            for kind, column in (("concepts", "cv10_r2"), ("datasets", "lodo_r2")):
                if row[column]:
                    of_model[kind].append(float(row[column]))
    return dict(scores)


def ours(found, names, kind):
    return np.array([getattr(found.models[name], kind).score.r2 for name in names])


def best_reference(found, reference, kind):
    """The best of the published references and of those found again on the same folds, by model."""
    return np.array(
        [
            max(*told[kind], *(one.r2 for one in getattr(found.models[name], kind).baselines.values()))
            for name, told in reference.items()
        ]
    )


def pool(found, table, names, kind):
    """Whether each row of some models is in its interval, and the number of the row."""
    rows = np.concatenate([found.models[name].rows for name in names])
    inside = [
        is_covered(
            table.accuracy[found.models[name].rows], getattr(found.models[name], kind).prediction.interval
        )
        for name in names
    ]
    return np.concatenate(inside), rows


def test_the_table_is_that_of_the_published_fits(table, found, reference):
    assert len(table.models) == 18
    assert len(table.datasets) == 17
    assert found.anchor == "imagenet"
    assert len(reference) == 7
    assert set(reference) < set(found.models)
    assert {getattr(one, kind).score.n for one in found.models.values() for kind in KINDS} == {
        len(table) // 18
    }


def test_held_out_concepts_are_predicted_better_than_by_the_best_reference(found, reference):
    gain = ours(found, reference, "concepts") - best_reference(found, reference, "concepts")
    assert gain.mean() >= 0.04
    assert gain.min() > 0


def test_held_out_datasets_of_every_model_are_predicted_better_than_by_the_best_reference(found, reference):
    gain = ours(found, reference, "datasets") - best_reference(found, reference, "datasets")
    assert gain.min() > 0


def test_the_plain_references_are_found_again(found, reference):
    for kind in ("concepts", "datasets"):
        published = np.array([max(told[kind]) for told in reference.values()])
        assert best_reference(found, reference, kind) == pytest.approx(published, abs=0.005)


def test_held_out_models_are_predicted_as_well_as_has_to_be(found, reference):
    assert ours(found, reference, "model").mean() >= 0.75
    assert ours(found, found.models, "model").mean() >= 0.79


@pytest.mark.parametrize("plainly", [OTHER_MODELS, OTHER_MODELS_MOVED])
def test_no_held_out_model_is_predicted_worse_than_by_the_mean_of_the_others(found, plainly):
    for name, one in found.models.items():
        assert one.model.score.r2 > one.model.baselines[plainly].r2, name


def test_every_model_is_also_predicted_without_the_models_of_its_corpus(table, found):
    alone = {
        name for name in table.models if len(np.unique(table.model[table.corpus == name.split("|")[1]])) == 1
    }
    assert len(alone) == 3
    for name, one in found.models.items():
        without = one.model.baselines[WITHOUT_CORPUS]
        assert without.r2 > one.model.baselines[OTHER_MODELS].r2, name
        assert (without == one.model.score) == (name in alone), name


def test_counts_make_held_out_models_better_predicted(found):
    assert found.counts_gain.n == 17
    assert 0 < found.counts_gain.low < found.counts_gain.value


def test_intervals_of_held_out_concepts_hold_nine_in_ten(table, found, reference):
    inside, _ = pool(found, table, reference, "concepts")
    assert 0.87 <= inside.mean() <= 0.93
    inside, _ = pool(found, table, found.models, "concepts")
    assert 0.87 <= inside.mean() <= 0.93


def test_intervals_of_held_out_concepts_hold_inside_every_large_dataset(table, found, reference):
    inside, rows = pool(found, table, reference, "concepts")
    dataset = table.dataset[rows]
    checked = 0
    for name in table.datasets:
        here = dataset == name
        if here.sum() >= 100 * len(reference):
            checked += 1
            assert 0.80 <= inside[here].mean() <= 0.97, name
    assert checked == 13


@pytest.mark.parametrize("count", COUNTS)
def test_intervals_of_held_out_concepts_hold_in_every_decade_of_counts(table, found, reference, count):
    inside, rows = pool(found, table, reference, "concepts")
    counts = table.columns()[count][rows]
    # A decade of its own for what the corpus does not hold.
    decade = np.where(counts > 0, np.floor(np.log10(np.maximum(counts, 1))), -1)
    checked = 0
    for number in range(-1, 10):
        here = (decade == number) & ~np.isnan(counts)
        if here.sum() >= 30:
            checked += 1
            assert 0.80 <= inside[here].mean() <= 0.97, number
    assert checked >= 7


def test_intervals_of_held_out_datasets_hold_enough(table, found, reference):
    for names in (reference, found.models):
        inside, _ = pool(found, table, names, "datasets")
        assert inside.mean() >= 0.85


def test_intervals_of_held_out_models_hold_nine_in_ten(table, found):
    inside, _ = pool(found, table, found.models, "model")
    assert 0.87 <= inside.mean() <= 0.93


@pytest.mark.parametrize(
    ("kind", "plainly"), [("concepts", DATASET_AND_COUNT), ("datasets", "log joint count")]
)
def test_intervals_score_better_than_those_of_plain_counts(found, reference, kind, plainly):
    held_out = [getattr(found.models[name], kind) for name in reference]
    mine = np.mean([one.score.interval_score for one in held_out])
    assert mine < np.mean([one.baselines[plainly].interval_score for one in held_out])
    if kind == "concepts":
        for one in held_out:
            assert one.score.interval_score < one.baselines[plainly].interval_score


def figures(text):
    """Numbers of the rows of a Markdown table, by their first cell."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in rows if len(row) == 11 and row[0] != "model"}


def test_the_pages_show_the_scores_as_the_command_writes_them(table, found, root):
    told = as_json(
        Predicted(
            path=PUBLISHED,
            table=table,
            support=table.n,
            validation=found,
            explanation=Explanation(models=()),
            notes=(),
        )
    )
    ours = figures(summarise(told))
    assert len(ours) == 19
    for page, n in (("docs/predicting.md", 19), ("README.md", 8)):
        quoted = figures((root / page).read_text(encoding="utf-8"))
        assert len(quoted) == n
        for name, row in quoted.items():
            # Processors round single precision otherwise.
            assert np.allclose(
                [float(cell) for cell in row], [float(cell) for cell in ours[name]], atol=0.003
            )
