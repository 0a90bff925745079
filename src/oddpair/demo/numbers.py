"""How the numbers of ``results.json`` are written, and which side of a value an interval lies on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Entry = Mapping[str, Any]

IMPOSSIBLE = "impossible"


def show_estimate(entry: Entry | None, digits: int = 3, *, reason: str = "") -> str:
    """Write an estimate with its interval; an end that is ``None`` has no bound.

    Args:
        entry: ``value``, ``low`` and ``high``, or ``impossible`` with a reason, or ``None``.
        digits: Decimals.
        reason: Why there is no number, where the entry is ``None``.

    >>> show_estimate({"value": 0.341, "low": 0.32, "high": None})
    '0.341 [0.320, unbounded]'
    >>> show_estimate({"impossible": "no pair"})
    'not measurable: no pair'
    """
    if entry is None or IMPOSSIBLE in entry:
        return f"not measurable: {entry[IMPOSSIBLE] if entry else reason}"
    low, high = (
        "unbounded" if entry[end] is None else show_number(entry[end], digits) for end in ("low", "high")
    )
    return f"{show_number(entry['value'], digits)} [{low}, {high}]"


def show_share(entry: Entry, digits: int = 1) -> str:
    """Write a share and its interval in per cent.

    >>> show_share({"value": 0.5, "low": 0.25, "high": 0.75})
    '50.0 % [25.0, 75.0]'
    """
    if IMPOSSIBLE in entry:
        return f"not measurable: {entry[IMPOSSIBLE]}"
    low, high = (show_number(100 * entry[end], digits) for end in ("low", "high"))
    return f"{show_number(100 * entry['value'], digits)} % [{low}, {high}]"


def show_number(value: float, digits: int) -> str:
    """Write a number with so many decimals, never as minus zero.

    >>> show_number(-0.0001, 3)
    '0.000'
    """
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def side_of(entry: Entry, null: float, digits: int) -> str:
    """Say whether an interval lies ``above`` or ``below`` a value, or ``neither``, by the decimals that are shown.

    An interval that reads [0.0, 0.2] is not above 0, whatever its next decimals say.

    >>> side_of({"low": 0.21, "high": None}, 0.0, 1), side_of({"low": 0.01, "high": 0.2}, 0.0, 1)
    ('above', 'neither')
    """
    low, high = (None if entry[end] is None else round(entry[end], digits) for end in ("low", "high"))
    if low is not None and low > null:
        return "above"
    return "below" if high is not None and high < null else "neither"
