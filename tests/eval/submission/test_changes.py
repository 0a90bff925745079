"""A pull request of a submission changes the files of one folder, and nothing else, however its commits are made."""

import pytest
from tests.board.commits import commit, git, start, write_tree

from oddpair.errors import Refusal
from oddpair.eval.submission.changes import SUBMISSIONS, changed_submission

ONE, OTHER, NEW = "lab-a__tiny__0123abcd", "lab-b__tiny__4567abcd", "lab-c__tiny__89ababcd"
TOLD = "submission.json"
BASE = {
    "README.md": b"read me",
    "benchmarks/suite.yaml": b"families: {}",
    "benchmarks/keys/x-v1/a.json": b"{}",
    f"{SUBMISSIONS}/{ONE}/{TOLD}": b"one",
    f"{SUBMISSIONS}/{ONE}/predictions/a.x@1.parquet": b"one",
    f"{SUBMISSIONS}/{ONE}/predictions/a.y@1.parquet": b"one",
    f"{SUBMISSIONS}/{OTHER}/{TOLD}": b"other",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return start(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def base(repository):
    return commit(repository, BASE)


def within(name, path, data=b"new"):
    return {f"{SUBMISSIONS}/{name}/{path}": data}


def without(*paths):
    return {path: data for path, data in BASE.items() if not path.startswith(paths)}


def refusal(repository, base, head):
    with pytest.raises(Refusal) as caught:
        changed_submission(repository, base, head)
    line = str(caught.value)
    assert line.isprintable()
    return line


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (BASE | within(NEW, TOLD) | within(NEW, "predictions/a.x@1.parquet"), NEW),
        (BASE | within(ONE, TOLD), ONE),
        (without(f"{SUBMISSIONS}/{ONE}/predictions/a.y") | within(ONE, TOLD), ONE),
        (without(f"{SUBMISSIONS}/{ONE}/predictions"), ONE),
        # What is in the folder is for whoever reads it.
        (BASE | within(NEW, "setup.py"), NEW),
    ],
    ids=["new", "replaced", "one-withdrawn", "all-withdrawn", "any-file"],
)
def test_the_one_folder_that_is_touched_is_found(repository, base, files, name):
    head = commit(repository, files, base)
    assert changed_submission(repository, base, head) == f"{SUBMISSIONS}/{name}"


def test_the_first_submission_of_all_is_found(repository):
    base = commit(repository, {"README.md": b"read me"})
    head = commit(repository, {"README.md": b"read me"} | within(NEW, TOLD), base)
    assert changed_submission(repository, base, head) == f"{SUBMISSIONS}/{NEW}"


MOVED = {path.replace(OTHER, NEW): data for path, data in BASE.items()}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (BASE | within(NEW, TOLD) | {"README.md": b"mine"}, "'README.md' is changed"),
        (BASE | within(NEW, TOLD) | {"setup.py": b"mine"}, "'setup.py' is changed"),
        (BASE | within(NEW, TOLD) | {".gitattributes": b"* x"}, "'.gitattributes' is changed"),
        (BASE | within(NEW, TOLD) | {".github/workflows/x.yml": b""}, "'.github' is changed"),
        (BASE | within(NEW, TOLD) | {"benchmarks/suite.yaml": b""}, "'benchmarks/suite.yaml' is changed"),
        (BASE | within(NEW, TOLD) | {"benchmarks/keys/x-v1/a.json": b""}, "'benchmarks/keys' is changed"),
        (BASE | within(NEW, TOLD) | {"Benchmarks/x": b""}, "'Benchmarks' is changed"),
        (without("README.md") | within(NEW, TOLD), "'README.md' is changed"),
        (without("benchmarks/keys") | within(NEW, TOLD), "'benchmarks/keys' is changed"),
        (BASE | within(NEW, TOLD) | {"a\nb\x1b[2J\u202e": b""}, "'a?b??2J?' is changed"),
        (BASE | within(NEW, TOLD) | within(ONE, TOLD), "2 entries of benchmarks/submissions are changed"),
        (BASE | within(NEW, TOLD) | within("lab-d__x__01234567", TOLD), "2 entries of"),
        (without(f"{SUBMISSIONS}/{OTHER}") | within(NEW, TOLD), "2 entries of"),
        (MOVED, "2 entries of"),
        (without(f"{SUBMISSIONS}/{OTHER}"), f"{OTHER} is taken away"),
        (without(f"{SUBMISSIONS}/"), "benchmarks/submissions is taken away"),
        (without("benchmarks/"), "benchmarks is taken away"),
        (BASE, "changes nothing below"),
        (BASE | {f"{SUBMISSIONS}/README.md": b""}, f"'{SUBMISSIONS}/README.md' is changed"),
        (BASE | {f"{SUBMISSIONS}/a\nb/{TOLD}": b""}, "'benchmarks/submissions/a?b' is changed"),
        (BASE | {f"{SUBMISSIONS}/{NEW}": b"x"}, "or no folder any more"),
        (BASE | {f"{SUBMISSIONS}/{NEW}": ("120000", b"/etc")}, "or no folder any more"),
        (BASE | {f"{SUBMISSIONS}/{NEW}": ("160000", "1" * 40)}, "or no folder any more"),
        (BASE | within(ONE.upper().replace("0123ABCD", "0123abcd"), TOLD), "differs from 'lab-a__tiny__0123abcd' only in"),
        (without("benchmarks/") | {"benchmarks": ("120000", b"elsewhere")}, "benchmarks is taken away"),
        (
            without(f"{SUBMISSIONS}/") | {SUBMISSIONS: ("120000", b"elsewhere")},
            "benchmarks/submissions is taken away",
        ),
    ],
)  # fmt: skip
def test_a_pull_request_of_anything_else_is_refused(repository, base, files, told):
    assert told in refusal(repository, base, commit(repository, files, base))


