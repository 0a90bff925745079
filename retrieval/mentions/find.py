"""Mentions of concepts in captions that are in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.mentions.matcher import Matcher, Overlap


def find_mentions(vocabulary: Vocabulary, captions: Sequence[str], overlap: Overlap = "all") -> Mentions:
    """Find which concepts each caption mentions.

    A concept is mentioned when the words of one of its forms follow each other in the caption. Of concepts that
    overlap all count with ``all``: ``a pine tree`` mentions ``pine tree`` and ``tree``. With ``longest`` those do
    not that lie inside a longer form.

    Args:
        vocabulary: The concepts.
        captions: Captions.
        overlap: What counts where forms overlap.

    Returns:
        Shape ``(n_captions, n_concepts)``, true where mentioned, with sorted indices.

    >>> from oddpair.retrieval.concepts import build_vocabulary
    >>> find_mentions(build_vocabulary(["tree", "pine tree"]), ["two pine trees", "a street"]).toarray()
    array([[ True,  True],
           [False, False]])
    """
    return Matcher(vocabulary, overlap).find(pa.array(captions, pa.large_string())).to_csr()
