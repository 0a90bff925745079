"""Run by the interpreter of the tools: uid, caption and sha256 of the picture of every sample in some tars."""

from __future__ import annotations

import hashlib
import json
import sys

import webdataset

found = []
for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False):
    image = next(sample[suffix] for suffix in ("jpg", "png", "webp") if suffix in sample)
    record = json.loads(sample["json"])
    found.append((record["uid"], sample["txt"].decode(), hashlib.sha256(image).hexdigest()))
json.dump(found, sys.stdout)
