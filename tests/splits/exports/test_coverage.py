import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.files import write_json
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.formats.downloads import write_stats
from oddpair.retrieval.formats.laion import write_laion
from oddpair.splits.exports.coverage import (
    NOT_LISTED,
    count_columns,
    cover,
    interval_of_share,
    list_missing,
    summarise,
)
from oddpair.splits.exports.failed_rows import read_failed
from oddpair.splits.exports.hashes import export_url_hash, read_url_hash
from oddpair.splits.manifest import Manifest

CHOSEN = [1, 2, 4, 7, 8, 9, 13]


def write_listing(folder, numbered, shards, failed, *, uids=True):
    """Write the tables of a download, without tars: rows by shard, and status and message of those that failed."""
    folder.mkdir()
    for index, numbers in enumerate(shards):
        known = [failed.get(number, ("success", None)) for number in numbers]
        table = {
            "url": [f"http://example.org/{number}" for number in numbers],
            "caption": [numbered.caption(number) for number in numbers],
            "key": [f"{index:05d}{row:04d}" for row in range(len(numbers))],
            "status": [status for status, _ in known],
            "error_message": pa.array([message for _, message in known], pa.string()),
        }
        if uids:
            table["uid"] = [numbered.uid(number) for number in numbers]
        pq.write_table(pa.table(table), folder / f"{index:05d}.parquet")
        write_stats(folder, f"{index:05d}", sum(status == "success" for status, _ in known))
    return open_corpus(folder)


def split_of(numbered, numbers=CHOSEN):
    return Manifest(name="s", recipe="r", uids=sorted(numbered.uid(number) for number in numbers))


GONE = ("failed_to_download", "HTTP Error 404: Not Found")


@pytest.fixture
def copy(tmp_path, numbered):
    """A copy in which 2 and 9 failed, 8 is not listed, and 4 failed once and was fetched in another shard."""
    failed = {2: GONE, 9: ("failed_to_resize", None), 3: GONE}
    shards = [[0, 1, 2, 3], [5, 7, 9], [4, 13]]
    corpus = write_listing(tmp_path / "copy", numbered, shards, failed)
    first = pq.read_table(tmp_path / "copy" / "00000.parquet")
    row = pa.table(
        {
            **{name: first[name][:1] for name in first.column_names},
            "uid": [numbered.uid(4)],
            "status": ["failed_to_download"],
        },
        first.schema,
    )
    pq.write_table(pa.concat_tables([first, row]), tmp_path / "copy" / "00000.parquet")
    assert corpus.layout == "img2dataset-table"
    return open_corpus(tmp_path / "copy")


def test_what_is_left_is_counted_with_the_reason_and_shard_of_what_is_not(copy, numbered):
    manifest = split_of(numbered)
    found = cover(manifest, copy)
    assert found.n_found == 4
    assert found.uids.drop_null().to_pylist() == sorted(numbered.uid(number) for number in (1, 4, 7, 13))
    assert found.count_reasons() == {
        "failed_to_download: HTTP Error 404: Not Found": 1,
        "failed_to_resize": 1,
        NOT_LISTED: 1,
    }
    assert found.count_shards() == {"00000": (1, 1), "00001": (1, 1), "00002": (2, 0)}
    assert {row["uid"]: (row["reason"], row.get("shard")) for row in list_missing(manifest, found)} == {
        numbered.uid(2): ("failed_to_download: HTTP Error 404: Not Found", "00000"),
        numbered.uid(8): (NOT_LISTED, None),
        numbered.uid(9): ("failed_to_resize", "00001"),
    }


def test_the_share_of_the_listed_rows_has_an_interval_over_shards(copy, numbered):
    found = cover(split_of(numbered), copy)
    share, interval = found.share_of_listed() or (None, None)
    assert (found.n_listed, share) == (6, 4 / 6)
    assert interval == interval_of_share(np.array([1, 1, 2]), np.array([2, 2, 2]))


def need(interval):
    assert interval is not None
    return interval


