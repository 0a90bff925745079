"""Corpora of captions alone, in the layout of DataComp's metadata."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.inputs import Inputs, Pictures


def name(number):
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def write_captions(folder, captions, uids=None, sizes=None):
    """Write captions into shards of the sizes given; the uid of a row is made of its number."""
    folder.mkdir(parents=True)
    uids = [name(number) for number in range(len(captions))] if uids is None else uids
    start = 0
    for number, size in enumerate([len(captions)] if sizes is None else sizes):
        end = start + size
        table = pa.table(
            {
                "uid": pa.array(uids[start:end], pa.string()),
                "url": [f"http://example.org/{uid}" for uid in uids[start:end]],
                "text": pa.array(captions[start:end], pa.string()),
            }
        )
        pq.write_table(table, folder / f"{number:032x}.parquet")
        start = end
    return folder


def pictures(folder):
    return Pictures(name=folder.name, corpus=open_corpus(folder))


def inputs_of(folder, **others):
    return Inputs(corpus=pictures(folder), **others)
