import hashlib
import io
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import fingerprint, open_corpus
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.retrieval.formats.tars import write_tar
from oddpair.retrieval.samples import NO_CAPTION, Bad, Sample
from oddpair.retrieval.subset import write_subset

FIXTURES = Path(__file__).parents[1] / "fixtures"
PICTURES = Path(__file__).parents[3] / "shared" / "pictures"

# Folder, layout, shards, good rows of the metadata, samples with a picture (None: no pictures), embedded.
LAYOUTS = [
    ("img2dataset-raw", "img2dataset", 2, 11, 11, False),
    ("img2dataset-jpg", "img2dataset", 2, 10, 10, False),
    ("img2dataset-parquet", "image-parquet", 2, 10, 10, False),
    ("img2dataset-laion", "img2dataset", 1, 3, 3, False),
    ("laion", "laion", 1, 4, None, False),
    ("clip-retrieval", "clip-retrieval", 2, 10, None, True),
    ("datacomp", "datacomp", 2, 4, None, True),
]


def picture(seed):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def write(folder, index, columns, *, first=0):
    n_rows = columns.num_rows
    write_shard(
        folder,
        index,
        keys=make_keys(index, n_rows),
        captions=[f"caption {first + row}" for row in range(n_rows)],
        images=[picture(first + row) for row in range(n_rows)],
        columns=columns,
    )


@pytest.fixture
def shards(tmp_path):
    for index, size in enumerate((3, 2)):
        uids = [f"{10 * index + row:032x}" for row in range(size)]
        write(tmp_path, index, pa.table({"uid": uids, "style": ["photo"] * size}), first=3 * index)
    return tmp_path


@pytest.mark.parametrize(("name", "layout", "n_shards", "rows", "samples", "embedded"), LAYOUTS)
def test_every_layout_is_one_corpus(name, layout, n_shards, rows, samples, embedded):
    corpus = open_corpus(FIXTURES / name)
    assert (corpus.layout, len(corpus.shards), corpus.source.embedded) == (layout, n_shards, embedded)
    assert corpus.source.pictures == (samples is not None)
    table, bad = corpus.collect(["key"])
    assert table.num_rows == rows
    assert table.num_rows + sum(line.rows for line in bad) == len(corpus) == sum(corpus.sizes)
    assert len(set(table["uid"].to_pylist())) == rows
    assert table["shard"].to_pylist() == sorted(table["shard"].to_pylist())
    if samples is None:
        with pytest.raises(Refusal, match="pictures"):
            list(corpus.stream(corpus.shards[0]))
        return
    found = [item for shard in corpus.shards for item in corpus.stream(shard)]
    kept = [item for item in found if isinstance(item, Sample)]
    assert [item.uid for item in kept] == table["uid"].to_pylist()
    assert [item.caption for item in kept] == table["caption"].to_pylist()
    assert len(kept) + sum(item.rows for item in found if isinstance(item, Bad)) == len(corpus)
    assert all(item.file and item.image for item in kept)


@pytest.mark.parametrize("name", [name for name, *_ in LAYOUTS])
def test_a_corpus_can_be_sent_to_another_process(name):
    corpus = open_corpus(FIXTURES / name)
    again = pickle.loads(pickle.dumps(corpus))
    assert again.metadata() == corpus.metadata()
    assert fingerprint(again) == fingerprint(corpus)


def test_the_same_download_has_the_same_uids_as_tars_as_parquet_and_embedded():
    uids = [
        open_corpus(FIXTURES / name).metadata()["uid"].to_pylist()
        for name in ("img2dataset-jpg", "img2dataset-parquet", "clip-retrieval")
    ]
    assert set(uids[0]) == set(uids[1]) == set(uids[2])


def test_the_hash_of_laion_survives_a_download():
    table = open_corpus(FIXTURES / "laion").metadata()
    caption_of = dict(zip(table["uid"].to_pylist(), table["caption"].to_pylist(), strict=True))
    down = open_corpus(FIXTURES / "img2dataset-laion").metadata()
    for uid, caption in zip(down["uid"].to_pylist(), down["caption"].to_pylist(), strict=True):
        assert caption_of[uid] == caption


