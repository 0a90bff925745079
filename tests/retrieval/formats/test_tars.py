import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from oddpair.errors import Refusal
from oddpair.retrieval.formats.tar_headers import BLOCK
from oddpair.retrieval.formats.tars import (
    Span,
    has_end,
    index_tar,
    local_file,
    open_tar,
    read_member,
    write_tar,
)

SAMPLES = [
    (f"{row:09d}", {"jpg": bytes([row]) * (300 * row), "json": b"{}", "txt": b"a cat"}) for row in range(5)
]


def members(samples=SAMPLES):
    return [(f"{key}.{suffix}", data) for key, parts in samples for suffix, data in parts.items()]


def index(data):
    return index_tar(io.BytesIO(data), "a.tar")


def contents(data):
    file = io.BytesIO(data)
    return [
        (entry.key, {suffix: read_member(file, span) for suffix, span in entry.members.items()})
        for entry in index_tar(file, "a.tar").entries
    ]


def faults(pairs, path):
    write_tar(path, pairs)
    return [(entry.key, entry.fault) for entry in index(path.read_bytes()).entries if entry.fault]


def python_tar(infos, **options):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def named(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.fixture
def tar(tmp_path):
    path = tmp_path / "00000.tar"
    write_tar(path, members())
    return path


def test_samples_come_back_in_order_with_the_bytes_that_were_written(tar):
    found = index(tar.read_bytes())
    assert contents(tar.read_bytes()) == SAMPLES
    assert (found.damage, found.ended, found.size) == (None, True, len(tar.read_bytes()))
    assert [entry.fault for entry in found.entries] == [None] * 5


def test_offsets_are_those_that_python_finds(tar):
    with tarfile.open(tar) as archive:
        expected = {info.name: Span(info.offset_data, info.size) for info in archive}
        first = [info.offset for info in archive if info.name.endswith("jpg")]
    entries = index(tar.read_bytes()).entries
    assert {f"{e.key}.{suffix}": span for e in entries for suffix, span in e.members.items()} == expected
    assert [entry.offset for entry in entries] == first
    assert entries[1].picture == expected["000000001.jpg"]


def test_the_same_members_give_the_same_bytes(tar, tmp_path):
    write_tar(tmp_path / "again.tar", iter(members()))
    assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()


def test_an_archive_without_members_holds_no_sample(tmp_path):
    write_tar(tmp_path / "00000.tar", [])
    found = index((tmp_path / "00000.tar").read_bytes())
    assert (found.entries, found.ended) == ((), True)


def test_a_cut_at_any_byte_is_told_or_loses_only_padding(tar):
    data = tar.read_bytes()
    end = len(data.rstrip(b"\0"))
    end += -end % BLOCK + 2 * BLOCK
    for cut in {*np.random.default_rng(0).integers(0, len(data), 200).tolist(), *range(0, len(data), BLOCK)}:
        found = index(data[:cut])
        assert found.ended == (cut >= end)
        if not found.ended:
            assert f"ends at byte {cut} " in found.break_off
            assert found.break_off.endswith("the shard is truncated")
            whole = [entry.key for entry in found.entries if entry.fault is None]
            assert whole == [key for key, _ in SAMPLES[: len(whole)]]


def test_a_cut_inside_a_member_names_the_member_and_the_last_good_key(tar):
    found = index(tar.read_bytes()[: 12 * BLOCK + 7])
    assert found.verdict == (
        "ends at byte 6151 inside 000000002.jpg: the shard is truncated; the last good key is 000000001"
    )


def test_a_flipped_header_bit_is_damage_or_changes_nothing(tar):
    data = tar.read_bytes()
    offsets = [entry.offset for entry in index(data).entries]
    rng = np.random.default_rng(1)
    n_damaged = 0
    for header, bit in zip(rng.choice(offsets, 400), rng.integers(0, 8 * BLOCK, 400), strict=True):
        damaged = bytearray(data)
        damaged[header + bit // 8] ^= 1 << (bit % 8)
        found = index(damaged)
        n_damaged += found.damage is not None
        assert found.damage is not None or contents(damaged) == SAMPLES
    assert n_damaged > 390


def test_files_that_are_no_archive_are_damage_at_their_start():
    assert index(b"<html>" * 500).damage == "is no tar, or damaged at byte 0"
    assert index(b"").damage == "ends at byte 0 in its first header: the shard is truncated"


@pytest.mark.parametrize(
    "magic", [gzip.compress(bytes(9999), mtime=0), b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"]
)
def test_compressed_archives_are_refused(magic):
    with pytest.raises(Refusal, match=r"a\.tar is compressed; .* unpack it first"):
        index(magic.ljust(600, b"x"))


def test_a_member_given_twice_begins_a_second_copy_and_both_are_at_fault(tmp_path):
    pairs = [("1.jpg", b"a"), ("1.jpg", b"b"), ("2.jpg", b"c")]
    reason = "key 1 is there 2 times, at bytes 0 and 1024"
    assert faults(pairs, tmp_path / "a.tar") == [("1", reason), ("1", reason)]


def test_a_sample_needs_one_picture_and_no_text(tmp_path):
    pairs = [("1.jpg", b"a"), ("1.txt", b""), ("2.jpg", b"a"), ("3.txt", b""), ("4.jpg", b""), ("4.png", b"")]
    assert faults(pairs, tmp_path / "a.tar") == [
        ("3", "sample 3 holds 0 pictures, needed one jpg, png or webp"),
        ("4", "sample 4 holds 2 pictures, needed one jpg, png or webp"),
    ]


@pytest.mark.parametrize("lost", ["json", "txt"])
def test_the_last_sample_before_a_missing_end_lacks_what_any_other_has__3(lost):
    for first in ({"json", "txt"}, {lost}):
        pairs = [("1.jpg", b"a"), *((f"1.{suffix}", b"{}") for suffix in sorted(first)), ("2.jpg", b"a")]
        whole = python_tar([(named(name), data) for name, data in [*pairs, ("3.jpg", b"a")]])
        cut = whole[: 2 * BLOCK * len(pairs)]
        assert [entry.fault for entry in index(whole).entries] == [None] * 3
        expected = f"sample 2 holds no {min(first)}, which others have"
        assert [entry.fault for entry in index(cut).entries] == [None, expected]
        assert index(cut).verdict.endswith("the last good key is 1")


def test_suffixes_are_taken_in_lower_case(tmp_path):
    write_tar(tmp_path / "a.tar", [("1.JPG", b"a"), ("1.Txt", b"b")])
    assert contents((tmp_path / "a.tar").read_bytes()) == [("1", {"jpg": b"a", "txt": b"b"})]


def test_unsorted_members_are_refused_with_both_places(tmp_path):
    write_tar(tmp_path / "a.tar", [("1.jpg", b"a"), ("2.jpg", b"b"), ("1.json", b"{}"), ("2.json", b"{}")])
    with pytest.raises(Refusal, match=r"unsorted shard: members of 1 lie at byte 0 and, .* at byte 2048"):
        index((tmp_path / "a.tar").read_bytes())


@pytest.mark.parametrize(
    "name",
    [
        "a\\b.jpg",
        "a\x07.jpg",
        "/a/b.jpg",
        "/b.jpg",
        "a//b.jpg",
        "a/../b.jpg",
        "../b.jpg",
        "a/./b.jpg",
        "a\x07/b.jpg",
    ],
    ids=repr,
)
def test_names_that_lead_out_of_the_archive_are_faults__11(name):
    data = python_tar([(named(name), b"x"), (named("1.jpg"), b"x")], format=tarfile.USTAR_FORMAT)
    bad, good = index(data).entries
    assert (good.key, good.fault) == ("1", None)
    assert bad.fault == f"{name!r} at byte 0 is no name KEY.SUFFIX of a file inside the archive"
    assert "/" not in bad.key


def test_a_folder_is_part_of_the_key(tmp_path):
    folders = ["images", "v1.5/b", "p/" * 60 + "q"]
    names = [f"{folder}/{suffix}" for folder in folders for suffix in ("a.jpg", "a.txt")]
    data = python_tar(
        [(named("images/", type=tarfile.DIRTYPE), b""), *((named(name), b"x") for name in names)],
        format=tarfile.USTAR_FORMAT,
    )
    assert [entry.fault for entry in index(data).entries] == [None] * 3
    assert contents(data) == [(f"{folder}/a", {"jpg": b"x", "txt": b"x"}) for folder in folders]


def test_names_without_a_suffix_or_with_another_are_passed_over(tmp_path):
    write_tar(
        tmp_path / "a.tar", [("1.jpg", b"a"), ("1", b""), ("LICENSE", b""), ("1.jpg~", b""), ("1.txt", b"")]
    )
    (entry,) = index((tmp_path / "a.tar").read_bytes()).entries
    assert (entry.key, entry.fault, list(entry.members)) == ("1", None, ["jpg", "jpg~", "txt"])


def test_members_with_several_dots_are_passed_over_beside_a_picture__14(tmp_path):
    pairs = [
        ("a.jpg", b"1"),
        ("a.seg.png", b"2"),
        ("a.depth-map.PNG", b"3"),
        ("a.txt", b"4"),
        ("b.tar.gz", b"5"),
    ]
    write_tar(tmp_path / "a.tar", pairs)
    found = index((tmp_path / "a.tar").read_bytes())
    assert [(entry.key, entry.fault) for entry in found.entries] == [("a", None)]
    assert found.dotted == "a.seg.png"
    file = io.BytesIO((tmp_path / "a.tar").read_bytes())
    assert read_member(file, found.entries[0].picture) == b"1"
    write_tar(tmp_path / "a.tar", pairs[:1])
    assert index((tmp_path / "a.tar").read_bytes()).dotted is None


def test_a_sample_whose_only_picture_has_several_dots_is_at_fault__14(tmp_path):
    reason = "sample img holds a picture named 'img.v2.jpg', needed a name with one dot"
    assert faults([("img.v2.jpg", b"a"), ("img.v2.txt", b"b")], tmp_path / "a.tar") == [("img", reason)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["img.v2.jpg", "img.v3.jpg"],
            r"holds 'img\.v2\.jpg' at byte 0; .* with 'img\.v3\.jpg': .* without dots",
        ),
        (["img.v2.txt", "img.v2.jpg", "img.v3.png"], r"'img\.v2\.jpg' at byte 1024; .* with 'img\.v3\.png'"),
        (["img.jpg", "img.txt", "img.v2.jpg", "img.v2.txt"], r"'img\.jpg' at byte 0; .* with 'img\.v2\.jpg'"),
    ],
)
def test_names_with_dots_that_merge_samples_are_refused__14(tmp_path, names, message):
    write_tar(tmp_path / "a.tar", [(name, b"x") for name in names])
    with pytest.raises(Refusal, match=message):
        index((tmp_path / "a.tar").read_bytes())


@pytest.mark.parametrize(
    ("suffix", "size", "limit"), [("jpg", 1 << 28, 256), ("json", 1 << 24, 16), ("txt", 1 << 24, 16)]
)
def test_members_that_are_too_large_are_faults_and_not_read(tmp_path, suffix, size, limit):
    others = {"jpg": b"x", "json": b"{}", "txt": b"a"}
    for length, reason in [(size, None), (size + 1, f"holds {size + 1:,} bytes, more than {limit} MiB")]:
        with (tmp_path / "a.tar").open("wb") as file:
            for name, data in others.items():
                info = named(f"1.{name}", size=length if name == suffix else len(data))
                file.write(info.tobuf(tarfile.USTAR_FORMAT))
                start = file.tell()
                file.write(data)
                # A hole: nothing of this size is stored.
                file.seek(start + info.size + -info.size % BLOCK)
            file.write(bytes(2 * BLOCK))
        with open_tar(tmp_path / "a.tar") as (found, _):
            (entry,) = found.entries
        assert (found.ended, found.damage) == (True, None)
        place = f"'1.{suffix}' at byte {BLOCK * 2 * list(others).index(suffix)} "
        assert entry.fault == (None if reason is None else place + reason)


def test_a_member_of_another_kind_may_be_as_large_as_it_is(tmp_path):
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(named("1.jpg", size=1).tobuf(tarfile.USTAR_FORMAT) + b"x".ljust(BLOCK, b"\0"))
        file.write(named("1.mp4", size=1 << 29).tobuf(tarfile.USTAR_FORMAT))
        file.seek(1 << 29, 1)
        file.write(bytes(2 * BLOCK))
    with open_tar(tmp_path / "a.tar") as (found, _):
        assert [entry.fault for entry in found.entries] == [None]


def extended(records, kind=tarfile.XHDTYPE):
    return (
        named("x", type=kind, size=len(records)).tobuf(tarfile.USTAR_FORMAT)
        + records.ljust(len(records) + -len(records) % BLOCK, b"\0")
        + named("1.jpg", size=1).tobuf(tarfile.USTAR_FORMAT)
        + b"x".ljust(BLOCK, b"\0")
        + bytes(2 * BLOCK)
    )


def test_extended_headers_of_64_kilobytes_are_read_and_longer_ones_are_damage():
    full = b"8 k=abc\n" * ((1 << 16) // 8)
    assert contents(extended(full)) == [("1", {"jpg": b"x"})]
    assert index(extended(full + b"8 k=abc\n")).damage == "holds an extended header of 65544 bytes at byte 0"
    assert index(extended(b"n" * 70_000, tarfile.GNUTYPE_LONGNAME)).damage is not None


@pytest.mark.parametrize(
    "records",
    [
        b"0 a=b\n",
        b"-6 a=b\n",
        b"+6 a=b\n",
        b"2 a=b\n",
        b"5 a=b\n",
        b"7 a=b\n",
        b"6 a=b\n7",
        b"9" * 5000 + b" a=b\n",
    ],
)
def test_records_of_an_extended_header_whose_lengths_are_wrong_are_damage(records):
    assert contents(extended(b"6 a=b\n")) == [("1", {"jpg": b"x"})]
    assert index(extended(records)).damage == "is damaged in the extended header at byte 0"


def test_archives_with_extended_headers_as_webdataset_writes_them_are_read():
    data = python_tar(
        [(named(name, mtime=1700000000.25), data) for name, data in members()], format=tarfile.PAX_FORMAT
    )
    assert b"PaxHeader" in data
    assert contents(data) == SAMPLES


def test_global_headers_are_passed_over_unless_they_name_members():
    infos = [(named(name), data) for name, data in members()]
    assert contents(python_tar(infos, pax_headers={"comment": "0" * 40})) == SAMPLES
    assert index(python_tar(infos, pax_headers={"path": "1.jpg"})).damage is not None


def test_a_flipped_bit_in_an_extended_header_is_told_or_changes_nothing():
    data = python_tar([(named("1.jpg", mtime=0.25), b"abc")], format=tarfile.PAX_FORMAT)
    n_damaged = 0
    for bit in range(8 * 2 * BLOCK):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        if index(damaged).damage is not None:
            n_damaged += 1
        else:
            assert contents(damaged) == [("1", {"jpg": b"abc"})]
    assert n_damaged > 4 * 2 * BLOCK


def test_a_write_that_fails_leaves_the_old_archive(tar):
    before = tar.read_bytes()

    def broken():
        yield "1.jpg", b"a"
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_tar(tar, broken())
    assert tar.read_bytes() == before
    assert [path.name for path in Path(tar.parent).iterdir()] == ["00000.tar"]


def test_the_end_of_a_tar_is_told_by_its_last_bytes(tar):
    whole = tar.read_bytes()
    assert has_end(tar)
    for data in (whole[:3000], whole[:-10_000], gzip.compress(whole), b"<html>" * 300, whole + b"x" * 512):
        tar.write_bytes(data)
        assert not has_end(tar)


def test_a_tar_that_is_gone_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"00000\.tar does not exist"), open_tar(tmp_path / "00000.tar"):
        pass
    with pytest.raises(Refusal, match=r"00000\.tar does not exist"):
        has_end(tmp_path / "00000.tar")


def test_a_remote_tar_is_copied_and_the_copy_removed(tar):
    remote: Any = UPath("memory://tars/00000.tar")
    remote.parent.mkdir(parents=True, exist_ok=True)
    remote.write_bytes(tar.read_bytes())
    assert has_end(remote)
    with local_file(remote) as copy:
        assert copy.read_bytes() == tar.read_bytes()
    assert not copy.exists()
    with open_tar(remote) as (found, file):
        assert read_member(file, found.entries[3].picture) == SAMPLES[3][1]["jpg"]
    with local_file(tar) as same:
        assert same is tar


def test_the_end_of_a_tar_is_not_known_where_a_server_gives_no_parts(tar):
    class Stream(io.BytesIO):
        def seek(self, *_):
            raise ValueError("Cannot seek streaming HTTP file")

    class Remote:
        def open(self, mode):
            assert mode == "rb"
            return Stream(tar.read_bytes())

    remote: Any = Remote()
    assert not has_end(remote)
    with open_tar(remote) as (found, _):
        assert found.ended


def test_a_tar_that_shrinks_while_it_is_read_is_refused(tar):
    def shrink_and_read():
        with open_tar(tar) as (found, file):
            tar.write_bytes(tar.read_bytes()[:2000])
            read_member(file, found.entries[-1].picture)

    with pytest.raises(Refusal, match=r"00000\.tar cannot be read \(it was cut at byte"):
        shrink_and_read()
