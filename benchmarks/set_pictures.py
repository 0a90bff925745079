"""The picture files of some samples of an evaluation set, to be looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from oddpair.benchmarks.evaluation_set import EvaluationSet
from oddpair.retrieval.formats.loose import LooseFiles
from oddpair.retrieval.samples import Sample


def read_pictures(found: EvaluationSet, keys: Collection[str]) -> dict[str, bytes]:
    """Read the encoded pictures of some keys; of tars only the shards that hold them are opened.

    Args:
        found: The set.
        keys: Keys of its table.

    Returns:
        Picture files by key; one that cannot be read is passed over.
    """
    root = found.corpus.root
    if found.corpus.layout == "folder" and isinstance(root, Path):
        files = LooseFiles(root, outside=False)
        read = ((key, files.read(key)) for key in keys)
        return {key: data for key, data in read if isinstance(data, bytes)}
    left = set(keys)
    pictures: dict[str, bytes] = {}
    for shard in found.corpus.shards:
        here = {key for key in left if key.startswith(f"{shard}/")} if found.keyed_by_shard else left
        for key, image in _stream(found, shard, here):
            pictures[key] = image
            left.discard(key)
        if not left:
            break
    return pictures


def _stream(found: EvaluationSet, shard: str, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    left = set(wanted)
    if not left:
        return
    for sample in found.corpus.stream(shard):
        if isinstance(sample, Sample):
            key = f"{shard}/{sample.key}" if found.keyed_by_shard else sample.key
            if key in left:
                left.discard(key)
                yield key, sample.image
                if not left:
                    return
