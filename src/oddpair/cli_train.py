"""``oddpair train``: train on a split without writing it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.progress import say


def train(
    split: Annotated[
        Path, typer.Argument(help="Folder of a split's manifest, or a DataComp subset file (.npy).")
    ],
    arguments: Annotated[
        list[str],
        typer.Argument(
            help="Behind --, the arguments of open_clip_train.main; --train-data is the original shards."
        ),
    ],
) -> None:
    """Train by open_clip's own trainer on the rows of a split, chosen while the original shards are loaded.

    Many GPUs: torchrun --nproc-per-node 8 -m oddpair.cli train SPLIT -- --train-data ...
    """
    from oddpair.commands.train import train_split

    try:
        train_split(split, arguments)
    except KeyboardInterrupt:
        say("oddpair: interrupted: open_clip's --resume latest goes on from its last checkpoint")
        raise typer.Exit(130) from None
