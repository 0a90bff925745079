"""``oddpair count``: concepts and pairs in a corpus's captions and, where it is tagged, its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from oddpair import files, stages
from oddpair.commands.read import metadata_of, vocabulary_of
from oddpair.retrieval.concepts import Vocabulary, find_mentions, save_vocabulary
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.counts import Counts, count, load_tags, read_counts, write_counts

# The help of --tags says it too.
TAG_THRESHOLD = 0.7


def count_corpus(
    corpus: Corpus, out: Path, *, vocabulary: Path | None, tags: Path | None, mined_words: int
) -> tuple[Counts, Vocabulary]:
    """Count a corpus into a folder, or read what was counted there.

    Args:
        corpus: The corpus.
        out: Folder for ``counts.parquet``, ``pairs.parquet``, ``meta.json`` and ``vocabulary.txt``.
        vocabulary: File of names; ``None`` mines the captions.
        tags: Parquet of ``uid``, ``concept``, ``score``; ``None`` counts captions only.
        mined_words: Fewest captions that use a mined word.

    Returns:
        The counts and the vocabulary.
    """
    metadata = metadata_of(corpus, ["copies"])
    # What a model saw k times counts k times.
    metadata = metadata.take(pa.array(np.repeat(np.arange(metadata.num_rows), metadata["copies"].to_numpy())))
    captions = metadata["caption"].to_pylist()
    concepts = vocabulary_of(vocabulary, captions, mined_words)
    inputs = {
        "corpus": fingerprint(corpus),
        "vocabulary": concepts.sha256,
        "tags": files.sha256(tags) if tags else None,
        "tag_threshold": TAG_THRESHOLD if tags else None,
    }
    if stages.begin(out, inputs):
        with stages.make(out):
            uids = metadata["uid"].to_pylist()
            tagged = load_tags(tags, concepts, uids, threshold=TAG_THRESHOLD) if tags else None
            write_counts(out, count(find_mentions(concepts, captions), tagged, vocabulary=concepts))
            save_vocabulary(out / "vocabulary.txt", concepts)
    return read_counts(out, concepts), concepts
