"""The computed error bounds of the first passes: true, tight, and what the result rests on."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.brute_force import FAMILIES, assert_same, draw_names, draw_rows, search, unit

from oddpair.retrieval.kernel import passes
from oddpair.retrieval.kernel.block import TileFinder
from oddpair.retrieval.kernel.passes import make_pass
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.unit_rows import HeldRows

KINDS = ("float32", "bfloat16", "int8")
# A score is compared with a floor in float32, and rounded to it: so much of a bound must be left.
_ROOM = 1e-6


def multiply(rows, tests, kind):
    """All approximate scores of a first pass with their bounds, both float64 of shape ``(n, m)``."""
    first = make_pass(tests, kind)
    block = first.approximate(rows)
    tiles = range(-(-len(tests) // passes.TESTS_PER_TILE))
    values = np.concatenate([first.multiply(block, tile, {}) for tile in tiles], axis=1)
    assert values.shape[1] % 32 == 0
    scales = np.multiply.outer(block.scale.astype(np.float64), first.scale)
    bounds = np.add.outer(block.slack.astype(np.float64), first.slack)
    return values[:, : len(tests)] * scales, bounds


def errors(rows, tests, kind):
    scores, bounds = multiply(rows, tests, kind)
    return np.abs(scores - rows.astype(np.float64) @ tests.astype(np.float64).T), bounds


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(
    n=st.sampled_from([1, 2, 5, 65, 512]),
    m=st.sampled_from([1, 2, 31, 33, 500, 1030]),
    d=st.sampled_from([1, 2, 3, 15, 16, 17, 31, 32, 64, 100, 512, 640, 768, 1280]),
    families=st.tuples(*2 * [st.sampled_from(list(FAMILIES))]),
    kept=st.sampled_from([np.float16, np.float32]),
    stretch=st.sampled_from([0.9982, 1, 1.0018]),
    same=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_no_score_is_farther_from_its_approximation_than_the_bound(
    kind, n, m, d, families, kept, stretch, same, seed
):
    rng = np.random.default_rng(seed)
    rows = draw_rows(rng, families[0], n, d, kept, stretch).astype(np.float32)
    tests = draw_rows(rng, families[1], m, d, kept, stretch).astype(np.float32)
    if same:
        tests[: min(n, m)] = rows[: min(n, m)]
    off, bounds = errors(rows, tests, kind)
    assert (off <= bounds - _ROOM).all(), (off - bounds).max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [2, 3, 16])
def test_scores_just_above_1_are_within_their_bound(kind, d):
    """Above 1 the numbers that 8 bits can tell apart lie twice as far from one another."""
    rng = np.random.default_rng(d)
    rows = draw_rows(rng, "normal", 4000, d, np.float32, 1.0018)
    for start in range(0, 4000, 400):
        part = rows[start : start + 400]
        off, bounds = errors(part, unit(part) * np.float32(1.0018), kind)
        assert (off.diagonal() <= bounds.diagonal() - _ROOM).all()


def rounding(rows, kind):
    """What the first pass takes away from each row, found by its products with the axes."""
    d = rows.shape[1]
    if kind == "bfloat16":
        import torch

        return torch.from_numpy(rows).bfloat16().float().numpy().astype(np.float64) - rows
    first = make_pass(rows, kind)
    block = first.approximate(np.eye(d, dtype=np.float32))
    products = first.multiply(block, 0, {})[:, : len(rows)].astype(np.float64)
    return (products * np.multiply.outer(block.scale.astype(np.float64), first.scale)).T - rows


@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
@pytest.mark.parametrize("d", [16, 64, 512])
@pytest.mark.parametrize("family", ["normal", "power_law", "outliers"])
def test_the_worst_test_of_a_row_comes_near_the_bound_and_not_beyond(kind, d, family):
    """A test along what rounding took away from the row is off by all of it."""
    rng = np.random.default_rng(d)
    rows = draw_rows(rng, family, 40, d, np.float32)
    worst = unit(rounding(rows, kind))
    off, bounds = errors(rows, np.concatenate([worst, -worst]), kind)
    assert (off <= bounds - _ROOM).all()
    mine = np.maximum(off.diagonal(), off[:, 40:].diagonal())
    # The other half of the bound is the test's own rounding, which is as large and points elsewhere.
    assert np.median(mine / bounds.diagonal()) > (0.4 if kind == "int8" else 0.2)


def spectrum(rng, n, d):
    """Rows whose coordinates fall off by a power law around a mean with outliers, as CLIP's features do."""
    mean = np.zeros(d)
    mean[rng.choice(d, 6, replace=False)] = 6
    return unit((mean + 2 * rng.normal(size=(n, d))) * (1 + np.arange(d)) ** -0.5)


