"""Hashed n-grams and importance weights, beside those that the authors' package computes."""

import hashlib
import itertools
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.command import files_in
from tests.splits.caption_data import name, write_captions

from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.curation import importance
from oddpair.splits.curation.importance import (
    count_ngrams,
    hash_ngrams,
    kl_divergence,
    log_ratio,
    weigh_captions,
)

RAW = [
    "A red CAR parked on the street", "the dog's ball!", "buy now: 50% off, free shipping",
    "Ein schöner Tag in München", "a dog and a cat on a red sofa", "", "sketch of a dog", "car  car car",
    "日本 の 犬 — a dog", "l'été à la plage_2",
]  # fmt: skip
TARGET = ["a dog on the street", "a photo of a red dog", "two cats and a dog's toy"]

# What data-selection 1.0.3 (PyPI, the authors' package) gives for them: get_ngram_counts, and HashedNgramDSIR with
# min_example_length=0 after fit_importance_estimator and compute_importance_weights.
THEIR_BUCKETS = {
    "the dog's ball!": [1775, 1917, 2339, 4279, 5219, 5332, 5481, 6297, 6338, 8288, 9776],
    "Ein schöner Tag in München": [971, 3038, 3451, 3631, 7344, 8127, 8684, 9296, 9672],
    "日本 の 犬 — a dog": [33, 91, 3499, 3586, 5332, 6545, 6562, 6599, 7237, 7709, 8415],
    "l'été à la plage_2": [2064, 2195, 2588, 3855, 3886, 6285, 6297, 6324, 8960, 9147, 9519],
}
THEIR_WEIGHTS = [
    -65.11397665753825, -64.34315031284542, -234.6945410308802, -110.07786477709283, -90.72333715337913, 0.0,
    -23.410874184462436, -74.57298034753475, -108.36378519783062, -137.68898725131402,
]  # fmt: skip
THEIR_LENGTHS = [7, 6, 9, 5, 9, 0, 4, 3, 6, 6]
THEIR_DIVERGENCE = 5.185670697486002


def slow_buckets(text, buckets):
    words = re.findall(r"\w+|[^\w\s]+", text.lower())
    grams = words + [f"{one} {other}" for one, other in itertools.pairwise(words)]
    return [int(hashlib.sha256(gram.encode()).hexdigest(), 16) % buckets for gram in grams]


def of_row(found, row):
    return sorted(found.buckets[found.rows == row].tolist())


def test_buckets_are_those_of_the_authors_package():
    found = hash_ngrams(pa.array(list(THEIR_BUCKETS)), 10_000)
    for row, buckets in enumerate(THEIR_BUCKETS.values()):
        assert of_row(found, row) == buckets


def test_weights_are_those_of_the_authors_package(tmp_path):
    raw = open_corpus(write_captions(tmp_path / "raw", RAW, sizes=[4, 6]))
    target = open_corpus(write_captions(tmp_path / "target", TARGET))
    counts = count_ngrams(raw, tmp_path / "a", buckets=10_000)
    wanted = count_ngrams(target, tmp_path / "b", buckets=10_000)
    found = weigh_captions(raw, log_ratio(wanted, counts), tmp_path / "c")
    assert found.bad == 1  # the row without a caption, which weighs nothing
    rows = [row for row in range(len(RAW)) if RAW[row]]
    place = found.pool.places([name(row) for row in rows])
    np.testing.assert_allclose(found.weight[place], [THEIR_WEIGHTS[row] for row in rows], atol=1e-9)
    assert found.words[place].tolist() == [THEIR_LENGTHS[row] for row in rows]
    assert kl_divergence(wanted, counts) == pytest.approx(THEIR_DIVERGENCE, abs=1e-12)


@given(st.lists(st.text(max_size=30), max_size=8), st.sampled_from([1, 7, 10_000]))
@settings(max_examples=60, deadline=None)
def test_any_text_is_hashed_as_by_a_slow_obvious_version(texts, buckets):
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    found = hash_ngrams(pa.array(texts, pa.string()), buckets)
    for row, text in enumerate(texts):
        assert of_row(found, row) == sorted(slow_buckets(text, buckets))


def test_neither_shards_nor_blocks_nor_a_killed_run_change_a_weight(tmp_path, monkeypatch):
    ratio = np.random.default_rng(0).normal(size=50)
    one = open_corpus(write_captions(tmp_path / "one", RAW))
    whole = weigh_captions(one, ratio, tmp_path / "whole")
    monkeypatch.setattr(importance, "_CAPTIONS_AT_ONCE", 3)
    turned = [name(row) for row in range(len(RAW))][::-1]
    other = open_corpus(write_captions(tmp_path / "other", RAW[::-1], turned, sizes=[1, 0, 6, 3]))
    out = tmp_path / "parts"
    parts = weigh_captions(other, ratio, out)
    assert parts.pool.uids.equals(whole.pool.uids)
    assert parts.weight.tolist() == whole.weight.tolist()
    before = files_in(out)
    (out / "done.json").unlink()
    (out / "weights" / "weights_0002.parquet").unlink()
    weigh_captions(other, ratio, out)
    assert files_in(out) == before


def test_of_several_captions_of_a_uid_the_highest_weight_counts(tmp_path):
    corpus = open_corpus(
        write_captions(
            tmp_path / "c", ["up", "down", "down up", "up"], ["b" * 32, "b" * 32, "a" * 32, "b" * 32]
        )
    )
    ratio = np.zeros(10_000)
    ratio[slow_buckets("up", 10_000)[0]], ratio[slow_buckets("down", 10_000)[0]] = 1.0, -3.0
    found = weigh_captions(corpus, ratio, tmp_path / "w")
    assert found.pool.uids.to_pylist() == ["a" * 32, "b" * 32]
    assert (found.weight.tolist(), found.words.tolist()) == ([-2.0, 1.0], [2, 1])


def test_only_the_rows_asked_for_are_counted_and_others_of_the_same_folder_refused(tmp_path):
    corpus = open_corpus(write_captions(tmp_path / "c", ["one", "two", "one two"], sizes=[2, 1]))
    only = pa.array(sorted([name(0), name(2)]), pa.large_string())
    found = count_ngrams(corpus, tmp_path / "n", buckets=10_000, only=only)
    expected = np.bincount(slow_buckets("one", 10_000) + slow_buckets("one two", 10_000), minlength=10_000)
    assert found.tolist() == expected.tolist()
    assert count_ngrams(corpus, tmp_path / "m", buckets=10_000).sum() == 5
