"""Corpus rows that make a corpus nearer to a test set than its reference set is, and the recipe that leaves them out."""

from __future__ import annotations

from oddpair.eval.auditing.asked import Material
from oddpair.eval.auditing.nearness import find_gap_rows
from oddpair.eval.auditing.removals import RemovalFound, make_removal

NAME = "gap-pruned"


def find_gap_removal(material: Material) -> RemovalFound | None:
    """Find the rows that similarity-gap pruning takes; ``None`` without a reference set.

    Args:
        material: With the finished search.

    References:
        Mayilvahanan et al., ICLR 2024, arXiv:2310.09562.
    """
    if material.inputs.reference is None:
        return None
    removal, rows = make_removal(
        NAME,
        f"{NAME}-{material.name}",
        "similarity",
        material.searched.corpus.pool,
        {f"nearer to a test image than {material.inputs.reference.name} is": find_gap_rows(material)},
    )
    return RemovalFound(
        removal=removal,
        rows=rows,
        recipe={"prune": ["gap"], "add_reference": False, "sampled": 0},
        inputs=("tests", "reference", "embeddings"),
    )
