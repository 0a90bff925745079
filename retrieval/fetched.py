"""Pictures for a corpus that has only their URLs, fetched while it is read."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.retrieval.fetch import BadFetch, Fetcher
from oddpair.retrieval.samples import Bad, Batch, Sample, Source
from oddpair.retrieval.subset import Subset

_THREADS = 32
# Rows asked for before the first of them is given: what bounds the pictures in memory.
_AHEAD = 2 * _THREADS


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSource:
    """A corpus of metadata whose pictures come by URL, 32 at a time; a ``Source``.

    Attributes:
        source: The corpus.
        verified: Whether its ``sha256`` is that of the picture, so that another picture is set aside.
        subset: The uids to fetch; ``None`` for all. Others are passed over.
        fetcher: How pictures are fetched.
    """

    source: Source
    verified: bool
    subset: Subset | None = None
    fetcher: Fetcher = field(default_factory=Fetcher)
    pictures: bool = True
    embedded: bool = False

    @property
    def root(self) -> Path:
        """Folder of the metadata."""
        return self.source.root

    @property
    def layout(self) -> str:
        """Layout of the metadata."""
        return self.source.layout

    @property
    def shards(self) -> tuple[str, ...]:
        """Shards of the metadata."""
        return self.source.shards

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows in each of them."""
        return self.source.sizes

    @property
    def captioned(self) -> bool:
        """Whether there are captions."""
        return self.source.captioned

    @property
    def identity(self) -> str:
        """What uids are made of."""
        return self.source.identity

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the metadata, and that pictures are fetched."""
        return (*self.source.notes, "pictures are fetched by URL; one that is gone is set aside")

    def scan(self, shard: str, columns: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Read a shard's metadata; nothing is fetched."""
        return self.source.scan(shard, columns)

    def stream(self, shard: str) -> Iterator[Sample | Bad]:
        """Fetch a shard's pictures, in the order of its rows; what cannot be had comes with the reason."""
        columns = ("url", "sha256") if self.verified else ("url",)
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")
        ahead: deque[Future[Sample | Bad] | Bad] = deque()
        try:
            for batch in self.source.scan(shard, columns):
                table = batch.table
                if self.subset is not None:
                    table = table.filter(pa.array(self.subset.find(table["uid"]) > 0))
                for row in table.to_pylist():
                    ahead.append(pool.submit(self._fetch, shard, row))
                    if len(ahead) > _AHEAD:
                        yield _wait(ahead.popleft())
                ahead.extend(batch.bad)
            while ahead:
                yield _wait(ahead.popleft())
        finally:
            # A caller that stops early waits for what is on its way, not for what has not begun.
            pool.shutdown(cancel_futures=True)

    def only(self, shard: str) -> FetchedSource:
        """Return the same source with one shard."""
        return replace(self, source=self.source.only(shard))

    def identify(self, shard: str) -> dict[str, str]:
        """Name the files of a shard's metadata, with what changes when their content does."""
        return self.source.identify(shard)

    def _fetch(self, shard: str, row: dict[str, Any]) -> Sample | Bad:
        try:
            image = self.fetcher.fetch(row["url"] or "")
            if self.verified and row["sha256"] not in (None, "", hashlib.sha256(image).hexdigest()):
                raise BadFetch("another picture than was listed, by its sha256")
        except BadFetch as error:
            return Bad(file=shard, uid=row["uid"], reason=f"not fetched: {error}")
        return Sample(uid=row["uid"], key=row["key"], caption=row["caption"], image=image, file=shard)


def open_fetched(
    source: Source, fetcher: Fetcher | None = None, *, subset: Subset | None = None
) -> FetchedSource:
    """Give a corpus of metadata the pictures that its URLs lead to; nothing is fetched before it is read.

    Args:
        source: LAION's, DataComp's or other metadata.
        fetcher: How to fetch; ``None`` for the usual limits.
        subset: The uids to fetch; ``None`` for all.

    Returns:
        The source.

    Raises:
        Refusal: If it has pictures of its own, or no column of URLs.
    """
    if source.pictures:
        raise Refusal(f"{source.root} has pictures of its own: leave out --fetch")
    names = next(iter(source.scan(source.shards[0], None))).table.column_names
    if "url" not in names:
        raise Refusal(
            f"{source.root} has no column 'url', only {', '.join(names)}: no picture can be fetched"
        )
    # Other tables have hashes of what was stored after a download, which no download gives again.
    fetched = FetchedSource(
        source=source, subset=subset, verified=source.layout == "datacomp" and "sha256" in names
    )
    return fetched if fetcher is None else replace(fetched, fetcher=fetcher)


def _wait(one: Future[Sample | Bad] | Bad) -> Sample | Bad:
    return one if isinstance(one, Bad) else one.result()
