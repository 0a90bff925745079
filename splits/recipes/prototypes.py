"""Rows kept by their distance to a prototype of the corpus: pruning without labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Built, Check, Histogram
from oddpair.splits.curation.prototypes import (
    Nearest,
    PrototypePlan,
    Pruned,
    find_prototypes,
    make_prototypes,
    prune,
)
from oddpair.splits.curation.selection import FloatArray, check_size, find_rows, find_size, need_claims
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import Claim, Manifest
from oddpair.splits.pool import pool_of_stored

_BINS = 50
_ROWS_AT_ONCE = 1 << 14
# Between a float32 score and the same in double precision.
_TOLERANCE = 2e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class PrototypesRecipe:
    """Rows by their distance to a prototype; ``prototypes.yaml``.

    Attributes:
        keep: ``hard``, the farthest, or ``easy``, the nearest.
        share: Of the rows of the corpus that is kept.
        size: Rows to keep instead.
        clusters: Prototypes.
        balance: Least share of each cluster, relative to what it would keep if all were pruned alike.
        rows_per_cluster: Rows that k-means runs on, for each prototype.
        iterations: Passes of k-means at most.
        seed: Of the sample and of the first centroids.

    References:
        Sorscher et al., "Beyond neural scaling laws: beating power law scaling via data pruning", arXiv:2206.14486.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus", "embeddings")
    TAKES: ClassVar[tuple[str, ...]] = ()

    keep: Literal["hard", "easy"] = "hard"
    share: float = 0.8
    size: int | None = None
    clusters: int = 1000
    balance: float = 0.5
    rows_per_cluster: int = 256
    iterations: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that no split can have."""
        check_size(self.size, self.share)
        if not 0 <= self.balance <= 1:
            raise Refusal(f"balance is {self.balance:g}: it must lie between 0 and 1")
        for name, least in (("clusters", 1), ("rows_per_cluster", 1), ("iterations", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise Refusal(f"{name} is {getattr(self, name)}: it must be {least} or more")

    @property
    def plan(self) -> PrototypePlan:
        """How prototypes are made."""
        return PrototypePlan(
            clusters=self.clusters,
            rows_per_cluster=self.rows_per_cluster,
            iterations=self.iterations,
            seed=self.seed,
        )


def build(recipe: PrototypesRecipe, inputs: Inputs, work: Path) -> Built:
    """Keep rows by their distance to a prototype."""
    stored = inputs.need_corpus().need_stored()
    pool = pool_of_stored(stored)
    size = find_size(recipe.size, recipe.share, len(pool))
    nearest = find_prototypes(stored, pool, recipe.plan, work / "prototypes", threads=inputs.workers)
    found = prune(nearest, size, hard=recipe.keep == "hard", balance=recipe.balance)
    kept_of = np.bincount(nearest.cluster[found.kept], minlength=recipe.clusters)
    sampled = min(len(pool), recipe.clusters * recipe.rows_per_cluster)
    cosine = nearest.cosine.astype(np.float64)
    manifest = Manifest(
        name=f"prototypes-{recipe.keep}",
        recipe="prototypes",
        uids=pool.keep(found.kept),
        provenance={**inputs.identify(), "centroids": _identify(nearest.centroids)},
        rules=(
            ("rows of the corpus", len(pool)),
            ("rows kept for the least number of their cluster", int(found.floors.sum())),
            ("rows kept for their distance", size - int(found.floors.sum())),
            ("rows kept", size),
        ),
        statement=(
            _claim_prototypes(recipe, nearest.centroids, sampled),
            _claim_distance(recipe, found),
            _claim_balance(recipe, found.floors, size, len(pool)),
        ),
        card=(
            ("mean cosine to the prototype, corpus", round(float(cosine.mean()), 6)),
            ("mean cosine to the prototype, split", round(float(cosine[found.kept].mean()), 6)),
            ("rows of the smallest and the largest cluster, corpus", _extremes(nearest.rows)),
            ("rows of the smallest and the largest cluster, split", _extremes(kept_of)),
        ),
    )
    return Built(
        splits=(manifest,),
        tables={"clusters.parquet": _list_clusters(nearest, kept_of, found.floors)},
        panels={manifest.name: [_show_cosines(nearest, found)]},
    )


def verify(manifest: Manifest, recipe: PrototypesRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Make the prototypes again from the seed, and score every row against them in double precision."""
    stored = inputs.need_corpus().need_stored()
    pool = pool_of_stored(stored)
    kept, members = find_rows(manifest, pool)
    centroids = make_prototypes(stored, pool, recipe.plan, threads=inputs.workers)
    made, distance, balance = need_claims(manifest, "sha256", "limit", "balance")
    sha256 = _identify(centroids)
    checks = [
        members,
        Check(text=made.text, holds=sha256 == made.values["sha256"], found=f"sha256 {sha256}"),
    ]
    cluster, cosine = _score_plainly(stored, centroids)
    cluster, cosine = cluster[pool.rows], cosine[pool.rows]
    rows, kept_of = (
        np.bincount(cluster[mask], minlength=recipe.clusters) for mask in (np.ones(len(pool), np.bool_), kept)
    )
    size = len(manifest)
    floors = np.floor(recipe.balance * (rows * size) / len(pool) + 1e-9).astype(np.int64)
    value, limit = (cosine, 1.0) if recipe.keep == "hard" else (-cosine, -1.0)
    limit = -np.inf if distance.values["limit"] is None else limit * distance.values["limit"]
    missed = int((value[~kept] < limit - _TOLERANCE).sum())
    # A row beyond the limit is there for its cluster alone: that has no more than its least number.
    needless = int((kept & (value > limit + _TOLERANCE) & (kept_of > floors)[cluster]).sum())
    unsorted = _count_unsorted(cluster, value, kept, recipe.clusters)
    found = (
        f"{missed:,} rows left out are within the limit, {needless:,} rows kept are beyond it needlessly, {unsorted:,} "
        "clusters are not cut at one distance"
    )
    checks.append(Check(text=distance.text, holds=not (missed or needless or unsorted), found=found))
    few = int((kept_of < floors).sum())
    checks.append(Check(text=balance.text, holds=not few, found=f"{few:,} clusters keep fewer"))
    return checks