def test_the_interval_of_a_share_is_the_t_interval_of_the_ratio_over_shards():
    found, listed = np.array([300, 350, 300, 400]), np.array([500, 500, 400, 600])
    share = 1350 / 2000
    error = np.sqrt(4 / 3 * np.sum((found - share * listed) ** 2)) / 2000
    # 3.1824 is the 97.5 % point of t with 3 degrees of freedom.
    assert interval_of_share(found, listed) == pytest.approx(
        (share - 3.1824 * error, share + 3.1824 * error), abs=1e-5
    )


def test_the_interval_covers_the_share_of_the_whole_where_rows_of_a_shard_rot_together():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        rates = rng.beta(40, 20, 1000)
        drawn = rng.choice(1000, 20, replace=False)
        low, high = need(interval_of_share(rng.binomial(500, rates[drawn]), np.full(20, 500)))
        hits += low <= rates.mean() <= high
    assert hits >= 0.9 * 400


def test_one_shard_has_no_interval_and_shards_that_are_whole_count_as_a_row_each():
    assert interval_of_share(np.array([5]), np.array([9])) is None
    low, high = need(interval_of_share(np.array([500] * 5), np.array([500] * 5)))
    # Five of five: the share of which five have a chance of 2.5 %.
    assert (low, high) == (pytest.approx(0.025 ** (1 / 5)), 1.0)
    assert need(interval_of_share(np.array([0, 0]), np.array([3, 4]))) == (0.0, pytest.approx(1 - 0.025**0.5))


def test_a_copy_that_lists_no_failed_row_has_no_share_of_the_listed(tmp_path, numbered):
    copy = write_listing(tmp_path / "copy", numbered, [[1, 2], [4]], {})
    told = summarise(split_of(numbered), cover(split_of(numbered), copy))
    assert told["share"] == 3 / 7
    assert told["listed"] == {"rows": 3, "failures": False, "share_found": None, "interval_95": None}


def test_nothing_left_is_a_count_and_no_error(copy):
    found = cover(Manifest(name="s", recipe="r", uids=["f" * 32]), copy)
    assert (found.n_found, found.count_reasons(), found.count_shards()) == (0, {NOT_LISTED: 1}, {})
    assert found.share_of_listed() is None
    assert found.uids.null_count == 1


def test_a_copy_with_other_uids_is_found_by_address(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    export_url_hash(manifest, corpus, tmp_path / "hashes.parquet")
    copy = write_listing(tmp_path / "copy", numbered, [[13, 9, 8], [1, 2]], {9: GONE}, uids=False)
    assert not cover(manifest, copy).n_found
    found = cover(manifest, copy, read_url_hash(tmp_path / "hashes.parquet", manifest))
    assert found.count_ways() == {"url and caption": 4}
    assert found.count_reasons() == {NOT_LISTED: 2, "failed_to_download: HTTP Error 404: Not Found": 1}
    theirs = {
        numbered.uid(number): hashlib.blake2b(
            f"http://example.org/{number}\0{numbered.caption(number)}".encode(), digest_size=16
        ).hexdigest()
        for number in (13, 8, 1, 2)
    }
    pairs = zip(manifest.uids.to_pylist(), found.uids.to_pylist(), strict=True)
    assert {uid: other for uid, other in pairs if other is not None} == theirs


def test_a_row_with_a_mended_caption_is_found_by_its_address_until_a_better_one_comes(tmp_path, numbered):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, [1, 2])
    export_url_hash(manifest, corpus, tmp_path / "hashes.parquet")
    for part, rows in enumerate([[(1, "mended"), (2, "mended")], [(2, numbered.caption(2)), (2, "again")]]):
        write_laion(
            tmp_path / "copy" / f"part-{part:05d}.parquet",
            pa.table(
                {"url": [f"http://example.org/{n}" for n, _ in rows], "caption": [text for _, text in rows]}
            ),
        )
    found = cover(
        manifest, open_corpus(tmp_path / "copy"), read_url_hash(tmp_path / "hashes.parquet", manifest)
    )
    assert found.count_ways() == {"url and caption": 1, "url": 1}
    rows = open_corpus(tmp_path / "copy").metadata().to_pylist()
    copy = {row["caption"]: row["uid"] for row in rows if row["caption"] != "mended"}
    place = manifest.uids.to_pylist().index(numbered.uid(2))
    assert found.uids[place].as_py() == copy[numbered.caption(2)]
    assert found.count_shards() == {"part-00000": (1, 0), "part-00001": (1, 0)}


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_left_is_the_intersection_and_every_row_is_counted_once(tmp_path_factory, numbered, data):
    numbers = list(range(12))
    split = data.draw(st.sets(st.sampled_from(numbers), min_size=1))
    listed = data.draw(st.permutations(numbers))[: data.draw(st.integers(2, 12))]
    failed = data.draw(st.sets(st.sampled_from(listed), max_size=len(listed) - 1))
    cut = data.draw(st.integers(1, len(listed) - 1))
    folder = tmp_path_factory.mktemp("copy") / "copy"
    copy = write_listing(folder, numbered, [listed[:cut], listed[cut:]], dict.fromkeys(failed, GONE))
    manifest = split_of(numbered, split)
    found = cover(manifest, copy)
    left = split & (set(listed) - failed)
    assert set(found.uids.drop_null().to_pylist()) == {numbered.uid(number) for number in left}
    told = summarise(manifest, found)
    assert told["rows"] == told["found"] + sum(told["missing"].values()) == len(split)
    assert told["missing"].get(NOT_LISTED, 0) == len(split - set(listed))
    counted = [shard["found"] + shard["lost"] for shard in told["shards"].values()]
    assert sum(counted) == told["listed"]["rows"] == len(split & set(listed))
    json.dumps(told, allow_nan=False)


