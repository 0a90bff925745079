"""Rows of a split chosen while open_clip's trainer loads the original shards, none of which is written anew."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oddpair.errors import Refusal
from oddpair.files import write_array
from oddpair.retrieval.formats.json_rows import read_row
from oddpair.retrieval.formats.tar_samples import BadSample
from oddpair.retrieval.formats.tars import PICTURES, TEXTS, Entry, Span
from oddpair.retrieval.subset import UidArray, load_subset
from oddpair.splits.exports.uid_keys import count_key, make_key, make_keys
from oddpair.splits.manifest import Manifest

Members = Mapping[str, Any]
# Shards drawn with replacement: after this many times their number, all but one in e³ were looked into.
_ROUNDS = 3


def write_keys(path: Path, manifest: Manifest) -> int:
    """Write the keys of a split as one sorted ``.npy`` file of 16 bytes a row, and return their number.

    Of uids with 32 hex digits it is the same file as DataComp's subset.
    """
    keys = make_keys(manifest.uids)
    write_array(path, keys[np.lexsort((keys["f1"], keys["f0"]))])
    return len(keys)


def copy_keys(path: Path, subset: Path) -> int:
    """Write the keys of a DataComp subset file, as often as they are repeated there, and return their number.

    Raises:
        Refusal: If the subset cannot be read.
    """
    found = load_subset(subset)
    write_array(path, np.repeat(found.uids, found.copies))
    return int(found.copies.sum())


def find_uid(sample: Members) -> str | None:
    """Make the uid of a sample as a corpus of tars does: of its json's ``uid`` or ``hash``, url and caption, or picture.

    Args:
        sample: Members by suffix, as webdataset groups them: ``json``, ``txt`` and a picture, as bytes.

    Returns:
        The uid; ``None`` of a sample that a corpus sets aside, with json or text that cannot be read or no picture.

    >>> find_uid({"json": b'{"uid": "00ff"}', "txt": b"a cat", "jpg": b""})
    '00ff'
    """
    texts = {suffix: bytes(sample[suffix]) for suffix in TEXTS if suffix in sample}
    spans, offset = {}, 0
    for suffix, data in texts.items():
        spans[suffix] = Span(offset, len(data))
        offset += len(data)
    entry = Entry(key=str(sample.get("__key__", "")), offset=0, members=spans)
    try:
        row = read_row(io.BytesIO(b"".join(texts.values())), entry, ())
    except BadSample:
        return None
    pictures = [sample[suffix] for suffix in PICTURES if suffix in sample]
    if len(pictures) != 1:
        return None
    return row.make_uid(pictures[0] if row.identity == "bytes" else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepSplit:
    """A step of webdataset's pipeline, from shards to samples, that passes the samples of a split and no others.

    It stands where open_clip has ``tarfile_to_samples_nothrow``, before samples are shuffled and decoded. A sample
    whose key is repeated is passed that often, as DataComp's resharder writes it. Keys lie in one file that all
    processes map into their memory.

    Attributes:
        keys: File of the keys, as ``write_keys`` wrote it.
        shards: Shards of the training set.
        at_least: Samples that one pass of a process must give: those of a batch.
        resampled: Whether shards are drawn with replacement, without end.
    """

    keys: Path
    shards: int
    at_least: int
    resampled: bool = False

    def __call__(self, source: Iterable[Members]) -> Iterator[dict[str, Any]]:
        """Read the shards of ``source``, and give the samples of the split.

        Raises:
            Refusal: If there are so few that training would wait for ever.
        """
        # A plain view of the map: memmap's own indexing takes ten times as long.
        keys: UidArray = np.asarray(np.load(self.keys, mmap_mode="r", allow_pickle=False))
        passed = captioned = opened = 0
        for shard in source:
            opened += 1
            for sample in _read_samples(shard):
                uid = find_uid(sample)
                copies = 0 if uid is None else count_key(keys, make_key(uid))
                passed += copies
                captioned += copies if "txt" in sample else 0
                for copy in range(copies):
                    # Later steps change what they are given, and the key must tell copies apart.
                    key = f"{sample['__key__']}-{copy}" if copies > 1 else sample["__key__"]
                    yield {**sample, "__key__": key}
            if self.resampled and not passed and opened >= _ROUNDS * self.shards:
                raise Refusal(f"none of {opened:,} shards drawn holds a sample of the split: {_IDENTITY}")
        if not self.resampled and captioned < self.at_least:
            raise Refusal(self._explain(opened, passed, captioned))

    def _explain(self, opened: int, passed: int, captioned: int) -> str:
        where = f"the {opened:,} shards of this process hold"
        if not passed:
            return f"{where} no sample of the split: {_IDENTITY}"
        if captioned < passed:
            return (
                f"{where} {passed:,} samples of the split, {passed - captioned:,} of them without the txt that "
                "open_clip takes captions from: export the split"
            )
        return (
            f"{where} {passed:,} samples of the split, fewer than a batch of {self.at_least:,}: use fewer --workers "
            "or a smaller --batch-size"
        )


def _read_samples(shard: Members) -> Iterator[dict[str, Any]]:
    import open_clip_train.data as theirs  # type: ignore[import-untyped, unused-ignore]

    handler = theirs.log_and_continue
    files = theirs.tar_file_expander(theirs.url_opener([shard], handler=handler), handler=handler)
    # webdataset 1.x ends a shard with a mark that open_clip's grouping does not know.
    found: Iterator[dict[str, Any]] = theirs.group_by_keys_nothrow(
        (file for file in files if "fname" in file), handler=handler
    )
    return found


_IDENTITY = (
    "are these the shards of its corpus, with the uid, hash or url that its uids are made of in their json?"
)
