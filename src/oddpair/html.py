"""Report pages: one self-contained file without script or network, from parts that escape what they show."""

import base64
import functools
import hashlib
import io
import math
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from oddpair.html_style import GROUP_COLOURS, STYLE
from oddpair.progress import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_NUMBER = re.compile(r"[-+−±]?\d[\d,.]*(e[-+]?\d+)?\s*(%|×|s|min|points)?\s*([\[(][^\])]*[\])])?|[-–—]|")
_PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
_PIXELS_PER_INCH = 96

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p class="lead">{{ lead }}</p>
{% if sections | length > 1 %}
<nav aria-label="Contents"><ol>
{% for section in sections %}
<li><a href="#{{ section.anchor }}">{{ section.title }}</a></li>
{% endfor %}
</ol></nav>
{% endif %}
</header>
<main>
{% for section in sections %}
<section id="{{ section.anchor }}">
<h2>{{ section.title }}</h2>
{{ section.body }}
</section>
{% endfor %}
</main>
<footer>Made by oddpair.</footer>
</body>
</html>
"""

_SECTION = """{% for part in parts %}
{{ part }}
{% endfor %}
{% if note %}
<p class="note">{{ note }}</p>
{% endif %}
"""

_CARD = """<div class="card">
<h3>{{ title }}</h3>
<dl>
{% for name, value in rows %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
</div>"""

_TABLE = """<div class="scroll" tabindex="0" role="region" aria-label="{{ caption }}">
<table>
<caption>{{ caption }}</caption>
<thead><tr>
{% for name, kind in columns %}
<th scope="col"{{ kind }}>{{ name }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for cell, kind in row %}<td{{ kind }}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
</div>"""

_BARS = """<figure>
{% if caption %}
<figcaption>{{ caption }}</figcaption>
{% endif %}
{% if legend | length > 1 %}
<ul class="legend">
{% for group, colour in legend %}
<li><i style="background:{{ colour }}"></i>{{ group }}</li>
{% endfor %}
</ul>
{% endif %}
<ul class="bars">
{% for bar in bars %}
<li>
<span class="label"><bdi>{{ bar.label }}</bdi>
{% if legend | length > 1 %}
<bdi class="group">{{ bar.group }}</bdi>
{% endif %}
</span>
<span class="track" role="img" aria-label="{{ bar.spoken }}">
<span class="fill" style="width:{{ bar.width }}%;background:{{ bar.colour }}"></span>
<span class="whisker" style="left:{{ bar.left }}%;width:{{ bar.span }}%"></span>
</span>
<span class="value"><span>{{ bar.value }}</span> <span class="interval">{{ bar.interval }}</span>
<span class="n">n = {{ bar.n }}</span></span>
</li>
{% endfor %}
</ul>
</figure>"""

_SHEET = """<figure>
{% if caption %}
<figcaption>{{ caption }}</figcaption>
{% endif %}
<ul class="sheet" style="--columns:{{ columns }}; --shape:{{ shape }}">
{% for source, text in pictures %}
<li><img src="{{ source }}" alt="{{ text }}" loading="lazy"><p><bdi>{{ text }}</bdi></p></li>
{% endfor %}
</ul>
</figure>"""

_FOLD = """<details{{ state }}>
<summary>{{ summary }}</summary>
{% for part in parts %}
{{ part }}
{% endfor %}
</details>"""

_PLOT = """<figure class="plot">
<div class="scroll" tabindex="0" role="img" aria-label="{{ alt }}">{{ drawing }}</div>
</figure>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a page under its own heading; ``section`` makes it."""

    title: str
    anchor: str
    body: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One horizontal bar: a fraction with its interval and the number of examples behind it."""

    label: str
    value: float
    low: float
    high: float
    n: int
    group: str = ""


def page(title: str, sections: Sequence[Section], *, lead: str) -> str:
    """Return a whole page: heading, lead sentence, contents and sections.

    Raises:
        ValueError: If there is no section, or two have the same title.
    """
    anchors = [section.anchor for section in sections]
    if not anchors or len(set(anchors)) < len(anchors):
        raise ValueError(f"found sections {anchors}, needed one or more with different titles")
    return str(
        _render(_PAGE, title=title, lead=lead, sections=sections, policy=_POLICY, style=Markup(STYLE))  # noqa: S704
    )


def section(title: str, *parts: str, note: str | None = None, anchor: str | None = None) -> Section:
    """Return a section of ``parts``, made by the functions below; plain text among them is escaped.

    Args:
        title: Its heading.
        parts: From top to bottom.
        note: What stands under them.
        anchor: Name for links to it; by default made from the title.
    """
    if anchor is None:
        anchor = re.sub(r"[\W_]+", "-", title.casefold()).strip("-")
    return Section(title=title, anchor=anchor, body=_render(_SECTION, parts=parts, note=note))


def paragraph(text: str) -> Markup:
    """Return one paragraph of plain text.

    >>> paragraph("1 < 2")
    Markup('<p>1 &lt; 2</p>')
    """
    return _render("<p>{{ text }}</p>", text=text)


def card(title: str, rows: Mapping[str, object] | Iterable[tuple[str, object]]) -> Markup:
    """Return a box of names and values; whole numbers get thousands separators."""
    pairs = rows.items() if isinstance(rows, Mapping) else rows
    return _render(_CARD, title=title, rows=[(name, _cell(value)) for name, value in pairs])


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    caption: str,
    numeric: Collection[str] | None = None,
) -> Markup:
    """Return a table that scrolls inside its own box where the screen is narrow.

    Whole numbers are shown with thousands separators, other numbers with three decimals (from 1,000 on
    with none), ``None`` and NaN as a dash.

    Args:
        columns: Column names.
        rows: One cell per column.
        caption: What the table shows.
        numeric: Columns to align right; by default those in which every cell reads as a number.

    Raises:
        ValueError: If a row has another number of cells than there are columns.
    """
    for index, row in enumerate(rows):
        if len(row) != len(columns):
            raise ValueError(f"row {index} has {len(row)} cells, the table has {len(columns)} columns")
    cells = [[_cell(value) for value in row] for row in rows]
    kinds = [
        Markup(' class="number"') if _is_numeric(name, [row[index] for row in cells], numeric) else Markup()
        for index, name in enumerate(columns)
    ]
    return _render(
        _TABLE,
        caption=caption,
        columns=list(zip(columns, kinds, strict=True)),
        rows=[list(zip(row, kinds, strict=True)) for row in cells],
    )


