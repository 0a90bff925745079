"""``oddpair ls``: the benchmarks that ship, what each asks, and the files that it needs."""

from __future__ import annotations

from typing import Annotated

import typer

from oddpair.cli_options import AS_JSON, tell
from oddpair.errors import Refusal


def ls(
    benchmark: Annotated[
        str | None, typer.Argument(help="One of them, with all its tasks; default: a line each.")
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """List the benchmarks that ship, or the tasks of one."""
    import json

    from oddpair.benchmarks.benchmark_file import load_benchmark, shipped

    if benchmark is not None and benchmark not in shipped():
        raise Refusal(f"no benchmark '{benchmark}': there are {', '.join(shipped())}")
    found = [load_benchmark(name) for name in ([benchmark] if benchmark else shipped())]
    if as_json:
        tell(
            json.dumps(
                {
                    one.name: {
                        "version": one.version,
                        "about": one.about,
                        "sets": {
                            place.name: {"layout": place.layout, "path": place.path}
                            for place in one.sets.values()
                        },
                        "tasks": {
                            task.name: {
                                "set": task.set,
                                "kind": task.kind,
                                "family": task.family,
                                "split": task.split,
                            }
                            for task in one.tasks
                        },
                    }
                    for one in found
                }
            )
        )
        return
    for one in found:
        tell(f"{one.name}, version {one.version}: {one.about}")
        if benchmark is None:
            tell(f"    {len(one.tasks)} tasks on {', '.join(one.sets)}")
            continue
        for place in one.sets.values():
            tell(f"    set {place.name}: {place.layout or 'any layout'} in {place.path or '.'}")
        for task in one.tasks:
            classes = f", {len(task.only or task.classes.keys):,} classes" if task.classes else ""
            limit = f", limited to --split {task.split}" if task.split else ""
            tell(f"    task {task.name}: {task.kind} of {task.set}, {task.family}{classes}{limit}")
