import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from oddpair.errors import Refusal
from oddpair.retrieval.formats.clean import hash_text
from oddpair.retrieval.formats.img2dataset import open_img2dataset
from oddpair.retrieval.formats.tars import write_tar
from oddpair.retrieval.formats.webdataset import open_webdataset
from oddpair.retrieval.places import Place
from oddpair.retrieval.samples import NO_CAPTION, Bad

FIXTURES = Path(__file__).parents[2] / "fixtures"


def place(folder, **changes):
    names = tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))
    return Place(**{"root": folder, "names": names, **changes})


def image(row):
    return f"picture {row}".encode()


def write(folder, shard, rows, *, txt=True, suffix="jpg"):
    pairs: list[tuple[str, bytes]] = []
    for row, values in enumerate(rows):
        key = f"{shard}{row:04d}"
        pairs.append((f"{key}.{suffix}", image(row)))
        if values is not None:
            pairs.append(
                (f"{key}.json", values if isinstance(values, bytes) else json.dumps(values).encode())
            )
        if txt:
            pairs.append((f"{key}.txt", f"caption {row}".encode()))
    write_tar(folder / f"{shard}.tar", pairs)


def read(source, shard="00000", columns=()):
    """Read a shard both ways; return the samples, the columns and what was set aside, sums being right."""
    size = source.sizes[source.shards.index(shard)]
    (batch,) = source.scan(shard, columns)
    assert batch.table.num_rows + sum(bad.rows for bad in batch.bad) == size
    found = list(source.stream(shard))
    samples = [one for one in found if not isinstance(one, Bad)]
    bads = [one for one in found if isinstance(one, Bad)]
    assert len(samples) + sum(bad.rows for bad in bads) == size
    assert [sample.key for sample in samples] == batch.table["key"].to_pylist()
    assert [sample.uid for sample in samples] == batch.table["uid"].to_pylist()
    return samples, batch.table, bads


def uids(folder, **changes):
    return [sample.uid for sample in read(open_webdataset(place(folder, **changes)))[0]]


def test_samples_are_read_in_the_order_of_the_tar(tmp_path):
    write(tmp_path, "00000", [{"uid": name} for name in "ba"], suffix="webp")
    source = open_webdataset(place(tmp_path))
    assert (source.layout, source.shards, source.sizes) == ("webdataset", ("00000",), (2,))
    assert (source.captioned, source.pictures, source.embedded) == (True, True, False)
    samples, table, bads = read(source)
    assert [(one.uid, one.key, one.caption, one.image) for one in samples] == [
        ("b", "000000000", "caption 0", image(0)),
        ("a", "000000001", "caption 1", image(1)),
    ]
    assert (table.column_names, bads) == (["uid", "key", "caption"], [])


def test_the_id_is_uid_else_hash_else_made_from_url_and_caption_else_from_the_bytes(tmp_path):
    rows: list[dict[str, object]] = [
        {"uid": "u", "hash": 1, "url": "http://a"},
        {"uid": "v", "hash": -1, "url": "http://b"},
    ]
    write(tmp_path, "00000", rows)
    assert uids(tmp_path) == ["u", "v"]
    for row in rows:
        del row["uid"]
    write(tmp_path, "00000", rows)
    assert uids(tmp_path) == ["0" * 15 + "1", "f" * 16]
    for row in rows:
        del row["hash"]
    write(tmp_path, "00000", rows)
    assert uids(tmp_path) == [hash_text("http://a", "caption 0"), hash_text("http://b", "caption 1")]
    write(tmp_path, "00000", [None, None])
    assert uids(tmp_path) == [hashlib.sha256(image(row)).hexdigest()[:32] for row in range(2)]


def test_the_id_of_a_sample_is_the_same_beside_any_others(tmp_path):
    rows: list[Any] = [
        {"uid": "u", "url": "http://a"},
        {"uid": "", "hash": 2},
        {"uid": 5, "hash": 2**70, "url": "http://b"},
        {"url": " "},
        {"url": None},
        None,
    ]
    picture = [hashlib.sha256(image(row)).hexdigest()[:32] for row in range(6)]
    expected = ["u", "0" * 15 + "2", hash_text("http://b", "caption 2"), *picture[3:]]
    kinds = ["uid", "hash", "url and caption", "bytes", "bytes", "bytes"]
    write(tmp_path, "00000", rows)
    assert uids(tmp_path) == expected
    for first, kind in enumerate(kinds):
        members = [
            (f"{row}.{suffix}", data)
            for row in range(first, 6)
            for suffix, data in [
                ("jpg", image(row)),
                ("json", json.dumps(rows[row] or {}).encode()),
                ("txt", f"caption {row}".encode()),
            ]
        ]
        write_tar(tmp_path / "00000.tar", members)
        assert uids(tmp_path) == expected[first:]
        assert open_webdataset(place(tmp_path)).identity == kind


