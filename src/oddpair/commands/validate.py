"""What ``oddpair validate`` does: submissions read from folders or from git, recomputed, and looked at beside others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from oddpair.benchmarks.benchmark_file import SHIPPED, load_benchmark, shipped
from oddpair.benchmarks.suite import read_suite
from oddpair.errors import Refusal
from oddpair.eval.board.board import Flag
from oddpair.eval.board.build import keep_present
from oddpair.eval.board.corpora import read_corpora
from oddpair.eval.board.flags import find_flags
from oddpair.eval.board.residuals import find_residuals
from oddpair.eval.board.robust import find_robustness
from oddpair.eval.submission.bundle import Bundle, read_commit, read_folder
from oddpair.eval.submission.changes import changed_submission
from oddpair.eval.submission.entry import Entry
from oddpair.eval.submission.recompute import recompute, score_of
from oddpair.splits.manifest import as_uids, read_manifest

SUBMISSIONS = "benchmarks/submissions"
CORPORA = SHIPPED / "corpora"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Validated:
    """A submission that holds.

    Attributes:
        entry: What it says, and its numbers computed again.
        score: Macro mean, a fraction; ``None`` for an entry that is not ranked.
        missing: Required tasks that it lacks.
        flags: What a person should look at.
    """

    entry: Entry
    score: float | None
    missing: tuple[str, ...]
    flags: tuple[Flag, ...]


def choose_bundles(
    folders: Sequence[Path], repository: Path, base: str | None, head: str | None
) -> list[Bundle]:
    """Return the submissions to look at: those of folders, or the one that a pull request touches.

    Raises:
        Refusal: If both are asked for, or neither, or a submission cannot be read.
    """
    if bool(folders) == bool(base or head) or bool(base) != bool(head):
        raise Refusal("give folders of submissions, or --base and --head of a pull request")
    if base and head:
        return [read_commit(repository, head, changed_submission(repository, base, head))]
    return [read_folder(folder) for folder in folders]


def validate(
    bundles: Sequence[Bundle],
    *,
    beside: Path | None = None,
    corpora: Path | None = None,
    manifest_uids: pa.Array | None = None,
) -> list[Validated]:
    """Recompute submissions and find what a person should look at.

    Args:
        bundles: The submissions.
        beside: Folder of the other entries; one of the same name as a submission is passed over.
        corpora: Folder of corpora whose counts are known; ``None`` for those that ship.
        manifest_uids: Sorted uids of the corpus that the submissions declare; ``None`` where they are not at hand.

    Returns:
        As many, in their order.

    Raises:
        Refusal: If one does not hold, or one of the others.
    """
    entries = [recompute(bundle) for bundle in bundles]
    names = {entry.submission.name for entry in entries}
    others = [recompute(read_folder(each)) for each in submission_folders(beside) if each.name not in names]
    suite = read_suite()
    flags = _flag([*entries, *others], names, corpora, manifest_uids)
    return [
        Validated(
            entry=entry,
            score=score_of(entry, suite),
            missing=tuple(task for task in suite.required if task not in entry.tasks),
            flags=flags[entry.submission.name],
        )
        for entry in entries
    ]


def submission_folders(folder: Path | None) -> list[Path]:
    """Return the folders below a folder of submissions, sorted by name; none where there is no folder to look in.

    Raises:
        Refusal: If it is no folder.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise Refusal(f"--submissions {folder} is no folder: give one that holds submissions")
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _flag(
    entries: Sequence[Entry], wanted: Collection[str], corpora: Path | None, manifest_uids: pa.Array | None
) -> dict[str, tuple[Flag, ...]]:
    folder = corpora or (CORPORA if CORPORA.is_dir() else None)
    benchmarks = {name: load_benchmark(name) for name in shipped()}
    # The board looks at tasks of the present versions alone.
    entries = [keep_present(entry, benchmarks) for entry in entries]
    residuals = find_residuals(entries, {} if folder is None else read_corpora(folder))
    robustness = find_robustness(entries, benchmarks)
    return {
        name: find_flags(
            entry,
            entries,
            robustness=robustness[name],
            residuals=residuals[name],
            manifest_uids=manifest_uids,
        )
        for entry in entries
        if (name := entry.submission.name) in wanted
    }


def read_manifest_uids(path: Path) -> pa.Array:
    """Read the uids of a training corpus: of a split's folder, or of a text file with one a line; sorted, each once.

    Raises:
        Refusal: If there is neither.
    """
    if path.is_dir():
        return read_manifest(path).uids
    if not path.is_file():
        raise Refusal(f"--manifest {path} does not exist: check the path")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(
            f"--manifest {path} is no text of uids, one a line: give a split's folder, or such a file"
        ) from error
    return as_uids(sorted(set(lines)))
