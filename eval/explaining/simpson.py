"""Warnings that a trend over all rows is a trend between datasets: Simpson's paradox."""

from __future__ import annotations

from dataclasses import dataclass

from oddpair.eval.explaining.within import CountEffects
from oddpair.eval.intervals import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpsonWarning:
    """One reason not to read counts off a trend over all rows.

    Attributes:
        text: The warning, its numbers in it.
        difference: The contrast behind it, whose 97.5 % interval leaves out 0.
    """

    text: str
    difference: Estimate


def find_simpson(effects: CountEffects) -> tuple[SimpsonWarning, ...]:
    """Warn where datasets, rather than counts, make a trend.

    Two warnings are possible: the datasets at hand explain more variance than counts do, and slopes between datasets differ from
    those within by more than their errors allow, by which the pooled slope differs too. Where neither holds, one of
    them is given in at most about 5 % of tables by chance.

    Args:
        effects: What counts explain of one model's accuracies.

    Returns:
        The warnings, none where the data do not call for one.
    """
    return tuple(warning for warning in (_warn_of_means(effects), _warn_of_slopes(effects)) if warning)


def _warn_of_means(effects: CountEffects) -> SimpsonWarning | None:
    if effects.excess is None or effects.shares is None or effects.within is None or effects.excess.low <= 0:
        return None
    shares, within = effects.shares, effects.within.slope
    return SimpsonWarning(
        text=f"dataset means explain {shares.datasets.value:.0%} of the variance, counts"
        f" {shares.counts.value:.0%} ({shares.both.value - shares.datasets.value:.0%} beside those means):"
        f" quote the slope within datasets, {_per_decade(within)}",
        difference=effects.excess,
    )


def _warn_of_slopes(effects: CountEffects) -> SimpsonWarning | None:
    contrast = effects.contrast
    if contrast is None or contrast.low <= 0 <= contrast.high:
        return None
    assert effects.pooled is not None  # a contrast is made of slopes within and between, whose mixture it is
    assert effects.within is not None
    assert effects.between is not None
    pooled, within = effects.pooled.slope, effects.within.slope
    if within.low <= 0 <= within.high:
        nature = "counts explain nothing within datasets that chance would not"
    elif pooled.value * within.value < 0:
        nature = "the pooled slope has the wrong sign"
    else:
        nature = f"the pooled slope is {pooled.value / within.value:.1f} times the one within"
    return SimpsonWarning(
        text=f"{nature}: per decade of count accuracy changes by {_per_decade(pooled)} over all rows,"
        f" {_per_decade(effects.between.slope)} between datasets and {_per_decade(within)} within them",
        difference=contrast,
    )


def _per_decade(slope: Estimate) -> str:
    return f"{slope.value:+.3f} [{slope.low:+.3f}, {slope.high:+.3f}]"
