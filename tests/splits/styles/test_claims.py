import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddpair.splits.styles.claims import say
from oddpair.splits.styles.rounding import name_confidence

NEAREST = {
    "claim": "nearest", "style": "natural", "reference": 12, "quantile": 0.99999, "tests": ["r"], "threshold": 0.5,
}  # fmt: skip
FOUND = {"style": "natural", "correct": 1, "opposite": 1, "accepted": 2, "shares": "", "confidence": 0.95}


def number(pattern, text):
    found = re.search(pattern, text)
    assert found
    return Decimal(found[1])


def share(text):
    return float(number(r"([\d.]+)%", text) / 100)


@given(limit=st.floats(0, 1))
def test_no_limit_in_words_is_sharper_than_in_figures(limit):
    most = share(say({**FOUND, "claim": "leak", "at_most": limit}))
    least = share(say({**FOUND, "claim": "precision", "at_least": limit}))
    assert least <= limit <= most
    assert most - least < 0.000101


@given(threshold=st.floats(-1, 1))
def test_no_row_lies_above_the_threshold_in_words(threshold):
    told = float(number(r"above (-?[\d.]+) to", say({**NEAREST, "threshold": threshold})))
    assert threshold <= told < threshold + 0.000101


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.999999])
def test_a_confidence_has_the_digits_that_it_has(confidence):
    told = name_confidence(confidence)
    assert Decimal(told.removesuffix("%")) / 100 == Decimal(str(confidence))
    assert f", {told} (" in say({**FOUND, "claim": "leak", "at_most": 0.1, "confidence": confidence})


def test_a_quantile_near_one_is_not_rounded_to_it():
    assert "the 0.99999 quantile of 12 hand-labelled natural rows" in say(NEAREST)