def test_a_file_that_becomes_executable_is_a_change(repository, base):
    head = commit(repository, BASE | within(NEW, TOLD) | {"README.md": ("100755", b"read me")}, base)
    assert "'README.md' is changed" in refusal(repository, base, head)


def test_what_the_base_has_learned_meanwhile_is_no_change_of_the_pull_request(repository, base):
    ahead = commit(repository, BASE | {"README.md": b"newer"} | within("lab-e__x__01234567", TOLD), base)
    head = commit(repository, BASE | within(NEW, TOLD), base)
    assert changed_submission(repository, ahead, head) == f"{SUBMISSIONS}/{NEW}"
    merged = commit(
        repository,
        BASE | {"README.md": b"newer"} | within("lab-e__x__01234567", TOLD) | within(NEW, TOLD),
        *(head, ahead),
    )
    assert changed_submission(repository, ahead, merged) == f"{SUBMISSIONS}/{NEW}"


def test_a_merge_that_takes_back_what_the_base_has_learned_is_refused(repository, base):
    ahead = commit(repository, BASE | {"README.md": b"newer"}, base)
    head = commit(repository, BASE | within(NEW, TOLD), base)
    undone = commit(repository, BASE | within(NEW, TOLD), head, ahead)
    assert "'README.md' is changed" in refusal(repository, ahead, undone)


def test_histories_that_meet_nowhere_or_twice_are_refused(repository, base):
    alone = commit(repository, BASE | within(NEW, TOLD))
    assert "no commit of" in refusal(repository, base, alone)
    left, right = (commit(repository, BASE | {"README.md": data}, base) for data in (b"left", b"right"))
    first = commit(repository, BASE | {"README.md": b"left"}, left, right)
    second = commit(repository, BASE | {"README.md": b"left"} | within(NEW, TOLD), right, left)
    assert "2 commits of" in refusal(repository, first, second)


def test_a_folder_that_holds_itself_a_billion_times_is_refused_at_once(repository, base):
    blob = git(repository, "hash-object", "-w", "--stdin", data=b"x")
    tree = git(repository, "mktree", "-z", data=f"100644 blob {blob}\tx\0".encode())
    for _ in range(9):
        rows = "".join(f"040000 tree {tree}\tf{number}\0" for number in range(10))
        tree = git(repository, "mktree", "-z", data=rows.encode())
    bomb = write_tree(repository, BASE | within(NEW, TOLD) | {"bomb": ("040000", tree)})
    assert "'bomb' is changed" in refusal(repository, base, commit(repository, bomb, base))
    inside = commit(repository, BASE | within(NEW, TOLD) | within(NEW, "predictions", ("040000", tree)), base)
    assert changed_submission(repository, base, inside) == f"{SUBMISSIONS}/{NEW}"


def test_a_folder_that_names_a_file_twice_is_refused(repository, base):
    blob = git(repository, "hash-object", "-w", "--stdin", data=b"x")
    row = b"100644 x\0" + bytes.fromhex(blob)
    tree = git(repository, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", data=row * 2)
    # What stands beside it is written by hand too: mktree would not take it.
    head = commit(repository, tree, base)
    assert "has 'x' twice" in refusal(repository, base, head)


def test_a_base_or_head_that_is_not_there_is_told(repository, base):
    assert "has no commit 'nowhere'" in refusal(repository, "nowhere", base)
    assert "has no commit '--all?'" in refusal(repository, base, "--all\n")


def test_a_folder_that_is_no_repository_is_told(tmp_path):
    assert "has no commit 'HEAD'" in refusal(tmp_path, "HEAD", "HEAD")
