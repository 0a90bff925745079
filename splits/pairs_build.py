"""From counts and, where there are any, test pictures of pairs to the table of a corpus's unseen pairs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.embeddings import Embeddings
from oddpair.retrieval.search import Neighbours, nearest
from oddpair.splits.recipes import UnseenPairsRecipe
from oddpair.splits.unseen_pairs import STATUSES, PairTable, candidates, check


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPictures:
    """Test pictures of pairs: unit rows of shape ``(n, d)`` and the two concepts of each, shape ``(n, 2)``."""

    image: NDArray[np.float32]
    concepts: NDArray[np.str_]


def find_unseen_pairs(
    counts: Counts,
    nested: Collection[tuple[int, int]],
    recipe: UnseenPairsRecipe,
    *,
    tests: PairPictures | None,
    embeddings: Embeddings | None,
    tags: csr_array | None,
) -> PairTable:
    """List the pairs of a corpus, and check the unseen ones by search and by tags.

    Args:
        counts: Of the corpus.
        nested: Concepts that are no pair.
        recipe: The recipe.
        tests: Test pictures; without them, or without embeddings, nothing is searched and no pair is more
            than unseen in captions.
        embeddings: Of the corpus.
        tags: What is known to be in each corpus picture.

    Returns:
        All pairs with their status.
    """
    table = candidates(counts, nested, minimum_count=recipe.minimum_count)
    # With no picture to search with, the tags that were counted still tell which pairs some picture shows.
    shown = np.empty((0, 2), dtype=np.str_)
    found = Neighbours(np.empty((0, 1), np.float32), np.empty((0, 1), np.int64))
    if tests is not None and embeddings is not None:
        shown = tests.concepts
        found = nearest(tests.image, embeddings.image, recipe.neighbours, uids=embeddings.uids)
    return check(
        table,
        query_pair=shown,
        scores=found.scores,
        rows=found.rows,
        tags=tags,
        names=counts.names,
    )


def pair_card(table: PairTable) -> tuple[tuple[str, str], ...]:
    """Return how many pairs have each status, how many were not counted, and what search and tags found."""
    meaning = {
        "seen": "named together in a caption",
        "unchecked": "named together in no caption; pictures not searched",
        "text-unseen": "named together in no caption, but shown together in a picture",
        "unseen": "named together in no caption, shown together in no picture that was found",
    }
    rows = [(f"pairs {meaning[status]}", f"{int((table.status == status).sum()):,}") for status in STATUSES]
    silent = table.count_text == 0
    by_search = silent & (table.neighbour_hits > 0)
    by_tags = silent & (table.count_image > 0)
    searched = silent & (table.neighbours_checked > 0)
    if table.not_counted:
        rows.append(("pairs not counted, of which nothing is known", f"{table.not_counted:,}"))
    rows.append(("pairs without a caption that were searched", f"{int(searched.sum()):,}"))
    if searched.any():
        rows.append(
            (
                "of these shown together: found by search, by tags, by both",
                f"{int((by_search & searched).sum()):,}, {int((by_tags & searched).sum()):,}, "
                f"{int((by_search & by_tags & searched).sum()):,}",
            )
        )
    return tuple(rows)
