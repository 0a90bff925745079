import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.brute_force import draw_names, unit
from tests.retrieval.stored_folder import ENCODER, write_manifest, write_stored

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.stored import open_stored

SIZES = st.lists(st.integers(0, 5), min_size=1, max_size=6)


def draw(folder, sizes, d=6, seed=0, kind="img_emb"):
    rng = np.random.default_rng(seed)
    rows, uids = unit(rng.normal(size=(sum(sizes), d)), np.float16), draw_names(rng, sum(sizes))
    write_stored(folder, rows, uids, sizes, kind)
    return rows, uids


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES, data=st.data())
def test_rows_uids_and_captions_are_those_of_the_files_joined(tmp_path_factory, sizes, data):
    folder = tmp_path_factory.mktemp("stored")
    rows, uids = draw(folder, sizes)
    stored = open_stored(folder)
    n = sum(sizes)
    assert (stored.shape, stored.start, stored.encoder) == ((n, 6), 0, ENCODER)
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    found = stored.read(start, stop)
    assert found.dtype == np.float16
    assert found.shape == (stop - start, 6)
    assert found.flags.c_contiguous
    assert found.tobytes() == rows[start:stop].tobytes()
    wanted = data.draw(st.lists(st.integers(0, n - 1), max_size=8)) if n else []
    assert stored.uids(np.array(wanted, dtype=np.int64)) == [uids[row] for row in wanted]
    assert stored.captions(np.array(wanted, dtype=np.int64)) == [f"caption of {uids[row]}" for row in wanted]


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES, data=st.data())
def test_a_range_of_shards_is_numbered_from_zero_and_knows_where_it_starts(tmp_path_factory, sizes, data):
    folder = tmp_path_factory.mktemp("range")
    rows, uids = draw(folder, sizes)
    first = data.draw(st.integers(0, len(sizes)))
    last = data.draw(st.none() | st.integers(first, len(sizes)))
    # Ranges are those of the whole folder, whichever they are taken from.
    part = open_stored(folder).only(0, 1).only(first, last)
    n = sum(sizes[first:last])
    assert (part.shape, part.start) == ((n, 6), sum(sizes[:first]))
    assert part.read(0, n).tobytes() == rows[part.start : part.start + n].tobytes()
    assert part.uids(np.arange(n)) == uids[part.start : part.start + n]
    places = [
        f"{folder / 'img_emb' / f'img_emb_{shard:04d}.npy'} row {row}"
        for shard in range(len(sizes))[first:last]
        for row in range(sizes[shard])
    ]
    assert [part.tell_place(row) for row in range(n)] == places


def test_captions_have_rows_of_their_own(tmp_path):
    rows, uids = draw(tmp_path, [2, 3], kind="text_emb")
    stored = open_stored(tmp_path, "text_emb")
    assert stored.read(1, 4).tobytes() == rows[1:4].tobytes()
    assert stored.tell_place(4) == f"{tmp_path}/text_emb/text_emb_0001.npy row 2"
    assert stored.uids(np.array([4])) == [uids[4]]


def test_rows_that_are_not_there_are_an_error(tmp_path):
    draw(tmp_path, [2, 3])
    stored = open_stored(tmp_path)
    for start, stop in ((0, 6), (-1, 2), (3, 2)):
        with pytest.raises(ValueError, match=f"rows {start} to {stop}, needed 0 <= start <= stop <= 5"):
            stored.read(start, stop)
    with pytest.raises(ValueError, match="rows 0 to 3"):
        stored.only(0, 1).read(0, 3)


def test_several_threads_read_at_once(tmp_path):
    rows, uids = draw(tmp_path, [7, 0, 40, 3, 50], d=33)
    stored = open_stored(tmp_path)

    def look(seed):
        start, stop = sorted(np.random.default_rng(seed).integers(0, 101, 2).tolist())
        assert stored.read(start, stop).tobytes() == rows[start:stop].tobytes()
        assert stored.uids(np.arange(start, stop)) == uids[start:stop]
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, range(200)))


def test_a_folder_that_was_made_again_is_read_again(tmp_path):
    digests = set()
    for seed in (0, 1):
        rows, uids = draw(tmp_path, [3, 2], seed=seed)
        write_manifest(tmp_path, seed=seed)
        stored = open_stored(tmp_path)
        assert stored.uids(np.arange(5)) == uids
        assert stored.read(0, 5).tobytes() == rows.tobytes()
        digests.add(stored.digest)
    # The hashes of all parts are in done.json: other rows under the same manifest are another folder's.
    for part in ("one", "another"):
        files.write_json(tmp_path / "done.json", part)
        digests.add(open_stored(tmp_path).digest)
    assert len(digests) == 4


def part(folder, shard=1):
    return folder / "img_emb" / f"img_emb_{shard:04d}.npy"


def cut(folder):
    part(folder).write_bytes(part(folder).read_bytes()[:-1])


def lengthen(folder):
    part(folder).write_bytes(part(folder).read_bytes() + b"\0\0")


def rewrite(change):
    def apply(folder):
        np.save(part(folder), change(np.load(part(folder))))

    return apply


