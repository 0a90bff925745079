import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from upath import UPath

from oddpair.errors import Refusal
from oddpair.retrieval.formats.arrays import open_array, require_unit, unit_rows

ROWS = np.random.default_rng(0).normal(size=(37, 6)).astype(np.float16)


def header(text, version=b"\x01\x00"):
    data = text.encode("latin1")
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(data)) + data


def write(path, array, *, compressed=False):
    """Write an array to ``.npy``, or as member ``rows`` of an ``.npz`` with another beside it."""
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        (np.savez_compressed if compressed else np.savez)(path, other=np.zeros((3, 2)), rows=array)
    return path


def opened(path):
    return open_array(path, None if path.suffix == ".npy" else "rows")


def read_in(array, size):
    with array.reading() as read:
        stops = range(0, array.shape[0], size)
        return np.concatenate([read(start, min(start + size, array.shape[0])) for start in stops])


@pytest.mark.parametrize("size", [1, 5, 36, 37])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("file", ["a.npy", "a.npz", "packed.npz"])
def test_43_any_float_type_and_order_is_read_as_numpy_reads_it(tmp_path, file, dtype, order, size):
    path = write(tmp_path / file, np.array(ROWS, dtype=dtype, order=order), compressed=file[0] == "p")
    array = opened(path)
    assert (array.shape, array.dtype, array.fortran) == ((37, 6), np.dtype(dtype), order == "F")
    found = read_in(array, size)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    loaded = np.load(path)
    expected = loaded if file == "a.npy" else loaded["rows"]
    assert np.array_equal(found, expected.astype(np.float32))
    assert np.array_equal(array.rows(10, 10), np.empty((0, 6)))
    assert np.array_equal(array.rows(30, 37), ROWS[30:].astype(np.float32))
    assert np.array_equal(array.rows(0, 2), ROWS[:2].astype(np.float32))


@pytest.mark.parametrize("file", ["a.npy", "a.npz"])
def test_a_remote_array_is_read_as_a_local_one(tmp_path, file):
    remote = UPath("memory://test_arrays") / file
    remote.parent.mkdir(parents=True, exist_ok=True)
    remote.write_bytes(write(tmp_path / file, ROWS).read_bytes())
    assert np.array_equal(opened(remote).rows(3, 9), ROWS[3:9].astype(np.float32))
    with pytest.raises(Refusal, match=r"none\.npy does not exist"):
        open_array(remote.parent / "none.npy")


def test_rows_that_are_not_there_are_the_callers_error(tmp_path):
    array = open_array(write(tmp_path / "a.npy", ROWS))
    for start, stop in ((-1, 3), (5, 4), (30, 38)):
        with pytest.raises(ValueError, match=rf"rows {start} to {stop}, needed 0 <= start <= stop <= 37"):
            array.rows(start, stop)


