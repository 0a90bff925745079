"""The page of ``oddpair dedup``: numbers, scores and pairs to look at, which is what choosing a threshold takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup
from numpy.typing import NDArray

from oddpair import files, html
from oddpair.commands.sides import Side
from oddpair.commands.thumbnails import find_files, side_by_side
from oddpair.html_style import GROUP_COLOURS
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.manifest import CardRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 25
_GROUPS = 6
_SHOWN_OF_GROUP = 11
_PAIRS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A side whose rows can be found by uid: its uids, sorted and each once, and the row of each."""

    side: Side
    uids: pa.Array
    rows: IntArray

    def captions(self, uids: Sequence[str]) -> dict[str, str]:
        """Return the captions of some uids."""
        return dict(zip(uids, self.side.stored.captions(self._find(uids)), strict=True))

    def pictures(self, uids: Sequence[str]) -> dict[str, bytes]:
        """Return the pictures of some uids; one that is not there or cannot be decoded is passed over."""
        rows = dict(zip(uids, self._find(uids).tolist(), strict=True))
        return find_files(self.side.corpus, self.side.stored.sizes, rows)

    def _find(self, uids: Sequence[str]) -> IntArray:
        found: IntArray = self.rows[
            pc.index_in(pa.array(uids, self.uids.type), value_set=self.uids).to_numpy()
        ]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What stays (a kept row, or a test picture), what is dropped for it, and the score of the two."""

    stays: str
    dropped: str
    score: float


def write_page(
    path: Path, matches: pa.Table, stays: Lookup, dropped: Lookup, card: Sequence[CardRow], *, lead: str
) -> None:
    """Write the page.

    Args:
        path: The file.
        matches: Uids ``stays`` and ``dropped``, and their ``score``.
        stays: The side of what stays.
        dropped: The side of what is dropped.
        card: Numbers, in reading order.
        lead: What was compared.
    """
    sections = [html.section("Numbers", html.card("Near-duplicates", card))]
    if len(matches):
        scores = matches["score"].to_numpy()
        alt = f"Histogram of {len(scores):,} scores, from {scores.min():.3f} to {scores.max():.3f}"
        groups, nearest = _largest_groups(matches), _lowest(matches)
        shown = [*nearest, *(match for group in groups for match in group)]
        left, right = sorted({match.stays for match in shown}), sorted({match.dropped for match in shown})
        pictures = stays.pictures(left), dropped.pictures(right)
        captions = dropped.captions(right)
        sections += [
            html.section("Scores", html.svg(_plot(scores), alt)),
            html.section("Nearest to the threshold", *_show_nearest(nearest, captions, *pictures)),
            html.section("Largest groups", *_show_groups(groups, stays.captions(left), captions, *pictures)),
        ]
    files.write_text(path, html.page("Near-duplicates", sections, lead=lead))


def _largest_groups(matches: pa.Table) -> list[list[Match]]:
    """Choose what most is dropped for, with the nearest and the farthest of it."""
    counts = matches.group_by("stays").aggregate([("score", "count")])
    order = counts.sort_by([("score_count", "descending"), ("stays", "ascending")])
    groups = []
    for uid in order["stays"][:_GROUPS].to_pylist():
        mine = matches.filter(pc.equal(matches["stays"], uid))
        mine = mine.sort_by([("score", "descending"), ("dropped", "ascending")])
        rest = max(0, len(mine) - _SHOWN_OF_GROUP)
        # The farthest are those in doubt; of the nearest a few say enough.
        near = min(len(mine), _SHOWN_OF_GROUP) // 2
        groups.append(_to_matches(pa.concat_tables([mine[:near], mine[near + rest :]])))
    return groups


def _lowest(matches: pa.Table) -> list[Match]:
    order = [("score", "ascending"), ("dropped", "ascending"), ("stays", "ascending")]
    return _to_matches(matches.take(pc.select_k_unstable(matches, k=_PAIRS, sort_keys=order)))


def _to_matches(table: pa.Table) -> list[Match]:
    return [Match(**row) for row in table.select(["stays", "dropped", "score"]).to_pylist()]


def _plot(scores: NDArray[np.float32]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    axes = figure.subplots()
    counts, edges = np.histogram(scores, bins=_BINS, range=(float(scores.min()), float(scores.max()) + 1e-6))
    axes.stairs(counts, edges, fill=True, color=GROUP_COLOURS[0])
    axes.set_xlabel("score")
    axes.set_ylabel("pairs")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _show_nearest(
    matches: Sequence[Match],
    captions: Mapping[str, str],
    left: Mapping[str, bytes],
    right: Mapping[str, bytes],
) -> list[Markup]:
    advice = (
        "If these are not the same picture to you, the threshold is too low; if all of them are, a lower one may "
        "find more."
    )
    parts = [html.paragraph(advice)]
    shown = [match for match in matches if match.stays in left and match.dropped in right]
    if shown:
        sheet = [
            (
                side_by_side([left[match.stays], right[match.dropped]]),
                f"{match.score:.4f} {captions[match.dropped]}",
            )
            for match in shown
        ]
        caption = (
            "Left what stays, right what is dropped, with its score and caption; the lowest scores first"
        )
        parts.append(html.contact_sheet(sheet, columns=3, caption=caption, shape=2))
    rows = [[f"{match.score:.4f}", match.dropped, match.stays, captions[match.dropped]] for match in matches]
    table = html.table(["score", "dropped", "stays", "caption of the dropped"], rows, caption="Lowest scores")
    return [*parts, html.fold("The same as a table" if shown else "Table", table, is_open=not shown)]


def _show_groups(
    groups: Sequence[Sequence[Match]],
    first: Mapping[str, str],
    second: Mapping[str, str],
    left: Mapping[str, bytes],
    right: Mapping[str, bytes],
) -> list[Markup]:
    parts = []
    for group in groups:
        head = group[0].stays
        if head in left:
            sheet = [(side_by_side([left[head]]), f"stays: {first[head]}")]
            sheet += [
                (side_by_side([right[match.dropped]]), f"{match.score:.4f} {second[match.dropped]}")
                for match in group
                if match.dropped in right
            ]
            parts.append(html.contact_sheet(sheet, columns=6))
    rows = [
        [match.stays, match.dropped, f"{match.score:.4f}", second[match.dropped]]
        for group in groups
        for match in group
    ]
    columns = ["stays", "dropped", "score", "caption of the dropped"]
    table = html.table(columns, rows, caption="The nearest and the farthest of each group")
    return [*parts, html.fold("The same as a table" if parts else "Table", table, is_open=not parts)]
