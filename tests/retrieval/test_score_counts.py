import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddpair.retrieval.score_counts import count_scores


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(-1, 1, width=32), max_size=9), min_size=1, max_size=4).filter(any))
def test_quantiles_of_parts_are_those_of_the_whole(lists):
    parts = [np.array(part, dtype=np.float32) for part in lists]
    joined = np.concatenate(parts)
    shares = [0, 0.01, 0.3, 0.5, 0.99, 1]
    counted = count_scores(parts)
    found = counted.quantiles(shares, lambda: parts)
    assert found == np.quantile(joined, shares, method="inverted_cdf").tolist()
    assert sum(count for _, count in counted.histogram()) == counted.total == len(joined)


def test_no_scores_have_no_quantiles():
    with pytest.raises(ValueError, match="found no score, needed one or more"):
        count_scores([]).quantiles([0.5], list)
    assert count_scores([]).histogram() == []
