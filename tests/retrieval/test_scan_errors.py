import itertools
import os
import signal
import time

import numpy as np
import pytest
from tests.retrieval.brute_force import FIRST_PASSES, TYPES, blocks_of, draw_names, draw_rows, find

from oddpair.errors import Refusal
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.unit_rows import HeldRows


def test_in_a_corpus_without_rows_nothing_is_found():
    tests = prepare_tests(np.eye(2, dtype=np.float32), ["a", "b"])
    above = np.zeros(2, dtype=np.float32)
    found = scan(HeldRows(np.empty((0, 2), np.float16), []), tests, Ask(nearest=True, top=3, above=above))
    assert [len(part) for part in (found.score, found.test, found.hit, found.top, found.pairs)] == [0] * 5
    assert found.work.pairs == 0


def test_progress_adds_up_to_the_number_of_rows():
    told: list[int] = []
    rng = np.random.default_rng(0)
    held = HeldRows(draw_rows(rng, "normal", 5000, 8, np.float16), draw_names(rng, 5000))
    scan(held, prepare_tests(held.rows[:3], list("abc")), Ask(nearest=True), threads=2, told=told.append)
    assert min(told) > 0
    assert sum(told) == 5000


def test_rows_that_may_not_be_written_to_are_searched():
    rows = np.eye(40, dtype=np.float32)
    for kind in TYPES:
        held = rows.astype(kind)
        held.setflags(write=False)
        for first_pass in FIRST_PASSES:
            found = find(
                held,
                draw_names(np.random.default_rng(0), 40),
                held,
                list(map(str, range(40))),
                Ask(nearest=True),
                first_pass,
            )
            assert found.test.tolist() == list(range(40))


class SlowRows(HeldRows):
    """Rows that take their time, so that there is some to interrupt."""

    __slots__ = ()

    def read(self, start, stop):
        time.sleep(0.002)
        return super().read(start, stop)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_an_interrupt_ends_a_scan_before_its_rows_do(threads):
    n = 4096 * 60
    rows = np.zeros((n, 1), np.float16) + np.float16(1)
    done = []

    def interrupt_once(more):
        done.append(more)
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    tests = prepare_tests(np.ones((1, 1), np.float32), ["t"])
    # A shell that runs the tests in the background has them ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            scan(SlowRows(rows, [""] * n), tests, Ask(nearest=True), threads=threads, told=interrupt_once)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sum(done) < n / 2


BAD = {
    "38-nan": (3, np.nan, r"length nan"),
    "38-infinity": (0, np.inf, r"length inf"),
    "39-zero-norm": (slice(None), 0.0, "length 0"),
    "47-half": (slice(None), 0.5, "length"),
    "47-too-long": (slice(None), 1.0029, "length"),
    "47-too-short": (slice(None), 0.9971, "length"),
}
ASKS = (
    Ask(nearest=True),
    Ask(top=2),
    Ask(above=np.full(40, 1.5, np.float32)),
    Ask(above=np.full(40, 1.5, np.float32), pairs=True),
)


def spoil(rows, row, bad):
    place, value, message = BAD[bad]
    rows[row, place] = rows[row, place] * value if isinstance(place, slice) else value
    return message


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("first_pass", FIRST_PASSES)
def test_a_bad_row_of_the_corpus_is_refused_wherever_it_is_and_whatever_is_asked(bad, first_pass):
    rng = np.random.default_rng(1)
    tests = prepare_tests(
        draw_rows(rng, "normal", 40, 64, np.float32), draw_names(rng, 40), first_pass=first_pass
    )
    for kind in TYPES:
        good = draw_rows(rng, "normal", 1100, 64, kind)
        for row, ask in itertools.product((0, 511, 700, 1099), ASKS):
            rows = good.copy()
            message = spoil(rows, row, bad)
            held = HeldRows(rows, draw_names(rng, 1100), name="shard_7.npy row")
            with pytest.raises(Refusal, match=message) as refusal, blocks_of(512):
                scan(held, tests, ask, threads=2)
            assert f"shard_7.npy row {row}" in str(refusal.value)
            assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("row", [0, 17, 39])