def bars(rows: Sequence[Bar], *, caption: str = "", limit: float = 1.0, groups: Sequence[str] = ()) -> Markup:
    """Return horizontal bars in per cent, each with its interval as a whisker, its numbers and its n.

    Args:
        rows: Bars from top to bottom; values are fractions.
        caption: What the bars show.
        limit: Fraction at the right end of the scale.
        groups: Groups in the order of their colours; by default as they first appear.

    Raises:
        ValueError: If there is no bar, a number is NaN or a value lies outside 0 to ``limit``.
    """
    if not rows:
        raise ValueError("found no bar, needed one or more")
    order = list(dict.fromkeys([*groups, *(bar.group for bar in rows)]))
    colours = {group: GROUP_COLOURS[index % len(GROUP_COLOURS)] for index, group in enumerate(order)}
    return _render(
        _BARS,
        caption=caption,
        legend=[(group, colours[group]) for group in order if group],
        bars=[_drawn(bar, limit, colours[bar.group]) for bar in rows],
    )


def contact_sheet(
    pictures: Iterable[tuple[bytes, str]], columns: int = 8, *, caption: str = "", shape: float = 1
) -> Markup:
    """Return a grid of pictures with their captions, embedded as they are.

    Args:
        pictures: Encoded JPEG or PNG bytes and the caption of each.
        columns: Pictures in a row on a wide screen; fewer where it is narrow.
        caption: What the sheet shows.
        shape: Width of each place by its height.

    Raises:
        ValueError: If there is no picture, or one is neither JPEG nor PNG.
    """
    sources = [(_data_address(data, index), text) for index, (data, text) in enumerate(pictures)]
    if not sources:
        raise ValueError("found no picture, needed one or more")
    return _render(_SHEET, pictures=sources, columns=columns, caption=caption, shape=shape)


