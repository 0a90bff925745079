"""Files to what an encoder waits for, in order: here, or in threads that run ahead while a device computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from oddpair.retrieval.pictures import BadPicture, Pixels, decode_pixels

Prepared = TypeVar("Prepared")


def prepare_in_order(
    files: Iterable[bytes],
    prepare: Callable[[Pixels], Prepared],
    *,
    threads: int,
    ahead: int,
    before: Callable[[int], None] | None = None,
    after: Callable[[int], None] | None = None,
) -> Generator[Prepared | str, None, None]:
    """Decode files and prepare their pixels, in the order of the files.

    Args:
        files: Encoded pictures, taken one at a time and let go once decoded.
        prepare: What is kept of the pixels.
        threads: That decode; with 0 the caller's own does.
        ahead: Files at most that threads take before their turn.
        before: Called with the position of each file just before it is decoded, by the thread that decodes it.
        after: Likewise just after, whatever came of it.

    Yields:
        What was prepared or, for a file that is no picture, the reason.
    """

    def work(position: int, data: bytes) -> Prepared | str:
        if before is not None:
            before(position)
        try:
            return prepare(decode_pixels(data))
        except BadPicture as error:
            return str(error)
        finally:
            if after is not None:
                after(position)

    numbered = enumerate(files)
    if not threads:
        for position, data in numbered:
            yield work(position, data)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        waiting: deque[Future[Prepared | str]] = deque()
        waiting.extend(pool.submit(work, *each) for each in islice(numbered, ahead))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work, *each) for each in islice(numbered, 1))
    finally:
        pool.shutdown(cancel_futures=True)
