"""What every verb does first: open the corpus, find or make its embeddings, find its vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.progress import say
from oddpair.retrieval.concepts import Vocabulary, find_doubtful, find_joined
from oddpair.retrieval.corpus import Corpus, fingerprint, open_corpus
from oddpair.retrieval.embed import EmbedTask, embed_corpora, holds_embeddings
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.embeddings import Embeddings, load_embeddings
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.models import identify_model
from oddpair.retrieval.probe import PROBES, check_encoder
from oddpair.retrieval.repeats import count_repeats
from oddpair.retrieval.samples import EmbeddedSource, Vectors
from oddpair.retrieval.stored import Side, StoredRows, open_stored
from oddpair.retrieval.unit_rows import IntArray
from oddpair.retrieval.vocabulary_file import COMPLETE, load_vocabulary

_TOLD = 5


def read_corpus(path: str, subset: Path | None = None) -> Corpus:
    """Open a corpus, and say what its user should know of it."""
    corpus = open_corpus(path, subset)
    for note in corpus.source.notes:
        say(f"{path}: {note}")
    return corpus


def embeddings_folder(corpus: Corpus, model: str, pretrained: str | None, *, beside: Path) -> Path:
    """Return where a verb that was not told looks for embeddings, beside its output: one folder a corpus and model."""
    marks = f"{fingerprint(corpus)[:12]}-{files.digest(identify_model(model, pretrained))[:8]}"
    return beside.parent / "embeddings" / f"{corpus.name}-{marks}"


def embeddings_of(
    corpus: Corpus,
    folder: Path,
    model: str,
    pretrained: str | None,
    *,
    workers: int,
    width: int | None = None,
) -> Embeddings:
    """Load the corpus's embeddings from a folder; if it holds none, they are made, or taken over.

    Args:
        corpus: The corpus.
        folder: The folder.
        model: The model of the embeddings.
        pretrained: Its weights, for an architecture.
        workers: Processes.
        width: Which embeddings to take over, where a corpus holds those of several models.

    Returns:
        The embeddings.

    Raises:
        Refusal: If the folder holds something else, or they cannot be made.
    """
    _make_embeddings(corpus, folder, model, pretrained, workers=workers, width=width)
    found = load_embeddings(folder)
    _require_side(corpus, folder, "img_emb")
    _tell_left_out(corpus, folder, found.duplicates)
    return found


def stored_of(
    corpus: Corpus,
    folder: Path,
    model: str,
    pretrained: str | None,
    *,
    workers: int,
    width: int | None = None,
    kind: Side = "img_emb",
) -> StoredRows:
    """Open the rows of the corpus's embeddings in a folder; if it holds none, they are made, or taken over.

    Args:
        corpus: The corpus.
        folder: The folder.
        model: The model of the embeddings.
        pretrained: Its weights, for an architecture.
        workers: Processes.
        width: Which embeddings to take over, where a corpus holds those of several models.
        kind: Pictures or captions.

    Returns:
        The rows, none of them in memory.

    Raises:
        Refusal: If the folder holds something else, they cannot be made, or one uid has two vectors.
    """
    _make_embeddings(corpus, folder, model, pretrained, workers=workers, width=width)
    _require_side(corpus, folder, kind)
    stored = open_stored(folder, kind)
    _tell_left_out(corpus, folder, count_repeats(stored))
    return stored


def _make_embeddings(
    corpus: Corpus, folder: Path, model: str, pretrained: str | None, *, workers: int, width: int | None
) -> None:
    if not holds_embeddings(folder, corpus, model, pretrained):
        tower = None if corpus.source.embedded else Tower(model=model, pretrained=pretrained)
        task = EmbedTask(corpus=corpus, out=folder, tower=tower, width=width)
        embed_corpora([task], workers=workers, title=f"embed {corpus.name}")


def _require_side(corpus: Corpus, folder: Path, kind: Side) -> None:
    if not _dimension(folder, kind):
        mine, other = ("pictures", "captions") if kind == "img_emb" else ("captions", "pictures")
        raise Refusal(
            f"{corpus.root} has embeddings of {other}, none of {mine}: give a corpus with {mine} or their embeddings"
        )


def _tell_left_out(corpus: Corpus, folder: Path, repeats: int) -> None:
    if repeats:
        say(f"{corpus.root}: {repeats:,} rows have uid and vectors of an earlier one and are left out")
    manifest = files.read_json(folder / "manifest.json")
    if manifest["quarantined"]:
        counted = f"{manifest['quarantined']:,} of {manifest['seen']:,} rows"
        say(f"{corpus.root}: {counted} were set aside, see {folder}/quarantine.jsonl")


def choose_width(corpus: Corpus, encoder: Encoder) -> int | None:
    """Choose among the embeddings that a corpus holds those of an encoder, before they are taken over.

    Args:
        corpus: A corpus; one without embeddings needs no choice.
        encoder: The model that queries will be embedded with.

    Returns:
        Their dimension; ``None`` where there is nothing to choose.

    Raises:
        Refusal: If another model made them, as far as a first look tells.
    """
    if not corpus.source.embedded:
        return None
    source = cast("EmbeddedSource", corpus.source)
    for shard in corpus.shards:
        for usual in source.vectors(shard):
            if not usual.uids:
                continue
            width = max(usual.image.shape[1], usual.text.shape[1])
            if width == encoder.dimension:
                check_encoder(usual, encoder, made_by=source.encoder)
                return None
            check_encoder(
                next(source.vectors(shard, width=encoder.dimension)), encoder, made_by=source.encoder
            )
            return encoder.dimension
    return None


def require_encoder(corpus: Corpus, stored: StoredRows, encoder: Encoder) -> None:
    """Refuse embeddings that another model made, and say where it cannot be known."""
    if check_encoder(_some_vectors(stored), encoder, made_by=stored.encoder) == "unchecked":
        say(
            f"{corpus.root}: nothing tells which model made these embeddings; {encoder.name} is taken at your word"
        )


def _some_vectors(stored: StoredRows) -> Vectors:
    """Read a few rows, evenly chosen, more than a check needs where some have no caption."""
    total = stored.shape[0]
    rows = np.unique(np.linspace(0, total - 1, min(4 * PROBES, total)).astype(np.int64))
    uids = tuple(stored.uids(rows))
    return Vectors(
        uids=uids,
        keys=uids,
        captions=tuple(stored.captions(rows)),
        image=_read_some(stored.folder, "img_emb", rows),
        text=_read_some(stored.folder, "text_emb", rows),
    )


def _read_some(folder: Path, kind: Side, rows: IntArray) -> NDArray[np.float32]:
    if not _dimension(folder, kind):
        return np.empty((len(rows), 0), dtype=np.float32)
    stored = open_stored(folder, kind)
    return np.concatenate([stored.read(row, row + 1) for row in rows.tolist()]).astype(np.float32)


def _dimension(folder: Path, kind: Side) -> int:
    return int(files.read_json(folder / "manifest.json")["dimensions"].get(kind, 0))


def read_vocabulary(*sources: str | Path) -> Vocabulary:
    """Load the union of vocabularies, and say which names captions will rarely hold and which are counted as one."""
    vocabulary = load_vocabulary(*sources)
    doubtful = find_doubtful(vocabulary)
    if doubtful:
        say(
            "names with brackets, slashes or commas are found only where all their words follow each other, so "
            f"rarely: {_list_some([repr(name) for name in doubtful])}. Give such a name further forms, in a text file "
            "after tabs"
        )
    joined = [f"{plural!r} is counted with {name!r}" for plural, name in find_joined(vocabulary)]
    if joined:
        say(
            f"{_list_some(joined)}, as plurals; to keep such names apart, begin a text file with the line "
            f"{COMPLETE!r} and give each concept all its forms, plurals too, after tabs"
        )
    return vocabulary


def _list_some(told: list[str]) -> str:
    more = f" and {len(told) - _TOLD:,} more" if len(told) > _TOLD else ""
    return ", ".join(told[:_TOLD]) + more
