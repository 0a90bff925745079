"""What a search is asked: vectors are checked and normalised, and each query comes once."""

import numpy as np
import pytest

from oddpair.commands.queries import read_queries
from oddpair.errors import Refusal
from oddpair.retrieval.encoder import load_encoder


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("reference")


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", ">f4"])
def test_vectors_of_any_length_and_float_type_are_searched_by_their_direction(encoder, tmp_path, kind):
    rows = np.random.default_rng(1).normal(size=(3, encoder.dimension)).astype(np.float16).astype(kind)
    rows[0] *= 2
    np.save(tmp_path / "rows.npy", rows)
    found = np.stack([query.row for query in read_queries(encoder, [str(tmp_path / "rows.npy")])])
    expected = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_squares_of_tiny_and_huge_vectors_neither_vanish_nor_overflow(encoder, tmp_path, scale):
    np.save(tmp_path / "rows.npy", np.full((1, encoder.dimension), scale))
    (query,) = read_queries(encoder, [str(tmp_path / "rows.npy")])
    np.testing.assert_allclose(query.row, encoder.dimension**-0.5, rtol=1e-5)


def spoiled(dimension):
    rows = np.ones((3, dimension))
    zero, nan, infinite = rows.copy(), rows.copy(), rows.copy()
    zero[2], nan[1, 3], infinite[0, 0] = 0, np.nan, np.inf
    return {
        "zero": (zero, "row 2 is zero"),
        "nan": (nan, "row 1 has a number that is not finite"),
        "infinite": (infinite, "row 0 has a number that is not finite"),
        "other-dimension": (rows[:, 1:], f"vectors of dimension {dimension - 1}, model reference has {dimension}"),
        "one-axis": (rows[0], r"float64 of shape \(128,\), needed float16, float32 or float64 of \(m, d\)"),
        "whole-numbers": (rows.astype(np.int8), "holds int8"),
        "no-row": (rows[:0], r"of shape \(0, 128\), needed"),
    }  # fmt: skip


@pytest.mark.parametrize("case", spoiled(128))
def test_vectors_that_cannot_be_searched_are_refused_by_file_and_row(encoder, tmp_path, case):
    rows, message = spoiled(encoder.dimension)[case]
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(Refusal, match=rf"rows\.npy .*{message}"):
        read_queries(encoder, ["a cat", str(tmp_path / "rows.npy")])


def test_a_query_that_is_given_twice_is_answered_once(encoder):
    assert [query.name for query in read_queries(encoder, ["a cat", "a dog", "a cat"])] == ["a cat", "a dog"]


def test_many_texts_show_their_progress_and_are_embedded_as_few_are(encoder, capsys):
    texts = [f"a cat and {number} dogs" for number in range(70)]
    rows = np.stack([query.row for query in read_queries(encoder, texts)])
    assert "embed queries: 70 texts in" in capsys.readouterr().err
    np.testing.assert_allclose(rows[-3:], encoder.encode_texts(texts[-3:]), atol=1e-6)
    assert capsys.readouterr().err == ""