def test_what_a_copy_sets_aside_is_missing_for_that_reason(tmp_path, numbered):
    copy = write_listing(tmp_path / "copy", numbered, [[1, 2], [4]], {})
    table = pq.read_table(tmp_path / "copy" / "00000.parquet")
    place = table.column_names.index("caption")
    pq.write_table(
        table.set_column(place, "caption", pa.array(["", "two"])), tmp_path / "copy" / "00000.parquet"
    )
    (tmp_path / "copy" / "00001.parquet").write_bytes(b"PAR1")
    write_json(tmp_path / "copy" / "00001_stats.json", {"successes": 1})
    copy = open_corpus(tmp_path / "copy")
    found = cover(split_of(numbered, [1, 2, 4]), copy)
    assert found.count_reasons() == {"set aside: no caption": 1, NOT_LISTED: 1}
    assert [bad.file for bad in found.damaged] == ["00001.parquet"]


def test_rows_are_counted_by_the_columns_of_the_original(tmp_path, numbered, copy):
    corpus = numbered.write(tmp_path / "corpus")
    manifest = numbered.split(corpus, CHOSEN)
    found = cover(manifest, copy)
    counts = count_columns(manifest, found, open_corpus(tmp_path / "corpus"), ["style", "concepts"])
    assert counts["style"] == {"photo": (4, 3), "sketch": (3, 1)}
    assert counts["concepts"] == {
        f"thing {number}": (1, int(number in (1, 4, 7, 13))) for number in sorted(CHOSEN, key=str)
    }


def test_columns_of_a_corpus_that_is_not_the_original_are_refused(tmp_path, numbered, copy):
    manifest = split_of(numbered)
    numbered.write(tmp_path / "other", (3,))
    with pytest.raises(
        Refusal, match=r"lacks 5 of the 7 uids of split 's': give the corpus .* with --original"
    ):
        count_columns(manifest, cover(manifest, copy), open_corpus(tmp_path / "other"), ["style"])


def test_the_failures_of_a_real_download_are_read_with_the_uids_that_they_would_have(root):
    corpus = open_corpus(root / "tests" / "fixtures" / "img2dataset-raw")
    rows = [
        row for shard in corpus.shards for table in read_failed(corpus, shard) for row in table.to_pylist()
    ]
    (row,) = rows
    assert row["caption"] == "a picture that is no longer there"
    assert row["reason"].startswith("failed_to_download: HTTP Error 404")
    text = f"{row['url']}\0{row['caption']}".encode()
    assert row["uid"] == hashlib.blake2b(text, digest_size=16).hexdigest()


def test_layouts_that_list_no_failures_have_none(root):
    for name in ("laion", "clip-retrieval", "datacomp"):
        corpus = open_corpus(root / "tests" / "fixtures" / name)
        assert not [table for shard in corpus.shards for table in read_failed(corpus, shard)]
