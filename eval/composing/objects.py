"""Samples that show several objects: whether a model has each right, and how often its corpus shows the objects."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.retrieval.words import normalise

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Names = NDArray[np.str_]

# What joins the objects of a set in its key: no normalised name holds it.
_BETWEEN = ";"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectSamples:
    """What models make of samples that show several objects, and what their corpora hold of these.

    Numbers that nobody counted are NaN; that is not a count of 0. The same sample comes once for every model.

    Attributes:
        model: Model of the row, shape ``(n,)``.
        corpus: Its pretraining corpus, shape ``(n,)``; the same in all rows of a model.
        sample: Sample of a test set, shape ``(n,)``.
        objects: Names of what each sample shows, each once.
        correct: Whether the model has it right, 0 to 1: a recall over several captions is a fraction, shape ``(n,)``.
        counts: Samples of the corpus that show each object of a row, the objects of all rows one after the other.
        count_set: Samples of the corpus that show all objects of the row at once, shape ``(n,)``; 0 is an unseen set.
        pmi: Mean pointwise mutual information of the row's pairs of objects, in nats, shape ``(n,)``.
        corpus_size: Samples in the corpus, shape ``(n,)``.

    Raises:
        ValueError: If shapes differ, there are no rows, a row comes twice, a model has two corpora, a corpus two
            sizes, a row has no object or one twice, or a number is out of its range.
    """

    model: Names
    corpus: Names
    sample: Names
    objects: tuple[tuple[str, ...], ...]
    correct: FloatArray
    counts: FloatArray
    count_set: FloatArray
    pmi: FloatArray
    corpus_size: FloatArray

    def __post_init__(self) -> None:
        if len(self.objects) == 0:
            raise ValueError("no rows")
        for name, column in self._columns().items():
            if column.shape != (len(self),):
                raise ValueError(f"{name} has shape {column.shape}, there are {len(self)} rows")
        for objects, key in dict(zip(self.objects, self.key.tolist(), strict=True)).items():
            named = key.split(_BETWEEN)
            if "" in named or len(set(named)) < len(objects):
                row = self.objects.index(objects)
                raise ValueError(f"row {row} has the objects {list(objects)}, needed one or more, each once")
        if self.counts.shape != (self.ends[-1],):
            raise ValueError(f"counts have shape {self.counts.shape}, there are {self.ends[-1]} objects")
        self._check_numbers()
        self._check_keys()

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def ends(self) -> IntArray:
        """Where the objects of each row end: row i has ``counts[ends[i]:ends[i + 1]]``, shape ``(n + 1,)``."""
        sizes = np.fromiter(map(len, self.objects), np.int64, count=len(self.objects))
        return np.concatenate([[0], np.cumsum(sizes)])

    @property
    def size(self) -> IntArray:
        """Objects of each row, shape ``(n,)``."""
        return np.diff(self.ends)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, sorted."""
        return tuple(np.unique(self.model).tolist())

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora, sorted."""
        return tuple(np.unique(self.corpus).tolist())

    @property
    def key(self) -> Names:
        """The set of objects by their normalised names, whatever their order, shape ``(n,)``."""
        sets = dict.fromkeys(self.objects)
        # A test set names few objects many times.
        normal = {name: normalise(name) for name in dict.fromkeys(chain.from_iterable(sets))}
        known = {objects: _BETWEEN.join(sorted(normal[name] for name in objects)) for objects in sets}
        return np.array([known[objects] for objects in self.objects], dtype=np.str_)

    @property
    def smallest(self) -> FloatArray:
        """Count of each row's rarest object, NaN where one was not counted, shape ``(n,)``."""
        return np.minimum.reduceat(self.counts, self.ends[:-1])

    @property
    def usable(self) -> BoolArray:
        """Rows of two objects or more whose counts, alone and together, are all known, shape ``(n,)``."""
        usable: BoolArray = (self.size > 1) & ~np.isnan(self.smallest) & ~np.isnan(self.count_set)
        return usable

    @property
    def unseen(self) -> BoolArray:
        """Usable rows whose objects the corpus never shows all at once, shape ``(n,)``."""
        unseen: BoolArray = self.usable & (self.count_set == 0)
        return unseen

    @property
    def seen(self) -> BoolArray:
        """Usable rows whose objects the corpus shows all at once, shape ``(n,)``."""
        seen: BoolArray = self.usable & (self.count_set > 0)
        return seen

    def take(self, rows: BoolArray | IntArray) -> ObjectSamples:
        """The rows of a mask or of indices, in that order."""
        places = np.arange(len(self))[rows]
        ends = self.ends
        starts, sizes = ends[places], np.diff(ends)[places]
        first = np.cumsum(sizes) - sizes
        entries = np.arange(sizes.sum()) - np.repeat(first, sizes) + np.repeat(starts, sizes)
        return ObjectSamples(
            objects=tuple(self.objects[place] for place in places.tolist()),
            counts=self.counts[entries],
            **{name: column[places] for name, column in self._columns().items()},
        )

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("objects", "counts")
        }

    def _check_numbers(self) -> None:
        if np.isnan(self.correct).any():
            raise ValueError(f"row {np.flatnonzero(np.isnan(self.correct))[0]} does not say what is correct")
        for name, low, high in (
            ("correct", 0.0, 1.0),
            ("count_set", 0.0, np.inf),
            ("corpus_size", 1.0, np.inf),
        ):
            column = self._columns()[name]
            wrong = np.flatnonzero((column < low) | (column > high) | np.isinf(column))
            if len(wrong):
                raise ValueError(f"row {wrong[0]}: {name} is {column[wrong[0]]:g}")
        row_of = np.repeat(np.arange(len(self)), self.size)
        for wrong, found in (
            (np.flatnonzero((self.counts < 0) | np.isinf(self.counts)), "which is no count"),
            (np.flatnonzero(self.counts > self.corpus_size[row_of]), "more than its corpus has samples"),
            (np.flatnonzero(self.counts < self.count_set[row_of]), "less than all objects together"),
        ):
            if len(wrong):
                raise ValueError(
                    f"row {row_of[wrong[0]]}: an object has the count {self.counts[wrong[0]]:g}, {found}"
                )

    def _check_keys(self) -> None:
        keys = np.stack([self.model, self.sample], axis=1)
        unique, first = np.unique(keys, axis=0, return_index=True)
        if len(unique) < len(keys):
            again = np.setdiff1d(np.arange(len(keys)), first)[0]
            raise ValueError(f"row {again} repeats (model, sample) {tuple(keys[again].tolist())}")
        pairs = np.unique(np.stack([self.model, self.corpus], axis=1), axis=0)
        names, times = np.unique(pairs[:, 0], return_counts=True)
        if (times > 1).any():
            raise ValueError(f"model {str(names[times > 1][0])!r} has rows of {times.max()} corpora")
        for corpus in self.corpora:
            sizes = np.unique(self.corpus_size[self.corpus == corpus])
            if np.isfinite(sizes).sum() > 1:
                raise ValueError(
                    f"corpus {corpus!r} has {sizes[0]:.0f} samples in one row, {sizes[1]:.0f} in another"
                )


def code_sets(samples: ObjectSamples) -> tuple[IntArray, csr_array[np.float64, tuple[int, int]]]:
    """Number the different sets of objects, and say which objects each holds.

    Args:
        samples: The samples.

    Returns:
        The set of every row, shape ``(n,)``, and the objects of every set, ones in shape ``(n_sets, n_objects)``.
    """
    keys, codes = np.unique(samples.key, return_inverse=True)
    members = [key.split(_BETWEEN) for key in keys.tolist()]
    names = np.array(list(chain.from_iterable(members)), dtype=np.str_)
    columns = np.unique(names, return_inverse=True)[1].reshape(-1)
    ends = np.concatenate([[0], np.cumsum([len(objects) for objects in members])])
    return codes.reshape(-1).astype(np.int64), csr_array((np.ones(len(names)), columns, ends))
