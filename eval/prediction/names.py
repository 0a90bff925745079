"""What the names of concepts have in common: shared words, and rivals in the same dataset."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from oddpair.retrieval.words import find_words

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Names = NDArray[np.str_]

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PIECE = re.compile(r"[^\W\d]+|\d+")


def split_name(name: str) -> tuple[str, ...]:
    """Split a name into lower-case words and numbers, also where only a capital or a digit parts them.

    >>> split_name("CamelCase_747-400d")
    ('camel', 'case', '747', '400', 'd')
    """
    words = find_words(_HUMP.sub(" ", name))
    return tuple(piece for word in words for piece in _PIECE.findall(word))


def weigh_words(names: Names) -> sparse.csr_array:
    """Weigh the words of each name by how rare they are among the names, rows of unit length.

    The product of two rows is 1 for equal names and 0 for names without a common word; a shared rare word
    (``warbler``) says more than a shared common one.

    Args:
        names: Names as written, shape ``(n,)``; repeated ones count once in how rare a word is.

    Returns:
        Weights, shape ``(n, n_words)``; a name without words has an empty row.
    """
    unique, inverse = np.unique(names, return_inverse=True)
    words: dict[str, int] = {}
    rows, columns = [], []
    for row, name in enumerate(unique.tolist()):
        for word in sorted(set(split_name(name))):
            rows.append(row)
            columns.append(words.setdefault(word, len(words)))
    shape = (len(unique), max(1, len(words)))
    holds = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    rarity = 1 + np.log((1 + shape[0]) / (1 + np.asarray(holds.sum(axis=0)).reshape(-1)))
    weighed = sparse.csr_array(holds @ sparse.diags_array(rarity))
    length = np.sqrt(np.asarray((weighed * weighed).sum(axis=1)).reshape(-1))
    scale = sparse.diags_array(1 / np.where(length > 0, length, 1.0))
    # A product with a selection, where indexing by repeated rows would do: scipy's stubs allow no array.
    pick = sparse.csr_array(
        (np.ones(len(names)), (np.arange(len(names)), inverse.reshape(-1))), shape=(len(names), shape[0])
    )
    return sparse.csr_array(pick @ scale @ weighed)


def find_rivals(dataset: IntArray, names: Names, log_counts: FloatArray) -> FloatArray:
    """Describe how each concept stands among the others of its dataset.

    A model that knows one warbler calls every warbler so: what counts is not how often a class was seen
    but how often beside the classes that it is confused with, of which a shared word is the sign.

    Args:
        dataset: Number of each row's dataset, shape ``(n,)``.
        names: Name of each row, shape ``(n,)``.
        log_counts: Counts of each row on a log scale, shape ``(n, k)``.

    Returns:
        Shape ``(n, 2 + 2 k)``: log(1 + classes of the dataset with a shared word), words of the name, each
        log count minus the largest among the former (0 without any), and the share of the dataset's
        classes that are counted less.
    """
    n, k = log_counts.shape
    found = np.zeros((n, 2 + 2 * k))
    pieces = [split_name(name) for name in names.tolist()]
    found[:, 1] = [len(words) for words in pieces]
    for number in np.unique(dataset).tolist():
        rows = np.flatnonzero(dataset == number)
        with_word: dict[str, list[int]] = {}
        for row in rows.tolist():
            for word in set(pieces[row]):
                with_word.setdefault(word, []).append(row)
        for row in rows.tolist():
            rivals = sorted({other for word in pieces[row] for other in with_word[word]} - {row})
            found[row, 0] = np.log1p(len(rivals))
            if rivals:
                found[row, 2 : 2 + k] = log_counts[row] - log_counts[rivals].max(axis=0)
        for column in range(k):
            values = log_counts[rows, column]
            found[rows, 2 + k + column] = np.searchsorted(np.sort(values), values) / len(rows)
    return found
