import numpy as np
import pytest
from tests.eval.composing.object_worlds import draw_world

from oddpair.eval.composing.object_features import MEAN_LOG, measure
from oddpair.eval.composing.unseen_control import CALIPER, match_controls
from oddpair.eval.composing.unseen_errors import tie


def test_controls_are_as_frequent_and_show_what_being_unseen_does():
    world = draw_world(0, n_sets=2500, penalty=-1.5)
    found = match_controls(world, tie(world))
    assert found is not None
    assert found.n_matched + found.n_unmatched == len(np.unique(world.key[world.unseen]))
    assert abs(found.imbalance) < CALIPER
    assert found.difference.high < 0
    assert found.difference.value == pytest.approx(100 * (found.unseen - found.seen))
    logs = measure(world, MEAN_LOG)
    # Without controls rare objects would be blamed on being unseen too.
    plain = 100 * (world.correct[world.unseen].mean() - world.correct[world.seen].mean())
    assert logs[world.unseen].mean() < logs[world.seen].mean() - 0.3
    assert plain < found.difference.value


def test_sets_without_a_seen_one_near_have_no_control():
    world = draw_world(0, n_sets=200)
    logs = measure(world, MEAN_LOG)
    apart = (world.unseen & (logs < 2)) | (world.seen & (logs > 3))
    far = world.take(apart)
    assert match_controls(far, tie(far)) is None