@pytest.mark.parametrize(("kind", "most"), [("int8", 0.017), ("bfloat16", 0.0085), ("float32", 1e-4)])
def test_the_bound_on_rows_like_those_of_clip_is_small(kind, most):
    rng = np.random.default_rng(0)
    rows, tests = spectrum(rng, 400, 512), spectrum(rng, 300, 512)
    _, bounds = multiply(rows, tests, kind)
    assert most / 2 < np.median(bounds) < most


def test_without_the_rotation_the_bound_of_8_bits_would_be_more_than_twice_as_large(monkeypatch):
    from oddpair.retrieval.kernel import quantise

    rng = np.random.default_rng(0)
    rows = spectrum(rng, 400, 512)
    signs = quantise.make_signs(512)
    rotated = quantise.quantise(rows, signs).error
    largest = np.abs(rows).max(axis=1, keepdims=True)
    plain = np.linalg.norm(np.round(rows * 127 / largest) * largest / 127 - rows, axis=1)
    assert np.median(plain) > 2 * np.median(rotated)


@pytest.mark.parametrize("d", [1, 16, 48, 100, 512, 640, 768])
def test_the_error_of_8_bits_is_the_length_of_what_rounding_took_away(d):
    from oddpair.retrieval.kernel import quantise

    rng = np.random.default_rng(d)
    for family in FAMILIES:
        rows = draw_rows(rng, family, 20, d, np.float32)
        found = quantise.quantise(rows, quantise.make_signs(d))
        assert found.values.min() >= -127
        rounded = found.values.astype(np.float64) * found.scale[:, None]
        # Lengths are kept by the rotation; what was taken away cannot turn them by more than itself.
        change = np.abs(np.linalg.norm(rounded, axis=1) - np.linalg.norm(rows.astype(np.float64), axis=1))
        assert (change <= found.error + 2e-6).all()
        assert (found.error <= 0.5 * found.scale * np.sqrt(found.values.shape[1]) * 1.001 + 1e-9).all()
        # Products of rounded rows are products of rows, but for the errors: the rotation keeps them.
        off = np.abs(rounded @ rounded.T - rows.astype(np.float64) @ rows.astype(np.float64).T)
        room = np.add.outer(found.error, found.error) * (1 + found.error.max() + 1e-5) + 5e-6
        assert (off <= room).all()


@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
@pytest.mark.parametrize("wanted", ["nearest", "top", "hit", "pairs"])
def test_a_bound_that_is_too_small_is_found_out(kind, wanted):
    """Every answer rests on the bound: with one fiftieth of it some are wrong, and these tests see it."""
    rng = np.random.default_rng(3)
    rows = draw_rows(rng, "power_law", 1500, 64, np.float32)
    tests = draw_rows(rng, "power_law", 200, 64, np.float32)
    uids, test_uids = draw_names(rng, 1500), draw_names(rng, 200)
    prepared = prepare_tests(tests, test_uids, first_pass=kind)
    scores = search(rows, uids, tests, test_uids, Ask(top=3)).top.score.reshape(200, 3)
    above = scores[:, 2]
    ask = {
        "nearest": Ask(nearest=True),
        "top": Ask(top=3),
        "hit": Ask(above=above),
        "pairs": Ask(above=above, pairs=True),
    }[wanted]
    expected = search(rows, uids, tests, test_uids, ask)
    assert_same(scan(HeldRows(rows, uids), prepared, ask), expected)
    bold = dataclasses.replace(prepared, finder=TileFinder(_Bold(make_pass(tests, kind))))
    with pytest.raises(AssertionError, match=r"differ|^pairs|^top"):
        assert_same(scan(HeldRows(rows, uids), bold, ask), expected)


class _Bold:
    """A first pass that believes itself fifty times as exact as it is."""

    def __init__(self, first):
        self._first, self.scale, self.slack = first, first.scale, first.slack / np.float32(50)

    def approximate(self, rows):
        found = self._first.approximate(rows)
        return found._replace(slack=found.slack / np.float32(50))

    def multiply(self, block, tile, space):
        return self._first.multiply(block, tile, space)
