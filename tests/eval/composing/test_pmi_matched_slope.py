import numpy as np
import pytest
from tests.eval.composing.pmi_worlds import draw_sets, plain_rows

from oddpair.eval.composing.pmi_matched_slope import fit_slope


@pytest.mark.parametrize("effect", [0.3, 0.0], ids=["effect", "none"])
def test_the_slope_given_counts_recovers_what_was_planted(effect):
    given, covered, alone = [], [], []
    for seed in range(100):
        rows, _ = draw_sets(seed, effect, n_sets=200)
        found = fit_slope(rows, controlled=True)
        given.append(found.value)
        covered.append(found.low <= effect <= found.high)
        alone.append(fit_slope(rows, controlled=False).value)
    assert np.mean(given) == pytest.approx(effect, abs=0.02)
    assert np.mean(covered) >= 0.9
    # Rarer concepts have higher PMI: alone it takes the blame for what counts do.
    assert np.mean(alone) < effect - 0.15


def test_the_slope_of_two_shares_is_their_difference_in_logits():
    rows = plain_rows([0.25, 0.25, 0.25, 0.75, 0.75, 0.75], [0.0, 0, 0, 2, 2, 2], samples=np.full(6, 1000.0))
    found = fit_slope(rows, controlled=False)
    assert found.value == pytest.approx(np.log(9) / 2, rel=1e-3)
    assert found.n == 6
    assert found.what == "logits per nat of PMI"


def test_too_few_sets_for_the_controls_are_refused():
    rows = plain_rows([0, 1, 0, 1], [0.0, 1, 2, 3], controls=np.array([[1.0], [2], [4], [3]]))
    with pytest.raises(ValueError, match="4 sets of concepts are too few for 3 columns"):
        fit_slope(rows, controlled=True)
