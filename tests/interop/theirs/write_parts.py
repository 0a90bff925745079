"""Run by the interpreter of the tools: clip-retrieval's writer on one partition, without the rest of the package."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def load_writer() -> Any:
    """Load the module that writes; the package itself imports a web server and torch."""
    package = importlib.util.find_spec("clip_retrieval")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(next(iter(package.submodule_search_locations)), "clip_inference", "writer.py")
    spec = importlib.util.spec_from_file_location("writer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(out: Path, index: int, n_parts: int) -> None:
    """Feed the writer two batches, as the mapper does, and flush."""
    with np.load(out / "rows.npz") as rows:
        image, text = rows["image"], rows["text"]
    records = json.loads((out / "records.json").read_text(encoding="utf-8"))
    writer = load_writer().NumpyWriter(index, str(out), True, True, True, n_parts)
    half = (len(records) + 1) // 2
    for part in (slice(0, half), slice(half, len(records))):
        writer(
            {
                "image_embs": image[part],
                "text_embs": text[part],
                "image_filename": [record["key"] for record in records[part]],
                "text": [record["caption"] for record in records[part]],
                "metadata": [json.dumps(record) for record in records[part]],
            }
        )
    writer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
