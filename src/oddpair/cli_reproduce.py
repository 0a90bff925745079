"""``oddpair reproduce``: a submission's weights run again by a maintainer, on pictures drawn in secret."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_embed import Device
from oddpair.cli_options import AS_JSON, tell


def reproduce(
    submission: Annotated[Path, typer.Argument(help="Folder of the submission.")],
    model: Annotated[str, typer.Option(help="The model, as for oddpair eval.")],
    pretrained: Annotated[str | None, typer.Option(help="Its weights, as for oddpair eval.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER: where the sets of a benchmark lie, as for oddpair eval."),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Splits that tasks are limited to, as for oddpair eval."),
    ] = None,
    pictures: Annotated[int, typer.Option(min=100, help="Pictures to draw of each task.")] = 1000,
    seed: Annotated[
        str | None, typer.Option(help="Seed of an earlier reproduction, to draw its pictures again.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of attestations; none is written where answers differ.")
    ] = Path("benchmarks/reproductions"),
    device: Annotated[Device, typer.Option(help="auto: a GPU where there is one.")] = Device.auto,
    as_json: AS_JSON = False,
) -> None:
    """Run the pinned weights of a submission again on pictures drawn in secret, and attest that its answers hold."""
    import json
    import secrets
    from dataclasses import asdict

    from oddpair.commands.embed import choose_device
    from oddpair.commands.reproduction import attest, plan_of, reproduce, tower_of
    from oddpair.eval.submission.bundle import read_folder
    from oddpair.eval.submission.recompute import recompute

    entry = recompute(read_folder(submission))
    plan = plan_of(entry, data or [], split or [])
    # Nobody knows it before the run; with it anybody can draw the same pictures afterwards.
    drawn = seed or secrets.token_hex(16)
    tower = tower_of(entry, model, pretrained, choose_device(device.value))
    found = reproduce(entry, tower, plan, seed=drawn, pictures=pictures)
    if as_json:
        tell(json.dumps({"seed": drawn, "tasks": {name: asdict(task) for name, task in found.items()}}))
    else:
        for name, task in found.items():
            tell(
                f"{name}: {task.agree:.2%} of {task.n:,} answers are the same, scores differ by {task.largest_difference:.1e} "
                "at most"
            )
    path = attest(out, entry, found, seed=drawn)
    if not as_json:
        tell(f"reproduced: {path}")
