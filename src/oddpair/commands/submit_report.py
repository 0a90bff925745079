"""What ``oddpair submit`` says: the numbers as recomputed, what is missing, what stands in the way, and what is next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from oddpair.commands.submit import Submitted
from oddpair.eval.submission.entry import Entry


def as_json(done: Submitted) -> dict[str, Any]:
    """Return a submission as strict JSON: its name, folder, score (a fraction), and every line that `as_text` says."""
    evidence = done.evidence
    return {
        "name": done.submission.name if done.submission else None,
        "folder": str(done.folder) if done.folder else None,
        "score": evidence.score,
        "tasks": [claim.task for claim in evidence.claims],
        "missing": list(evidence.missing),
        "open": list(evidence.open),
        "left_out": list(evidence.left_out),
        "problems": list(done.problems),
    }


def as_text(done: Submitted) -> list[str]:
    """Return lines to read: a table of tasks, and lists of what is missing or in the way."""
    return list(_lines(done))


def _lines(done: Submitted) -> Iterator[str]:
    evidence = done.evidence
    if done.submission and done.entry:
        yield done.submission.name
        yield from _table(done.entry)
    else:
        yield f"scored: {', '.join(claim.task for claim in evidence.claims) or 'nothing that can be submitted'}"
    if evidence.missing:
        yield f"not ranked: no score of {', '.join(evidence.missing)}"
    elif evidence.score is not None:
        yield f"macro mean over families: {100 * evidence.score:.2f} %"
    if evidence.open:
        yield f"could be scored too: {', '.join(evidence.open)}"
    yield from evidence.left_out
    if done.problems:
        yield "in the way of a submission:"
        yield from (f"  {number}. {problem}" for number, problem in enumerate(done.problems, start=1))
    elif done.folder is None:
        yield "nothing stands in the way, and nothing was written: leave out --dry-run"
    else:
        yield f"written: {done.folder}; every number follows from the predictions in it"
        yield "next, in the root of your fork (without gh, end after 'git push', which tells the address for the pull request):"
        yield f"  {next_command(done)}"


def next_command(done: Submitted) -> str:
    """Return the shell's line that opens the pull request of a submission that was written.

    Raises:
        ValueError: If it was not.
    """
    if done.submission is None or done.folder is None:
        raise ValueError("nothing was written")
    steps: Sequence[Sequence[str]] = (
        # A model's name may hold what the name of a branch may not.
        ("git", "switch", "--create", f"submit-{done.submission.weights[:8]}"),
        ("git", "add", str(done.folder)),
        ("git", "commit", "--message", f"Submit {done.submission.name}"),
        ("git", "push", "--set-upstream", "origin", "HEAD"),
        ("gh", "pr", "create", "--fill"),
    )
    return " && ".join(map(shlex.join, steps))


def _table(entry: Entry) -> Iterator[str]:
    width = max(map(len, entry.tasks))
    for name, task in entry.tasks.items():
        found = task.main.estimate
        yield (
            f"  {name:<{width}}  {task.main.name}  {100 * found.value:6.2f} % "
            f"[{100 * found.low:.2f}, {100 * found.high:.2f}], n {found.n:,}"
        )
