import numpy as np
import pytest

from oddpair.eval.explaining.permutation_held_out import score_held_out


def score_slowly(x, y, code, fold):
    error = left = 0.0
    for one in np.unique(fold):
        train, test = fold != one, fold == one
        test &= np.isin(code, code[train])
        if not test.any():
            continue
        means = {
            c: (x[train & (code == c)].mean(), y[train & (code == c)].mean()) for c in np.unique(code[train])
        }
        inside = np.array(
            [[x[i] - means[code[i]][0], y[i] - means[code[i]][1]] for i in np.flatnonzero(train)]
        )
        slope = inside[:, 0] @ inside[:, 1] / (inside[:, 0] @ inside[:, 0])
        for i in np.flatnonzero(test):
            beside = y[i] - means[code[i]][1]
            error += beside**2
            left += (beside - slope * (x[i] - means[code[i]][0])) ** 2
    return 1 - left / error


def test_scores_are_those_of_fits_without_the_fold():
    rng = np.random.default_rng(0)
    code, fold = rng.integers(5, size=90), rng.integers(10, size=90)
    code[:4], fold[:4] = 7, 3  # a dataset that lies in one fold
    x = rng.normal(size=(3, 90)) + code
    y = 0.3 * x[0] + 0.5 * code + rng.normal(size=90)
    found = score_held_out(x, y, code, fold)
    assert found == pytest.approx([score_slowly(row, y, code, fold) for row in x])
    assert found[0] > 0 > min(found[1:])


def test_accuracies_that_their_means_explain_leave_a_share_of_0():
    code = np.repeat([0, 1], 10)
    found = score_held_out(np.arange(20.0)[None], code.astype(float), code, np.arange(20) % 10)
    assert found.tolist() == [0.0]
