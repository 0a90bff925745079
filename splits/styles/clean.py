"""Clean test sets: the pictures of a test set that its own style's classifier accepts and the other one rejects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.splits.inputs import Pictures
from oddpair.splits.pool import Pool, pool_of_stored
from oddpair.splits.styles.features import open_features
from oddpair.splits.styles.labels import read_texts
from oddpair.splits.styles.scorer import PROBED
from oddpair.splits.styles.splits import SortedCorpus


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanTest:
    """What the classifiers say of a test set.

    Attributes:
        style: Style that the set is of.
        pool: Its pictures, by uid.
        accepted: Pictures that the style's classifier accepts, shape ``(n,)``.
        keep: Of these, pictures that the other classifier rejects.
        classes: Class of each picture by uid, where the set tells.
    """

    style: str
    pool: Pool
    accepted: NDArray[np.bool_]
    keep: NDArray[np.bool_]
    classes: Mapping[str, str]

    def count_classes(self) -> dict[str, tuple[int, int]]:
        """Return the pictures of each class before and after, by name of the class."""
        found: dict[str, tuple[int, int]] = {}
        if not self.classes:
            return found
        for uid, kept in zip(self.pool.uids.to_pylist(), self.keep.tolist(), strict=True):
            if uid in self.classes:
                before, after = found.get(self.classes[uid], (0, 0))
                found[self.classes[uid]] = before + 1, after + kept
        return dict(sorted(found.items()))


def clean_test(found: SortedCorpus, pictures: Pictures, style: str, class_column: str) -> CleanTest:
    """Judge the pictures of a test set by the classifiers of a corpus, at the thresholds certified there.

    Args:
        found: The sorted corpus.
        pictures: The test set, embedded as the corpus is.
        style: Style that the set is of.
        class_column: Column of its pictures' classes, if it has one.

    Returns:
        Which pictures are clean.

    Raises:
        Refusal: If the corpus has textures and the set has none.

    References:
        Mayilvahanan et al., In search of forgotten domain generalization, 2024, arXiv:2410.08258; their code looks at
        the set's own classifier alone.
    """
    stored = pictures.need_stored()
    pool = pool_of_stored(stored)
    features = open_features(stored, pictures.corpus, textured=found.features.texture is not None)
    scores = found.sort.scorer.score(features)[pool.rows]
    accepts = {
        name: scores[:, column] >= found.sort.certificate(name).threshold
        for column, name in enumerate(PROBED)
    }
    mine = accepts.pop(style)
    (others,) = accepts.values()
    return CleanTest(
        style=style,
        pool=pool,
        accepted=mine,
        keep=mine & ~others,
        classes=read_texts(pictures.corpus, class_column),
    )


def class_table(cleaned: Mapping[str, CleanTest]) -> pa.Table:
    """List the classes of every test set, with their pictures in it and in its clean subset.

    Models are compared on the classes that both have: ``clean`` above 0.
    """
    rows = [
        {"test": name, "class": label, "pictures": before, "clean": after}
        for name in sorted(cleaned)
        for label, (before, after) in cleaned[name].count_classes().items()
    ]
    schema = pa.schema(
        [("test", pa.string()), ("class", pa.string()), ("pictures", pa.int64()), ("clean", pa.int64())]
    )
    return pa.Table.from_pylist(rows, schema=schema)