def fold(summary: str, *parts: str, is_open: bool = False) -> Markup:
    """Return parts under a line that opens and closes them; plain text among them is escaped.

    Args:
        summary: The line.
        parts: What it opens, from top to bottom.
        is_open: Whether they are shown at first.
    """
    return _render(_FOLD, summary=summary, parts=parts, state=Markup(" open") if is_open else "")


def svg(figure: "Figure", alt: str) -> Markup:
    """Return a matplotlib figure as inline SVG: equal figures give equal bytes, ids are its own.

    Black and white follow the page's ink and paper, so that the plot is readable in the dark.

    Args:
        figure: The figure; it is left open.
        alt: What the figure shows, for those who cannot see it.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "oddpair", "svg.fonttype": "none"}), warnings.catch_warnings():
        # The reader's browser draws the words and has the letters that matplotlib's font lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        figure.savefig(buffer, format="svg")
    text = re.sub(r"\A.*?(?=<svg)|<metadata>.*?</metadata>\s*", "", buffer.getvalue(), flags=re.DOTALL)
    prefix = f"plot-{hashlib.sha256((alt + text).encode()).hexdigest()[:10]}-"
    # Odd pieces are tags, even ones the text between them, which may hold anybody's words.
    pieces = re.split(r"(<[^>]*>)", text)
    pieces[1::2] = [_inlined(tag, prefix) for tag in pieces[1::2]]
    pieces[2::2] = [visible(words) if words.strip() else words for words in pieces[2::2]]
    width = round(float(figure.get_figwidth()) * _PIXELS_PER_INCH)
    size = f'style="max-width:{width}px;min-width:min({width}px,30rem)" aria-hidden="true"'
    pieces[1] = re.sub(r' width="\S*" height="\S*"', f" {size}", pieces[1])
    # One rule for all that a figure draws; without a scope it would hold for the whole page.
    drawing = "".join(pieces).replace(">*{", ">.plot *{", 1)
    return _render(_PLOT, alt=alt, drawing=Markup(drawing))  # noqa: S704  matplotlib escapes its labels


def _render(template: str, **values: object) -> Markup:
    return Markup(_compile(template).render(values))  # noqa: S704  the template escapes


@functools.cache
def _compile(template: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(template)


def _finalize(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _cell(value: object) -> str:
    match value:
        case None:
            return "–"
        case Integral() if not isinstance(value, bool):
            return f"{int(value):,}"
        case Real() if not isinstance(value, bool):
            return _number(float(value))
        case _:
            return value if isinstance(value, Markup) else str(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def _is_numeric(name: str, cells: list[str], numeric: Collection[str] | None) -> bool:
    if numeric is not None:
        return name in numeric
    return any(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)


def _drawn(bar: Bar, limit: float, colour: str) -> dict[str, str]:
    numbers = (bar.value, bar.low, bar.high)
    if any(math.isnan(number) for number in numbers) or not 0 <= bar.value <= limit:
        raise ValueError(f"bar {bar.label!r} has {numbers}, needed a value within 0 and {limit:g}")
    low, high = max(bar.low, 0.0), min(bar.high, limit)
    value, interval = f"{bar.value:.1%}".replace("%", " %"), f"[{100 * bar.low:.1f}, {100 * bar.high:.1f}]"
    label = f"{bar.label}, {bar.group}" if bar.group else bar.label
    return {
        "label": bar.label,
        "group": bar.group,
        "colour": colour,
        "width": f"{100 * bar.value / limit:.2f}",
        "left": f"{100 * low / limit:.2f}",
        "span": f"{100 * max(high - low, 0.0) / limit:.2f}",
        "value": value,
        "interval": interval,
        "n": f"{bar.n:,}",
        "spoken": f"{label}: {value} {interval}, n = {bar.n:,}",
    }


def _data_address(data: bytes, index: int) -> str:
    for start, kind in _PICTURES.items():
        if data.startswith(start):
            return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    raise ValueError(f"picture {index} begins with {data[:8]!r}, needed JPEG or PNG")


def _inlined(tag: str, prefix: str) -> str:
    tag = re.sub(r'\bid="', f'id="{prefix}', tag)
    tag = re.sub(r'(url\(|href=")#', rf"\1#{prefix}", tag)
    tag = re.sub(r"(fill|stroke): #000000", r"\1: currentColor", tag)
    return re.sub(r"(fill|stroke): #ffffff", r"\1: var(--paper)", tag)
