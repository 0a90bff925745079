"""Figures in words: limits are rounded to the side on which they hold, and a confidence keeps its digits."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_DIGITS = 4


def round_up(limit: float, digits: int = _DIGITS) -> Decimal:
    """Round an upper limit, so that what is at most the limit is at most the result.

    >>> str(round_up(0.00801)), str(round_up(0.55)), str(round_up(-0.12345))
    ('0.0081', '0.5500', '-0.1234')
    """
    return Decimal(str(limit)).quantize(Decimal(1).scaleb(-digits), ROUND_CEILING)


def round_down(limit: float, digits: int = _DIGITS) -> Decimal:
    """Round a lower limit, so that what is at least the limit is at least the result.

    >>> str(round_down(0.98129)), str(round_down(0.98))
    ('0.9812', '0.9800')
    """
    return Decimal(str(limit)).quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR)


def name_confidence(confidence: float) -> str:
    """Write a confidence in percent with all its digits.

    >>> [name_confidence(each) for each in (0.95, 0.9, 0.995, 0.975)]
    ['95%', '90%', '99.5%', '97.5%']
    """
    return f"{(100 * Decimal(str(confidence))).normalize():f}%"
