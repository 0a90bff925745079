import numpy as np
import pytest

from oddpair.eval.composing.scaling_rows import ScalingRows


def make_rows(**changed):
    given = {
        "model": np.array(["a", "b"]),
        "corpus": np.array(["small", "huge"]),
        "size": np.array([10.0, 1000.0]),
        "log_count": np.array([1.0, 2.0]),
        "accuracy": np.array([0.1, 0.9]),
        "cluster": np.array([0, 0]),
        "kind": "concepts",
        "left_out": 0,
    }
    return ScalingRows(**{**given, **changed})


def test_corpora_are_in_the_order_of_their_size_not_of_their_names():
    rows = make_rows()
    assert rows.corpora == ("small", "huge")
    assert rows.mask(("huge",)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"accuracy": np.ones(3)}, r"columns of \[2, 3\] rows, clusters of 2"),
        ({"cluster": np.array([0, 2])}, "clusters are not numbered from 0 to 2 without a gap"),
        (
            {"corpus": np.array(["small", "small"])},
            r"corpus 'small' has the sizes \[10.0, 1000.0\], needed one",
        ),
        ({"log_count": np.array([2.0, 2.0])}, "corpus 'small' has 10 samples, a count in it is 99"),
    ],
)
def test_rows_that_contradict_themselves_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        make_rows(**changed)
