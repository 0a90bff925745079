import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.eval.auditing.copies import match_pictures, tell_apart

HALF = 0x00FF00FF00FF00FF


def hashed(rows):
    """A table as ``fingerprint_pictures`` gives it, of digests and looks as whole numbers; a look of none is no picture."""
    return pa.table(
        {
            "uid": [f"{number:03}" for number in range(len(rows))],
            "digest": pa.array([bytes([digest] * 16) for digest, _ in rows], pa.binary(16)),
            "look": pa.array(
                [None if look is None else look.to_bytes(8, "big") for _, look in rows], pa.binary(8)
            ),
        }
    )


def slow(tests, rows, bits):
    found = set()
    for one, (digest, look) in enumerate(tests):
        for other, (its_digest, its_look) in enumerate(rows):
            if look is None or its_look is None:
                continue
            apart = (look ^ its_look).bit_count()
            informative = all(16 <= each.bit_count() <= 48 for each in (look, its_look))
            if digest == its_digest:
                found.add((f"{one:03}", f"{other:03}", True))
            if informative and apart <= bits:
                found.add((f"{one:03}", f"{other:03}", False))
    return found


pictures = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.none() | st.sampled_from([HALF, HALF ^ 1, HALF ^ 7, HALF ^ 0xFFFF, 0, 2**64 - 1, 1, HALF << 4]),
    ),
    max_size=8,
)


@given(pictures, pictures, st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_all_pairs_of_equal_files_or_like_looks_are_found(tests, rows, bits):
    rows = [(digest, None if look is None else look % 2**64) for digest, look in rows]
    tests = [(digest, None if look is None else look % 2**64) for digest, look in tests]
    found = match_pictures(hashed(tests), hashed(rows), bits)
    told = set(zip(*(found[name].to_pylist() for name in ("test", "uid", "same")), strict=True))
    assert told == slow(tests, rows, bits)


def test_pictures_with_nothing_on_them_are_alike_by_no_look():
    plain = np.array([[255] * 8, [0] * 8, [1] + [0] * 7], np.uint8)
    assert not tell_apart(plain).any()
    assert match_pictures(hashed([(1, 0)]), hashed([(2, 0)]), 4).num_rows == 0
    assert match_pictures(hashed([(1, 0)]), hashed([(1, 0)]), 4)["same"].to_pylist() == [True]


@pytest.mark.parametrize("bits", [0, 3])
def test_how_many_bits_are_apart_is_told(bits):
    found = match_pictures(hashed([(1, HALF)]), hashed([(2, HALF ^ 0b111)]), bits)
    assert found["bits"].to_pylist() == ([3] if bits else [])
