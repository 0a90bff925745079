"""Faults of tars, for shards with a table and for tars alone: nothing wrong is kept, everything is counted."""

import gzip
import hashlib
import io
import json
import re
import tarfile
import tracemalloc
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from oddpair.errors import Refusal
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.tar_headers import BLOCK
from oddpair.retrieval.formats.webdataset import open_webdataset
from oddpair.retrieval.places import Place
from oddpair.retrieval.samples import NO_CAPTION, Bad

OPENERS = {"img2dataset": open_img2dataset, "webdataset": open_webdataset}
KEYS = [f"{row:09d}" for row in range(5)]
CAPTIONS = {key: f"caption {key} größer" for key in KEYS}
END = 2 * bytes(BLOCK)
SPARSE = b"35 GNU.sparse.realsize=20000000000\n"


def picture(seed):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


IMAGES = {key: picture(row) for row, key in enumerate(KEYS)}


def row_of(key):
    digest = hashlib.sha256(IMAGES[key]).hexdigest()
    row = {"uid": f"uid {key}", "caption": CAPTIONS[key], "url": "", "key": key, "status": "success"}
    return {**row, "width": None, "sha256": digest}


def members(keys=KEYS):
    for key in keys:
        yield f"{key}.jpg", IMAGES[key]
        yield f"{key}.json", json.dumps(row_of(key)).encode()
        yield f"{key}.txt", CAPTIONS[key].encode()


def archive(pairs, kind=tarfile.USTAR_FORMAT, **fields):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        for name, data in pairs:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime = fields.get("mtime", 0)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


WHOLE = archive(members())
PAX = archive(members(), tarfile.PAX_FORMAT, mtime=0.25)
with tarfile.open(fileobj=io.BytesIO(WHOLE)) as _tar:
    OFFSETS = {info.name: info.offset for info in _tar}
LAST = (OFFSETS["000000004.txt"] + BLOCK + len(CAPTIONS["000000004"].encode()) + BLOCK - 1) // BLOCK * BLOCK


