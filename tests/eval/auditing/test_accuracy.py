"""Accuracies foretold of a test set, beside forecasts from captions counted by hand."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from tests.eval.auditing.pair_material import make_material
from tests.eval.prediction.accuracy_tables import make_table
from tests.splits.unseen_data import NAMES, VOCABULARY, draw_captions, named, uid, write_corpus

from oddpair.errors import Refusal
from oddpair.eval.auditing.accuracy import AccuracyFound, count_among, find_accuracy
from oddpair.eval.auditing.concepts import find_concepts
from oddpair.eval.auditing.forecast import Known, Shown, forecast
from oddpair.eval.auditing.found import Accuracy, find_share
from oddpair.eval.prediction.table import AccuracyTable
from oddpair.eval.prediction.table_file import write_table
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.subset import load_subset, write_subset

CAPTIONS = draw_captions(np.random.default_rng(1), 200, most=3, power=2.0)
COUNTS = {name: sum(name in named(caption) for caption in CAPTIONS) for name in NAMES}
TESTS = [["cat"], ["cat", "van"], ["dog", "bell", "harp"], [], ["kite"], ["pine tree", "tree"]]
# What no image shows is no concept of the test; who sees a pine tree has seen a tree.
USED = ("cat", "dog", "pine tree", "van", "kite", "bell", "harp")


def score(datasets, model="m", n=20, seed=0):
    """Accuracies of some datasets that rise with counts."""
    rng = np.random.default_rng(seed)
    return [
        {
            "model": model,
            "dataset": dataset,
            "concept": f"thing {row}",
            "accuracy": round(rng.uniform(0.05, 0.2) * row) / n,
            "n": n,
            "count_text": float(4**row),
        }
        for dataset in datasets
        for row in range(6)
    ]


def choose_rarest(counts):
    """How many test images each concept of the test stands for, the slow way."""
    images = dict.fromkeys(USED, 0)
    for names in TESTS:
        shown = [name for name in NAMES if name in names and name in USED]
        if shown:
            images[min(shown, key=lambda name: counts[name])] += 1
    return np.array(list(images.values()))


def foretell(rows, *every):
    known = make_table(rows)
    found = forecast(
        Known(
            dataset=known.dataset,
            counts=known.count_text.astype(np.int64),
            accuracy=known.accuracy,
            support=known.n,
        ),
        [
            Shown(counts=np.array([counts[name] for name in USED]), images=choose_rarest(counts))
            for counts in every
        ],
    )
    assert found is not None
    return found


class Audited:
    """A test set against a corpus of captions."""

    def __init__(self, folder):
        self.material = make_material(folder, CAPTIONS, TESTS)
        self.concepts = find_concepts(self.material)
        self.path = folder / "table.csv"

    def find(
        self,
        rows: Any,
        in_domain: pa.Array | None = None,
        what: Literal["style", "gap", "none"] = "none",
        *,
        model: str | None = None,
        name: str = "test",
    ) -> AccuracyFound:
        """Foretell from a table of these rows; without any, from no table."""
        if rows:
            write_table(self.path, rows if isinstance(rows, AccuracyTable) else make_table(rows))
        material = replace(
            self.material,
            table=self.path if rows else None,
            asked=replace(self.material.asked, model=model),
            name=name,
        )
        return find_accuracy(material, self.concepts, in_domain, what)

    def accuracy(self, *given: Any, **options: Any) -> Accuracy:
        found = self.find(*given, **options)
        assert found.accuracy is not None
        assert found.why == ""
        return found.accuracy


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    return Audited(tmp_path_factory.mktemp("audited"))


DATASETS = ("a", "b", "c", "d")


def test_a_forecast_is_that_of_captions_counted_by_hand(audited):
    found = audited.accuracy(score(DATASETS))
    assert found.all == foretell(score(DATASETS), COUNTS).means[0]
    # Five of six show something.
    assert found.all.n == 5
    assert (found.model, found.datasets, found.known) == ("m", 4, None)
    assert (found.without, found.explained, found.in_domain, found.in_domain_rows) == (None, None, "none", 0)


def test_in_domain_captions_are_taken_from_the_counts(audited):
    chosen = np.random.default_rng(2).permutation(200)[:120]
    outside = {
        name: sum(name in named(caption) for row, caption in enumerate(CAPTIONS) if row not in chosen)
        for name in NAMES
    }
    in_domain = pa.array([uid(row) for row in chosen.tolist()], pa.large_string())
    found = audited.accuracy(score(DATASETS), in_domain, "style")
    both = foretell(score(DATASETS), COUNTS, outside)
    assert (found.all, found.without) == both.means
    assert found.explained == both.differences[1]
    assert found.explained.value > 0
    assert (found.in_domain, found.in_domain_rows) == ("style", 120)


def test_no_in_domain_rows_account_for_nothing(audited):
    found = audited.accuracy(score(DATASETS), pa.array([], pa.large_string()), "gap")
    assert found.without == found.all
    assert found.explained is not None
    assert (found.explained.value, found.explained.low, found.explained.high) == (0, 0, 0)
    assert (found.in_domain, found.in_domain_rows) == ("gap", 0)


@pytest.mark.parametrize("dataset", ["some_set", "tests.Some-Set", "tests.some set"])
def test_what_was_measured_on_the_test_set_is_told_and_not_used(audited, dataset):
    mine = score([dataset], seed=5)
    found = audited.accuracy(score(DATASETS) + mine, name="some-set")
    assert found.known is not None
    right = sum(row["accuracy"] * row["n"] for row in mine)
    share = find_share(round(right), 120)
    assert (found.known.value, found.known.low, found.known.high, found.known.n) == (
        share.value,
        share.low,
        share.high,
        120,
    )
    assert replace(found, known=None) == audited.accuracy(score(DATASETS))


def test_two_datasets_of_its_name_are_both_left_out_and_neither_is_told(audited):
    found = audited.accuracy(score([*DATASETS, "x.test", "y.test"]))
    assert found == audited.accuracy(score(DATASETS))


def test_other_models_and_rows_without_count_or_accuracy_do_not_matter(audited):
    more = score(["e"])
    for row in more[:3]:
        row["count_text"] = np.nan
    for row in more[3:]:
        row["accuracy"] = np.nan
    found = audited.accuracy(score(DATASETS) + more + score(["a", "f"], model="other", seed=3), model="m")
    assert found == audited.accuracy(score(DATASETS))


def test_samples_that_a_table_does_not_tell_are_found(audited):
    rows = score(DATASETS, seed=3)
    table = make_table(rows)
    found = audited.accuracy(replace(table, n=np.full(len(table), np.nan)))
    assert found.all.value == pytest.approx(foretell(rows, COUNTS).means[0].value, abs=0.05)


def test_reasons_say_what_to_give(audited):
    assert audited.find([]).why == (
        "no accuracies: oddpair predict --import scores ... makes a table; give it as --accuracies, and --for MODEL where it "
        "has several"
    )
    several = audited.find(score(DATASETS) + score(DATASETS, model="other"))
    assert several.accuracy is None
    assert several.why == f"no accuracy: {audited.path.name} has 2 models: name one with --for, such as m"
    few = audited.find(score(["a", "b", "test"]))
    assert few.why.startswith(
        f"no accuracy: {audited.path.name} has counts and accuracies of m on 2 datasets other than test, and"
    )
    flat = [row | {"count_text": 7} for row in score(DATASETS)]
    assert audited.find(flat).why == (
        f"no accuracy: of 4 datasets of m in {audited.path.name} fewer than 3 have 3 concepts of different counts: score it on "
        "more"
    )


def test_without_concepts_the_reason_is_theirs(audited, tmp_path):
    write_table(audited.path, make_table(score(DATASETS)))
    material = make_material(tmp_path, CAPTIONS, TESTS, vocabulary=None)
    material = replace(material, asked=replace(material.asked, content_column="absent"), table=audited.path)
    found = find_accuracy(material, find_concepts(material), None, "none")
    assert found.accuracy is None
    assert found.why == (
        "no accuracy can be foretold without concepts; no concepts: give --vocabulary FILE, imagenet, coco or voc, or "
        "--counts"
    )


def test_a_model_that_the_table_lacks_is_refused(audited):
    with pytest.raises(Refusal, match="has no model 'x', it has m: name one of them with --for"):
        audited.find(score(DATASETS), model="x")


def test_a_caption_counts_once_for_each_row_of_a_uid(tmp_path):
    uids = [uid(1), uid(2), uid(1), uid(3)]
    corpus = open_corpus(
        write_corpus(tmp_path, ["cat cat", "a cat and a dog", "cat cat", "van"], uids=uids, shards=3)
    )
    found = count_among(corpus, VOCABULARY, pa.array([uid(3), uid(1)]))
    assert dict(zip(VOCABULARY.names, found.tolist(), strict=True)) == dict.fromkeys(NAMES, 0) | {
        "cat": 2,
        "van": 1,
    }


def test_what_a_subset_repeats_counts_as_often(tmp_path):
    whole = open_corpus(write_corpus(tmp_path / "corpus", ["a cat", "a dog", "a van", "a dog"]))
    write_subset(tmp_path / "subset.npy", [uid(0), uid(1), uid(2)], [1, 3, 2])
    corpus = Corpus(source=whole.source, subset=load_subset(tmp_path / "subset.npy"))
    found = count_among(corpus, VOCABULARY, pa.array([uid(1), uid(2), uid(3)]))
    assert dict(zip(VOCABULARY.names, found.tolist(), strict=True)) == dict.fromkeys(NAMES, 0) | {
        "dog": 3,
        "van": 2,
    }
