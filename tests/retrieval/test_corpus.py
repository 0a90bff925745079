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
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.retrieval.formats.tars import write_tar

PICTURES = Path(__file__).parents[3] / "shared" / "pictures"


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


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for row in range(4):
        (tmp_path / "images" / f"{row}.png").write_bytes(picture(row))
    listing(tmp_path, "file,caption,style", *(f"images/{row}.png,caption {row},photo" for row in range(4)))
    return tmp_path


def listing(folder, *lines, name="list.csv"):
    (folder / name).write_text("\n".join(lines) + "\n")


def test_shards_are_read_with_uids_captions_pictures_and_the_other_columns(shards):
    corpus = open_corpus(shards)
    assert (corpus.layout, corpus.shards, corpus.sizes, len(corpus)) == (
        "img2dataset",
        ("00000", "00001"),
        (3, 2),
        5,
    )
    rows = corpus.read("00001")
    assert rows.uids == (f"{10:032x}", f"{11:032x}")
    assert rows.keys == ("000010000", "000010001")
    assert rows.captions == ("caption 3", "caption 4")
    assert rows.images == (picture(3), picture(4))
    assert rows.columns["style"].to_pylist() == ["photo"] * 2
    assert not {"uid", "key", "caption"} & set(rows.columns.column_names)


def test_metadata_agrees_with_the_rows_of_every_shard_in_order(shards):
    corpus = open_corpus(str(shards))
    table = corpus.metadata(["style", "key", "style"])
    assert table.column_names == ["uid", "caption", "shard", "style", "key"]
    parts = [corpus.read(shard) for shard in corpus.shards]
    assert table["uid"].to_pylist() == [uid for part in parts for uid in part.uids]
    assert table["caption"].to_pylist() == [caption for part in parts for caption in part.captions]
    assert table["shard"].to_pylist() == ["00000"] * 3 + ["00001"] * 2


def test_of_a_tar_metadata_needs_no_more_than_its_end(shards):
    for tar in shards.glob("*.tar"):
        tar.write_bytes(b"broken".ljust(512) + bytes(1024))
    assert open_corpus(shards).metadata().num_rows == 5


@pytest.mark.parametrize("kept", [0, 100, 512, 1000, 1024, -512, -1])
def test_a_tar_that_is_cut_short_is_refused_at_opening(shards, kept):
    last = sorted(shards.glob("*.tar"))[-1]
    write_tar(last, [("000010000.jpg", b"x" * 700)])
    # Our tars are filled to whole records with zeros; others end right after the end mark.
    data = last.read_bytes()[: 512 + 1024 + 1024]
    last.write_bytes(data)
    assert open_corpus(shards).metadata().num_rows == 5
    last.write_bytes(data[:kept])
    with pytest.raises(
        Refusal, match=rf"{last.name} ends at byte {len(data[:kept])} .*: the shard is truncated; download"
    ):
        open_corpus(shards)


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


def test_a_uid_in_two_shards_is_refused_naming_both_rows(shards):
    write(shards, 2, pa.table({"uid": [f"{1:032x}"], "style": ["photo"]}), first=5)
    with pytest.raises(Refusal, match="in shard 00000 key 000000001 and in shard 00002 key 000020000"):
        open_corpus(shards).metadata()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            pa.table({"uid": ["a"], "style": [1]}),
            r"00002\.parquet has int64 in column 'style', .* has string",
        ),
        (pa.table({"uid": ["a"]}), r"00002\.parquet has no column 'style'"),
        (pa.table({"url": ["a"], "style": ["a"]}), r"00002\.parquet has no column 'uid'"),
        (pa.table({"uid": [5], "style": ["a"]}), r"00002\.parquet has int64 in column 'uid', needed string"),
        (pa.table({"uid": [""], "style": ["a"]}), r"00002\.parquet has no uid for key 000020000"),
        (pa.table({"uid": pa.nulls(1, pa.string()), "style": ["a"]}), "has no uid for key 000020000"),
    ],
)
def test_a_shard_that_differs_in_an_asked_column_is_refused(shards, columns, message):
    write(shards, 2, columns)
    with pytest.raises(Refusal, match=message):
        open_corpus(shards).metadata(["style"])


def test_a_shard_without_the_uid_column_of_the_first_is_refused_when_it_is_read(shards):
    write(shards, 2, pa.table({"url": ["a"]}))
    with pytest.raises(Refusal, match=r"00002\.parquet has no column 'uid', which the first shard"):
        open_corpus(shards).read("00002")


