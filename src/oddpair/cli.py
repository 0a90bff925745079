"""The command line: ``oddpair VERB``. Rooms are imported where a verb needs them, so that --help is quick."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer

from oddpair import __version__
from oddpair.cli_corpus import add_corpus_verbs
from oddpair.cli_demo import add_demo_verbs
from oddpair.errors import Refusal

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Is a CLIP test out-of-distribution? Are its object pairs unseen? Was its accuracy predictable?",
)
add_demo_verbs(app)
add_corpus_verbs(app)


# typer may bring its own click, so the error of a wrong command line is named by way of one that typer exports.
_Misuse: Any = typer.BadParameter.__bases__[0]


class Interrupted(BaseException):
    """SIGINT or SIGTERM; no KeyboardInterrupt, which typer would turn into exit code 1."""


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line.

    Exit 0 done, 2 refused with one line on stderr, 3 done with more bad input than was allowed, 130 interrupted.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        sys.exit(app(prog_name="oddpair", standalone_mode=False))
    except _Misuse as error:
        line = error.format_message()
        if not line:  # no verb was given, and the help has been printed
            sys.exit(2)
        command = error.ctx.command_path if error.ctx else "oddpair"
        _exit(f"{line.rstrip('.')}: see {command} --help", 2)
    except Refusal as refusal:
        _exit(str(refusal), 2)
    except Interrupted:
        _exit("interrupted: run the same command again to go on from here", 130)


def _exit(line: str, status: int) -> None:
    from oddpair.progress import say

    say(f"oddpair: {line}")
    sys.exit(status)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


if __name__ == "__main__":
    main()
