import dataclasses
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.command import files_in
from tests.splits.paste_data import (
    BANDS,
    accessory,
    base,
    save,
    uid_of,
    write_accessories,
    write_bands,
    write_bases,
)

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.pasting import run as paste_run
from oddpair.splits.pasting import shard as paste_shard
from oddpair.splits.pasting.accessories import CutJob, cut_accessories, cut_shard, part_of
from oddpair.splits.pasting.choice import NO_PAIR, limit_bands
from oddpair.splits.pasting.run import paste_corpus
from oddpair.splits.pasting.shard import PastePlan


@pytest.fixture
def place(tmp_path):
    write_bases(tmp_path / "base")
    write_accessories(tmp_path / "accessories")
    write_bands(tmp_path / "bands.parquet")
    return tmp_path


def paste(place, out="out", *, workers=1, **plan):
    return paste_corpus(
        open_corpus(place / "base"),
        open_corpus(place / "accessories"),
        place / "bands.parquet",
        place / out,
        PastePlan(**plan),
        workers=workers,
    )


def read(place, out="out"):
    corpus = open_corpus(place / out / "pictures")
    rows = []
    for shard in corpus.shards:
        part = corpus.read(shard)
        assert not part.bad
        columns = part.columns.to_pylist()
        for uid, caption, image, row in zip(part.uids, part.captions, part.images, columns, strict=True):
            rows.append(
                {**row, "uid": uid, "caption": caption, "image": np.asarray(Image.open(io.BytesIO(image)))}
            )
    return rows


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_picture_comes_once_for_each_band_with_its_label_and_what_was_done(place):
    done = paste(place)
    rows = read(place)
    assert done.pictures == {"band-1-of-2": 6, "band-2-of-2": 12, "unseen": 6}
    assert (done.seen, done.pasted, done.without) == (12, 12, 0)
    band_of = {(a, b): (band, tail) for a, b, band, tail in BANDS}
    bases = {uid_of(base(seed)): base(seed) for seed in range(12)}
    for row in rows:
        assert row["label"] == row["caption"] == row["concepts"][0]
        assert band_of[tuple(row["concepts"])] == (row["band"], row["tail"])
        before = np.asarray(Image.open(io.BytesIO(bases[row["base_uid"]])))
        left, top, right, bottom = row["box"]
        inside = np.zeros(before.shape[:2], np.bool_)
        inside[top:bottom, left:right] = True
        assert 0.09 <= inside.mean() <= 0.11
        assert (row["image"][~inside] == before[~inside]).all()
        assert (row["image"][inside] != before[inside]).any()
        assert left % 12 == top % 12 == 0
    assert len({row["uid"] for row in rows}) == len(rows) == 24
    assert max(Counter((row["base_uid"], row["band"]) for row in rows).values()) == 1


def test_the_same_seed_gives_the_same_bytes_for_any_workers_and_another_seed_others(place):
    for out, workers, seed in (("one", 1, 0), ("two", 2, 0), ("other", 1, 1)):
        paste(place, out, workers=workers, seed=seed)
    one, two, other = (files_in(place / out) for out in ("one", "two", "other"))
    assert one == two
    assert one["pictures/00000.tar"] != other["pictures/00000.tar"]


def test_a_picture_is_the_same_whatever_lies_beside_it(place):
    paste(place, "all")
    for path in sorted((place / "base").rglob("*.png"))[1::2]:
        path.unlink()
    paste(place, "half")
    whole = {row["uid"]: row["image"] for row in read(place, "all")}
    half = read(place, "half")
    assert len(half) == 12
    assert all((row["image"] == whole[row["uid"]]).all() for row in half)


def test_accessories_of_train_and_eval_are_disjoint_and_together_all(place):
    for copy in range(4, 30):
        (place / "accessories" / "kite" / f"{copy}.png").write_bytes(accessory(100 + copy))
    used = {}
    for part in ("train", "eval", "all"):
        done = paste(place, part, part=part)
        used[part] = {path.stem for path in (place / part / "cutouts").iterdir()}
        assert done.accessories == len(used[part])
        assert {row["accessory_sha256"] for row in read(place, part)} <= used[part]
        assert {row["part"] for row in read(place, part)} == {part}
    assert not used["train"] & used["eval"]
    assert used["train"] | used["eval"] == used["all"]
    assert {part_of(sha256) for sha256 in used["eval"]} == {"eval"}


def test_files_of_one_picture_lie_in_one_part(place):
    note = PngInfo()
    note.add_text("comment", "the same picture")
    for path in sorted((place / "accessories" / "kite").iterdir()):
        copy = save(Image.open(path), pnginfo=note)
        assert copy != path.read_bytes()
        path.with_name(f"copy-{path.name}").write_bytes(copy)
    done = {part: paste(place, part, part=part) for part in ("train", "eval", "all")}
    assert done["train"].accessories + done["eval"].accessories == done["all"].accessories == 12
    assert sum(done[part].bad_accessories for part in ("train", "eval")) == done["all"].bad_accessories == 4


