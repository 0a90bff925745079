"""The plot of ``oddpair graph``: how often pairs are seen together against how often chance would show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.html_style import GROUP_COLOURS
from oddpair.splits.pairs.findings import ABSENT, NESTED, NOT_COUNTED, SEEN, UNSEEN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

_INK = "#000000"
_MOST_POINTS = 3000
_MOST_TICKS = 7
# Below the decades: a band for the pairs of no caption, and one for those that nobody counted.
_BANDS = {UNSEEN: -0.65, NOT_COUNTED: -1.45}
_BAND_OF = {UNSEEN: UNSEEN, ABSENT: UNSEEN, NOT_COUNTED: NOT_COUNTED, NESTED: NOT_COUNTED}
_HALF_BAND = 0.3
_KINDS = (
    ("seen together", SEEN, None, GROUP_COLOURS[0], "o"),
    ("unseen, identifiable", UNSEEN, True, GROUP_COLOURS[1], "^"),
    ("unseen, not identifiable", UNSEEN, False, GROUP_COLOURS[3], "X"),
    ("a concept is absent", ABSENT, None, GROUP_COLOURS[4], "v"),
    ("not counted", NOT_COUNTED, None, GROUP_COLOURS[6], "s"),
    ("nested, no pair", NESTED, None, GROUP_COLOURS[5], "D"),
)


def plot_pairs(table: pa.Table) -> tuple[Figure, int]:
    """Draw every pair at its expected and observed count, both on log scales; a count of 0 has a band of its own.

    Args:
        table: What ``describe_pairs`` found.

    Returns:
        The figure, and how many pairs are not drawn because there are thousands of their kind.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    expected = table["expected"].to_numpy()
    status = table["status"].to_numpy(zero_copy_only=False)
    identifiable = table["identifiable"].to_numpy()
    observed = table["count_text"].fill_null(0).to_numpy()

    powers = np.log10(expected[expected > 0])
    lowest = float(np.floor(powers.min(initial=0.0)))
    across = np.full(len(table), lowest - 0.5)
    across[expected > 0] = powers
    top = max(1.0, float(np.ceil(np.log10(max(1, int(observed.max(initial=0)))) + 0.05)))
    right = max(1.0, float(np.ceil(powers.max(initial=0.0) + 0.05)))

    left_out = 0
    for label, name, wanted, colour, marker in _KINDS:
        chosen = np.flatnonzero((status == name) & ((wanted is None) | (identifiable == wanted)))
        if not len(chosen):
            continue
        drawn = chosen[np.argsort(expected[chosen], kind="stable")]
        drawn = drawn[np.linspace(0, len(drawn) - 1, min(len(drawn), _MOST_POINTS)).astype(np.int64)]
        left_out += len(chosen) - len(drawn)
        up = np.log10(observed[drawn]) if name == SEEN else _BANDS[_BAND_OF[name]] + _spread(len(drawn))
        axes.plot(
            *(across[drawn], up, marker),
            color=colour,
            alpha=0.75,
            markersize=5,
            markeredgewidth=0,
            label=f"{label}, n = {len(chosen):,}",
        )
    axes.plot([0, min(top, right)], [0, min(top, right)], color=_INK, alpha=0.5, linewidth=1, label="chance")
    _mark_scales(
        axes,
        lowest,
        right,
        top,
        has_zero=bool((expected == 0).any()),
        bands_of={_BAND_OF.get(name) for name in status.tolist()},
    )
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure, left_out


def _spread(number: int) -> FloatArray:
    """Spread points over the height of a band, so that neighbours do not hide each other."""
    golden = (np.arange(number) * 0.6180339887) % 1
    return np.asarray(_HALF_BAND * (2 * golden - 1) * 0.8, np.float64)


def _mark_scales(
    axes: Axes, lowest: float, right: float, top: float, *, has_zero: bool, bands_of: set[str | None]
) -> None:
    bands = [
        (name, place, label)
        for (name, place), label in zip(_BANDS.items(), ("0", "not\ncounted"), strict=True)
        if name in bands_of
    ]
    for _, place, _ in bands:
        axes.axhspan(place - _HALF_BAND, place + _HALF_BAND, color=_INK, alpha=0.06, linewidth=0)
    heights, widths = _decades(0, top), _decades(lowest, right)
    axes.set_yticks(
        [*(place for _, place, _ in bands), *heights],
        [*(label for _, _, label in bands), *map(_name, heights)],
    )
    zero = [lowest - 0.5] if has_zero else []
    axes.set_xticks([*zero, *widths], [*("0" for _ in zero), *map(_name, widths)])
    axes.set_ylim(min([-0.1, *(place - 0.4 for _, place, _ in bands)]), top)
    axes.set_xlim(lowest - (0.8 if has_zero else 0.1), right)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("captions with both that chance would give", fontsize=9)
    axes.set_ylabel("captions with both", fontsize=9)


def _decades(low: float, high: float) -> list[int]:
    step = int(np.ceil((high - low + 1) / _MOST_TICKS))
    return [power for power in range(int(low), int(high) + 1) if power % step == 0]


def _name(power: int) -> str:
    return f"{10.0**power:,.0f}" if 0 <= power <= 6 else f"{10.0**power:g}"
