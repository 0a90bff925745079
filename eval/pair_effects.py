"""What being unseen does to a pair's accuracy once the single concepts are accounted for."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from oddpair.eval.concept_effects import (
    Uninformative,
    check_identified,
    check_one_world,
    find_informative,
    first_coefficient,
    make_concept_dummies,
)
from oddpair.eval.concept_rows import ConceptRows
from oddpair.eval.intervals import Estimate, normal_interval
from oddpair.eval.logistic import fit


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenPenalty:
    """Effect of a pair's absence from the corpus; negative where unseen pairs are harder.

    Attributes:
        beta: In logits.
        beta_error: Its pair-robust standard error.
        points: Mean change of the hit probability over the rows of the fit, in points.
        points_error: Its standard error.
        n_unseen: Unseen ordered rows in the fit.
        n_seen: Seen ordered rows in the fit.
        dropped: Concepts without information.
    """

    beta: Estimate
    beta_error: float
    points: Estimate
    points_error: float
    n_unseen: int
    n_seen: int
    dropped: Uninformative


def unseen_penalty(rows: ConceptRows) -> UnseenPenalty:
    """Fit logit P(hit) = target + partner + beta * unseen within one world.

    The effects of target and partner take out everything that belongs to single concepts, counts
    included, so beta is what the pair's absence adds. Rows of one unordered pair share their images,
    and the errors are robust to that. Concepts whose rows are all hits or all misses say nothing about
    beta; they are dropped and listed.

    Args:
        rows: Ordered pairs of one world, seen and unseen.

    Returns:
        Beta and its mean effect in points, each with a 95 % interval over unordered pairs.

    Raises:
        ValueError: If rows are of several worlds, or no concept has both unseen and seen rows.

    References:
        Liang and Zeger, Biometrika 73(1), 1986, for the robust errors.
    """
    check_one_world(rows)
    kept, dropped = find_informative(rows)
    used = rows.take(kept)
    unseen = used.unseen.astype(np.float64)
    dummies = make_concept_dummies(used)
    check_identified(unseen, dummies)
    fitted = fit(used.successes, used.trials, np.column_stack([unseen, dummies]), used.pair)

    base = dummies @ fitted.coefficients[1:]
    with_it, without = expit(base + fitted.coefficients[0]), expit(base)
    slope_with, slope_without = with_it * (1 - with_it), without * (1 - without)
    gradient = np.concatenate([[slope_with.mean()], (slope_with - slope_without) @ dummies / len(used)])
    points_error = 100 * float(np.sqrt(gradient @ fitted.covariance @ gradient))
    n_pairs = len(fitted.influence)
    return UnseenPenalty(
        beta=first_coefficient(fitted, "effect of being unseen, logits"),
        beta_error=float(fitted.standard_errors[0]),
        points=normal_interval(
            100 * float((with_it - without).mean()),
            points_error,
            n=n_pairs,
            what="effect of being unseen, points",
        ),
        points_error=points_error,
        n_unseen=int(unseen.sum()),
        n_seen=int((1 - unseen).sum()),
        dropped=dropped,
    )
