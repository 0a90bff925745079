"""Exact search in the slowest plain way, and rows that are hard for a fast one: what its tests compare it with."""

from contextlib import contextmanager

import numpy as np
import pytest

from oddpair.retrieval.kernel.block import TileFinder
from oddpair.retrieval.pairs import Pairs
from oddpair.retrieval.scan import Found, Work, prepare_tests, scan
from oddpair.retrieval.unit_rows import HeldRows

FIRST_PASSES = ("auto", "float32", "bfloat16", "int8")
TYPES = (np.float16, np.float32)

# Read as strings, numbers and letters mix; the last two sort the other way round in UTF-16.
_PREFIXES = ("", "0", "A", "a", "é", "中", "\ufffd", "\U0001f600")


def score(query, row):
    """The score of two stored rows: Python's own floats, added one after the other."""
    total = 0.0
    for one, other in zip(query.tolist(), row.tolist(), strict=True):
        total += one * other
    return np.float32(total)


def all_scores(rows, tests):
    """``score`` of each row with each test, shape ``(n, m)``; a column at a time adds in the same order."""
    sums = np.zeros((len(rows), len(tests)))
    for column in range(rows.shape[1]):
        sums += np.multiply.outer(rows[:, column].astype(np.float64), tests[:, column].astype(np.float64))
    return sums.astype(np.float32)


def search(rows, uids, tests, test_uids, ask):
    """What ``scan`` must find."""
    scores = all_scores(rows, tests)
    none = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    test, best = _nearest(scores, test_uids) if ask.nearest else none
    above = scores > ask.above if ask.above is not None else np.zeros(scores.shape, dtype=np.bool_)
    marked = ask.above is not None and not ask.pairs
    listed = np.nonzero(above) if ask.pairs else (none[0], none[0])
    return Found(
        score=best,
        test=test,
        hit=np.asarray(above.any(axis=1)) if marked else np.empty(0, dtype=np.bool_),
        top=_top(scores, uids, ask.top),
        pairs=Pairs(test=listed[1], row=listed[0], score=scores[listed]),
        work=Work(),
    )


def _nearest(scores, test_uids):
    order = np.array(sorted(range(len(test_uids)), key=lambda test: test_uids[test]))
    test = order[scores[:, order].argmax(axis=1)]
    return test, scores[np.arange(len(scores)), test]


def _top(scores, uids, k):
    found = []
    by_uid = np.array(sorted(range(len(uids)), key=lambda row: uids[row]), dtype=np.int64)
    for test in range(scores.shape[1] if k else 0):
        seen: set[str] = set()
        for row in by_uid[np.argsort(-scores[by_uid, test], kind="stable")].tolist():
            if len(seen) < k and uids[row] not in seen:
                seen.add(uids[row])
                found.append((test, row))
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    return Pairs(test=pairs[:, 0], row=pairs[:, 1], score=scores[pairs[:, 1], pairs[:, 0]])


@contextmanager
def blocks_of(rows):
    """Search so many rows at a time, so that a small corpus has blocks that follow and overtake one another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TileFinder, "block_rows", lambda finder, tests: rows)
        yield


def find(rows, uids, tests, test_uids, ask, first_pass="auto", threads=1, block=300):
    """Scan rows in memory."""
    prepared = prepare_tests(tests, test_uids, first_pass=first_pass)
    with blocks_of(block):
        return scan(HeldRows(rows, uids), prepared, ask, threads=threads)


def columns(found):
    """Everything that was found, by name: what must not depend on how it was found."""
    parts = {"score": found.score, "test": found.test, "hit": found.hit}
    for name in ("top", "pairs"):
        pairs = getattr(found, name)
        parts |= {f"{name}.test": pairs.test, f"{name}.row": pairs.row, f"{name}.score": pairs.score}
    return parts


def assert_same(found, expected):
    """Compare all that was found, type and bits."""
    for (name, one), other in zip(columns(found).items(), columns(expected).values(), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), name
        assert one.tobytes() == other.tobytes(), (
            f"{name}: {np.flatnonzero(one != other)[:9]} of {len(one)} differ, found {one[one != other][:9]}, "
            f"needed {other[one != other][:9]}"
        )


def unit(rows, dtype=np.float32):
    """Rows of length 1, as near as the type allows."""
    rows = np.asarray(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


def draw_names(rng, count):
    """Uids, each once, in an order of their own."""
    names = [f"{_PREFIXES[rng.integers(len(_PREFIXES))]}{place}" for place in rng.permutation(count)]
    # "0" and "1" make the name that "01" is.
    return names if len(set(names)) == count else [f"{name}_{place}" for place, name in enumerate(names)]


def _normal(rng, n, d):
    return rng.normal(size=(n, d))


def _power_law(rng, n, d):
    return rng.normal(size=(n, d)) * (1.0 + np.arange(d)) ** -0.7 + 1e-4


def _outliers(rng, n, d):
    rows = rng.normal(size=(n, d))
    rows[:, rng.integers(0, d, 2)] += 20
    return rows


def _one_hot(rng, n, d):
    return np.eye(d)[rng.integers(0, d, n)] * rng.choice([-1.0, 1.0], (n, 1))


def _one_huge(rng, n, d):
    """One coordinate carries the row; the others are subnormal in either type, or nothing."""
    rows = rng.choice([0, 2.0**-24, 3e-7, -1e-41, 1e-30, -5e-5, 2e-4], (n, d))
    rows[np.arange(n), rng.integers(0, min(d, 3), n)] = rng.choice([-1.0, 1.0], n)
    return rows


def _ternary(rng, n, d):
    rows = rng.integers(-1, 2, (n, d)).astype(np.float64)
    rows[:, 0] += ~rows.any(axis=1)
    return rows


def _signs(rng, n, d):
    return rng.choice([-1.0, 1.0], (n, d))


def _copies(rng, n, d):
    return rng.normal(size=(3, d))[rng.integers(0, 3, n)]


def _equal(rng, n, d):
    return np.repeat(rng.normal(size=(1, d)), n, axis=0)


def _opposite(rng, n, d):
    return rng.normal(size=(1, d)) * rng.choice([-1.0, 1.0], (n, 1))


def _near(rng, n, d):
    """Scores agree in float32 or not, as it happens: the noise is that of its last bit."""
    return unit(rng.normal(size=(1, d)), np.float64) + rng.choice([3e-9, 1e-7, 1e-3]) * rng.normal(
        size=(n, d)
    )


FAMILIES = {
    "normal": _normal,
    "power_law": _power_law,
    "outliers": _outliers,
    "one_hot": _one_hot,
    "one_huge": _one_huge,
    "ternary": _ternary,
    "signs": _signs,
    "copies": _copies,
    "equal": _equal,
    "opposite": _opposite,
    "near": _near,
}


def draw_rows(rng, family, n, d, dtype, stretch=1.0):
    """Draw rows of a family, longer or shorter than 1 by ``stretch``."""
    rows = unit(FAMILIES[family](rng, n, d), np.float64) * stretch
    return rows.astype(dtype)
