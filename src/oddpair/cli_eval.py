"""``oddpair eval`` and ``oddpair score``: zero-shot scores of checkpoints, and the same scores from their records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddpair.cli_embed import Device, Precision
from oddpair.cli_options import AS_JSON, OUT, WORKERS, tell
from oddpair.errors import Refusal
from oddpair.progress import say

_MODEL = (
    "'reference', an open_clip architecture, 'hf-hub:ORG/NAME' or 'local-dir:FOLDER' of what is on this machine, or a model "
    "folder. May be repeated."
)


def evaluate(
    out: OUT,
    model: Annotated[list[str] | None, typer.Option(help=_MODEL)] = None,
    pretrained: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights of an architecture: a .safetensors or .pt file, or a tag whose weights are on this machine. "
            "Several for one model, or one for each."
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(help="File of models: a line 'model,pretrained' each, and a sha256 if you have one."),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help="Benchmark: the name of a shipped one (oddpair ls), a YAML file, or the folder of an "
            "evaluation set. May be repeated."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FOLDER: where the sets of a benchmark lie, or BENCHMARK.SET=FOLDER for one of them."
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER of a split that tasks are limited to, or a folder of such folders."),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task, TASK or BENCHMARK.TASK. May be repeated.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of embeddings, shared between runs; default: OUT/cache.")
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="bf16: about twice as fast; scores change in the third digit.")
    ] = Precision.fp32,
    device: Annotated[Device, typer.Option(help="auto: a GPU where there is one.")] = Device.auto,
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Share of pictures that may be damaged; exit 3 if more are.")
    ] = 0.0,
    workers: WORKERS = 2,
    as_json: AS_JSON = False,
) -> None:
    """Score checkpoints on benchmarks; finished tasks are kept, and an interrupted run goes on from where it was."""
    import json
    from dataclasses import asdict

    from oddpair import files
    from oddpair.commands.embed import choose_device
    from oddpair.commands.evaluate import evaluate as run
    from oddpair.commands.evaluate_plan import make_plan, need_splits, read_places, read_splits
    from oddpair.commands.evaluate_report import PAGE_FILE, write_report
    from oddpair.commands.paths import need_folder
    from oddpair.eval.models_file import read_models
    from oddpair.eval.result_table import as_text

    need_folder(out, "--out")
    if cache is not None:
        need_folder(cache, "--cache")
    choices = read_models(model or [], pretrained or [], models)
    plan = make_plan(
        suite or [], read_places(data or [], "--data"), read_splits(split or []), only=tuple(task or ())
    )
    need_splits(plan, split or [])
    for name, why in plan.skipped.items():
        say(f"{name} is left out: {why}")
    for note in dict.fromkeys(note for planned in plan.tasks for note in planned.found.notes):
        say(note)
    with files.locked(out):
        done = run(
            choices,
            plan,
            out,
            cache=cache or out / "cache",
            workers=workers,
            precision=precision.value,
            device=choose_device(device.value),
        )
        found = write_report(out, plan)
    if as_json:
        tell(json.dumps({"results": [asdict(one.result) for one in found], "failures": dict(done.failures)}))
    elif found:
        for line in as_text(found).splitlines():
            tell(line)
        tell(f"tables: {out}/table.md, .csv and .tex; page: {out / PAGE_FILE}")
    if done.failures:
        raise Refusal(
            f"{len(done.failures)} of {len(choices) * len(plan.tasks)} scores failed, and the others are kept; the first: "
            + next(iter(done.failures.values()))
        )
    damaged = max(
        (result.damaged / max(result.n_images + result.damaged, 1) for result in done.results), default=0.0
    )
    if damaged > max_bad:
        say(
            f"oddpair: done, but {damaged:.2%} of the pictures of a set are damaged, --max-bad is {max_bad:g}"
        )
        raise typer.Exit(3)


def score(
    results: Annotated[
        list[Path], typer.Argument(help="What oddpair eval wrote, or the folder of one model in it.")
    ],
    as_json: AS_JSON = False,
) -> None:
    """Compute every metric again from the records, and refuse a result that does not follow from them."""
    import json

    from oddpair.commands.evaluate_report import score_again

    checked = score_again(results)
    if as_json:
        tell(json.dumps(checked))
        return
    for name, metrics in checked.items():
        tell(f"{name}: {metrics:,} metrics follow from the records")
