import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.splits.pmi import bands as pmi_bands
from oddpair.splits.pmi.bands import (
    BOTTOM,
    TOP,
    UNMATCHED,
    UNSEEN,
    PairPmi,
    band_pairs,
    cells_of,
    eligible_pairs,
    largest_difference,
    mean_log_counts,
    plain_bands,
    to_table,
)

VOCABULARY = build_vocabulary(["zebra", "cat", "tree", "pine tree", "dog", "emu"])
CAPTIONS = [
    *["a cat and a dog"] * 4,
    *["a cat and a zebra"] * 2,
    *["a pine tree with a dog"] * 3,
    "a zebra and a tree",
    "a cat",
    "nothing",
]


def made(captions=CAPTIONS):
    return count(find_mentions(VOCABULARY, captions), vocabulary=VOCABULARY)


def pairs_of(counts, **changes):
    settings = {"variant": "plain", "minimum_count": 1, "minimum_expected": 1e-9, **changes}
    return eligible_pairs(counts, **settings)


def draw_pairs(seed, n=3000, *, lean=0.0):
    """Draw pairs of log-uniform single counts among a million captions; ``lean`` makes PMI fall with the counts."""
    rng = np.random.default_rng(seed)
    single = (10.0 ** rng.uniform(3.5, 5.0, (n, 2))).astype(np.int64)
    expected = single[:, 0] * single[:, 1] / 1e6
    pull = rng.normal(0, 1, n) - lean * np.log(expected)
    together = np.minimum(rng.poisson(expected * np.exp(np.clip(pull, -4, 2))), single.min(axis=1))
    with np.errstate(divide="ignore"):
        values = np.log(together / expected)
    ids = np.arange(n, dtype=np.int64)
    return PairPmi(
        names=tuple(f"{number:05d}" for number in range(2 * n)),
        a=ids,
        b=ids + n,
        count_a=single[:, 0],
        count_b=single[:, 1],
        count_pair=together,
        expected=expected,
        pmi=values,
    )


def test_every_counted_pair_that_is_expected_is_listed_once_by_name_seen_or_not():
    counts = made()
    pairs = pairs_of(counts, minimum_expected=0.5)
    nested = nested_pairs(VOCABULARY)
    wanted = {}
    for a, b in itertools.combinations(range(len(VOCABULARY)), 2):
        expected = counts.text[a] * counts.text[b] / len(CAPTIONS)
        if expected >= 0.5 and (a, b) not in nested:
            key = tuple(sorted((VOCABULARY.names[a], VOCABULARY.names[b])))
            wanted[key] = sum(all(name in text for name in key) for text in CAPTIONS)
    named = [(pairs.names[a], pairs.names[b]) for a, b in zip(pairs.a, pairs.b, strict=True)]
    assert named == sorted(wanted)
    assert dict(zip(named, pairs.count_pair.tolist(), strict=True)) == wanted
    assert ("dog", "zebra") in named
    assert wanted["dog", "zebra"] == 0


def test_pmi_of_a_listed_pair_is_the_textbooks():
    pairs = pairs_of(made())
    row = next(
        i for i in range(len(pairs)) if (pairs.names[pairs.a[i]], pairs.names[pairs.b[i]]) == ("cat", "dog")
    )
    assert pairs.pmi[row] == pytest.approx(math.log(4 * 12 / (7 * 7)))
    assert pairs.expected[row] == pytest.approx(7 * 7 / 12)


@pytest.mark.parametrize("variant", ["plain", "smoothed", "normalised", "published"])
def test_every_variant_gives_each_pair_a_value_and_unseen_pairs_the_least_at_equal_counts(variant):
    pairs = pairs_of(made(), variant=variant)
    assert len(pairs) == len(pairs.pmi)
    assert not np.isnan(pairs.pmi).any()
    row = {
        (pairs.names[a], pairs.names[b]): value
        for a, b, value in zip(pairs.a, pairs.b, pairs.pmi, strict=True)
    }
    assert row["dog", "zebra"] < row["cat", "dog"]


