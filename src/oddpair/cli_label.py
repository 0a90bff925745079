"""``oddpair label``: label the pictures of a corpus by hand, alone or with others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import SUBSET, tell
from oddpair.errors import Refusal


class Queue(StrEnum):
    """Which rows are drawn."""

    random = "random"
    by_class = "by-class"


def label(
    corpus: Annotated[
        str, typer.Argument(help="The corpus, as for oddpair embed; with --report, the folder of labels.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the labels: one for all who label the same pictures.")
    ] = None,
    annotator: Annotated[str | None, typer.Option(help="Who labels: a short name.")] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Pictures to draw; a larger sample holds a smaller.", show_default="3000"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Another seed draws others.", show_default="0")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Labels, a comma between.", show_default="natural,rendition,ambiguous")
    ] = None,
    uids: Annotated[
        Path | None, typer.Option(help="Draw from these only: uids, one a line, or the folder of a split.")
    ] = None,
    queue: Annotated[
        Queue | None,
        typer.Option(
            help="Draw at random; or by class, as many of each group, which finds rare ones but does not tell how common "
            "they are.",
            show_default="random",
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(
            help="A guess at the classes: a column of the corpus, or splits and tables of uid and label; may be repeated."
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0, help="Pictures that everybody labels; the others, one person each.", show_default="200"
        ),
    ] = None,
    recheck: Annotated[
        int | None,
        typer.Option(
            min=0, help="Pictures that everybody is shown twice.", show_default="1 in 20, at most 50"
        ),
    ] = None,
    review: Annotated[bool, typer.Option(help="Settle what people labelled differently.")] = False,
    report: Annotated[
        bool, typer.Option(help="Say how far people agree, and write labels.parquet and report.html.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any.")] = 0,
    subset: SUBSET = None,
) -> None:
    """Label a sample of a corpus on a local page: keys, several people and their agreement; goes on where it was."""
    from oddpair.commands.label import prepare_labels, report_labels, serve_labels
    from oddpair.commands.label_session import need_name

    asked = {"sample": sample, "seed": seed, "overlap": overlap, "recheck": recheck}
    draw: dict[str, int | str] = {name: value for name, value in asked.items() if value is not None}
    if queue is not None:
        draw["queue"] = queue.value
    if report:
        if (
            draw
            or groups
            or any(value is not None for value in (out, annotator, classes, uids, subset))
            or review
        ):
            raise Refusal("--report takes nothing but the folder of labels: leave the other options out")
        for line in report_labels(Path(corpus)):
            tell(line)
        return
    if out is None or annotator is None:
        raise Refusal(
            "oddpair label needs --out, the folder of the labels, and --annotator, the name of who labels"
        )
    if review and (draw or groups or uids is not None):
        raise Refusal("--review draws nothing: leave out what is drawn and how")
    need_name(annotator)
    opened, plan = prepare_labels(
        corpus,
        out,
        draw,
        subset=subset,
        classes=None if classes is None else [name.strip() for name in classes.split(",")],
        uids=uids,
        groups=groups or (),
        review=review,
    )
    serve_labels(opened, out, annotator, plan, review=review, port=port)
