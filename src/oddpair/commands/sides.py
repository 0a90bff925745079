"""One side of a comparison: a corpus or test set with its embeddings, or the embeddings alone."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from oddpair import files, stages
from oddpair.commands.paths import need_folders
from oddpair.commands.read import embeddings_folder, read_corpus, stored_of
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.stored import StoredRows, open_stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A corpus or test set with its embeddings; ``corpus`` is ``None`` if nothing but embeddings was given."""

    name: str
    stored: StoredRows
    corpus: Corpus | None


def open_side(
    path: str,
    out: Path,
    *,
    embeddings: Path | None,
    model: str,
    pretrained: str | None,
    workers: int,
    subset: Path | None = None,
) -> Side:
    """Open the embeddings of a corpus; they are made or taken over if missing, and used as they are if given.

    Args:
        path: The corpus, or a folder that ``oddpair embed`` made.
        out: Folder of the run; embeddings go to a folder beside it, one for each corpus and model.
        embeddings: Another folder for them.
        model: The model of the embeddings.
        pretrained: Its weights, for an architecture.
        workers: Processes.
        subset: DataComp subset file that limits the corpus.

    Returns:
        The embeddings, none of them in memory.

    Raises:
        Refusal: If they cannot be made, or the run would write into them.
    """
    folder = Path(path)
    if (folder / "manifest.json").is_file() and stages.made_from(folder) is not None:
        if embeddings is not None:
            raise Refusal(
                f"{path} holds finished embeddings, and {embeddings} would go unused: leave the option out"
            )
        _need_apart(out, folder)
        return Side(name=folder.name, stored=open_stored(folder), corpus=None)
    corpus = read_corpus(path, subset)
    folder = embeddings or embeddings_folder(corpus, model, pretrained, beside=out)
    need_folders(corpus, out, folder)
    _need_apart(out, folder)
    # What is complete is read by any number of runs at once.
    with nullcontext() if stages.made_from(folder) is not None else files.locked(folder):
        stored = stored_of(corpus, folder, model, pretrained, workers=workers)
    return Side(name=corpus.name, stored=stored, corpus=corpus)


def _need_apart(out: Path, folder: Path) -> None:
    mine, theirs = out.resolve(), folder.resolve()
    if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
        raise Refusal(f"{out} and the embeddings {folder} lie one in the other: choose another --out")
