"""What accuracy is scaled with: the counts of concepts, or of sets of objects, in corpora of several sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oddpair.eval.composing.object_features import MEAN_LOG, measure
from oddpair.eval.composing.objects import BoolArray, FloatArray, IntArray, Names, ObjectSamples
from oddpair.eval.prediction.table import AccuracyTable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalingRows:
    """Accuracy of models on things that every corpus was counted for.

    Attributes:
        model: Model of the row, shape ``(n,)``.
        corpus: Its corpus, shape ``(n,)``.
        size: Samples in the corpus, shape ``(n,)``.
        log_count: log10(1 + count) in it; of a set of objects the mean over these, shape ``(n,)``.
        accuracy: 0 to 1, shape ``(n,)``.
        cluster: Number of the concept or set, the same for all models and corpora, shape ``(n,)``.
        kind: What a cluster is, in the plural.
        left_out: Rows that had no accuracy or count, or that not every corpus has.

    Raises:
        ValueError: If shapes differ, a number of a cluster is left out, or a corpus has two sizes or is smaller than a count.
    """

    model: Names
    corpus: Names
    size: FloatArray
    log_count: FloatArray
    accuracy: FloatArray
    cluster: IntArray
    kind: str
    left_out: int

    def __post_init__(self) -> None:
        shapes = {len(self.model), len(self.corpus), len(self.size), len(self.log_count), len(self.accuracy)}
        if shapes != {len(self.cluster)}:
            raise ValueError(f"columns of {sorted(shapes)} rows, clusters of {len(self.cluster)}")
        if not np.array_equal(np.unique(self.cluster), np.arange(self.n_clusters)):
            raise ValueError(f"clusters are not numbered from 0 to {self.n_clusters - 1} without a gap")
        for corpus in self.corpora:
            sizes = np.unique(self.size[self.corpus == corpus])
            if len(sizes) > 1:
                raise ValueError(f"corpus {corpus!r} has the sizes {sizes[:2].tolist()}, needed one")
        above = np.flatnonzero(10**self.log_count > (1 + self.size) * (1 + 1e-9))
        if len(above):
            row = int(above[0])
            raise ValueError(
                f"corpus {str(self.corpus[row])!r} has {self.size[row]:,.0f} samples, a count in it is "
                f"{10 ** self.log_count[row] - 1:,.0f}"
            )

    def __len__(self) -> int:
        return len(self.cluster)

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora, the smallest first."""
        names, first = np.unique(self.corpus, return_index=True)
        return tuple(names[np.lexsort((names, self.size[first]))].tolist())

    @property
    def n_clusters(self) -> int:
        """Concepts or sets."""
        return int(self.cluster.max()) + 1

    def mask(self, corpora: tuple[str, ...]) -> BoolArray:
        """Rows of some corpora, shape ``(n,)``."""
        return np.isin(self.corpus, corpora)


def scale_concepts(
    table: AccuracyTable, sizes: Mapping[str, float], *, count: str = "count_joint"
) -> ScalingRows:
    """Take from a table the classes that all its corpora have an accuracy and a count for.

    A cluster is a concept by its normalised name, whatever the dataset.

    Args:
        table: The table.
        sizes: Samples in each corpus; corpora without a size are left out.
        count: Which count, a column of the table.

    Raises:
        ValueError: If no class is left.
    """
    known = table.known & ~np.isnan(table.columns()[count]) & np.isin(table.corpus, list(sizes))
    used = table.take(known) if known.any() else None
    if used is None:
        raise ValueError(f"no row has an accuracy, a {count} and a corpus of known size")
    key = np.char.add(np.char.add(used.dataset, "\n"), used.concept)
    kept = _in_all(key, used.corpus)
    if not kept.any():
        raise ValueError(f"no concept is known for all of the corpora {', '.join(used.corpora)}")
    used = used.take(kept)
    return ScalingRows(
        model=used.model,
        corpus=used.corpus,
        size=np.array([sizes[corpus] for corpus in used.corpus.tolist()], np.float64),
        log_count=np.log10(1 + used.columns()[count]),
        accuracy=used.accuracy,
        cluster=np.unique(used.key, return_inverse=True)[1].reshape(-1).astype(np.int64),
        kind="concepts",
        left_out=len(table) - len(used),
    )


def scale_sets(samples: ObjectSamples) -> ScalingRows:
    """Take the samples of several objects that all corpora have counts for, whether they show the objects together or not.

    A cluster is a set of objects.

    Args:
        samples: The samples.

    Raises:
        ValueError: If no sample is left.
    """
    known = (samples.size > 1) & ~np.isnan(samples.smallest) & ~np.isnan(samples.corpus_size)
    used = samples.take(known) if known.any() else None
    if used is None:
        raise ValueError("no sample has counts of several objects in a corpus of known size")
    kept = _in_all(used.sample, used.corpus)
    if not kept.any():
        raise ValueError(f"no sample is known for all of the corpora {', '.join(used.corpora)}")
    used = used.take(kept)
    return ScalingRows(
        model=used.model,
        corpus=used.corpus,
        size=used.corpus_size,
        log_count=measure(used, MEAN_LOG),
        accuracy=used.correct,
        cluster=np.unique(used.key, return_inverse=True)[1].reshape(-1).astype(np.int64),
        kind="sets of objects",
        left_out=len(samples) - len(used),
    )


def _in_all(key: Names, corpus: Names) -> BoolArray:
    """Rows whose key every corpus has."""
    codes = np.unique(key, return_inverse=True)[1].reshape(-1)
    places = np.unique(corpus, return_inverse=True)[1].reshape(-1)
    held = np.zeros((codes.max() + 1, places.max() + 1), np.bool_)
    held[codes, places] = True
    everywhere: BoolArray = np.asarray(held.all(axis=1))
    return everywhere[codes]
