import json

import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.formats.shard_sizes import find_sizes
from oddpair.retrieval.formats.tars import write_tar
from oddpair.retrieval.places import Place

TARS = ("00000.tar", "00001.tar")


@pytest.fixture
def folder(tmp_path):
    for tar in TARS:
        write_tar(tmp_path / tar, [(f"{row}.jpg", b"x") for row in range(3)])
    return tmp_path


def sizes(folder, tars=TARS, **changes):
    names = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")))
    return find_sizes(Place(**{"root": folder, "names": names, **changes}), tars)


def test_samples_are_counted_in_tars_that_nothing_tells_of(folder):
    assert sizes(folder) == ((3, 3), 2)
    tar = folder / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:2000])
    assert sizes(folder) == ((3, 0), 2)


def test_stats_come_before_sizes_and_sizes_before_counting(folder):
    (folder / "sizes.json").write_text('{"00000.tar": 7, "00001.tar": 8}')
    assert sizes(folder) == ((7, 8), 0)
    (folder / "00001_stats.json").write_text('{"successes": 9}')
    assert sizes(folder) == ((7, 9), 0)


def test_files_beside_listed_tars_are_found_though_they_are_not_listed(folder):
    (folder / "a").mkdir()
    for path in list(folder.glob("*.tar")):
        path.rename(folder / "a" / path.name)
    (folder / "a" / "sizes.json").write_text('{"00000.tar": 7, "00001.tar": 8, "00002.tar": 9}')
    (folder / "a" / "00001_stats.json").write_text('{"successes": 5}')
    names = ("a/00000.tar", "a/00001.tar")
    assert sizes(folder, names, names=names, explicit=True) == ((7, 5), 0)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(
            {"00000.tar": 3, "00001.tar": 3, "00002.tar": 3},
            r"lists 00002\.tar \(1 in all\), not there",
            id="18-missing",
        ),
        pytest.param({"00000.tar": 3}, r"does not list 00001\.tar \(1 in all\)", id="18-unlisted"),
        pytest.param(
            {"00000.tar": 3, "00001.tar": "3"}, "no list of tars and numbers of samples", id="no-number"
        ),
        pytest.param([3, 3], "no list of tars and numbers of samples", id="no-object"),
    ],
)
def test_sizes_that_do_not_fit_the_tars_are_refused(folder, found, message):
    (folder / "sizes.json").write_text(json.dumps(found))
    with pytest.raises(Refusal, match=message):
        sizes(folder)
    (folder / "sizes.json").write_text("{")
    with pytest.raises(Refusal, match=r"sizes\.json is no valid JSON"):
        sizes(folder)


def test_tars_may_end_in_capitals(folder):
    (folder / "00000.tar").rename(folder / "00000.TAR")
    (folder / "sizes.json").write_text('{"00000.TAR": 7, "00001.tar": 8}')
    assert sizes(folder, ("00000.TAR", "00001.tar")) == ((7, 8), 0)
    (folder / "sizes.json").unlink()
    assert sizes(folder, ("00000.TAR", "00001.tar")) == ((3, 3), 2)
