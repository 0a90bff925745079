"""``oddpair neighbours``: how near a corpus and a test set are to each other, row by row."""

from __future__ import annotations

import functools
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import CORPUS, EMBEDDINGS, MODEL, OUT, PRETRAINED, REFERENCE, WORKERS, tell
from oddpair.errors import Refusal


class Device(StrEnum):
    """Where the first pass runs."""

    cpu = "cpu"
    cuda = "cuda"


class FirstPass(StrEnum):
    """Arithmetic of the first pass."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


def neighbours(
    corpus: CORPUS,
    tests: Annotated[str, typer.Option(help="Test images: like CORPUS, or a folder of embeddings.")],
    out: OUT,
    k: Annotated[int, typer.Option("-k", min=1, help="Nearest rows of each test image.")] = 10,
    above: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="Mark rows whose similarity to any test image is above this."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Mark rows nearer to any test image than all of this set are (similarity gap): like CORPUS."
        ),
    ] = None,
    first_pass: Annotated[
        FirstPass, typer.Option(help="How candidates are chosen; the results do not depend on it.")
    ] = FirstPass.auto,
    device: Annotated[
        Device, typer.Option(help="cuda: the first pass on a GPU, in float16; the results are the same.")
    ] = Device.cpu,
    embeddings: EMBEDDINGS = None,
    test_embeddings: Annotated[
        Path | None, typer.Option(help="Folder of the test images' embeddings; made if missing.")
    ] = None,
    model: MODEL = REFERENCE,
    pretrained: PRETRAINED = None,
    workers: WORKERS = 2,
    engine: Annotated[
        str | None,
        typer.Option(
            help="dask:ADDRESS of a scheduler, such as dask:tcp://10.0.0.1:8786; without it, processes here."
        ),
    ] = None,
) -> None:
    """Find each row's nearest test image and each test image's nearest rows, exactly; goes on where it was."""
    from oddpair import files, stages
    from oddpair.commands.neighbours import PAGE, write_page
    from oddpair.commands.sides import open_side
    from oddpair.retrieval.neighbours import find_neighbours

    if above is not None and reference is not None:
        raise Refusal("--above and --reference both say which rows to mark: give one of them")
    if device is Device.cuda and first_pass is not FirstPass.auto:
        raise Refusal(
            f"--first-pass {first_pass} is of the processor, --device cuda has one of its own: give one of them"
        )
    page = out / PAGE
    open_with = functools.partial(open_side, out=out, model=model, pretrained=pretrained, workers=workers)
    # All of them before the lock, which would be left in a folder that is no place to write.
    against = open_with(tests, embeddings=test_embeddings)
    searched = open_with(corpus, embeddings=embeddings)
    gap = None if reference is None else open_with(reference, embeddings=None).stored
    with files.locked(out):
        if stages.made_from(out) is None and _was_searched(out):
            # It is no part of the search, which takes all that it finds in the end for its own.
            page.unlink(missing_ok=True)
        found = find_neighbours(
            searched.stored,
            against.stored,
            out,
            k=k,
            above=above if gap is None else gap,
            workers=workers,
            engine=engine,
            first_pass=first_pass.value,
            device=device.value,
        )
        if not page.is_file():
            write_page(page, searched, against)
    tell(f"{found.rows:,} rows and {found.tests:,} test images, the nearest of each: {out}")
    if found.hits is not None:
        tell(f"    {found.hits:,} rows are above a threshold, {found.rows - found.hits:,} are not")
    if found.work.pairs:
        tell(
            f"    of {found.work.pairs:,} similarities {found.work.exact:,} were computed again in full precision"
        )
    tell(f"page: {page}")


def _was_searched(out: Path) -> bool:
    from oddpair import files

    inputs = out / "inputs.json"
    return inputs.is_file() and {"corpus", "tests", "k", "above"} <= set(files.read_json(inputs))
