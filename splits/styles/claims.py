"""What style-strict splits guarantee, in words that are made of the figures, so that neither can be changed alone."""

from __future__ import annotations

from typing import Any

from oddpair.splits.manifest import Claim
from oddpair.splits.styles.clean import CleanTest
from oddpair.splits.styles.deployment import Shares
from oddpair.splits.styles.rounding import name_confidence, round_down, round_up
from oddpair.splits.styles.scorer import OTHER
from oddpair.splits.styles.sorting import HeldOut
from oddpair.splits.styles.splits import SortedCorpus
from oddpair.splits.styles.strict import StrictSplit

STRICT, TEST, CLEAN = ("sorted", "precision", "nearest", "leak"), ("labelled",), ("clean",)


def claim_strict(
    found: SortedCorpus, split: StrictSplit, leak: HeldOut, *, quantile: float
) -> tuple[Claim, ...]:
    """Say what a strict split guarantees; without a search that is little.

    Args:
        found: The sorted corpus.
        split: The split.
        leak: How it fares on held-out rows.
        quantile: Of the hand-labelled rows, where that set the threshold.
    """
    style, certificate = split.style, found.sort.certificate(split.style)
    tower = found.sort.scorer.tower
    claims: list[dict[str, Any]] = [
        {"claim": "sorted", "style": style},
        {
            "claim": "precision",
            "style": style,
            "at_least": certificate.lower_bound,
            "confidence": certificate.confidence,
            "correct": certificate.correct,
            "accepted": certificate.accepted,
            "shares": _name_shares(found.sort.shares),
            **({} if tower is None else {"tower": tower}),
        },
        {
            "claim": "leak",
            "style": style,
            "at_most": leak.leak_bound,
            "confidence": leak.confidence,
            "opposite": leak.opposite,
            "accepted": leak.accepted,
            "shares": _name_shares(found.sort.shares),
        },
    ]
    if split.threshold is not None:
        claims.insert(
            2,
            {
                "claim": "nearest",
                "style": style,
                "threshold": split.threshold,
                "reference": split.reference,
                "quantile": None if split.reference is None else quantile,
                "tests": [test.name for test in found.tests[OTHER[style]]],
            },
        )
    return tuple(_claim(values) for values in claims)


def claim_test(style: str) -> tuple[Claim, ...]:
    """Say what test pictures held out of the labelled rows are."""
    return (_claim({"claim": "labelled", "style": style}),)


def claim_clean(name: str, cleaned: CleanTest) -> tuple[Claim, ...]:
    """Say what the pictures of a clean test set are."""
    return (_claim({"claim": "clean", "style": cleaned.style, "test": name}),)


def say(values: dict[str, Any]) -> str:
    """Say in words what the figures of a claim say.

    >>> say({"claim": "labelled", "style": "natural"})
    'every picture is natural by its hand label and in no split'
    """
    kind, style = values["claim"], values["style"]
    other = OTHER[style]
    if kind == "labelled":
        return f"every picture is {style} by its hand label and in no split"
    if kind == "clean":
        return (
            f"every picture is one of {values['test']} that the {style} classifier accepts and the {other} classifier "
            "does not"
        )
    if kind == "sorted":
        return (
            f"every row is {style} by its hand label, or the {style} classifier accepts it and the {other} classifier "
            "does not; none is a test picture"
        )
    if kind == "nearest":
        why = (
            "a threshold set by hand"
            if values["reference"] is None
            else f"the {values['quantile']} quantile of {values['reference']:,} hand-labelled {style} rows"
        )
        return (
            f"no row has a cosine similarity above {round_up(values['threshold'])} to a {other} test picture "
            f"({', '.join(values['tests'])}): {why}"
        )
    sure = name_confidence(values["confidence"])
    if kind == "precision":
        return (
            f"at least {round_down(values['at_least']):.2%} of the corpus rows that the {style} classifier accepts are "
            f"{style}, {sure} "
            f"({values['correct']:,} of {values['accepted']:,} labelled rows{values['shares']})"
        )
    return (
        f"at most {round_up(values['at_most']):.2%} of the rows are of the other style, {sure} "
        f"({values['opposite']:,} of {values['accepted']:,} held-out rows{values['shares']})"
    )


def _claim(values: dict[str, Any]) -> Claim:
    return Claim(text=say(values), values=values)


def _name_shares(shares: Shares | None) -> str:
    if shares is None:
        return ""
    if shares.drawn is None:
        return ", by class, with the given shares of the classes"
    return f", by class, with shares of the classes from {sum(shares.drawn):,} rows drawn at random"
