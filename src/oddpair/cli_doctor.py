"""``oddpair doctor``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from oddpair.cli_options import tell
from oddpair.progress import visible

if TYPE_CHECKING:
    from oddpair.commands.check import Check

_COLOURS = {"ok": "green", "slow": "yellow", "missing": "dim", "unusable": "red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Tell whether this machine is set up to run fast, and what to do where it is not; exit 2 if it cannot run."""
    from oddpair.commands.doctor import examine

    checks = list(examine())
    if as_json:
        print(json.dumps({"checks": [asdict(check) for check in checks]}, indent=1))
    elif sys.stdout.isatty():
        _print_table(checks)
    else:
        for check in checks:
            tell(f"{check.verdict:8s}  {check.topic}: {check.name}: {check.found}")
            if check.remedy:
                tell(f"          do: {check.remedy}")
    if not as_json:
        tell(_sum_up(checks))
    if any(check.verdict == "unusable" for check in checks):
        raise typer.Exit(2)


def _sum_up(checks: Sequence[Check]) -> str:
    slow, unusable = (
        [check.name for check in checks if check.verdict == verdict] for verdict in ("slow", "unusable")
    )
    if unusable:
        return f"oddpair cannot run here: {', '.join(unusable)}"
    if slow:
        return f"oddpair runs here, slower than it could: {', '.join(slow)}"
    return "oddpair runs here as fast as the machine allows"


def _print_table(checks: Sequence[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for topic, group in groupby(checks, key=lambda check: check.topic):
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(width=8)
        table.add_column(min_width=18)
        table.add_column(overflow="fold")
        for check in group:
            verdict = Text(check.verdict, style=_COLOURS[check.verdict])
            table.add_row(verdict, Text(visible(check.name)), Text(visible(check.found)))
            if check.remedy:
                table.add_row("", "", Text(f"do: {visible(check.remedy)}", style="italic"))
        console.print(Text(f"\n{topic}", style="bold"))
        console.print(table)
    console.print()
