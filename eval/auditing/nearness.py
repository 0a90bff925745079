"""How near a corpus is to each test image, and beside a reference set that the test was made for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair import files
from oddpair.eval.auditing.asked import Material
from oddpair.eval.auditing.found import Distances, Gap, Nearness, find_share
from oddpair.eval.auditing.medians import find_median
from oddpair.retrieval.neighbour_jobs import THRESHOLDS
from oddpair.retrieval.neighbour_summary import SHARES
from oddpair.retrieval.neighbour_summary import TESTS as NEAREST_FILE
from oddpair.retrieval.score_counts import count_scores


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NearnessFound:
    """How near a corpus is.

    Attributes:
        nearness: All together.
        images: ``uid``, sorted; ``nearest``, ``score``; ``reference_score``, null without a reference set.
    """

    nearness: Nearness
    images: pa.Table


def find_nearness(material: Material) -> NearnessFound:
    """Read how near each test image has its nearest corpus row, and its nearest picture of the reference set.

    Args:
        material: With the finished search.

    Returns:
        What was found; nothing is searched.

    References:
        Mayilvahanan et al., ICLR 2024, arXiv:2310.09562, for the gap between a corpus and a reference set.
    """
    folder, inputs = material.searched.found[material.name], material.inputs
    every = files.read_table(folder / NEAREST_FILE, ["test", "place", "uid", "score"])
    best = every.filter(pc.equal(every["place"], 1)).combine_chunks()
    scores, n = best["score"].to_numpy(), len(best)
    corpus = _describe(material.corpus.name, len(material.searched.corpus.pool), scores)
    gap, reference_scores = None, pa.nulls(n, pa.float32())
    if inputs.reference is not None:
        near = files.read_table(folder / THRESHOLDS).combine_chunks()
        reference_scores = near["threshold"].take(pc.index_in(best["test"], value_set=near["test"].chunk(0)))
        theirs = reference_scores.to_numpy()
        gap = Gap(
            reference=_describe(inputs.reference.name, material.searched.reference_rows, theirs),
            nearer=find_share(_count_nearer(material, every, near), n),
            difference=find_median(
                scores.astype(np.float64) - theirs, "similarity to the corpus less that to the reference set"
            ),
            rows=int(find_gap_rows(material).sum()),
        )
    images = pa.table(
        {
            "uid": best["test"],
            "nearest": best["uid"],
            "score": best["score"],
            "reference_score": reference_scores,
        }
    )
    return NearnessFound(nearness=Nearness(corpus=corpus, gap=gap), images=images)


def find_gap_rows(material: Material) -> NDArray[np.bool_]:
    """Mark corpus rows nearer to some test image than all of the reference set, other than its own; over the pool."""
    # By uid, as a reference row's vector may be rounded otherwise in the corpus.
    return material.searched.near[material.name].hit & ~material.searched.shared


def _count_nearer(material: Material, every: pa.Table, thresholds: pa.Table) -> int:
    """Count test images that have a row of ``find_gap_rows`` among their nearest corpus rows."""
    places = pc.index_in(every["test"], value_set=thresholds["test"].chunk(0))
    above = every["score"].to_numpy() > thresholds["threshold"].take(places).to_numpy()
    # Where the reference set was embedded twice, rounding of its own rows would make one image in two nearer.
    own = material.searched.shared[material.searched.corpus.pool.places(every["uid"].combine_chunks())]
    return int(pc.count_distinct(every["test"].filter(pa.array(above & ~own))).as_py())


def _describe(name: str, rows: int, scores: NDArray[np.float32]) -> Distances:
    counts = count_scores([scores])
    return Distances(
        name=name,
        rows=rows,
        quantiles=tuple(counts.quantiles(SHARES, lambda: [scores])),
        histogram=tuple(counts.histogram()),
        median=find_median(scores, f"largest similarity of a test image to {name}"),
    )
