"""What ``oddpair doctor`` says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "slow", "missing", "unusable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        topic: What belongs together, such as ``"matrix kernels"``.
        name: What was looked at.
        found: What there is, in words.
        verdict: ``ok``; ``slow`` if it works slower than it could; ``missing`` if the suite does without;
            ``unusable`` if it cannot.
        remedy: What to do; ``""`` if nothing.
        value: The figure in ``found``, where it is one.
    """

    topic: str
    name: str
    found: str
    verdict: Verdict = "ok"
    remedy: str = ""
    value: float | None = None
