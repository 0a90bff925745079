"""The pictures of a page of labels, read when they are asked for and a page ahead, a shard at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from oddpair.commands.thumbnails import as_thumbnail
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.pictures import BadPicture
from oddpair.retrieval.samples import Bad

# Pixels on the longer side: of a picture in the grid on a fine screen, and of one that fills it.
_SMALL, _LARGE = 320, 1024
# Reading local shards is work for Python, where threads wait for one another; a store answers late.
_LOCAL, _REMOTE = 1, 4
_MOST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture as JPEG, in two sizes."""

    small: bytes
    large: bytes


class Pictures:
    """Reads pictures for a server that many threads of a browser ask.

    Args:
        corpus: The corpus.
        uids: uid of each row of the plan.
        shards: Its shard.
        set_aside: Called with a row whose picture cannot be shown, and why.
    """

    def __init__(
        self,
        corpus: Corpus,
        uids: Sequence[str],
        shards: Sequence[str],
        set_aside: Callable[[int, str], None],
    ) -> None:
        self._corpus = corpus
        self._uids, self._shards = uids, shards
        self._set_aside = set_aside
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Future[Shown]] = OrderedDict()
        threads = _LOCAL if isinstance(corpus.root, Path) else _REMOTE
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pictures")

    def want(self, rows: Sequence[int]) -> None:
        """Begin to read the pictures of some rows that are not at hand, the first of them first."""
        self._begin(rows)

    def get(self, row: int) -> Shown:
        """Return the picture of a row, once it has been read.

        Raises:
            BadPicture: If it cannot be shown; the text is the reason.
        """
        return self._begin([row])[0].result()

    def close(self) -> None:
        """Read no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, rows: Sequence[int]) -> list[Future[Shown]]:
        groups: dict[str, dict[str, tuple[int, Future[Shown]]]] = {}
        futures = []
        with self._lock:
            for row in rows:
                if row not in self._kept:
                    self._kept[row] = Future()
                    groups.setdefault(self._shards[row], {})[self._uids[row]] = (row, self._kept[row])
                self._kept.move_to_end(row)
                futures.append(self._kept[row])
            while len(self._kept) > max(_MOST, len(rows)):
                self._kept.popitem(last=False)
        for shard, wanted in groups.items():
            self._pool.submit(self._read, shard, wanted)
        return futures

    def _read(self, shard: str, wanted: dict[str, tuple[int, Future[Shown]]]) -> None:
        reasons: dict[str, str] = {}
        try:
            for found in self._corpus.only(shard).stream(shard):
                if found.uid not in wanted:
                    continue
                if isinstance(found, Bad):
                    reasons[found.uid] = found.reason
                    continue
                try:
                    shown = Shown(
                        small=as_thumbnail(found.image, _SMALL), large=as_thumbnail(found.image, _LARGE)
                    )
                except BadPicture as error:
                    # Where a uid comes twice, its second picture may be the good one.
                    reasons[found.uid] = str(error)
                    continue
                wanted.pop(found.uid)[1].set_result(shown)
                if not wanted:
                    return
        except (Refusal, OSError, ValueError) as error:
            reasons = dict.fromkeys(wanted, str(error))
        finally:
            # Whatever happened, nobody waits for ever.
            for uid, (row, future) in wanted.items():
                reason = reasons.get(uid, "it is not in the corpus any more")
                self._set_aside(row, reason)
                future.set_exception(BadPicture(reason))
