"""Small corpora and test sets of captions, with tags and embeddings, and what brute force says of them."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.retrieval.stored_folder import write_stored

from oddpair.retrieval.concepts import build_vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import CountPlan, TagFile
from oddpair.retrieval.counting.postings_query import open_postings
from oddpair.retrieval.stored import open_stored
from oddpair.splits.inputs import Pictures

NAMES = ("cat", "dog", "pine tree", "tree", "van", "kite", "apple", "bell", "drum", "harp")
VOCABULARY = build_vocabulary(NAMES)
# What no caption of a world names together; some of its images show the first.
NEVER = ({"cat", "van"}, {"dog", "van"}, {"cat", "kite"}, {"apple", "dog"})


def uid(number):
    return f"{number:032x}"


def write_corpus(folder, captions, *, first=0, shards=2, uids=None, **columns):
    """Write captions as metadata in shards; further columns may hold nulls."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(first, first + len(captions))
    table = pa.table(
        {
            "uid": [uid(number) for number in numbers] if uids is None else uids,
            "url": [f"http://e/{number}" for number in numbers],
            "caption": list(captions),
            **columns,
        }
    )
    for shard, part in enumerate(np.array_split(np.arange(len(captions)), shards)):
        pq.write_table(table.take(pa.array(part)), folder / f"part-{shard:05d}.parquet")
    return folder


def write_tags(path, shown, first=0):
    """Write what each picture shows, as tags that all hold."""
    rows = [(uid(first + number), name) for number, names in enumerate(shown) for name in names]
    columns = {
        "uid": [row[0] for row in rows],
        "concept": [row[1] for row in rows],
        "score": [0.9] * len(rows),
    }
    pq.write_table(pa.table(columns), path)
    return path


def pictures(folder, name="test", stored=None):
    return Pictures(name=name, corpus=open_corpus(folder), stored=stored)


def embed(folder, shown, first=0):
    """Write a row for each picture: those that show the same are the same, and what they share makes them near."""
    rows = np.array([[1.0 if name in names else 0.05 for name in NAMES] for names in shown])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    uids = [uid(first + number) for number in range(len(shown))]
    return open_stored(write_stored(folder, rows, uids, [len(rows)]))


def count(folder, work, *, tags=None):
    plan = CountPlan(vocabulary=VOCABULARY, tags=None if tags is None else TagFile(path=tags), postings=True)
    counted = count_corpus(open_corpus(folder), work, plan)
    return counted.counts, open_postings(work)


def named(caption):
    """Which concepts a caption of their names alone holds, the slow way."""
    words = f" {caption} "
    return {name for name in NAMES if f" {name} " in words}


def draw_captions(rng, n, *, most=4, power=1.0, never=()):
    """Captions of a few names each; with a larger power the first of them are more frequent than the last."""
    weights = 1 / np.arange(1, len(NAMES) + 1) ** power
    weights /= weights.sum()
    captions = []
    for size in rng.integers(0, most + 1, n).tolist():
        names = rng.choice(NAMES, size, replace=False, p=weights).tolist()
        names = [name for name in names if not any({name, first} in never for first in names if first < name)]
        captions.append(" and ".join(names) or "nothing at all")
    return captions


def proper_pairs(names):
    """Pairs of names of which neither holds the other."""
    return [pair for pair in combinations(sorted(names), 2) if pair != ("pine tree", "tree")]


class World:
    """1,000 random captions, of which many images show more than they say; and a test set that shows the same things."""

    def __init__(self, folder, seed, *, captions=1000, tests=200):
        self.folder = folder
        rng = np.random.default_rng(seed)
        self.captions = draw_captions(rng, captions, never=NEVER)
        self.named = list(map(named, self.captions))
        self.shown = [self._show(names, rng) for names in self.named]
        self.truth = [sorted(shown) if rng.random() < 0.2 else None for shown in self.shown]
        self.asked = draw_captions(rng, tests, most=3, power=0.3)
        self.content = [sorted(named(caption) | {rng.choice(NAMES)}) for caption in self.asked]
        self.tags = write_tags(folder / "tags.parquet", self.shown)
        self.corpus = write_corpus(folder / "corpus", self.captions, concepts=self.truth)
        self.tests = write_corpus(folder / "tests", self.asked, first=5000, concepts=self.content)

    @staticmethod
    def _show(names, rng):
        """What is named, and now and then something more."""
        more = {name for name in NAMES if rng.random() < (0.2 if name == "van" else 0.02)}
        return names if any(pair <= names | more for pair in NEVER[1:]) else names | more

    def embed_corpus(self):
        return embed(self.folder / "corpus-embedded", self.shown)

    def embed_tests(self):
        return embed(self.folder / "tests-embedded", self.content, 5000)
