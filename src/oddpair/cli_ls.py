"""``oddpair ls``: the benchmarks that ship, and what lies at hand: corpora, splits, scores, audits, each with its card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oddpair.cli_options import AS_JSON, tell
from oddpair.errors import Refusal

if TYPE_CHECKING:
    from oddpair.benchmarks.benchmark import Benchmark
    from oddpair.commands.ls import Artifact

_LONGEST = 160


def ls(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Benchmarks that ship, told with all their tasks, or folders; default: all of them, and this folder.",
        ),
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """List benchmarks, and the corpora, embeddings, counts, splits, models, scores and audits that lie in folders."""
    import json

    from oddpair.benchmarks.benchmark_file import load_benchmark, shipped
    from oddpair.commands.ls import find_artifacts

    given = names or []
    known = [name for name in given if name in shipped()]
    folders = [Path(name) for name in given if name not in shipped()]
    strange = next((folder for folder in folders if not folder.is_dir()), None)
    if strange is not None:
        raise Refusal(f"no benchmark '{strange}', and no such folder: there are {', '.join(shipped())}")
    benchmarks = [load_benchmark(name) for name in (known if given else shipped())]
    passed: list[str] = []
    found = find_artifacts(folders if given else [Path()], passed.append)
    if as_json:
        told = {one.name: _describe(one) for one in benchmarks}
        tell(json.dumps({"benchmarks": told, "found": [_as_plain(one) for one in found]}))
        return
    for one in benchmarks:
        _tell_benchmark(one, whole=bool(given))
    whole = len(found) == 1 and len(folders) == 1 and found[0].path == folders[0]
    for each in found:
        tell(f"{each.kind} {each.path}: {f'BROKEN: {each.broken}' if each.broken else each.line}")
        if whole:
            for key, value in each.card.items():
                text = value if isinstance(value, str) else json.dumps(value)
                tell(f"    {key}: {text if len(text) <= _LONGEST else f'{text[:_LONGEST]}…'}")
    for line in passed:
        tell(line)
    if not found and not benchmarks:
        tell(f"nothing that oddpair makes or takes lies in {', '.join(map(str, folders))}")


def _tell_benchmark(one: Benchmark, *, whole: bool) -> None:
    tell(f"{one.name}, version {one.version}: {one.about}")
    if not whole:
        tell(f"    {len(one.tasks)} tasks on {', '.join(one.sets)}")
        return
    for place in one.sets.values():
        tell(f"    set {place.name}: {place.layout or 'any layout'} in {place.path or '.'}")
    for task in one.tasks:
        classes = f", {len(task.only or task.classes.keys):,} classes" if task.classes else ""
        limit = f", limited to --split {task.split}" if task.split else ""
        tell(f"    task {task.name}: {task.kind} of {task.set}, {task.family}{classes}{limit}")


def _describe(one: Benchmark) -> dict[str, Any]:
    return {
        "version": one.version,
        "about": one.about,
        "sets": {place.name: {"layout": place.layout, "path": place.path} for place in one.sets.values()},
        "tasks": {
            task.name: {"set": task.set, "kind": task.kind, "family": task.family, "split": task.split}
            for task in one.tasks
        },
    }


def _as_plain(one: Artifact) -> dict[str, Any]:
    return {"kind": one.kind, "path": str(one.path), "line": one.line, "card": one.card, "broken": one.broken}