def test_pairs_of_rare_concepts_that_were_asked_for_are_listed_and_others_not_counted_are_not():
    whole = made()
    # All pairs among cat and dog, the two most frequent; zebra with tree was asked for.
    keep = [(1, 4), (0, 2)]
    rows = [i for pair in sorted(keep) for i in range(len(whole.a)) if (whole.a[i], whole.b[i]) == pair]
    part = Counts(
        names=whole.names,
        vocabulary_sha256=whole.vocabulary_sha256,
        n_captions=whole.n_captions,
        text=whole.text,
        image=None,
        joint=None,
        a=whole.a[rows],
        b=whole.b[rows],
        pair_text=whole.pair_text[rows],
        pair_image=None,
        pair_joint=None,
        members=np.array([1, 4]),
        nested=whole.nested,
    )
    pairs = pairs_of(part)
    assert [(pairs.names[a], pairs.names[b]) for a, b in zip(pairs.a, pairs.b, strict=True)] == [
        ("cat", "dog"),
        ("tree", "zebra"),
    ]


def test_too_many_pairs_or_none_are_refused_with_what_to_change(monkeypatch):
    with pytest.raises(
        Refusal, match=r"no pair of concepts in 100 captions or more .* lower minimum_expected"
    ):
        pairs_of(made(), minimum_count=100)
    monkeypatch.setattr(pmi_bands, "MOST_PAIRS", 3)
    with pytest.raises(
        Refusal, match=r"pairs are expected .* at most 3 fit in memory: raise minimum_expected"
    ):
        pairs_of(made())


def test_a_count_below_one_is_an_error():
    with pytest.raises(ValueError, match="minimum_count is 0, needed 1 or more"):
        pairs_of(made(), minimum_count=0)


def test_pairs_are_found_in_either_order_and_others_are_not():
    pairs = pairs_of(made())
    cat, dog, emu = 1, 4, 5
    rows = pairs.find(np.array([cat, dog, cat]), np.array([dog, cat, emu]))
    assert rows[0] == rows[1] >= 0
    assert {pairs.names[pairs.a[rows[0]]], pairs.names[pairs.b[rows[0]]]} == {"cat", "dog"}
    assert rows[2] == -1


