"""``oddpair graph``: the graph of seen pairs, and what it says of a test set's pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import OUT, tell


def graph(
    counts: Annotated[Path, typer.Argument(help="Folder that oddpair count wrote.")],
    pairs: Annotated[
        Path,
        typer.Option(
            help="Pairs of concepts: two a line with a tab or comma between them, or csv, tsv or parquet with columns "
            "a and b."
        ),
    ],
    out: OUT,
    minimum: Annotated[
        int,
        typer.Option(min=1, help="Captions that must name two concepts together for an edge of the graph."),
    ] = 1,
    support: Annotated[
        int, typer.Option(min=1, help="Captions that must name a concept for it to be supported.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one line of JSON.")] = False,
) -> None:
    """Say of a test set's pairs whether a corpus shows them, how often, and through which neighbours.

    A pair is unseen if it is together in no counted caption though each of its concepts is in some; without that it
    is absent. A pair that was not counted is neither: name the pairs to oddpair count --pairs to have them counted.
    Whether an unseen pair can be expected to be composed is told by two conditions, stated on the page with what they
    do not promise.
    """
    import json

    from oddpair import files
    from oddpair.commands.counted import label_counts
    from oddpair.commands.graph import PAGE, ROWS, TABLE, graph_pairs, need_counts
    from oddpair.commands.paths import need_files
    from oddpair.progress import say
    from oddpair.splits.pairs.findings import ABSENT, NESTED, NOT_COUNTED, SEEN, UNSEEN

    need_counts(counts, out)
    need_files(pairs)
    with files.locked(out):
        found = graph_pairs(counts, pairs, out, minimum=minimum, support=support)
    if as_json:
        print(json.dumps({**found, "out": str(out)}, sort_keys=True, allow_nan=False))
        return
    statuses = found["statuses"]
    seen, unseen, left = (statuses[status] for status in (SEEN, UNSEEN, NOT_COUNTED))
    absent, nested = (statuses[status]["pairs"] for status in (ABSENT, NESTED))
    tell(
        f"{found['pairs']:,} pairs: {seen['pairs']:,} seen together in {found['captions']:,} captions, "
        f"{unseen['pairs']:,} unseen, {left['pairs']:,} not counted"
    )
    tell(
        f"    of the unseen {unseen['supported']:,} supported, {unseen['identifiable']:,} identifiable, "
        f"{unseen['both']:,} both"
    )
    if absent:
        tell(f"    {absent:,} absent: one of their concepts is in no caption")
    if nested:
        tell(f"    {nested:,} no pair: mentioned together by construction")
    if labels := label_counts(found):
        tell(f"    counted: {'; '.join(labels)}")
    if left["pairs"]:
        say(f"{left['pairs']:,} pairs were not counted: count again with --pairs {pairs} to know of them")
    tell(f"table: {out / TABLE} and {out / ROWS}")
    tell(f"page: {out / PAGE}")
