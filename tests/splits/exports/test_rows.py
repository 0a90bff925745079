import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.errors import Refusal
from oddpair.retrieval.samples import Bad, Batch, Sample
from oddpair.splits.exports.rows import find_suffix, plan_rows, read_parts, refuse_strangers
from oddpair.splits.manifest import Manifest


@dataclass
class Shelf:
    """A corpus in memory: uids by shard, each with its own picture; those of ``broken`` have none that is whole."""

    held: list[list[str]]
    image: bytes
    broken: frozenset[str] = frozenset()
    root: Path = Path("shelf")
    captioned: bool = True
    pictures: bool = True

    @property
    def shards(self):
        return tuple(f"{index:05d}" for index in range(len(self.held)))

    def scan(self, shard, columns=()):
        uids = self.held[int(shard)]
        for start in range(0, len(uids), 2):
            part = uids[start : start + 2]
            rest = {"url": [f"http://{uid}" for uid in part]} if columns is None else {}
            yield Batch(table=pa.table({"uid": part, "key": part, "caption": part, **rest}))

    def stream(self, shard):
        for uid in self.held[int(shard)]:
            if uid in self.broken:
                yield Bad(file=shard, uid=uid, reason="broken")
            else:
                yield Sample(uid=uid, key=uid, caption=uid, image=self.image + uid.encode())


NAMES = [f"{number:02d}" for number in range(24)]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_parts_are_slices_of_the_split_in_the_order_of_the_corpus(data, numbered):
    uids = data.draw(st.permutations(NAMES))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(uids)), max_size=5)))
    held = [uids[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(uids)], strict=True)]
    chosen = data.draw(st.sets(st.sampled_from(NAMES), min_size=1))
    broken = data.draw(st.frozensets(st.sampled_from(NAMES), max_size=4))
    size = data.draw(st.integers(1, 9))
    shelf = Shelf(held, numbered.image(1), broken)
    plan = plan_rows(Manifest(name="s", recipe="r", uids=tuple(sorted(chosen))), shelf, size)
    rows = [uid for uid in uids if uid in chosen]
    slices = [rows[start : start + size] for start in range(0, len(rows), size)]
    todo = data.draw(st.sets(st.sampled_from(list(plan.parts))))
    found = list(read_parts(shelf, plan, sorted(todo), ("png",)))
    assert [part for part, _ in found] == sorted(todo)
    for part, part_rows in found:
        assert list(part_rows.uids) == [uid for uid in slices[part] if uid not in broken]
        assert [bad.uid for bad in part_rows.bad] == [uid for uid in slices[part] if uid in broken]
        assert [image[-2:].decode() for image in part_rows.images] == list(part_rows.uids)
        assert part_rows.columns["url"].to_pylist() == [f"http://{uid}" for uid in part_rows.uids]


def test_a_uid_that_is_there_twice_is_taken_where_it_comes_first(numbered):
    shelf = Shelf([["a", "b", "a"], ["b", "c"]], numbered.image(1))
    plan = plan_rows(Manifest(name="s", recipe="r", uids=("a", "b", "c")), shelf, 10)
    assert plan.uids.to_pylist() == ["a", "b", "c"]
    assert plan.places.tolist() == [0, 0, 1]
    ((_, rows),) = read_parts(shelf, plan, [0], ("png",))
    assert rows.uids == ("a", "b", "c")
    assert len(rows.images) == 3


def test_pictures_of_formats_that_were_not_asked_for_are_set_aside(numbered):
    shelf = Shelf([["a"]], numbered.image(1))
    plan = plan_rows(Manifest(name="s", recipe="r", uids=("a",)), shelf, 10)
    ((_, rows),) = read_parts(shelf, plan, [0], ("jpg", "webp"))
    assert rows.bad == (Bad(file="00000/a", uid="a", reason="a picture in png, needed jpg, webp"),)
    assert not rows.uids


def test_the_format_of_a_picture_is_found_by_its_bytes(noise, as_bytes):
    kinds = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    found = [find_suffix(as_bytes(noise(1), kind)) for kind in kinds]
    assert found == ["jpg", "jpg", "png", "webp", "gif", "bmp", "tif", "avif"]
    assert find_suffix(b"") is None


def test_a_name_that_readers_would_take_for_a_part_is_refused(tmp_path):
    for name in ("00000.tar", "00007.tar", "notes.txt"):
        (tmp_path / name).touch()
    pattern = re.compile(r"\d+\.tar")
    refuse_strangers(tmp_path, pattern, ["00000.tar", "00007.tar"], "two tars")
    refuse_strangers(tmp_path / "none", pattern, [], "no tars")
    with pytest.raises(Refusal, match=r"holds 00007\.tar, which is no part of this export of one tar"):
        refuse_strangers(tmp_path, pattern, ["00000.tar"], "one tar")
