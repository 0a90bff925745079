"""Counts of mentions and tags that are in memory."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from oddpair.retrieval.concepts import Vocabulary, nested_pairs
from oddpair.retrieval.counting.counts import Counts, place_pairs
from oddpair.retrieval.mentions.incidence import Mentions


def count(mentions: Mentions, tags: Mentions | None = None, *, vocabulary: Vocabulary) -> Counts:
    """Count concepts and pairs over captions, and over image tags where they are given.

    Args:
        mentions: Concepts in captions, shape ``(n_captions, n_concepts)``, boolean.
        tags: Concepts in the images of the same rows, same shape.
        vocabulary: The concepts; its nested pairs are left out.

    Returns:
        The counts. No captions give zeros.

    Raises:
        ValueError: If the shapes do not fit each other.
    """
    n_captions, n_concepts = mentions.shape
    if n_concepts != len(vocabulary):
        raise ValueError(f"mentions have {n_concepts} concepts, the vocabulary has {len(vocabulary)}")
    if tags is not None and tags.shape != mentions.shape:
        raise ValueError(f"tags have shape {tags.shape}, mentions have {mentions.shape}")
    sources = [mentions] if tags is None else [mentions, tags, sparse.csr_array(mentions.multiply(tags))]
    nested = np.array(sorted(a * n_concepts + b for a, b in nested_pairs(vocabulary)), np.int64)
    singles = []
    products = []
    for source in sources:
        ones = sparse.csr_array(source.astype(np.int64))
        singles.append(np.asarray(ones.sum(axis=0), np.int64))
        upper = sparse.coo_array(sparse.triu(ones.T @ ones, k=1))
        key = upper.coords[0].astype(np.int64) * n_concepts + upper.coords[1]
        keep = (upper.data > 0) & ~np.isin(key, nested)
        products.append((key[keep], upper.data[keep].astype(np.int64)))
    keys = np.unique(np.concatenate([key for key, _ in products]))
    pairs = [place_pairs(keys, key, value) for key, value in products]
    return Counts(
        names=vocabulary.names,
        vocabulary_sha256=vocabulary.sha256,
        n_captions=n_captions,
        text=singles[0],
        image=None if tags is None else singles[1],
        joint=None if tags is None else singles[2],
        a=keys // n_concepts,
        b=keys % n_concepts,
        pair_text=pairs[0],
        pair_image=None if tags is None else pairs[1],
        pair_joint=None if tags is None else pairs[2],
        nested=nested,
    )
