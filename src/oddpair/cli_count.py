"""``oddpair count``: concepts and pairs in a corpus's captions and pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import (
    AS_JSON,
    CORPUS,
    ENGINE,
    MAX_BAD,
    OUT,
    SUBSET,
    TAGS,
    VOCABULARIES,
    WORKERS,
    leave_if_damaged,
    tell,
)


class Overlap(StrEnum):
    """What counts where forms overlap."""

    all = "all"
    longest = "longest"


class Rules(StrEnum):
    """How concepts are found."""

    mentions = "mentions"
    unigrams = "unigrams"
    words = "words"


def count(
    corpus: CORPUS,
    out: OUT,
    vocabulary: VOCABULARIES = [],  # noqa: B006  typer copies it
    tags: TAGS = None,
    tag_threshold: Annotated[
        float | None, typer.Option(help="Count tags whose score is above this instead.")
    ] = None,
    overlap: Annotated[
        Overlap,
        typer.Option(
            help="Where concepts overlap: 'a pine tree' mentions tree too (all), or pine tree alone (longest)."
        ),
    ] = Overlap.all,
    pair_concepts: Annotated[
        int,
        typer.Option(
            min=0,
            help="Count all pairs among so many of the most frequent concepts. The pairs of 10,000 take 200 MB of "
            "memory a thread or process, three times that with --tags.",
        ),
    ] = 10_000,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="File of further pairs to count: two concepts a line, or CSV or parquet with columns a, b."
        ),
    ] = None,
    postings: Annotated[
        bool, typer.Option("--postings", help="Also write which rows hold each concept, for oddpair samples.")
    ] = False,
    rules: Annotated[
        Rules,
        typer.Option(
            help="How concepts are found: by this suite's rule (mentions), or as two papers counted: arXiv:2404.04125 "
            "(unigrams) or arXiv:2507.08000 (words)."
        ),
    ] = Rules.mentions,
    lemmas: Annotated[
        Path | None,
        typer.Option(help="Lemmas for the papers' rules: word, tab, lemma; or WordNet's noun.exc."),
    ] = None,
    stop_words: Annotated[
        Path | None,
        typer.Option(
            help="Words, one a line, that the papers' rules pass over or that are not mined; without --vocabulary and "
            "with --rules unigrams or words, they are used for both."
        ),
    ] = None,
    mined: Annotated[
        int | None, typer.Option(min=2, help="Without --vocabulary: take so many of the most frequent words.")
    ] = None,
    nouns: Annotated[
        Path | None,
        typer.Option(
            help="Without --vocabulary: take only words of this list, such as WordNet's index.noun."
        ),
    ] = None,
    subset: SUBSET = None,
    workers: WORKERS = 2,
    engine: ENGINE = None,
    max_bad: MAX_BAD = 0.001,
    as_json: AS_JSON = False,
) -> None:
    """Count concepts and pairs in captions, and in pictures where there are tags; goes on where it was."""
    import json

    from oddpair import files
    from oddpair.commands import count as command
    from oddpair.commands.count_page import PAGE, write_page
    from oddpair.commands.paths import need_files, need_folders
    from oddpair.commands.read import read_corpus
    from oddpair.errors import Refusal
    from oddpair.progress import say
    from oddpair.retrieval.counting.jobs import count_corpus
    from oddpair.retrieval.counting.plan import CountPlan, TagFile

    need_files(pairs, lemmas, stop_words, nouns, subset, None if tags is None or tags.is_dir() else tags)
    if tags is None and tag_threshold is not None:
        raise Refusal("--tag-threshold is of --tags, and none are given: add them, or leave it out")
    plan = CountPlan(
        finding=command.choose_rules(
            rules.value, overlap.value, lemmas=lemmas, stop_words=stop_words, mined=not vocabulary
        ),
        vocabulary=command.choose_concepts(vocabulary, most=mined, nouns=nouns, stop_words=stop_words),
        tags=None if tags is None else TagFile(path=tags, threshold=tag_threshold),
        pair_concepts=pair_concepts,
        pairs=pairs,
        postings=postings,
    )
    opened = read_corpus(corpus, subset)
    need_folders(opened, out)
    with files.locked(out):
        command.forget_page(out / PAGE)
        counted = count_corpus(opened, out, plan, workers=workers, engine=engine)
        if not (out / PAGE).is_file():
            write_page(out / PAGE, opened, counted)
    command.tell_left_out(opened, out, counted)
    if plan.tags is not None:
        for note in plan.tags.open(counted.vocabulary).notes:
            say(f"{tags}: {note}")
    if as_json:
        tell(json.dumps(command.as_json(counted, len(opened), out), sort_keys=True, allow_nan=False))
    else:
        command.tell_counts(counted, out)
        tell(f"page: {out / PAGE}")
    leave_if_damaged(out, damaged=counted.damaged, lost=counted.lost, seen=len(opened), max_bad=max_bad)
