"""Pictures that are the same or look alike: by their bytes, by a perceptual hash, and by an encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dct

from oddpair import files, stages
from oddpair.progress import track
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.decoding import prepare_in_order
from oddpair.retrieval.pictures import Pixels
from oddpair.retrieval.samples import Sample
from oddpair.retrieval.unit_rows import IntArray

Bytes = NDArray[np.uint8]

SAME_BYTES, SAME_LOOK, NEAR = "same bytes", "same look", "near"
REASONS = (SAME_BYTES, SAME_LOOK, NEAR)
_SIDE, _KEPT, _DIGEST = 32, 8, 16
# Rows compared at once with all before them: 64 MiB of distances for a class of 16,000 pictures.
_BLOCK = 1024
# Scores by BLAS differ from the exact ones by far less.
_MARGIN = 1e-3
_MISSING = "its picture was not found"
_SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("digest", pa.binary(_DIGEST)),
        ("look", pa.binary(_KEPT * _KEPT // 8)),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """What pictures are compared by.

    Attributes:
        digest: 16 bytes of the hash of each file, shape ``(n, 16)``.
        look: Perceptual hash, shape ``(n, 8)``.
        rows: Unit rows of an encoder, float16, shape ``(n, d)``; ``None`` to compare by bytes and hash alone.
    """

    digest: Bytes
    look: Bytes
    rows: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.digest)

    def take(self, places: IntArray) -> Looks:
        """Return some of the pictures."""
        rows = None if self.rows is None else self.rows[places]
        return Looks(digest=self.digest[places], look=self.look[places], rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """When two pictures are alike: bytes are equal, hashes differ in few bits, or vectors are near.

    Attributes:
        bits: Bits, of 64, in which perceptual hashes may differ at most.
        similarity: Cosine similarity above which, strictly, rows of an encoder are near.
    """

    bits: int
    similarity: float


def hash_picture(pixels: Pixels) -> Bytes:
    """Hash what a picture looks like into 64 bits: copies that were scaled or compressed differ in few.

    The picture is scaled to 32 x 32 grey pixels; of its cosine transform, each of the 8 x 8 lowest frequencies gives a
    bit: whether it is at least the median of them all but the first. It is the hash of imagededup, bit for bit, but for
    pictures of one colour, whose frequencies are rounding errors there and 0 here.

    Args:
        pixels: Shape ``(height, width, 3)``.

    Returns:
        Shape ``(8,)``.

    References:
        Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010; imagededup's ``PHash``.

    >>> hash_picture(np.full((9, 7, 3), 80, np.uint8)).tobytes().hex()
    'ffffffffffffffff'
    """
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS).convert("L")
    transformed = dct(dct(np.asarray(small, dtype=np.float64), axis=0), axis=1)
    # Sums of equal terms in another order differ in their last digits, and so would bits near the median.
    lowest = np.round(transformed[:_KEPT, :_KEPT], 6).reshape(-1)
    return np.packbits(lowest >= np.median(lowest[1:]))


def count_bits(first: Bytes, second: Bytes) -> NDArray[np.float32]:
    """Count the bits in which hashes differ, every one of the first with every one of the second.

    Args:
        first: Shape ``(n, 8)``.
        second: Shape ``(m, 8)``.

    Returns:
        Whole numbers, shape ``(n, m)``.

    >>> count_bits(np.array([[0], [3]], np.uint8), np.array([[1]], np.uint8))
    array([[1.],
           [1.]], dtype=float32)
    """
    # Of signs, the product is what agrees less what differs: whole numbers, which BLAS adds without error.
    one, other = (2 * np.unpackbits(part, axis=1).astype(np.float32) - 1 for part in (first, second))
    differing: NDArray[np.float32] = (one.shape[1] - one @ other.T) / 2
    return differing


def drop_alike(looks: Looks, likeness: Likeness) -> tuple[IntArray, IntArray]:
    """Drop each picture that is like a kept one before it, and name that one.

    So no two kept pictures are alike, and each dropped one has a kept witness that it is like.

    Args:
        looks: Pictures, in the order of their uids.
        likeness: When two are alike.

    Returns:
        Place of the witness of each, -1 for those kept, and place in ``REASONS`` of why it was dropped, -1 for those
        kept; both of shape ``(n,)``. Of several witnesses it is the first by the first reason that applies.
    """
    n = len(looks)
    witness, reason = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    kept = np.ones(n, np.bool_)
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        relations = _relate(looks, likeness, start, stop)
        alike = np.logical_or.reduce(relations)
        for row in range(start, stop):
            hits = np.flatnonzero(alike[row - start, :row] & kept[:row])
            if not len(hits):
                continue
            kept[row] = False
            for number, relation in enumerate(relations):
                named = hits[relation[row - start, hits]]
                if len(named):
                    witness[row], reason[row] = named[0], number
                    break
    return witness, reason


def find_alike(looks: Looks, likeness: Likeness) -> tuple[int, int, str] | None:
    """Find the first two pictures that are alike, and how; ``None`` if no two are."""
    for start in range(0, len(looks), _BLOCK):
        stop = min(start + _BLOCK, len(looks))
        relations = _relate(looks, likeness, start, stop)
        alike = np.tril(np.logical_or.reduce(relations), k=start - 1)
        if alike.any():
            row, other = (int(found[0]) for found in np.nonzero(alike))
            name = next(
                name for name, relation in zip(REASONS, relations, strict=False) if relation[row, other]
            )
            return other, start + row, name
    return None


def _relate(looks: Looks, likeness: Likeness, start: int, stop: int) -> list[NDArray[np.bool_]]:
    """Say which rows of a block are like which rows up to its end, in the order of ``REASONS``."""
    relations = [
        (looks.digest[start:stop, np.newaxis] == looks.digest[np.newaxis, :stop]).all(axis=2),
        count_bits(looks.look[start:stop], looks.look[:stop]) <= likeness.bits,
    ]
    if looks.rows is not None:
        relations.append(_are_near(looks.rows, likeness.similarity, start, stop))
    return relations


def _are_near(rows: NDArray[np.float16], similarity: float, start: int, stop: int) -> NDArray[np.bool_]:
    from oddpair.retrieval.kernel.settle import score_pairs

    block, before = rows[start:stop].astype(np.float32), rows[:stop].astype(np.float32)
    near: NDArray[np.bool_] = block @ before.T > similarity - _MARGIN
    query, row = np.nonzero(near)
    scores = np.empty(len(row), np.float32)
    score_pairs(before, block, row, query, scores)
    near[query, row] = scores > np.float32(similarity)
    return near


def fingerprint_pictures(
    corpus: Corpus, wanted: Mapping[str, Collection[str]], folder: Path, *, threads: int
) -> pa.Table:
    """Hash the pictures of some rows, shard by shard; a killed run goes on where it was.

    Args:
        corpus: With pictures; one is in memory at a time, and some more for each thread.
        wanted: Uids by shard; of other shards nothing is read.
        folder: For a folder of the files of each shard.
        threads: That decode; the result does not depend on them.

    Returns:
        ``uid``, sorted, each once; ``digest`` and ``look`` of its picture or, where they are null, the ``reason`` why
        there is none. Of several pictures of one uid the one of smallest digest counts.
    """
    shards = sorted(wanted)
    asked = files.digest({shard: sorted(wanted[shard]) for shard in shards})
    # Other settings ask for other rows: a run that was refused may be tried again with them.
    folder = folder / asked[:12]
    paths = [folder / f"{place:06d}.parquet" for place in range(len(shards))]
    if shards and stages.begin(folder, {"corpus": fingerprint(corpus), "wanted": asked}):
        with stages.make(folder), track("hash pictures", len(shards), unit="shards") as progress:
            for shard, path in zip(shards, paths, strict=True):
                if not path.is_file():
                    files.write_table(path, _fingerprint_shard(corpus, shard, set(wanted[shard]), threads))
                progress.advance(1)
    whole = pa.concat_tables([_SCHEMA.empty_table(), *(files.read_table(path) for path in paths)])
    whole = whole.append_column("bad", pc.is_valid(whole["reason"]))
    ordered = whole.sort_by([(name, "ascending") for name in ("uid", "bad", "digest", "reason")])
    uids = ordered["uid"].combine_chunks()
    first = np.ones(len(uids), np.bool_)
    first[1:] = pc.not_equal(uids[1:], uids[:-1]).to_numpy(zero_copy_only=False)
    return ordered.filter(pa.array(first)).select(_SCHEMA.names)


def _fingerprint_shard(corpus: Corpus, shard: str, wanted: set[str], threads: int) -> pa.Table:
    uids: list[str] = []
    digests: list[bytes] = []
    rows: list[tuple[str, bytes | None, bytes | None, str | None]] = []

    def read() -> Iterator[bytes]:
        for found in corpus.stream(shard):
            if isinstance(found, Sample):
                if found.uid in wanted:
                    uids.append(found.uid)
                    digests.append(hashlib.blake2b(found.image, digest_size=_DIGEST).digest())
                    yield found.image
            elif found.uid in wanted:
                rows.append((found.uid, None, None, found.reason))

    prepared = prepare_in_order(
        read(), hash_picture, threads=threads if threads > 1 else 0, ahead=4 * threads
    )
    for place, look in enumerate(prepared):
        good = not isinstance(look, str)
        rows.append(
            (
                uids[place],
                digests[place] if good else None,
                None if isinstance(look, str) else look.tobytes(),
                look if isinstance(look, str) else None,
            )
        )
    rows += [(uid, None, None, _MISSING) for uid in sorted(wanted - {row[0] for row in rows})]
    columns = zip(*rows, strict=True) if rows else [[]] * len(_SCHEMA)
    arrays = [pa.array(list(values), kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)]
    return pa.table(arrays, schema=_SCHEMA)


def as_looks(table: pa.Table, rows: NDArray[np.float16] | None = None) -> Looks:
    """Return the hashes of a table of ``fingerprint_pictures``, none of them null, as arrays."""
    digest, look = (
        np.frombuffer(b"".join(table[name].to_pylist()), np.uint8).reshape(table.num_rows, -1)
        if table.num_rows
        else np.zeros((0, width), np.uint8)
        for name, width in (("digest", _DIGEST), ("look", _KEPT * _KEPT // 8))
    )
    return Looks(digest=digest, look=look, rows=rows)
