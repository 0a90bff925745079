"""``oddpair dedup``: near-duplicates within a corpus, or pictures of a test set in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import CORPUS, EMBEDDINGS, MODEL, OUT, PRETRAINED, REFERENCE, tell


def dedup(
    corpus: CORPUS,
    out: OUT,
    threshold: Annotated[
        float,
        typer.Option(
            help="Cosine similarity, from -1 to below 1, above which two pictures are near-duplicates. There is no "
            "default, because models do not agree on it: 0.876 is published for LAION-400M and ViT-B-16; elsewhere "
            "start at 0.95, and let the pairs on the page decide.",
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            help="Test set, like CORPUS: find its pictures in the corpus, rather than duplicates within."
        ),
    ] = None,
    embeddings: EMBEDDINGS = None,
    against_embeddings: Annotated[
        Path | None, typer.Option(help="Folder of the test set's embeddings; made if missing.")
    ] = None,
    model: MODEL = REFERENCE,
    pretrained: PRETRAINED = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="Processes to embed, then threads to compare; the results do not depend on it."
        ),
    ] = 2,
) -> None:
    """Find near-duplicates within a corpus, or test pictures in it; what stays is a split that export takes.

    Greedy in the order of uids: a row is dropped if it is too similar to a row that stays, so what stays is
    apart from each other. Every pair is compared, exactly, in up to 5 million rows; beyond that, pairs within
    k-means clusters, and what they miss is measured. An interrupted run goes on from where it
    was; with --against it compares anew.
    """
    from oddpair import files
    from oddpair.commands.dedup import KEPT, PAGE, dedup_across, dedup_within, need_place
    from oddpair.commands.sides import open_side
    from oddpair.errors import Refusal
    from oddpair.retrieval.dedup import DedupPlan

    plan = DedupPlan(threshold=threshold)
    if against is None and against_embeddings is not None:
        raise Refusal(
            "--against-embeddings is of a test set, and none is given: add --against, or leave it out"
        )
    named = [folder for folder in (embeddings, against_embeddings) if folder is not None]
    need_place(out, [corpus] if against is None else [corpus, against], named)
    with files.locked(out):
        side = open_side(
            corpus, out, embeddings=embeddings, model=model, pretrained=pretrained, workers=workers
        )
        if against is None:
            found = dedup_within(side, out, plan, threads=workers)
            tell(
                f"{found['kept']:,} of {found['rows']:,} rows stay, {found['dropped']:,} are near-duplicates"
            )
            if found["groups"]:
                tell(f"    {found['groups']:,} groups, the largest of {found['largest_group']:,} rows")
            if found["recall"]:
                tell(_tell_recall(found["recall"]))
        else:
            tests = open_side(
                against,
                out,
                embeddings=against_embeddings,
                model=model,
                pretrained=pretrained,
                workers=workers,
            )
            found = dedup_across(side, tests, out, plan.threshold, threads=workers)
            tell(
                f"{found['tests_found']:,} of {found['against']['rows']:,} test pictures have a near-duplicate in the "
                f"corpus, {found['dropped']:,} of its {found['rows']:,} rows"
            )
    if found["repeated"]:
        tell(f"    {found['repeated']:,} rows have uid and vector of another and are left out")
    tell(f"split: {out / KEPT}")
    tell(f"page: {out / PAGE}")


def _tell_recall(recall: dict[str, float]) -> str:
    return (
        f"    {recall['recall']:.2%} of near-duplicate pairs share a cluster (n = {recall['pairs']:,}); "
        f"{recall['missed']:,} of {recall['sampled']:,} rows drawn were kept although a kept row is that near"
    )
