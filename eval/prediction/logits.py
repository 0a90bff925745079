"""Logits of many held-out sets at once: beta-binomial rates on a shared basis, a guess rate fitted beside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, logit

from oddpair.eval.prediction.kernel import Basis

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Correlation of two answers about one concept that neither basis nor guess explains, for the weights of the
# fit alone: n answers weigh n / (1 + (n - 1) rho). On the published tables .1 to .5 give the same R2 within .003.
WORKING_DISPERSION = 0.2
_GUESSES = np.linspace(0, 1, 6)
_STEPS = 60
_SETTLED = 2e-3
_EVERY = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Logits:
    """Fits of ``b`` problems on ``n`` rows, which share the basis and differ in what they are trained on.

    Attributes:
        eta: Logit of every row, trained on or not, shape ``(n, b)``.
        guess: Fitted guess rate as a share of chance, 0 to 1, shape ``(b,)``.
    """

    eta: FloatArray
    guess: FloatArray


def fit_logits(
    basis: Basis, accuracy: FloatArray, support: FloatArray, chance: FloatArray, trained: BoolArray
) -> Logits:
    """Fit mean accuracies ``g + (1 - g) expit(eta)`` with ``g`` between 0 and chance, for many training sets.

    The posterior mode under standard normal coefficients, by Newton steps with one fixed Hessian that bounds
    that of every problem (all share its factor), with momentum. The Hessian is made of weights alone, so
    that an accuracy outside ``trained`` moves nothing; it may be NaN.

    Args:
        basis: As `make_basis`, shape ``(n, r)``; its precision is that of the fit.
        accuracy: Accuracy of each row in each problem, 0 to 1, shape ``(n, b)``.
        support: Samples behind each row, shape ``(n,)``.
        chance: Accuracy of a blind guess, shape ``(n,)``.
        trained: Rows that each problem is trained on, shape ``(n, b)``.

    Returns:
        Logits of all rows, and the guess rates.

    Raises:
        ValueError: If a problem has no rows to be trained on.

    References:
        Böhning and Lindsay, Annals of the Institute of Statistical Mathematics 40(4), 1988, for the bound.
    """
    if not trained.any(axis=0).all():
        raise ValueError(f"problem {int(np.argmin(trained.any(axis=0)))} has no rows to be trained on")
    weight = support / (1 + (support - 1) * WORKING_DISPERSION)
    masked = (weight[:, None] * trained).astype(basis.dtype)
    hits = np.where(trained, accuracy, 0.5).astype(basis.dtype)
    mean = (masked * hits).sum(axis=0) / masked.sum(axis=0)
    centre = logit(np.clip(mean, 0.001, 0.999)).astype(basis.dtype)
    hessian = (basis.T * (weight / 4).astype(basis.dtype)) @ basis
    hessian[np.diag_indices_from(hessian)] += 1
    factor = cho_factor(hessian, check_finite=False)
    # Every problem keeps its own momentum and stops on its own: what one is trained on must not move another by a digit.
    # From above: a curve that has learned to lie flat at chance by itself leaves nothing for a guess rate to explain.
    guess = np.ones(hits.shape[1], dtype=basis.dtype)
    coefficients: Basis = np.zeros((basis.shape[1], hits.shape[1]), dtype=basis.dtype)
    ahead = coefficients.copy()
    momentum = np.ones(hits.shape[1], dtype=basis.dtype)
    moving = np.ones(hits.shape[1], dtype=np.bool_)
    for step in range(_STEPS):
        score = masked * _slope(basis @ ahead + centre, hits, guess * chance[:, None].astype(basis.dtype))
        newton = cho_solve(factor, basis.T @ score - ahead, check_finite=False)
        reached = np.where(moving, ahead + newton, coefficients).astype(basis.dtype)
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        # A problem that overshoots loses its momentum.
        keeps = ((ahead - reached) * (reached - coefficients)).sum(axis=0) <= 0
        change = reached - coefficients
        ahead = (reached + np.where(keeps, (momentum - 1) / faster, 0) * change).astype(basis.dtype)
        coefficients, momentum = reached, np.where(keeps, faster, 1).astype(basis.dtype)
        if step % _EVERY == _EVERY - 1:
            likeliest = _fit_guess(basis @ coefficients + centre, hits, masked, chance)
            # One whose guess has just moved is not done, however little its coefficients do.
            restless = (np.abs(change).max(axis=0) >= _SETTLED) | (likeliest != guess)
            guess = np.where(moving, likeliest, guess)
            moving &= restless
        if not moving.any():
            break
    eta = basis @ coefficients + centre
    return Logits(eta=eta.astype(np.float64), guess=guess.astype(np.float64))


def rate(eta: FloatArray, guess: FloatArray, variance: float | FloatArray = 0.0) -> FloatArray:
    """Mean accuracy at a logit, averaged over a normal error of that variance about it.

    >>> round(float(rate(np.array(0.0), np.array(0.1))), 2)
    0.55
    """
    flattened = eta / np.sqrt(1 + np.pi * variance / 8)
    mean: FloatArray = guess + (1 - guess) * expit(flattened)
    return mean


def _slope(eta: Basis, hits: Basis, floor: Basis) -> Basis:
    skill: Basis = expit(eta)
    mean = floor + (1 - floor) * skill
    slope: Basis = ((hits - mean) * (1 - floor) * skill / np.maximum(mean, 1e-6)).astype(eta.dtype)
    return slope


def _fit_guess(eta: Basis, hits: Basis, masked: Basis, chance: FloatArray) -> Basis:
    skill = expit(eta)
    values = []
    for share in _GUESSES:
        floor = (share * chance[:, None]).astype(eta.dtype)
        mean = np.clip(floor + (1 - floor) * skill, 1e-6, 1 - 1e-6)
        values.append((masked * (hits * np.log(mean) + (1 - hits) * np.log1p(-mean))).sum(axis=0))
    likeliest: Basis = _GUESSES[np.argmax(np.stack(values), axis=0)].astype(eta.dtype)
    return likeliest