def test_a_row_without_caption_is_set_aside_with_its_own_reason():
    _, bad = open_corpus(FIXTURES / "laion").collect()
    assert [line.reason for line in bad] == [NO_CAPTION]


def test_a_subset_limits_a_corpus_and_tells_how_often_each_uid_is_repeated():
    whole = open_corpus(FIXTURES / "datacomp").metadata()["uid"].to_pylist()
    corpus = open_corpus(FIXTURES / "datacomp", FIXTURES / "datacomp-subset.npy")
    table = corpus.metadata(["copies"])
    assert dict(zip(table["uid"].to_pylist(), table["copies"].to_pylist(), strict=True)) == {
        whole[0]: 1,
        whole[2]: 2,
    }
    assert fingerprint(corpus) != fingerprint(open_corpus(FIXTURES / "datacomp"))


def test_metadata_comes_in_batches_that_hold_what_it_holds(shards):
    corpus = open_corpus(shards)
    batches = list(corpus.batches(["style"]))
    assert all(batch.table.column_names == ["uid", "key", "caption", "shard", "style"] for batch in batches)
    together = pa.concat_tables([batch.table for batch in batches])
    assert together.drop_columns(["key"]).equals(corpus.metadata(["style"]))


def test_shards_are_read_with_uids_captions_pictures_and_the_other_columns(shards):
    corpus = open_corpus(shards)
    assert (corpus.shards, corpus.sizes, len(corpus)) == (("00000", "00001"), (3, 2), 5)
    rows = corpus.read("00001")
    assert rows.uids == (f"{10:032x}", f"{11:032x}")
    assert rows.keys == ("000010000", "000010001")
    assert rows.captions == ("caption 3", "caption 4")
    assert rows.images == (picture(3), picture(4))
    assert rows.columns["style"].to_pylist() == ["photo"] * 2
    assert not {"uid", "key", "caption"} & set(rows.columns.column_names)


def test_of_a_tar_metadata_needs_no_more_than_its_end(shards):
    for tar in shards.glob("*.tar"):
        tar.write_bytes(b"broken".ljust(512) + bytes(1024))
    assert open_corpus(shards).metadata().num_rows == 5
    (shards / "00001.tar").write_bytes(b"cut")
    table, bad = open_corpus(shards).collect()
    assert (table.num_rows, [(line.file, line.rows) for line in bad]) == (3, [("00001.tar", 2)])


def test_a_list_of_shards_is_a_corpus_of_those_alone(shards):
    corpus = open_corpus(f"{shards}/{{00001..00001}}.tar")
    assert (corpus.shards, len(corpus)) == (("00001",), 2)


def test_a_uid_that_comes_twice_with_one_caption_is_one_sample_that_is_counted(tmp_path):
    urls = pa.table({"url": ["http://a", "http://b"]})
    write(tmp_path, 0, urls)
    write(tmp_path, 1, urls)
    corpus = open_corpus(tmp_path)
    table = corpus.metadata(["copies"])
    assert (len(corpus), table.num_rows, table["copies"].to_pylist()) == (4, 2, [2, 2])


def test_a_uid_with_two_captions_is_refused_naming_both_rows(shards):
    write(shards, 2, pa.table({"uid": [f"{1:032x}"], "style": ["photo"]}), first=5)
    with pytest.raises(
        Refusal, match=r"in shard 00000 key 000000001 and in shard 00002 key 000020000, with dif"
    ):
        open_corpus(shards).metadata()


def test_without_a_uid_column_the_uid_is_the_hash_of_laion_as_unsigned_hex(tmp_path):
    write(tmp_path, 0, pa.table({"hash": pa.array([1, -1, -(2**63)], pa.int64())}))
    corpus = open_corpus(tmp_path)
    expected = ("0000000000000001", "ffffffffffffffff", "8000000000000000")
    assert corpus.read("00000").uids == expected
    assert tuple(corpus.metadata()["uid"].to_pylist()) == expected


