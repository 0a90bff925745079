"""A small corpus whose rows are numbered through: number ``i`` has a picture, a caption and a uid of its own."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from oddpair.retrieval.formats.img2dataset import Img2datasetSource, open_img2dataset
from oddpair.retrieval.formats.shards import make_keys, write_shard
from oddpair.retrieval.places import locate
from oddpair.retrieval.samples import Source
from oddpair.splits.manifest import Manifest


class Numbered:
    """What is known of every number, and how to write some of them."""

    @staticmethod
    def image(number: int) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (4, 3), (number % 256, number // 256, 9)).save(file, "PNG" if number % 3 else "JPEG")
        return file.getvalue()

    @staticmethod
    def uid(number: int) -> str:
        return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()

    @staticmethod
    def caption(number: int) -> str:
        return f"a thing, number {number}"

    def columns(self, numbers: range, *, with_uid: bool = True) -> pa.Table:
        columns = {
            "style": pa.array(["photo" if number % 2 else "sketch" for number in numbers]),
            "concepts": pa.array([[f"thing {number}"] for number in numbers], pa.list_(pa.string())),
            "url": pa.array([f"http://example.org/{number}" for number in numbers]),
        }
        if with_uid:
            columns = {"uid": pa.array([self.uid(number) for number in numbers]), **columns}
        return pa.table(columns)

    def write(
        self, folder: Path, sizes: tuple[int, ...] = (5, 4, 6), *, with_uid: bool = True
    ) -> Img2datasetSource:
        start = 0
        for index, size in enumerate(sizes):
            numbers = range(start, start + size)
            write_shard(
                folder,
                index,
                keys=make_keys(index, size),
                captions=[self.caption(number) for number in numbers],
                images=[self.image(number) for number in numbers],
                columns=self.columns(numbers, with_uid=with_uid),
            )
            start += size
        return open_img2dataset(locate(folder))

    @staticmethod
    def uids(corpus: Source) -> list[str]:
        batches = [batch for shard in corpus.shards for batch in corpus.scan(shard)]
        return [uid for batch in batches for uid in batch.table["uid"].to_pylist()]

    def split(self, corpus: Source, numbers: list[int]) -> Manifest:
        uids = self.uids(corpus)
        return Manifest(name="test", recipe="by_hand", uids=tuple(sorted(uids[number] for number in numbers)))

    @staticmethod
    def files(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def numbered() -> Numbered:
    """The numbers."""
    return Numbered()
