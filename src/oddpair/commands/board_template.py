"""Templates and styles that lie beside the pages of the leaderboard: all text is escaped, and no name may be missing."""

from __future__ import annotations

import functools
from importlib import resources

import jinja2
from markupsafe import Markup

from oddpair.progress import visible


def read_part(name: str) -> str:
    """Return a file of the package that pages are made of, such as ``board.css``."""
    return resources.files("oddpair.commands").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def read_template(name: str) -> jinja2.Template:
    """Return a template of the package: text is escaped, and what could reorder or hide a line is told by its number.

    >>> read_template("board_plot.html").environment.autoescape
    True
    """
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_tell,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(read_part(name))


def _tell(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