def test_without_uid_and_hash_the_uid_is_made_from_url_and_caption(tmp_path):
    write(tmp_path, 0, pa.table({"url": ["http://a", "http://b"]}))
    expected = hashlib.blake2b(b"http://b\0caption 1", digest_size=16).hexdigest()
    assert open_corpus(tmp_path).read("00000").uids[1] == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (pa.table({"uid": ["a"], "style": [1]}), r"int64 .*'style'"),
        (pa.table({"uid": ["a"]}), r"00002\.parquet has no column 'style'"),
        (pa.table({"url": ["a"], "style": ["a"]}), r"00002\.parquet has no column 'uid'"),
        (pa.table({"uid": [5], "style": ["a"]}), r"00002\.parquet has int64 in column 'uid'"),
    ],
    ids=["36-another-type", "36-missing-column", "36-no-uid", "36-uid-of-another-type"],
)
def test_a_shard_that_differs_in_an_asked_column_is_refused(shards, columns, message):
    write(shards, 2, columns)
    with pytest.raises(Refusal, match=message):
        open_corpus(shards).metadata(["style"])


def test_a_column_without_a_value_in_one_shard_is_no_drift(shards):
    write(shards, 2, pa.table({"uid": ["a"], "style": pa.nulls(1)}))
    assert open_corpus(shards).metadata(["style"])["style"].to_pylist()[-2:] == ["photo", None]


def tars(folder, *stems):
    folder.mkdir()
    for stem in stems:
        write_tar(folder / f"{stem}.tar", [("a.jpg", picture(stems.index(stem))), ("a.txt", b"a cat")])


@pytest.mark.parametrize("stem", ["0000", "train-00000", "123456789"])
def test_only_tars_of_5_to_8_digits_are_read_with_their_tables(tmp_path, stem):
    tars(tmp_path / "tars", stem)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "tars" / f"{stem}.parquet")
    corpus = open_corpus(tmp_path / "tars")
    assert (corpus.layout, len(corpus)) == ("webdataset", 1)
    for name in ("00000", "00000000"):
        tars(tmp_path / name, name)
        pq.write_table(pa.table({"a": [1]}), tmp_path / name / f"{name}.parquet")
        with pytest.raises(
            Refusal, match=r"_stats\.json beside .* still downloading, or run the download again"
        ):
            open_corpus(tmp_path / name)


def test_a_tar_that_is_missing_beside_its_table_is_not_still_downloading__18(shards):
    (shards / "00001.tar").unlink()
    with pytest.raises(
        Refusal, match=r"lacks 00001\.tar beside the other parts of the shard: run the download"
    ):
        open_corpus(shards)


def test_endings_may_be_in_capitals(tmp_path):
    tars(tmp_path / "tars", "00000")
    (tmp_path / "tars" / "00000.tar").rename(tmp_path / "tars" / "00000.TAR")
    assert len(open_corpus(tmp_path / "tars").metadata()) == 1
    (tmp_path / "tables").mkdir()
    pq.write_table(pa.table({"URL": ["a"], "TEXT": ["b"]}), tmp_path / "tables" / "a.PARQUET")
    with pytest.raises(Refusal, match=r"holds a\.PARQUET: name it with the ending \.parquet"):
        open_corpus(tmp_path / "tables")


def test_parts_of_datacomp_are_found_beside_a_readme(tmp_path):
    columns = {"uid": ["0" * 32], "url": ["http://a"], "text": ["a cat"]}
    (tmp_path / "part_0").mkdir()
    (tmp_path / "part_1").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "part_1" / f"{'a' * 32}.parquet")
    for name in ("README.md", "list.csv"):
        (tmp_path / name).write_text("file,caption\n")
        assert open_corpus(tmp_path).layout == "datacomp"
    (tmp_path / "part_1" / f"{'a' * 32}.parquet").unlink()
    (tmp_path / "part_1" / "a.png").write_bytes(picture(0))
    (tmp_path / "list.csv").unlink()
    assert open_corpus(tmp_path).layout == "folder"


