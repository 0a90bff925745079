"""Laws by which error falls with data: ``err = A (C + B)^alpha (+ d)``, and a line on the logit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.objects import FloatArray

# What the search may find: error 1 at most where there is no data, and no error that grows with data.
_STEEPEST, _FLATTEST = -3.0, -1e-4
_STARTS = (-0.02, -0.1, -0.3, -1.0)
_OFFSET_STARTS = (0.1, 2.0)
_FLOOR_STARTS = (0.0, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """A fitted law ``err = amplitude * ((data + offset) / unit) ** exponent + floor``.

    Attributes:
        amplitude: Error above the floor where data and offset are one unit.
        offset: Data that a model has before any is counted.
        exponent: Below 0.
        floor: Error that no data takes away; 0 where the law has none.
        unit: Data that amounts are measured in, so that numbers stay near 1.
    """

    amplitude: float
    offset: float
    exponent: float
    floor: float
    unit: float

    def predict(self, data: FloatArray) -> FloatArray:
        """Accuracy at amounts of data, 0 to 1."""
        error = self.amplitude * ((data + self.offset) / self.unit) ** self.exponent + self.floor
        return np.asarray(np.clip(1 - error, 0.0, 1.0), np.float64)


def fit_power_law(
    data: FloatArray,
    accuracy: FloatArray,
    weight: FloatArray,
    *,
    has_offset: bool,
    has_floor: bool,
    start: PowerLaw | None = None,
) -> PowerLaw:
    """Fit a power law to mean accuracies by weighted least squares within bounds.

    Args:
        data: Amount of data behind each point, 0 or more (above 0 without an offset), shape ``(n,)``.
        accuracy: Mean accuracy, shape ``(n,)``.
        weight: Concepts behind each point, above 0, shape ``(n,)``.
        has_offset: Whether data is added to that which was counted; at most as much as the largest amount.
        has_floor: Whether some error stays whatever the data; at most the smallest error that was found.
        start: Where to begin, for data that differ little from those of another fit; otherwise several places are tried
            and the best end is kept.

    Returns:
        The law.

    Raises:
        ValueError: If there are fewer points than parameters, or data of 0 without an offset.

    References:
        Cherti et al., Reproducible scaling laws for contrastive language-image learning, arXiv:2212.07143. Their band
        multiplies the error of the curve by the logarithm of its quantile; none is made here, draws are fitted instead.

    >>> amounts = np.array([1.0, 10.0, 100.0, 1000.0])
    >>> law = fit_power_law(amounts, 1 - 0.8 * amounts**-0.2, np.ones(4), has_offset=False, has_floor=False)
    >>> round(law.exponent, 4)
    -0.2
    """
    from scipy.optimize import least_squares

    needed = 2 + has_offset + has_floor
    if len(data) < needed:
        raise ValueError(f"{len(data)} points for {needed} parameters")
    if not has_offset and (data <= 0).any():
        raise ValueError("a point without data, where the law without an offset has no error")
    unit = float(data.max())
    share = data / unit
    error = 1 - accuracy
    scale = np.sqrt(weight / weight.sum())
    free = np.array([True, has_offset, True, has_floor])
    # The logarithm of the amplitude at the largest amount, of the offset as a share of that, the exponent, the floor.
    low = np.array([np.log(1e-6), np.log(1e-9), _STEEPEST, 0.0])
    high = np.array([np.log(2.0), np.log(1.0), _FLATTEST, max(float(error.min()), 1e-6)])
    fixed = np.array([0.0, -np.inf, 0.0, 0.0])

    def complete(found: FloatArray) -> FloatArray:
        full = fixed.copy()
        full[free] = found
        return full

    def residuals(found: FloatArray) -> FloatArray:
        level, offset, exponent, floor = complete(found)
        return np.asarray(scale * (np.exp(level + exponent * np.log(share + np.exp(offset))) + floor - error))

    def slopes(found: FloatArray) -> FloatArray:
        level, offset, exponent, _ = complete(found)
        amount = share + np.exp(offset)
        above = np.exp(level + exponent * np.log(amount))
        columns = (
            above,
            above * exponent * np.exp(offset) / amount,
            above * np.log(amount),
            np.ones(len(share)),
        )
        return np.asarray(scale[:, None] * np.stack(columns, axis=1)[:, free])

    starts = [_as_start(start, unit)] if start is not None else _make_starts(error, float(share.min()))
    best, cost = None, np.inf
    for begin in starts:
        inside = np.clip(begin, low + 1e-9, high - 1e-9)[free]
        ended = least_squares(
            residuals, inside, jac=slopes, bounds=(low[free], high[free]), xtol=1e-8, ftol=1e-9
        )
        if ended.cost < cost - 1e-15:
            best, cost = ended.x, ended.cost
    assert best is not None
    full = complete(best)
    return PowerLaw(
        amplitude=float(np.exp(full[0])),
        offset=float(np.exp(full[1]) * unit),
        exponent=float(full[2]),
        floor=float(full[3]),
        unit=unit,
    )


def _as_start(law: PowerLaw, unit: float) -> FloatArray:
    moved = law.amplitude * (unit / law.unit) ** law.exponent
    offset = max(law.offset / unit, 1e-9)
    return np.array([np.log(max(moved, 1e-6)), np.log(offset), law.exponent, law.floor])


def _make_starts(error: FloatArray, least: float) -> list[FloatArray]:
    """Places to begin: the law through the error at the largest amount, for some exponents, offsets and floors."""
    last = max(float(error.min()), 1e-3)
    return [
        np.array([np.log(last * (1 - share)), np.log(max(least * offset, 1e-6)), exponent, last * share])
        for exponent in _STARTS
        for offset in _OFFSET_STARTS
        for share in _FLOOR_STARTS
    ]
