"""``oddpair count``: concepts and pairs in a corpus's captions and, where it is tagged, its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oddpair import files, stages
from oddpair.commands.read import metadata_of, vocabulary_of
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.counting.count import count
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.counts_file import read_counts, write_counts
from oddpair.retrieval.counting.tags import load_tags
from oddpair.retrieval.embed_layout import write_quarantine
from oddpair.retrieval.mentions.find import find_mentions
from oddpair.retrieval.samples import NO_CAPTION, REPEATED
from oddpair.retrieval.vocabulary_file import save_vocabulary

# The help of --tags says it too.
TAG_THRESHOLD = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted in a corpus.

    Attributes:
        counts: The counts.
        vocabulary: The concepts.
        damaged: Rows left out because something is wrong with them: not for want of a caption, nor because an
            earlier row has the same picture.
        lost: Files left out without anybody knowing how many rows they had.
    """

    counts: Counts
    vocabulary: Vocabulary
    damaged: int
    lost: int


def count_corpus(
    corpus: Corpus, out: Path, *, vocabulary: Path | None, tags: Path | None, mined_words: int
) -> Counted:
    """Count a corpus into a folder, or read what was counted there.

    Args:
        corpus: The corpus.
        out: Folder for ``counts.parquet``, ``pairs.parquet``, ``meta.json``, ``vocabulary.txt`` and
            ``quarantine.jsonl``, which names the rows that were left out.
        vocabulary: File of names; ``None`` mines the captions.
        tags: Parquet of ``uid``, ``concept``, ``score``; ``None`` counts captions only.
        mined_words: Fewest captions that use a mined word.

    Returns:
        The counts and the vocabulary, and how much was left out.
    """
    metadata, bad = metadata_of(corpus, ["copies"])
    # What a model saw k times counts k times.
    rows = np.repeat(np.arange(metadata.num_rows), metadata["copies"].to_numpy()).tolist()
    captions, uids = (metadata[name].to_pylist() for name in ("caption", "uid"))
    captions, uids = [captions[row] for row in rows], [uids[row] for row in rows]
    concepts = vocabulary_of(vocabulary, captions, mined_words)
    inputs = {
        "corpus": fingerprint(corpus),
        "vocabulary": concepts.sha256,
        "tags": files.sha256(tags) if tags else None,
        "tag_threshold": TAG_THRESHOLD if tags else None,
    }
    if stages.begin(out, inputs):
        with stages.make(out):
            tagged = load_tags(tags, concepts, uids, threshold=TAG_THRESHOLD) if tags else None
            write_counts(out, count(find_mentions(concepts, captions), tagged, vocabulary=concepts))
            save_vocabulary(out / "vocabulary.txt", concepts)
            write_quarantine(out, bad)
    return Counted(
        counts=read_counts(out, concepts),
        vocabulary=concepts,
        damaged=sum(line.rows for line in bad if line.reason not in (NO_CAPTION, REPEATED)),
        lost=sum(line.rows == 0 for line in bad),
    )
