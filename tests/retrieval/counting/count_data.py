"""Corpora of made captions, and what a count of them must say by brute force."""

import hashlib
import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.mentions.slow import find_slowly

VOCABULARY = build_vocabulary(["cat", "dog", "tree", "Pine_Tree", "car", "hot dog", "emu", "red"])
# Words that concepts are made of, words beside them, and what separates words.
WORDS = [
    "cat",
    "CATS",
    "dog",
    "dogs",
    "hot",
    "pine",
    "tree",
    "trees",
    "car",
    "red",
    "a",
    "of",
    "émeu",
    "carpet",
]
BETWEEN = [" ", " ", " ", ", ", "-", "_", "’s "]
NO_CAPTIONS = ("", "  \t", None)


def draw_captions(seed, n, *, silent=0.1):
    rng = np.random.default_rng(seed)

    def draw():
        if rng.random() < silent:
            return NO_CAPTIONS[rng.integers(len(NO_CAPTIONS))]
        words = rng.choice(WORDS, rng.integers(1, 8))
        return words[0] + "".join(BETWEEN[rng.integers(len(BETWEEN))] + word for word in words[1:])

    return [draw() for _ in range(n)]


def uid_of(number):
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


def write_tables(folder, rows, *, parts=1, ending="parquet"):
    """Write rows of (uid, caption) into so many parquet files, of which some may be empty."""
    folder.mkdir(parents=True)
    cuts = np.linspace(0, len(rows), parts + 1).astype(int)
    for part, (start, stop) in enumerate(itertools.pairwise(cuts)):
        uids, captions = zip(*rows[start:stop], strict=True) if stop > start else ((), ())
        table = pa.table({"uid": pa.array(uids, pa.string()), "text": pa.array(captions, pa.string())})
        pq.write_table(table, folder / f"part-{part:03d}.{ending}")
    return folder


def is_silent(caption):
    return caption is None or not caption.strip()


def brute_force(captions, vocabulary=VOCABULARY, *, overlap="all", tags=None):
    """Count singles and pairs of captions, tags and both, row by row."""
    found = find_slowly(vocabulary, captions, overlap=overlap)
    mentioned = [set(found.concepts[a:b].tolist()) for a, b in itertools.pairwise(found.ends)]
    kinds = {"text": mentioned}
    if tags is not None:
        kinds |= {"image": tags, "joint": [a & b for a, b in zip(mentioned, tags, strict=True)]}
    nested = nested_pairs(vocabulary)
    singles, pairs = {}, {}
    for kind, rows in kinds.items():
        singles[kind] = [sum(concept in row for row in rows) for concept in range(len(vocabulary))]
        pairs[kind] = {
            pair: n
            for pair in itertools.combinations(range(len(vocabulary)), 2)
            if pair not in nested and (n := sum(set(pair) <= row for row in rows))
        }
    return singles, pairs


def listed(counts, kind="text"):
    """Return the pairs that are listed, as a dictionary."""
    column = {"text": counts.pair_text, "image": counts.pair_image, "joint": counts.pair_joint}[kind]
    return dict(zip(zip(counts.a.tolist(), counts.b.tolist(), strict=True), column.tolist(), strict=True))


def nonzero(pairs):
    return {pair: n for pair, n in pairs.items() if n}


def content(folder, *, without=()):
    """Return the digest of every file that is not hidden."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name not in without
    }


def quarantine_of(folder):
    return [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]
