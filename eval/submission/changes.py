"""What a pull request changes: the files of one submission, and nothing else."""

from __future__ import annotations

from pathlib import Path

from oddpair.errors import Refusal
from oddpair.eval.submission.bundle import FOLDER
from oddpair.eval.submission.objects import TREE, find_commit, find_merge_base, find_tree, list_tree
from oddpair.eval.submission.words import show

SUBMISSIONS = "benchmarks/submissions"
_ALONE = "a pull request of a submission changes the files of one folder there and nothing else"


def changed_submission(repository: Path, base: str, head: str) -> str:
    """Return the folder of the one submission that a pull request touches.

    It may add an entry, or replace and withdraw files within one entry that is there already; whether that entry is the
    submitter's own is for who merges to see. Folders are compared level by level, so that a commit whose folders hold
    each other a billion times costs nothing.

    Args:
        repository: Folder of the repository.
        base: Any name of the commit to merge into.
        head: Any name of the last commit of the pull request.

    Returns:
        From the repository's root, as ``benchmarks/submissions/HANDLE__MODEL__WEIGHTS``.

    Raises:
        Refusal: If it touches anything else, two submissions, or nothing; takes a whole entry away; or adds one whose
            name is another's in other letters.
    """
    there, here = find_commit(repository, base), find_commit(repository, head)
    before = find_merge_base(repository, there, here)
    above = ""
    for part in SUBMISSIONS.split("/"):
        changed = _find_changed(repository, before, here, above)
        other = next((name for name in changed if name != part), None)
        if other is not None:
            raise Refusal(f"{_join(above, other)} is changed: {_ALONE}, take that back")
        above = f"{above}/{part}" if above else part
    names = _find_changed(repository, before, here, above)
    if not names:
        raise Refusal(f"{here[:12]} changes nothing below {SUBMISSIONS}: commit the folder of a submission")
    if len(names) > 1:
        told = " and ".join(map(show, names[:2]))
        raise Refusal(f"{len(names):,} entries of {SUBMISSIONS} are changed, {told}: {_ALONE}")
    (name,) = names
    if not FOLDER.fullmatch(name):
        raise Refusal(f"{_join(SUBMISSIONS, name)} is changed: {_ALONE}, named HANDLE__MODEL__WEIGHTS")
    if find_tree(repository, here, f"{SUBMISSIONS}/{name}") is None:
        raise Refusal(
            f"{SUBMISSIONS}/{name} is taken away, or no folder any more: ask the maintainers to withdraw an entry"
        )
    _check_letters(repository, there, name)
    return f"{SUBMISSIONS}/{name}"


def _find_changed(repository: Path, before: str, after: str, path: str) -> list[str]:
    """Return the names in a folder that stand for something else in two commits, sorted."""
    trees = [find_tree(repository, commit, path) for commit in (before, after)]
    # The same folder needs no look, and one that was never there has nothing to lose.
    old, new = ({} if tree is None else list_tree(repository, tree) for tree in trees)
    if trees[0] is not None and trees[1] is None:
        raise Refusal(f"{path} is taken away, or no folder any more: {_ALONE}")
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _check_letters(repository: Path, base: str, name: str) -> None:
    """Refuse a name that only capitals tell from another's: some file systems hold one of both, and readers see one."""
    tree = find_tree(repository, base, SUBMISSIONS)
    entries = {} if tree is None else list_tree(repository, tree)
    for other, entry in entries.items():
        if other != name and other.casefold() == name.casefold() and entry.kind == TREE:
            raise Refusal(
                f"{SUBMISSIONS}/{name} differs from {show(other)} only in capitals: give another name"
            )


def _join(above: str, name: str) -> str:
    return show(f"{above}/{name}" if above else name)
