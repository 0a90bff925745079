"""The forms of a vocabulary as a tree of words that many places of a text walk down at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.mentions.form_paths import find_paths

Places = NDArray[np.int64]
Ids = NDArray[np.int32]

# Most words that follow a beginning do not go on with it: a table of bits tells so sooner than a search.
_BITS_PER_STEP = 32
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FormTree:
    """Nodes are beginnings of forms; node 0 is the empty one.

    Attributes:
        first: The node that each word leads to from node 0; 0 where no form begins with it, and for word -1.
        steps: All other steps as ``node * len(first) + word``, ascending.
        targets: The node that each step leads to.
        maybe: False at the places of ``_hash`` where there is certainly no step; its size is a power of two.
        inner: Whether a step leads on from each node.
        ends: Node ``i`` is a form of the concepts ``owners[ends[i]:ends[i + 1]]``.
        owners: Ids of concepts.
    """

    first: Ids
    steps: Places
    targets: Ids
    maybe: NDArray[np.bool_]
    inner: NDArray[np.bool_]
    ends: Places
    owners: Ids

    def walk(self, words: Ids, rows: Places) -> tuple[Places, Places, Ids]:
        """Find every run of words that is a form.

        Args:
            words: The number of each word, -1 where no form holds it, shape ``(n,)``.
            rows: The caption of each word, ascending; a form does not reach into the next.

        Returns:
            Where the runs start, where they end, and their nodes; short runs first.
        """
        nodes = self.first[words]
        starts = np.flatnonzero(nodes != 0)
        nodes = nodes[starts]
        length, found = 1, []
        while len(starts):
            whole = self.ends[nodes + 1] > self.ends[nodes]
            found.append((starts[whole], starts[whole] + length, nodes[whole]))
            starts, nodes = self._step(words, rows, starts, nodes, length)
            length += 1
        if not found:
            return starts, starts, nodes
        all_starts, ends, all_nodes = (np.concatenate(part) for part in zip(*found, strict=True))
        return all_starts, ends, all_nodes

    def _step(self, words: Ids, rows: Places, starts: Places, nodes: Ids, length: int) -> tuple[Places, Ids]:
        alive = self.inner[nodes] & (starts + length < len(words))
        starts, nodes = starts[alive], nodes[alive]
        next_words = words[starts + length]
        keys = nodes.astype(np.int64) * len(self.first) + next_words
        alive = (next_words >= 0) & self.maybe[_hash(keys, len(self.maybe))]
        alive &= rows[starts + length] == rows[starts]
        starts, keys = starts[alive], keys[alive]
        places = np.searchsorted(self.steps, keys)
        alive = np.append(self.steps, -1)[places] == keys
        return starts[alive], self.targets[places[alive]]

    def name(self, nodes: Ids) -> tuple[Places, Ids]:
        """Return the concepts of nodes, each with its place among the nodes."""
        counts = self.ends[nodes + 1] - self.ends[nodes]
        places = np.repeat(np.arange(len(nodes)), counts)
        before = np.cumsum(counts) - counts
        return places, self.owners[np.arange(len(places)) + np.repeat(self.ends[nodes] - before, counts)]


def plant_forms(vocabulary: Vocabulary) -> tuple[FormTree, list[str]]:
    """Make the tree of a vocabulary's forms, and list their words in the order of the words' numbers."""
    words, nodes, owned, _ = find_paths(vocabulary)
    n_words = len(words) + 1
    first = np.zeros(n_words, np.int32)
    for (node, word), target in nodes.items():
        if not node:
            first[word] = target
    later = [(node * n_words + word, target) for (node, word), target in nodes.items() if node]
    steps, targets = np.array(sorted(later), np.int64).reshape(-1, 2).T
    maybe = np.zeros(1 << (_BITS_PER_STEP * max(1, len(steps))).bit_length(), np.bool_)
    maybe[_hash(steps, len(maybe))] = True
    inner = np.zeros(len(owned), np.bool_)
    inner[steps // n_words] = True
    ends = np.zeros(len(owned) + 1, np.int64)
    np.cumsum([len(each) for each in owned], out=ends[1:])
    tree = FormTree(
        first=first,
        steps=np.ascontiguousarray(steps),
        targets=targets.astype(np.int32),
        maybe=maybe,
        inner=inner,
        ends=ends,
        owners=np.array([owner for each in owned for owner in each], np.int32),
    )
    return tree, list(words)


def _hash(keys: Places, size: int) -> NDArray[np.uint64]:
    return (keys.astype(np.uint64) * _ODD) >> np.uint64(64 - (size - 1).bit_length())
