import hashlib
import os
import shutil
import signal
import threading
import time

import pytest

from oddpair.benchmarks.miniature.draw import draw_corpus
from oddpair.benchmarks.miniature.world import make_world
from oddpair.cli import app

SHARDS = 12


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(n_workers=2, **options) as found:
        yield found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A drawn corpus of twelve shards, one of which has lost the end of its tar."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_corpus(make_world(5), folder, 20 * SHARDS, rows_per_shard=20, workers=1)
    tar = folder / "corpus" / "00007.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    return folder / "corpus"


def embed(corpus, out, transformer, *more):
    arguments = [corpus, "--out", out, "--model", transformer, "--max-bad", 1, "--device", "cpu", *more]
    app([str(word) for word in ("embed", *arguments)], standalone_mode=False)
    return content(out)


def content(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def local(corpus, transformer, tmp_path_factory):
    """What one process of this machine makes, as any number of them does."""
    return embed(corpus, tmp_path_factory.mktemp("local") / "out", transformer, "--workers", 1)


def test_a_cluster_gives_the_bytes_of_processes_here(cluster, corpus, transformer, local, tmp_path, capsys):
    made = embed(corpus, tmp_path / "out", transformer, "--engine", f"dask:{cluster.scheduler_address}")
    assert made == local
    told = capsys.readouterr()
    assert told.out.startswith(f"220 rows of dimension 24 in {tmp_path / 'out'}, 20 of 240 quarantined")
    assert ", 20 quarantined" in told.err


def test_a_worker_killed_on_the_way_changes_no_byte(cluster, corpus, transformer, local, tmp_path):
    cluster.wait_for_workers(2)
    out, killed = tmp_path / "out", []

    def kill_one():
        end = time.monotonic() + 60
        while not list(out.glob("img_emb/*")) and time.monotonic() < end:
            time.sleep(0.001)
        killed.append(next(iter(cluster.workers.values())).pid)
        os.kill(killed[0], signal.SIGKILL)
        killed.append(len(list(out.glob("records/*.json"))))

    thread = threading.Thread(target=kill_one)
    thread.start()
    made = embed(corpus, out, transformer, "--engine", f"dask:{cluster.scheduler_address}")
    thread.join()
    assert killed[1] < SHARDS
    assert made == local


def test_what_a_cluster_began_is_finished_here_and_the_other_way_round(
    cluster, corpus, transformer, local, tmp_path, capsys
):
    cluster.wait_for_workers(2)
    engine = ("--engine", f"dask:{cluster.scheduler_address}")
    whole = tmp_path / "whole"
    embed(corpus, whole, transformer, *engine)
    for number, more in enumerate((("--workers", 1), engine)):
        out = shutil.copytree(whole, tmp_path / str(number))
        for name in ("done.json", "manifest.json", "records/record_0003.json", "img_emb/img_emb_0011.npy"):
            (out / name).unlink()
        capsys.readouterr()
        assert embed(corpus, out, transformer, *more) == local
        assert "240 rows in " in (told := capsys.readouterr().err)
        assert ", 200 of them done before" in told
