"""Parts that the sections of a report share: figures side by side, their keys, long tables that fold, intervals."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from markupsafe import Markup

from oddpair import html
from oddpair.eval.intervals import Estimate
from oddpair.progress import visible

_GRID = Markup(
    '<div style="display:grid;grid-template-columns:repeat(auto-fill,minmax(min({least}rem,100%),1fr));gap:0 1.2rem">'
    "{figures}</div>"
)
# Margins of neighbours in a grid add up.
_PLACE = Markup('<div style="margin:-.5rem 0">{figure}</div>')
_KEYS = Markup('<ul class="legend">{keys}</ul>')
_KEY = Markup('<li><i style="background:{colour}"></i>{words}</li>')
# Longer tables open on a click.
_LONG = 12


def arrange(figures: Iterable[Markup], *, least: int) -> Markup:
    """Set figures side by side, as many as there is room for at so many rem each."""
    places = (_PLACE.format(figure=figure) for figure in figures)
    return _GRID.format(least=least, figures=Markup("\n").join(places))


def show_keys(keys: Iterable[tuple[str, str]]) -> Markup:
    """Say in words what colours are."""
    return _KEYS.format(
        keys=Markup().join(_KEY.format(colour=colour, words=visible(words)) for colour, words in keys)
    )


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    caption: str,
    numeric: Collection[str] | None = None,
) -> Markup:
    """Show a table as `oddpair.html.table` does; a long one under a line that opens it."""
    table = html.table(columns, rows, caption=caption, numeric=numeric)
    return table if len(rows) <= _LONG else html.fold(f"{caption}: {len(rows):,} rows", table)


def as_interval(low: float, high: float, form: str) -> str | None:
    """Write an interval, a dash for an end without bound; nothing where both are.

    >>> as_interval(-0.1, 0.25, "{:.2f}"), as_interval(-math.inf, math.inf, "{}")
    ('[−0.10, 0.25]', None)
    """
    if not (math.isfinite(low) or math.isfinite(high)):
        return None
    shown = (form.format(end).replace("-", "−") if math.isfinite(end) else "–" for end in (low, high))
    return f"[{', '.join(shown)}]"


def as_per_cent(estimate: Estimate) -> tuple[str, str | None]:
    """Write a share and its interval in per cent."""
    return f"{100 * estimate.value:.1f}", as_interval(100 * estimate.low, 100 * estimate.high, "{:.1f}")
