"""Text files that say one thing a line: names of classes, templates."""

from __future__ import annotations

from pathlib import Path

from oddpair.errors import Refusal


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
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise Refusal(f"{path} does not exist: check the path") from error
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise Refusal(f"{path} is empty: it should hold one entry a line")
    if "" in lines:
        raise Refusal(
            f"{path} line {lines.index('') + 1} is blank, and lines follow it: remove it, or fill it in"
        )
    return tuple(lines)
