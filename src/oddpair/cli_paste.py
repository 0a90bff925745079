"""``oddpair paste``: test pictures of chosen pairs, made by pasting objects into pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import CORPUS, MAX_BAD, OUT, WORKERS, leave_if_damaged, tell


class _Part(StrEnum):
    train = "train"
    eval = "eval"
    all = "all"


def paste(
    base: CORPUS,
    accessories: Annotated[
        str,
        typer.Option(
            help="Pictures of single objects with transparency or a plain background, in a folder for each concept."
        ),
    ],
    bands: Annotated[Path, typer.Option(help="bands.parquet that oddpair split pmi-bands made.")],
    out: OUT,
    area: Annotated[float, typer.Option(help="Share of the picture that the object's box covers.")] = 0.1,
    step: Annotated[
        int | None,
        typer.Option(
            help="Objects are placed at multiples of so many pixels. Default: 100, or a fifth of the longer side of "
            "smaller pictures."
        ),
    ] = None,
    part: Annotated[
        _Part, typer.Option(help="Accessories to use; which part one is in depends on its pixels alone.")
    ] = _Part.all,
    column: Annotated[
        str | None,
        typer.Option(
            help="Column of what a picture shows. Default: concepts, class or label, else its folder."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is pasted and where.")] = 0,
    workers: WORKERS = 2,
    max_bad: MAX_BAD = 0.001,
) -> None:
    """Paste an object into every picture for each PMI band that the two are a pair of; labels stay.

    A picture comes once for each band in which it has a partner, so that over the pictures that have one in
    all bands nothing differs but what is pasted. An interrupted run goes on from where it was.
    """
    from oddpair.commands.paste import paste_pictures
    from oddpair.splits.pasting.run import PICTURES, SKIPPED
    from oddpair.splits.pasting.shard import PastePlan

    plan = PastePlan(area=area, step=step, part=part.value, column=column, seed=seed)
    done = paste_pictures(base, accessories, bands, out, plan, workers=workers)
    tell(
        f"{sum(done.pictures.values()):,} pictures of {done.pasted:,} of {done.seen:,} rows in {out / PICTURES}, "
        f"{sum(done.quarantined.values()):,} quarantined"
    )
    for band, pictures in done.pictures.items():
        tell(f"    {band}: {pictures:,}")
    tell(
        f"    {done.accessories:,} accessories, {done.other_part:,} of the other part, {done.unusable:,} without an object "
        f"that can be cut out, {done.bad_accessories:,} quarantined"
    )
    for reason, times in done.skipped.items():
        tell(f"    not pasted, {reason}: {times:,}")
    if done.skipped:
        tell(f"    listed in {out / SKIPPED}")
    leave_if_damaged(out, damaged=done.damaged, lost=done.lost, seen=done.seen, max_bad=max_bad)
