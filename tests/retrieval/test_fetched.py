import hashlib
import pickle
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.fetch import BadFetch, Fetcher
from oddpair.retrieval.fetched import open_fetched
from oddpair.retrieval.formats.datacomp import open_datacomp
from oddpair.retrieval.formats.laion import open_laion
from oddpair.retrieval.places import locate
from oddpair.retrieval.samples import Bad, Batch, Sample
from oddpair.retrieval.subset import load_subset


def url(row):
    return f"http://pictures.test/{row}.jpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Metadata of 100 rows in two batches, with a bad row behind each."""

    root: Path = Path("listed")
    layout: str = "laion"
    shards: tuple[str, ...] = ("00000",)
    sizes: tuple[int, ...] = (102,)
    captioned: bool = True
    pictures: bool = False
    embedded: bool = False
    notes: tuple[str, ...] = ("a note",)
    identity: str = "uid"
    columns: tuple[str, ...] = ("url",)
    asked: list[Sequence[str] | None] = field(default_factory=list)

    def only(self, shard: str) -> "Listed":
        return self

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        self.asked.append(columns)
        for start in (0, 50):
            rows = range(start, start + 50)
            table = pa.table(
                {
                    "uid": [f"u{row}" for row in rows],
                    "key": [f"k{row}" for row in rows],
                    "caption": [f"caption {row}" for row in rows],
                    "url": [url(row) if row != 60 else None for row in rows],
                    "sha256": [
                        hashlib.sha256(str(row).encode()).hexdigest() if row % 2 else "0" * 64 for row in rows
                    ],
                }
            )
            names = self.columns if columns is None else columns
            yield Batch(
                table=table.select(["uid", "key", "caption", *names]),
                bad=(Bad(file="x", row=start, reason="no caption"),),
            )

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        raise AssertionError("there are no pictures")

    def identify(self, shard: str) -> dict[str, str]:
        return {"x": "hash"}


class Fetches(Fetcher):
    """Gives the number in the URL after a moment that is shorter for later rows, and none for every seventh."""

    def fetch(self, url):
        if not url:
            raise BadFetch("no URL")
        row = int(Path(url).stem)
        time.sleep(0.002 * (row % 5))
        if row % 7 == 0:
            raise BadFetch("status 404")
        return str(row).encode()


def test_pictures_come_in_the_order_of_the_rows_and_what_is_gone_is_set_aside():
    source = open_fetched(Listed(), Fetches())
    found = list(source.stream("00000"))
    expected: list[Sample | Bad] = []
    for row in range(100):
        if row % 7 == 0:
            expected.append(Bad(file="00000", uid=f"u{row}", reason="not fetched: status 404"))
        elif row == 60:
            expected.append(Bad(file="00000", uid="u60", reason="not fetched: no URL"))
        else:
            expected.append(
                Sample(
                    uid=f"u{row}",
                    key=f"k{row}",
                    caption=f"caption {row}",
                    image=str(row).encode(),
                    file="00000",
                )
            )
        if row % 50 == 49:
            expected.append(Bad(file="x", row=row - 49, reason="no caption"))
    assert found == expected
    assert len(found) == source.sizes[0]


def test_all_but_the_pictures_is_that_of_the_metadata():
    inner = Listed()
    source = open_fetched(inner, Fetches())
    assert (source.root, source.layout, source.shards, source.sizes) == (
        Path("listed"),
        "laion",
        ("00000",),
        (102,),
    )
    assert (source.captioned, source.pictures, source.embedded) == (True, True, False)
    assert source.notes == ("a note", "pictures are fetched by URL; one that is gone is set aside")
    assert source.identify("00000") == {"x": "hash"}
    assert [batch.table.column_names for batch in source.scan("00000", ["url"])] == [
        ["uid", "key", "caption", "url"]
    ] * 2


def test_a_picture_that_datacomp_did_not_see_is_set_aside_by_its_sha256__20():
    inner = Listed(layout="datacomp", columns=("url", "sha256"))
    found = [one for one in open_fetched(inner, Fetches()).stream("00000") if isinstance(one, Bad)]
    other = [
        one.uid
        for one in found
        if one.reason == "not fetched: another picture than was listed, by its sha256"
    ]
    assert other == [f"u{row}" for row in range(0, 100, 2) if row % 7 and row != 60]
    assert inner.asked == [None, ("url", "sha256")]
    unverified = Listed(columns=("url", "sha256"))
    assert not open_fetched(unverified).verified


def test_only_so_many_pictures_are_ahead_of_the_reader():
    lock = threading.Lock()
    begun = []

    class Counts(Fetcher):
        def fetch(self, url):
            with lock:
                begun.append(url)
            return b"x"

    stream = open_fetched(Listed(), Counts()).stream("00000")
    assert isinstance(stream, Generator)
    next(stream)
    time.sleep(0.2)
    assert len(begun) <= 65
    stream.close()
    done = len(begun)
    time.sleep(0.1)
    assert len(begun) == done <= 65


def test_an_error_that_is_no_bad_picture_is_not_swallowed():
    class Breaks(Fetcher):
        def fetch(self, url):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(open_fetched(Listed(), Breaks()).stream("00000"))


def test_corpora_that_cannot_or_need_not_be_fetched_are_refused():
    with pytest.raises(Refusal, match="listed has pictures of its own: leave out --fetch"):
        open_fetched(Listed(pictures=True))
    with pytest.raises(Refusal, match=r"has no column 'url', only uid, key, caption, sha256: no picture can"):
        open_fetched(Listed(columns=("sha256",)))


def write(path, table):
    import pyarrow.parquet as pq

    pq.write_table(table, path)


def test_laion_and_datacomp_are_fetched_by_whatever_their_columns_are_called(tmp_path):
    (tmp_path / "laion").mkdir()
    (tmp_path / "datacomp").mkdir()
    urls, texts = [url(row) for row in range(3)], ["a", "b", "c"]
    write(tmp_path / "laion" / "part-0.parquet", pa.table({"URL": urls, "TEXT": texts, "hash": [1, 2, 3]}))
    hashes = [hashlib.sha256(str(row).encode()).hexdigest() for row in (0, 1, 9)]
    uids = [f"{row:032x}" for row in range(3)]
    write(
        tmp_path / "datacomp" / f"{7:032x}.parquet",
        pa.table({"uid": uids, "url": urls, "text": texts, "sha256": hashes}),
    )
    laion = open_fetched(open_laion(locate(tmp_path / "laion")), Fetches())
    datacomp = open_fetched(open_datacomp(locate(tmp_path / "datacomp")), Fetches())
    assert (laion.verified, datacomp.verified) == (False, True)
    assert [type(one) for one in laion.stream(laion.shards[0])] == [Bad, Sample, Sample]
    assert [type(one) for one in datacomp.stream(datacomp.shards[0])] == [Bad, Sample, Bad]
    assert pickle.loads(pickle.dumps(open_fetched(datacomp.source))) == open_fetched(datacomp.source)


def test_what_is_outside_the_subset_is_not_asked_for():
    asked = []

    class Counts(Fetcher):
        def fetch(self, url):
            asked.append(url)
            return b"x"

    fixtures = Path(__file__).parents[1] / "fixtures"
    listed, subset = (
        open_datacomp(locate(fixtures / "datacomp")),
        load_subset(fixtures / "datacomp-subset.npy"),
    )
    source = open_fetched(listed, Counts(), subset=subset)
    found = [item for shard in source.shards for item in source.stream(shard)]
    assert len(set(asked)) == len(asked) == len(found) == len(subset) == 2
    assert all(subset.find([item.uid])[0] for item in found)