def test_all_that_no_picture_is_made_of_is_listed_with_the_reason(place):
    (place / "base" / "emu").mkdir()
    (place / "base" / "emu" / "0.png").write_bytes(base(50))
    (place / "base" / "cat" / "tiny.png").write_bytes(base(51, (2, 2)))
    (place / "base" / "cat" / "html.png").write_bytes(b"<html>")
    (place / "base" / "dog" / "cut.png").write_bytes(base(52)[:300])
    (place / "accessories" / "kite" / "noise.png").write_bytes(base(53))
    (place / "accessories" / "kite" / "html.png").write_bytes(b"<html>")
    done = paste(place)
    assert (done.seen, done.pasted, done.without) == (16, 12, 2)
    assert done.quarantined == {"damaged picture": 1, "not a picture": 1}
    assert done.skipped == {NO_PAIR: 1, "the picture has too few pixels for a box of that area": 2}
    assert done.seen == done.pasted + done.without + sum(done.quarantined.values()) + done.outside
    assert sorted(line["file"] for line in lines(place / "out" / "quarantine.jsonl")) == [
        "cat/html.png",
        "dog/cut.png",
    ]
    skipped = lines(place / "out" / "skipped.jsonl")
    assert sorted((line["key"], line.get("band")) for line in skipped if "band" in line) == [
        ("cat/tiny.png", "band-1-of-2"),
        ("cat/tiny.png", "band-2-of-2"),
    ]
    assert (done.unusable, done.bad_accessories) == (1, 1)
    assert "kite/noise.png\tno plain background" in (place / "out" / "accessories-skipped.tsv").read_text()
    assert lines(place / "out" / "accessories-quarantine.jsonl")[0]["file"] == "kite/html.png"


@pytest.mark.parametrize(
    ("picture", "mode"),
    [
        pytest.param(save(Image.new("CMYK", (60, 40), (0, 255, 255, 0)), "JPEG"), "RGB", id="25-cmyk"),
        pytest.param(save(Image.new("RGBA", (60, 40), (9, 9, 9, 0))), "white", id="26-transparent"),
        pytest.param(save(Image.fromarray(np.full((40, 60), 40_000, np.uint16))), "grey", id="27-16-bits"),
    ],
)
def test_pictures_of_other_modes_are_pasted_into_by_the_rule_of_the_suite(place, picture, mode):
    path = place / "base" / "cat" / "odd.png"
    path.write_bytes(picture)
    paste(place)
    made = [row["image"] for row in read(place) if row["base_uid"] == uid_of(picture)]
    assert len(made) == 2
    assert all(image.shape == (40, 60, 3) for image in made)
    corner = {"white": 255, "grey": 40_000 >> 8}
    if mode in corner:
        assert all((image == corner[mode]).all(axis=2).mean() > 0.85 for image in made)


def test_28_a_rotated_picture_is_pasted_into_upright(place):
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = save(Image.open(io.BytesIO(base(60))), "PNG", exif=exif)
    (place / "base" / "cat" / "odd.png").write_bytes(rotated)
    paste(place)
    assert {row["image"].shape for row in read(place) if row["base_uid"] == uid_of(rotated)} == {(60, 40, 3)}


