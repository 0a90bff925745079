"""Subset files and shards that oddpair exports, used together as DataComp's resharder uses them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.interop import peers

from oddpair.retrieval.subset import write_subset
from oddpair.splits.manifest import read_manifest

pytestmark = pytest.mark.tool("webdataset", "shards cut by a subset file as DataComp's resharder does")


def reshard(subset: Path, folder: Path) -> list[tuple[str, str]]:
    found = json.loads(peers.run_python("reshard.py", str(subset), *map(str, sorted(folder.glob("*.tar")))))
    return [(uid, key) for uid, key in found]


@pytest.fixture(scope="module")
def everything(oddpair, download, tmp_path_factory):
    """All rows of the download in shards whose json has uids, as the resharder needs them."""
    from oddpair.retrieval.corpus import open_corpus
    from oddpair.splits.manifest import Manifest, write_manifest

    folder = tmp_path_factory.mktemp("everything")
    uids = sorted(open_corpus(download).metadata()["uid"].to_pylist())
    write_manifest(folder / "all", Manifest(name="all", recipe="hand", uids=uids))
    oddpair("export", folder / "all", "--corpus", download, "--out", folder / "shards")
    return folder / "shards"


def test_an_exported_subset_file_cuts_the_split_out_of_the_corpus(everything, export, split):
    uids = read_manifest(split).uids.to_pylist()
    (subset,) = export("uids").glob("*.npy")
    assert sorted(reshard(subset, everything)) == [(uid, f"{uid}-0") for uid in uids]


def test_the_same_numbers_without_a_header_cut_the_same(everything, export, tmp_path):
    (subset,) = export("uids").glob("*.npy")
    np.load(subset).tofile(tmp_path / "subset.bin")
    assert reshard(tmp_path / "subset.bin", everything) == reshard(subset, everything)


def test_what_is_repeated_is_written_as_often(everything, split, tmp_path):
    uids = read_manifest(split).uids.to_pylist()[:3]
    write_subset(tmp_path / "subset.npy", uids, [1, 3, 2])
    found = sorted(key for _, key in reshard(tmp_path / "subset.npy", everything))
    assert found == [
        f"{uid}-{copy}" for uid, times in zip(uids, (1, 3, 2), strict=True) for copy in range(times)
    ]
