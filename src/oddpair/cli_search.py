"""``oddpair search``: the pictures nearest to texts, pictures and vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import CORPUS, EMBEDDINGS, MODEL, PRETRAINED, REFERENCE, SUBSET, tell
from oddpair.errors import Refusal
from oddpair.progress import say

_K = 10
_PAGE = Path("work/search.html")


def search(
    corpus: CORPUS,
    query: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts, paths of pictures, and .npy files of vectors, a query a row; none: asked for one by one."
        ),
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", min=1, help=f"Results of a query; default: {_K}, with --above all.")
    ] = None,
    above: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Only what has a larger cosine similarity than this.")
    ] = None,
    queries: Annotated[Path | None, typer.Option(help="File of further queries, one a line.")] = None,
    captions: Annotated[bool, typer.Option("--captions", help="Search captions, not pictures.")] = False,
    index_folder: Annotated[
        Path | None,
        typer.Option("--index", help="Index of the embeddings, of oddpair index: faster, and not exact."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print a JSON object a line for each hit: query, place, score, uid, caption."
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help=f"Contact sheet to write; default: {_PAGE}, with --json none.")
    ] = None,
    model: MODEL = REFERENCE,
    pretrained: PRETRAINED = None,
    embeddings: EMBEDDINGS = None,
    subset: SUBSET = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="Threads, and processes if it has to embed first; the results do not depend on it."
        ),
    ] = 2,
) -> None:
    """Find what is nearest to texts, pictures or vectors, exactly; a table here, pictures in an HTML page."""
    from oddpair import files
    from oddpair.commands.paths import need_files, need_folders
    from oddpair.commands.queries import read_lines, read_queries
    from oddpair.commands.read import choose_width, embeddings_folder, read_corpus, require_encoder, stored_of
    from oddpair.commands.search import Wanted
    from oddpair.commands.search_run import Session, answer, answer_lines, tell_recall
    from oddpair.retrieval.encoder import load_encoder
    from oddpair.retrieval.index_file import CARD_FILE, open_index

    if out is not None and out.is_dir():
        raise Refusal(f"{out} is a folder: give the HTML file to write")
    # An index that is not there cannot be one of embeddings that are still to be made.
    need_files(index_folder and index_folder / CARD_FILE)
    given = [*(query or []), *(read_lines(queries) if queries else [])]
    opened = read_corpus(corpus, subset)
    folder = embeddings or embeddings_folder(opened, model, pretrained, beside=out or _PAGE)
    need_folders(opened, folder)
    # The queries first: it would be late to refuse one when the corpus is embedded.
    encoder = load_encoder(model, pretrained)
    asked = read_queries(encoder, given)
    width = choose_width(opened, encoder)
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
    require_encoder(opened, stored, encoder)
    index = None if index_folder is None else open_index(index_folder, stored)
    if index is not None:
        say(f"searched by {tell_recall(index)}")
    page = out or (None if as_json else _PAGE)
    session = Session(
        corpus=opened,
        stored=stored,
        index=index,
        wanted=Wanted(k=k or (None if above is not None else _K), above=above),
        threads=workers,
        page=page,
        as_json=as_json,
    )
    if asked:
        answer(session, asked, named=len(asked) > 1)
    else:
        answer_lines(session, encoder)
    if page is not None and session.answers:
        (say if as_json else tell)(f"contact sheet: {page}")
