"""``oddpair index``: an index of a corpus's embeddings, for searches that are asked again and again."""

from __future__ import annotations

from typing import Annotated

import typer

from oddpair.cli_options import CORPUS, EMBEDDINGS, MODEL, OUT, PRETRAINED, REFERENCE, SUBSET, WORKERS, tell


def index(
    corpus: CORPUS,
    out: OUT,
    lists: Annotated[
        int | None,
        typer.Option(min=1, help="Lists that the rows are sorted into; 1: looks through everything."),
    ] = None,
    probes: Annotated[
        int | None,
        typer.Option(min=1, help="Lists that a search looks through; default: enough for recall@10 of 0.99."),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, help="Rows, and captions, that the recall is measured with.")
    ] = 1000,
    captions: Annotated[bool, typer.Option("--captions", help="Index captions, not pictures.")] = False,
    model: MODEL = REFERENCE,
    pretrained: PRETRAINED = None,
    embeddings: EMBEDDINGS = None,
    subset: SUBSET = None,
    workers: WORKERS = 2,
) -> None:
    """Build an index for `oddpair search --index`, and measure how many of the nearest rows it finds."""
    from oddpair import files
    from oddpair.commands.paths import need_folders
    from oddpair.commands.read import choose_width, embeddings_folder, read_corpus, stored_of
    from oddpair.retrieval.encoder import load_encoder
    from oddpair.retrieval.index_build import build_index
    from oddpair.retrieval.index_file import need_place

    opened = read_corpus(corpus, subset)
    # Where oddpair search looks for them too, if its page lies beside the index.
    folder = embeddings or embeddings_folder(opened, model, pretrained, beside=out)
    need_folders(opened, folder, out)
    need_place(out, folder)
    width = choose_width(opened, load_encoder(model, pretrained)) if opened.source.embedded else None
    with files.locked(folder):
        stored = stored_of(
            opened,
            folder,
            model,
            pretrained,
            workers=workers,
            width=width,
            kind="text_emb" if captions else "img_emb",
        )
    with files.locked(out):
        card = build_index(stored, out, lists=lists, probes=probes, sample=sample, threads=workers).card
    tell(
        f"{card.rows:,} rows of dimension {card.dimension} in {card.lists:,} lists, of which a search looks through "
        f"{card.probes:,}: {out}"
    )
    for name, recall in card.recall.items():
        queries = "pictures" if name == "img_emb" else "captions"
        itself = ", each without itself" if name == card.kind else ""
        tell(f"    {recall}: {queries} of the corpus{itself}")
