"""Entries whose answers are drawn from accuracies that a test plants, and corpora whose counts it plants."""

import hashlib

import numpy as np
import pyarrow as pa
from scipy.special import expit

from oddpair.benchmarks.answer_keys import AnswerKey
from oddpair.eval.board.corpora import KnownCorpus
from oddpair.eval.intervals import Estimate
from oddpair.eval.prediction.corpus_counts import CorpusCounts
from oddpair.eval.results import Metric
from oddpair.eval.submission.entry import Entry, Recomputed
from oddpair.eval.submission.submission import Submission, TrainingData
from oddpair.retrieval.concepts import Concept, Vocabulary
from oddpair.retrieval.counting.counts import Counts

QUESTIONS = 20
CAPTIONS = 100_000
CONCEPTS = tuple(f"thing {row:02}" for row in range(30))


def name_hash(name):
    return hashlib.sha256(name.encode()).hexdigest()


def plant_corpus(name, counts, together=None, concepts=CONCEPTS, nested=()):
    """A corpus; ``together`` maps pairs of ids to captions with both."""
    pairs = sorted((together or {}).items())
    a, b = (np.array([pair[side] for pair, _ in pairs], dtype=np.int64) for side in (0, 1))
    counted = Counts(
        names=tuple(concepts),
        vocabulary_sha256=name_hash("vocabulary"),
        n_captions=CAPTIONS,
        text=np.array(counts, dtype=np.int64),
        image=None,
        joint=None,
        a=a,
        b=b,
        pair_text=np.array([n for _, n in pairs], dtype=np.int64),
        pair_image=None,
        pair_joint=None,
        nested=np.array([a * len(concepts) + b for a, b in nested], dtype=np.int64),
    )
    vocabulary = Vocabulary(concepts=tuple(Concept(name=one, forms=(one,)) for one in concepts))
    return KnownCorpus(
        name=name, manifest=name_hash(name), counts=CorpusCounts(counts=counted, vocabulary=vocabulary)
    )


def make_key(task="world.things", concepts=CONCEPTS, pairs=None, questions=QUESTIONS):
    """A key with so many questions about each concept, or about each ordered pair of ids."""
    asked = [(row, -1) for row in range(len(concepts))] if pairs is None else list(pairs)
    target, partner = np.repeat(np.array(asked, dtype=np.int32), questions, axis=0).T
    n = len(target)
    return AnswerKey(
        task=task,
        version=1,
        kind="classification" if pairs is None else "pairs",
        cluster="class" if pairs is None else "pair",
        class_keys=tuple(concepts),
        class_names=tuple(f"a {name}" for name in concepts),
        uids=name_hash(task),
        lock=name_hash(f"lock of {task}"),
        table=pa.table(
            {
                "key": [f"{row:05}" for row in range(n)],
                "uid": [f"{task} {row:05}" for row in range(n)],
                "style": ["photo"] * n,
                "target": target,
                "partner": partner,
                "n_candidates": np.full(n, len(concepts) - (pairs is not None), dtype=np.int32),
            }
        ),
    )


def answer(key, answers):
    """What an entry has of a task if it gives these answers."""
    target = key.table["target"].to_numpy()
    right = np.asarray(answers) == target
    records = pa.table(
        {
            **{name: key.table[name] for name in key.table.column_names},
            "top_classes": [[one] for one in np.asarray(answers).tolist()],
            "n_greater": np.where(right, 0, 1).astype(np.int32),
            "n_tied": np.zeros(len(target), dtype=np.int32),
        }
    )
    estimate = Estimate(value=float(right.mean()), low=0.0, high=1.0, n=len(right), what="top1")
    metric = Metric(name="top1", estimate=estimate, chance=1 / len(key.class_keys), interval="none")
    return Recomputed(key=key, records=records, metrics=(metric,))


def draw_answers(key, accuracy, rng):
    """Answers that are right with the probability of their question's cell, and else any other class."""
    target = key.table["target"].to_numpy()
    # Cells are asked one after the other, as often each.
    chance_of_right = np.repeat(accuracy, len(target) // len(accuracy))
    n = len(key.class_keys)
    wrong = (target + rng.integers(1, n, len(target))) % n
    return np.where(rng.random(len(target)) < chance_of_right, target, wrong)


def make_entry(name, tasks, corpus=None, **changes):
    """An entry that holds these tasks, trained on a corpus or on nobody knows what."""
    training = () if corpus is None else (TrainingData(name=corpus.name, manifest=corpus.manifest),)
    told = {
        "handle": "lab",
        "model": name,
        "architecture": "tiny",
        "parameters": 1,
        "weights": name_hash(name),
        "open_weights": True,
        "training": training,
        "samples_seen": None,
        "variants_tried": 1,
        "run": {},
        "tasks": (),
        "score": None,
        "links": {},
        **changes,
    }
    return Entry(
        submission=Submission(**told), sha256=name_hash(name), tasks={task.key.task: task for task in tasks}
    )


def plant_world(seed, n_entries=8, skill=0.3, slope=1.0, key=None):
    """Entries trained on a corpus each, whose logits are the concept's level, ``slope`` a tenfold, and own skill.

    Returns:
        The entries, their corpora by hash, and each entry's true accuracies.
    """
    rng = np.random.default_rng(seed)
    key = key or make_key()
    n = len(key.class_keys)
    level, spread = rng.normal(-2.5, 0.7, n), rng.uniform(0, 3, n)
    entries, corpora, truth = [], {}, []
    for number in range(n_entries):
        counts = np.floor(10 ** (spread + rng.uniform(0, 1) + rng.normal(0, 0.3, n)))
        corpus = plant_corpus(f"corpus-{number}", np.minimum(counts, CAPTIONS))
        accuracy = expit(level + slope * np.log10(1 + counts) + rng.normal(0, skill))
        truth.append(accuracy)
        corpora[corpus.manifest] = corpus
        entries.append(make_entry(f"m{number:03}", [answer(key, draw_answers(key, accuracy, rng))], corpus))
    return entries, corpora, truth
