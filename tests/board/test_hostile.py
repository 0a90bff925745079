"""Hostile submissions, end to end: each is refused in one line, and a leaderboard beside it keeps every byte."""

import os
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
from tests.board import parquet_lies as lies
from tests.board.bundles import write_honest
from tests.board.spoil import (
    PREDICTION,
    TASK,
    add,
    better,
    billions,
    bomb,
    data,
    deep,
    gigabytes,
    link,
    louder,
    pipe,
    rename,
    repeated,
    right_first,
    rows,
    table,
    text,
    told,
    twin,
    value,
    without,
)
from tests.command import files_in, run
from typer.main import get_command

from oddpair import cli
from oddpair.errors import Refusal
from oddpair.eval.submission.submission import SUBMISSION_FILE, TOLERANCE, TrainingData

# Made once: it takes longer than any refusal.
COMMAND = get_command(cli.app)
CLAIM = ("tasks", 0, "metrics", "top1")
PACKAGE = ("run", "runs", "0123456789ab", "package")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of two honest entries, the site made of them, and its bytes."""
    folder = tmp_path_factory.mktemp("board")
    write_honest(folder / "submissions", handle="honest", model="one", seed=1)
    write_honest(folder / "submissions", handle="honest", model="two", seed=2, tasks=(TASK,))
    assert run(*make_site(folder))[0] == 0
    return folder, files_in(folder / "site")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An honest submission of one task, of which each hostile one is made."""
    return write_honest(tmp_path_factory.mktemp("plain"), handle="evil", tasks=(TASK,))


def make_site(folder):
    return (
        "leaderboard",
        *("--submissions", folder / "submissions"),
        *("--reproductions", folder / "reproductions"),
        *("--out", folder / "site"),
    )


def refusal(*arguments):
    """The one line of a command that is refused, as the command line's own main gets it."""
    with pytest.raises(Refusal) as caught:
        COMMAND(args=[str(argument) for argument in arguments], standalone_mode=False)
    return str(caught.value)


