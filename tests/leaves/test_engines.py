import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from oddpair import engines
from oddpair.engines import alone, one_thread, open_engine
from oddpair.errors import Refusal
from oddpair.jobs import reduce_partials, run_jobs
from oddpair.workers import Workers

JOBS = [30, 1, 20, 0, 10, 5]
RESULTS = [math.factorial(job) for job in JOBS]


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(n_workers=2, **options) as found:
        yield found


@pytest.fixture
def engine(cluster):
    # A test may have killed some, and they come back.
    cluster.wait_for_workers(2)
    return f"dask:{cluster.scheduler_address}"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cluster_gives_the_results_of_processes_here(engine, workers, capsys):
    run = {"title": "multiplying", "workers": workers, "unit": "numbers"}
    assert run_jobs(math.factorial, JOBS, engine=engine, **run) == RESULTS
    assert run_jobs(math.factorial, JOBS, **run) == RESULTS
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("multiplying: 6 numbers in ")
    assert second.startswith("multiplying: 6 numbers in ")


def test_equal_jobs_are_run_each(engine, tmp_path):
    job = f"import tempfile; tempfile.mkstemp(dir={str(tmp_path)!r})"
    run_jobs(exec, [job] * 5, workers=1, title="making", engine=engine)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_killed_worker_of_a_cluster_changes_no_result(engine, tmp_path):
    code = (
        "__import__('time').sleep(0.05) or __import__('pathlib').Path({!r}).write_text(str(__import__('os').getpid()))"
        " and {}"
    )
    jobs = [code.format(str(tmp_path / "pid"), number) for number in range(30)]
    found = []
    thread = threading.Thread(
        target=lambda: found.extend(run_jobs(eval, jobs, workers=1, title="x", engine=engine))
    )
    thread.start()
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    thread.join()
    assert found == list(range(30))


