"""Of the pictures of each concept, those that are kept: no duplicates, not too few, not too many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.dedup_greedy import fetch_rows
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.curation.long_tail import Candidates, balance
from oddpair.splits.curation.perceptual import (
    REASONS,
    Likeness,
    Looks,
    as_looks,
    drop_alike,
    fingerprint_pictures,
)
from oddpair.splits.inputs import Pictures
from oddpair.splits.pool import pool_of_stored

NO_PICTURE, TOO_FEW, BEYOND = "no picture", "too few", "beyond the most"
LEFT_OUT = (NO_PICTURE, *REASONS, TOO_FEW, BEYOND)
_NOT_EMBEDDED = "it has no embedding"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """What became of candidates.

    Attributes:
        candidates: They.
        reason: Why each was left out, one of ``LEFT_OUT``, or ``""`` if it is kept; shape ``(n,)``.
        detail: What is wrong with its picture, or the uid of the kept picture that it is like; else ``""``.
    """

    candidates: Candidates
    reason: NDArray[np.str_]
    detail: tuple[str, ...]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which are kept, shape ``(n,)``."""
        return np.asarray(self.reason == "", dtype=np.bool_)

    def count(self, n_concepts: int, reason: str | None = None) -> IntArray:
        """Count the candidates of each concept: all, or those with one reason (``""``: those kept)."""
        chosen = self.candidates.concepts
        if reason is not None:
            chosen = chosen[self.reason == reason]
        return np.bincount(chosen, minlength=n_concepts).astype(np.int64)


def select_pictures(
    pictures: Pictures,
    candidates: Candidates,
    likeness: Likeness,
    folder: Path,
    *,
    least: int,
    most: int,
    rng: np.random.Generator,
    threads: int = 1,
) -> Selection:
    """Drop duplicates within each concept, then draw.

    Args:
        pictures: The set; with embeddings, those are compared too.
        candidates: Rows of it that show a concept.
        likeness: When two pictures of one concept are duplicates: the one of larger uid is dropped.
        folder: For hashes of pictures, from which a killed run goes on.
        least: Pictures that a concept must have.
        most: Pictures that it may keep.
        rng: Source of the draw.
        threads: That decode pictures.

    Returns:
        What became of each candidate.
    """
    reason = np.full(len(candidates.uids), "", dtype=f"<U{max(map(len, LEFT_OUT))}")
    looks, detail = read_looks(pictures, candidates, folder, threads=threads)
    reason[[bool(found) for found in detail]] = NO_PICTURE
    good = np.flatnonzero(reason == "")
    uids = candidates.uids.to_pylist()
    concepts = candidates.concepts[good]
    for concept in np.unique(concepts).tolist():
        here = np.flatnonzero(concepts == concept)
        witness, why = drop_alike(looks.take(here), likeness)
        for place in np.flatnonzero(witness >= 0).tolist():
            row = int(good[here[place]])
            reason[row] = REASONS[int(why[place])]
            detail[row] = uids[int(good[here[witness[place]]])]
    single = np.flatnonzero(reason == "")
    concepts = candidates.concepts[single]
    keep = balance(concepts, int(concepts.max(initial=0)) + 1, rng, least=least, most=most)
    few = np.bincount(concepts)[concepts] < least
    reason[single[few]] = TOO_FEW
    reason[single[~few & ~keep]] = BEYOND
    return Selection(candidates=candidates, reason=reason, detail=tuple(detail))


def read_looks(
    pictures: Pictures, candidates: Candidates, folder: Path, *, threads: int
) -> tuple[Looks, list[str]]:
    """Read what candidates look like.

    Returns:
        Hashes and, where the set has embeddings, vectors of those whose picture can be read, in order; and for each
        candidate what is wrong with its picture, ``""`` if nothing is.
    """
    corpus = pictures.need_corpus()
    if not corpus.pictures:
        raise Refusal(
            f"{corpus.root} has no pictures, and duplicates are found by them: give a set with pictures"
        )
    looked = fingerprint_pictures(corpus, candidates.shards, folder, threads=threads)
    detail = [found or "" for found in looked["reason"].to_pylist()]
    rows = None
    if pictures.stored is not None:
        rows, detail = _read_rows(pictures.stored, candidates, detail)
    good = np.flatnonzero([not found for found in detail])
    return as_looks(looked.take(pa.array(good)), rows), detail


def _read_rows(
    stored: StoredRows, candidates: Candidates, detail: list[str]
) -> tuple[NDArray[np.float16], list[str]]:
    """Read the vectors of the candidates that have a picture and a vector, and note of the others that they have none."""
    pool = pool_of_stored(stored)
    places = pool.places(candidates.uids)
    found = [
        said or (_NOT_EMBEDDED if place < 0 else "")
        for said, place in zip(detail, places.tolist(), strict=True)
    ]
    good = np.flatnonzero([not said for said in found])
    return fetch_rows(stored, pool.rows[places[good]]), found
