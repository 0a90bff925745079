"""Cases 1 to 18: what goes wrong with tars, and with the list of them."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.retrieval.fault_matrix.corpora import (
    LONG,
    ROWS,
    SHARDS,
    TARS,
    archive,
    draw,
    encode,
    members_of,
    rows_with,
)
from tests.retrieval.fault_matrix.runs import (
    Bench,
    little_memory,
    require_quarantine,
    require_refusal,
    require_same,
    written,
)

BLOCK = 512
END = bytes(2 * BLOCK)
FIRST = ROWS[:5]
ALL = [member for row in FIRST for member in members_of(row)]
WHOLE = archive(ALL)
with tarfile.open(fileobj=io.BytesIO(WHOLE)) as _tar:
    OFFSETS = {info.name: info.offset for info in _tar}
    LAST = max(info.offset_data + -(-info.size // BLOCK) * BLOCK for info in _tar)
NAMES = [f"{row.key}.{suffix}" for row in FIRST for suffix in ("jpg", "json", "txt")]
SPARSE = b"35 GNU.sparse.realsize=20000000000\n"
BAD = ROWS[2]


def at(row: int, suffix: str) -> int:
    return OFFSETS[f"{ROWS[row].key}.{suffix}"]


def flipped(place: int, bit: int = 0) -> bytes:
    data = bytearray(WHOLE)
    data[place] ^= 1 << bit
    return bytes(data)


def zeroed(start: int) -> bytes:
    return WHOLE[:start] + bytes(4096) + WHOLE[start + 4096 :]


def header(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.USTAR_FORMAT)


def of_every_tar(cases: dict[str, Any]) -> list[Any]:
    return [
        pytest.param(layout, *values, id=f"{name}-{layout}")
        for name, values in cases.items()
        for layout in TARS
    ]


def corpus_with(layout: str, folder: Path, data: bytes) -> Path:
    """Write a corpus whose first tar has other bytes."""
    written(layout, folder, ROWS)
    (folder / "00000.tar").write_bytes(data)
    return folder


DAMAGED = {
    "1-cut-at-member-boundary": (WHOLE[: at(3, "jpg")], "ends at byte .* last good key is 000000002"),
    "1-cut-in-a-header": (WHOLE[: at(3, "jpg") + 100], "ends at byte .* last good key is 000000002"),
    "2-cut-in-payload": (WHOLE[: at(3, "jpg") + 700], "inside 000000003.jpg.* last good key is 000000002"),
    "3-cut-between-jpg-and-txt": (WHOLE[: at(4, "json")], "ends at byte .* last good key is 000000003"),
    "5-zeroed-page": (zeroed(at(1, "jpg")), "data after the end mark.* last good key is 000000000"),
    "6-header-bit-flip": (flipped(at(2, "txt") + 3), "damaged at byte .* last good key is 000000001"),
    "8-empty": (b"", "ends at byte 0"),
    "8-one-byte": (b"x", "ends at byte 1 "),
    "8-html": (b"<html>gone</html>" * 100, "no tar, or damaged at byte 0"),
    "10-gnu-sparse": (header(NAMES[0], tarfile.GNUTYPE_SPARSE, size=512) + bytes(512) + END, "sparse"),
    "10-pax-sparse": (
        header("x", tarfile.XHDTYPE, size=len(SPARSE)) + SPARSE.ljust(BLOCK, b"\0") + END,
        "holds a sparse member",
    ),
    "10-claims-8-gigabytes": (header(NAMES[0], size=8**11 - 1) + END, "ends at byte 1536 inside"),
    "12-link-with-content": (
        header(NAMES[0], tarfile.LNKTYPE, size=512) + bytes(512) + END,
        "unknown kind of member",
    ),
}


@pytest.mark.parametrize(("layout", "data", "reason"), of_every_tar(DAMAGED))
def test_a_damaged_tar_is_set_aside_whole_with_its_last_good_key(
    bench: Bench, tmp_path: Path, layout: str, data: bytes, reason: str
) -> None:
    """Where nothing says how many samples a tar should hold, its line stands for 0 rows, and exit is 3 always."""
    corpus = corpus_with(layout, tmp_path / "corpus", data)
    clean = bench.whole(layout, rows_with(without=SHARDS[0]))
    rows = 0 if layout == "tars" else 5
    with little_memory(100):
        made = require_quarantine(
            corpus, tmp_path / "out", clean, [{"file": "00000.tar", "rows": rows, "reason": reason}]
        )
    if layout == "tars":
        assert made.quarantine[0]["reason"].endswith("how many samples it should hold is not known")


def without(*names: str) -> bytes:
    return archive((name, data) for name, data in ALL if name not in names)


def renamed(name: str) -> bytes:
    return archive((name if found == f"{BAD.key}.jpg" else found, data) for found, data in ALL)


def special(kind: bytes, name: str = f"{BAD.key}.jpg") -> bytes:
    start, stop = at(2, "jpg"), at(2, "json")
    return WHOLE[:start] + header(name, kind, linkname="/etc/passwd") + WHOLE[stop:]


def instead(data: bytes) -> bytes:
    return archive((name, data if name == f"{BAD.key}.jpg" else found) for name, found in ALL)


SPOILT = {
    "3-lacks-its-picture": (without(f"{BAD.key}.jpg"), "holds 0 pictures"),
    "7-payload-bit-flip": (flipped(at(2, "jpg") + BLOCK + 300, 2), "hash"),
    "11-parent-folder": (renamed(f"../{BAD.key}.jpg"), "inside the archive"),
    "11-absolute": (renamed(f"/etc/{BAD.key}.jpg"), "inside the archive"),
    "12-symlink": (special(tarfile.SYMTYPE), "is a link"),
    "12-hardlink": (special(tarfile.LNKTYPE), "is a link"),
    "12-device": (special(tarfile.CHRTYPE), "is a device"),
    "12-pipe": (special(tarfile.FIFOTYPE), "is a pipe"),
    "20-another-picture": (instead(encode(draw(99), "JPEG")), "hash"),
}


@pytest.mark.parametrize(("layout", "data", "reason"), of_every_tar(SPOILT))
def test_a_bad_sample_of_a_whole_tar_is_set_aside_alone(
    bench: Bench, tmp_path: Path, layout: str, data: bytes, reason: str
) -> None:
    """In cases 11 and 12 the sample goes and not the shard: every header before and behind it is verified."""
    corpus = corpus_with(layout, tmp_path / "corpus", data)
    clean = bench.whole(layout, rows_with(without=[2]))
    line = {"file": "00000.tar", "offset": at(2, "jpg"), "rows": 1, "reason": reason}
    require_quarantine(corpus, tmp_path / "out", clean, [line])


@pytest.mark.parametrize("layout", [pytest.param(layout, id=f"3-lacks-its-txt-{layout}") for layout in TARS])
def test_a_sample_without_its_txt_has_the_caption_of_its_json_unless_a_table_says_there_is_one(
    bench: Bench, tmp_path: Path, layout: str
) -> None:
    corpus = corpus_with(layout, tmp_path / "corpus", without(f"{BAD.key}.txt"))
    if layout != "img2dataset":
        require_same(corpus, tmp_path / "out", bench.whole(layout, ROWS))
        return
    line = {"file": "00000.tar", "offset": at(2, "jpg"), "rows": 1, "reason": "holds no txt"}
    clean = bench.whole(layout, rows_with(without=[2]))
    require_quarantine(corpus, tmp_path / "out", clean, [line])


TWICE = {
    "13-duplicate-key-adjacent": (archive([*ALL[:9], *members_of(BAD), *ALL[9:]]),),
    "13-duplicate-key-split": (archive([*ALL, *members_of(BAD)]),),
}


@pytest.mark.parametrize(("layout", "data"), of_every_tar(TWICE))
def test_both_samples_of_a_key_are_set_aside_with_both_offsets(
    bench: Bench, tmp_path: Path, layout: str, data: bytes
) -> None:
    """A tar with more samples than sizes.json gives it is not the one that was counted: all of it goes."""
    corpus = corpus_with(layout, tmp_path / "corpus", data)
    with tarfile.open(corpus / "00000.tar") as tar:
        first, second = (info.offset for info in tar if info.name == f"{BAD.key}.jpg")
    reason = f"key {BAD.key} is there 2 times, at bytes {first} and {second}"
    both = [{"file": "00000.tar", "offset": place, "rows": 1, "reason": reason} for place in (first, second)]
    whole = [{"file": "00000.tar", "rows": 5, "reason": "holds 6 samples, it should hold 5"}]
    lines = {"img2dataset": both[1:], "sized-tars": whole, "tars": both}[layout]
    lost = SHARDS[0] if layout == "sized-tars" else [2]
    require_quarantine(corpus, tmp_path / "out", bench.whole(layout, rows_with(without=lost)), lines)


@pytest.mark.parametrize(
    "layout", [pytest.param(layout, id=f"4-end-mark-missing-{layout}") for layout in TARS]
)
def test_a_tar_that_lacks_only_its_end_mark_is_taken_with_a_warning_if_its_samples_are_known(
    bench: Bench, tmp_path: Path, layout: str
) -> None:
    corpus = corpus_with(layout, tmp_path / "corpus", WHOLE[:LAST])
    if layout == "tars":
        line = {"file": "00000.tar", "rows": 0, "reason": "truncated; the last good key is 000000004"}
        clean = bench.whole(layout, rows_with(without=SHARDS[0]))
        require_quarantine(corpus, tmp_path / "out", clean, [line])
    else:
        require_same(corpus, tmp_path / "out", bench.whole(layout, ROWS), "00000.tar lacks its end mark")


def test_4_without_an_end_mark_a_picture_is_still_compared_with_its_hash(
    bench: Bench, tmp_path: Path
) -> None:
    data = flipped(at(4, "jpg") + BLOCK + 300)[:LAST]
    corpus = corpus_with("img2dataset", tmp_path / "corpus", data)
    clean = bench.whole("img2dataset", rows_with(without=[4]))
    line = {"file": "00000.tar", "offset": at(4, "jpg"), "uid": ROWS[4].uid, "reason": "hash"}
    require_quarantine(corpus, tmp_path / "out", clean, [line])


class Marker:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("suffix", ["pkl", "pickle", "pth", "pyd", "py"])
@pytest.mark.parametrize("layout", [pytest.param(layout, id=f"16-code-{layout}") for layout in TARS])
def test_members_that_run_code_are_passed_over_unread(
    bench: Bench, tmp_path: Path, layout: str, suffix: str
) -> None:
    code = pickle.dumps(Marker(tmp_path / "ran"))
    data = archive([*ALL, (f"{ROWS[4].key}.{suffix}", code), (f"run.{suffix}", code)])
    corpus = corpus_with(layout, tmp_path / "corpus", data)
    require_same(corpus, tmp_path / "out", bench.whole(layout, ROWS))
    pickle.loads(code)
    assert (tmp_path / "ran").exists(), "the marker does not mark"


MISREAD = {
    "9-gzip": (gzip.compress(WHOLE), r"00000\.tar is compressed; .* unpack it"),
    "9-gzip-ratio-bomb": (gzip.compress(bytes(300_000_000), 6), r"00000\.tar is compressed; .* unpack it"),
    "14-dotted-keys": (
        archive([*ALL, ("img.v2.jpg", b"x"), ("img.v3.jpg", b"x")]),
        r"00000\.tar holds 'img\.v2\.jpg' at byte \d+; .* keys without dots",
    ),
    "15-interleaved-members": (
        archive(sorted(ALL, key=lambda pair: pair[0][::-1])),
        r"00000\.tar is an unsorted shard: members of 000000000 lie at byte \d+ .* at byte \d+; write it anew",
    ),
}


@pytest.mark.parametrize(("layout", "data", "message"), of_every_tar(MISREAD))
def test_a_tar_that_readers_would_misread_is_refused(
    tmp_path: Path, layout: str, data: bytes, message: str
) -> None:
    corpus = corpus_with(layout, tmp_path / "corpus", data)
    with little_memory(100):
        require_refusal(corpus, tmp_path / "out", message)


LISTS = {
    "17-pipe": "pipe:touch {out}.ran",
    "17-pipe-in-capitals": "PIPE:touch {out}.ran",
    "17-pipe-in-a-list": "{corpus}/00000.tar::pipe:touch {out}.ran",
    "17-pipe-first-in-a-list": "pipe:touch {out}.ran::{corpus}/00000.tar",
    "17-file": "file://{corpus}/00000.tar",
    "17-chain": "simplecache::file://{corpus}/00000.tar",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=list(LISTS))
def test_a_list_of_shards_runs_nothing(tmp_path: Path, text: str) -> None:
    corpus, out = written("tars", tmp_path / "corpus", ROWS), tmp_path / "out"
    message = "never followed: a corpus is|of different kinds: a corpus is|is a chain"
    require_refusal(text.format(corpus=corpus, out=out), out, message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "temporary"]


MISSING = {
    "18-shard-missing-img2dataset": ("img2dataset", ["00001.tar", "00001.parquet", "00001_stats.json"], "lacks 00001 between"),
    "18-shard-missing-tars": ("tars", ["00001.tar"], "lacks 00001 between shards 00000 and 00002"),
    "18-shard-missing-image-parquet": ("image-parquet", ["00001.parquet", "00001_stats.json"], "lacks 00001 between"),
    "18-listed-shard-missing": ("sized-tars", ["00002.tar"], r"sizes\.json lists 00002\.tar \(1 in all\), not there"),
    "18-table-missing": ("img2dataset", ["00001.parquet"], r"lacks 00001\.parquet beside"),
    "18-tar-missing": ("img2dataset", ["00001.tar"], r"lacks 00001\.tar beside"),
    "18-stats-missing": ("img2dataset", ["00001_stats.json"], r"lacks 00001_stats\.json beside"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "names", "message"), [pytest.param(*values, id=name) for name, values in MISSING.items()]
)
def test_a_missing_shard_is_refused_by_name(
    tmp_path: Path, layout: str, names: list[str], message: str
) -> None:
    corpus = written(layout, tmp_path / "corpus", LONG)
    for name in names:
        (corpus / name).unlink()
    require_refusal(corpus, tmp_path / "out", message)


@pytest.mark.parametrize(
    "layout", [pytest.param(layout, id=f"18-range-{layout}") for layout in ("img2dataset", "tars")]
)
def test_a_shard_of_a_range_that_is_not_there_is_refused_by_name(tmp_path: Path, layout: str) -> None:
    corpus = written(layout, tmp_path / "corpus", LONG)
    message = r"lacks 00003\.tar, 00004\.tar, of 5 files listed"
    require_refusal(f"{corpus}/{{00000..00004}}.tar", tmp_path / "out", message)


def test_18_a_shard_that_the_sizes_do_not_list_is_refused_by_name(tmp_path: Path) -> None:
    corpus = written("sized-tars", tmp_path / "corpus", LONG)
    (corpus / "sizes.json").write_text(json.dumps({"00000.tar": 5, "00001.tar": 2}))
    require_refusal(corpus, tmp_path / "out", r"sizes\.json does not list 00002\.tar")
