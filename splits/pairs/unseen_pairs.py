"""Pairs of concepts that a corpus shows apart and never together: counts propose them, the search confirms them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from oddpair.errors import Refusal
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.pmi import expect_pairs

SEEN, UNCHECKED, TEXT_UNSEEN, UNSEEN = "seen", "unchecked", "text-unseen", "unseen"
STATUSES = (SEEN, UNCHECKED, TEXT_UNSEEN, UNSEEN)
DEMOTIONS = ("", "search", "tags", "both")
# What a table of pairs takes while it is made, written and read again: measured, and a little more.
MOST_BYTES = 2_000_000_000
_BYTES_A_PAIR, _BYTES_A_LETTER = 300, 14

_NOT_COUNTED = b"not_counted"
_TYPES = {
    "a": pa.string(),
    "b": pa.string(),
    "count_a": pa.int64(),
    "count_b": pa.int64(),
    "count_text": pa.int64(),
    "count_image": pa.int64(),
    "expected": pa.float64(),
    "status": pa.string(),
    "demoted_by": pa.string(),
    "neighbours_checked": pa.int64(),
    "neighbour_hits": pa.int64(),
    "nearest_similarity": pa.float32(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """Concept pairs and whether the corpus shows them together; one value per pair, shape ``(n_pairs,)``.

    Attributes:
        a: Name that sorts first; the table is sorted by ``a``, then ``b``.
        b: Name that sorts second.
        count_a: Captions that name ``a``.
        count_b: Captions that name ``b``.
        count_text: Captions that name both.
        count_image: Images whose tags hold both; -1 where images are not tagged.
        expected: Captions that would name both if they were independent, ``count_a * count_b / n``.
        status: ``seen`` in a caption; ``unchecked``: in no caption, no image was searched; ``text-unseen``: in
            no caption, but an image of the corpus shows both; ``unseen``: in no caption, and the corpus images
            nearest to its test images do not show both.
        demoted_by: What found the image of a ``text-unseen`` pair: ``search``, ``tags`` or ``both``; else empty.
        neighbours_checked: Corpus images of known content that were near neighbours of the pair's test images.
        neighbour_hits: Of these, images that show both.
        nearest_similarity: Largest similarity of a corpus image to a test image of the pair, NaN if none.
        not_counted: Further pairs of concepts that occur often enough, of which nobody knows whether they are seen,
            because only pairs of more frequent concepts were counted.
    """

    a: NDArray[np.str_]
    b: NDArray[np.str_]
    count_a: NDArray[np.int64]
    count_b: NDArray[np.int64]
    count_text: NDArray[np.int64]
    count_image: NDArray[np.int64]
    expected: NDArray[np.float64]
    status: NDArray[np.str_]
    demoted_by: NDArray[np.str_]
    neighbours_checked: NDArray[np.int64]
    neighbour_hits: NDArray[np.int64]
    nearest_similarity: NDArray[np.float32]
    not_counted: int = 0

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in _TYPES}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.a)

    def select(self, mask: NDArray[np.bool_]) -> PairTable:
        """Return the pairs where ``mask`` is true, shape ``(n_pairs,)``."""
        columns: dict[str, Any] = {name: getattr(self, name)[mask] for name in _TYPES}
        return replace(self, **columns)

    def to_table(self) -> pa.Table:
        """Return the pairs as an arrow table with the attributes as columns, ``not_counted`` in its metadata."""
        table = pa.table({name: pa.array(getattr(self, name), kind) for name, kind in _TYPES.items()})
        return table.replace_schema_metadata({_NOT_COUNTED: str(self.not_counted).encode()})

    @classmethod
    def from_table(cls, table: pa.Table) -> PairTable:
        """Return the pairs of an arrow table that ``to_table`` made.

        Raises:
            Refusal: If a column is missing or of another type, or a status is unknown.
        """
        columns: dict[str, Any] = {}
        for name, kind in _TYPES.items():
            if name not in table.column_names or table.schema.field(name).type != kind:
                found = table.schema.field(name).type if name in table.column_names else "no such column"
                raise Refusal(f"pair table: column {name!r} is {found}, needed {kind}: make the pairs again")
            column = table.column(name)
            if column.null_count:
                raise Refusal(
                    f"pair table: column {name!r} has {column.null_count} nulls: make the pairs again"
                )
            columns[name] = _as_names(column) if kind == pa.string() else column.to_numpy()
        for name, known in (("status", STATUSES), ("demoted_by", DEMOTIONS)):
            unknown = sorted(set(table[name].unique().to_pylist()) - set(known))
            if unknown:
                raise Refusal(f"pair table: {name} {unknown[0]!r} is none of {known}: make the pairs again")
        not_counted = (table.schema.metadata or {}).get(_NOT_COUNTED, b"0")
        if not not_counted.isdigit():
            raise Refusal(
                f"pair table: not_counted is {not_counted!r}, needed a number: make the pairs again"
            )
        return cls(**columns, not_counted=int(not_counted))


def candidates(counts: Counts, nested: Collection[tuple[int, int]], *, minimum_count: int = 1) -> PairTable:
    """List every counted pair of concepts that both occur, as ``seen`` in a caption or ``unchecked``.

    Args:
        counts: Counts of single concepts and pairs over the whole corpus.
        nested: Concept ids ``(a, b)``, ``a < b``, where one name holds the other: they are no pair.
        minimum_count: Captions that each of the two must occur in.

    Returns:
        These pairs, sorted by name, and how many pairs of such concepts were not counted. No pair is ``unseen`` yet:
        captions alone cannot say that.

    Raises:
        Refusal: If fewer than two concepts occur so often, none of their pairs was counted, or the pairs are too many
            to list.
        ValueError: If ``minimum_count`` is below 1: of an absent concept every pair is unseen.
    """
    if minimum_count < 1:
        raise ValueError(f"minimum_count is {minimum_count}, at least 1 is needed")
    names = np.asarray(counts.names, dtype=np.str_)
    frequent = counts.text >= minimum_count
    found = f"{frequent.sum():,} of {len(names):,} concepts occur in at least {minimum_count:,} captions"
    if frequent.sum() < 2:
        raise Refusal(
            f"{found}, a pair needs two: use a larger corpus, another vocabulary or lower minimum_count in the recipe"
        )
    paired = counts.paired
    eligible = np.flatnonzero(frequent & paired)
    listed = frequent[counts.a] & frequent[counts.b] & ~(paired[counts.a] & paired[counts.b])
    n_pairs = _pairs_among(len(eligible)) + int(listed.sum())
    longest = names.dtype.itemsize // np.dtype("U1").itemsize
    most = MOST_BYTES // (_BYTES_A_PAIR + _BYTES_A_LETTER * longest)
    if n_pairs > most:
        enough = _least_count(counts.text, most)
        raise Refusal(
            f"{found}, too many to list {n_pairs:,} pairs, needed at most {most:,} to hold them in memory: "
            + ("" if enough is None else f"raise minimum_count in the recipe to {enough:,} or ")
            + "use a smaller vocabulary"
        )
    n_nested = sum(bool(frequent[a] and frequent[b]) for a, b in nested)
    n_wanted = _pairs_among(int(frequent.sum())) - n_nested
    if not n_wanted:
        raise Refusal(
            "every pair of concepts that occur is nested, one name inside the other: use another vocabulary"
        )
    i, j = np.triu_indices(len(eligible), 1)
    low = np.concatenate([eligible[i], counts.a[listed]])
    high = np.concatenate([eligible[j], counts.b[listed]])
    banned = np.array([a * len(names) + b for a, b in nested], dtype=np.int64)
    allowed = ~np.isin(low * len(names) + high, banned)
    low, high = low[allowed], high[allowed]
    if not len(low):
        raise Refusal(
            f"{found}, and none of their {n_wanted:,} pairs was counted: count again with a larger --pair-concepts"
        )
    place = np.empty(len(names), np.int64)
    place[np.argsort(names, kind="stable")] = np.arange(len(names))
    swap = place[low] > place[high]
    first, second = np.where(swap, high, low), np.where(swap, low, high)
    order = np.argsort(place[first] * len(names) + place[second])
    first, second = first[order], second[order]
    together = counts.look_up(first, second)
    n = len(first)
    return PairTable(
        a=names[first],
        b=names[second],
        count_a=counts.text[first],
        count_b=counts.text[second],
        count_text=together.text,
        count_image=np.full(n, -1) if together.image is None else together.image,
        expected=expect_pairs(counts.text[first], counts.text[second], counts.n_captions),
        status=np.where(together.text > 0, SEEN, UNCHECKED),
        demoted_by=np.full(n, ""),
        neighbours_checked=np.zeros(n, dtype=np.int64),
        neighbour_hits=np.zeros(n, dtype=np.int64),
        nearest_similarity=np.full(n, np.nan, dtype=np.float32),
        not_counted=n_wanted - n,
    )


def check(
    table: PairTable,
    *,
    query_pair: ArrayLike,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    tags: csr_array | None,
    names: Sequence[str],
    known: NDArray[np.bool_] | None = None,
) -> PairTable:
    """Check pairs by the corpus images nearest to their test images, and by the tags of the whole corpus.

    A pair that no caption names together becomes ``text-unseen`` if a neighbour shows both concepts or if
    ``count_image`` says that some image does; ``unseen`` if its neighbours were checked and show it nowhere;
    and stays ``unchecked`` if nothing was checked. A seen pair stays seen. Checks add up: checking two
    batches of test images one after the other gives the table that checking them at once gives.

    Args:
        table: Pairs to check.
        query_pair: The two concepts that each test image shows, as names or as positions in ``names``, in any
            order, shape ``(n_queries, 2)``. Test images of pairs outside the table are passed over.
        scores: Similarity of each test image to its nearest corpus images, shape ``(n_queries, k)``.
        rows: Those corpus images, shape ``(n_queries, k)``.
        tags: What is known to be in each corpus image (its tags, or tags and caption), shape
            ``(n_rows, n_concepts)``. With ``None`` nobody knows what the neighbours show: the nearest
            similarity is noted, and no pair becomes ``unseen``.
        names: The concepts in the order of the columns of ``tags``.
        known: Of which corpus images the tags say anything, shape ``(n_rows,)``; ``None`` for all. Others are passed
            over: that nothing is known of an image does not mean that it shows nothing.

    Returns:
        A new table with the same pairs.

    Raises:
        ValueError: If shapes do not fit, a row is not in the corpus or a test image shows an unknown concept.
    """
    pairs = np.asarray(query_pair)
    columns = _as_columns(pairs, names)
    if scores.shape != rows.shape or rows.ndim != 2 or len(rows) != len(columns):
        raise ValueError(
            f"{len(columns)} test images, scores of shape {scores.shape}, rows of shape {rows.shape}"
        )
    if tags is not None and tags.shape[1] != len(names):
        raise ValueError(f"tags have {tags.shape[1]} columns, {len(names)} names were given")
    if tags is not None and rows.size and not 0 <= rows.min() <= rows.max() < tags.shape[0]:
        raise ValueError(
            f"neighbour rows go from {rows.min()} to {rows.max()}, tags have {tags.shape[0]} rows"
        )
    target = _places_of(table, [sorted((names[x], names[y])) for x, y in columns.tolist()])
    listed = target >= 0
    target, columns, scores, rows = target[listed], columns[listed], scores[listed], rows[listed]
    checked, hits = table.neighbours_checked.copy(), table.neighbour_hits.copy()
    nearest = table.nearest_similarity.copy()
    if rows.size:
        np.fmax.at(nearest, target, scores.max(axis=1).astype(np.float32))
        if tags is not None:
            looked = np.ones(rows.shape, np.bool_) if known is None else known[rows]
            np.add.at(checked, target, looked.sum(axis=1))
            np.add.at(hits, target, (shows_all(tags, rows, columns) & looked).sum(axis=1))
    return _judge(replace(table, neighbours_checked=checked, neighbour_hits=hits, nearest_similarity=nearest))


def judge(
    silent: NDArray[np.bool_], *, shown: NDArray[np.bool_], checked: NDArray[np.bool_]
) -> NDArray[np.str_]:
    """Decide the status of pairs, or of larger sets of concepts, one value each.

    Args:
        silent: No caption names all of it.
        shown: An image of the corpus is known to show all of it.
        checked: Near images of known content were looked at.

    Returns:
        ``seen``, ``text-unseen``, ``unseen`` or, where nothing was looked at, ``unchecked``.

    >>> judge(np.array([False, True, True]), shown=np.array([False, True, False]), checked=np.ones(3, bool)).tolist()
    ['seen', 'text-unseen', 'unseen']
    """
    status: NDArray[np.str_] = np.select([~silent, shown, checked], [SEEN, TEXT_UNSEEN, UNSEEN], UNCHECKED)
    return status


def shows_all(tags: csr_array, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which images show all concepts that are asked for.

    Args:
        tags: What images show, shape ``(n_images, n_concepts)``.
        rows: Images to look at for each question, shape ``(n, k)``.
        columns: Concepts of each question, shape ``(n, m)``.

    Returns:
        Whether each image shows all of its ``m`` concepts, shape ``(n, k)``.

    >>> images = csr_array(np.array([[1, 1, 0], [1, 0, 1]], dtype=bool))
    >>> shows_all(images, np.array([[0, 1]]), np.array([[0, 1]])).tolist()
    [[True, False]]
    """
    images, place = np.unique(rows, return_inverse=True)
    near = csr_array(tags[images]).tocoo()
    width = tags.shape[1]
    present = np.unique((near.row.astype(np.int64) * width + near.col)[near.data.astype(bool)])
    place = place.reshape(rows.shape)
    found = np.ones(rows.shape, np.bool_)
    for column in columns.T:
        found &= np.isin(place * width + column[:, None], present)
    return found


