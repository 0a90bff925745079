"""``oddpair power``: the smallest difference of two models that a test set can tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oddpair.cli_options import AS_JSON, tell
from oddpair.errors import Refusal

if TYPE_CHECKING:
    from oddpair.eval.comparing.detectable import Detectable

_MODEL = "Folder of a model that oddpair eval wrote, or one result in it."
_ASKED = "asked"
# The power is summed over every number of discordant answers, which takes minutes beyond.
_MOST = 10_000_000


def power(
    a: Annotated[Path | None, typer.Argument(metavar="[A]", help=_MODEL)] = None,
    b: Annotated[
        Path | None,
        typer.Argument(metavar="[B]", help="Another, to tell how much two models' answers have in common."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, max=_MOST, help="Questions, where no model is given.")
    ] = None,
    accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Accuracy about which models are told apart, 0 to 1.")
    ] = None,
    discordant: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of questions that exactly one of two models has right."),
    ] = None,
    wanted: Annotated[
        float, typer.Option("--power", min=0.01, max=0.999, help="Chance that a difference is told.")
    ] = 0.8,
    alpha: Annotated[float, typer.Option(min=1e-6, max=0.5, help="Level of the two-sided test.")] = 0.05,
    as_json: AS_JSON = False,
) -> None:
    """Tell the smallest difference in accuracy that a test set shows, on the same questions and on others."""
    import json
    from dataclasses import asdict

    from oddpair.commands.compare import detect_by_models
    from oddpair.eval.comparing.detectable import detect

    if a is not None:
        if samples is not None or accuracy is not None:
            raise Refusal(f"{a} tells samples and accuracy: leave out --samples and --accuracy, or the model")
        if b is not None and discordant is not None:
            raise Refusal(
                f"{a} and {b} tell the discordant share: leave out --discordant, or the second model"
            )
        found = detect_by_models(a, b, discordant=discordant, power=wanted, alpha=alpha)
    else:
        if samples is None or accuracy is None:
            raise Refusal("nothing to work with: give a model's folder, or --samples and --accuracy")
        if discordant is not None and discordant > 2 * min(accuracy, 1 - accuracy):
            raise Refusal(
                f"--discordant {discordant:g}: two models of accuracy {accuracy:g} disagree on at most "
                f"{2 * min(accuracy, 1 - accuracy):g} of the questions: give less"
            )
        found = {_ASKED: detect(samples, accuracy, discordant, power=wanted, alpha=alpha)}
    if as_json:
        tell(
            json.dumps(
                {"power": wanted, "alpha": alpha, "tasks": {name: asdict(one) for name, one in found.items()}}
            )
        )
        return
    for name, one in found.items():
        tell(f"{one.n:,} questions" if name == _ASKED else f"{name}: {one.n:,} questions")
        _tell_found(one)
    tell(
        f"A difference counts as told where a test at level {alpha:g} shows it in {wanted:.0%} of such test sets."
    )


def _tell_found(one: Detectable) -> None:
    if one.discordant is None:
        tell("    same questions for both models: --discordant, or a second model, would say")
    elif one.discordant == 0:
        tell(
            "    same questions for both models: these two earned alike on each, which says nothing of others"
        )
    else:
        tell(
            f"    same questions for both models, {one.discordant:.1%} discordant: {_points(one.paired)}"
            f"{_worth(one.n, one.paired_effect)}"
        )
    tell(
        f"    other questions for each model, accuracy about {one.accuracy:.1%}: {_points(one.unpaired)}"
        f"{_worth(one.n, one.design_effect)}"
    )


def _points(difference: float | None) -> str:
    if difference is None:
        return "no difference can be told"
    points = 100 * difference
    return f"{points:.1f} points or more" if points >= 0.1 else f"{points:.1g} points or more"


def _worth(n: int, effect: float) -> str:
    if effect <= 1:
        return ""
    return f" (they go alike, and are worth {n / effect:,.0f} independent ones: design effect {effect:.1f})"
