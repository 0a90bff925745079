import numpy as np
import pytest
from tests.eval.scoring.scored import pairs, units

from oddpair.eval.pairs import chance


def test_blind_guessing_hits_at_the_rate_of_chance():
    rng = np.random.default_rng(0)
    target = rng.integers(5, size=4000)
    partner = (target + 1 + rng.integers(4, size=4000)) % 5
    records = pairs(units(rng, 4000, 16), units(rng, 5, 5, 16), target, partner)
    assert np.mean(records["n_greater"].to_numpy() == 0) == pytest.approx(chance(5), abs=0.03)


def test_two_concepts_leave_nothing_to_guess():
    with pytest.raises(ValueError, match="2 concepts, the pair metric needs at least 3"):
        chance(2)