MARK = "</script><script>alert(1)</script>"
# Any of these words stands in the line beside the path of the file.
CLAIMS = {
    "value": (told((*CLAIM, "value"), lambda old: old + 2 * TOLERANCE), "top1 is claimed with value"),
    "interval": (told((*CLAIM, "low"), lambda old: old - 2 * TOLERANCE), "top1 is claimed with low"),
    "upper-end": (told((*CLAIM, "high"), lambda old: old + 0.1), "top1 is claimed with high"),
    "support": (told((*CLAIM, "n"), 100_000), "top1 is claimed with n 100000"),
    "score-of-few-tasks": (told(("score",), 0.99), "score is 0.99, its tasks make none"),
    "metric-missing": (without(CLAIM), "has no top1"),
    "metric-made-up": (told(CLAIM[:3], lambda old: {**old, "top0": old["top1"]}), "claims 'top0'"),
    "unknown-task": (told(("tasks", 0, "task"), "imagenet.secret"), "imagenet.secret@1.parquet"),
    "unknown-version": (told(("tasks", 0, "version"), 9), f"has no predictions/{TASK}@9.parquet"),
    "task-twice": (told(("tasks",), lambda old: old * 2), "is not behind the one before"),
    "no-task": (told(("tasks",), []), "tasks is empty"),
    "wrong-lock": (told(("tasks", 0, "lock"), "0" * 64), "has lock 000000000000"),
    "wrong-hash-of-predictions": (told(("tasks", 0, "records"), "0" * 64), "is not the file whose sha256"),
    "other-weights-than-the-runs": (told(("run", "model", "sha256"), "0" * 64), "the run scored others"),
    "dirty-tree": (told((*PACKAGE, "dirty"), True), "dirty is true"),
    "logit-scale-that-is-none": (told(("run", "model", "logit_scale"), 0), "is no number above 0"),
    "other-logit-scale": (told(("run", "model", "logit_scale"), 100.0), "has a logsumexp of"),
}
PREDICTIONS = {
    "question-missing": (table(lambda old: old.slice(1)), "1 questions are not answered"),
    "question-extra": (
        table(lambda old: pa.concat_tables([old, old.slice(0, 1).set_column(0, "key", [["made/up"]])])),
        "1 questions were never asked",
    ),
    "question-twice": (
        table(lambda old: pa.concat_tables([old, old.slice(3, 1)])),
        "1 questions are answered more than once",
    ),
    "other-picture": (value("uid", 4, "0" * 32), "1 rows have another uid"),
    "wrong-target": (value("target", 4, 5), "1 rows have another target"),
    "fewer-candidates": (value("n_candidates", 4, 5), "1 rows have another n_candidates"),
    "other-style": (value("style", 4, "painting"), "1 rows have another style"),
    "nan-score": (value("target_score", 2, float("nan")), "row 2 has a target_score that is not finite"),
    "infinite-score": (value("logsumexp", 2, float("inf")), "row 2 has a logsumexp that is not finite"),
    "no-cosine": (table(louder), "which is no cosine"),
    "gap": (value("n_tied", 0, None), "row 0 has no n_tied"),
    "answers-that-lists-deny": (table(better), "row "),
    "answers-that-claims-deny": (table(right_first), "its predictions make 1"),
    "column-missing": (table(lambda old: old.drop_columns(["n_tied"])), "its columns are not those of records"),
    "column-extra": (
        table(lambda old: old.append_column("\u202eevil", pa.array([0] * len(old)))),
        "its columns are not those of records",
    ),
    "column-of-another-type": (
        table(lambda old: old.set_column(11, "n_candidates", old["n_candidates"].cast(pa.int64()))),
        "n_candidates is missing or of another type",
    ),
    "nothing": (data(lambda _: b""), PREDICTION),
    "garbage": (data(lambda _: np.random.default_rng(0).bytes(5000)), PREDICTION),
    "pickle": (data(lambda _: b"\x80\x04\x95\x20\0\0\0\0\0\0\0cos\nsystem\n(S'touch /tmp/evil'\ntR."), PREDICTION),
    "cut": (data(lambda old: old[:-100]), PREDICTION),
    "flipped-bit": (data(lambda old: old[:5000] + bytes([old[5000] ^ 4]) + old[5001:]), PREDICTION),
}  # fmt: skip
BOMBS = {
    "billions-of-values-in-a-page": (
        bomb(lambda old: lies.change_page(lies.as_parquet(old, use_dictionary=False), 3, billions)),
        PREDICTION,
    ),
    "gigabytes-in-a-page": (
        bomb(lambda old: lies.change_page(lies.as_parquet(old, use_dictionary=False), 3, gigabytes)),
        PREDICTION,
    ),
    "text-repeated-into-gigabytes": (bomb(lambda old: lies.repeat(old, "style", "s" * 3_000_000)), "it unpacks to"),
    "the-same-with-a-footer-that-lies": (
        bomb(lambda old: lies.change_footer(lies.repeat(old, "style", "s" * 3_000_000), lies.understate)),
        PREDICTION,
    ),
    "a-smaller-one-that-lies": (
        bomb(lambda old: lies.change_footer(lies.repeat(old, "key", "s" * 20_000), lies.understate)),
        "bytes, 351,550 are enough",
    ),
    "list-of-millions": (bomb(repeated), "it unpacks to"),
    "footer-of-billions-of-rows": (data(lambda old: lies.change_footer(old, rows(2**40, values=True))), "rows, needed 1"),
    "footer-of-more-rows": (data(lambda old: lies.change_footer(old, rows(871))), "its footer says 871"),
    "footer-of-fewer-rows": (data(lambda old: lies.change_footer(old, rows(869))), "1 questions are not answered"),
    "footer-longer-than-the-file": (
        data(lambda old: old[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1"),
        PREDICTION,
    ),
}  # fmt: skip
JSON = {
    "duplicate-key": (text(lambda old: old.replace(b'"format"', b'"format": 1, "format"', 1)), "is given twice"),
    "duplicate-key-inside": (text(lambda old: old.replace(b'"top1"', b'"top5": {}, "top1"', 1)), "is given twice"),
    "nan": (text(lambda old: old.replace(b'"score": null', b'"score": NaN')), "NaN is not a number"),
    "infinity": (text(lambda old: old.replace(b'"score": null', b'"score": 1e999')), "is out of range"),
    "thousands-of-digits": (text(lambda old: old.replace(b'"score": null', b'"score": ' + b"9" * 5000)), "not valid JSON"),
    "deep": (text(deep(20_000)), "is not valid JSON"),
    "rather-deep": (text(deep(100)), "has the key 'x'"),
    "deep-in-the-run": (told(("run", "model", "notes"), [[[[[[[[1]]]]]]]]), "lies deeper than 8 levels"),
    "no-unicode": (text(lambda old: old.replace(b"ViT", b"\xff\xfe")), "is not valid JSON"),
    "byte-order-mark": (text(lambda old: b"\xef\xbb\xbf" + old), "is not valid JSON"),
    "empty": (text(lambda _: b""), "is not valid JSON"),
    "oversize": (text(lambda old: old + b" " * (64 << 10)), "at most 65,536 are taken"),
    "true-as-a-number": (told((*CLAIM, "n"), True), "is true, needed a whole number"),
    "number-as-text": (told((*CLAIM, "value"), "0.5"), "is '0.5', needed a number from 0 to 1"),
    "number-beyond-1": (told((*CLAIM, "value"), 1e300), "is 1e+300, needed a number from 0 to 1"),
    "unknown-key": (told(("rank",), 1), "has the key 'rank'"),
    "missing-key": (without(("variants_tried",)), "has no variants_tried"),
    "another-format": (told(("format",), 2), "format is 2, needed 1"),
    "no-mapping": (text(lambda _: b"[]"), "is a list of 0, needed a mapping"),
    "no-variants": (told(("variants_tried",), 0), "needed a whole number from 1"),
}  # fmt: skip
WORDS = {
    "html": (told(("architecture",), "<b onmouseover=alert(1)>"), "begins with U+003C"),
    "html-in-the-model": (told(("model",), "x<img src=x>"), "needed 1 to 60 letters"),
    "script-in-the-handle": (told(("handle",), MARK), "needed 1 to 39 letters"),
    "path-in-the-model": (told(("model",), "../../etc"), "needed 1 to 60 letters"),
    "formula": (told(("training", 0, "name"), "=HYPERLINK(1)"), "begins with U+003D"),
    "right-to-left": (told(("architecture",), "ViT\u202egnp.exe"), "U+202E"),
    "zero-width": (told(("training", 0, "name"), "Data\u200bComp"), "U+200B"),
    "escape-codes": (told(("architecture",), "ViT\x1b[2J\x1b]0;x\x07"), "U+001B"),
    "line-end": (told(("architecture",), "ViT\noddpair: all is well"), "U+000A"),
    "half-a-letter": (told(("architecture",), "ViT\ud800"), "U+D800"),
    "ten-thousand-letters": (told(("architecture",), "A" * 10_000), "has 10,000 characters"),
    "letters-over-letters": (told(("architecture",), "Z" + "\u0335" * 60), "U+0335"),
    "cyrillic-handle": (told(("handle",), "\u0435vil"), "needed 1 to 39 letters"),
    "direction-in-the-run": (told(("run", "model", "tokenizer"), "x\u2066y"), "U+2066"),
    "direction-in-a-key": (told((*PACKAGE[:-1], "machine"), {"\u202e": 1}), "U+202E"),
    "javascript-link": (told(("links", "code"), "javascript:alert(1)"), "does not begin with https"),
    "data-link": (told(("links", "code"), "data:text/html,<script>"), "does not begin with https"),
    "http-link": (told(("links", "code"), "http://github.com/a"), "does not begin with https"),
    "unlisted-host": (told(("links", "code"), "https://example.org/a"), "host that is not listed"),
    "credentials": (told(("links", "code"), "https://github.com@example.org/"), "credentials or a port"),
    "port": (told(("links", "code"), "https://github.com:444/a"), "credentials or a port"),
    "homograph": (told(("links", "code"), "https://g\u0456thub.com/a"), "letters that are not a to z"),
    "punycode": (told(("links", "code"), "https://xn--gthub-cta.com/a"), "host that is not listed"),
    "quote-in-a-link": (told(("links", "code"), 'https://github.com/"onclick="x'), "only as %"),
    "unknown-link": (told(("links",), {"onclick": "https://github.com/"}), "weights, code, paper, data"),
}  # fmt: skip
FILES = {
    "another-folder-name": (rename("evil__tiny__00000000"), "says that the folder is"),
    "no-name-of-a-submission": (rename("evil\n\x1b[2J"), "is not named HANDLE__MODEL__WEIGHTS"),
    "no-submission": (lambda folder: (folder / SUBMISSION_FILE).unlink(), f"has no {SUBMISSION_FILE}"),
    "no-predictions": (lambda folder: (folder / PREDICTION).unlink(), f"has no {PREDICTION}"),
    "link": (link(PREDICTION), "is a link"),
    "link-to-a-folder": (link("predictions"), "holds 'predictions'"),
    "hard-link": (twin, "is a hard link"),
    "pipe": (pipe, "is a pipe"),
    "executable": (lambda folder: (folder / PREDICTION).chmod(0o755), "is executable"),
    "extra-file": (add("setup.py"), "holds 'setup.py'"),
    "extra-predictions": (add("predictions/miniature.natural@1.parquet"), "is named by no task"),
    "hidden-file": (add(".gitattributes"), "holds '.gitattributes'"),
    "folder-in-the-folder": (add("predictions/x/y.parquet"), "holds 'predictions/x'"),
    "capitals": (add("predictions/Miniature.sketch@1.parquet"), "holds 'predictions/Miniature.sketch@1.parquet'"),
    "name-that-hides": (add("predictions/\u202e\x1b.parquet"), "holds 'predictions/??.parquet'"),
    "oversize-predictions": (
        lambda folder: os.truncate(folder / PREDICTION, 21 << 20),
        "at most 20,971,520 are taken",
    ),
}  # fmt: skip
ALL = {**CLAIMS, **PREDICTIONS, **BOMBS, **JSON, **WORDS, **FILES}


def check(line, fragment):
    assert line.isprintable()
    assert fragment in line
    # What to do stands behind a colon or semicolon; nothing of a stranger's is taken for a mark of a page or a log.
    assert re.search("[:;] [a-z]", line), line
    assert not set(line) & set("<>#")
    assert len(line) < 1000


@pytest.mark.parametrize(("spoil", "fragment"), ALL.values(), ids=ALL)
def test_a_hostile_submission_is_one_line_and_the_site_stays_as_it_was(
    spoil, fragment, plain, site, tmp_path
):
    folder, before = site
    hostile = shutil.copytree(plain, tmp_path / plain.name)
    spoil(hostile)
    (hostile,) = (path for path in tmp_path.iterdir() if path.name not in ("elsewhere", "twin"))
    line = refusal("validate", hostile)
    check(line, fragment)
    assert str(tmp_path) in line or "is not named" in line

    inside = folder / "submissions" / hostile.name
    hostile.rename(inside)
    try:
        again = refusal(*make_site(folder))
    finally:
        shutil.rmtree(inside)
    assert again.replace(str(inside), str(hostile)) == line
    assert files_in(folder / "site") == before


def test_words_that_may_stand_are_text_on_every_page(tmp_path):
    write_honest(
        tmp_path / "submissions",
        architecture="x\"'><img src=x onerror=alert(1)>",
        training=(TrainingData(name=f"x{MARK}{{{{7*7}}}}&lt;", manifest=""),),
    )
    assert run(*make_site(tmp_path))[0] == 0
    pages = {
        path: data.decode() for path, data in files_in(tmp_path / "site").items() if path.endswith(".html")
    }
    assert len(pages) == 2
    for page in pages.values():
        assert "<img" not in page
        assert "<script>alert" not in page
        assert "x49" not in page
        assert "&lt;img src=x onerror" in page
