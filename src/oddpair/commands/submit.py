"""``oddpair submit``: from results and a declaration to a folder that a pull request adds, checked before it is there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oddpair import files
from oddpair.benchmarks.suite import read_suite
from oddpair.commands.paths import need_folder
from oddpair.errors import Refusal
from oddpair.eval.results import Found
from oddpair.eval.submission.bundle import read_folder
from oddpair.eval.submission.declaration import read_declaration
from oddpair.eval.submission.entry import Entry
from oddpair.eval.submission.make import Evidence, gather, make_submission
from oddpair.eval.submission.recompute import recompute
from oddpair.eval.submission.schema import format_submission, parse_submission
from oddpair.eval.submission.submission import SUBMISSION_FILE, Submission


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Submitted:
    """What became of a submission.

    Attributes:
        evidence: What the results are worth.
        problems: All that stands in the way, a line each; empty if nothing does.
        submission: What is submitted; ``None`` where something stands in the way.
        entry: The same with every number recomputed from its predictions.
        folder: Where it was written; ``None`` if it was not.
    """

    evidence: Evidence
    problems: tuple[str, ...]
    submission: Submission | None = None
    entry: Entry | None = None
    folder: Path | None = None


def submit(found: Sequence[Found], declare: Path | None, out: Path, *, dry_run: bool = False) -> Submitted:
    """Make a submission, check it as the validator of the pull request will, and only then put it in place.

    Args:
        found: Results of one model.
        declare: The declaration; ``None``, or a file that is missing, stands in the way.
        out: Folder of submissions.
        dry_run: Write nothing.

    Raises:
        Refusal: If a file cannot be read, or the place is taken by another entry.
    """
    need_folder(out, "--out")
    evidence = gather(found, suite=read_suite())
    missing = (
        "there is no declaration: give --declare FILE, which is written if it is missing, to be filled in"
    )
    declaration, wrong = read_declaration(declare) if declare and declare.exists() else (None, (missing,))
    problems = (*evidence.problems, *wrong)
    if declaration is None or problems:
        return Submitted(evidence=evidence, problems=problems)
    submission = make_submission(declaration, evidence)
    try:
        # The name of a folder comes of it, so that it is looked at before a folder is made.
        parse_submission(format_submission(submission), str(declare))
    except Refusal as refusal:
        return Submitted(evidence=evidence, problems=(str(refusal),))
    final = out / submission.name
    _need_free(final, submission)
    with _beside(out, dry_run=dry_run) as temporary:
        made = _write(temporary / submission.name, submission, evidence.predictions)
        try:
            entry = recompute(read_folder(made))
        except Refusal as refusal:
            return Submitted(evidence=evidence, problems=(str(refusal).replace(str(made), str(final)),))
        if not dry_run:
            _publish(made, final, temporary / "before")
    return Submitted(
        evidence=evidence,
        problems=(),
        submission=submission,
        entry=entry,
        folder=None if dry_run else final,
    )


def _write(folder: Path, submission: Submission, predictions: Mapping[str, Path]) -> Path:
    files.write_bytes(folder / SUBMISSION_FILE, format_submission(submission))
    for name, path in predictions.items():
        files.write_bytes(folder / name, path.read_bytes())
    return folder


def _need_free(final: Path, submission: Submission) -> None:
    """Refuse to take the place of another entry; one's own may be mended."""
    path = final / SUBMISSION_FILE
    if not final.exists():
        return
    if path.is_file():
        before = parse_submission(path.read_bytes(), str(path))
        if before.weights == submission.weights:
            return
    raise Refusal(
        f"{final} holds another entry: give another 'model' in the declaration, or delete the folder"
    )


def _publish(made: Path, final: Path, before: Path) -> None:
    if final.exists():
        final.rename(before)
    made.rename(final)


@contextmanager
def _beside(out: Path, *, dry_run: bool) -> Iterator[Path]:
    """Yield a folder for what is not checked yet: on the file system of the submissions, or for a dry run anywhere."""
    if dry_run:
        with tempfile.TemporaryDirectory() as anywhere:
            yield Path(anywhere)
        return
    temporary = out / ".submit.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
