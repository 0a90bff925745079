"""What every verb does first: open the corpus, find or make its embeddings, find its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oddpair.progress import say
from oddpair.retrieval.concepts import Vocabulary, load_vocabulary
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.embed import Embeddings, EmbedTask, embed_corpora, load_embeddings
from oddpair.retrieval.mining import mine_vocabulary


def read_corpus(path: Path) -> Corpus:
    """Open a corpus, and say which rows of a picture folder are left out."""
    corpus = open_corpus(path)
    if corpus.duplicates:
        rows, are = ("rows", "their pictures are") if corpus.duplicates > 1 else ("row", "its picture is")
        say(f"{path}: {corpus.duplicates:,} {rows} left out, {are} byte-identical to earlier ones")
    return corpus


def embeddings_of(
    corpus: Corpus, folder: Path, model: str, pretrained: str | None, *, workers: int
) -> Embeddings:
    """Load the corpus's embeddings from a folder, making those that are missing."""
    task = EmbedTask(corpus=corpus, out=folder, model=model, pretrained=pretrained)
    embed_corpora([task], workers=workers, title=f"embed {corpus.root.name}")
    found = load_embeddings(folder)
    bad = len(corpus) - len(found.uids)
    if bad:
        say(
            f"{corpus.root}: {bad:,} of {len(corpus):,} pictures could not be decoded, listed in {folder}/quarantine/"
        )
    return found


def vocabulary_of(path: Path | None, captions: Sequence[str], mined_words: int) -> Vocabulary:
    """Load the vocabulary file, or mine one from the captions."""
    return load_vocabulary(path) if path else mine_vocabulary(captions, mined_words)
