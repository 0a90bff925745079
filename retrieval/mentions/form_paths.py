"""The forms of a vocabulary as paths of words, from a root that all of them share."""

from __future__ import annotations

from typing import NamedTuple

from oddpair.retrieval.concepts import Vocabulary


class FormPaths(NamedTuple):
    """Nodes are beginnings of forms; node 0 is the empty one.

    Attributes:
        words: The number of each word, from 0 in the order of their first place.
        steps: The node that a word leads to from another.
        owners: Ids of the concepts whose form ends at each node, ascending.
        most_words: Words of the longest form.
    """

    words: dict[str, int]
    steps: dict[tuple[int, int], int]
    owners: list[list[int]]
    most_words: int


def find_paths(vocabulary: Vocabulary) -> FormPaths:
    """Lay out every form; all are in normal form already.

    >>> from oddpair.retrieval.concepts import Concept
    >>> trees = (Concept(name="tree", forms=("tree",)), Concept(name="pine tree", forms=("pine tree",)))
    >>> find_paths(Vocabulary(concepts=trees)).steps
    {(0, 0): 1, (0, 1): 2, (2, 0): 3}
    """
    words: dict[str, int] = {}
    steps: dict[tuple[int, int], int] = {}
    owners: list[list[int]] = [[]]
    most_words = 1
    for number, concept in enumerate(vocabulary.concepts):
        for form in concept.forms:
            node = 0
            parts = form.split(" ")
            most_words = max(most_words, len(parts))
            for part in parts:
                step = (node, words.setdefault(part, len(words)))
                if step not in steps:
                    steps[step] = len(owners)
                    owners.append([])
                node = steps[step]
            owners[node].append(number)
    return FormPaths(words=words, steps=steps, owners=owners, most_words=most_words)
