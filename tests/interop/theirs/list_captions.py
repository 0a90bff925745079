"""Run by oddpair's interpreter: the captions of one epoch as open_clip's trainer is given them, for its own arguments.

Behind ``--split`` comes a split or subset file that oddpair lets through; without it all samples are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import open_clip_train.data as theirs  # type: ignore[import-untyped]
import open_clip_train.main  # type: ignore[import-untyped]


def list_captions(arguments: list[str]) -> None:
    """Stand in for the trainer: read its data as it does, and print the captions."""
    options = open_clip_train.main.parse_args(arguments)
    options.world_size = 1
    options.distributed = False
    transforms: list[Any] = [lambda image: 0, lambda image: 0]
    data = theirs.get_data(options, transforms, tokenizer=lambda text: [text])
    json.dump([caption for _, captions in data["train"].dataloader for caption in captions], sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "--split":
        from oddpair.commands.train import train_split

        open_clip_train.main.main = list_captions
        train_split(Path(sys.argv[2]), sys.argv[3:])
    else:
        list_captions(sys.argv[1:])
