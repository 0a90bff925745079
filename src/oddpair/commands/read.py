"""What every verb does first: open the corpus, find or make its embeddings, find its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oddpair.retrieval.concepts import Vocabulary, load_vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embed import Embeddings, EmbedTask, embed_corpora, load_embeddings
from oddpair.retrieval.mining import mine_vocabulary


def embeddings_of(
    corpus: Corpus, folder: Path, model: str, pretrained: str | None, *, workers: int
) -> Embeddings:
    """Load the corpus's embeddings from a folder, making those that are missing."""
    task = EmbedTask(corpus=corpus, out=folder, model=model, pretrained=pretrained)
    embed_corpora([task], workers=workers, title=f"embed {corpus.root.name}")
    return load_embeddings(folder)


def vocabulary_of(path: Path | None, captions: Sequence[str], mined_words: int) -> Vocabulary:
    """Load the vocabulary file, or mine one from the captions."""
    return load_vocabulary(path) if path else mine_vocabulary(captions, mined_words)