def test_two_pictures_with_one_caption_and_no_address_are_two_samples(tmp_path):
    pairs = [
        (f"{key}.{suffix}", data)
        for key in "ab"
        for suffix, data in [("jpg", key.encode()), ("txt", b"logo")]
    ]
    write_tar(tmp_path / "00001.tar", pairs)
    alone = uids_of(tmp_path, "00001")
    assert len(set(alone)) == 2
    write(tmp_path, "00000", [{"url": "http://a"}])
    assert uids_of(tmp_path, "00001") == alone


def uids_of(folder, shard):
    return [sample.uid for sample in read(open_webdataset(place(folder)), shard)[0]]


def test_pictures_are_read_only_where_they_are_the_ids(tmp_path, monkeypatch):
    write(tmp_path, "00000", [{"url": "http://a"}, {"url": None}, {"uid": "u"}])
    found = []

    def read(file, entry, digest):
        found.append(entry.key)
        return b""

    monkeypatch.setattr("oddpair.retrieval.formats.webdataset.read_picture", read)
    list(open_webdataset(place(tmp_path)).scan("00000"))
    assert found == ["000000001"]


def test_ids_are_those_of_the_same_shards_with_tables():
    for name in ("jpg", "laion"):
        root = FIXTURES / f"img2dataset-{name}"
        with_tables = open_img2dataset(place(root))
        alone = open_webdataset(
            place(root, names=tuple(path.name for path in root.iterdir() if path.suffix != ".parquet"))
        )
        assert (alone.shards, alone.sizes) == (with_tables.shards, with_tables.sizes)
        for shard in alone.shards:
            expected = [one for one in with_tables.stream(shard) if not isinstance(one, Bad)]
            assert read(alone, shard)[0] == expected


def test_hashes_in_the_json_of_a_raw_download_are_compared(tmp_path):
    # Cases 7 and 20.
    digests = [hashlib.sha256(image(row)).hexdigest() for row in (0, 0)]
    write(
        tmp_path,
        "00000",
        [{"uid": digest + str(row), "sha256": digest, "width": None} for row, digest in enumerate(digests)],
    )
    source = open_webdataset(place(tmp_path))
    found = list(source.stream("00000"))
    assert [type(one).__name__ for one in found] == ["Sample", "Bad"]
    assert isinstance(found[1], Bad)
    assert (found[1].reason, found[1].uid) == (
        "sample 000000001 holds a picture whose hash is not the one in the table",
        digests[1] + "1",
    )


def test_repeats_of_an_upsampled_subset_are_no_faults(tmp_path):
    pairs = [
        pair for copy in range(3) for pair in ((f"u-{copy}.jpg", b"x"), (f"u-{copy}.json", b'{"uid": "u"}'))
    ]
    write_tar(tmp_path / "00000000.tar", pairs)
    source = open_webdataset(place(tmp_path))
    assert [sample.uid for sample in source.stream("00000000") if not isinstance(sample, Bad)] == ["u"] * 3


def test_shards_without_captions_are_a_corpus_of_pictures(tmp_path):
    write(tmp_path, "00000", [{"uid": "a"}], txt=False)
    source = open_webdataset(place(tmp_path))
    assert not source.captioned
    assert source.notes[0].startswith("There are no captions")
    assert read(source)[0][0].caption == ""


def test_captions_may_be_in_the_json_and_lack_in_some(tmp_path):
    write(
        tmp_path,
        "00000",
        [{"uid": "a", "text": "a cat"}, {"uid": "b"}, {"uid": "c", "caption": " "}],
        txt=False,
    )
    samples, _, bads = read(open_webdataset(place(tmp_path)))
    assert [sample.caption for sample in samples] == ["a cat"]
    # Case 33; a place in a tar is a byte.
    assert [(bad.uid, bad.row, bad.offset, bad.reason) for bad in bads] == [
        ("b", None, 2048, NO_CAPTION),
        ("c", None, 4096, NO_CAPTION),
    ]


def test_samples_without_a_txt_have_no_caption(tmp_path):
    # Case 33: most samples have one.
    pairs = [(f"{key}.jpg", key.encode()) for key in "abcd"] + [(f"{key}.txt", b"a cat") for key in "abc"]
    write_tar(tmp_path / "00000.tar", sorted(pairs))
    samples, _, bads = read(open_webdataset(place(tmp_path)))
    assert [sample.key for sample in samples] == ["a", "b", "c"]
    assert [(bad.offset, bad.reason) for bad in bads] == [(6144, NO_CAPTION)]