def _count_unsorted(cluster: IntArray, value: FloatArray, kept: NDArray[np.bool_], clusters: int) -> int:
    """Count clusters in which a row left out comes before one that is kept."""
    last, first = np.full(clusters, -np.inf), np.full(clusters, np.inf)
    np.maximum.at(last, cluster[kept], value[kept])
    np.minimum.at(first, cluster[~kept], value[~kept])
    return int((last > first + _TOLERANCE).sum())


def _score_plainly(stored: StoredRows, centroids: NDArray[np.float32]) -> tuple[IntArray, FloatArray]:
    """Find the nearest centroid of every row by plain products in double precision."""
    clusters, cosines = [], []
    turned = centroids.astype(np.float64).T
    for start in range(0, stored.shape[0], _ROWS_AT_ONCE):
        rows = stored.read(start, min(start + _ROWS_AT_ONCE, stored.shape[0]))
        scores = rows.astype(np.float64) @ turned
        clusters.append(scores.argmax(axis=1))
        cosines.append(scores.max(axis=1))
    return np.concatenate(clusters), np.concatenate(cosines)


def _claim_prototypes(recipe: PrototypesRecipe, centroids: NDArray[np.float32], sampled: int) -> Claim:
    text = (
        f"the {recipe.clusters:,} prototypes are the centroids of spherical k-means on {sampled:,} rows drawn with seed "
        f"{recipe.seed}"
    )
    return Claim(text=text, values={"sha256": _identify(centroids)})


def _claim_distance(recipe: PrototypesRecipe, found: Pruned) -> Claim:
    limit = None if found.limit is None else round(found.limit, 7)
    side = ("at most", "below") if recipe.keep == "hard" else ("at least", "above")
    if limit is None:
        text = f"every row is kept for its cluster, whose {_EXTREME[recipe.keep]} rows they are"
    else:
        text = (
            f"rows have a cosine of {side[0]} {limit:.4f} to their nearest prototype, but for those that keep their "
            f"cluster at its least number, whose {_EXTREME[recipe.keep]} rows they are; no row left out is {side[1]}"
        )
    return Claim(text=text, values={"limit": limit})


_EXTREME = {"hard": "farthest", "easy": "nearest"}


def _claim_balance(recipe: PrototypesRecipe, floors: IntArray, size: int, rows: int) -> Claim:
    text = (
        f"every cluster keeps {recipe.balance * size / rows:.1%} of its rows or more, rounded down: "
        f"{recipe.balance:.0%} of what it would keep if all were pruned alike"
    )
    return Claim(text=text, values={"balance": recipe.balance, "rows": int(floors.sum())})


def _show_cosines(nearest: Nearest, found: Pruned) -> Histogram:
    low, high = float(nearest.cosine.min()), float(nearest.cosine.max())
    edges = np.linspace(low, max(high, low + 1e-6), _BINS + 1)
    groups = {"corpus": nearest.cosine, "split": nearest.cosine[found.kept]}
    return Histogram(
        title="Similarity to the nearest prototype",
        label="cosine",
        edges=edges,
        counts={name: np.histogram(group, edges)[0].astype(np.int64) for name, group in groups.items()},
        marks={} if found.limit is None else {"limit": found.limit},
    )


def _list_clusters(nearest: Nearest, kept_of: IntArray, floors: IntArray) -> pa.Table:
    rows = nearest.rows
    sums = np.bincount(nearest.cluster, weights=nearest.cosine, minlength=len(rows))
    width = nearest.centroids.shape[1]
    return pa.table(
        {
            "cluster": np.arange(len(rows)),
            "rows": rows,
            "least": floors,
            "kept": kept_of,
            "mean_cosine": pa.array(sums / np.maximum(rows, 1), mask=rows == 0),
            "centroid": pa.FixedSizeListArray.from_arrays(pa.array(nearest.centroids.ravel()), width),
        }
    )


def _identify(centroids: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(centroids, "<f4").tobytes()).hexdigest()


def _extremes(rows: IntArray) -> str:
    return f"{int(rows.min()):,}, {int(rows.max()):,}"
