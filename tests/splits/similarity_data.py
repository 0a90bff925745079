"""A corpus, two test sets and a reference set of coarse vectors, and what each rule of similarity keeps, slowly."""

import numpy as np
from tests.retrieval.brute_force import all_scores
from tests.retrieval.neighbour_data import draw, stored, whole

from oddpair.splits.inputs import Inputs, Pictures


def pictures(name, folder, rows, uids, sizes=None):
    return Pictures(name=name, stored=stored(folder / name, rows, uids, sizes))


def make_inputs(folder, *, seed=3, n=150, contained=True, order=None, sizes=None, reference=True):
    """150 corpus rows of which the first 25 are the reference set, or none is; scores tie and some rows hit."""
    rows, uids = draw(seed, n, d=7)
    known = (rows[:25], uids[:25])
    if not contained:
        known = draw(seed + 50, 25, d=7)[0], [f"reference {place}" for place in range(25)]
    order = np.arange(n) if order is None else order
    sets = {name: draw(seed + place, count, d=7) for name, place, count in (("a", 1, 9), ("b", 2, 14))}
    return Inputs(
        corpus=pictures("corpus", folder, rows[order], [uids[row] for row in order], sizes),
        tests={name: pictures(name, folder, *each) for name, each in sets.items()},
        reference=pictures("reference", folder, *known) if reference else None,
    )


class Slow:
    """The rules by loops over all scores; rows by uid."""

    def __init__(self, inputs):
        rows, self.uids = whole(inputs.corpus.stored)
        self.tests = {name: whole(each.stored)[0] for name, each in inputs.tests.items()}
        self.scores = {name: all_scores(rows, each) for name, each in self.tests.items()}
        if inputs.reference is not None:
            reference = whole(inputs.reference.stored)[0]
            self.gap = {name: all_scores(reference, each).max(axis=0) for name, each in self.tests.items()}

    def keep_gap(self, *names):
        kept = set()
        for row, uid in enumerate(self.uids):
            near = [
                self.scores[name][row, test] > self.gap[name][test]
                for name in names
                for test in range(len(self.tests[name]))
            ]
            if not any(near):
                kept.add(uid)
        return kept

    def nearest(self, *names):
        return {
            uid: max(float(self.scores[name][row].max()) for name in names)
            for row, uid in enumerate(self.uids)
        }

    def keep_near(self, count, *names):
        nearest = self.nearest(*names)
        return set(sorted(nearest, key=lambda uid: (nearest[uid], uid))[:count])

    def keep_far(self, count, *names):
        nearest = self.nearest(*names)
        return set(sorted(nearest, key=lambda uid: (nearest[uid], uid))[len(nearest) - count :])
