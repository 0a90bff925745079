"""Run by the interpreter of the tools: shards limited to a subset, by the documented reading of DataComp's resharder.

Its script is not in a package. What is written here is what it documents and does with a subset: an array of
``[('f0', '<u8'), ('f1', '<u8')]``, mapped into memory without a look at a header (``np.memmap``) or read by
``np.load``; ``f0`` is the upper half of the uid in the json; a uid that is there ``k`` times is written ``k``
times, as ``{uid}-0`` and on.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import webdataset

PAIR = np.dtype("u8,u8")


def main(subset: str, tars: list[str]) -> None:
    """Print uid and key of every sample that the subset takes out of some tars."""
    listed = np.load(subset, mmap_mode="r") if subset.endswith(".npy") else np.memmap(subset, PAIR, mode="r")
    assert listed.dtype == PAIR
    found = []
    for sample in webdataset.WebDataset(tars, shardshuffle=False):
        uid = json.loads(sample["json"])["uid"]
        key = np.array([(int(uid[:16], 16), int(uid[16:32], 16))], PAIR)[0]
        first, last = (int(np.searchsorted(listed, key, side=side)) for side in ("left", "right"))
        found += [(uid, f"{uid}-{copy}") for copy in range(last - first)]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
