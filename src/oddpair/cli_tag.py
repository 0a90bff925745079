"""``oddpair tag``: zero-shot tags of a corpus's pictures, from their embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import CORPUS, EMBEDDINGS, MODEL, OUT, PRETRAINED, REFERENCE, tell


def tag(
    corpus: CORPUS,
    vocabulary: Annotated[
        list[str],
        typer.Option(
            help="File of concepts, one a line, or a built-in list (imagenet, coco, voc); may be repeated."
        ),
    ],
    out: OUT,
    model: MODEL = REFERENCE,
    pretrained: PRETRAINED = None,
    embeddings: EMBEDDINGS = None,
    templates: Annotated[
        Path | None,
        typer.Option(
            help="File of texts with one {} for the concept's name, one a line; default: '{}', 'a photo of a {}.' and "
            "'a picture of a {}.'."
        ),
    ] = None,
    per_image: Annotated[
        int,
        typer.Option(
            min=1,
            help="Tags of a picture, at most: its nearest concepts. More cost precision, fewer give no pairs.",
        ),
    ] = 2,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Cosine similarity that a tag must be above; default: any. Models do not agree on it, and oddpair "
            "count can ask for a higher one later."
        ),
    ] = None,
    evaluated: Annotated[
        list[str] | None,
        typer.Option(
            help="Model that is to be evaluated, as for --model, or ARCHITECTURE,WEIGHTS; may be repeated. It may "
            "not be the tagger."
        ),
    ] = None,
    allow_same_encoder: Annotated[
        bool,
        typer.Option(
            "--allow-same-encoder", help="Let the tagger be evaluated all the same; outputs say so."
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the results do not depend on it.")] = 2,
) -> None:
    """Tag pictures with the concepts nearest to them, to be counted by oddpair count --tags.

    The tags are the opinion of a model, not the truth about the pictures: wrong ones are common, and that a pair is
    never tagged, or is, proves nothing. A picture's tags depend on nothing but its embedding. An interrupted run goes
    on from where it was.
    """
    from oddpair import files
    from oddpair.commands.dedup import need_place
    from oddpair.commands.paths import need_files, need_folders
    from oddpair.commands.read import choose_width, embeddings_folder, read_corpus, stored_of
    from oddpair.commands.tag import find_evaluated, tag_corpus
    from oddpair.retrieval.counting.tagger import TEMPLATES, TagPlan, load_templates
    from oddpair.retrieval.encoder import load_encoder
    from oddpair.retrieval.vocabulary_file import load_vocabulary

    need_files(templates)
    need_place(out, [corpus], [] if embeddings is None else [embeddings])
    plan = TagPlan(
        templates=TEMPLATES if templates is None else load_templates(templates),
        per_image=per_image,
        threshold=threshold,
    )
    concepts = load_vocabulary(*vocabulary)
    judged = find_evaluated(model, pretrained, evaluated or [], allow=allow_same_encoder)
    opened = read_corpus(corpus)
    folder = embeddings or embeddings_folder(opened, model, pretrained, beside=out)
    need_folders(opened, folder)
    # The model first: it would be late to find that it is none when the corpus is embedded.
    encoder = load_encoder(model, pretrained)
    width = choose_width(opened, encoder)
    with files.locked(out):
        with files.locked(folder):
            stored = stored_of(opened, folder, model, pretrained, workers=workers, width=width)
        done = tag_corpus(
            opened,
            stored,
            concepts,
            encoder,
            out,
            plan,
            pretrained=pretrained,
            judged=judged,
            workers=workers,
        )
    tell(
        f"{sum(done['rows']):,} pictures, {sum(done['tags']):,} tags of {done['concepts']:,} concepts by "
        f"{done['encoder']['name']}, its opinion and no truth: {out}"
    )
    if done["same_encoder"]:
        tell("    the tagger is a model that is to be evaluated, and outputs say so")
