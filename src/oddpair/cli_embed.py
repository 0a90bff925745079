"""``oddpair embed``: any corpus and any open_clip model into shards that never need to be made again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from oddpair.cli_options import CORPUS, MAX_BAD, OUT, PRETRAINED, SUBSET, WORKERS, leave_if_damaged, tell
from oddpair.progress import say


class Precision(StrEnum):
    """Arithmetic of the model."""

    fp32 = "fp32"
    bf16 = "bf16"


class Preprocess(StrEnum):
    """How a picture is brought to the model's size."""

    fast = "fast"
    exact = "exact"


class Device(StrEnum):
    """Where the model runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def embed(
    corpus: CORPUS,
    out: OUT,
    model: Annotated[
        str | None,
        typer.Option(
            help="'reference', a model folder, or an open_clip architecture; default: reference, a small "
            "encoder for drawings. Embeddings that the corpus holds are taken over; --model then checks that this model made "
            "them."
        ),
    ] = None,
    pretrained: PRETRAINED = None,
    subset: SUBSET = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch", help="Fetch the pictures of LAION or DataComp metadata from the web, by their URLs."
        ),
    ] = False,
    precision: Annotated[
        Precision, typer.Option(help="bf16: about twice as fast; cosines to fp32 are some 0.999.")
    ] = Precision.fp32,
    preprocess: Annotated[
        Preprocess,
        typer.Option(
            help="How pictures are resized. exact: the pixels of open_clip's own transform; fast: within 2 grey levels."
        ),
    ] = Preprocess.fast,
    dimension: Annotated[
        int | None,
        typer.Option(
            help="Which embeddings to take over, where the corpus holds several (DataComp: 512 or 768)."
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="auto: a GPU where there is one.")] = Device.auto,
    max_bad: MAX_BAD = 0.001,
    workers: WORKERS = 2,
    engine: Annotated[
        str | None,
        typer.Option(
            help="dask:ADDRESS of a scheduler, such as dask:tcp://10.0.0.1:8786; without it, processes here."
        ),
    ] = None,
) -> None:
    """Embed pictures and captions into shards; an interrupted run goes on from where it was."""
    from oddpair import files
    from oddpair.commands.embed import choose_tower, embed_corpus, fetched
    from oddpair.commands.paths import need_folders
    from oddpair.commands.read import read_corpus

    opened = read_corpus(corpus, subset)
    need_folders(opened, out)
    if fetch:
        opened = fetched(opened)
    tower = choose_tower(
        opened,
        model=model,
        pretrained=pretrained,
        precision=precision.value,
        exact=preprocess is Preprocess.exact,
        device=device.value,
        engine=engine,
    )
    if tower is not None and model is None:
        say(f"{corpus}: embedded by the reference encoder, which knows drawings only; --model names another")
    with files.locked(out):
        done = embed_corpus(opened, out, tower, width=dimension, workers=workers, engine=engine)
    tell(
        f"{done.kept:,} rows of dimension {done.dimension} in {out}, {done.quarantined:,} of {done.seen:,} quarantined"
    )
    if done.without_caption:
        tell(f"    {done.without_caption:,} of them for want of a caption, which --max-bad does not count")
    if done.repeated:
        tell(
            f"    {done.repeated:,} of them have the bytes of an earlier row's picture, which it does not count either"
        )
    if done.outside:
        tell(f"    {done.outside:,} rows are outside the subset")
    leave_if_damaged(out, damaged=done.damaged, lost=done.lost, seen=done.seen, max_bad=max_bad)
