"""Small counts for tests: of boolean tables, in whole or of some pairs only."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts import Counts, place_pairs
from oddpair.retrieval.counting.pair_counter import PairCounter, nested_keys
from oddpair.retrieval.mentions.incidence import from_csr

VOCABULARY = build_vocabulary(["cat", "tree", "pine tree", "dog", "bird"])
N = len(VOCABULARY)
FIELDS = ("text", "image", "joint", "a", "b", "pair_text", "pair_image", "pair_joint")
PAIRS = sorted({(a, b) for a in range(N) for b in range(a + 1, N)} - nested_pairs(VOCABULARY))

tables = st.integers(0, 12).flatmap(
    lambda rows: st.tuples(arrays(np.bool_, (rows, N)), st.none() | arrays(np.bool_, (rows, N)))
)
requests = st.sets(st.sampled_from(PAIRS), max_size=4).map(sorted)


def counted(mentions, tags=None):
    tags = None if tags is None else sparse.csr_array(tags)
    return count(sparse.csr_array(mentions), tags, vocabulary=VOCABULARY)


def sources_of(mentions, tags):
    return [mentions] if tags is None else [mentions, tags, mentions & tags]


def counted_among(mentions, tags, members, requested):
    """Counts of the pairs among some concepts, and of those requested, as a map over shards makes them."""
    listed = []
    for source in sources_of(mentions, tags):
        counter = PairCounter(
            N,
            members,
            np.array(requested, np.int64).reshape(-1, 2),
            nested=nested_keys(nested_pairs(VOCABULARY), N),
        )
        counter.add(from_csr(sparse.csr_array(source)))
        a, b, values = counter.pairs()
        listed.append((a * N + b, values))
    keys = np.unique(np.concatenate([key for key, _ in listed]))
    singles = [source.sum(axis=0, dtype=np.int64) for source in sources_of(mentions, tags)]
    pairs = [place_pairs(keys, key, values) for key, values in listed]
    return Counts(
        names=VOCABULARY.names,
        vocabulary_sha256=VOCABULARY.sha256,
        n_captions=len(mentions),
        text=singles[0],
        image=None if tags is None else singles[1],
        joint=None if tags is None else singles[2],
        a=keys // N,
        b=keys % N,
        pair_text=pairs[0],
        pair_image=None if tags is None else pairs[1],
        pair_joint=None if tags is None else pairs[2],
        members=members,
    )


def assert_equal(first, second):
    assert (first.names, first.vocabulary_sha256, first.n_captions) == (
        second.names,
        second.vocabulary_sha256,
        second.n_captions,
    )
    assert np.array_equal(first.paired, second.paired)
    for field in FIELDS:
        one, two = getattr(first, field), getattr(second, field)
        assert (one is None) == (two is None), field
        if one is not None:
            assert one.dtype == two.dtype == np.int64
            assert np.array_equal(one, two), field