def test_tables_of_a_download_that_were_listed_are_read_with_what_lies_beside_them(tmp_path, shards):
    whole = open_corpus(shards).metadata()
    listed = f"{shards}/{{00000..00001}}.parquet"
    assert open_corpus(listed).layout == "img2dataset"
    assert open_corpus(listed).metadata() == whole
    assert open_corpus(shards / "00000.parquet").sizes == (3,)
    for tar in shards.glob("*.tar"):
        tar.unlink()
    for path in (listed, shards):
        corpus = open_corpus(path)
        assert not corpus.pictures
        assert corpus.metadata()["uid"].to_pylist() == whole["uid"].to_pylist()
    pictures = FIXTURES / "img2dataset-parquet"
    names = ",".join(sorted(path.name for path in pictures.glob("*.parquet")))
    assert open_corpus(f"{pictures}/{{{names}}}").metadata() == open_corpus(pictures).metadata()


def test_an_unknown_shard_is_an_error(shards):
    with pytest.raises(ValueError, match="no shard '00007' in"):
        open_corpus(shards).read("00007")


def test_shards_without_a_sample_are_refused(tmp_path):
    write_shard(tmp_path, 0, keys=[], captions=[], images=[], columns=pa.table({}))
    with pytest.raises(Refusal, match="holds 1 shards and not one sample"):
        open_corpus(tmp_path)