@pytest.mark.parametrize("file", ["a.npy", "a.npz"])
@pytest.mark.parametrize(
    ("array", "told"),
    [
        pytest.param(np.arange(12).reshape(3, 4), "holds '<i8', needed float16", id="43-integers"),
        pytest.param(np.ones((3, 4), dtype=complex), "holds '<c16', needed float16", id="43-complex"),
        pytest.param(np.ones((3, 4), dtype=np.longdouble), "needed float16", id="43-long-double"),
        pytest.param(np.ones((3, 4), dtype=bool), "holds '|b1'", id="43-boolean"),
        pytest.param(np.zeros(3, dtype="<u8,<u8"), "holds [('f0', '<u8'), ('f1', '<u8')]", id="43-structured"),
        pytest.param(np.ones(4, dtype=np.float16), "has shape (4,), needed (rows, dimension)", id="43-one-axis"),
        pytest.param(np.ones((2, 3, 4), dtype=np.float16), "has shape (2, 3, 4)", id="43-three-axes"),
        pytest.param(np.float16(1), "has shape ()", id="43-no-axis"),
        pytest.param(np.ones((3, 0), dtype=np.float16), "has shape (3, 0)", id="43-no-dimension"),
        pytest.param(
            np.ones((2, 65_537), dtype=np.float16), "rows of dimension 65,537, needed at most 65,536", id="43-wide"
        ),
    ],
)  # fmt: skip
def test_what_is_no_table_of_floats_is_refused_by_what_it_is(tmp_path, file, array, told):
    path = write(tmp_path / file, array)
    with pytest.raises(Refusal) as refused:
        opened(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("file", ["a.npy", "a.npz"])
def test_45_an_array_of_objects_is_refused_and_runs_no_code(tmp_path, file):
    path = write(tmp_path / file, np.array([[Bomb(), 1]], dtype=object))
    with pytest.raises(Refusal, match=r"holds pickled Python objects, needed plain numbers"):
        opened(path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(b"", "no .npy file, or damaged at its head", id="44-empty"),
        pytest.param(b"<!doctype html>", "no .npy file", id="44-html"),
        pytest.param(header("{'descr': '<f2'}"), "damaged at its head", id="44-half-a-header"),
        pytest.param(b"\x93NUMPY\x01\x00\xff\xff{", "damaged at its head", id="44-cut-header"),
        pytest.param(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "damaged at its head", id="44-header-of-4-GB"),
        pytest.param(b"\x93NUMPY\x09\x00" + b" " * 99, "damaged at its head", id="44-version-9"),
        pytest.param(
            header("{'descr': '<f2', 'fortran_order': False, 'shape': (1000000000000, 1000), }"),
            "needs 2,000,000,000,000,000: ",
            id="44-claims-2-PB",
        ),
        pytest.param(
            header("{'descr': '<f2', 'fortran_order': True, 'shape': (%s, 8), }" % ("9" * 4000)),
            "damaged at its head",
            id="44-claims-more-than-a-number-has-digits",
        ),
        pytest.param(
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }") + bytes(63),
            "holds 63 bytes of data, its header (shape (2, 4), float64) needs 64",
            id="44-cut-by-one-byte",
        ),
        pytest.param(
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }") + bytes(65),
            "holds 65 bytes of data",
            id="44-longer-than-it-says",
        ),
    ],
)
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_damaged_array_is_refused_before_memory_is_taken(tmp_path, data, told, ending):
    path = tmp_path / f"a.{ending}"
    if ending == "npy":
        path.write_bytes(data)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("rows.npy", data)
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as refused:
            opened(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert told in str(refused.value)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 200), bit=st.integers(0, 7), cut=st.none() | st.integers(0, 600))
@example(place=6, bit=0, cut=None)
def test_44_a_flipped_bit_or_a_cut_is_refused_or_changes_what_numpy_reads_too(
    tmp_path_factory, place, bit, cut
):
    path = write(tmp_path_factory.mktemp("flip") / "a.npy", ROWS)
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data[:cut])
    try:
        array = open_array(path)
    except Refusal:
        return
    expected = np.load(path)
    assert array.dtype == expected.dtype
    with np.errstate(all="ignore"):
        assert np.array_equal(array.rows(0, array.shape[0]), expected.astype(np.float32), equal_nan=True)


@settings(max_examples=300, deadline=None)
@given(
    place=st.integers(0, 1_500),
    bit=st.integers(0, 7),
    cut=st.none() | st.integers(0, 1_500),
    packed=st.booleans(),
)
def test_44_a_flipped_bit_or_a_cut_in_an_npz_never_gives_other_numbers(
    tmp_path_factory, place, bit, cut, packed
):
    path = write(tmp_path_factory.mktemp("flip") / "a.npz", ROWS, compressed=packed)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data[:cut])
    try:
        found = read_in(opened(path), 10)
    except Refusal:
        return
    assert np.array_equal(found, ROWS.astype(np.float32))


