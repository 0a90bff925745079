"""The tables of a run: made once from its results, shown on the terminal and in the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from oddpair import files
from oddpair.demo.numbers import IMPOSSIBLE, show_estimate, show_number, show_share
from oddpair.progress import visible
from oddpair.splits.manifest import Manifest, read_manifest
from oddpair.splits.unseen_pairs import PairTable

if TYPE_CHECKING:
    import pyarrow as pa

Results = Mapping[str, Any]

STRICT, CONTROL = "natural-strict", "control"
KINDS = {"seen": "seen", "held-out": "held out by design", "rare": "unseen by rarity"}
UNSEEN_KINDS = {"all": "all unseen", **{kind: KINDS[kind] for kind in ("held-out", "rare")}}
MEAN, COUNT = "mean", "log count"
_NONE = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text: cells are written already, one per column."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.title}: row {index} has {len(row)} cells, {len(self.columns)} columns"
                )


def make_tables(out: Path, results: Results) -> tuple[Table, ...]:
    """Make every table of a run, in the order of the report.

    Args:
        out: The run's folder.
        results: What its ``results.json`` holds.
    """
    return (
        style_table(results),
        correlation_table(results),
        prediction_table(results, "concepts"),
        gain_table(results, "concepts"),
        pair_accuracy_table(results),
        cooccurrence_table(
            files.read_table(out / "results" / "pair_rows.parquet"),
            PairTable.from_table(files.read_table(out / "splits" / "pairs.parquet")),
        ),
        transfer_table(results),
        unseen_table(results),
        pmi_table(results),
        quintile_table(results),
        prediction_table(results, "pairs"),
        gain_table(results, "pairs"),
        planted_table(results),
        split_table(read_splits(out)),
    )


def read_splits(out: Path) -> tuple[Manifest, ...]:
    """Read the splits of a run, sorted by name."""
    return tuple(read_manifest(path.parent) for path in sorted((out / "splits").glob("*/manifest.json")))


def style_table(results: Results) -> Table:
    """Compare the style-strict model with its control in every style."""
    return Table(
        title="Style gap",
        caption=(
            "Zero-shot accuracy of the model trained on the style-strict natural split, and of its control: as "
            "many rows that name the same concepts, in every style. A ratio below 1 is what leaving the style "
            "out of the training set costs."
        ),
        columns=("style", "strict", "control", "strict / control", "n"),
        rows=tuple(
            (
                style,
                show_estimate(entry[STRICT]),
                show_estimate(entry[CONTROL]),
                show_estimate(entry["ratio"], 2, reason="the control has no hit"),
                f"{entry[STRICT]['n']:,}",
            )
            for style, entry in sorted_styles(results)
        ),
    )


def sorted_styles(results: Results) -> list[tuple[str, Mapping[str, Any]]]:
    """List the styles, natural first, then by the ratio of strict to control, smallest first."""
    styles: Mapping[str, Any] = results["styles"]

    def order(style: str) -> tuple[bool, float, str]:
        ratio = styles[style]["ratio"]
        return style != "natural", ratio["value"] if ratio else float("inf"), style

    return [(style, styles[style]) for style in sorted(styles, key=order)]


def correlation_table(results: Results) -> Table:
    """Set r over concepts beside the binned r, and say what the bins leave out."""
    trend = results["concepts"]["trend"]
    dropped = "; ".join(trend["dropped"]) or "nothing"
    kept = f"{sum(point['n'] for point in trend['points']):,} concepts in {len(trend['points'])} bins"
    rows = (
        ("each concept", trend["raw"], "accuracy or count does not vary", "every concept"),
        ("bins, first and last left out", trend["binned"], "fewer than three bins that differ", kept),
        ("all bins that are not empty", trend["all_bins"], "fewer than three bins that differ", ""),
    )
    return Table(
        title="Accuracy and log count",
        caption=(
            "Correlation of accuracy with log10(1 + count) over concepts, beside the same over bins of equal "
            f"width in log count, as the frequency literature reports it. Bins left out: {dropped}."
        ),
        columns=("r over", "r", "points", "of"),
        rows=tuple(
            (name, show_estimate(entry, reason=reason), f"{entry['n']:,}" if entry else _NONE, of or _NONE)
            for name, entry, reason, of in rows
        ),
    )


def prediction_table(results: Results, part: str) -> Table:
    """Show how each model predicts concepts that its fit has not met.

    Args:
        results: What ``results.json`` holds.
        part: ``concepts`` or ``pairs``.
    """
    found = results[part]["cross_validation"]
    title = "Predicting concepts" if part == "concepts" else "Predicting seen pairs"
    columns = ("model", "R²", "log loss, nats", "mean absolute error, points")
    if IMPOSSIBLE in found:
        return _impossible(title, columns, found)
    ceiling = show_number(found["ceiling"], 3) if found["ceiling"] is not None else _NONE
    return Table(
        title=title,
        caption=(
            f"Cross-validated with whole concepts held out: {found['n_rows']:,} rows of {found['n_concepts']:,} "
            f"concepts in {found['folds']} folds, intervals over targets. The baselines are the mean and the log "
            "count alone; the ceiling is the R² that the true accuracies would reach against the noise of few "
            "test pictures."
        ),
        columns=columns,
        rows=(
            *(
                (
                    score["model"],
                    show_estimate(score["r2"]),
                    show_estimate(score["log_loss"]),
                    show_estimate(score["absolute_error"], 1),
                )
                for score in found["scores"]
            ),
            ("ceiling", ceiling, _NONE, _NONE),
        ),
    )


def gain_table(results: Results, part: str) -> Table:
    """Show what each model gains over each baseline.

    Args:
        results: What ``results.json`` holds.
        part: ``concepts`` or ``pairs``.
    """
    found = results[part]["cross_validation"]
    title = "Gain over the baselines, " + ("concepts" if part == "concepts" else "seen pairs")
    columns = ("model", "over", "R² gained", "log loss saved, nats")
    if IMPOSSIBLE in found:
        return _impossible(title, columns, found)
    return Table(
        title=title,
        caption="Both predict the same held-out rows; above 0 is better than the baseline.",
        columns=columns,
        rows=tuple(
            (
                score["model"],
                baseline,
                show_estimate(score["r2_gain"][baseline]),
                show_estimate(score["log_loss_gain"][baseline], 4),
            )
            for score in found["scores"]
            if score["model"] != MEAN
            for baseline in (MEAN, COUNT)
            if baseline in score["r2_gain"]
        ),
    )


def pair_accuracy_table(results: Results) -> Table:
    """Show accuracy on seen, held-out and rare pairs, before anything is controlled."""
    accuracy = results["pairs"]["accuracy"]
    return Table(
        title="Accuracy on pairs",
        caption=(
            'Picture of A and B, texts "a photo of X and B" for every X: a hit if X = A. Both orders of every '
            "pair. Nothing is controlled here: the kinds differ in how often their concepts occur."
        ),
        columns=("pairs", "accuracy", "gap to seen, points", "n questions"),
        rows=tuple(
            (
                name,
                show_estimate(accuracy[kind]),
                _NONE if kind == "seen" else _raw_gap(accuracy, kind),
                f"{accuracy[kind]['n']:,}",
            )
            for kind, name in KINDS.items()
            if kind in accuracy
        ),
    )


def cooccurrence_table(rows: pa.Table, pairs: PairTable) -> Table:
    """Show how often the corpus shows the tested pairs together, in captions and in pictures apart.

    Args:
        rows: The scored ordered pairs, with ``target``, ``partner`` and ``kind``.
        pairs: The pair table of the whole corpus.
    """
    kind_of = {
        (min(row["target"], row["partner"]), max(row["target"], row["partner"])): row["kind"]
        for row in rows.select(["target", "partner", "kind"]).to_pylist()
    }
    counts: dict[str, tuple[list[int], list[int]]] = {kind: ([], []) for kind in KINDS}
    for a, b, text, image in zip(
        pairs.a.tolist(), pairs.b.tolist(), pairs.count_text.tolist(), pairs.count_image.tolist(), strict=True
    ):
        if (a, b) in kind_of:
            counts[kind_of[a, b]][0].append(text)
            counts[kind_of[a, b]][1].append(image)
    return Table(
        title="Together in the corpus",
        caption=(
            "Rows of the whole corpus that hold both concepts of a tested pair: captions by their words, pictures by "
            "their tags. A pair is called unseen only if both are 0 and the search finds no picture of it either."
        ),
        columns=("pairs", "n", "captions: median", "captions: most", "pictures: median", "pictures: most"),
        rows=tuple(
            (
                name,
                f"{len(counts[kind][0]):,}",
                *(cell for part in counts[kind] for cell in _median_and_most(part)),
            )
            for kind, name in KINDS.items()
            if counts[kind][0]
        ),
    )


def transfer_table(results: Results) -> Table:
    """Show unseen pairs as predicted by a fit on seen pairs."""
    transfer = results["pairs"]["transfer"]
    columns = (
        "pairs",
        "predicted",
        "true",
        "bias, points",
        "r over rows",
        "r over bins",
        "n pairs",
        "rows outside",
    )
    rows = []
    for kind, name in UNSEEN_KINDS.items():
        found = transfer[kind]
        if IMPOSSIBLE in found:
            rows.append((name, show_estimate(found), *[_NONE] * (len(columns) - 2)))
            continue
        rows.append(
            (
                name,
                show_number(found["predicted"], 3),
                show_number(found["observed"], 3),
                show_estimate(found["bias"], 1),
                show_estimate(found["r"], 2, reason="no variation"),
                show_estimate(found["r_binned"], 2, reason="no variation"),
                f"{found['n_pairs']:,}",
                f"{found['n_outside']:,}",
            )
        )
    return Table(
        title="Unseen pairs predicted from single counts",
        caption=(
            "A fit on seen pairs from the counts of the two concepts alone predicts the unseen ones. Bias is "
            "predicted minus true, its interval over pairs. Rows outside have a count beyond those of the fit."
        ),
        columns=columns,
        rows=tuple(rows),
    )


def unseen_table(results: Results) -> Table:
    """Show what being unseen costs: raw, matched on counts, and with both concepts controlled."""
    pairs = results["pairs"]
    rows = []
    for kind, name in UNSEEN_KINDS.items():
        matched, penalty = pairs["matched"][kind], pairs["penalty"][kind]
        possible = IMPOSSIBLE not in matched
        rows.append(
            (
                name,
                show_estimate(matched["difference"] if possible else matched, 1),
                f"{matched['n_matched']:,} of {matched['n_matched'] + matched['n_unmatched']:,}"
                if possible
                else _NONE,
                *(
                    (show_estimate(penalty),) + (_NONE,) * 2
                    if IMPOSSIBLE in penalty
                    else (
                        show_estimate(penalty["points"], 1),
                        show_estimate(penalty["beta"]),
                        f"{penalty['n_unseen']:,} + {penalty['n_seen']:,}",
                    )
                ),
            )
        )
    return Table(
        title="What being unseen costs",
        caption=(
            "Matched: unseen minus seen rows that were paired one to one within 0.1 decade on both counts. "
            "Modelled: the mean change of P(hit) by β in logit P(hit) = target + partner + β · unseen, errors "
            "robust to pairs. Below 0, unseen pairs are harder."
        ),
        columns=(
            "pairs",
            "matched, points",
            "rows matched",
            "modelled, points",
            "β, logits",
            "rows unseen + seen",
        ),
        rows=tuple(rows),
    )


def pmi_table(results: Results) -> Table:
    """Show how accuracy on seen pairs goes with their PMI."""
    found = results["pairs"]["pmi"]
    columns = ("PMI of seen pairs and accuracy", "estimate", "n pairs")
    if IMPOSSIBLE in found:
        return _impossible("PMI", columns, found)
    names = {
        "r": "r, nothing controlled",
        "r_given_counts": "partial r given both log counts",
        "r_given_concepts": "partial r given both concepts",
        "logit_given_counts": "logits per nat, given both log counts",
        "logit_given_concepts": "logits per nat, given both concepts",
    }
    return Table(
        title="PMI",
        caption=(
            "Pairs that the training captions name together, both orders pooled; "
            f"{found['n_excluded']:,} ordered rows expected less than once are left out."
        ),
        columns=columns,
        rows=tuple(
            (label, show_estimate(found[name]), f"{found[name]['n']:,}") for name, label in names.items()
        ),
    )


def quintile_table(results: Results) -> Table:
    """Show accuracy by fifths of PMI at equal counts."""
    found = results["pairs"]["pmi"]
    columns = ("fifth", "median PMI, nats", "accuracy", "n pairs")
    if IMPOSSIBLE in found:
        return _impossible("Accuracy by fifth of PMI", columns, found)
    return Table(
        title="Accuracy by fifth of PMI",
        caption="Seen pairs from the least to the most associated, at the average of both log counts.",
        columns=columns,
        rows=tuple(
            (
                str(index),
                show_number(fifth["median_pmi"], 2),
                show_estimate(fifth["accuracy"]),
                f"{fifth['accuracy']['n']:,}",
            )
            for index, fifth in enumerate(found["quintiles"], start=1)
        ),
    )


def planted_table(results: Results) -> Table:
    """Compare what the suite found with what the world planted."""
    planted = results["planted"]
    pairs, counts = planted["pairs"], planted["counts"]
    return Table(
        title="What was planted and what was found",
        caption="Styles are judged on rows without a hand label, pairs and counts on the world's own record.",
        columns=("check", "found", "needed"),
        rows=(
            *_planted_styles(planted["style"], results["plan"]["precision"]),
            (
                "tested held-out pairs found unseen",
                f"{pairs['held_out_found_unseen']:,} of {pairs['held_out_tested']:,}",
                "all",
            ),
            (
                "pairs called unseen that a caption names or a picture shows",
                f"{pairs['found_unseen_but_shown_or_named']:,} of {pairs['found_unseen']:,}",
                "0",
            ),
            (
                "pairs in no caption but in a picture, found by the search",
                f"{pairs['silent_but_shown_found_by_search']:,} of {pairs['silent_but_shown']:,}",
                _NONE,
            ),
            (
                "mentions counted otherwise than the captions' truth",
                f"{counts['count_text_differences']:,}",
                "0",
            ),
            ("pictures counted otherwise than drawn", f"{counts['count_image_differences']:,}", "0"),
        ),
    )


def split_table(manifests: Sequence[Manifest]) -> Table:
    """List the splits of a run."""
    return Table(
        title="Splits",
        caption="Each is a folder of uids with a card and the hash of the list.",
        columns=("split", "rows", "what it is"),
        rows=tuple((split.name, f"{len(split):,}", describe_split(split)) for split in manifests),
    )


def describe_split(split: Manifest) -> str:
    """Say in a few words what a split is."""
    parameters = split.parameters
    match split.recipe:
        case "style-strict":
            return f"{parameters['style']} rows, none too near a test picture of another style"
        case "control":
            return (
                f"rows in every style, matched with {parameters['control_of']} by {parameters['matched_by']}"
            )
        case "unseen-pairs":
            return f"test pictures of pairs that are {split.name.removeprefix('pairs-')}"
        case _:
            return split.recipe


def show(tables: Sequence[Table]) -> None:
    """Print tables on stdout: with rules and wrapped cells on a terminal, as aligned plain text elsewhere."""
    if sys.stdout.isatty():
        _show_on_terminal(tables)
        return
    for table in tables:
        print("\n".join(_plain_lines(table)))


def _show_on_terminal(tables: Sequence[Table]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    for table in tables:
        shown = RichTable(title=Text(table.title, style="bold"), title_justify="left", box=SIMPLE_HEAD)
        for name in table.columns:
            shown.add_column(Text(name))
        for row in table.rows:
            shown.add_row(*(Text(visible(cell)) for cell in row))
        console.print(shown)


def _plain_lines(table: Table) -> Iterator[str]:
    grid = [table.columns, *(tuple(visible(cell) for cell in row) for row in table.rows)]
    widths = [max(len(row[column]) for row in grid) for column in range(len(table.columns))]
    yield table.title
    for row in grid:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells).rstrip()
    yield ""


def _impossible(title: str, columns: tuple[str, ...], found: Mapping[str, Any]) -> Table:
    row = ("all", show_estimate(found), *[_NONE] * (len(columns) - 2))
    return Table(
        title=title, caption="The rows of this run cannot give these numbers.", columns=columns, rows=(row,)
    )


def _median_and_most(numbers: Sequence[int]) -> tuple[str, str]:
    return f"{median(numbers):g}", f"{max(numbers):,}" if min(numbers) >= 0 else "not tagged"


def _raw_gap(accuracy: Mapping[str, Any], kind: str) -> str:
    return (
        show_number(100 * (accuracy[kind]["value"] - accuracy["seen"]["value"]), 1)
        if "seen" in accuracy
        else _NONE
    )


def _planted_styles(styles: Mapping[str, Any], precision: float) -> Iterator[tuple[str, str, str]]:
    for style, found in styles.items():
        yield (
            f"{style}: precision of the classifier",
            _share_of(found["precision"]),
            f"{precision:.0%} or more",
        )
        yield f"{style}: recall of the classifier", _share_of(found["recall"]), _NONE
        for name, when in (("wrong_before_search", "before"), ("wrong_after_search", "after")):
            yield f"{style}: rows of another style {when} the search", _share_of(found[name]), _NONE
        yield f"{style}: rows that the search took out", f"{found['left_by_search']:,}", _NONE


def _share_of(entry: Mapping[str, Any]) -> str:
    return f"{show_share(entry, 2)} of {entry['n']:,}"