DAMAGE = {
    "no-manifest": (lambda folder: (folder / "manifest.json").unlink(), r"manifest\.json"),
    "manifest-cut": (lambda folder: (folder / "manifest.json").write_text('{"rows": ['), r"manifest\.json"),
    "manifest-of-another": (
        lambda folder: (folder / "manifest.json").write_text("{}"),
        "is no manifest of oddpair",
    ),
    "manifest-a-list": (
        lambda folder: (folder / "manifest.json").write_text("[]"),
        "is no manifest of oddpair",
    ),
    "rows-not-numbers": (lambda folder: write_manifest(folder, rows="three"), r"manifest\.json"),
    "rows-negative": (lambda folder: write_manifest(folder, rows=[3, -3]), r"manifest\.json|0001"),
    "dimensions-not-by-name": (lambda folder: write_manifest(folder, dimensions=[6]), r"manifest\.json"),
    "no-pictures": (
        lambda folder: write_manifest(folder, dimensions={"text_emb": 6}),
        "no embeddings of pictures",
    ),
    "other-rows": (
        lambda folder: write_manifest(folder, rows=[3, 2]),
        r"0001\.npy holds float16 of shape \(3, 6\)",
    ),
    "other-dimension": (
        lambda folder: write_manifest(folder, dimensions={"img_emb": 5}),
        r"0000\.npy holds float16 of shape \(3, 6\), its manifest says float16 of \(3, 5\)",
    ),
    "part-missing": (lambda folder: part(folder).unlink(), r"img_emb_0001\.npy does not exist"),
    "part-cut": (cut, r"img_emb_0001\.npy holds 35 bytes of data"),
    "part-cut-at-its-head": (lambda folder: part(folder).write_bytes(b"\x93NUMPY"), r"img_emb_0001\.npy"),
    "part-empty": (lambda folder: part(folder).write_bytes(b""), r"img_emb_0001\.npy"),
    "part-too-long": (lengthen, r"img_emb_0001\.npy holds 38 bytes of data"),
    "part-float32": (rewrite(lambda rows: rows.astype("<f4")), r"img_emb_0001\.npy holds float32"),
    "part-of-another-byte-order": (rewrite(lambda rows: rows.astype(">f2")), r"img_emb_0001\.npy holds >f2"),
    "part-of-integers": (rewrite(lambda rows: rows.view("<i2")), r"img_emb_0001\.npy holds .*i2"),
    "part-by-columns": (rewrite(np.asfortranarray), r"img_emb_0001\.npy"),
    "part-with-a-row-more": (rewrite(lambda rows: rows.repeat(2, axis=0)), r"img_emb_0001\.npy .*\(6, 6\)"),
    "part-wider": (rewrite(lambda rows: rows.repeat(2, axis=1)), r"img_emb_0001\.npy .*\(3, 12\)"),
    "part-flat": (rewrite(np.ravel), r"img_emb_0001\.npy has shape \(18,\)"),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_folder_is_refused_before_a_row_is_read(tmp_path, damage):
    draw(tmp_path, [3, 3])
    spoil, message = DAMAGE[damage]
    spoil(tmp_path)
    with pytest.raises(Refusal, match=message) as refusal:
        open_stored(tmp_path)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("lost", [1, 12, 64, 100, 128, 150, 500, 10_000])
def test_a_part_that_was_cut_after_it_was_opened_is_refused_and_never_read_shifted(tmp_path, lost):
    draw(tmp_path, [3, 100], d=32)
    stored = open_stored(tmp_path)
    os.truncate(part(tmp_path), max(0, part(tmp_path).stat().st_size - lost))
    with pytest.raises(Refusal, match=r"img_emb_0001\.npy"):
        stored.read(0, 103)


def test_a_part_that_grew_after_it_was_opened_is_refused_or_read_as_it_was(tmp_path):
    rows, _ = draw(tmp_path, [3, 3])
    stored = open_stored(tmp_path)
    lengthen(tmp_path)
    found: object = None
    with contextlib.suppress(Refusal):
        found = stored.read(0, 6).tobytes()
    assert found in (None, rows.tobytes())


def test_a_part_that_goes_away_after_it_was_opened_is_refused(tmp_path):
    draw(tmp_path, [3, 3])
    stored = open_stored(tmp_path)
    part(tmp_path).unlink()
    assert len(stored.read(0, 3)) == 3
    with pytest.raises(Refusal, match=r"img_emb_0001\.npy"):
        stored.read(0, 4)


def test_uids_of_another_number_than_the_rows_are_refused(tmp_path):
    draw(tmp_path, [3, 3])
    table = tmp_path / "metadata" / "metadata_0001.parquet"
    names = pa.array(["a", "b"])
    files.write_table(table, pa.table({"image_path": names, "caption": names, "uid": names}))
    stored = open_stored(tmp_path)
    assert len(stored.uids(np.array([0, 2]))) == 2
    with pytest.raises(Refusal, match=r"metadata_0001\.parquet has 2 rows, its manifest says 3: embed again"):
        stored.uids(np.array([0, 3]))


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1")])
def test_uids_that_cannot_be_read_are_refused_with_their_file(tmp_path, spoil):
    draw(tmp_path, [3, 3])
    spoil(tmp_path / "metadata" / "metadata_0001.parquet")
    with pytest.raises(Refusal, match=r"metadata_0001\.parquet"):
        open_stored(tmp_path).captions(np.array([4]))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "c"]),
        pa.array([1, 2, 3]),
        pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers()).take(pa.array([0, 0, 0])),
    ],
    ids=["null", "number", "no-utf-8"],
)
def test_a_uid_that_is_no_text_is_refused_by_its_file(tmp_path, column):
    draw(tmp_path, [3], seed=0)
    write_manifest(tmp_path, seed=0)
    path = part_path(tmp_path, "metadata", 0, 1)
    pq.write_table(pa.table({"uid": column}), path)
    with pytest.raises(Refusal, match=r"metadata_0000\.parquet"):
        open_stored(tmp_path).uids(np.arange(3))
