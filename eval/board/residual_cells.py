"""Accuracy by concept, or by ordered pair, of every entry whose corpus is counted, beside that corpus' counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oddpair.benchmarks.answer_keys import AnswerKey
from oddpair.eval.board.corpora import KnownCorpus
from oddpair.eval.scoring.metrics import credit
from oddpair.eval.submission.entry import Recomputed
from oddpair.retrieval.counting.pmi import pmi

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BESIDE = " + "


class Member(NamedTuple):
    """An entry's name, what it answered on the task, and the corpus that it was trained on."""

    name: str
    task: Recomputed
    corpus: KnownCorpus


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """What ``m`` entries, trained on ``k`` corpora, scored on the ``c`` concepts or pairs of a task.

    Attributes:
        task: ``benchmark.task``.
        seed: Of draws of its questions, the same for all models.
        names: Names of the entries.
        corpus: Corpus of each entry, shape ``(m,)``.
        target: Class that was asked for, shape ``(c,)``.
        partner: Class beside it, -1 where the task is none of pairs, shape ``(c,)``.
        n: Questions, shape ``(c,)``.
        chance: What guessing scores, shape ``(c,)``.
        accuracy: Shape ``(c, m)``.
        labels: What each corpus calls the concepts of a cell, ``""`` where it does not know them; ``k`` times ``c``.
        count: Captions that name the concept, or both of the pair; -1 where not counted, shape ``(k, c)``.
        pmi: Of the pair in nats, NaN where no caption shows it or there is no pair, shape ``(k, c)``.
        columns: What foretells accuracy, shape ``(k, c, f)``: log10(1 + count); of a pair those of the target and of
            the partner, and their PMI in decades, shrunk towards 0 and finite.
    """

    task: str
    seed: int
    names: tuple[str, ...]
    corpus: IntArray
    target: IntArray
    partner: IntArray
    n: FloatArray
    chance: FloatArray
    accuracy: FloatArray
    labels: tuple[tuple[str, ...], ...]
    count: IntArray
    pmi: FloatArray
    columns: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Counted:
    labels: tuple[str, ...]
    count: IntArray
    pmi: FloatArray
    columns: FloatArray


def lay_cells(members: Sequence[Member]) -> Cells:
    """Lay the accuracies of entries on one task side by side.

    Args:
        members: Entries that were asked the same questions, of classification or pairs; at least one.

    Returns:
        The cells.
    """
    key = members[0].task.key
    n_classes = len(key.class_keys)
    # The partner is -1 where there is none.
    asked = (
        key.table["target"].to_numpy().astype(np.int64) * (n_classes + 1)
        + key.table["partner"].to_numpy()
        + 1
    )
    places, cell, n = np.unique(asked, return_inverse=True, return_counts=True)
    target, partner = places // (n_classes + 1), places % (n_classes + 1) - 1
    accuracy = np.empty((len(places), len(members)))
    for column, member in enumerate(members):
        # Records of an entry are in the order of the key.
        earned = np.bincount(cell.reshape(-1), weights=credit(member.task.records, key.kind))
        # A sum of parts such as thirds may miss a whole number by its last bits.
        accuracy[:, column] = np.minimum(np.round(earned, 9) / n, 1.0)
    guess = np.bincount(cell.reshape(-1), weights=1 / key.table["n_candidates"].to_numpy()) / n
    corpora = {member.corpus.manifest: member.corpus for member in members}
    order = {manifest: number for number, manifest in enumerate(corpora)}
    counted = [_count(corpus, key, target, partner) for corpus in corpora.values()]
    return Cells(
        task=key.task,
        seed=key.seed,
        names=tuple(member.name for member in members),
        corpus=np.array([order[member.corpus.manifest] for member in members], dtype=np.int64),
        target=target,
        partner=partner,
        n=n.astype(np.float64),
        chance=guess,
        accuracy=accuracy,
        labels=tuple(one.labels for one in counted),
        count=np.stack([one.count for one in counted]),
        pmi=np.stack([one.pmi for one in counted]),
        columns=np.stack([one.columns for one in counted]),
    )


def _count(corpus: KnownCorpus, key: AnswerKey, target: IntArray, partner: IntArray) -> _Counted:
    spellings = zip(key.class_keys, key.class_names, strict=True)
    of_class = np.array([corpus.counts.find(both) for both in spellings], dtype=np.int64)
    counts = corpus.counts.counts
    first = of_class[target]
    single = counts.text[first]
    if key.kind != "pairs":
        known = first >= 0
        return _Counted(
            labels=tuple(counts.names[concept] if concept >= 0 else "" for concept in first.tolist()),
            count=np.where(known, single, -1),
            pmi=np.full(len(target), np.nan),
            columns=np.log10(1 + single)[:, None],
        )
    second = np.where(partner >= 0, of_class[partner], -1)
    together = corpus.count_pairs(first, second)
    shown = together > 0
    values = np.full(len(target), np.nan)
    values[shown] = pmi(
        together[shown], counts.text[first[shown]], counts.text[second[shown]], counts.n_captions
    )
    shrunk = np.nan_to_num(corpus.counts.pmi(first, second)) / np.log(10)
    return _Counted(
        labels=tuple(
            f"{counts.names[a]}{BESIDE}{counts.names[b]}" if a >= 0 and b >= 0 else ""
            for a, b in zip(first.tolist(), second.tolist(), strict=True)
        ),
        count=together,
        pmi=values,
        columns=np.stack([np.log10(1 + single), np.log10(1 + counts.text[second]), shrunk], axis=1),
    )
