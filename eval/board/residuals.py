"""How far entries lie from what the counts of their corpora and the other entries foretell, concept by concept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit
from threadpoolctl import threadpool_limits

from oddpair.eval.board.board import ConceptPoint, Score
from oddpair.eval.board.corpora import KnownCorpus
from oddpair.eval.board.residual_cells import Cells, FloatArray, Member, lay_cells
from oddpair.eval.board.residual_fit import FEWEST_OTHERS, Foretold, foretell
from oddpair.eval.intervals import percentile_interval, resample, widen_confidence
from oddpair.eval.submission.entry import Entry

BAND = 0.99
_CONFIDENCE = 0.95
_KINDS = ("classification", "pairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """How an entry does beside what counts foretell of it, all as fractions: 0.01 is one point.

    Attributes:
        above: Accuracy less the predicted one by task, over the questions whose concepts are counted. The interval is of
            the questions alone (concepts or pairs drawn whole, 95 %); ``n`` is those questions.
        bands: Predicted accuracy on those questions by task, and where it should lie, 99 %, from how far other entries lie
            from their own predictions; ``n`` is those entries, copies counted once.
        points: The same by concept or ordered pair.
        note: Why there is nothing, in a sentence; ``""`` where there is something.
    """

    above: Mapping[str, Score] = field(default_factory=dict)
    bands: Mapping[str, Score] = field(default_factory=dict)
    points: tuple[ConceptPoint, ...] = ()
    note: str = ""


def find_residuals(entries: Sequence[Entry], corpora: Mapping[str, KnownCorpus]) -> dict[str, Residuals]:
    """Compare entries that were trained on one counted corpus with what the others foretell of them.

    No answer of an entry is read for its own prediction, and none of a copy of it: what it is predicted from are the
    counts of its corpus and the accuracies of the others, so that skill beyond theirs is above the prediction as leaked
    questions are. How far honest ones lie is read off the predictions of the others, which have met it; four others on the
    same questions are the fewest that tell.

    Args:
        entries: All entries.
        corpora: Corpora whose counts are known, by the sha256 of their uids.

    Returns:
        Residuals of every entry by its name.
    """
    notes = {entry.submission.name: _find_obstacle(entry, corpora) for entry in entries}
    groups: defaultdict[tuple[str, str], list[Member]] = defaultdict(list)
    for entry in sorted(entries, key=lambda one: one.submission.name):
        if not notes[entry.submission.name]:
            corpus = corpora[entry.submission.training[0].manifest]
            for task, found in entry.tasks.items():
                if found.key.kind in _KINDS:
                    groups[task, found.key.lock].append(Member(entry.submission.name, found, corpus))
    above: defaultdict[str, dict[str, Score]] = defaultdict(dict)
    bands: defaultdict[str, dict[str, Score]] = defaultdict(dict)
    points: defaultdict[str, list[ConceptPoint]] = defaultdict(list)
    for (task, _), members in groups.items():
        # One thread for all sums: last bits then do not depend on the machine's cores.
        with threadpool_limits(limits=1):
            cells = _lay_counted(members)
            foretold = foretell(cells)
            if foretold is None:
                continue
            scores, found_bands = _score(cells, foretold), _find_bands(cells, foretold)
        for number, score in scores.items():
            name = cells.names[number]
            above[name][task] = score
            bands[name][task] = found_bands[number]
            points[name] += _list_points(cells, foretold, number)
    return {
        name: Residuals(
            above=above[name],
            bands=bands[name],
            points=tuple(points[name]),
            note=note or ("" if above[name] else _TOO_FEW),
        )
        for name, note in notes.items()
    }


_TOO_FEW = (
    f"There are fewer than {FEWEST_OTHERS} other entries with the same tasks whose corpora are counted: too few to tell what "
    "counts foretell."
)


def _find_obstacle(entry: Entry, corpora: Mapping[str, KnownCorpus]) -> str:
    training = entry.submission.training
    if not training:
        return "The training data are not declared."
    if len(training) > 1:
        return f"{len(training)} corpora are declared: what they share is not known, so that their counts cannot be added."
    if training[0].manifest not in corpora:
        return "The counts of the declared corpus are not known."
    return ""


def _lay_counted(members: Sequence[Member]) -> Cells:
    """Leave out entries whose corpus was asked for none of the task's concepts: it foretells nothing of them."""
    cells = lay_cells(members)
    counted = (cells.count >= 0).max(axis=1)[cells.corpus].tolist()
    able = [member for member, known in zip(members, counted, strict=True) if known]
    return lay_cells(able) if able and len(able) < len(members) else cells