def _as_names(column: pa.ChunkedArray) -> NDArray[np.str_]:
    """Few names make many pairs: each becomes a Python string once."""
    encoded = column.combine_chunks().dictionary_encode()
    names = np.asarray(encoded.dictionary.to_pylist(), dtype=np.str_)
    found: NDArray[np.str_] = names[encoded.indices.to_numpy()]
    return found


def _places_of(table: PairTable, pairs: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Find the rows of pairs, -1 for those outside the table; it is sorted, and a dictionary of it would be large."""
    first, second = np.asarray(pairs, dtype=np.str_).reshape(-1, 2).T
    starts, ends = (np.searchsorted(table.a, first, side) for side in ("left", "right"))
    places = np.full(len(first), -1)
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        place = start + int(np.searchsorted(table.b[start:end], second[i]))
        if place < end and table.b[place] == second[i]:
            places[i] = place
    return places


def _judge(table: PairTable) -> PairTable:
    silent = table.count_text == 0
    found, tagged = silent & (table.neighbour_hits > 0), silent & (table.count_image > 0)
    status = judge(silent, shown=found | tagged, checked=table.neighbours_checked > 0)
    demoted_by = np.select([found & tagged, found, tagged], ["both", "search", "tags"], "")
    return replace(table, status=status, demoted_by=demoted_by)


def _as_columns(pairs: NDArray[Any], names: Sequence[str]) -> NDArray[np.int64]:
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"query_pair has shape {pairs.shape}, needed (n_queries, 2)")
    if pairs.dtype.kind in "iu":
        if pairs.size and not 0 <= pairs.min() <= pairs.max() < len(names):
            raise ValueError(
                f"query_pair goes from {pairs.min()} to {pairs.max()}, {len(names)} names were given"
            )
        columns = pairs.astype(np.int64)
    else:
        column_of = {name: column for column, name in enumerate(names)}
        unknown = sorted(set(pairs.ravel().tolist()) - set(column_of))
        if unknown:
            raise ValueError(f"test images show {unknown[0]!r}, which is not among the {len(names)} names")
        columns = np.array([[column_of[x], column_of[y]] for x, y in pairs.tolist()], dtype=np.int64)
        columns = columns.reshape(-1, 2)
    same = np.flatnonzero(columns[:, 0] == columns[:, 1])
    if len(same):
        raise ValueError(f"test image {same[0]} shows {names[columns[same[0], 0]]!r} twice, which is no pair")
    return columns


def _least_count(text: NDArray[np.int64], most: int) -> int | None:
    """Find the least count from which on concepts have at most ``most`` pairs, and one at least; ``None`` if none is."""
    values, equal = np.unique(text, return_counts=True)
    left = np.cumsum(equal[::-1])[::-1]
    fits = (left >= 2) & (left * (left - 1) // 2 <= most)
    return int(values[np.argmax(fits)]) if fits.any() else None


def _pairs_among(n: int) -> int:
    return n * (n - 1) // 2
