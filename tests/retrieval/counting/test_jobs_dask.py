import os
import signal
import threading
import time

import pytest
from tests.retrieval.counting.count_data import VOCABULARY, content, draw_captions, uid_of, write_tables

from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting import shard_jobs
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.mined import MinedWords
from oddpair.retrieval.counting.plan import CountPlan


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(n_workers=2, **options) as found:
        yield found


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_jobs, "ROWS_PER_JOB", 20)
    rows = [(uid_of(number), caption) for number, caption in enumerate(draw_captions(1, 900))]
    return open_corpus(write_tables(tmp_path / "corpus", rows, parts=45))


def test_a_cluster_counts_the_same_bytes_though_a_worker_of_it_is_killed(cluster, corpus, tmp_path):
    cluster.wait_for_workers(2)
    plan = CountPlan(vocabulary=VOCABULARY, pair_concepts=4, postings=True)
    count_corpus(corpus, tmp_path / "here", plan)
    out, finished = tmp_path / "out", []

    def kill_one():
        end = time.monotonic() + 60
        while not list(out.glob("parts/record/*.json")) and time.monotonic() < end:
            time.sleep(0.001)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        finished.append(len(list(out.glob("parts/record/*.json"))))

    thread = threading.Thread(target=kill_one)
    thread.start()
    count_corpus(corpus, out, plan, engine=f"dask:{cluster.scheduler_address}")
    thread.join()
    assert 0 < finished[0] < 45
    assert content(out) == content(tmp_path / "here")


def test_a_cluster_mines_the_same_words(cluster, corpus, tmp_path):
    cluster.wait_for_workers(2)
    plan = CountPlan(vocabulary=MinedWords(minimum=20))
    count_corpus(corpus, tmp_path / "here", plan)
    count_corpus(corpus, tmp_path / "out", plan, engine=f"dask:{cluster.scheduler_address}")
    assert content(tmp_path / "out") == content(tmp_path / "here")
