"""One person's way through the pictures: what comes next, what was said, what to show again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from oddpair.commands.label_draw import Plan
from oddpair.errors import Refusal
from oddpair.splits.labelling.agreement import list_disputes
from oddpair.splits.labelling.journal import Journal
from oddpair.splits.labelling.labels import ANNOTATORS, LABELS_FILE, Kind, Labels, Look, read_looks

_TOGETHER = 25


class Entry(NamedTuple):
    """One picture on one occasion: its row in the plan."""

    row: int
    kind: Kind


class Session:
    """What the page of one person asks for; threads may ask at the same time.

    Attributes:
        plan: What is labelled.
        review: Whether disputes are settled, rather than pictures labelled for the first time.
    """

    def __init__(self, out: Path, plan: Plan, journal: Journal, *, review: bool = False) -> None:
        self.plan = plan
        self.review = review
        self.uids: list[str] = plan.rows["uid"].to_pylist()
        self.captions: list[str] = plan.rows["caption"].to_pylist()
        self.unseen: dict[int, str] = {}
        self._out = out
        self._journal = journal
        self._lock = threading.Lock()
        self._passed: set[Entry] = set()
        self._noted: set[Entry] = set()
        self._told: dict[int, str] = {}
        self._read: dict[Path, tuple[int, list[Look]]] = {}
        self._shared: list[bool] = plan.rows["shared"].to_pylist()
        self._queue = self._list_disputed() if review else order_queue(plan, journal.annotator)
        self._known = set(self._queue)

    @property
    def annotator(self) -> str:
        """Whose session it is."""
        return self._journal.annotator

    def next_page(self, size: int, passed: Iterable[Entry] = ()) -> tuple[list[Entry], list[Entry]]:
        """Choose what to show.

        Args:
            size: Pictures on a page.
            passed: What to show last, since it was left without a label.

        Returns:
            The page, and what the next one will be if all of this one is labelled.
        """
        with self._lock:
            asked = [entry for entry in passed if entry in self._known]
            self._note_unlabelled(asked)
            self._passed.update(asked)
            # Nothing is shown again before it was seen.
            found = [
                entry for entry in self._find_left() if entry.kind != "again" or self._is_seen(entry.row)
            ]
            found.sort(key=self._passed.__contains__)
        found = found[: 2 * size]
        return found[:size], found[size:]

    def label(self, said: Sequence[tuple[Entry, str]]) -> int:
        """Write labels, or take some back where a label is empty; they are on disk when this returns.

        Raises:
            ValueError: If there is no such picture or label.
            Refusal: If they cannot be written.
        """
        for entry, label in said:
            if entry not in self._known:
                raise ValueError(f"no picture {entry.row} to look at {entry.kind}")
            if label not in ("", *self.plan.classes):
                raise ValueError(f"label {label!r}, needed {', '.join(self.plan.classes)}")
        with self._lock:
            self._passed.difference_update(entry for entry, _ in said)
            return self._journal.say((self.uids[entry.row], entry.kind, label) for entry, label in said)

    def undo(self) -> list[Entry]:
        """Take back the last step.

        Returns:
            What has no label now; it is shown next.

        Raises:
            Refusal: If it cannot be written.
        """
        with self._lock:
            kinds: tuple[Kind, ...] = ("review",) if self.review else ("first", "again")
            taken = {(look.uid, look.kind) for look in self._journal.undo(kinds)}
        return [entry for entry in self._queue if (self.uids[entry.row], entry.kind) in taken]

    def count(self) -> tuple[int, int]:
        """Return how many entries are done and how many are left."""
        with self._lock:
            left = self._find_left()
            return sum(self._is_done(entry) for entry in self._queue), len(left)

    def set_aside(self, row: int, reason: str) -> None:
        """Note that a picture cannot be shown; it is not asked for again."""
        with self._lock:
            self.unseen[row] = reason

    def end(self) -> None:
        """Write down which pictures could not be shown.

        Raises:
            Refusal: If that cannot be written.
        """
        with self._lock:
            self._note_unlabelled([])

    def tell(self, row: int) -> str:
        """Say who called a disputed picture what; nothing outside a review, where each looks for himself."""
        return self._told.get(row, "")

    def _list_disputed(self) -> list[Entry]:
        labels = Labels(looks=(*self._others(), *self._journal.looks.values()))
        settled = labels.merge()
        place = {uid: row for row, uid in enumerate(self.uids)}
        own = {uid for uid, kind in self._journal.looks if kind == "review"}
        disputed = [uid for uid in labels.disputed() if uid in place and (uid in own or uid not in settled)]
        self._told = {place[uid]: text for uid, text in list_disputes(labels.by_person(), disputed)}
        return [Entry(row, "review") for row in sorted(self._told)]

    def _note_unlabelled(self, passed: Collection[Entry]) -> None:
        """Write that pictures were looked at and not labelled: what else is labelled is no fair sample without them."""
        if self.review:
            return
        entries = {*passed, *(Entry(row, "first") for row in self.unseen)} - self._noted
        new = sorted(entry for entry in entries if entry.kind == "first" and not self._is_done(entry))
        if new:
            self._journal.say((self.uids[entry.row], entry.kind, "") for entry in new)
            self._noted.update(new)

    def _find_left(self) -> list[Entry]:
        """List what has no label yet and is this person's to label, in the order of the queue."""
        others = set() if self.review else {look.uid for look in self._others() if look.kind == "first"}
        return [
            entry for entry in self._queue if not self._is_done(entry) and self._is_own(entry.row, others)
        ]

    def _is_own(self, row: int, others: Collection[str]) -> bool:
        if row in self.unseen:
            return False
        return self._shared[row] or self._is_seen(row) or self.uids[row] not in others

    def _is_done(self, entry: Entry) -> bool:
        return (self.uids[entry.row], entry.kind) in self._journal.looks

    def _is_seen(self, row: int) -> bool:
        return (self.uids[row], "first") in self._journal.looks

    def _others(self) -> list[Look]:
        """Read what others have said by now; only a file that has grown is read again."""
        for path in sorted((self._out / ANNOTATORS).glob(f"*/{LABELS_FILE}")):
            size = path.stat().st_size
            if path.parent.name != self.annotator and self._read.get(path, (-1, []))[0] != size:
                self._read[path] = (size, read_looks(path))
        return [look for path in sorted(self._read) for look in self._read[path][1]]


