import numpy as np
import pytest
from scipy.stats import binom, binomtest

from oddpair.eval.comparing.power import (
    design_effect,
    detect_paired,
    detect_unpaired,
    power_of_paired,
    power_of_unpaired,
)


def need(difference):
    assert difference is not None
    return difference


@pytest.mark.parametrize(
    ("n", "discordant", "difference"),
    [(1000, 0.1, 0.03), (200, 0.3, 0.1), (60, 0.2, 0.15), (3000, 0.02, 0.004)],
)
def test_the_power_of_mcnemars_test_is_what_a_simulation_finds(n, discordant, difference):
    rng = np.random.default_rng(0)
    shares = [(discordant + difference) / 2, (discordant - difference) / 2]
    wins, losses, _ = rng.multinomial(n, [*shares, 1 - discordant], size=20_000).T
    p_values = np.minimum(2 * binom.cdf(np.minimum(wins, losses), wins + losses, 0.5), 1)
    assert power_of_paired(difference, n=n, discordant=discordant) == pytest.approx(
        np.mean(p_values <= 0.05), abs=0.02
    )


def test_the_power_of_mcnemars_test_is_exact():
    # By hand from the definition, over every outcome of 9 questions.
    n, discordant, difference = 9, 0.8, 0.6
    win = (1 + difference / discordant) / 2
    power = sum(
        binom.pmf(d, n, discordant) * binom.pmf(k, d, win)
        for d in range(1, n + 1)
        for k in range(d + 1)
        if binomtest(k, d).pvalue <= 0.05
    )
    assert power_of_paired(difference, n=n, discordant=discordant) == pytest.approx(power, abs=1e-12)


def test_without_a_difference_no_more_is_told_than_the_level_allows():
    assert 0.03 < power_of_paired(0, n=5000, discordant=0.2) <= 0.05
    assert power_of_unpaired(0, n=500, accuracy=0.6) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("n", "accuracy", "difference"), [(1000, 0.6, 0.062), (300, 0.2, 0.1), (500, 0.9, 0.05)]
)
def test_the_power_on_other_samples_is_what_a_simulation_finds(n, accuracy, difference):
    rng = np.random.default_rng(0)
    other = accuracy - difference if accuracy > 0.5 else accuracy + difference
    first, second = (rng.binomial(n, share, size=20_000) / n for share in (accuracy, other))
    both = (first + second) / 2
    z = (first - second) / np.sqrt(2 * both * (1 - both) / n)
    found = power_of_unpaired(difference, n=n, accuracy=accuracy)
    assert found == pytest.approx(np.mean(np.abs(z) > 1.959964), abs=0.02)


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.95])
def test_the_smallest_difference_has_the_power_and_a_smaller_one_has_not(wanted):
    paired = need(detect_paired(n=800, discordant=0.15, power=wanted))
    assert power_of_paired(paired, n=800, discordant=0.15) >= wanted
    assert power_of_paired(0.999 * paired, n=800, discordant=0.15) < wanted
    unpaired = need(detect_unpaired(n=800, accuracy=0.3, power=wanted))
    assert power_of_unpaired(unpaired, n=800, accuracy=0.3) >= wanted
    assert power_of_unpaired(0.999 * unpaired, n=800, accuracy=0.3) < wanted


def test_the_same_samples_tell_smaller_differences_than_others_the_more_the_fewer_are_discordant():
    other = need(detect_unpaired(n=1000, accuracy=0.6))
    alone = need(detect_paired(n=1000, discordant=0.48))
    alike = need(detect_paired(n=1000, discordant=0.1))
    assert alike < alone / 2
    # Answers that have nothing in common gain nothing from the same samples.
    assert alone == pytest.approx(other, rel=0.05)


def test_what_no_test_can_tell_is_none():
    assert detect_paired(n=5, discordant=0.1) is None
    assert detect_unpaired(n=1, accuracy=0.5) is None


def test_impossible_shares_are_errors():
    with pytest.raises(ValueError, match=r"difference 0.2, discordant share 0.1"):
        power_of_paired(0.2, n=100, discordant=0.1)
    with pytest.raises(ValueError, match=r"accuracies 0.4 and 1.1"):
        power_of_unpaired(0.7, n=100, accuracy=0.4)


def test_a_design_effect_is_how_much_the_variance_of_a_mean_grows():
    rng = np.random.default_rng(0)
    # 40 clusters of 10, of which each answer is the cluster's with chance 1/2: correlation .25, effect 1 + 9 * .25.
    own, shared = rng.normal(size=(2000, 40, 10)), rng.normal(size=(2000, 40, 1))
    values = (own * 0.75**0.5 + shared * 0.25**0.5).reshape(2000, 400)
    clusters = np.repeat(range(40), 10)
    found = np.mean([design_effect(row, clusters) for row in values[:200]])
    assert values.mean(axis=1).var() * 400 == pytest.approx(3.25, rel=0.1)
    assert found == pytest.approx(3.25, rel=0.05)


def test_questions_on_their_own_have_no_design_effect():
    values = np.random.default_rng(0).random(50)
    assert design_effect(values, range(50)) == pytest.approx(1)
    assert design_effect(np.ones(4), [0, 0, 1, 1]) == 1
    with pytest.raises(ValueError, match="1 cluster, a spread over clusters needs 2"):
        design_effect([0, 1], [0, 0])
    with pytest.raises(ValueError, match=r"values \(2,\) and clusters \(1,\)"):
        design_effect([0, 1], [0])
