"""The page of ``oddpair count``: the most frequent concepts and pairs, what never occurs, and how counts spread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from oddpair import files, html
from oddpair.commands.count import find_labels
from oddpair.html_style import GROUP_COLOURS
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.counting.jobs import Counted
from oddpair.retrieval.counting.pmi import pmi

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = "card.html"
_SHOWN = 25
_ABSENT_SHOWN = 200
# PMI of fewer captions says little: its standard error is above a third.
_SUPPORTED = 10
_BINS = 40
_POINTS = 500

FloatArray = NDArray[np.float64]


def write_page(path: Path, corpus: Corpus, counted: Counted) -> None:
    """Write the page of a finished count."""
    found = counted.counts
    notes = [html.paragraph(f"Note: {line}.") for line in find_labels(counted)]
    sections = [html.section("Numbers", html.card("Counts", _card(corpus, counted)), *notes)]
    if found.text.any():
        sections.append(html.section("Concepts", *_show_concepts(found)))
    listed = np.flatnonzero(found.pair_text)
    if len(listed):
        sections.append(html.section("Pairs", *_show_pairs(found, listed)))
    lead = f"{corpus.name}: what {found.n_captions:,} captions mention" + (
        ", and what their images are tagged with." if found.image is not None else "."
    )
    files.write_text(path, html.page("Concepts and pairs", sections, lead=lead))


def _card(corpus: Corpus, counted: Counted) -> list[tuple[str, object]]:
    found = counted.counts
    return [
        ("rows of the corpus", len(corpus)),
        ("captions counted", found.n_captions),
        *((f"set aside: {reason}", rows) for reason, rows in sorted(counted.quarantined.items())),
        ("concepts", len(found.names)),
        ("concepts that some caption mentions", int(np.count_nonzero(found.text))),
        ("concepts a caption, on average", float(found.text.sum() / found.n_captions)),
        ("pairs of concepts that some caption mentions", int(np.count_nonzero(found.pair_text))),
        ("vocabulary", counted.vocabulary.sha256[:16]),
    ]


def _show_concepts(found: Counts) -> list[Markup]:
    order = np.argsort(-found.text, kind="stable")
    columns = ["concept", "captions", "in 1,000 captions"]
    rows: list[list[object]] = [
        [found.names[number], found.text[number], float(1000 * found.text[number] / found.n_captions)]
        for number in order[:_SHOWN].tolist()
    ]
    if found.image is not None and found.joint is not None:
        columns += ["images", "both"]
        for row, number in zip(rows, order[:_SHOWN].tolist(), strict=True):
            row += [found.image[number], found.joint[number]]
    parts = [
        html.svg(
            _plot_ranks(found.text[order]), "Captions of each concept by its rank, both scales logarithmic"
        ),
        html.table(columns, rows, caption=f"The {len(rows)} most frequent concepts"),
    ]
    absent = [found.names[number] for number in np.flatnonzero(found.text == 0).tolist()]
    if absent:
        more = f", and {len(absent) - _ABSENT_SHOWN:,} more" if len(absent) > _ABSENT_SHOWN else ""
        names = html.paragraph(", ".join(absent[:_ABSENT_SHOWN]) + more)
        parts.append(html.fold(f"{len(absent):,} concepts that no caption mentions", names))
    return parts


def _show_pairs(found: Counts, listed: NDArray[np.int64]) -> list[Markup]:
    together = found.pair_text[listed]
    first, second = found.text[found.a[listed]], found.text[found.b[listed]]
    values = pmi(together, first, second, found.n_captions)

    def show(chosen: NDArray[np.int64], caption: str) -> Markup:
        rows = [
            [
                found.names[found.a[listed[place]]],
                found.names[found.b[listed[place]]],
                together[place],
                float(first[place] * (second[place] / found.n_captions)),
                float(values[place]),
            ]
            for place in chosen.tolist()
        ]
        columns = ["first", "second", "captions with both", "expected by chance", "PMI in nats"]
        return html.table(columns, rows, caption=caption)

    parts = [
        html.svg(
            _plot_pmi(values, together),
            f"Histogram of the PMI of {len(values):,} pairs, from {values.min():.2f} to {values.max():.2f}",
        ),
        show(np.argsort(-together, kind="stable")[:_SHOWN], "The pairs that most captions mention"),
    ]
    supported = np.flatnonzero(together >= _SUPPORTED)
    if len(supported):
        highest = supported[np.argsort(-values[supported], kind="stable")[:_SHOWN]]
        lowest = supported[np.argsort(values[supported], kind="stable")[:_SHOWN]]
        parts += [
            show(
                highest, f"Far more often together than by chance, of pairs in {_SUPPORTED} captions or more"
            ),
            show(
                lowest, f"Far less often together than by chance, of pairs in {_SUPPORTED} captions or more"
            ),
        ]
    return parts


def _plot_ranks(ordered: NDArray[np.int64]) -> Figure:
    """Draw counts, the largest first, over their rank."""
    figure, axes = _empty("rank of the concept", "captions")
    n = int(np.count_nonzero(ordered))
    ranks = np.unique(np.geomspace(1, n, _POINTS).astype(np.int64))
    axes.loglog(ranks, ordered[ranks - 1], color=GROUP_COLOURS[0], marker="." if n < _POINTS else "")
    return figure


def _plot_pmi(values: FloatArray, together: NDArray[np.int64]) -> Figure:
    figure, axes = _empty("PMI in nats; 0 is chance", "pairs")
    spread = (float(values.min()), float(values.max()) + 1e-6)
    kinds = (("all pairs", values), (f"in {_SUPPORTED} captions or more", values[together >= _SUPPORTED]))
    for (label, shown), colour in zip(kinds, GROUP_COLOURS, strict=False):
        counts, edges = np.histogram(shown, bins=_BINS, range=spread)
        axes.stairs(counts, edges, fill=True, color=colour, label=f"{label}, n = {len(shown):,}")
    axes.axvline(0, color="#000000", linewidth=1)
    axes.legend(frameon=False)
    return figure


def _empty(across: str, up: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