def order_queue(plan: Plan, annotator: str) -> list[Entry]:
    """Order the pictures for one person.

    First those that everybody labels. Then the others, pages of 25 in an order of his own, so that people who work at
    the same time rarely meet. What is shown again comes at a place that nobody can guess in the second half of what
    follows its first look.

    Args:
        plan: What is labelled.
        annotator: The person.

    Returns:
        Every picture for a first look, and some again.
    """
    shared, again, drawn = (plan.rows[name].to_pylist() for name in ("shared", "again", "drawn"))
    rest = [row for row, everybody in enumerate(shared) if not everybody]
    pages = [rest[start : start + _TOGETHER] for start in range(0, len(rest), _TOGETHER)]
    # What was drawn at random comes before what was drawn otherwise.
    pages.sort(key=lambda page: (drawn[page[0]] != "random", _hash(annotator, page[0])))
    rows = [row for row, everybody in enumerate(shared) if everybody] + [
        row for page in pages for row in page
    ]
    placed = [(float(place), Entry(row, "first")) for place, row in enumerate(rows)]
    placed += [
        (place + (len(rows) - place) * (0.5 + _hash(annotator, row) / 2**65), Entry(row, "again"))
        for place, row in enumerate(rows)
        if again[row]
    ]
    return [entry for _, entry in sorted(placed, key=lambda pair: pair[0])]


def need_name(annotator: str) -> str:
    """Return the name of a person, if a folder can be named after it.

    Raises:
        Refusal: If it cannot.
    """
    if not annotator or len(annotator) > 40 or not all(sign.isalnum() or sign in "-_" for sign in annotator):
        raise Refusal(f"--annotator {annotator!r}: give up to 40 letters, digits, '-' and '_'")
    return annotator


def _hash(annotator: str, row: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{annotator}\0{row}".encode(), digest_size=8).digest())
