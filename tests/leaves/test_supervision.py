import multiprocessing

import pytest

from oddpair.errors import Refusal
from oddpair.jobs import run_jobs

# The jobs are programs for exec, which any fresh process can import.

# Notes each item, and dies at some of them; blame adds to the items that it leaves out.
_ITEMS = """
import os, signal
from pathlib import Path
from oddpair.workers import note_position
skipped = {{-1}}
for item in range(6):
    note_position(item)
    if item in {deadly} and item not in skipped:
        with Path({path!r} + ".died").open("a") as file:
            file.write(str(item))
        os.kill(os.getpid(), signal.{signal})
Path({path!r}).write_text(str(sorted(set(range(6)) - skipped)))
"""


def items(path, deadly=(), number="SIGSEGV"):
    return _ITEMS.format(path=str(path), deadly=set(deadly) | {-1}, signal=number)


def leave_out(job, position):
    return job.replace("skipped = {", f"skipped = {{{position}, ")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", ["SIGSEGV", "SIGABRT"], ids="30-worker-ends-by-{}".format)
def test_an_item_that_crashes_its_worker_twice_is_left_out_and_all_else_is_done(tmp_path, workers, number):
    paths = [tmp_path / str(index) for index in range(3)]
    jobs = [items(paths[0]), items(paths[1], {2, 4}, number), items(paths[2])]
    run_jobs(exec, jobs, workers=workers, title="decoding", blame=leave_out)
    assert [path.read_text() for path in paths] == [
        "[0, 1, 2, 3, 4, 5]",
        "[0, 1, 3, 5]",
        "[0, 1, 2, 3, 4, 5]",
    ]
    assert (tmp_path / "1.died").read_text() == "2244"
    assert multiprocessing.active_children() == []


def test_a_crash_that_does_not_come_again_convicts_nobody(tmp_path):
    job = items(tmp_path / "done", {2}).replace(
        "if item in", f"if not Path({str(tmp_path / 'done.died')!r}).exists() and item in"
    )
    run_jobs(exec, [job], workers=1, title="decoding", blame=leave_out)
    assert (tmp_path / "done").read_text() == "[0, 1, 2, 3, 4, 5]"
    assert (tmp_path / "done.died").read_text() == "2"


def test_a_worker_killed_at_the_same_item_each_time_convicts_nobody(tmp_path):
    def blame(job, position):
        raise AssertionError(f"{position} is convicted")

    jobs = [items(tmp_path / "done", {2}, "SIGKILL")]
    with pytest.raises(
        Refusal, match="a worker process was killed with 1 of 1 jobs left, perhaps for want of"
    ):
        run_jobs(exec, jobs, workers=1, title="decoding", blame=blame)
    assert (tmp_path / "done.died").read_text() == "222"


def test_a_crash_between_items_is_no_items_fault(tmp_path):
    job = items(tmp_path / "done") + "note_position(-1)\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    with pytest.raises(
        Refusal,
        match=r"decoding: a worker process crashed \(SIGSEGV\) in job 2 of 2 again and again, with 1 of 2",
    ):
        run_jobs(exec, ["pass", job], workers=1, title="decoding", blame=leave_out)


@pytest.mark.parametrize("told", [True, False], ids=["the-item-is-done", "threads-tell-no-item"])
def test_a_job_that_crashes_at_no_item_may_run_again_so_that_it_tells_the_item(tmp_path, told):
    noting = "note_done(item)" if told else "pass"
    quiet = items(tmp_path / "done", {2}).replace("    note_position(item)\n", f"    {noting}\n")
    positions = []

    def blame(job, position):
        positions.append(position)
        telling = job.replace(f"    {noting}\n", "    note_position(item)\n")
        return telling if position == -1 else leave_out(job, position)

    job = "from oddpair.workers import note_done\n" + quiet
    run_jobs(exec, [job], workers=1, title="decoding", blame=blame)
    assert positions == [-1, 2]
    assert (tmp_path / "done").read_text() == "[0, 1, 3, 4, 5]"
    assert (tmp_path / "done.died").read_text() == "222"


def test_a_crash_after_an_item_is_done_is_not_that_items_fault(tmp_path):
    done = "from oddpair.workers import note_done\n" + items(tmp_path / "done")
    job = done + "note_done(5)\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    with pytest.raises(Refusal, match=r"a worker process crashed \(SIGSEGV\) in job 1 of 1 again and again"):
        run_jobs(exec, [job], workers=1, title="decoding", blame=leave_out)


def test_a_job_whose_every_item_crashes_is_refused_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("oddpair.supervision._MOST_CONVICTED", 3)
    with pytest.raises(
        Refusal, match="decoding: more than 3 items of job 1 of 1 crash the worker, so the fault"
    ):
        run_jobs(exec, [items(tmp_path / "done", range(6))], workers=1, title="decoding", blame=leave_out)
    assert (tmp_path / "done.died").read_text() == "00112233"


def test_crashes_at_ever_other_items_prove_damage_and_not_a_bad_item(tmp_path):
    job = "import os, signal; from oddpair.workers import note_position; note_position(os.getpid()); "
    with pytest.raises(Refusal, match=r"a worker process crashed \(SIGBUS\) in job 1 of 1 again and again"):
        run_jobs(
            exec, [f"{job}os.kill(os.getpid(), signal.SIGBUS)"], workers=1, title="decoding", blame=leave_out
        )


def test_a_worker_that_leaves_by_itself_is_refused_with_its_exit_code():
    with pytest.raises(Refusal, match=r"a worker process left \(exit code 7\) in job 1 of 2 again and again"):
        run_jobs(exec, ["import os; os._exit(7)", "pass"], workers=2, title="decoding")


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSEGV"], ids="53-worker-ends-by-{}".format)
def test_a_job_whose_worker_dies_once_runs_again_and_the_others_only_once(tmp_path, number):
    paths = [tmp_path / str(index) for index in range(6)]
    die = f"import os, signal; runs > 1 or os.kill(os.getpid(), signal.{number})"
    jobs = [
        "import pathlib\n"
        f"with pathlib.Path({str(path)!r}).open('a') as file: file.write('x')\n"
        f"runs = len(pathlib.Path({str(path)!r}).read_text())\n" + (die if path.name == "0" else "")
        for path in paths
    ]
    run_jobs(exec, jobs, workers=2, title="decoding")
    assert [path.read_text() for path in paths] == ["xx", "x", "x", "x", "x", "x"]


def test_a_job_longer_than_the_timeout_hangs_only_if_it_stays_at_one_item(tmp_path):
    slow = items(tmp_path / "done").replace(
        "    note_position(item)", "    note_position(item)\n    time.sleep(0.7)"
    )
    job = slow.replace("import os, signal", "import os, signal, time")
    run_jobs(exec, [job, "pass"], workers=2, title="decoding", timeout=2.0)
    assert (tmp_path / "done").read_text() == "[0, 1, 2, 3, 4, 5]"
    stuck = job.replace("sleep(0.7)", "sleep(60 * (item == 1))")
    with pytest.raises(
        Refusal, match=r"decoding: no job ended for 2 s with 1 of 2 jobs left, the workers hang"
    ):
        run_jobs(exec, [stuck, "pass"], workers=2, title="decoding", timeout=2.0)
