"""Test images that a corpus holds: the same file, the same look, or near by the encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair import files
from oddpair.eval.auditing.asked import Material
from oddpair.eval.auditing.copies import match_pictures, tell_apart, unpack_looks
from oddpair.eval.auditing.found import Duplicates, find_share
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.neighbour_summary import TESTS as NEAREST_FILE
from oddpair.splits.curation.perceptual import NEAR, REASONS, SAME_BYTES, SAME_LOOK, fingerprint_pictures
from oddpair.splits.pairs.sample_sets import columns_of

# Of the file as it was downloaded, which img2dataset notes.
_FILE_HASH = "sha256"
_PAIRS = pa.schema(
    [
        ("test", pa.string()),
        ("uid", pa.string()),
        ("score", pa.float32()),
        ("bits", pa.int64()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DuplicatesFound:
    """What a corpus holds of a test set.

    Attributes:
        duplicates: All together.
        images: ``uid`` of test images that have one; ``duplicate``, the first reason that applies; ``duplicate_uid``.
        pairs: ``test``, ``uid``, ``score``, ``bits`` in which the hashes of both differ and ``reason``; by test image,
            the strongest first. The score is null for what is beyond the nearest rows, bits where no picture is at hand.
    """

    duplicates: Duplicates
    images: pa.Table
    pairs: pa.Table


def find_duplicates(material: Material) -> DuplicatesFound:
    """Look for each test image among its nearest corpus rows, and for its file in the whole corpus.

    The ten nearest rows of each test image are compared with it by their pictures: first the files, then perceptual hashes.
    Where both sides have the column ``sha256`` of img2dataset, equal files are found wherever they are. Nearness by the
    encoder makes a duplicate only if a threshold is given: models do not agree on one, and drawings of one thing may be
    nearer than copies of one photograph.

    What this finds of copies, planted among drawings and among real pictures and searched with a small encoder: of those
    compressed or scaled 97 % or more, of those cropped by a tenth hardly any by hash, of those made grey half, because the
    encoder puts them elsewhere; mirrored ones never by hash. Where ``every_picture`` is asked for, test images are compared
    with the whole corpus, and what an encoder thinks of a copy plays no part.

    Args:
        material: With the finished search.

    Returns:
        What was found; pictures that were looked at are noted in ``work``, and a killed run goes on from there.
    """
    asked = material.asked
    near = files.read_table(material.searched.found[material.name] / NEAREST_FILE).combine_chunks()
    sides = _fingerprint_sides(material, near)
    looks = None if sides is None else _compare(near, sides)
    unlike = np.full(len(near), asked.bits + 1)
    bits = looks.bits if looks is not None else unlike
    same_bytes = looks.same_bytes if looks is not None else np.zeros(len(near), np.bool_)
    least = np.inf if asked.similarity is None else np.float32(asked.similarity)
    is_near = near["score"].to_numpy() > least
    place = np.select([same_bytes, bits <= asked.bits, is_near], [0, 1, 2], -1)
    hit = place >= 0
    found = pa.table(
        {
            "test": near["test"],
            "uid": near["uid"],
            "score": near["score"],
            "bits": pa.array(
                bits, pa.int64(), mask=np.ones(len(near), np.bool_) if looks is None else ~looks.known
            ),
            "reason": pa.array(REASONS).take(pa.array(np.maximum(place, 0))),
        },
    ).filter(pa.array(hit))
    everywhere = [] if sides is None or not asked.every_picture else [_find_everywhere(sides, asked.bits)]
    pairs = _put_in_order(pa.concat_tables([found.cast(_PAIRS), *everywhere, *_find_files(material)]))
    # A picture that could not be embedded is no test image anywhere else.
    pairs = pairs.filter(pc.is_in(pairs["test"], value_set=near["test"].combine_chunks().unique()))
    first = _first_of_each(pairs)
    tests = len(near["test"].unique())
    counted = {reason: int((np.array(first["reason"]) == reason).sum()) for reason in REASONS}
    duplicates = Duplicates(
        found=find_share(first.num_rows, tests),
        same_bytes=find_share(counted[SAME_BYTES], tests),
        same_look=find_share(counted[SAME_LOOK], tests),
        near=find_share(counted[NEAR], tests),
        rows=pc.count_distinct(pairs["uid"]).as_py(),
        compared=0 if looks is None else int(looks.known.sum()),
        unseen=len(near) if looks is None else int((~looks.known).sum()),
        similarity=asked.similarity,
        bits=asked.bits,
    )
    images = pa.table({"uid": first["test"], "duplicate": first["reason"], "duplicate_uid": first["uid"]})
    return DuplicatesFound(duplicates=duplicates, images=images, pairs=pairs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Looks:
    """How the pictures of pairs compare: whether both are known, equal files, and bits in which hashes differ."""

    known: NDArray[np.bool_]
    same_bytes: NDArray[np.bool_]
    bits: NDArray[np.int64]


def _fingerprint_sides(material: Material, near: pa.Table) -> tuple[pa.Table, pa.Table] | None:
    """Hash the pictures of both sides that are compared; ``None`` where one has none."""
    corpus, test = material.corpus.corpus, material.test.corpus
    if corpus is None or test is None or not (corpus.pictures and test.pictures):
        return None
    every = material.asked.every_picture
    return (
        _fingerprint(material, test, None if every else near["test"].unique(), "test"),
        _fingerprint(material, corpus, None if every else near["uid"].unique(), "corpus"),
    )


def _compare(near: pa.Table, sides: tuple[pa.Table, pa.Table]) -> _Looks:
    places = [
        pc.index_in(near[column].combine_chunks(), value_set=table["uid"].combine_chunks())
        for table, column in zip(sides, ("test", "uid"), strict=True)
    ]
    digests, looks = (
        [table[column].combine_chunks().take(place) for table, place in zip(sides, places, strict=True)]
        for column in ("digest", "look")
    )
    known = pc.and_(*(each.is_valid() for each in looks)).to_numpy(zero_copy_only=False)
    bits = np.full(len(near), looks[0].type.byte_width * 8, np.int64)
    hashes = [unpack_looks(each.filter(pa.array(known))) for each in looks]
    differing = np.unpackbits(hashes[0] ^ hashes[1], axis=1).sum(axis=1, dtype=np.int64)
    told = np.logical_and(*(tell_apart(each) for each in hashes))
    bits[known] = np.where(told, differing, bits[known])
    same = pc.fill_null(pc.equal(*digests), False).to_numpy(zero_copy_only=False)
    return _Looks(known=known, same_bytes=same, bits=bits)


def _fingerprint(material: Material, corpus: Corpus, uids: pa.Array | None, name: str) -> pa.Table:
    """Hash the pictures of some rows, or of all."""
    wanted: dict[str, list[str]] = {}
    for batch in corpus.batches():
        table = batch.table
        if uids is not None:
            table = table.filter(pc.is_in(table["uid"].cast(pa.string()), value_set=uids.cast(pa.string())))
        for uid, shard in zip(table["uid"].to_pylist(), table["shard"].to_pylist(), strict=True):
            wanted.setdefault(shard, []).append(uid)
    folder = material.work / "pictures" / name
    return fingerprint_pictures(corpus, wanted, folder, threads=material.inputs.workers)


def _find_everywhere(sides: tuple[pa.Table, pa.Table], bits: int) -> pa.Table:
    """Find copies in the whole corpus; how near they are nobody asked."""
    found = match_pictures(*sides, bits)
    reason = pc.if_else(found["same"], SAME_BYTES, SAME_LOOK)
    scores = pa.nulls(len(found), pa.float32())
    columns = {
        "test": found["test"],
        "uid": found["uid"],
        "score": scores,
        "bits": found["bits"],
        "reason": reason,
    }
    return pa.table(columns).cast(_PAIRS)


def _find_files(material: Material) -> Iterator[pa.Table]:
    """Find rows anywhere in the corpus whose file is, by img2dataset's note, that of a test image."""
    corpus, test = material.corpus.corpus, material.test.corpus
    if corpus is None or test is None:
        return
    if _FILE_HASH not in columns_of(corpus) or _FILE_HASH not in columns_of(test):
        return
    ours = _read_hashes(test, None)
    theirs = _read_hashes(corpus, ours[_FILE_HASH].combine_chunks().unique())
    joined = ours.rename_columns(["test", _FILE_HASH]).join(theirs, _FILE_HASH, join_type="inner")
    columns = {
        "test": joined["test"],
        "uid": joined["uid"],
        "score": pa.nulls(len(joined), pa.float32()),
        "bits": pa.nulls(len(joined), pa.int64()),
        "reason": pa.repeat(pa.scalar(SAME_BYTES), len(joined)),
    }
    yield pa.table(columns).cast(_PAIRS)