def test_a_sample_cut_before_its_txt_sets_the_shard_aside(tmp_path):
    # Case 3: sizes.json counts the half sample too.
    write(tmp_path, "00000", [{"uid": "a"}, {"uid": "b"}])
    write(tmp_path, "00001", [{"uid": "c"}, {"uid": "d"}])
    (tmp_path / "sizes.json").write_text('{"00000.tar": 2, "00001.tar": 2}')
    tar = tmp_path / "00001.tar"
    tar.write_bytes(tar.read_bytes()[: 10 * 512])
    samples, _, bads = read(open_webdataset(place(tmp_path)), "00001")
    assert (samples, [bad.rows for bad in bads]) == ([], [2])
    assert bads[0].reason.endswith("the shard is truncated; the last good key is 000010000")


def test_samples_may_lie_in_folders_of_the_tar(tmp_path):
    pairs = [(f"{folder}/a.{suffix}", folder.encode()) for folder in "xy" for suffix in ("jpg", "txt")]
    write_tar(tmp_path / "00000.tar", pairs)
    samples = read(open_webdataset(place(tmp_path)))[0]
    assert [(one.key, one.caption, one.image) for one in samples] == [("x/a", "x", b"x"), ("y/a", "y", b"y")]


def test_members_with_several_dots_are_noted(tmp_path):
    # Case 14.
    write_tar(tmp_path / "00000.tar", [("a.jpg", b"1"), ("a.seg.png", b"2"), ("a.txt", b"a cat")])
    source = open_webdataset(place(tmp_path))
    assert "Members whose names have several dots, such as 'a.seg.png', are passed over." in source.notes
    assert [sample.image for sample in read(source)[0]] == [b"1"]


def test_tables_beside_the_tars_are_noted_and_endings_may_be_in_capitals(tmp_path):
    write(tmp_path, "train-0", [{"uid": "a"}])
    write(tmp_path, "train-1", [{"uid": "b"}])
    (tmp_path / "train-1.tar").rename(tmp_path / "train-1.TAR")
    (tmp_path / "train-0.parquet").write_bytes(b"")
    source = open_webdataset(place(tmp_path))
    assert (source.shards, source.tars) == (("train-0", "train-1"), ("train-0.tar", "train-1.TAR"))
    assert any(note.startswith("The tables beside the tars are passed over") for note in source.notes)
    for one in (source, source.only("train-1")):
        assert [sample.uid for sample in read(one, "train-1")[0]] == ["b"]
        assert list(one.identify("train-1")) == ["train-1.TAR"]
    (tmp_path / "train-1.TAR").rename(tmp_path / "train-0.TAR")
    with pytest.raises(Refusal, match=r"holds train-0\.tar in two spellings"):
        open_webdataset(place(tmp_path))


def test_hostile_json_is_bad_for_its_sample(tmp_path):
    # Case 37.
    write(tmp_path, "00000", [{"uid": "a"}, b'{"uid": "b", "uid": "c"}', {"uid": "d"}, b"[]"])
    samples, _, bads = read(open_webdataset(place(tmp_path)))
    assert [sample.uid for sample in samples] == ["a", "d"]
    assert sorted(bad.reason for bad in bads) == [
        "sample 000000001 has no valid json (a key is given twice)",
        "sample 000000003 has a json that is no object",
    ]


def test_scalar_fields_are_columns(tmp_path):
    write(
        tmp_path, "00000", [{"uid": "a", "url": "x", "n": 1, "list": [1]}, {"uid": "b", "url": "y", "n": 0.5}]
    )
    source = open_webdataset(place(tmp_path))
    table = read(source, columns=("n", "url"))[1]
    assert table.column_names == ["uid", "key", "caption", "n", "url"]
    assert (table["n"].to_pylist(), table["url"].to_pylist()) == ([1.0, 0.5], ["x", "y"])
    assert read(source, columns=None)[1].column_names == ["uid", "key", "caption", "url", "n"]
    with pytest.raises(Refusal, match=r"no sample of .*00000\.tar has a number or text 'list' in its json"):
        list(source.scan("00000", ["list"]))


def test_the_field_that_ids_are_made_from_may_be_a_column_too(tmp_path):
    write(tmp_path, "00000", [{"hash": 5}, {"hash": None}])
    source = open_webdataset(place(tmp_path))
    (batch,) = source.scan("00000", ["hash"])
    assert batch.table["hash"].to_pylist() == [5, None]
    assert batch.bad == ()


