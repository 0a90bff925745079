"""What one person says of pictures, on disk before it is believed: lines that are only ever added."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.splits.labelling.labels import Kind, Look, read_looks, read_steps


class Journal:
    """The file of one person; ``open_journal`` makes one, and no other process may write to it.

    Attributes:
        annotator: Who it is.
        looks: What is said now, by uid and occasion, in the order it was said.
    """

    def __init__(self, path: Path, annotator: str, descriptor: int) -> None:
        self.annotator = annotator
        self.looks: dict[tuple[str, Kind], Look] = {(look.uid, look.kind): look for look in read_looks(path)}
        self._path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._order = max((look.order for look in read_steps(path)), default=0)

    def say(self, said: Iterable[tuple[str, Kind, str]]) -> int:
        """Write what is said in one step; when this returns, it is on disk.

        Args:
            said: uid, occasion and label; an empty label takes back what was said before.

        Returns:
            Number of the step.

        Raises:
            Refusal: If it cannot be written; then nothing of the step counts.
        """
        order = self._order + 1
        looks = [
            Look(uid=uid, label=label, annotator=self.annotator, kind=kind, order=order)
            for uid, kind, label in said
        ]
        self._append("".join(f"{_as_line(look)}\n" for look in looks).encode("ascii"))
        self._order = order
        for look in looks:
            self.looks.pop((look.uid, look.kind), None)
            if look.label:
                self.looks[look.uid, look.kind] = look
        return order

    def undo(self, kinds: Collection[Kind]) -> list[Look]:
        """Take back what was said in the last step that still counts, also one of an earlier run.

        Args:
            kinds: The occasions that are meant.

        Returns:
            What was taken back; nothing if nothing was said.

        Raises:
            Refusal: If it cannot be written.
        """
        said = [look for look in self.looks.values() if look.kind in kinds]
        last = max((look.order for look in said), default=0)
        taken = [look for look in said if look.order == last]
        if taken:
            self.say((look.uid, look.kind, "") for look in taken)
        return taken

    def _append(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError as error:
            # Half a line must not be completed by the next one.
            os.ftruncate(self._descriptor, self._size)
            raise Refusal(
                f"{self._path} could not be written ({error.strerror}): free some space, all that was saved before is kept"
            ) from error
        self._size += len(data)


@contextmanager
def open_journal(path: Path, annotator: str) -> Iterator[Journal]:
    """Open what a person has said, to say more; a last line that a killed run left incomplete is cut off.

    Args:
        path: The file; made if missing, with its folder.
        annotator: Who it is.

    Yields:
        The journal.

    Raises:
        Refusal: If the file is damaged, is another person's, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise Refusal(f"{path} cannot be opened to write ({error.strerror}): choose another --out") from error
    try:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
        _force_folder(path.parent)
        journal = Journal(path, annotator, descriptor)
        other = next((look.annotator for look in journal.looks.values() if look.annotator != annotator), None)
        if other is not None:
            raise Refusal(
                f"{path} holds labels by {other!r}, not by {annotator!r}: put each in a folder of its own"
            )
        yield journal
    finally:
        os.close(descriptor)


def _as_line(look: Look) -> str:
    return json.dumps(
        {
            "annotator": look.annotator,
            "label": look.label or None,
            "look": look.kind,
            "order": look.order,
            "uid": look.uid,
        },
        sort_keys=True,
    )


def _force_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
