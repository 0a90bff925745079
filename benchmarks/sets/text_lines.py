"""Text files that say one thing a line: names of classes, templates."""

from __future__ import annotations

from pathlib import Path

from oddpair.errors import Refusal
from oddpair.retrieval import vocabulary_file


def read_lines(path: Path) -> tuple[str, ...]:
    """Read the lines of a text file, stripped; blank ones at its end are none.

    Args:
        path: The file, in UTF-8, with a byte order mark or without.

    Returns:
        Its lines.

    Raises:
        Refusal: If it cannot be read, is not UTF-8, holds nothing, or has a blank line between others, which is
            more often a slip than a name, and would move all that follow.
    """
    lines = [line.strip() for line in vocabulary_file.read_lines(path, remedy="check the path")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise Refusal(f"{path} is empty: it should hold one entry a line")
    if "" in lines:
        raise Refusal(
            f"{path} line {lines.index('') + 1} is blank, and lines follow it: remove it, or fill it in"
        )
    return tuple(lines)
