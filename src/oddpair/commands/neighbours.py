"""The page of ``oddpair neighbours``: how near, and pairs to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from oddpair import files, html
from oddpair.commands.sides import Side
from oddpair.commands.thumbnails import find_files, side_by_side
from oddpair.retrieval.neighbour_summary import SAMPLES, SUMMARY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "page.html"
_KINDS = {
    "nearest": "The most similar pairs",
    "median": "Pairs about the median",
}


def write_page(path: Path, corpus: Side, tests: Side) -> None:
    """Write a page of a finished search: histograms, quantiles and pairs to look at, with pictures if there are.

    Args:
        path: The page, in the folder of the search.
        corpus: What was searched.
        tests: The test images.
    """
    out = path.parent
    summary = files.read_json(out / SUMMARY)
    samples = files.read_table(out / SAMPLES).to_pylist()
    lead = (
        f"{corpus.name}, {summary['rows']:,} rows, against {summary['tests']:,} test images of {tests.name}: cosine "
        "similarity of each to the nearest of the other, by exact search."
    )
    sections = [html.section("How near", *_show_counts(summary))]
    pictures = _find_pictures(corpus, tests, samples)
    for kind, title in _KINDS.items():
        chosen = [sample for sample in samples if sample["kind"] == kind]
        if chosen:
            sections.append(html.section(title, *_show_pairs(chosen, pictures)))
    files.write_text(path, html.page("Neighbours", sections, lead=lead))


def _show_counts(summary: dict[str, Any]) -> list[Markup]:
    figure = _plot(summary)
    both = zip(summary["shares"], summary["test_quantiles"], summary["row_quantiles"], strict=True)
    rows = [[_name_share(share), f"{test:.4f}", f"{row:.4f}"] for share, test, row in both]
    columns = ["quantile", "test images to the corpus", "rows to the test images"]
    parts = [
        html.svg(
            figure, "Shares of test images and of corpus rows by their largest similarity to the other side"
        ),
        html.table(columns, rows, caption="Quantiles of the largest similarity"),
    ]
    if summary["hits"] is not None:
        kept = summary["rows"] - summary["hits"]
        numbers = {"rows above a threshold": summary["hits"], "rows kept": kept}
        parts.append(html.card("Threshold", numbers))
    return parts


def _name_share(share: float) -> str:
    return {0: "smallest", 0.5: "median", 1: "largest"}.get(share, f"{share:.0%}")


def _plot(summary: dict[str, Any]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, label, colour in (
        ("test", "test images, to the nearest row", "#0072b2"),
        ("row", "corpus rows, to the nearest test image", "#d55e00"),
    ):
        lower, counts = np.array(summary[f"{name}_histogram"]).T
        width = 0.02
        edges = np.append(lower, lower[-1] + width)
        axes.stairs(counts / counts.sum(), edges, label=label, color=colour, linewidth=1.6)
    axes.set_xlabel("largest cosine similarity")
    axes.set_ylabel("share")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _find_pictures(corpus: Side, tests: Side, samples: list[dict[str, Any]]) -> dict[tuple[str, str], bytes]:
    """Read each pair's pictures, small and side by side; without pairs of which one is not there."""
    ours = find_files(
        corpus.corpus, corpus.stored.sizes, {sample["uid"]: sample["row"] for sample in samples}
    )
    theirs = (
        tests.corpus.find_pictures({sample["test"] for sample in samples}) if ours and tests.corpus else {}
    )
    return {
        (sample["test"], sample["uid"]): side_by_side([theirs[sample["test"]], ours[sample["uid"]]])
        for sample in samples
        if sample["test"] in theirs and sample["uid"] in ours
    }


def _show_pairs(samples: list[dict[str, Any]], pictures: dict[tuple[str, str], bytes]) -> list[Markup]:
    parts = []
    shown = [
        (pictures[sample["test"], sample["uid"]], f"{sample['score']:.3f} {sample['caption']}")
        for sample in samples
        if (sample["test"], sample["uid"]) in pictures
    ]
    if shown:
        caption = "Left a test image, right the nearest row of the corpus, with its caption"
        parts.append(html.contact_sheet(shown, columns=3, caption=caption, shape=2))
    rows = [
        [f"{sample['score']:.4f}", sample["test"], sample["uid"], sample["caption"]] for sample in samples
    ]
    columns = ["similarity", "test image", "nearest row", "caption of the row"]
    table = html.table(columns, rows, caption="Test images and the nearest rows")
    return [*parts, html.fold("The same as a table" if shown else "Table", table, is_open=not shown)]