def open_layout(layout, folder):
    names = sorted(path.name for path in folder.iterdir())
    chosen = [name for name in names if layout == "img2dataset" or not name.endswith(".parquet")]
    return OPENERS[layout](Place(root=folder, names=tuple(chosen)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shard 00000 for the faults, and 00001 that stays whole."""
    folder = tmp_path_factory.mktemp("shards")
    schema = pa.schema([*((name, pa.string()) for name in row_of(KEYS[0]))])
    schema = schema.set(schema.get_field_index("width"), pa.field("width", pa.int32()))
    for shard in ("00000", "00001"):
        (folder / f"{shard}.tar").write_bytes(WHOLE)
        pq.write_table(
            pa.Table.from_pylist(list(map(row_of, KEYS)), schema=schema), folder / f"{shard}.parquet"
        )
        (folder / f"{shard}_stats.json").write_text(json.dumps({"successes": 5}))
    return folder


@pytest.fixture(scope="module", params=list(OPENERS))
def source(request, folder):
    return open_layout(request.param, folder)


def check(source, *, captions=True):
    """Read shard 00000 both ways; return the keys kept and what was set aside, the sums being right."""
    batches = list(source.scan("00000"))
    scanned = [key for batch in batches for key in batch.table["key"].to_pylist()]
    assert len(scanned) + sum(bad.rows for batch in batches for bad in batch.bad) == source.sizes[0]
    found = list(source.stream("00000"))
    kept = [sample for sample in found if not isinstance(sample, Bad)]
    bads = [bad for bad in found if isinstance(bad, Bad)]
    assert len(kept) + sum(bad.rows for bad in bads) == source.sizes[0]
    for sample in kept:
        assert sample.image == IMAGES[sample.key]
        if captions:
            assert (sample.caption, sample.uid) == (CAPTIONS[sample.key], f"uid {sample.key}")
    keys = [sample.key for sample in kept]
    assert [key for key in scanned if key in keys] == keys
    return keys, bads


def read(source, data):
    (source.root / "00000.tar").write_bytes(data)
    return check(source)


def flipped(data, place, bit=0):
    data = bytearray(data)
    data[place] ^= 1 << bit
    return bytes(data)


def zeroed(data, start):
    return data[:start] + bytes(len(data[start : start + 4096])) + data[start + 4096 :]


def header(name, kind=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.USTAR_FORMAT)


def test_a_whole_tar_gives_every_sample(source):
    for data in (WHOLE, PAX, archive(members(), tarfile.GNU_FORMAT), WHOLE + bytes(100)):
        assert read(source, data) == (KEYS, [])


def test_long_names_are_followed_in_every_format(source):
    # The member is named twice: by the extended header, and cut off in its own.
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        pairs = [("x" * 150 + ".pkl", b"cos\nsystem\n"), *members()]
        assert read(source, archive(pairs, kind)) == (KEYS, [])


SHARD = [
    pytest.param(
        WHOLE[: OFFSETS["000000003.jpg"]],
        "ends at byte .*last good key is 000000002",
        id="1-cut-at-member-boundary",
    ),
    pytest.param(
        WHOLE[: OFFSETS["000000003.jpg"] + 700],
        r"ends at byte \d+ inside 000000003.jpg.*last good key is 000000002",
        id="2-cut-in-payload",
    ),
    pytest.param(
        WHOLE[: OFFSETS["000000004.json"]],
        "ends at byte .*last good key is 000000003",
        id="3-cut-between-jpg-and-txt",
    ),
    pytest.param(WHOLE[: OFFSETS["000000003.jpg"] + 100], r"ends at byte \d+ after", id="1-cut-in-a-header"),
    pytest.param(zeroed(WHOLE, OFFSETS["000000001.jpg"]), "data after the end mark", id="5-zeroed-page"),
    pytest.param(flipped(WHOLE, OFFSETS["000000002.txt"] + 3), "damaged at byte", id="6-header-bit-flip"),
    pytest.param(b"", "ends at byte 0", id="8-empty"),
    pytest.param(b"x", "ends at byte 1 ", id="8-one-byte"),
    pytest.param(b"<html>gone</html>" * 100, "no tar", id="8-html"),
    pytest.param(
        header("000000000.jpg", tarfile.GNUTYPE_SPARSE, size=512) + bytes(512) + END,
        "sparse",
        id="10-sparse-bomb",
    ),
    pytest.param(
        header("x", tarfile.XHDTYPE, size=len(SPARSE)) + SPARSE.ljust(BLOCK, b"\0") + END,
        "holds a sparse member",
        id="10-sparse-bomb-in-pax",
    ),
    pytest.param(
        header("000000000.jpg", size=8**11 - 1) + END, "ends at byte 1536 inside", id="10-claims-8-gigabytes"
    ),
    pytest.param(
        header("000000000.jpg", tarfile.LNKTYPE, size=512) + bytes(512) + END,
        "unknown kind",
        id="12-link-with-content",
    ),
    pytest.param(WHOLE + WHOLE, "data after the end mark", id="5-two-archives"),
    pytest.param(
        archive([*members(), ("000000009.jpg", IMAGES[KEYS[0]])]),
        "holds 6 samples",
        id="a-sample-that-the-table-lacks",
    ),
]


@pytest.mark.parametrize(("data", "reason"), SHARD)
def test_a_damaged_structure_sets_the_shard_aside_with_the_reason(source, data, reason):
    keys, bads = read(source, data)
    assert keys == []
    assert [(bad.file, bad.rows) for bad in bads] == [("00000.tar", 5)]
    assert re.search(reason, bads[0].reason)


def without(*names):
    return archive((name, data) for name, data in members() if name not in names)


def instead(name, data):
    return archive((found, data if found == name else content) for found, content in members())


def special(kind, name="000000002.jpg"):
    """The picture of a sample given as something that is no file."""
    start, stop = OFFSETS["000000002.jpg"], OFFSETS["000000002.json"]
    return WHOLE[:start] + header(name, kind, linkname="/etc/passwd") + WHOLE[stop:]


def renamed(name):
    return archive((name if found == "000000002.jpg" else found, data) for found, data in members())


def test_a_sample_that_lacks_its_txt_is_set_aside_where_the_table_has_its_caption(folder):
    # Case 3.
    keys, bads = read(open_layout("img2dataset", folder), without("000000002.txt"))
    assert keys == [key for key in KEYS if key != "000000002"]
    assert [bad.reason for bad in bads] == ["sample 000000002 holds no txt, its table has a caption"]
    # What the json says, the table says too.
    assert read(open_layout("img2dataset", folder), without("000000002.json")) == (KEYS, [])


def test_a_sample_that_lacks_its_txt_has_the_caption_of_its_json_or_none(folder):
    # Case 3.
    source = open_layout("webdataset", folder)
    assert read(source, without("000000002.txt")) == (KEYS, [])
    keys, bads = read(source, without("000000002.txt", "000000002.json"))
    assert keys == [key for key in KEYS if key != "000000002"]
    uid = hashlib.sha256(IMAGES["000000002"]).hexdigest()[:32]
    assert [(bad.uid, bad.offset, bad.reason) for bad in bads] == [
        (uid, OFFSETS["000000002.jpg"], NO_CAPTION)
    ]


def test_a_picture_in_a_folder_is_another_sample(source):
    # Case 11.
    keys, bads = read(source, renamed("a/000000002.jpg"))
    assert keys == []
    assert "holds 6 samples" in bads[0].reason


SECOND = list(members(["000000002"]))
SAMPLE = [
    pytest.param(without("000000002.jpg"), "holds 0 pictures", id="3-lacks-its-picture"),
    pytest.param(flipped(WHOLE, OFFSETS["000000002.jpg"] + BLOCK + 300, 2), "hash", id="7-payload-bit-flip"),
    pytest.param(instead("000000002.jpg", picture(99)), "hash", id="20-another-picture"),
    pytest.param(renamed("../000000002.jpg"), "inside the archive", id="11-parent-folder"),
    pytest.param(renamed("/etc/000000002.jpg"), "inside the archive", id="11-absolute"),
    pytest.param(special(tarfile.SYMTYPE), "is a link", id="12-symlink"),
    pytest.param(special(tarfile.LNKTYPE), "is a link", id="12-hardlink"),
    pytest.param(special(tarfile.CHRTYPE), "is a device", id="12-device"),
    pytest.param(special(tarfile.FIFOTYPE), "is a pipe", id="12-pipe"),
    pytest.param(special(tarfile.DIRTYPE, "000000002.jpg/"), "is a folder", id="12-folder"),
]


@pytest.mark.parametrize(("data", "reason"), SAMPLE)
def test_a_bad_sample_of_a_whole_tar_is_set_aside_alone(source, data, reason):
    keys, bads = read(source, data)
    assert keys == [key for key in KEYS if key != "000000002"]
    assert [(bad.file, bad.rows) for bad in bads] == [("00000.tar", 1)]
    assert reason in bads[0].reason
    assert bads[0].offset == OFFSETS["000000002.jpg"]


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([*members(KEYS[:3]), *SECOND, *members(KEYS[3:])], id="13-duplicate-key-adjacent"),
        pytest.param([*members(), *SECOND], id="13-duplicate-key-split"),
    ],
)
def test_both_samples_of_a_key_are_set_aside_with_both_offsets(folder, pairs):
    source = open_layout("img2dataset", folder)
    keys, bads = read(source, archive(pairs))
    with tarfile.open(folder / "00000.tar") as tar:
        second = [info.offset for info in tar if info.name == "000000002.jpg"][1]
    assert keys == [key for key in KEYS if key != "000000002"]
    assert [bad.reason for bad in bads] == [
        f"key 000000002 is there 2 times, at bytes {OFFSETS['000000002.jpg']} and {second}"
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(gzip.compress(WHOLE), r"00000\.tar is compressed; .* unpack it", id="9-gzip"),
        pytest.param(
            archive([*members(), ("img.v2.jpg", b"x"), ("img.v3.jpg", b"x")]),
            r"holds 'img\.v2\.jpg' at byte \d+; .* keys without dots",
            id="14-dotted-keys",
        ),
        pytest.param(
            archive(sorted(members(), key=lambda pair: pair[0][::-1])),
            "00000.tar is an unsorted shard: members of 000000000 lie at byte",
            id="15-interleaved-members",
        ),
    ],
)
def test_a_tar_that_readers_would_misread_is_refused(source, data, message):
    (source.root / "00000.tar").write_bytes(data)
    with pytest.raises(Refusal, match=message):
        list(source.stream("00000"))


@pytest.mark.parametrize("stop", [LAST, LAST + BLOCK, LAST + 7, LAST - 100])
def test_a_tar_that_lacks_only_its_end_mark_is_taken_with_a_warning(source, capsys, stop):
    # Case 4. The last member ends in more than 100 bytes of padding.
    assert read(source, WHOLE[:stop]) == (KEYS, [])
    assert "00000.tar lacks its end mark" in capsys.readouterr().err


def test_without_end_mark_a_picture_is_still_compared_with_its_hash(source):
    keys, bads = read(source, flipped(WHOLE, OFFSETS["000000004.jpg"] + BLOCK + 300)[:LAST])
    assert keys == KEYS[:4]
    assert "hash" in bads[0].reason


@pytest.mark.parametrize("suffix", ["pkl", "pth", "pyd"])
def test_members_that_run_code_are_passed_over_unread(source, suffix):
    # Case 16, both in a sample and of a key that is none.
    pairs = [*members(), (f"000000004.{suffix}", b"cos\nsystem\n(S'touch x'\ntR."), (f"run.{suffix}", b"x")]
    assert read(source, archive(pairs)) == (KEYS, [])


def test_hidden_members_and_folders_are_no_samples(source):
    pairs = [("./" + name, data) for name, data in members()]
    data = header("./", tarfile.DIRTYPE) + archive([("._000000000.jpg", b"mac"), ("README", b"x"), *pairs])
    assert read(source, data) == (KEYS, [])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_at_any_byte_keeps_all_or_nothing(folder, cut):
    for layout in OPENERS:
        source = open_layout(layout, folder)
        keys, _ = read(source, WHOLE[:cut])
        assert keys == (KEYS if cut > LAST - BLOCK + len(CAPTIONS[KEYS[4]].encode()) - 1 else [])


@settings(max_examples=120, deadline=None)
@given(st.integers(0, len(PAX.rstrip(b"\0")) - 1), st.integers(0, 7), st.sampled_from([WHOLE, PAX]))
def test_no_flipped_bit_gives_a_wrong_picture_or_loses_count(folder, place, bit, data):
    for layout in OPENERS:
        source = open_layout(layout, folder)
        (folder / "00000.tar").write_bytes(flipped(data, place % len(data), bit))
        # The names in extended headers have no checksum: a dot more in one is refused.
        with suppress(Refusal):
            # Only a table can contradict the text of a member.
            check(source, captions=layout == "img2dataset")


def test_tars_alone_that_hold_a_key_twice_hold_more_than_their_stats_say(folder):
    # Case 13; without stats both are set aside, as with a table.
    data = archive([*members(), *SECOND])
    assert read(open_layout("webdataset", folder), data)[1][0].reason == "holds 6 samples, it should hold 5"
    names = ("00000.tar", "00001.tar")
    (folder / "alone").mkdir(exist_ok=True)
    for name in names:
        (folder / "alone" / name).write_bytes(data)
    keys, bads = check(open_webdataset(Place(root=folder / "alone", names=names)))
    assert keys == [key for key in KEYS if key != "000000002"]
    assert [bad.offset for bad in bads] == [OFFSETS["000000002.jpg"], LAST]


def test_reading_agrees_with_pythons_own(source):
    (source.root / "00000.tar").write_bytes(PAX)
    contents = {}
    with tarfile.open(source.root / "00000.tar") as tar:
        for info in tar:
            member = tar.extractfile(info)
            assert member is not None
            contents[info.name] = member.read()
    samples = list(source.stream("00000"))
    assert [sample.key for sample in samples] == KEYS
    for sample in samples:
        assert contents[f"{sample.key}.jpg"] == sample.image
        assert contents[f"{sample.key}.txt"].decode() == sample.caption


def test_the_other_shard_is_not_touched_by_any_fault(source):
    (source.root / "00000.tar").write_bytes(b"")
    assert [sample.key for sample in source.stream("00001")] == KEYS


@pytest.mark.parametrize("layout", OPENERS)
def test_memory_holds_one_picture_and_not_the_shard(tmp_path, layout):
    size, n_rows = 1 << 20, 24
    rows = [row_of(KEYS[0]) | {"key": str(row), "uid": str(row), "width": 1} for row in range(n_rows)]
    pairs = [
        pair
        for row in rows
        for pair in (
            (f"{row['key']}.jpg", bytes(size)),
            (f"{row['key']}.json", json.dumps(row).encode()),
            (f"{row['key']}.txt", CAPTIONS[KEYS[0]].encode()),
        )
    ]
    (tmp_path / "00000.tar").write_bytes(archive(pairs))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "00000.parquet")
    (tmp_path / "00000_stats.json").write_text(json.dumps({"successes": n_rows}))
    source = open_layout(layout, tmp_path)
    tracemalloc.start()
    try:
        assert (
            sum(len(one.image) == size for one in source.stream("00000") if not isinstance(one, Bad))
            == n_rows
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * size
