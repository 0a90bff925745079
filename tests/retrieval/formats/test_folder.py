import dataclasses
import hashlib
import io
import pickle

import fsspec
import pytest
from PIL import Image

from oddpair.errors import Refusal
from oddpair.retrieval.formats.folder import open_folder
from oddpair.retrieval.places import locate
from oddpair.retrieval.samples import NO_CAPTION, REPEATED, Bad, Sample


def picture(seed, kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (3, 2), (seed % 256, seed // 256, 7)).save(file, kind)
    return file.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def listing(folder, *lines, name="list.csv"):
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder / name


def opened(path):
    return open_folder(locate(str(path)))


def read(source, columns=()):
    """Rows, samples and bad of all shards; both ways of reading must agree with each other and with the sizes."""
    rows: list[dict[str, str]] = []
    samples: list[Sample] = []
    scanned: list[Bad] = []
    for shard, size in zip(source.shards, source.sizes, strict=True):
        good, bad = [], []
        for batch in source.scan(shard, columns):
            good += batch.table.to_pylist()
            bad += batch.bad
        streamed = list(source.stream(shard))
        kept = [one for one in streamed if isinstance(one, Sample)]
        assert len(good) + sum(one.rows for one in bad) == size
        if source.listing is None or "uid" not in source.listing.header:
            assert [(one.uid, one.key, one.caption) for one in kept] == [
                (row["uid"], row["key"], row["caption"]) for row in good
            ]
            assert [one for one in streamed if isinstance(one, Bad)] == bad
        assert len(streamed) == size
        rows, samples, scanned = rows + good, samples + kept, scanned + bad
    return rows, samples, scanned


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for row in range(4):
        (tmp_path / "images" / f"{row}.png").write_bytes(picture(row))
    listing(tmp_path, "file,caption,style", *(f"images/{row}.png,caption {row},photo" for row in range(4)))
    return tmp_path


def test_a_listed_folder_gives_pictures_captions_columns_and_hashes_as_uids(folder):
    source = opened(folder)
    assert (source.layout, source.shards, source.sizes) == ("folder", ("00000",), (4,))
    assert (source.captioned, source.pictures, source.embedded, source.notes) == (True, True, False, ())
    rows, samples, bad = read(source, ["style"])
    assert samples == [
        Sample(
            uid=sha(picture(row))[:32],
            key=f"images/{row}.png",
            caption=f"caption {row}",
            image=picture(row),
            file=f"images/{row}.png",
        )
        for row in range(4)
    ]
    assert [row["style"] for row in rows] == ["photo"] * 4
    assert bad == []


def test_columns_are_those_asked_for_or_all(folder):
    listing(folder, "file,URL,caption", "images/0.png,http://a,x")
    source = opened(folder)
    names = {
        columns: next(source.scan("00000", columns)).table.column_names
        for columns in [(), None, ("url", "uid")]
    }
    assert names[()] == ["uid", "key", "caption"]
    assert names[None] == ["uid", "key", "caption", "file", "URL"]
    assert names["url", "uid"] == ["uid", "key", "caption", "url"]
    with pytest.raises(Refusal, match=r"list\.csv has no column 'style', only file, URL, caption: add it"):
        next(source.scan("00000", ["style"]))
    with pytest.raises(ValueError, match="no shard '7'"):
        next(source.scan("7"))


def test_of_files_with_the_same_bytes_the_first_of_a_shard_stays(folder):
    (folder / "images" / "copy.png").write_bytes(picture(1))
    with (folder / "list.csv").open("a") as file:
        file.write("images/copy.png,other,photo\n\nimages/1.png,third,photo\n")
    rows, _, bad = read(opened(folder))
    assert [row["caption"] for row in rows] == [f"caption {row}" for row in range(4)]
    uid = sha(picture(1))[:32]
    assert bad == [Bad(file="list.csv", row=row, uid=uid, reason=REPEATED) for row in (4, 5)]


def test_a_folder_is_cut_into_shards_of_a_thousand_rows(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    listing(tmp_path, "uid,file,caption", *(f'{row},a.png,"line 1\nof {row}"' for row in range(2001)))
    source = opened(tmp_path)
    assert (source.shards, source.sizes) == (("00000", "00001", "00002"), (1000, 1000, 1))
    rows, samples, _ = read(source)
    assert (
        [row["uid"] for row in rows]
        == [sample.uid for sample in samples]
        == [str(row) for row in range(2001)]
    )
    assert [row["caption"] for row in rows] == [f"line 1\nof {row}" for row in range(2001)]


def test_what_ids_are_made_of_is_said(folder):
    assert opened(folder).identity == "bytes"
    listing(folder, "file,caption,uid", "images/0.png,x,one")
    assert opened(folder).identity == "uid"


def test_uids_of_a_listing_are_kept_and_need_no_picture_read(folder, monkeypatch):
    listing(folder, "uid,file,caption", "x,images/0.png,a", "y,images/0.png,b", "z,images/9.png,c")
    source = opened(folder)
    assert [sample.uid for sample in read(source)[1]] == ["x", "y"]
    monkeypatch.setattr("oddpair.retrieval.formats.loose.LooseFiles.read", None)
    (batch,) = source.scan("00000")
    assert batch.table["uid"].to_pylist() == ["x", "y"]
    assert batch.bad == (Bad(file="list.csv", row=2, uid="z", reason="no such file"),)


def test_a_picture_of_other_bytes_than_its_listed_sha256_is_set_aside__20(folder):
    hashes = [sha(picture(0)).upper(), sha(picture(7)), "", sha(picture(3))]
    lines = [*(f"images/{row}.png,c,{hashes[row]}" for row in range(4)), "images/1.png,d,"]
    listing(folder, "file,caption,sha256", *lines)
    rows, _, bad = read(opened(folder))
    assert [row["key"] for row in rows] == [f"images/{row}.png" for row in (0, 2, 3, 1)]
    assert [(one.row, one.reason) for one in bad] == [(1, "sha256 is not the listed one")]


def test_rows_that_cannot_be_used_are_set_aside_one_by_one(folder):
    (folder / "images" / "empty.png").write_bytes(b"")
    (folder / "images" / "folder.png").mkdir()
    (folder / "images" / "large.png").write_bytes(b"")
    with (folder / "images" / "large.png").open("r+b") as file:
        file.truncate((1 << 28) + 1)
    lines = [
        b"file,caption",
        b"images/0.png,",
        b"images/1.png,caf\xe9",
        b"images/\xe9.png,x",
        b"images/9.png,x",
        b"images/empty.png,x",
        b"images/folder.png,x",
        b"images/large.png,x",
        b"x" * 5000 + b".png,x",
        b"images/2.png, \t ",
        b"images/3.png,good",
    ]
    (folder / "list.csv").write_bytes(b"\n".join(lines))
    rows, _, bad = read(opened(folder))
    assert [row["caption"] for row in rows] == ["good"]
    assert [(one.row, one.reason) for one in bad] == [
        (0, NO_CAPTION),
        (1, "caption is not UTF-8"),
        (2, "key is not UTF-8"),
        (3, "no such file"),
        (4, "empty file"),
        (5, "no such file"),
        (6, "more than 256 MiB"),
        (7, "cannot be read (File name too long)"),
        (8, NO_CAPTION),
    ]
    assert {(one.file, one.rows) for one in bad} == {("list.csv", 1)}


def test_whether_a_row_is_good_does_not_depend_on_its_other_columns__31(folder):
    (folder / "list.csv").write_bytes(
        b"file,caption,artist\nimages/0.png,a,caf\xe9\nimages/1.png,b,caf\xc3\xa9\n"
    )
    source = opened(folder)
    assert [row["caption"] for row in read(source)[0]] == ["a", "b"]
    assert [row["artist"] for row in read(source, ["artist"])[0]] == ["caf\ufffd", "caf\u00e9"]


def test_a_listing_that_names_no_file_at_all_is_refused(folder):
    listing(folder, "file,caption", "up/0.png,a", "up/1.png,b")
    with pytest.raises(
        Refusal, match=r"line 2 names 'up/0\.png', and .* is no file, nor .* 2 pictures listed first"
    ):
        opened(folder)


@pytest.mark.parametrize("kind", ["listed", "bare"])
def test_a_link_out_of_the_folder_is_refused_unless_the_user_named_it(tmp_path, kind):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(picture(1))
    (folder / "a.png").write_bytes(picture(0))
    (folder / "b.png").symlink_to(tmp_path / "secret.png")
    (folder / "inside.png").symlink_to("a.png")
    if kind == "listed":
        listing(folder, "file,caption", "a.png,a", "b.png,b")
    source = opened(folder)
    for way in (source.scan, source.stream):
        with pytest.raises(Refusal, match=r"b\.png is a link to a file which is outside"):
            list(way("00000"))
    with pytest.raises(Refusal, match="outside"):
        source.identify("00000")
    named = opened(folder / "list.csv" if kind == "listed" else f"{folder}/{{a,b}}.png")
    assert [sample.image for sample in read(named)[1]] == [picture(0), picture(1)]


def test_open_clips_listing_may_name_pictures_anywhere_if_the_user_named_it(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "far.jpg").write_bytes(picture(1))
    (tmp_path / "folder" / "near.jpg").write_bytes(picture(2))
    path = listing(
        tmp_path / "folder",
        "title\tfilepath",
        f"a, b\t{tmp_path}/far.jpg",
        "c\tnear.jpg",
        "d\t../far.jpg",
        name="x.tsv",
    )
    rows, samples, bad = read(opened(path), None)
    assert [(row["key"], row["caption"], row["title"]) for row in rows] == [
        (f"{tmp_path}/far.jpg", "a, b", "a, b"),
        ("near.jpg", "c", "c"),
    ]
    assert [sample.image for sample in samples] == [picture(1), picture(2)]
    assert [one.reason for one in bad] == [REPEATED]
    with pytest.raises(Refusal, match=r"x\.tsv line 2 names '.*far\.jpg', which is outside"):
        opened(path.parent)


def test_bare_pictures_have_the_captions_beside_them(tmp_path):
    for row, name in enumerate(["b.jpg", "a/2.PNG", "a/1.webp", "c.tiff", "e.gif", "f.bmp"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(row))
    for name, text in {
        "b": b"\xef\xbb\xbf b \r\n",
        "a/1": b"two\nlines",
        "c": b"caf\xe9",
        "e": b" ",
        "f": "é".encode() * 40_000,
    }.items():
        (tmp_path / f"{name}.txt").write_bytes(text)
    (tmp_path / "notes.txt").write_text("not a caption")
    source = opened(tmp_path)
    assert (source.captioned, source.notes) == (True, ("1 files that are no pictures are passed over",))
    rows, samples, bad = read(source)
    assert [(row["key"], row["caption"]) for row in rows] == [
        ("a/1.webp", "two\nlines"),
        ("b.jpg", "b"),
        ("f.bmp", "é" * 10_000),
    ]
    assert samples[1].uid == sha(picture(0))[:32]
    assert bad == [
        Bad(file="a/2.PNG", reason=NO_CAPTION),
        Bad(file="c.tiff", reason="caption is not UTF-8"),
        Bad(file="e.gif", reason=NO_CAPTION),
    ]


@pytest.mark.parametrize("root", ["local", "store"])
def test_pictures_at_any_depth_are_found_and_hidden_ones_are_not(tmp_path, root):
    names = [
        "train/a/b/x.jpg",
        "train/a.jpg",
        "train/a/y.png",
        "top.webp",
        "train/.trash/z.jpg",
        ".hidden.jpg",
    ]
    for row, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(row))
    (tmp_path / "train" / "a" / "b" / "x.txt").write_text("deep")
    path = str(tmp_path)
    if root == "store":
        store = fsspec.filesystem("memory")
        store.put(path, "/deep", recursive=True)
        path = "memory://deep"
    source = opened(path)
    assert source.sizes == (4,)
    assert [one.key for one in read(source)[1]] == ["train/a/b/x.jpg"]
    assert [bad.file for bad in read(source)[2]] == ["top.webp", "train/a.jpg", "train/a/y.png"]


def test_links_to_folders_are_not_followed_and_told(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").write_bytes(picture(0))
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    source = opened(tmp_path)
    assert [row["key"] for row in read(source)[0]] == ["a/x.jpg"]
    assert source.notes == ("links to folders are not followed: a/round, b",)


def test_bare_pictures_without_any_caption_are_a_corpus_without_captions(tmp_path):
    for row in range(3):
        (tmp_path / f"{row}.jpg").write_bytes(picture(row))
    (tmp_path / "README.txt").write_text("hello")
    source = opened(tmp_path)
    assert not source.captioned
    rows, _, bad = read(source, None)
    assert [row["caption"] for row in rows] == ["", "", ""]
    assert bad == []
    assert opened(f"{tmp_path}/{{0..2}}.jpg").sizes == (3,)


def test_captions_need_not_be_named_beside_pictures_that_the_user_named(tmp_path):
    for row in range(3):
        (tmp_path / f"{row}.jpg").write_bytes(picture(row))
        (tmp_path / f"{row}.txt").write_text(f"caption {row}")
    rows, _, _ = read(opened(f"{tmp_path}/{{0..1}}.jpg"))
    assert [row["caption"] for row in rows] == ["caption 0", "caption 1"]


def test_a_name_that_is_not_utf8_is_set_aside_and_told_in_escapes(tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture(0))
    (tmp_path / "b\udcff.jpg").write_bytes(picture(1))
    rows, _, bad = read(opened(tmp_path))
    assert [row["key"] for row in rows] == ["a.jpg"]
    assert bad == [Bad(file="b\\udcff.jpg", reason="key is not UTF-8")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"holds no picture \(\.jpg, .*\) and no \.csv of file and caption: add one"),
        (("a.txt",), "holds no picture"),
        (("a.csv", "b.tsv"), r"holds 2 csv files \(a\.csv, b\.tsv\): leave only one, or name it"),
    ],
)
def test_folders_without_pictures_or_with_two_listings_are_refused(tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(Refusal, match=message):
        opened(tmp_path)


@pytest.mark.parametrize("kind", ["listed", "bare"])
def test_a_shard_is_identified_by_its_rows_and_the_bytes_of_its_files(folder, kind):
    if kind == "bare":
        (folder / "list.csv").unlink()
        (folder / "images" / "0.txt").write_text("a")
    names = {"listed": "list.csv 00000", "bare": "pictures 00000"}
    seen = [opened(folder).identify("00000")]
    assert set(seen[0]) == {names[kind]}
    assert opened(folder).identify("00000") == seen[0]
    (folder / "images" / "2.png").write_bytes(picture(9))
    seen.append(opened(folder).identify("00000"))
    (folder / "images" / "1.png").unlink()
    seen.append(opened(folder).identify("00000"))
    text = folder / ("list.csv" if kind == "listed" else "images/0.txt")
    text.write_text(
        text.read_text().replace("a", "A") if kind == "bare" else text.read_text().replace("photo", "x")
    )
    seen.append(opened(folder).identify("00000"))
    assert len({tuple(one.values()) for one in seen}) == 4


def test_a_folder_in_a_store_is_read_as_a_local_one_is(folder):
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/folders", recursive=True)
    try:
        local, remote = opened(folder), opened("memory://folders")
        assert read(remote, None) == read(local, None)
        assert remote.identify("00000") == local.identify("00000")
        assert read(pickle.loads(pickle.dumps(remote))) == read(local)
        system.rm("/folders/list.csv")
        system.pipe("/folders/images/0.txt", b"a caption")
        bare = opened("memory://folders")
        assert [row["caption"] for row in read(bare)[0]] == ["a caption"]
        system.pipe("/folders/list.csv", b"file,caption\nmemory://folders/images/0.png,x\n")
        with pytest.raises(Refusal, match="which is outside"):
            opened("memory://folders/list.csv")
    finally:
        system.rm("/folders", recursive=True)


def test_a_source_is_small_enough_to_be_sent_to_every_worker(tmp_path):
    names = tuple(f"picture_{number:08d}.jpg" for number in range(20_000))
    for name in names[:1]:
        (tmp_path / name).write_bytes(picture(0))
    source = open_folder(type(locate(tmp_path))(root=tmp_path, names=names))
    assert source.sizes == (1000,) * 20
    assert len(pickle.dumps(source)) < 6 * len(names)
    (batch,) = source.scan("00000")
    assert (batch.table.num_rows, len(batch.bad)) == (1, 999)


@pytest.mark.parametrize("listed", [False, True])
def test_files_of_the_same_bytes_are_all_samples_where_repeats_are_kept(tmp_path, listed):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(picture(name == "b.png"))
    if listed:
        listing(tmp_path, "file,caption", "a.png,one", "b.png,two", "c.png,three")
    source = opened(tmp_path)
    _, samples, bad = read(source)
    assert ([one.key for one in samples], [one.reason for one in bad]) == (["a.png", "b.png"], [REPEATED])
    _, samples, bad = read(dataclasses.replace(source, repeats=True))
    assert ([one.key for one in samples], bad) == (["a.png", "b.png", "c.png"], [])
    assert samples[0].uid == samples[2].uid == sha(picture(0))[:32] != samples[1].uid
