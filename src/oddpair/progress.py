"""What a long step says while it runs: a bar on a terminal, a few plain lines elsewhere, on stderr."""

import multiprocessing
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_FRAMES = 0.2


class Progress:
    """Counts of a running step; ``track`` makes one."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title = title
        self.total = total
        self.unit = unit
        self.done = 0
        self.skipped = 0
        self.quarantined = 0
        self._start = time.monotonic()
        self._next_line = self._start + _SECONDS_BETWEEN_LINES
        self._prints_lines = False

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""
        self.done += n
        if self._prints_lines and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            say(f"{self.title}: {self.status()}")

    def skip(self, n: int = 1) -> None:
        """Count ``n`` more units as done by an earlier run: they tell nothing of how fast this one is."""
        self.skipped += n
        self.done += n

    def quarantine(self, n: int = 1) -> None:
        """Count ``n`` more units as set aside; they are not counted as done by this call."""
        self.quarantined += n

    def status(self) -> str:
        """Say how far the step is: done of total, rate, time left and quarantined count if any."""
        parts = [f"{self.done:,} of {self.total:,} {self.unit}"]
        worked = self.done - self.skipped
        if worked:
            left = (self.total - self.done) * self._seconds() / worked
            parts += [self._rate(), f"{_duration(max(left, 0.0))} left"]
        return ", ".join(parts + self._quarantine_note())

    def summary(self) -> str:
        """Say what the finished step did: units done, time, rate, and how many were skipped or quarantined."""
        line = f"{self.done:,} {self.unit} in {_duration(self._seconds())} ({self._rate()})"
        before = [f"{self.skipped:,} of them done before"] if self.skipped else []
        return ", ".join([line, *before, *self._quarantine_note()])

    def _seconds(self) -> float:
        return max(time.monotonic() - self._start, 1e-6)

    def _rate(self) -> str:
        rate = (self.done - self.skipped) / self._seconds()
        return f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s"

    def _quarantine_note(self) -> list[str]:
        return [f"{self.quarantined:,} quarantined"] if self.quarantined else []


@contextmanager
def track(title: str, total: int, unit: str = "rows") -> Iterator[Progress]:
    """Show the progress of a block on stderr.

    On a terminal a bar with count, rate, time left and quarantined count; elsewhere one line every ten
    seconds at most. Both end in one line with the rate, unless an error ends the block. Silent inside a
    worker process, whose parent tells the progress.

    Args:
        title: What is done, such as ``"drawing the world"``.
        total: Units to do.
        unit: Name of the units, in the plural.

    Yields:
        The counter to advance.
    """
    progress = Progress(title, total, unit)
    if multiprocessing.parent_process() is not None:
        yield progress
        return
    if sys.stderr.isatty():
        with _bar(progress):
            yield progress
    else:
        progress._prints_lines = True
        yield progress
    say(f"{title}: {progress.summary()}")


def say(text: str) -> None:
    """Print ``text`` as one plain line on stderr."""
    print(visible(text), file=sys.stderr, flush=True)


def visible(text: str) -> str:
    r"""Escape what could move the cursor, reorder the line or hide: controls, bidi marks, line ends.

    >>> visible("a cat\x1b[2J\n\u202etac")
    'a cat\\x1b[2J\\n\\u202etac'
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else _escape(letter)
        for letter in text
    )


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def _bar(progress: Progress) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as Display
    from rich.text import Text

    class Status(ProgressColumn):
        def render(self, task: Task) -> Text:
            task.completed = progress.done
            return Text(progress.status())

    display = Display(
        TextColumn("{task.description}", markup=False),
        Status(),
        BarColumn(bar_width=24),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=1 / _SECONDS_BETWEEN_FRAMES,
    )
    with display:
        display.add_task(visible(progress.title), total=progress.total)
        yield
