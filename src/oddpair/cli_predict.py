"""``oddpair predict``: accuracy from what a model was trained on, with the error that the prediction has."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import AS_JSON, WORKERS, tell
from oddpair.errors import Refusal


class Source(StrEnum):
    """What a table of accuracies is made from."""

    frequency = "frequency"
    scores = "scores"


class Published(StrEnum):
    """Published figures that can be made again."""

    frequency = "frequency"


def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="Table (.csv or .parquet), by its columns: 'model, corpus, dataset, concept, accuracy' and counts; "
            "'objects' for samples of several; 'question' or 'text' for samples of text. With --import, what it is made from.",
        ),
    ],
    import_from: Annotated[
        Source | None,
        typer.Option("--import", help="Make the table: of published tables, or of what oddpair eval wrote."),
    ] = None,
    reproduce: Annotated[
        Published | None, typer.Option(help="Make the published figures again from the published tables.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; with --import, the table to write.")
    ] = None,
    counts: Annotated[
        list[str] | None,
        typer.Option(help="What oddpair count wrote, as CORPUS=FOLDER or FOLDER; may be repeated."),
    ] = None,
    trained_on: Annotated[
        list[str] | None, typer.Option(help="MODEL=CORPUS, where there are several corpora; may be repeated.")
    ] = None,
    prompts: Annotated[
        str, typer.Option(help="Of published tables: ensemble, class or simple.")
    ] = "ensemble",
    all_sets: Annotated[
        bool, typer.Option("--all-sets", help="Of published tables: ImageNet-R and ImageNet-Sketch too.")
    ] = False,
    anchor: Annotated[
        str | None,
        typer.Option(
            help="Dataset whose accuracy is known of a new model; default: imagenet, else the largest."
        ),
    ] = None,
    top1: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=FRACTION: accuracy on it of a model that the table does not test there."),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--add", min=1, help="Samples that could be added to each corpus: tells which concepts'."
        ),
    ] = None,
    corpus_size: Annotated[
        list[str] | None,
        typer.Option(help="CORPUS=SAMPLES; of three or more, the largest is predicted from the others."),
    ] = None,
    predicted: Annotated[
        bool, typer.Option("--predicted", help="Of samples of text: the model's answers, not the true ones.")
    ] = False,
    workers: WORKERS = 2,
    as_json: AS_JSON = False,
) -> None:
    """Predict accuracies from concept counts and PMI: of new concepts, datasets and models, and say how well that does."""
    import json

    if import_from is not None:
        _import(
            paths,
            import_from,
            out,
            counts or [],
            trained_on or [],
            prompts,
            all_sets=all_sets,
            as_json=as_json,
        )
        return
    if len(paths) != 1:
        raise Refusal(f"{len(paths)} paths: give one table; several are for --import scores")
    if reproduce is not None:
        from oddpair.commands.reproduce import reproduce_frequency, show_reproduction

        again = reproduce_frequency(paths[0], out)
        for line in [json.dumps(again)] if as_json else show_reproduction(again):
            tell(line)
        return
    _predict(
        paths[0],
        out,
        counts or [],
        anchor,
        top1 or [],
        budget,
        corpus_size or [],
        workers,
        predicted=predicted,
        as_json=as_json,
    )


def _import(
    paths: list[Path],
    source: Source,
    out: Path | None,
    counts: list[str],
    trained_on: list[str],
    prompts: str,
    *,
    all_sets: bool,
    as_json: bool,
) -> None:
    import json

    from oddpair.commands.predict_import import import_frequency, import_scores, show_import

    table = out or Path("table.parquet")
    if source is Source.frequency:
        if len(paths) != 1:
            raise Refusal(f"{len(paths)} paths: give the one folder of the published tables")
        found = import_frequency(paths[0], table, prompts, all_sets=all_sets)
    else:
        if not counts:
            raise Refusal("no counts: give --counts CORPUS=FOLDER, what oddpair count wrote")
        found = import_scores(paths, table, counts=counts, trained_on=trained_on)
    for line in [json.dumps(found)] if as_json else show_import(found):
        tell(line)


def _predict(
    path: Path,
    out: Path | None,
    counts: list[str],
    anchor: str | None,
    top1: list[str],
    budget: int | None,
    corpus_size: list[str],
    workers: int,
    *,
    predicted: bool,
    as_json: bool,
) -> None:
    import json

    from oddpair.commands.predict_kind import (
        ACCURACIES,
        OBJECTS,
        find_kind,
        one_folder,
        read_folders,
        read_sizes,
    )

    kind = find_kind(path)
    if kind == ACCURACIES:
        from oddpair.commands.predict import as_json as as_plain
        from oddpair.commands.predict import predict_table, show_predicted
        from oddpair.commands.predict_outcome import find_more, write_outcome

        found = predict_table(path, anchor=anchor, top1=top1, workers=workers)
        more = find_more(found, budget=budget, sizes=read_sizes(corpus_size), whole=out is not None)
        if out is not None:
            write_outcome(found, more, out)
        if as_json:
            tell(json.dumps(as_plain(found) | more.as_json()))
        else:
            for line in show_predicted(found):
                tell(line)
            for line in more.show():
                tell(line)
        return
    if kind == OBJECTS:
        from oddpair.commands.predict_objects import predict_objects, show_objects

        sets = predict_objects(path, read_folders(counts), out)
        lines = [json.dumps(sets)] if as_json else show_objects(sets)
    else:
        from oddpair.commands.predict_texts import predict_texts, show_texts

        texts = predict_texts(path, one_folder(counts), out, answers="predicted" if predicted else "gold")
        lines = [json.dumps(texts)] if as_json else show_texts(texts)
    for line in lines:
        tell(line)