def test_folders_that_are_no_corpus_are_refused_with_what_is_needed(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    for name in "abcd":
        (tmp_path / "other" / f"{name}.txt").write_text("x")
    for name, message in [("missing", "does not exist"), ("empty", "is empty"), ("other", "other")]:
        with pytest.raises(Refusal, match=message):
            open_corpus(tmp_path / name)


@pytest.mark.skipif(not PICTURES.is_dir(), reason="the folder of real pictures is not beside this repository")
def test_the_folder_of_real_pictures_opens():
    corpus = open_corpus(PICTURES)
    rows = corpus.read(corpus.shards[0])
    assert len(set(rows.uids)) == len(rows) == len(corpus.metadata())
    assert all(image.startswith(b"\xff\xd8") for image in rows.images)


def test_pictures_are_found_by_uid_and_only_their_shards_are_opened(drawn, monkeypatch):
    corpus = open_corpus(drawn)
    first = corpus.read(corpus.shards[0])
    opened = []
    stream = type(corpus).stream

    def watched(self, shard):
        opened.append(shard)
        return stream(self, shard)

    monkeypatch.setattr(type(corpus), "stream", watched)
    found = corpus.find_pictures([first.uids[3], "no such uid", first.uids[0]])
    assert found == {first.uids[3]: first.images[3], first.uids[0]: first.images[0]}
    assert opened == [corpus.shards[0]]


@pytest.mark.parametrize("name", [name for name, *_ in LAYOUTS])
def test_one_shard_of_a_corpus_reads_as_it_does_among_the_others(name):
    corpus = open_corpus(FIXTURES / name)
    for shard in corpus.shards:
        one = pickle.loads(pickle.dumps(corpus.only(shard)))
        for mine, theirs in zip(one.scan(shard, None), corpus.scan(shard, None), strict=True):
            assert (mine.table, mine.bad) == (theirs.table, theirs.bad)
        assert one.source.identify(shard) == corpus.source.identify(shard)
        if corpus.pictures:
            assert list(one.stream(shard)) == list(corpus.stream(shard))


def test_one_shard_of_many_is_small_to_send(tmp_path):
    sizes = []
    for n_shards in (2, 40):
        folder = tmp_path / str(n_shards)
        for index in range(n_shards):
            write(folder, index, pa.table({"uid": [f"{index:032x}"]}), first=index)
        corpus = open_corpus(folder)
        sizes.append(len(pickle.dumps(corpus.only(corpus.shards[1]))))
    assert sizes[1] <= sizes[0] + 10


def test_a_bad_row_outside_the_subset_is_outside_and_not_bad(tmp_path):
    table = pa.table({"url": [f"http://{row}" for row in range(3)]})
    write_shard(
        tmp_path / "c",
        0,
        keys=make_keys(0, 3),
        captions=["one", "", "three"],
        images=[picture(row) for row in range(3)],
        columns=table.append_column("uid", pa.array([f"{row:032x}" for row in range(3)])),
    )
    for chosen, n_bad in (([0, 2], 0), ([0, 1], 1)):
        write_subset(tmp_path / "subset.npy", [f"{row:032x}" for row in chosen])
        corpus = open_corpus(tmp_path / "c", tmp_path / "subset.npy")
        rows, bad = corpus.collect()
        assert (rows.num_rows + len(bad), len(bad)) == (2, n_bad)
        assert sum(isinstance(found, Bad) for found in corpus.stream("00000")) == n_bad


def test_a_picture_whose_first_copy_is_bad_is_found_in_the_next_shard(tmp_path):
    for index, data in enumerate((b"", picture(1))):
        (tmp_path / f"{index}").mkdir()
        (tmp_path / f"{index}" / "a.png").write_bytes(data or b"<html>")
    lines = ["uid,file,caption", *(f"x{row},0/a.png,a" for row in range(999)), "u,0/a.png,a", "u,1/a.png,a"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    corpus = open_corpus(tmp_path)
    assert len(corpus.shards) == 2
    assert corpus.find_pictures(["u", "x1"]) == {"u": picture(1)}


UNNAMED = {
    "uid": {"uid": pa.array(["a" * 32, None, "", "b" * 32, "c" * 32, b"\xff".decode("latin-1"), "d" * 32])},
    "hash": {"hash": pa.array([1, None, 3, 4, 5, 6, 7], pa.int64())},
    "url": {"url": ["http://a", None, "", " ", "http://b", "http://c", "http://d"]},
}


@pytest.mark.parametrize("ids", UNNAMED)
@pytest.mark.parametrize("download", [False, True])
def test_without_ids_the_same_rows_come_with_the_same_captions_and_the_same_are_set_aside(
    tmp_path, ids, download
):
    captions = ["a cat", "a dog", "x" * 20_000, "\u3000", "", None, "ünï"]
    table = pa.table({"text": captions, **UNNAMED[ids]})
    if download:
        state = ["success", "success", "failed_to_download", "success", "success", "success", "success"]
        keys = ["0", "1", "2", None, "4", "5", "6"]
        table = table.append_column("status", pa.array(state)).append_column("key", pa.array(keys))
    pq.write_table(table, tmp_path / "part.parquet")
    corpus = open_corpus(tmp_path)
    named, bare = (list(corpus.scan("part", named=one)) for one in (True, False))
    assert [batch.bad for batch in named] == [batch.bad for batch in bare]
    assert any(batch.bad for batch in named)
    for one, other in zip(named, bare, strict=True):
        assert one.table["caption"].equals(other.table["caption"])
        assert one.table.schema == other.table.schema
        assert other.table["uid"].null_count == other.table.num_rows


def test_with_a_subset_ids_are_read_whatever_is_asked(tmp_path):
    uids = [f"{number:032x}" for number in range(4)]
    pq.write_table(pa.table({"uid": uids, "text": list("abcd")}), tmp_path / "part.parquet")
    halves = np.array([(0, 1), (0, 3), (0, 3)], dtype=[("f0", "<u8"), ("f1", "<u8")])
    np.save(tmp_path / "subset.npy", halves)
    (batch,) = open_corpus(tmp_path / "part.parquet", tmp_path / "subset.npy").scan(
        "part", ["copies"], named=False
    )
    assert batch.table["caption"].to_pylist() == ["b", "d"]
    assert batch.table["copies"].to_pylist() == [1, 2]
