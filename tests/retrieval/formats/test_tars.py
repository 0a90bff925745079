import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.formats.tars import BLOCK, check_end, read_samples, write_tar

SAMPLES = [
    (f"{row:09d}", {"jpg": bytes([row]) * (300 * row), "json": b"{}", "txt": b"a cat"}) for row in range(5)
]


def members(samples=SAMPLES):
    return [(f"{key}.{suffix}", data) for key, parts in samples for suffix, data in parts.items()]


def found(path):
    return [(sample.key, sample.members) for sample in read_samples(path)]


@pytest.fixture
def tar(tmp_path):
    path = tmp_path / "00000.tar"
    write_tar(path, members())
    return path


def python_tar(path, infos, **options):
    with tarfile.open(path, "w", **options) as archive:
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def named(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_samples_come_back_in_order_with_the_bytes_that_were_written(tar):
    assert found(tar) == SAMPLES


def test_the_archive_is_one_that_python_reads_too(tar):
    with tarfile.open(tar) as archive:
        contents = [(member.name, archive.extractfile(member)) for member in archive]
        assert [(name, file.read()) for name, file in contents if file] == members()


def test_the_same_members_give_the_same_bytes(tar, tmp_path):
    write_tar(tmp_path / "again.tar", iter(members()))
    assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()


def test_an_archive_without_members_holds_no_sample(tmp_path):
    write_tar(tmp_path / "00000.tar", [])
    assert read_samples(tmp_path / "00000.tar") == []


def test_a_cut_at_any_byte_is_refused_or_loses_only_padding(tar, tmp_path):
    data = tar.read_bytes()
    end = len(data.rstrip(b"\0"))
    end += -end % BLOCK + 2 * BLOCK
    cuts = {*np.random.default_rng(0).integers(0, len(data), 300).tolist(), *range(0, len(data), BLOCK)}
    path = tmp_path / "cut.tar"
    for cut in cuts:
        path.write_bytes(data[:cut])
        if cut < end:
            with pytest.raises(Refusal, match=rf"cut\.tar ends at byte {cut} .*truncated"):
                read_samples(path)
        else:
            assert found(path) == SAMPLES


def test_a_cut_inside_a_member_names_the_member(tar):
    tar.write_bytes(tar.read_bytes()[: 12 * BLOCK + 7])
    with pytest.raises(Refusal, match=r"ends at byte 6151 inside 000000002.jpg: the shard is truncated"):
        read_samples(tar)


def test_a_flipped_header_bit_is_refused_or_changes_nothing(tar):
    data = tar.read_bytes()
    with tarfile.open(tar) as archive:
        offsets = [member.offset for member in archive]
    rng = np.random.default_rng(1)
    refusals = []
    for header, bit in zip(rng.choice(offsets, 400), rng.integers(0, 8 * BLOCK, 400), strict=True):
        damaged = bytearray(data)
        damaged[header + bit // 8] ^= 1 << (bit % 8)
        tar.write_bytes(damaged)
        try:
            assert found(tar) == SAMPLES
        except Refusal as refusal:
            refusals.append(str(refusal))
    assert len(refusals) > 390
    assert all("damaged at byte" in refusal for refusal in refusals)


@pytest.mark.parametrize("start", [0, 4 * BLOCK, 7 * BLOCK])
def test_a_zeroed_page_is_no_early_end_of_the_archive(tar, start):
    data = bytearray(tar.read_bytes())
    data[start : start + 4096] = bytes(4096)
    tar.write_bytes(data)
    with pytest.raises(Refusal, match="damaged"):
        read_samples(tar)


def test_a_second_archive_behind_the_first_is_refused(tar):
    tar.write_bytes(tar.read_bytes() * 2)
    with pytest.raises(Refusal, match="holds data after the end mark at byte"):
        read_samples(tar)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends at byte 0 in its first header"),
        (b"\0", "ends at byte 1 in its first header"),
        (b"<html>" * 500, "is no tar archive, or damaged at byte 0"),
        (gzip.compress(bytes(10240), mtime=0) + bytes(600), "is compressed; .* unpack it first"),
    ],
)
def test_files_that_are_no_archive_are_refused(tmp_path, data, message):
    path = tmp_path / "00000.tar"
    path.write_bytes(data)
    with pytest.raises(Refusal, match=message):
        read_samples(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("000.jpg", tarfile.SYMTYPE),
        ("000.jpg", tarfile.LNKTYPE),
        ("000.jpg", tarfile.CHRTYPE),
        ("000.jpg", tarfile.DIRTYPE),
        ("000.jpg", tarfile.GNUTYPE_SPARSE),
    ],
)
def test_members_that_are_no_plain_files_are_refused(tmp_path, name, kind):
    path = tmp_path / "00000.tar"
    path.write_bytes(named(name, type=kind, linkname="x").tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(
        Refusal, match=r"'000\.jpg/?' at byte 0, which is a link, a folder or another special"
    ):
        read_samples(path)


@pytest.mark.parametrize(
    "name",
    [
        "../000.jpg",
        "/etc/000.jpg",
        "folder/000.jpg",
        "000",
        ".jpg",
        "img.v2.jpg",
        "a\\b.jpg",
        "p/" * 60 + "0.jpg",
    ],
)
def test_names_other_than_key_and_suffix_are_refused(tmp_path, name):
    path = tmp_path / "00000.tar"
    python_tar(path, [(named(name), b"x")], format=tarfile.USTAR_FORMAT)
    with pytest.raises(Refusal, match=r"at byte 0; a shard holds members named KEY\.SUFFIX"):
        read_samples(path)


def test_a_header_that_claims_more_than_the_file_holds_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "00000.tar"
    path.write_bytes(named("000.jpg", size=8**11 - 1).tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(Refusal, match=r"inside 000\.jpg: the shard is truncated"):
        read_samples(path)


def test_members_of_one_key_that_lie_apart_are_refused(tmp_path):
    path = tmp_path / "00000.tar"
    write_tar(path, [("1.jpg", b"a"), ("2.jpg", b"b"), ("1.json", b"{}"), ("2.json", b"{}")])
    with pytest.raises(
        Refusal, match=r"1\.json at byte 2048, apart from the sample that began at byte 0: .* sort"
    ):
        read_samples(path)


def test_a_member_given_twice_is_refused(tmp_path):
    path = tmp_path / "00000.tar"
    write_tar(path, [("1.jpg", b"a"), ("1.jpg", b"b")])
    with pytest.raises(Refusal, match=r"1\.jpg twice, the second at byte 1024"):
        read_samples(path)


def test_members_of_other_suffixes_are_passed_over(tmp_path):
    path = tmp_path / "00000.tar"
    write_tar(path, [("1.jpg", b"a"), ("1.pkl", b"cos\nsystem\n" * 200), ("1.json", b"{}"), ("2.jpg", b"b")])
    assert [sorted(sample.members) for sample in read_samples(path)] == [["jpg", "json", "pkl"], ["jpg"]]
    assert read_samples(path)[0].members["pkl"] == b""


def test_archives_with_extended_headers_as_webdataset_writes_them_are_read(tmp_path):
    path = tmp_path / "00000.tar"
    infos = [(named(name, mtime=1700000000.25), data) for name, data in members()]
    python_tar(path, infos, format=tarfile.PAX_FORMAT)
    assert b"PaxHeader" in path.read_bytes()
    assert found(path) == SAMPLES


def test_a_flipped_bit_in_an_extended_header_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "00000.tar"
    python_tar(path, [(named("1.jpg", mtime=0.25), b"abc")], format=tarfile.PAX_FORMAT)
    data, n_refused = path.read_bytes(), 0
    for bit in range(8 * 2 * BLOCK):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        try:
            assert found(path) == [("1", {"jpg": b"abc"})]
        except Refusal:
            n_refused += 1
    assert n_refused > 4 * 2 * BLOCK


def test_sparse_members_in_extended_headers_are_refused(tmp_path):
    path = tmp_path / "00000.tar"
    info = named("1.jpg", pax_headers={"GNU.sparse.realsize": "20000000000"})
    python_tar(path, [(info, b"abc")], format=tarfile.PAX_FORMAT)
    with pytest.raises(Refusal, match="sparse member at byte 0"):
        read_samples(path)


def test_a_write_that_fails_leaves_the_old_archive(tar):
    before = tar.read_bytes()

    def broken():
        yield "1.jpg", b"a"
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_tar(tar, broken())
    assert tar.read_bytes() == before
    assert [path.name for path in Path(tar.parent).iterdir()] == ["00000.tar"]


def test_the_end_of_a_tar_is_checked_in_the_words_of_its_reader(tar):
    whole = tar.read_bytes()
    check_end(tar)
    tar.write_bytes(whole + bytes(100))
    check_end(tar)
    for data in (whole[:3000], whole[:-10_000], gzip.compress(whole), b"<html>" * 300, whole + b"x" * 512):
        tar.write_bytes(data)
        with pytest.raises(Refusal) as read:
            read_samples(tar)
        with pytest.raises(Refusal) as checked:
            check_end(tar)
        assert str(checked.value) == str(read.value)
