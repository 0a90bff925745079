"""Honest submissions of random models, made from the answer keys that ship as ``oddpair eval`` and ``submit`` make them."""

import hashlib
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from oddpair import files
from oddpair.benchmarks.answer_keys import read_key
from oddpair.benchmarks.suite import read_suite
from oddpair.eval.answer import _nested
from oddpair.eval.ranking.macro import macro_score, required_families
from oddpair.eval.scoring.ranking import rank_candidates, rank_columns
from oddpair.eval.scoring.records import read_records, write_records
from oddpair.eval.submission.recompute import measure_records
from oddpair.eval.submission.schema import format_submission
from oddpair.eval.submission.submission import SUBMISSION_FILE, Claim, Submission, TaskClaim, TrainingData

REQUIRED = read_suite().required
LOGIT_SCALE = 20.0
# A standard normal score as a cosine: confidence then lies a little above what is right. What is beyond 1 is cut.
_COSINE = 0.08


def write_honest(
    folder,
    *,
    handle="lab-a",
    model="tiny",
    seed=0,
    skill=1.0,
    tasks=REQUIRED,
    **declared,
):
    """Write the submission of a random model below ``folder``, and return its own folder.

    Every class scores a standard normal, the right one ``skill`` more: models of one seed and skill answer alike, whatever
    they are called. What else is declared may be given as fields of `Submission`.
    """
    weights = files.digest([handle, model, seed, skill])
    claims, means = [], {}
    place = folder / f"{handle}__{model}__{weights[:8]}"
    for task in sorted(tasks):
        key = read_known(task)
        claim = TaskClaim(task=task, version=key.version, lock=key.lock, records="", metrics={})
        path = place / claim.file
        write_records(path, key.kind, draw_records(task, seed=seed, skill=skill))
        metrics = measure_records(key, read_records(path, key.kind), LOGIT_SCALE)
        means[task] = metrics[0].estimate.value
        claims.append(
            TaskClaim(
                task=task,
                version=key.version,
                lock=key.lock,
                records=hashlib.sha256(path.read_bytes()).hexdigest(),
                metrics={metric.name: claim_of(metric.estimate) for metric in metrics},
            )
        )
    told: dict[str, Any] = {
        "architecture": "ViT-Ti-16",
        "parameters": 1_500_000,
        "open_weights": True,
        "training": (TrainingData(name="drawn world", manifest="d3" * 32),),
        "samples_seen": 1_000_000,
        "variants_tried": 1,
        "links": {"code": "https://github.com/lab-a/tiny"},
    }
    submission = Submission(
        handle=handle,
        model=model,
        weights=weights,
        run=run_of(weights),
        tasks=tuple(claims),
        score=macro_score(means, required_families(read_suite())),
        **(told | declared),
    )
    files.write_bytes(place / SUBMISSION_FILE, format_submission(submission))
    return place


def draw_records(task, *, seed, skill):
    """Records of a random model on a task of version 1, in the order of its key."""
    key = read_known(task)
    columns = key.table.to_pydict()
    target, partner = np.array(columns["target"]), np.array(columns["partner"])
    rows, n = np.arange(len(target)), len(key.class_keys)
    drawn = np.random.default_rng([seed, int(key.lock[:8], 16)]).standard_normal((len(target), n))
    drawn[rows, target] += skill
    scores = np.clip(_COSINE * drawn, -1, 1)
    if key.kind == "pairs":
        nested = np.eye(n, dtype=np.bool_) | _nested(key.class_keys)
        closed = nested[partner] | nested[target]
        closed[rows, target] = False
        scores[closed] = -np.inf
    ranked = rank_candidates(
        keys=columns["key"],
        target=target,
        n_columns=n,
        scores_of=lambda start, stop: scores[start:stop],
        logit_scale=LOGIT_SCALE,
    )
    return pa.table(rank_columns(columns["key"], columns["uid"], columns["style"], target, partner, ranked))


@cache
def read_known(task):
    """The answer key of version 1 of a task."""
    return read_key(task, 1)


def claim_of(estimate):
    """What is claimed of an estimate."""
    return Claim(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)


def run_of(weights):
    """The record of a run, as ``oddpair eval`` keeps it."""
    return {
        "format": 1,
        "model": {
            "model": "tiny",
            "pretrained": None,
            "sha256": weights,
            "dimension": 128,
            "activation": "GELU",
            "preprocessing": "shortest bicubic to 48 x 48 by Pillow",
            "tokenizer": "SimpleTokenizer of 1214 tokens",
            "context_length": 16,
            "logit_scale": LOGIT_SCALE,
            "notes": [],
        },
        "precision": "fp32",
        "dtype": "float32",
        "seeds": "from the hash of the uids of a task, never from the model or the clock",
        "runs": {
            "0123456789ab": {
                "package": {"version": "0.1.0", "commit": "a1" * 20, "dirty": False},
                "libraries": {"python": "3.11.7", "torch": "2.15.0", "transformers": None},
                "machine": {"platform": "Linux", "device": "any", "threads": 1},
            }
        },
    }
