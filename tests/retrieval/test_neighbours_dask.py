import os
import shutil
import signal
import threading
import time

import pytest
from tests.retrieval.neighbour_data import content, draw, stored

from oddpair.retrieval import neighbours
from oddpair.retrieval.neighbours import find_neighbours


@pytest.fixture(autouse=True)
def small_jobs(monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS_PER_JOB", 5)


@pytest.fixture
def corpus(tmp_path):
    rows, uids = draw(0, 40)
    return stored(tmp_path / "corpus", rows, uids, [7, 0, 12, 5, 16])


@pytest.fixture
def tests(tmp_path):
    return stored(tmp_path / "tests", *draw(1, 9))


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(n_workers=2, **options) as found:
        yield found


def test_a_worker_of_a_cluster_killed_on_the_way_changes_no_byte(cluster, tmp_path, tests):
    cluster.wait_for_workers(2)
    jobs = 40
    rows, uids = draw(10, 20 * jobs)
    corpus = stored(tmp_path / "corpus", rows, uids, [20] * jobs)
    find_neighbours(corpus, tests, tmp_path / "here", k=3, above=0.5)
    out, finished = tmp_path / "out", []

    def kill_one():
        end = time.monotonic() + 60
        while not list(out.glob("rows/*.parquet")) and time.monotonic() < end:
            time.sleep(0.001)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        finished.append(len(list(out.glob("top/*.parquet"))))

    thread = threading.Thread(target=kill_one)
    thread.start()
    find_neighbours(corpus, tests, out, k=3, above=0.5, engine=f"dask:{cluster.scheduler_address}")
    thread.join()
    assert finished[0] < jobs
    assert content(out) == content(tmp_path / "here")


def test_what_a_cluster_began_is_finished_here(cluster, corpus, tests, tmp_path):
    cluster.wait_for_workers(2)
    find_neighbours(corpus, tests, tmp_path / "here", k=3)
    find_neighbours(corpus, tests, tmp_path / "out", k=3, engine=f"dask:{cluster.scheduler_address}")
    half = shutil.copytree(tmp_path / "out", tmp_path / "half")
    for name in ("done.json", "summary.json", "top/top_0001.parquet"):
        (half / name).unlink()
    assert find_neighbours(corpus, tests, half, k=3, workers=2).work.pairs == 9 * 12
    assert content(half) == content(tmp_path / "out") == content(tmp_path / "here")
