"""Tags that a tagger gave to images, in the shape of the mentions that captions make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from oddpair.errors import Refusal
from oddpair.files import read_table
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.words import normalise


def load_tags(path: Path, vocabulary: Vocabulary, uids: Sequence[str], threshold: float) -> Mentions:
    """Load image tags: which images a tagger is surer of than a threshold to show each concept.

    Args:
        path: Parquet with ``uid`` (string), ``concept`` (string, in any form of the name) and ``score``.
        vocabulary: The concepts; tags of others are passed over.
        uids: Images, in the order of the rows that come back; tags of others are passed over.
        threshold: A tag holds if its score is above this.

    Returns:
        Shape ``(len(uids), n_concepts)``, boolean. An image without tags has an empty row.

    Raises:
        ValueError: If a uid is given twice.
        Refusal: If the file is damaged, a column has another type, a score is missing or no number, or no tag
            names a concept or an image.
    """
    if len(set(uids)) < len(uids):
        raise ValueError("uids hold one uid twice")
    table = read_table(path, ["uid", "concept", "score"])
    for name, kind, fits in (
        ("uid", "text", _is_text),
        ("concept", "text", _is_text),
        ("score", "numbers", _is_number),
    ):
        found = table.schema.field(name).type
        if not fits(found):
            raise Refusal(f"{path} has {found} in column {name!r}, needed {kind}: write it so")
    scores = pc.cast(table["score"], pa.float64()).to_numpy()
    bad = np.flatnonzero(np.isnan(scores))
    if bad.size:
        raise Refusal(f"{path} row {bad[0]} has no score: every tag needs a number")
    numbers = {form: number for number, concept in enumerate(vocabulary.concepts) for form in concept.forms}
    tagged = table["concept"].to_pylist()
    known = {name: numbers.get(normalise(name), -1) for name in set(tagged) if name is not None}
    if not any(number >= 0 for number in known.values()):
        raise Refusal(f"{path} tags none of the {len(vocabulary)} concepts: use the vocabulary of the tagger")
    columns = np.array([known.get(name, -1) for name in tagged], np.int64)
    places = pc.index_in(pc.cast(table["uid"], pa.string()), value_set=pa.array(uids, pa.string()))
    rows = pc.fill_null(places, -1).to_numpy().astype(np.int64)
    if not (rows >= 0).any():
        raise Refusal(
            f"{path} tags none of the {len(uids):,} uids of the corpus: use the tags of this corpus, by its uids"
        )
    keep = (rows >= 0) & (columns >= 0) & (scores > threshold)
    cells = np.unique(rows[keep] * len(vocabulary) + columns[keep])
    tags: Mentions = sparse.csr_array(
        (np.ones(len(cells), np.bool_), (cells // len(vocabulary), cells % len(vocabulary))),
        shape=(len(uids), len(vocabulary)),
    )
    return tags


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