@pytest.mark.parametrize("kind", TYPES)
def test_a_bad_row_of_the_tests_is_refused_by_its_uid_or_number(bad, row, kind):
    rng = np.random.default_rng(2)
    tests = draw_rows(rng, "normal", 40, 64, kind)
    message = spoil(tests, row, bad)
    with pytest.raises(Refusal, match=message) as refusal:
        prepare_tests(tests, [f"picture-{place}" for place in range(40)])
    assert f"picture-{row}" in str(refusal.value) or f"row {row}" in str(refusal.value)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: Ask(), "nothing|nearest"),
        (lambda: Ask(nearest=True, top=-1), "-1"),
        (lambda: Ask(pairs=True), "above"),
        (lambda: Ask(above=np.array([0, np.nan], np.float32)), "NaN|nan"),
        (lambda: Ask(above=np.zeros(3, np.float32)), "3"),
        (lambda: Ask(above=np.zeros((2, 1), np.float32)), r"\(2, 1\)"),
    ],
    ids=["nothing", "negative-top", "pairs-without-above", "nan", "too-many", "column"],
)
def test_what_cannot_be_asked_is_an_error(ask, message):
    rows = np.eye(2, dtype=np.float32)
    with pytest.raises(ValueError, match=message):
        scan(HeldRows(rows, ["a", "b"]), prepare_tests(rows, ["a", "b"]), ask())


def test_tests_without_their_number_of_uids_or_none_at_all_are_an_error():
    with pytest.raises(ValueError, match="2"):
        prepare_tests(np.eye(3, dtype=np.float32), ["a", "b"])
    with pytest.raises(ValueError, match=r"\(0, 3\)|no |at least one"):
        prepare_tests(np.empty((0, 3), np.float32), [])


def test_a_corpus_of_another_dimension_is_an_error_with_both():
    held = HeldRows(np.eye(2, dtype=np.float32), ["a", "b"])
    with pytest.raises((ValueError, Refusal), match=r"(?s)2.*3|3.*2"):
        scan(held, prepare_tests(np.eye(3, dtype=np.float32), list("abc")), Ask(nearest=True))


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"first_pass": "bf16"}, ValueError, "first pass 'bf16'"),
        ({"device": "gpu"}, Refusal, "device gpu"),
        ({"device": "meta"}, Refusal, "device meta"),
    ],
)
def test_a_first_pass_or_device_that_is_not_there_is_an_error(options, error, told):
    with pytest.raises(error, match=told):
        prepare_tests(np.eye(2, dtype=np.float32), ["a", "b"], **options)


def test_bytes_that_are_not_multiplied_exactly_are_refused(monkeypatch):
    import torch

    saturating = lambda left, right, out=None: (left.int() @ right.int()).clamp(-(2**15), 2**15 - 1)  # noqa: E731
    monkeypatch.setattr(torch, "_int_mm", saturating)
    with pytest.raises(Refusal, match="first pass int8"):
        prepare_tests(np.eye(2, dtype=np.float32), ["a", "b"], first_pass="int8")
    prepare_tests(np.eye(64, dtype=np.float32), [str(row) for row in range(64)])


def test_of_several_bad_rows_the_first_is_named_for_any_threads():
    rows = draw_rows(np.random.default_rng(0), "normal", 40_000, 8, np.float16)
    rows[5000::600] = np.nan
    held = HeldRows(rows, draw_names(np.random.default_rng(1), 40_000))
    tests = prepare_tests(np.eye(8, dtype=np.float32), list("abcdefgh"))
    for threads in (1, 4, 8):
        with pytest.raises(Refusal, match="row 5000 "):
            scan(held, tests, Ask(nearest=True), threads=threads)


def test_no_threads_are_an_error_and_torch_keeps_its_own():
    import torch

    held = HeldRows(np.eye(4, dtype=np.float32), list("abcd"))
    tests = prepare_tests(np.eye(4, dtype=np.float32), list("efgh"))
    with pytest.raises(ValueError, match="0 threads"):
        scan(held, tests, Ask(nearest=True), threads=0)

    def scan_again(_: int) -> None:
        scan(held, tests, Ask(nearest=True))

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        scan(held, tests, Ask(nearest=True), threads=2, told=scan_again)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