def test_a_finished_run_is_left_and_one_with_other_settings_is_refused(place):
    done = paste(place)
    before = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*") if path.is_file()}
    assert paste(place) == done
    assert before == {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*") if path.is_file()}
    with pytest.raises(Refusal, match=r"was made with plan\.seed=0, now plan\.seed=1"):
        paste(place, seed=1)


def test_many_pictures_are_cut_into_shards_that_are_numbered_through(place, monkeypatch):
    paste(place, "whole")
    monkeypatch.setattr(paste_shard, "_MOST_PICTURES", 5)
    paste(place, "cut")
    sizes = files.read_json(place / "cut" / "pictures" / "sizes.json")
    assert sizes == {**{f"{number:05d}.tar": 5 for number in range(4)}, "00004.tar": 4}
    whole, cut = (
        {row["uid"]: row["image"].tobytes() for row in read(place, out)} for out in ("whole", "cut")
    )
    assert whole == cut


@pytest.mark.parametrize("at", ["_put_together", "join_files"])
def test_a_run_that_stops_while_shards_are_put_together_goes_on(place, monkeypatch, at):
    paste(place, "whole")

    def stop(*arguments, **options):
        if at == "_put_together":
            job, record = arguments[0][0], arguments[1][0]
            real([job], [{**record, "shards": record["shards"][:1]}], arguments[2])
        raise KeyboardInterrupt

    real = paste_run._put_together
    monkeypatch.setattr(paste_run, at, stop)
    with pytest.raises(KeyboardInterrupt):
        paste(place, "stopped")
    monkeypatch.undo()
    paste(place, "stopped")
    assert files_in(place / "stopped") == files_in(place / "whole")


def test_51_a_full_disk_while_shards_are_moved_is_refused_and_the_run_goes_on(place, monkeypatch):
    paste(place, "whole")

    def refuse(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(place), "replace", refuse)
    with pytest.raises(
        Refusal, match=r"could not move .* \(No space left on device\): free some space and run again"
    ):
        paste(place)
    monkeypatch.undo()
    paste(place)
    assert files_in(place / "out") == files_in(place / "whole")


def test_50_a_killed_run_goes_on_to_the_same_bytes(place):
    paste(place, "whole")
    code = (
        "import sys; from pathlib import Path; from tests.splits.pasting.test_run import paste; "
        "paste(Path(sys.argv[1]), 'killed')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", "src"])}
    process = subprocess.Popen(
        [sys.executable, "-c", code, place], env=environment, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 60
    while not (place / "killed" / "cutouts").is_dir() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with files.locked(place / "killed"):
        paste(place, "killed")
    assert files_in(place / "killed") == files_in(place / "whole")


def test_what_the_picture_shows_is_read_from_a_column_that_is_named(place, write_folder):
    for path in sorted((place / "base").rglob("*.png")):
        path.unlink()
    write_folder(
        place / "listed",
        {f"{row}.png": base(row) for row in range(4)},
        [f"caption {row}" for row in range(4)],
        kind=["cat", "dog", "cat|dog", ""],
    )
    (place / "base" / "cat").rmdir()
    (place / "base" / "dog").rmdir()
    (place / "base").rmdir()
    (place / "listed").rename(place / "base")
    done = paste(place, column="kind")
    assert done.skipped == {"shows no single concept": 2}
    assert {(row["label"], row["caption"]) for row in read(place)} == {
        ("cat", "caption 0"),
        ("dog", "caption 1"),
    }
    with pytest.raises(Refusal, match="has no column 'colour', only"):
        paste(place, "other", column="colour")
    with pytest.raises(Refusal, match="does not say what its pictures show: add a column 'concepts'"):
        paste(place, "other")


def test_a_run_that_can_make_no_picture_is_refused_and_leaves_the_folder_free(place):
    write_bands(place / "bands.parquet", [("emu", "kite", "band-1-of-2", "")])
    with pytest.raises(
        Refusal, match=r"not one picture could be made of the 12 rows of .* \(no accessory makes a pair"
    ):
        paste(place)
    assert not files_in(place / "out")
    write_bands(place / "bands.parquet")
    assert paste(place).pasted == 12


def test_accessories_of_which_none_can_be_used_are_refused(place):
    for path in (place / "accessories").rglob("*.png"):
        path.write_bytes(base(int(path.stem)))
    with pytest.raises(
        Refusal, match=r"gives no accessory for the part 'all' \(the first that is not: .*no plain backgr"
    ):
        paste(place)
    assert not files_in(place / "out")


def test_metadata_without_pictures_are_refused(place):
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"uid": ["a"], "text": ["a cat"]}), place / "rows.parquet")
    with pytest.raises(Refusal, match="holds addresses and captions, no pictures: give pictures"):
        paste_corpus(
            open_corpus(place / "rows.parquet"),
            open_corpus(place / "accessories"),
            place / "bands.parquet",
            place / "out",
            PastePlan(),
            workers=1,
        )


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"area": 0.0}, "--area is 0.0: it must be above 0"),
        ({"step": 0}, "--step is 0: it must be 1 pixel or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(plan, said):
    with pytest.raises(Refusal, match=said):
        PastePlan(**plan)


def test_30_a_picture_that_kills_the_decoder_is_set_aside(place):
    paste(place, "whole")
    corpus = open_corpus(place / "base")
    job = paste_shard.PasteJob(
        corpus=corpus,
        shard=corpus.shards[0],
        size=12,
        number=0,
        parts=place / "parts",
        cutouts=place / "whole" / "cutouts",
        plan=PastePlan(),
    )
    bands = limit_bands(place / "bands.parquet", ["kite", "lemon", "drum"])
    found = cut_accessories(
        open_corpus(place / "accessories"), place / "whole", place / "parts", "all", workers=1
    )
    files.write_table(place / "parts" / paste_shard.PAIRS_FILE, bands)
    files.write_json(place / "parts" / paste_shard.ACCESSORIES_FILE, paste_shard.as_json(found.kept))
    assert paste_shard.paste_shard(dataclasses.replace(job, skip=(3,))) == 1
    assert files.read_json(job.record)["quarantined"] == {"kills the decoder": 1}
    assert lines(job.part("quarantine", "jsonl"))[0]["file"] == "cat/3.png"


def test_30_an_accessory_that_kills_the_decoder_is_set_aside(place):
    corpus = open_corpus(place / "accessories")
    job = CutJob(
        corpus=corpus,
        shard=corpus.shards[0],
        size=12,
        record=place / "record.json",
        out=place / "cutouts",
        part="all",
        skip=(0,),
    )
    assert cut_shard(job) == 1
    record = files.read_json(job.record)
    assert [line["reason"] for line in record["bad"]] == ["kills the decoder"]
    assert len(record["kept"]) == 11


def test_the_bytes_of_one_accessory_are_used_once(place):
    twice = (place / "accessories" / "kite" / "0.png").read_bytes()
    (place / "accessories" / "kite" / "again.png").write_bytes(twice)
    (place / "accessories" / "drum" / "same.png").write_bytes(twice)
    done = paste(place)
    assert done.accessories + done.bad_accessories == 14
    assert done.bad_accessories == 2
