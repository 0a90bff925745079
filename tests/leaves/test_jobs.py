import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from oddpair.errors import Refusal
from oddpair.files import read_json
from oddpair.jobs import reduce_partials, run_jobs

# The jobs are functions that any fresh process can import: exec and eval run what a test gives them.


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_job_order_for_any_number_of_workers(workers):
    jobs = [30, 1, 20, 0, 10, 5]
    assert run_jobs(math.factorial, jobs, workers=workers, title="multiplying") == [
        math.factorial(job) for job in jobs
    ]


def test_no_jobs_are_no_work_and_say_nothing(capsys):
    assert run_jobs(math.factorial, [], workers=2, title="multiplying") == []
    assert capsys.readouterr().err == ""


def test_no_workers_are_an_error():
    with pytest.raises(ValueError, match="found 0 workers, needed 1 or more"):
        run_jobs(math.factorial, [1], workers=0, title="multiplying")


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_the_units_of_the_jobs(capsys, workers):
    run_jobs(len, ["aaa", "bb"], workers=workers, title="counting", unit="letters", size=len)
    assert capsys.readouterr().err.startswith("counting: 5 letters in ")


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_tells_what_results_say_was_set_aside_and_what_was_done_before(tmp_path, capsys, workers):
    (tmp_path / "3").write_text("kept")
    jobs = [f"len(__import__('pathlib').Path({str(tmp_path / n)!r}).write_text('ab') * 'x')" for n in "345"]
    run_jobs(
        eval,
        jobs,
        workers=workers,
        title="counting",
        partial=lambda job: Path(job.split("'")[3]),
        set_aside=int,
    )
    told = capsys.readouterr().err
    assert told.startswith("counting: 3 shards in ")
    assert told.endswith(", 1 of them done before, 4 quarantined\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_refusal_of_a_job_arrives_as_it_is_and_stops_the_others(tmp_path, workers):
    (tmp_path / "sound.json").write_text("1")
    jobs = [tmp_path / "missing.json", *[tmp_path / "sound.json"] * 20]
    with pytest.raises(Refusal, match=r"missing\.json does not exist"):
        run_jobs(read_json, jobs, workers=workers, title="reading")
    assert multiprocessing.active_children() == []


def test_an_error_of_one_job_does_not_wait_for_the_others():
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        run_jobs(exec, ["import time; time.sleep(60)", "1 / 0"], workers=2, title="dividing")
    assert time.monotonic() - start < 20
    assert multiprocessing.active_children() == []


def test_a_killed_worker_is_refused_with_the_remedy():
    jobs = ["pass", f"import signal; signal.raise_signal({int(signal.SIGKILL)})", "pass"]
    with pytest.raises(Refusal) as caught:
        run_jobs(exec, jobs, workers=2, title="drawing")
    line = str(caught.value)
    assert line.startswith("drawing: a worker process was killed with ")
    assert line.endswith("of 3 jobs left, perhaps for want of memory: run again with fewer workers, "
                         "finished jobs are kept")  # fmt: skip
    assert multiprocessing.active_children() == []


def test_hanging_workers_are_refused_within_the_timeout():
    start = time.monotonic()
    with pytest.raises(
        Refusal, match="drawing: no job ended for 2 s with 1 of 5 jobs left, the workers hang: run"
    ):
        run_jobs(time.sleep, [60, 0, 0, 0, 0], workers=2, title="drawing", timeout=2.0)
    assert time.monotonic() - start < 15
    assert multiprocessing.active_children() == []


def test_a_watched_job_may_outlast_the_timeout_while_its_count_grows_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr("oddpair.supervision._SECONDS_BETWEEN_LOOKS", 0.05)
    start = time.monotonic()
    run_jobs(
        time.sleep,
        [2.2],
        workers=2,
        title="training",
        unit="steps",
        size=lambda _: 1000,
        timeout=1.5,
        watch=lambda: int(2 * (time.monotonic() - start)),
    )
    assert capsys.readouterr().err.startswith("training: 1,000 steps in ")


def test_a_watched_job_whose_count_stands_still_counts_as_hung():
    with pytest.raises(Refusal, match="training: no job ended for 1 s with 1 of 1 jobs left"):
        run_jobs(time.sleep, [60], workers=2, title="training", timeout=1.0, watch=lambda: 0)


def test_workers_have_one_thread_and_the_environment_of_the_parent_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    jobs = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    assert run_jobs(os.getenv, jobs, workers=2, title="asking") == ["1", "1", "1"]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_one_worker_computes_with_one_thread_like_the_others():
    __import__("numpy")
    code = "[pool['num_threads'] for pool in __import__('threadpoolctl').threadpool_info()]"
    with threadpool_limits(limits=2):
        before = eval(code)
        assert 2 in before
        assert set(run_jobs(eval, [code], workers=1, title="asking")[0]) == {1}
        assert eval(code) == before


# Counts its runs in a file, and fails in the first of them.
_FAILS = """
import errno
from pathlib import Path
path = Path({path!r})
with path.open("a") as file:
    file.write("x")
if len(path.read_text()) <= {times}:
    raise {error}
"""


def runs(path):
    return len(path.read_text())


@pytest.mark.parametrize(
    "error",
    ["ConnectionResetError()", "TimeoutError('slow')", "OSError(errno.EIO, 'store')", "OSError('503')"],
)
def test_an_error_that_may_pass_is_tried_again(tmp_path, monkeypatch, error):
    monkeypatch.setattr("oddpair.jobs._SECONDS_BEFORE_RETRY", 0.0)
    job = _FAILS.format(path=str(tmp_path / "runs"), times=2, error=error)
    run_jobs(exec, [job], workers=1, title="reading")
    assert runs(tmp_path / "runs") == 3


def test_a_worker_tries_again_too(tmp_path):
    job = _FAILS.format(path=str(tmp_path / "runs"), times=1, error="ConnectionResetError()")
    run_jobs(exec, [job], workers=2, title="reading")
    assert runs(tmp_path / "runs") == 2


def test_a_refusal_that_may_pass_is_tried_again_and_at_last_raised(tmp_path, monkeypatch):
    monkeypatch.setattr("oddpair.jobs._SECONDS_BEFORE_RETRY", 0.0)
    error = "__import__('oddpair.errors').errors.PassingRefusal('s3 is away')"
    run_jobs(
        exec, [_FAILS.format(path=str(tmp_path / "few"), times=2, error=error)], workers=1, title="reading"
    )
    assert runs(tmp_path / "few") == 3
    job = _FAILS.format(path=str(tmp_path / "many"), times=9, error=error)
    with pytest.raises(Refusal, match="s3 is away"):
        run_jobs(exec, [job], workers=1, title="reading")
    assert runs(tmp_path / "many") == 3


def test_an_error_that_does_not_pass_is_refused_with_the_number_of_tries(tmp_path, monkeypatch):
    monkeypatch.setattr("oddpair.jobs._SECONDS_BEFORE_RETRY", 0.0)
    job = _FAILS.format(path=str(tmp_path / "runs"), times=9, error="ConnectionError('s3 is away')")
    with pytest.raises(
        Refusal,
        match="reading: s3 is away, 4 times over: check the network and the storage and run again, fin",
    ):
        run_jobs(exec, [job], workers=1, title="reading", retries=3)
    assert runs(tmp_path / "runs") == 4


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("OSError(errno.ENOSPC, 'full')", OSError),
        ("FileNotFoundError(errno.ENOENT, 'gone')", FileNotFoundError),
        ("PermissionError(errno.EACCES, 'no')", PermissionError),
        ("ValueError('wrong')", ValueError),
        ("__import__('oddpair.errors').errors.Refusal('no')", Refusal),
    ],
)
def test_an_error_that_lasts_is_raised_at_once(tmp_path, error, kind):
    job = _FAILS.format(path=str(tmp_path / "runs"), times=9, error=error)
    with pytest.raises(kind):
        run_jobs(exec, [job], workers=1, title="reading")
    assert runs(tmp_path / "runs") == 1