def _score(cells: Cells, foretold: Foretold) -> dict[int, Score]:
    weight = cells.n[:, None] * foretold.known
    # Questions about one concept, or about one pair whichever was asked for, go alike.
    both = np.sort(np.stack([cells.target, cells.partner], axis=1), axis=1)
    cluster = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    n_clusters = int(cluster.max()) + 1
    spread = np.eye(n_clusters)[cluster]
    sizes = spread.T @ weight
    sums = spread.T @ (weight * np.where(foretold.known, cells.accuracy - foretold.mean, 0.0))
    counted = (sizes > 0).sum(axis=0)
    if n_clusters < 2:
        return {}

    def mean_of(drawn: FloatArray) -> FloatArray:
        total = drawn @ sizes
        means: FloatArray = np.divide(drawn @ sums, total, out=np.full(total.shape, np.nan), where=total > 0)
        return means

    draws = resample(mean_of, n_clusters, np.random.default_rng(cells.seed))
    values = mean_of(np.ones((1, n_clusters)))[0]
    found = {}
    for number in np.flatnonzero(counted >= 2).tolist():
        estimate = percentile_interval(
            values[number],
            draws[:, number],
            n=int(weight[:, number].sum()),
            what=f"above prediction on {cells.task}",
            confidence=widen_confidence(_CONFIDENCE, int(counted[number])),
        )
        # A draw of nothing but uncounted concepts says nothing: accuracies differ by 1 at most.
        low, high = max(estimate.low, -1.0), min(estimate.high, 1.0)
        found[number] = Score(value=estimate.value, low=low, high=high, n=estimate.n)
    return found


def _find_bands(cells: Cells, foretold: Foretold) -> list[Score]:
    weight = cells.n[:, None] * foretold.known
    total = weight.sum(axis=0)
    # Arcsines of square roots: near 0 and 1 accuracies lie closer to each other.
    scored = np.arcsin(np.sqrt(np.clip((weight * cells.accuracy).sum(axis=0) / total, 0, 1)))
    predicted = np.clip(np.nansum(weight * foretold.mean, axis=0) / total, 0, 1)
    expected = np.arcsin(np.sqrt(predicted))
    away = np.bincount(foretold.copy, weights=scored - expected) / np.bincount(foretold.copy)
    bands = []
    for number, group in enumerate(foretold.copy.tolist()):
        theirs = np.delete(away, group)
        n = len(theirs)
        reach = float(stdtrit(n - 1, (1 + BAND) / 2)) * float(theirs.std(ddof=1)) * np.sqrt(1 + 1 / n)
        # About the mean of theirs: leaving out the entry moves its own prediction one way and theirs the other.
        ends = expected[number] + theirs.mean() + np.array([-reach, reach])
        low, high = (np.sin(np.clip(ends, 0, np.pi / 2)) ** 2).tolist()
        bands.append(Score(value=float(predicted[number]), low=low, high=high, n=n))
    return bands


def _list_points(cells: Cells, foretold: Foretold, number: int) -> list[ConceptPoint]:
    corpus = int(cells.corpus[number])
    made = []
    for cell in np.flatnonzero(foretold.known[:, number]).tolist():
        mean = float(foretold.mean[cell, number])
        pmi = float(cells.pmi[corpus, cell])
        made.append(
            ConceptPoint(
                task=cells.task,
                concept=cells.labels[corpus][cell],
                count=int(cells.count[corpus, cell]),
                pmi=None if np.isnan(pmi) else pmi,
                accuracy=float(cells.accuracy[cell, number]),
                n=int(cells.n[cell]),
                predicted=Score(
                    value=mean,
                    # Of few questions the likeliest accuracies may all lie on one side of the mean.
                    low=min(mean, float(foretold.low[cell, number])),
                    high=max(mean, float(foretold.high[cell, number])),
                    n=foretold.others,
                ),
            )
        )
    return made
