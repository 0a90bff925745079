"""``oddpair robustness`` and ``oddpair baseline``: accuracy beyond what a baseline's line foretells."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_options import AS_JSON, OUT, WORKERS, tell


class ScaleName(StrEnum):
    """Transforms of accuracies."""

    probit = "probit"
    logit = "logit"


def robustness(
    results: Annotated[
        list[Path], typer.Argument(help="What oddpair eval wrote, or folders of models in it.")
    ],
    baseline: Annotated[
        Path,
        typer.Option(
            help="Baseline models: a folder of results, the table of the ImageNet testbed, of open_clip or of clip_benchmark "
            "build, or a CSV with columns model, x, y (fractions) and, for epochs of one run, group."
        ),
    ],
    axes: Annotated[
        str | None, typer.Option(help="Axes of the benchmark, such as natural; default: its only ones.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Benchmark, by name or YAML file; default: that of the results.")
    ] = None,
    scale: Annotated[ScaleName, typer.Option(help="Transform of both axes.")] = ScaleName.probit,
    out: Annotated[Path | None, typer.Option(help="Page to write, with the plot.")] = None,
    as_json: AS_JSON = False,
) -> None:
    """Measure effective robustness: how far models lie above the line through a baseline's accuracies."""
    import json

    from oddpair.commands import robustness as command

    measured = command.measure_robustness(results, baseline, axes_name=axes, suite=suite, scale=scale.value)
    if out is not None:
        command.write_page(out, measured)
    if as_json:
        tell(json.dumps(command.as_json(measured), allow_nan=False))
        return
    for line in command.as_lines(measured):
        tell(line)
    if out is not None:
        tell(f"page: {out}")


def baseline(
    demo: Annotated[Path, typer.Argument(help="Folder of a finished oddpair demo.")],
    out: OUT,
    workers: WORKERS = 2,
) -> None:
    """Train models on parts of a demo's natural split and score them: the miniature's baseline of robustness."""
    from oddpair.demo.score_baseline import make_baseline

    results = make_baseline(demo, out, workers=workers)
    tell(f"baseline: {results}")
    tell(f"next: oddpair robustness RESULTS --baseline {results}")
