"""The page of ``oddpair count``: the most frequent concepts and pairs, what never occurs, and how counts spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
_AT_ONCE = 1 << 20

FloatArray = NDArray[np.float64]


def write_page(path: Path, corpus: Corpus, counted: Counted) -> None:
    """Write the page of a finished count."""
    found = counted.counts
    notes = [html.paragraph(f"Note: {line}.") for line in find_labels(counted)]
    sections = [html.section("Numbers", html.card("Counts", _card(corpus, counted)), *notes)]
    if found.text.any():
        sections.append(html.section("Concepts", *_show_concepts(found)))
    if found.pair_text.any():
        sections.append(html.section("Pairs", *_show_pairs(found)))
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


def _show_pairs(found: Counts) -> list[Markup]:
    supported = f"of pairs in {_SUPPORTED} captions or more"
    tables: dict[str, Callable[[_Block], NDArray[Any]]] = {
        "The pairs that most captions mention": lambda block: -block.together,
        f"Far more often together than by chance, {supported}": lambda block: block.order(-block.values),
        f"Far less often together than by chance, {supported}": lambda block: block.order(block.values),
    }
    best: dict[str, NDArray[np.int64]] = {caption: np.zeros(0, np.int64) for caption in tables}
    low, high = np.inf, -np.inf
    # Some at a time: of tens of millions of pairs, an array more would be felt.
    for block in _blocks(found):
        low, high = min(low, block.values.min()), max(high, block.values.max())
        for caption, order in tables.items():
            first = np.argsort(order(block), kind="stable")[:_SHOWN]
            chosen = block.places[first[np.isfinite(order(block)[first])]]
            both = _Block.of(found, np.concatenate([best[caption], chosen]))
            best[caption] = both.places[np.argsort(order(both), kind="stable")[:_SHOWN]]
    spread = (float(low), float(high) + 1e-6)
    bins = [np.zeros(_BINS, np.int64), np.zeros(_BINS, np.int64)]
    for block in _blocks(found):
        for kind, shown in zip(bins, (block.values, block.values[block.together >= _SUPPORTED]), strict=True):
            kind += np.histogram(shown, bins=_BINS, range=spread)[0]
    name = f"Histogram of the PMI of {bins[0].sum():,} pairs, from {low:.2f} to {high:.2f}"
    return [
        html.svg(_plot_pmi(bins, np.linspace(*spread, _BINS + 1)), name),
        *(_show(found, places, caption) for caption, places in best.items() if len(places)),
    ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Some of the listed pairs that some caption mentions: their places, counts and PMI."""

    places: NDArray[np.int64]
    together: NDArray[np.int64]
    values: FloatArray

    @classmethod
    def of(cls, found: Counts, places: NDArray[np.int64]) -> _Block:
        together = found.pair_text[places]
        first, second = found.text[found.a[places]], found.text[found.b[places]]
        return cls(places=places, together=together, values=pmi(together, first, second, found.n_captions))

    def order(self, values: FloatArray) -> FloatArray:
        """Put pairs of little support behind all others."""
        return np.where(self.together >= _SUPPORTED, values, np.inf)


def _blocks(found: Counts) -> Iterator[_Block]:
    for start in range(0, len(found.a), _AT_ONCE):
        places = start + np.flatnonzero(found.pair_text[start : start + _AT_ONCE])
        if len(places):
            yield _Block.of(found, places)


def _show(found: Counts, places: NDArray[np.int64], caption: str) -> Markup:
    block = _Block.of(found, places)
    rows = [
        [
            found.names[found.a[place]],
            found.names[found.b[place]],
            together,
            float(found.text[found.a[place]] * (found.text[found.b[place]] / found.n_captions)),
            value,
        ]
        for place, together, value in zip(
            places.tolist(), block.together.tolist(), block.values.tolist(), strict=True
        )
    ]
    columns = ["first", "second", "captions with both", "expected by chance", "PMI in nats"]
    return html.table(columns, rows, caption=caption)


def _plot_ranks(ordered: NDArray[np.int64]) -> Figure:
    """Draw counts, the largest first, over their rank."""
    figure, axes = _empty("rank of the concept", "captions")
    n = int(np.count_nonzero(ordered))
    ranks = np.unique(np.geomspace(1, n, _POINTS).astype(np.int64))
    axes.loglog(ranks, ordered[ranks - 1], color=GROUP_COLOURS[0], marker="." if n < _POINTS else "")
    return figure


def _plot_pmi(bins: Sequence[NDArray[np.int64]], edges: FloatArray) -> Figure:
    figure, axes = _empty("PMI in nats; 0 is chance", "pairs")
    kinds = ("all pairs", f"in {_SUPPORTED} captions or more")
    for label, counts, colour in zip(kinds, bins, GROUP_COLOURS, strict=False):
        axes.stairs(counts, edges, fill=True, color=colour, label=f"{label}, n = {counts.sum():,}")
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
