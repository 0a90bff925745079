"""The stage that asks every trained model every question, and keeps each answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import stages
from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.benchmarks.miniature.prompts import all_pairs, concept_prompts, pair_prompts
from oddpair.eval.pairs import both_orders, conditional_hits
from oddpair.eval.prompts import embed_classes
from oddpair.eval.records import SCHEMA, write_records
from oddpair.eval.zero_shot import classify
from oddpair.jobs import run_jobs
from oddpair.retrieval.concepts import build_vocabulary, nested_pairs
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.retrieval.encoder import Encoder, load_encoder

SINGLES = ("natural", "rendition")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Questions:
    out: Path
    model: str


def predict_world(out: Path, models: tuple[str, ...], *, workers: int) -> None:
    """Score every model on every test set into ``predictions/<model>.parquet``.

    Args:
        out: The run's folder.
        models: Names of the trained models.
        workers: Processes.
    """
    folder = out / "predictions"
    made_from = {
        f"{model}/{name}": stages.digest(out / "model-embeddings" / model / name)
        for model in models
        for name in (*SINGLES, "pairs")
    }
    if not stages.begin(folder, {"made_from": made_from}):
        return
    jobs = [_Questions(out=out, model=model) for model in models if not _path(out, model).is_file()]
    if jobs:
        run_jobs(_predict, jobs, workers=min(workers, len(jobs)), title="zero-shot scores", unit="models")
    stages.finish(folder)


def _predict(job: _Questions) -> None:
    encoder = load_encoder(str(job.out / "models" / job.model))
    names = np.asarray(CONCEPTS)
    vectors = embed_classes(encoder, [concept_prompts(name) for name in CONCEPTS])
    tables = []
    for name in SINGLES:
        test = load_embeddings(job.out / "model-embeddings" / job.model / name)
        truth = open_corpus(job.out / "world" / name).metadata(["style", "concepts"])
        found = classify(test.image, vectors)
        target = np.asarray([concepts[0] for concepts in truth["concepts"].to_pylist()])
        tables.append(
            _records(
                uids=test.uids,
                task=name,
                styles=truth["style"].to_pylist(),
                target=target,
                partner=np.full(len(target), "", dtype=names.dtype),
                prediction=names[found.classes],
                score=found.scores,
                margin=found.margins,
            )
        )
    pairs = load_embeddings(job.out / "model-embeddings" / job.model / "pairs")
    truth = open_corpus(job.out / "world" / "pairs").metadata(["style", "concepts"])
    place = {name: position for position, name in enumerate(CONCEPTS)}
    shown = np.asarray([[place[name] for name in concepts] for concepts in truth["concepts"].to_pylist()])
    rows, target, partner = both_orders(shown[:, 0], shown[:, 1])
    found_pairs = conditional_hits(pairs.image[rows], target, partner, _pair_vectors(encoder), nested_mask())
    styles = truth["style"].to_pylist()
    tables.append(
        _records(
            uids=[pairs.uids[row] for row in rows],
            task="pairs",
            styles=[styles[row] for row in rows],
            target=names[target],
            partner=names[partner],
            prediction=names[found_pairs.classes],
            score=found_pairs.scores,
            margin=found_pairs.margins,
        )
    )
    write_records(_path(job.out, job.model), pa.concat_tables(tables))


def nested_mask() -> NDArray[np.bool_]:
    """Return which concepts are nested in one another, symmetric, shape ``(K, K)``."""
    mask = np.zeros((len(CONCEPTS), len(CONCEPTS)), dtype=np.bool_)
    for a, b in nested_pairs(build_vocabulary(CONCEPTS)):
        mask[a, b] = mask[b, a] = True
    return mask


def _pair_vectors(encoder: Encoder) -> NDArray[np.float64]:
    pairs = all_pairs(CONCEPTS)
    rows = embed_classes(encoder, [pair_prompts(CONCEPTS[a], CONCEPTS[b]) for a, b in pairs])
    vectors = np.zeros((len(CONCEPTS), len(CONCEPTS), rows.shape[1]))
    first, second = np.asarray(pairs).T
    vectors[first, second] = vectors[second, first] = rows
    return vectors


def _records(
    *,
    uids: list[str] | tuple[str, ...],
    task: str,
    styles: list[str],
    target: NDArray[np.str_],
    partner: NDArray[np.str_],
    prediction: NDArray[np.str_],
    score: NDArray[np.float64],
    margin: NDArray[np.float64],
) -> pa.Table:
    return pa.table(
        {
            "uid": list(uids),
            "task": [task] * len(uids),
            "style": styles,
            "target": target.tolist(),
            "partner": partner.tolist(),
            "prediction": prediction.tolist(),
            "hit": (target == prediction).tolist(),
            "score": score.astype(np.float32),
            "margin": margin.astype(np.float32),
        },
        schema=SCHEMA,
    )


def _path(out: Path, model: str) -> Path:
    return out / "predictions" / f"{model}.parquet"