@pytest.mark.parametrize("name", ["00001.tar", "00000.parquet", "00001_stats.json"])
def test_a_missing_part_of_a_shard_is_refused_by_name(shards, name):
    (shards / name).unlink()
    with pytest.raises(Refusal, match=f"lacks {name} beside the other parts of the shard"):
        open_corpus(shards)


def test_shard_names_of_different_width_are_refused(shards):
    for part in ("00001.tar", "00001.parquet", "00001_stats.json"):
        (shards / part).rename(shards / f"0{part}")
    with pytest.raises(Refusal, match="with 5 and with 6 digits"):
        open_corpus(shards)


def test_an_unknown_shard_is_an_error(shards):
    with pytest.raises(ValueError, match="no shard '00007' in"):
        open_corpus(shards).read("00007")


def test_shards_without_a_sample_are_refused(tmp_path):
    write_shard(tmp_path, 0, keys=[], captions=[], images=[], columns=pa.table({}))
    with pytest.raises(Refusal, match="holds 1 shards and not one sample"):
        open_corpus(tmp_path)


def test_a_first_table_that_is_no_parquet_is_refused(shards):
    (shards / "00000.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(Refusal, match=r"00000\.parquet is no parquet file, or damaged"):
        open_corpus(shards)


def test_folders_that_are_no_corpus_are_refused_with_what_is_needed(tmp_path):
    (tmp_path / "file.tar").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    for name in "abcd":
        (tmp_path / "other" / f"{name}.txt").write_text("x")
    needed = "a corpus is a folder of img2dataset shards"
    for name, message in [
        ("missing", "missing does not exist"),
        ("file.tar", r"file\.tar is a file"),
        ("empty", "empty is empty"),
        ("other", r"other holds a\.txt, b\.txt, c\.txt, …"),
    ]:
        with pytest.raises(Refusal, match=f"{message}: {needed}"):
            open_corpus(tmp_path / name)


def test_a_folder_of_pictures_is_read_with_hashes_as_uids(folder):
    corpus = open_corpus(folder)
    assert (corpus.layout, corpus.shards, corpus.sizes, corpus.duplicates) == ("folder", ("00000",), (4,), 0)
    rows = corpus.read("00000")
    assert rows.uids == tuple(hashlib.sha256(picture(row)).hexdigest()[:32] for row in range(4))
    assert rows.images == tuple(picture(row) for row in range(4))
    assert rows.keys == tuple(f"images/{row}.png" for row in range(4))
    assert corpus.metadata(["style"]).to_pylist()[2] == {
        "uid": rows.uids[2],
        "caption": "caption 2",
        "shard": "00000",
        "style": "photo",
    }


def test_files_of_the_same_bytes_are_one_sample_and_the_first_row_stays(folder):
    (folder / "images" / "copy.png").write_bytes(picture(1))
    with (folder / "list.csv").open("a") as file:
        file.write("images/copy.png,other,photo\n\nimages/1.png,third,photo\n")
    corpus = open_corpus(folder)
    assert (len(corpus), corpus.duplicates) == (4, 2)
    assert corpus.read("00000").captions == tuple(f"caption {row}" for row in range(4))


def test_a_folder_is_cut_into_shards_of_a_thousand_rows(tmp_path):
    for row in range(1001):
        (tmp_path / f"{row}.png").write_bytes(str(row).encode())
    listing(tmp_path, "file,caption", *(f"{row}.png,{row}" for row in range(1001)))
    corpus = open_corpus(tmp_path)
    assert (corpus.shards, corpus.sizes) == (("00000", "00001"), (1000, 1))
    assert corpus.read("00001").captions == ("1000",)
    assert corpus.metadata()["caption"].to_pylist() == [str(row) for row in range(1001)]


def test_a_uid_column_of_the_csv_is_kept(folder):
    listing(folder, "uid,file,caption", "x,images/0.png,a", "y,images/0.png,b")
    corpus = open_corpus(folder)
    assert (corpus.read("00000").uids, corpus.duplicates) == (("x", "y"), 0)
    listing(folder, "uid,file,caption", "x,images/0.png,a", "x,images/1.png,b")
    with pytest.raises(
        Refusal, match=r"in shard 00000 key images/0\.png and in shard 00000 key images/1\.png"
    ):
        open_corpus(folder).metadata()


def test_the_csv_may_have_a_byte_order_mark_quotes_and_empty_captions(folder):
    (folder / "list.csv").write_bytes(
        '\ufefffile,caption\r\nimages/0.png,"a, ""b"""\r\nimages/1.png,\r\n'.encode()
    )
    assert open_corpus(folder).read("00000").captions == ('a, "b"', "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["file,caption", "images/0.png,a", "images/9.png,b"],
            r"list\.csv line 3 names 'images/9\.png', and .* no file",
        ),
        (["file,caption", "images,a"], r"list\.csv line 2 names 'images', and .* is no file"),
        (["file,caption", "../up.png,a"], r"line 2 names '\.\./up\.png', which is outside"),
        (["file,caption", "/etc/hostname,a"], "line 2 names '/etc/hostname', which is outside"),
        (["file,caption", "images/link.png,a"], r"line 2 names 'images/link\.png', which is outside"),
        (["file,caption", ",a"], "line 2 names '', which is outside"),
        (["file,caption", "a\0b,a"], r"line 2 names 'a\\x00b', which is no path"),
        (["file,caption", "x" * 5000 + ",a"], "line 2 names 'xxx.*', which is no path"),
        (["file,caption", "images/0.png,a,b"], "line 2 has 3 cells, the header 2: quote"),
        (["file,caption", 'images/0.png,"a'], "line 2 is no csv"),
        (["file,text", "images/0.png,a"], r"has the columns \['file', 'text'\], needed 'file' and 'caption'"),
        (["file,caption,file", "images/0.png,a,b"], "names a column twice"),
        (["file,caption,shard", "images/0.png,a,b"], "has a column 'shard'"),
        (["uid,file,caption", ",images/0.png,a"], "line 2 has an empty uid"),
        (["file,caption"], "lists no picture"),
        ([], "needed 'file' and 'caption'"),
    ],
)
def test_a_csv_that_cannot_be_followed_is_refused_with_its_line(folder, lines, message):
    (folder / "images" / "link.png").symlink_to("/etc/hostname")
    listing(folder, *lines)
    with pytest.raises(Refusal, match=message):
        open_corpus(folder)