def _read_hashes(corpus: Corpus, wanted: pa.Array | None) -> pa.Table:
    schema = pa.schema([("uid", pa.string()), (_FILE_HASH, pa.string())])
    parts = [schema.empty_table()]
    for batch in corpus.batches([_FILE_HASH]):
        table = batch.table.select(["uid", _FILE_HASH]).cast(schema)
        inside = (
            table[_FILE_HASH].is_valid() if wanted is None else pc.is_in(table[_FILE_HASH], value_set=wanted)
        )
        parts.append(table.filter(inside))
    return pa.concat_tables(parts)


def _put_in_order(pairs: pa.Table) -> pa.Table:
    """Sort pairs by test image, the strongest reason and then the most similar first, each pair once."""
    strength = pc.index_in(pairs["reason"], value_set=pa.array(REASONS))
    order = [
        ("test", "ascending"),
        ("strength", "ascending"),
        ("score", "descending"),
        ("uid", "ascending"),
        ("bits", "ascending"),
    ]
    ordered = pairs.append_column("strength", strength).sort_by(order).drop_columns(["strength"])
    seen: set[tuple[str, str]] = set()
    keep = []
    for pair in zip(ordered["test"].to_pylist(), ordered["uid"].to_pylist(), strict=True):
        keep.append(pair not in seen)
        seen.add(pair)
    return ordered.filter(pa.array(keep, pa.bool_()))


def _first_of_each(pairs: pa.Table) -> pa.Table:
    tests = pairs["test"].to_numpy(zero_copy_only=False)
    return pairs.take(pa.array(np.unique(tests, return_index=True)[1])) if len(tests) else pairs
