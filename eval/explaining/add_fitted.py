"""What to add for one model of a table: the plan made on the smooth rising form that predicts held-out concepts best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.eval.explaining.add import Additions, plan_additions
from oddpair.eval.explaining.add_targets import AccuracyAt, Targets
from oddpair.eval.explaining.compare_forms import Count, ModelForms, compare_forms
from oddpair.eval.explaining.form_draws import draw_rows
from oddpair.eval.explaining.form_pooling import pool_rows
from oddpair.eval.explaining.forms import DATASET_MEAN, FLOOR, LOG_LINEAR, LOGISTIC, FittedForm, fit_form
from oddpair.eval.intervals import widen_confidence
from oddpair.eval.prediction.table import AccuracyTable

FloatArray = NDArray[np.float64]
Names = NDArray[np.str_]

# A plan would spend its samples on the steps of an isotonic fit, which are where the noise put them; a spline may fall.
PLANNED_ON = (LOG_LINEAR, FLOOR, LOGISTIC)
# Held-out R2 over the datasets' means below which a curve has found no effect of the count.
LEAST_GAIN = 1e-3
CAVEAT = (
    "Observational: the curve compares concepts as the corpus has them. Rare concepts differ from common ones in more "
    "than their count, so samples that are added may do less, or more, than this."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelAdditions:
    """A plan for one model, and the fit that it rests on.

    Attributes:
        model: Name of the model.
        count: The count that is raised.
        form: Form of the curve.
        fitted: The curve itself.
        found: The plan beside the plain ways.
        notes: What is to be known before it is believed, in words.
    """

    model: str
    count: Count
    form: str
    fitted: FittedForm
    found: Additions
    notes: tuple[str, ...]


def find_additions(
    table: AccuracyTable,
    model: str,
    budget: int,
    rng: np.random.Generator,
    *,
    count: Count = "joint",
    draws: int = 200,
) -> ModelAdditions:
    """Plan what to add to a model's corpus so that its mean accuracy is predicted to rise most.

    The curve is that of the smooth rising form (``PLANNED_ON``) with the highest R2 on held-out concepts. The mean is
    over all rows of the model that have the count, each alike, also those whose accuracy is unknown. Intervals refit
    the curve to concepts and datasets drawn anew; form and plan stay as they are. A fit over concepts is not an
    intervention (``CAVEAT``).

    Args:
        table: Accuracies and counts.
        model: The model whose corpus is added to.
        budget: Samples that may be added, 1 or more.
        rng: Source of the draws.
        count: Which of the table's counts is raised.
        draws: Refits behind the intervals.

    Returns:
        The plan, with what speaks against it in its notes.

    Raises:
        Refusal: If the table has no such model, or too few of its rows have accuracy and count.
        ValueError: If the budget is below 1.
    """
    if model not in table.models:
        raise Refusal(f"the table has no model {model!r}; it has {', '.join(table.models)}")
    rows = table.take(table.model == model)
    compared = compare_forms(rows, rng, count=count)
    if not compared.models:
        raise Refusal(f"no curve to plan additions on: {compared.left_out[0]}")
    forms = compared.models[0]
    rising = [s for s in forms.scores if s.form in PLANNED_ON and forms.fits[s.form].curve.rises]
    chosen = max(rising, key=lambda score: score.r2.value)
    counts: FloatArray = getattr(rows, f"count_{count}")
    counted, key = ~np.isnan(counts), rows.key
    known = counted & rows.known
    fitted = forms.fits[chosen.form]
    found = plan_additions(
        Targets(
            concept=key[counted],
            dataset=rows.dataset[counted],
            count=counts[counted],
            weight=np.ones(int(counted.sum())),
        ),
        fitted,
        budget,
        draws=_refit(
            chosen.form,
            np.log10(1 + counts[known]),
            rows.accuracy[known],
            [key[known], rows.dataset[known]],
            rng,
            draws,
        ),
        bends=fitted.curve.bends,
        fitted=(fitted.low, fitted.high),
        confidence=widen_confidence(0.95, forms.n_datasets if forms.n_datasets > 1 else forms.n_concepts),
    )
    return ModelAdditions(
        model=model,
        count=count,
        form=chosen.form,
        fitted=fitted,
        found=found,
        notes=(CAVEAT, *_warn(forms, chosen.form, found)),
    )


def show_additions(found: ModelAdditions, most: int = 10) -> Iterator[str]:
    """Lines for people: the ways of spending, the concepts with the largest gains, and the caveats.

    Args:
        found: The plan of a model.
        most: Concepts shown.
    """
    plan = found.found
    yield (
        f"{found.model}: {plan.budget:,} samples by {found.count} count, {found.form} fit; predicted mean accuracy "
        f"{plan.before:.4f} as the corpus stands"
    )
    for way in plan.scenarios:
        level = f", all at {way.level:,} or more" if way.level is not None else ""
        yield (
            f"  {way.way:<12} {way.accuracy:.4f}  gain {way.gain.value:+.4f} [{way.gain.low:+.4f}, "
            f"{way.gain.high:+.4f}]  {way.spent:,.0f} samples{level}"
        )
    for concept in plan.concepts[:most]:
        flag = "  beyond the fitted counts" if concept.outside else ""
        yield (
            f"    {concept.concept}: {concept.count:,.0f} + {concept.added:,.0f} samples, accuracy "
            f"{concept.before:.3f} to {concept.after:.3f}{flag}"
        )
    if len(plan.concepts) > most:
        yield f"    and {len(plan.concepts) - most} concepts more"
    yield from (f"  {note}" for note in found.notes)


def _refit(
    form: str, x: FloatArray, y: FloatArray, clusters: list[Names], rng: np.random.Generator, draws: int
) -> list[AccuracyAt]:
    # One dataset is not drawn: it would come once every time.
    clusters = clusters if np.unique(clusters[1]).size > 1 else clusters[:1]
    found: list[AccuracyAt] = []
    for block in draw_rows(clusters, rng, draws):
        for weights in block:
            if np.unique(x[weights > 0]).size > 1:
                found.append(fit_form(form, pool_rows(x, y, weights, dataset=clusters[-1])))
            else:
                found.append(_leave_open)
    return found


def _leave_open(x: FloatArray, dataset: Names) -> FloatArray:
    """Stand in for a fit to rows whose counts do not vary: it widens the interval."""
    return np.full(np.broadcast_shapes(x.shape, dataset.shape), np.nan)


def _warn(forms: ModelForms, chosen: str, found: Additions) -> Iterator[str]:
    r2 = {score.form: score.r2.value for score in forms.scores}
    if DATASET_MEAN in (forms.best, *forms.tied) or r2[chosen] - r2[DATASET_MEAN] < LEAST_GAIN:
        yield (
            f"The {chosen} fit is not told from the datasets' means on held-out concepts (R2 {r2[chosen]:.3f} and "
            f"{r2[DATASET_MEAN]:.3f}): the plan rests on nothing."
        )
    if forms.best not in (chosen, DATASET_MEAN) and chosen not in forms.tied:
        yield f"The {forms.best} form predicts held-out concepts better than the {chosen} one that the plan is made on."
    outside = sum(concept.outside for concept in found.concepts)
    if outside:
        yield f"{outside} of {len(found.concepts)} concepts lie or end beyond the fitted counts."
    balanced, planned = (next(s for s in found.scenarios if s.way == way) for way in ("balanced", "planned"))
    if planned.gain.low <= 0:
        yield f"The gain is not told from none: {planned.gain.value:+.4f}, interval from {planned.gain.low:+.4f}."
    elif planned.gain.value <= balanced.gain.value:
        yield "Raising the rarest concepts to one level does as well as the plan."
