"""The curves that accuracy may follow against log count, before the effect of a dataset is added."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

FloatArray = NDArray[np.float64]


class Curve(Protocol):
    """Accuracy at a log count in the average dataset."""

    def __call__(self, x: FloatArray) -> FloatArray:
        """Accuracy, of any size, at log10 of one plus the count."""

    @property
    def rises(self) -> bool:
        """Whether more samples never mean less accuracy."""

    @property
    def bends(self) -> FloatArray:
        """Log counts where the curve changes its slope at once, shape ``(n_bends,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Accuracy that gains ``slope`` per decade of the count; a slope of 0 is the dataset's mean."""

    intercept: float
    slope: float

    def __call__(self, x: FloatArray) -> FloatArray:
        """Accuracy at log count ``x``."""
        return self.intercept + self.slope * x

    @property
    def rises(self) -> bool:
        """Whether the slope is not negative."""
        return self.slope >= 0

    @property
    def bends(self) -> FloatArray:
        """None."""
        return np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Accuracy ``floor`` up to the log count ``knot``, and ``slope`` more per decade above it."""

    floor: float
    knot: float
    slope: float

    def __call__(self, x: FloatArray) -> FloatArray:
        """Accuracy at log count ``x``."""
        return self.floor + self.slope * np.maximum(x - self.knot, 0)

    @property
    def rises(self) -> bool:
        """Always: the slope is not negative."""
        return True

    @property
    def bends(self) -> FloatArray:
        """The knot."""
        return np.array([self.knot])


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """Accuracy that rises from ``floor`` to ``ceiling``, half way at ``middle``, ``width`` decades per logit."""

    floor: float
    ceiling: float
    middle: float
    width: float

    def __call__(self, x: FloatArray) -> FloatArray:
        """Accuracy at log count ``x``."""
        rise: FloatArray = expit((x - self.middle) / self.width)
        return self.floor + (self.ceiling - self.floor) * rise

    @property
    def rises(self) -> bool:
        """Always: the ceiling is not below the floor."""
        return True

    @property
    def bends(self) -> FloatArray:
        """None: the curve is smooth."""
        return np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steps:
    """Accuracy ``levels`` at the log counts ``at``, on straight lines between them and flat beyond."""

    at: FloatArray
    levels: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Accuracy at log count ``x``."""
        found: FloatArray = np.interp(x, self.at, self.levels)
        return found

    @property
    def rises(self) -> bool:
        """Always: the levels are fitted in rising order."""
        return True

    @property
    def bends(self) -> FloatArray:
        """Where the straight lines meet."""
        return self.at


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spline:
    """A natural cubic spline: ``coefficients`` of 1, x and one term per inner knot; straight beyond the outer ones."""

    knots: FloatArray
    coefficients: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Accuracy at log count ``x``."""
        found: FloatArray = natural_basis(x, self.knots) @ self.coefficients
        return found

    @property
    def rises(self) -> bool:
        """Never vouched for: a spline may fall."""
        return False

    @property
    def bends(self) -> FloatArray:
        """None: the curve is smooth."""
        return np.empty(0)


def natural_basis(x: FloatArray, knots: FloatArray) -> FloatArray:
    """Basis of natural cubic splines: 1, x, and one cubic term per knot but the last two, shape ``(..., k)``.

    References:
        Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, equation 5.4.

    >>> natural_basis(np.array([1.0, 4.0]), np.array([0.0, 1.0, 2.0]))
    array([[1. , 1. , 0.5],
           [1. , 4. , 9. ]])
    """
    last, before = knots[-1], knots[-2]

    def term(knot: float) -> FloatArray:
        found: FloatArray = (np.maximum(x - knot, 0) ** 3 - np.maximum(x - last, 0) ** 3) / (last - knot)
        return found

    # Scaled by the squared span, so that all columns are of one size.
    span = (last - knots[0]) ** 2 / 4 if len(knots) > 2 else 1.0
    inner = [(term(float(knot)) - term(float(before))) / span for knot in knots[:-2]]
    return np.stack([np.ones(x.shape), x, *inner], axis=-1)
