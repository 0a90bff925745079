import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.subset import UID_TYPE, load_subset, parse_uids, write_subset

FIXTURES = Path(__file__).parents[1] / "fixtures"

# Few values for the halves, so that uids share one half without being the same.
halves = st.sampled_from([0, 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
uids = st.builds("{:016x}{:016x}".format, halves, halves)


def as_datacomp_writes(path, taken):
    pairs = np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in taken], dtype=np.dtype("u8,u8"))
    pairs.sort()
    np.save(path, pairs)
    return path


@settings(max_examples=80, deadline=None)
@given(taken=st.lists(uids, min_size=1), asked=st.lists(uids))
def test_copies_are_those_that_a_dictionary_counts(tmp_path_factory, taken, asked):
    path = as_datacomp_writes(tmp_path_factory.getbasetemp() / "subset.npy", taken)
    counted = Counter(taken)
    subset = load_subset(path)
    asked = asked + taken
    assert subset.find(asked).tolist() == [counted[uid] for uid in asked]
    assert len(subset) == len(counted)
    assert subset.copies.sum() == len(taken)


@settings(max_examples=50, deadline=None)
@given(st.lists(uids, min_size=1), st.data())
def test_what_is_written_is_what_datacomp_writes(tmp_path_factory, taken, data):
    folder = tmp_path_factory.getbasetemp()
    copies = data.draw(st.lists(st.integers(0, 3), min_size=len(taken), max_size=len(taken)))
    write_subset(folder / "ours.npy", taken, copies)
    repeated = [uid for uid, times in zip(taken, copies, strict=True) for _ in range(times)]
    theirs = as_datacomp_writes(folder / "theirs.npy", repeated)
    assert (folder / "ours.npy").read_bytes() == theirs.read_bytes()


def test_the_fixture_of_datacomp_is_read(tmp_path):
    subset = load_subset(FIXTURES / "datacomp-subset.npy")
    pairs = np.load(FIXTURES / "datacomp-subset.npy")
    assert sorted(subset.copies.tolist()) == [1, 2]
    names = [f"{upper:016x}{lower:016x}" for upper, lower in pairs.tolist()]
    assert subset.find(sorted(set(names))).tolist() == [Counter(names)[name] for name in sorted(set(names))]


def test_files_without_a_header_or_order_hold_the_same_subset(tmp_path):
    taken = [f"{value:032x}" for value in (5, 3 << 64, 5, 2**128 - 1)]
    known = load_subset(as_datacomp_writes(tmp_path / "a.npy", taken))
    pairs = np.load(tmp_path / "a.npy")
    pairs.tofile(tmp_path / "raw")
    np.save(tmp_path / "turned.npy", pairs[::-1])
    np.save(tmp_path / "swapped.npy", pairs.astype([("x", ">u8"), ("y", ">u8")]))
    for name in ("raw", "turned.npy", "swapped.npy"):
        found = load_subset(tmp_path / name)
        assert found.uids.dtype == UID_TYPE
        assert found.uids.tolist() == known.uids.tolist() == [(0, 5), (3, 0), (2**64 - 1, 2**64 - 1)]
        assert found.copies.tolist() == known.copies.tolist() == [2, 1, 1]
        assert found.sha256 == known.sha256


def test_the_hash_is_of_uids_and_copies(tmp_path):
    write_subset(tmp_path / "a", [f"{1:032x}", f"{2:032x}"], [1, 2])
    expected = np.array([0, 1, 0, 2], "<u8").tobytes() + np.array([1, 2], "<i8").tobytes()
    assert load_subset(tmp_path / "a").sha256 == hashlib.sha256(expected).hexdigest()
    write_subset(tmp_path / "b", [f"{1:032x}", f"{2:032x}"], [2, 1])
    assert load_subset(tmp_path / "b").sha256 != hashlib.sha256(expected).hexdigest()


def test_ids_may_be_an_arrow_array_or_a_part_of_one():
    texts = pa.array([f"{value:032x}" for value in range(10)])
    expected = [(0, value) for value in range(3, 7)]
    assert parse_uids(texts.slice(3, 4)).tolist() == expected
    assert parse_uids(pa.chunked_array([texts.slice(3, 2), texts.slice(5, 2)])).tolist() == expected
    assert parse_uids(pa.chunked_array([], pa.string())).tolist() == []


@pytest.mark.parametrize(
    "wrong", ["", "0" * 16, "0" * 31 + "g", "0" * 31 + "A", " " + "0" * 31, "é" * 16, None]
)
def test_an_id_that_no_subset_can_hold_is_refused(wrong):
    with pytest.raises(Refusal, match=r"is not 32 lower-case hex digits") as found:
        parse_uids(["0" * 32, wrong, "0" * 32])
    assert str(found.value).startswith(f"uid {wrong!r} ")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"holds float64 of shape \(3,\), needed pairs"),
        (np.zeros((3, 2), np.uint64), "needed pairs"),
        (np.zeros(2, "u8,i8"), "needed pairs"),
        (np.zeros(2, "u8,u8,u8"), "needed pairs"),
        (np.zeros(0, "u8,u8"), "holds no uid"),
    ],
)
def test_another_array_is_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(Refusal, match=message):
        load_subset(tmp_path / "a.npy")


def test_44_a_subset_that_was_cut_is_refused(tmp_path):
    path = as_datacomp_writes(tmp_path / "a.npy", [f"{value:032x}" for value in range(9)])
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(Refusal, match="holds 136 bytes of data"):
        load_subset(path)
    (tmp_path / "raw").write_bytes(bytes(40))
    with pytest.raises(Refusal, match="holds 40 bytes, needed 16 for each uid"):
        load_subset(tmp_path / "raw")


def test_45_a_pickled_subset_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(Refusal, match="pickled"):
        load_subset(tmp_path / "a.npy")


def test_a_missing_subset_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"subset\.npy cannot be read \(No such file"):
        load_subset(tmp_path / "subset.npy")


@pytest.mark.parametrize("copies", [[1], [1, -1]])
def test_copies_that_do_not_fit_are_an_error(tmp_path, copies):
    with pytest.raises(ValueError, match="numbers of copies for 2 uids"):
        write_subset(tmp_path / "a", ["0" * 32] * 2, copies)