def test_a_csv_that_is_not_utf8_is_refused(folder):
    (folder / "list.csv").write_bytes(b"file,caption\nimages/0.png,caf\xe9\n")
    with pytest.raises(Refusal, match=r"list\.csv is not UTF-8 at byte 29"):
        open_corpus(folder)


def test_two_csv_files_are_refused(folder):
    listing(folder, "file,caption", name="more.csv")
    with pytest.raises(Refusal, match=r"holds 2 csv files \(list\.csv, more\.csv\): leave only one"):
        open_corpus(folder)


def test_a_picture_that_changes_after_opening_is_refused(folder):
    corpus = open_corpus(folder)
    (folder / "images" / "1.png").write_bytes(picture(9))
    with pytest.raises(Refusal, match=r"images/1\.png has changed since the run began"):
        corpus.read("00000")
    (folder / "images" / "1.png").unlink()
    with pytest.raises(Refusal, match=r"images/1\.png can no longer be read"):
        corpus.read("00000")


def test_an_unknown_column_of_a_folder_is_refused(folder):
    with pytest.raises(Refusal, match=r"has no column 'licence', only .*style"):
        open_corpus(folder).metadata(["licence"])


def test_a_corpus_can_be_sent_to_another_process(folder):
    corpus = open_corpus(folder)
    assert pickle.loads(pickle.dumps(corpus)).read("00000").uids == corpus.read("00000").uids


def test_metadata_and_rows_agree_on_a_null_caption(shards):
    path = shards / "00000.parquet"
    table = pq.read_table(path)
    captions = pa.array([None, *table["caption"].to_pylist()[1:]], pa.string())
    pq.write_table(table.set_column(table.column_names.index("caption"), "caption", captions), path)
    corpus = open_corpus(shards)
    assert corpus.metadata()["caption"][0].as_py() == ""
    with pytest.raises(Refusal, match="sample 000000000 has another caption"):
        corpus.read("00000")


@pytest.mark.skipif(not PICTURES.is_dir(), reason="the folder of real pictures is not beside this repository")
def test_the_folder_of_real_pictures_opens():
    corpus = open_corpus(PICTURES)
    assert len(corpus) + corpus.duplicates == 415
    rows = corpus.read(corpus.shards[0])
    assert len(set(rows.uids)) == len(rows) == len(corpus)
    assert all(image.startswith(b"\xff\xd8") for image in rows.images)


def test_pictures_are_found_by_uid_and_only_their_shards_are_opened(drawn, monkeypatch):
    corpus = open_corpus(drawn)
    opened = []
    read = type(corpus).read

    def watched(self, shard):
        opened.append(shard)
        return read(self, shard)

    monkeypatch.setattr(type(corpus), "read", watched)
    first = read(corpus, corpus.shards[0])
    found = corpus.find_pictures([first.uids[3], "no such uid", first.uids[0]])
    assert found == {first.uids[3]: first.images[3], first.uids[0]: first.images[0]}
    assert opened == [corpus.shards[0]]