def test_a_job_that_kills_its_workers_is_refused_by_name(engine):
    jobs = ["pass", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    with pytest.raises(
        Refusal, match="drawing: job 2 of 2 killed its workers with 1 of 2 jobs left, perhaps for"
    ):
        run_jobs(exec, jobs, workers=1, title="drawing", engine=engine)


def test_a_refusal_of_a_job_on_a_cluster_arrives_as_it_is_and_is_not_tried_again(engine, tmp_path):
    job = (
        f"with __import__('pathlib').Path({str(tmp_path / 'runs')!r}).open('a') as file: file.write('x')\n"
        "raise __import__('oddpair.errors').errors.Refusal('corpus is empty')"
    )
    with pytest.raises(Refusal, match=r"^corpus is empty$"):
        run_jobs(exec, [job], workers=1, title="drawing", engine=engine)
    assert (tmp_path / "runs").read_text() == "x"


def test_an_error_that_may_pass_is_tried_again_on_a_cluster(engine, tmp_path):
    job = (
        f"path = __import__('pathlib').Path({str(tmp_path / 'runs')!r})\n"
        "with path.open('a') as file: file.write('x')\n"
        "if path.read_text() == 'x': raise ConnectionResetError"
    )
    run_jobs(exec, [job], workers=1, title="reading", engine=engine)
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_result_that_cannot_be_pickled_is_an_error_and_no_endless_wait(engine):
    with pytest.raises(
        TypeError, match=r"found a result of <class '_thread.lock'>, needed one that can be pick"
    ):
        run_jobs(eval, ["__import__('threading').Lock()"], workers=1, title="x", engine=engine, timeout=20)


def test_a_hanging_cluster_is_refused_within_the_timeout(engine):
    with pytest.raises(
        Refusal, match=r"drawing: no job ended for 0\.5 s with 1 of 2 jobs left, the workers hang"
    ):
        run_jobs(time.sleep, [0, 1.5], workers=1, title="drawing", engine=engine, timeout=0.5)


def test_partials_of_a_cluster_are_resumed_here_and_fold_to_the_same_value(engine, tmp_path):
    jobs = [
        f"__import__('oddpair.files').files.write_json(__import__('pathlib').Path({str(tmp_path / str(n))!r}), {n})"
        for n in range(4)
    ]

    def partial(job):
        return tmp_path / str(jobs.index(job))

    run_jobs(exec, jobs[:2], workers=1, title="adding", engine=engine, partial=partial)
    before = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    assert len(before) == 2
    paths = run_jobs(exec, jobs, workers=1, title="adding", partial=partial)
    assert [path.stat().st_mtime_ns for path in paths[:2]] == before
    assert reduce_partials(lambda path: int(path.read_text()), paths, int.__add__) == 6


def test_a_file_that_does_not_show_on_this_machine_is_refused(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("oddpair.jobs._SECONDS_TO_SHOW", 0.1)
    monkeypatch.setattr("oddpair.jobs._SECONDS_BETWEEN_LOOKS", 0.05)
    with pytest.raises(
        Refusal, match=r"/elsewhere has ended on another machine, but the file does not show on"
    ):
        run_jobs(
            exec, ["pass"], workers=1, title="x", engine=engine, partial=lambda _: tmp_path / "elsewhere"
        )


def test_jobs_on_a_cluster_compute_with_one_thread(engine):
    jobs = [
        "__import__('os').environ['OMP_NUM_THREADS']",
        "(__import__('numpy'), [p['num_threads'] for p in __import__('threadpoolctl').threadpool_info()])[1]",
    ]
    environment, pools = run_jobs(eval, jobs, workers=1, title="asking", engine=engine)
    assert environment == "1"
    assert set(pools) == {1}


@pytest.mark.parametrize("engine", ["spark", "dask", "", "DASK:tcp://127.0.0.1:8786"])
def test_an_unknown_engine_is_refused_with_an_example(engine):
    with pytest.raises(
        Refusal, match=r"found no engine .*: give dask:ADDRESS of a Dask scheduler, such as dask:tcp"
    ):
        run_jobs(abs, [1], workers=1, title="x", engine=engine)


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:{port}", "127.0.0.1:{port}", "nonsense", "foo://x", "", "tcp://127.0.0.1:port"],
)
def test_an_address_without_a_scheduler_is_refused(address, monkeypatch):
    monkeypatch.setattr(engines, "_SECONDS_TO_CONNECT", 0.3)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = address.format(port=taken.getsockname()[1])
        with pytest.raises(Refusal, match=f"no Dask scheduler answers at '{address}' .*: check the address"):
            run_jobs(abs, [1], workers=1, title="x", engine=f"dask:{address}")


def test_a_server_that_never_answers_is_refused(monkeypatch):
    monkeypatch.setattr(engines, "_SECONDS_TO_CONNECT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Refusal, match="no Dask scheduler answers at"):
            run_jobs(abs, [1], workers=1, title="x", engine=f"dask:127.0.0.1:{port}")


def test_the_address_of_a_worker_is_refused(engine, cluster):
    worker = next(iter(cluster.scheduler_info["workers"]))
    with pytest.raises(Refusal, match=f"found a Dask worker at {worker}: give the address of its scheduler"):
        run_jobs(abs, [1], workers=1, title="x", engine=f"dask:{worker}")


def test_a_cluster_without_workers_is_waited_for_and_told(capsys):
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as empty:
        address = empty.scheduler_address
        with pytest.raises(Refusal, match=r"no job ended for 0\.2 s with 1 of 1 jobs left"):
            run_jobs(abs, [1], workers=1, title="x", engine=f"dask:{address}", timeout=0.2)
    assert capsys.readouterr().err == (
        f"the Dask scheduler at {address} has no workers yet: dask worker {address} --nthreads 1 starts some\n"
    )


def test_a_cluster_with_another_version_is_refused(engine, monkeypatch):
    monkeypatch.setattr(engines, "__version__", "9.9")
    with pytest.raises(
        Refusal, match=r"Dask worker tcp://.* has oddpair 0\..*, needed oddpair 9\.9: install the same"
    ):
        run_jobs(abs, [1], workers=1, title="x", engine=engine)


def test_without_dask_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(Refusal, match=r"run pip install 'oddpair\[dask\]', or leave out --engine"):
        run_jobs(abs, [1], workers=1, title="x", engine="dask:127.0.0.1:1")


def test_any_executor_will_do_and_stays_open():
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2, get_context("spawn")) as processes:
        for executor in (threads, processes):
            assert run_jobs(math.factorial, JOBS, workers=1, title="x", engine=executor) == RESULTS
            assert executor.submit(abs, -1).result() == 1


def test_an_executor_that_breaks_is_refused():
    refused = pytest.raises(Refusal, match="job 1 of 2 killed its workers with 2 of 2 jobs left")
    with ProcessPoolExecutor(1, get_context("spawn")) as processes, refused:
        run_jobs(os._exit, [1, 1], workers=1, title="x", engine=processes)


def test_threads_of_one_process_take_turns_and_each_has_one_thread_of_arithmetic():
    __import__("numpy")
    inside = []

    def look(job):
        inside.append(job)
        time.sleep(0.01)
        assert inside.pop() == job
        return pools()

    set_threads(2)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda job: alone(look, job), range(12)))
        assert 2 in pools()
    finally:
        set_threads(1)
    assert found == [{1}] * 12


def pools():
    return {pool["num_threads"] for pool in threadpool_info()}


def set_threads(number):
    # In a thread that ends, because the last one that sets the number keeps others from it.
    thread = threading.Thread(target=threadpool_limits, args=(number,))
    thread.start()
    thread.join()


def test_the_environment_comes_back_after_a_block_with_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with one_thread():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_no_engine_is_processes_of_this_machine():
    with open_engine(None, 2) as executor:
        assert isinstance(executor, Workers)
        assert executor.submit(os.getppid).result() == os.getpid()


def test_dask_is_not_loaded_before_it_is_asked_for():
    code = "import sys, oddpair.jobs; print('distributed' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