def slow_bands(pairs, bands, tail, width):
    """Band and tail of every pair, cell by cell in lists."""
    cells: dict[tuple[int, int], list[int]] = {}
    for row in range(len(pairs)):
        low, high = sorted((math.log10(pairs.count_a[row]), math.log10(pairs.count_b[row])))
        cells.setdefault((math.floor(low / width), math.floor(high / width)), []).append(row)
    band: dict[int, int] = {}
    tails: dict[int, int] = {}
    for rows in cells.values():
        seen = sorted((row for row in rows if pairs.count_pair[row]), key=lambda row: (pairs.pmi[row], row))
        each, left = divmod(len(seen), bands)
        gaps = {(2 * number + 1) * (bands - 1) // (2 * left) for number in range(left)}
        labels = []
        for number in range(bands):
            labels += [number + 1] * each
            labels += [UNMATCHED] * (number in gaps)
        assert len(labels) == len(seen)
        band.update(zip(seen, labels, strict=True))
        band.update((row, UNSEEN) for row in rows if not pairs.count_pair[row])
        size = min(int(len(seen) * tail + 0.5), len(seen) // 2)
        tails.update((row, BOTTOM) for row in seen[:size])
        tails.update((row, TOP) for row in seen[len(seen) - size :])
    return [band[row] for row in range(len(pairs))], [tails.get(row, 0) for row in range(len(pairs))]


@given(
    st.integers(0, 10_000),
    st.integers(1, 300),
    st.integers(2, 7),
    st.sampled_from([0.01, 0.05, 0.3, 0.5]),
    st.sampled_from([0.1, 0.25, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_bands_and_tails_are_those_of_lists_cell_by_cell(seed, n, bands, tail, width):
    pairs = draw_pairs(seed, n)
    found = band_pairs(pairs, bands=bands, tail=tail, cell=width)
    band, tails = slow_bands(pairs, bands, tail, width)
    assert found.band.tolist() == band
    assert found.tail.tolist() == tails


def test_every_band_has_as_many_pairs_of_every_cell_and_all_below_those_of_the_next():
    pairs = draw_pairs(1)
    found = band_pairs(pairs, bands=5, tail=0.05, cell=0.25)
    sizes = {band: Counter(found.cell[found.band == band].tolist()) for band in range(1, 6)}
    assert all(sizes[band] == sizes[1] for band in sizes)
    for cell in sizes[1]:
        values = [pairs.pmi[(found.cell == cell) & (found.band == band)] for band in range(1, 6)]
        assert all(low.max() <= high.min() for low, high in itertools.pairwise(values))


def test_matching_takes_out_what_bands_differ_in_where_pmi_leans_on_counts():
    pairs = draw_pairs(2, lean=0.4)
    found = band_pairs(pairs, bands=5, tail=0.05, cell=0.25)
    without = plain_bands(pairs, 5)
    before, after = (
        largest_difference(mean_log_counts(pairs, {str(band): labels == band for band in range(1, 6)}))
        for labels in (without, found.band)
    )
    assert before > 0.3
    assert after < 0.05
    assert (found.band > 0).mean() > 0.8 * (pairs.count_pair > 0).mean()


def test_smaller_cells_match_closer_and_keep_fewer():
    pairs = draw_pairs(3, lean=0.4)
    wide, narrow = (band_pairs(pairs, bands=5, tail=0.05, cell=width) for width in (0.25, 0.1))
    differences = [
        largest_difference(mean_log_counts(pairs, {str(band): found.band == band for band in range(1, 6)}))
        for found in (wide, narrow)
    ]
    assert differences[1] < differences[0]
    assert (narrow.band > 0).sum() < (wide.band > 0).sum()


def test_tails_are_matched_one_to_one_within_their_cells():
    pairs = draw_pairs(4)
    found = band_pairs(pairs, bands=5, tail=0.05, cell=0.25)
    partner = found.matched_with
    low = np.flatnonzero(found.tail == BOTTOM)
    assert len(low) > 50
    assert (found.tail[partner[low]] == TOP).all()
    assert (partner[partner[low]] == low).all()
    assert (found.cell[partner[low]] == found.cell[low]).all()
    assert (partner[found.tail == 0] == -1).all()
    gap = np.abs(pairs.log_counts()[low] - pairs.log_counts()[partner[low]])
    assert gap.max() < 0.25


def test_no_band_holds_an_unseen_pair_and_the_unseen_are_a_band_of_their_own():
    pairs = draw_pairs(5)
    assert (pairs.count_pair == 0).any()
    found = band_pairs(pairs, bands=3, tail=0.1, cell=0.5)
    assert ((found.band == UNSEEN) == (pairs.count_pair == 0)).all()
    assert (found.tail[pairs.count_pair == 0] == 0).all()


def test_the_cell_of_a_pair_does_not_depend_on_which_concept_comes_first():
    pairs = draw_pairs(6, 200)
    turned = PairPmi(
        names=pairs.names,
        a=pairs.b,
        b=pairs.a,
        count_a=pairs.count_b,
        count_b=pairs.count_a,
        count_pair=pairs.count_pair,
        expected=pairs.expected,
        pmi=pairs.pmi,
    )
    assert (cells_of(pairs, 0.25) == cells_of(turned, 0.25)).all()


def test_the_table_names_concepts_bands_and_partners():
    pairs = draw_pairs(7, 400)
    found = band_pairs(pairs, bands=2, tail=0.1, cell=0.5)
    rows = to_table(pairs, found, 2).to_pylist()
    assert set(rows[0]) == {
        *("a", "b", "count_a", "count_b", "count_pair", "expected", "pmi", "band", "tail", "matched_with")
    }
    names = {UNMATCHED: "unmatched", UNSEEN: "unseen", 1: "band-1-of-2", 2: "band-2-of-2"}
    assert [row["band"] for row in rows] == [names[band] for band in found.band.tolist()]
    bottom = next(row for row in rows if row["tail"] == "bottom")
    assert rows[bottom["matched_with"]]["tail"] == "top"
    assert all(row["matched_with"] is None for row in rows if not row["tail"])
    assert rows[0]["a"] == "00000"
