"""What every verb does first: open the corpus, find or make its embeddings, find its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from oddpair import files
from oddpair.progress import say
from oddpair.retrieval.concepts import Vocabulary, load_vocabulary
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.embeddings import Embeddings, load_embeddings
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.mining import mine_vocabulary
from oddpair.retrieval.probe import check_encoder
from oddpair.retrieval.samples import NO_CAPTION


def read_corpus(path: str, subset: Path | None = None) -> Corpus:
    """Open a corpus, and say what its user should know of it."""
    corpus = open_corpus(path, subset)
    for note in corpus.source.notes:
        say(f"{path}: {note}")
    return corpus


def metadata_of(corpus: Corpus, columns: Sequence[str] = ()) -> pa.Table:
    """Read a corpus's rows without their pictures, and say how many were set aside."""
    table, bad = corpus.collect(columns)
    silent = sum(line.rows for line in bad if line.reason == NO_CAPTION)
    if silent:
        say(f"{corpus.root}: {silent:,} of {len(corpus):,} rows have no caption and are left out")
    damaged = [line for line in bad if line.reason != NO_CAPTION]
    if damaged:
        first, rows = damaged[0], sum(line.rows for line in damaged)
        say(
            f"{corpus.root}: {rows:,} of {len(corpus):,} rows are damaged and left out, the first in {first.file}: "
            f"{first.reason}"
        )
    return table


def embeddings_of(
    corpus: Corpus, folder: Path, model: str, pretrained: str | None, *, workers: int
) -> Embeddings:
    """Load the corpus's embeddings from a folder; those that are missing are made, or taken over."""
    tower = None if corpus.source.embedded else Tower(model=model, pretrained=pretrained)
    task = EmbedTask(corpus=corpus, out=folder, tower=tower)
    embed_corpora([task], workers=workers, title=f"embed {corpus.root.name}")
    found = load_embeddings(folder)
    manifest = files.read_json(folder / "manifest.json")
    if manifest["quarantined"]:
        counted = f"{manifest['quarantined']:,} of {manifest['seen']:,} rows"
        say(f"{corpus.root}: {counted} were set aside, see {folder}/quarantine.jsonl")
    return found


def require_encoder(corpus: Corpus, found: Embeddings, encoder: Encoder) -> None:
    """Refuse embeddings that another model made, and say where it cannot be known."""
    if check_encoder(found, encoder) == "unchecked":
        say(
            f"{corpus.root}: nothing tells which model made these embeddings; {encoder.name} is taken at your word"
        )


def vocabulary_of(path: Path | None, captions: Sequence[str], mined_words: int) -> Vocabulary:
    """Load the vocabulary file, or mine one from the captions."""
    return load_vocabulary(path) if path else mine_vocabulary(captions, mined_words)
