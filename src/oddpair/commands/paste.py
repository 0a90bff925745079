"""``oddpair paste``: open what is pasted into what, and say what became of it."""

from __future__ import annotations

from pathlib import Path

from oddpair import files
from oddpair.commands.dedup import need_place
from oddpair.commands.read import read_corpus
from oddpair.splits.pasting.run import Pasted, paste_corpus
from oddpair.splits.pasting.shard import PastePlan


def paste_pictures(
    base: str, accessories: str, bands: Path, out: Path, plan: PastePlan, *, workers: int
) -> Pasted:
    """Paste accessories into the pictures of a corpus, see ``paste_corpus``.

    Args:
        base: The corpus.
        accessories: Pictures of single objects.
        bands: Table of pairs and bands.
        out: Folder to write, apart from the others.
        plan: How to paste.
        workers: Processes.

    Returns:
        What became of the rows.

    Raises:
        Refusal: As ``paste_corpus``, or if the folders lie one in the other.
    """
    need_place(out, [base, accessories], [])
    opened, objects = read_corpus(base), read_corpus(accessories)
    with files.locked(out):
        return paste_corpus(opened, objects, bands, out, plan, workers=workers)