def test_headers_of_other_writers_are_read(tmp_path):
    data = ROWS.tobytes()
    for text in (
        "{'descr': '<f2', 'fortran_order': False, 'shape': (37, 6)}\n",
        "{'shape': (37L, 6L), 'fortran_order': False, 'descr': '<f2'}   \n",
    ):
        for version in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
            (tmp_path / "a.npy").write_bytes(header(text, version) + data)
            assert np.array_equal(open_array(tmp_path / "a.npy").rows(0, 37), ROWS.astype(np.float32))


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_file_cut_after_it_was_opened_is_refused_when_it_is_read(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", ROWS)
    array = opened(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(Refusal, match=r"was cut short while it was read|is damaged \("):
        array.rows(0, 37)


def test_a_member_that_is_not_there_or_not_as_numpy_packs_it_is_refused(tmp_path):
    path = write(tmp_path / "a.npz", ROWS)
    with pytest.raises(Refusal, match=r"holds array 'l14_img' nowhere, only other, rows: "):
        open_array(path, "l14_img")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("rows.npy", b"")
    with pytest.raises(Refusal, match=r"\(rows\) is .*as numpy packs them: write it with numpy.savez"):
        open_array(path, "rows")
    (tmp_path / "b.npz").write_bytes(b"<!doctype html>")
    with pytest.raises(
        Refusal, match=r"b.npz \(rows\) is damaged \(File is not a zip file\): fetch it again"
    ):
        open_array(tmp_path / "b.npz", "rows")
    with pytest.raises(Refusal, match=r"c.npz does not exist"):
        open_array(tmp_path / "c.npz", "rows")
    with pytest.raises(Refusal, match=f"{tmp_path} cannot be read"):
        open_array(tmp_path)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_is_that_of_the_batch_and_not_of_the_file(tmp_path, order):
    rows = np.zeros((40_000, 16), dtype=np.float32, order=order)
    array = open_array(write(tmp_path / "a.npy", rows))
    tracemalloc.start()
    try:
        with array.reading() as read:
            for start in range(0, 40_000, 1_000):
                read(start, start + 1_000)
        assert tracemalloc.get_traced_memory()[1] < rows.nbytes / 8
    finally:
        tracemalloc.stop()


def slow_unit(rows):
    return np.stack(
        [row / np.sqrt(sum(float(value) ** 2 for value in row)) for row in rows.astype(np.float64)]
    )


def test_rows_are_divided_by_their_norms():
    rows = ROWS.astype(np.float32)
    unit, bad = unit_rows(rows)
    assert bad == {}
    assert unit.dtype == np.float32
    assert np.abs(unit - slow_unit(rows)).max() < 1e-7
    assert np.array_equal(rows, ROWS.astype(np.float32)), "the rows given were changed"


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 60_000, 1e37])
def test_40_norms_that_overflow_in_16_or_32_bits_do_not(scale):
    rows = np.array([[1, 1, 1, 1], [0, -1, 0, 0]], dtype=np.float32) * np.float32(scale)
    unit, bad = unit_rows(rows)
    assert bad == {}
    assert unit.tolist() == [[0.5] * 4, [0, -1, 0, 0]]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(np.nan, "embedding holds NaN or an infinity", id="38-NaN"),
        pytest.param(np.inf, "embedding holds NaN or an infinity", id="38-infinity"),
        pytest.param(-np.inf, "embedding holds NaN or an infinity", id="38-minus-infinity"),
        pytest.param(0, "embedding is 0 throughout", id="39-zero"),
        pytest.param(-0.0, "embedding is 0 throughout", id="39-minus-zero"),
    ],
)
def test_rows_without_direction_are_told_and_touch_no_other(value, reason):
    rows = ROWS.astype(np.float32)
    rows[5] = 0
    rows[5, 2] = value
    unit, bad = unit_rows(rows)
    assert bad == {5: reason}
    assert unit[5].tolist() == [0] * 6
    others = np.arange(37) != 5
    assert np.array_equal(unit[others], unit_rows(rows[others])[0])


def test_38_float64_too_large_for_float32_is_infinite_and_so_bad(tmp_path):
    path = write(tmp_path / "a.npy", np.array([[1e300, 0], [0, 1]]))
    assert unit_rows(open_array(path).rows(0, 2))[1] == {0: "embedding holds NaN or an infinity"}


def test_unit_rows_of_nothing_are_nothing():
    unit, bad = unit_rows(np.empty((0, 4), dtype=np.float32))
    assert (unit.shape, bad) == ((0, 4), {})
    require_unit(unit, "a.npy")


def test_47_rows_that_were_not_normalised_are_refused_and_what_16_bits_do_is_not():
    rows = np.random.default_rng(1).normal(size=(100, 512)).astype(np.float32)
    unit = unit_rows(rows)[0]
    require_unit(unit.astype(np.float16).astype(np.float32), "a.npy")
    with pytest.raises(
        Refusal, match=r"a.npy holds rows that are not of length 1 \(100 of the first 100, one of"
    ):
        require_unit(rows, "a.npy")
    mixed = np.concatenate([unit[:50], rows[:50]])
    require_unit(mixed, "a.npy")
    with pytest.raises(Refusal, match=r"\(51 of the first 100.*encode_image\(…, normalize=True\)"):
        require_unit(np.concatenate([unit[:49], rows[:51]]), "a.npy")
    mixed[50:] = np.nan
    mixed[:2] = 0
    require_unit(mixed, "a.npy")
