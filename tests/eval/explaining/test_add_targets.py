import numpy as np
import pytest

from oddpair.eval.explaining.add_targets import Targets


def targets(**changed):
    given = {
        "concept": np.array(["owl", "cat", "owl"]),
        "dataset": np.array(["birds", "pets", "web"]),
        "count": np.array([9.0, 99.0, 4.0]),
        "weight": np.array([1.0, 2.0, 1.0]),
    }
    return Targets(**{**given, **changed})


def test_samples_of_a_concept_count_in_all_its_datasets():
    found = targets()
    assert found.names.tolist() == ["cat", "owl"]
    assert found.least.tolist() == [99, 4]
    gains = found.gains(np.array([[0.0, 90.0], [900.0, 0.0]]), lambda x, dataset: 0.1 * x)
    # Owls of birds go from 10 to 100 and those of the web from 5 to 95, each a quarter of the mean; cats are half.
    assert gains == pytest.approx(np.array([[0, 0.025 + 0.025 * np.log10(19)], [0.05, 0]]))
    assert found.mean(lambda x, dataset: np.where(dataset == "pets", 0.5, 0.1)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"count": np.array([1.0])}, "have shapes"),
        ({"count": np.array([1.0, -1.0, 0.0])}, "a count is negative"),
        ({"weight": np.array([1.0, np.nan, 0.0])}, "a weight is negative or not finite"),
        ({"weight": np.zeros(3)}, "no weight is above 0"),
        ({name: np.empty(0) for name in ("concept", "dataset", "count", "weight")}, "have shapes"),
    ],
)
def test_targets_without_a_mean_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        targets(**changed)