def test_fewer_retries_than_none_are_an_error():
    with pytest.raises(ValueError, match="found -1 retries, needed 0 or more"):
        run_jobs(abs, [1], workers=1, title="reading", retries=-1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_whose_partial_is_there_is_done_and_counted_and_not_run_again(tmp_path, capsys, workers):
    (tmp_path / "4").write_text("kept")
    paths = run_jobs(
        exec,
        [f"__import__('pathlib').Path({str(tmp_path / name)!r}).write_text('made')" for name in "345"],
        workers=workers,
        title="counting",
        partial=lambda job: Path(job.split("'")[3]),
    )
    assert paths == [tmp_path / name for name in "345"]
    assert [path.read_text() for path in paths] == ["made", "kept", "made"]
    assert capsys.readouterr().err.startswith("counting: 3 shards in ")


def test_when_all_partials_are_there_nothing_runs_and_nothing_is_said(tmp_path, capsys):
    (tmp_path / "0").write_text("kept")
    found = run_jobs(exec, ["1 / 0"], workers=2, title="counting", partial=lambda _: tmp_path / "0")
    assert found == [tmp_path / "0"]
    assert capsys.readouterr().err == ""


def test_a_job_that_ends_without_its_partial_is_an_error(tmp_path):
    with pytest.raises(
        ValueError, match=r"counting: found no .*/none where the job has ended, needed it whole"
    ):
        run_jobs(exec, ["pass"], workers=1, title="counting", partial=lambda _: tmp_path / "none")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_partials_fold_to_the_same_value_for_any_number_of_workers(tmp_path, workers):
    # Late jobs end first, and sums of these floats depend on their order.
    values = [1e16, 1.0, -1e16, 1.0, 3.0, 1e-3]
    jobs = [
        f"import time; time.sleep({0.05 if index < 2 else 0}); "
        f"__import__('oddpair.files').files.write_json(__import__('pathlib').Path({str(tmp_path / str(index))!r}), {value})"
        for index, value in enumerate(values)
    ]
    paths = run_jobs(
        exec, jobs, workers=workers, title="adding", partial=lambda job: tmp_path / str(jobs.index(job))
    )
    assert reduce_partials(read_json, paths, lambda a, b: a + b) == sum(values[1:], values[0])


def test_folding_holds_one_partial_at_a_time_and_goes_from_first_to_last():
    seen = []

    def read(path):
        seen.append(f"read {path}")
        return str(path)

    def merge(first, second):
        seen.append("merge")
        return f"({first} {second})"

    paths = [Path("a"), Path("b"), Path("c")]
    assert reduce_partials(read, paths, merge) == "((a b) c)"
    assert seen == ["read a", "read b", "merge", "read c", "merge"]


def test_folding_nothing_is_an_error():
    with pytest.raises(ValueError, match="found no partial files, needed one or more"):
        reduce_partials(read_json, [], max)


_PARENT = """
import signal, sys
from oddpair.jobs import run_jobs
signal.signal(signal.SIGINT, signal.default_int_handler)
code = "import os, time, pathlib; p = pathlib.Path({!r}); p.with_suffix('.part').write_text(str(os.getpid())); "
code += "p.with_suffix('.part').rename(p); time.sleep(60)"
run_jobs(exec, [code.format(path) for path in sys.argv[1:]], workers=2, title="sleeping")
"""


@pytest.fixture
def sleeping(tmp_path):
    """A process with two workers that sleep, and the process ids of the workers."""
    paths = [tmp_path / "first", tmp_path / "second"]
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, *map(str, paths)], stderr=subprocess.PIPE, start_new_session=True
    )
    wait_until(lambda: all(path.exists() for path in paths))
    workers = [int(path.read_text()) for path in paths]
    assert all(map(is_running, workers))
    yield parent, workers
    parent.kill()
    parent.wait()
    assert parent.stderr is not None
    parent.stderr.close()


def test_workers_die_with_a_killed_parent(sleeping):
    parent, workers = sleeping
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(is_running, workers)))


def test_an_interrupt_of_the_whole_group_ends_all_at_once_with_one_traceback(sleeping):
    parent, workers = sleeping
    os.killpg(parent.pid, signal.SIGINT)
    _, said = parent.communicate(timeout=20)
    assert parent.returncode == -signal.SIGINT
    assert said.count(b"Traceback") == 1
    assert said.rstrip().endswith(b"KeyboardInterrupt")
    assert not any(map(is_running, workers))


def test_an_interrupt_is_for_the_parent_to_answer_and_leaves_the_workers_at_work(sleeping):
    parent, workers = sleeping
    for worker in workers:
        os.kill(worker, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        parent.wait(timeout=0.5)
    assert all(map(is_running, workers))
