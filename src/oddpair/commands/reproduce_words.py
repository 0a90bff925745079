"""What ``oddpair predict --reproduce`` says: lines for a terminal and a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oddpair.commands.reproduce_tables import as_markdown
from oddpair.eval.result_table import align

_CORRELATIONS = (
    "figure", "label", "published r", "our r", "points", "bins kept", "bins left out", "r over concepts", "r over all bins",
    "verdict",
)  # fmt: skip
_AGREEMENTS = ("table", "column", "numbers", "largest difference", "rounding allows", "verdict")
_INTERVALS = (
    "intervals are 95 %: r over bins takes bins as independent points, r over concepts draws whole concepts with all their "
    "test sets, lines draw models"
)
_LINES = ("models of", "axes", "n", "slope", "intercept", "residual sd", "points above the testbed's line")


def show_reproduction(found: Mapping[str, Any]) -> Iterator[str]:
    """Say in lines what `reproduce_frequency` found."""
    yield _sum_up(found)
    for title, header, rows, n_names in _tables(found):
        yield ""
        yield f"{title}:"
        yield from align([header, *rows], n_names=n_names).splitlines()
    yield ""
    yield _INTERVALS
    for title, part in (("not made again", "given"), ("warnings", "warnings")):
        if found[part]:
            yield ""
            yield f"{title}:"
            yield from (f"  {line}" for line in found[part])


def write_page(found: Mapping[str, Any]) -> Iterator[str]:
    """Write the same as Markdown, a part at a time."""
    yield f"# The published figures, made again\n\n{_sum_up(found)}\n"
    for title, header, rows, n_names in _tables(found):
        yield as_markdown(title, header, rows, n_names=n_names)
    yield f"{_INTERVALS}\n"
    for title, part in (("Not made again", "given"), ("Warnings", "warnings")):
        if found[part]:
            yield f"## {title}\n\n" + "".join(
                f"- {line.replace('|', chr(92) + '|')}\n" for line in found[part]
            )


def _sum_up(found: Mapping[str, Any]) -> str:
    told = found["summary"]
    return (
        f"{told['correlations_that_hold']} of {told['correlations']} published correlations are made again from the raw "
        f"counts to {told['tolerance']:g} (largest difference {told['largest_difference']:.1g}), "
        f"{told['of_other_counts']} of them printed from other counts; {told['columns_that_hold']} of "
        f"{told['columns']} columns of the other tables agree within rounding"
    )


def _tables(
    found: Mapping[str, Any],
) -> Iterator[tuple[str, Sequence[str], list[tuple[str, ...]], int]]:
    correlations: list[tuple[str, ...]] = [_show_correlation(row) for row in found["correlations"]]
    agreements: list[tuple[str, ...]] = [
        (
            row["table"],
            row["column"],
            f"{row['n']:,}",
            "one side blank" if row["largest"] is None else f"{row['largest']:.2g}",
            f"{row['tolerance']:.2g}",
            row["verdict"],
        )
        for row in found["agreements"]
    ]
    lines: list[tuple[str, ...]] = [
        (
            row["table"],
            row["axes"],
            f"{row['slope']['n']:,}",
            _with_interval(row["slope"], 3),
            _with_interval(row["intercept"], 3),
            f"{row['residual_sd']:.3f}",
            "-" if row["above_standard"] is None else _with_interval(row["above_standard"], 1, scale=100),
        )
        for row in found["lines"]
    ]
    yield "Correlations of accuracy with frequency", _CORRELATIONS, correlations, 2
    yield "Other tables", _AGREEMENTS, agreements, 2
    yield "Lines of effective robustness, probit axes", _LINES, lines, 2


def _show_correlation(row: Mapping[str, Any]) -> tuple[str, ...]:
    kept, every = row["n_kept"], row["n"]
    empty = f" ({row['n_empty']} empty)" if row["n_empty"] else ""
    return (
        f"{row['task']} {row['metric']}, {row['model']} {row['corpus']}, {row['method']}",
        row["label"],
        f"{row['published']:.4f}",
        _with_interval(row["r"], 4, ends=2),
        str(row["r"]["n"]),
        f"{row['kept']} of {row['bins']}",
        f"{', '.join(map(str, row['left_out']))}{empty}: {every - kept:,} of {every:,} concepts",
        _with_interval(row["r_over_concepts"], 2),
        _with_interval(row["r_all_bins"], 2),
        row["verdict"],
    )


def _with_interval(
    estimate: Mapping[str, Any] | None, digits: int, *, ends: int | None = None, scale: float = 1.0
) -> str:
    if estimate is None:
        return "-"
    value, low, high = (
        None if estimate[end] is None else estimate[end] * scale for end in ("value", "low", "high")
    )
    least, most = ("unbounded" if end is None else f"{end:.{ends or digits}f}" for end in (low, high))
    return f"{value:.{digits}f} [{least}, {most}]"