@pytest.mark.parametrize("told", [3, 1])
def test_a_tar_that_holds_another_number_of_samples_is_told_with_both_counts(tmp_path, told):
    write(tmp_path, "00000", [{"uid": "a"}, {"uid": "b"}])
    (tmp_path / "sizes.json").write_text(json.dumps({"00000.tar": told}))
    samples, _, bads = read(open_webdataset(place(tmp_path)))
    assert [sample.uid for sample in samples] == (["a", "b"] if told > 2 else [])
    assert [bad.reason for bad in bads] == [f"holds 2 samples, it should hold {told}"]


def test_a_cut_tar_of_unknown_size_is_told_without_a_number(tmp_path):
    # Cases 1 and 4: without a table or stats nothing says that what is there is all.
    for shard in ("00000", "00001"):
        write(tmp_path, shard, [{"uid": shard + name} for name in "abc"])
    tar = tmp_path / "00001.tar"
    tar.write_bytes(tar.read_bytes().rstrip(b"\0").ljust(9 * 1024, b"\0")[: 9 * 1024])
    source = open_webdataset(place(tmp_path))
    assert source.sizes == (3, 0)
    assert "a sizes.json beside them would save that" in source.notes[0]
    samples, _, bads = read(source, "00001")
    assert (samples, [bad.rows for bad in bads]) == ([], [0])
    assert bads[0].reason.endswith(
        "the last good key is 000010002; how many samples it should hold is not known"
    )


def test_damaged_first_shards_do_not_hide_what_the_corpus_is(tmp_path):
    write(tmp_path, "00001", [{"uid": "a"}])
    (tmp_path / "00000.tar").write_bytes(b"<html>" * 200)
    source = open_webdataset(place(tmp_path))
    assert (source.identity, source.sizes) == ("uid", (0, 1))
    (tmp_path / "00001.tar").write_bytes(b"")
    with pytest.raises(
        Refusal, match=r"holds 2 tars and not one sample with a picture \(is no tar, or damaged at"
    ):
        open_webdataset(place(tmp_path))


def test_the_first_sample_may_be_larger_than_the_head_that_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr("oddpair.retrieval.formats.webdataset._HEAD", 1024)
    write(tmp_path, "00000", [{"uid": "a"}, {"uid": "b"}])
    assert open_webdataset(place(tmp_path)).identity == "uid"


def test_a_gap_in_the_numbering_is_refused_unless_the_tars_were_listed(tmp_path):
    # Case 18.
    for shard in ("00000", "00002"):
        write(tmp_path, shard, [{"uid": shard}])
    with pytest.raises(Refusal, match="lacks 00001 between shards 00000 and 00002"):
        open_webdataset(place(tmp_path))
    assert open_webdataset(place(tmp_path, explicit=True)).shards == ("00000", "00002")


@pytest.mark.parametrize(
    ("shards", "lost"),
    [
        pytest.param(["cc12m-0000", "cc12m-0002"], "lacks cc12m-0001 between", id="18-prefix"),
        pytest.param(
            ["a0", "a1", "b0", "b3"], "lacks b1, b2 between shards b0 and b3", id="18-second-prefix"
        ),
        pytest.param(["t-0-of-3", "t-2-of-3"], "lacks t-1-of-3 between", id="18-of"),
    ],
)
def test_a_gap_behind_a_prefix_is_refused(tmp_path, shards, lost):
    for shard in shards:
        write(tmp_path, shard, [{"uid": shard}])
    with pytest.raises(Refusal, match=lost):
        open_webdataset(place(tmp_path))
    assert open_webdataset(place(tmp_path, explicit=True)).shards == tuple(shards)


def test_tars_may_have_other_names_and_lie_in_listed_folders(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "train", [{"uid": folder}])
    source = open_webdataset(place(tmp_path, names=("a/train.tar", "b/train.tar"), explicit=True))
    assert source.shards == ("a/train", "b/train")
    assert read(source, "b/train")[0][0].uid == "b"


def test_a_tar_in_a_store_is_read_as_a_local_one(tmp_path):
    write(tmp_path, "00000", [{"uid": "a"}, {"uid": "b"}])
    remote: Any = UPath("memory://webdataset-corpus")
    remote.mkdir(parents=True, exist_ok=True)
    (remote / "00000.tar").write_bytes((tmp_path / "00000.tar").read_bytes())
    there, here = open_webdataset(place(tmp_path, root=remote)), open_webdataset(place(tmp_path))
    assert read(pickle.loads(pickle.dumps(there))) == read(here)


def test_a_shard_is_identified_by_its_bytes_and_its_size(tmp_path):
    write(tmp_path, "00000", [{"uid": "a"}])
    data = (tmp_path / "00000.tar").read_bytes()
    assert open_webdataset(place(tmp_path)).identify("00000") == {
        "00000.tar": f"{hashlib.sha256(data).hexdigest()}, 1 samples"
    }
