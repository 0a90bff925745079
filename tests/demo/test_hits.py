from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.demo.hits import count_hits, read_hits
from oddpair.demo.predict import records_path
from oddpair.errors import Refusal
from oddpair.eval.scoring.classification import score_classification
from oddpair.eval.scoring.pairs import score_pairs
from oddpair.eval.scoring.records import write_records


@pytest.fixture
def out(tmp_path):
    """Answers to three questions a task: one right, one wrong, and one that ties with another concept."""
    vectors = np.eye(len(CONCEPTS))
    tied = (vectors[5] + vectors[6]) / np.sqrt(2)
    asked: dict[str, Any] = {
        "keys": ["b", "a", "c"],
        "uids": ["ub", "ua", "uc"],
        "styles": ["photo", "sketch", "photo"],
        "images": np.stack([vectors[3], vectors[9], tied]),
        "target": [3, 4, 5],
        "logit_scale": 1.0,
    }
    single = score_classification(vectors=vectors, **asked)
    for task in ("natural", "rendition"):
        write_records(records_path(tmp_path, "m", task), "classification", single)
    pairs = score_pairs(partner=[40, 41, 42], pair_vectors=lambda _: vectors, **asked)
    write_records(records_path(tmp_path, "m", "pairs"), "pairs", pairs)
    return tmp_path


def test_records_become_names_and_a_tie_is_no_hit(out):
    hits = read_hits(out, "m")
    assert list(hits) == ["natural", "rendition", "pairs"]
    assert hits["pairs"].to_pydict() == {
        "uid": ["ua", "ub", "uc"],
        "style": ["sketch", "photo", "photo"],
        "target": [CONCEPTS[4], CONCEPTS[3], CONCEPTS[5]],
        "partner": [CONCEPTS[41], CONCEPTS[40], CONCEPTS[42]],
        "hit": [False, True, False],
    }
    assert hits["natural"].equals(hits["rendition"])
    assert hits["natural"]["partner"].to_pylist() == ["", "", ""]
    assert hits["natural"]["hit"].to_pylist() == [False, True, False]


def test_answers_that_are_missing_are_named(out):
    records_path(out, "m", "pairs").unlink()
    with pytest.raises(Refusal, match=r"m\.pairs\.parquet"):
        read_hits(out, "m")


def test_hits_are_counted_in_sorted_groups():
    rng = np.random.default_rng(0)
    target, partner = rng.choice(["cup", "egg", "ant"], size=(2, 60))
    hit = rng.random(60) < 0.5
    hits = pa.table({"target": target.tolist(), "partner": partner.tolist(), "hit": hit})
    groups = sorted(set(zip(target.tolist(), partner.tolist(), strict=True)))
    members = [(target == a) & (partner == b) for a, b in groups]
    assert count_hits(hits, ["target", "partner"]).to_pydict() == {
        "target": [a for a, _ in groups],
        "partner": [b for _, b in groups],
        "successes": [int(hit[rows].sum()) for rows in members],
        "trials": [int(rows.sum()) for rows in members],
    }
