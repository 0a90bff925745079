"""``oddpair audit``: is this test set really out-of-distribution for that corpus?"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import AS_JSON, EMBEDDINGS, OUT, PRETRAINED, SUBSET, TAGS, WORKERS, tell


class Style(StrEnum):
    """Styles that a test set may have."""

    natural = "natural"
    rendition = "rendition"


def audit(
    testset: Annotated[
        str, typer.Argument(help="Test images: a corpus in any format, or a folder of embeddings.")
    ],
    against: Annotated[str, typer.Option(help="The corpus that a model is trained on: likewise.")],
    out: OUT,
    reference: Annotated[
        str | None,
        typer.Option(
            help="A set that the corpus may be as near to the test as, such as ImageNet's training set."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Hand labels of the corpus, as oddpair label wrote them, or a table of uid and label."
        ),
    ] = None,
    style: Annotated[Style | None, typer.Option(help="Style of the test; default: found out.")] = None,
    style_column: Annotated[
        str, typer.Option(help="Column with styles as people wrote them; empty values are none.")
    ] = "style",
    labelled: Annotated[
        int | None,
        typer.Option(min=1, help="Labelled rows of the corpus to look at, at random; default: all."),
    ] = None,
    precision: Annotated[
        float,
        typer.Option(help="Of the style classifiers, to be certified; some hundred labels can certify 0.7."),
    ] = 0.98,
    vocabulary: Annotated[
        list[str] | None,
        typer.Option(
            help="File of concepts, or imagenet, coco, voc; may be repeated. Default: the test's own."
        ),
    ] = None,
    counts: Annotated[
        str | None, typer.Option(help="Folder that oddpair count --postings wrote for the corpus.")
    ] = None,
    tags: TAGS = None,
    content_column: Annotated[
        str, typer.Option(help="Column with the names of what an image shows.")
    ] = "concepts",
    tail: Annotated[int, typer.Option(min=1, help="A concept in fewer captions is of the tail.")] = 10,
    duplicates: Annotated[
        float | None,
        typer.Option(
            help="Cosine similarity above which pictures are duplicates, too; default: files and looks alone decide."
        ),
    ] = None,
    every_picture: Annotated[
        bool,
        typer.Option(
            "--every-picture",
            help="Look for copies in all pictures of the corpus, beyond the nearest; takes as long as embedding.",
        ),
    ] = False,
    accuracies: Annotated[
        str | None, typer.Option(help="Table of accuracies to predict from, as oddpair predict reads it.")
    ] = None,
    model_of: Annotated[
        str | None, typer.Option("--for", help="Model of that table to predict for, where it has several.")
    ] = None,
    embeddings: EMBEDDINGS = None,
    test_embeddings: Annotated[
        Path | None, typer.Option(help="Folder of the test images' embeddings; made if missing.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="'reference' (the default), a model folder, or an open_clip architecture."),
    ] = None,
    pretrained: PRETRAINED = None,
    subset: SUBSET = None,
    workers: WORKERS = 2,
    as_json: AS_JSON = False,
) -> None:
    """Say in which ways a test set is out-of-distribution for a corpus: a page with pictures, and a card to cite.

    Copies, styles, similarity, concepts, object pairs, what counts foretell, and which rows would have to go, each
    with recipes that oddpair split carries out. What is not given is left out, and said to be. One pass over the
    corpus; an interrupted run goes on from where it was.
    """
    from oddpair.commands.audit import PAGE, audit_test, tell_command
    from oddpair.commands.audit_inputs import name_test
    from oddpair.commands.given import Given
    from oddpair.eval.auditing.asked import Asked

    asked = Asked(
        style=None if style is None else style.value,
        style_column=style_column,
        labelled=labelled,
        precision=precision,
        similarity=duplicates,
        every_picture=every_picture,
        tail=tail,
        content_column=content_column,
        model=model_of,
    )
    given = Given(
        corpus=against,
        subset=None if subset is None else str(subset),
        embeddings=None if embeddings is None else str(embeddings),
        tests={name_test(testset): testset},
        reference=reference,
        labels=labels,
        tags=None if tags is None else str(tags),
        counts=counts,
        vocabulary=tuple(vocabulary or ()),
        model=model,
        pretrained=pretrained,
        test_embeddings=None if test_embeddings is None else str(test_embeddings),
        accuracies=accuracies,
    )
    card = audit_test(given, asked, out, workers=workers)
    if as_json:
        tell(json.dumps({**card, "page": str(out / PAGE)}, sort_keys=True, allow_nan=False))
        return
    for judgement in card["judgements"]:
        tell(f"{judgement['aspect']}: {judgement['answer']}")
        tell(f"    {judgement['text']}")
    for part in sorted(set(card["left_out"]) - {"styles", "concepts", "pairs"}):
        tell(f"{part}: not audited")
        tell(f"    {card['left_out'][part]}")
    for removal in card["removals"]:
        tell(f"{removal['name']}: {removal['gone']:,} of {removal['rows']:,} rows would have to go")
        tell(f"    in {out}: {tell_command(given, removal['name'])}")
    tell(card["verdict"])
    tell(f"page: {out / PAGE}")
