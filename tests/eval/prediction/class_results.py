"""Results of classification and pairs with records, as ``oddpair eval`` leaves them, of answers that a test gives."""

import numpy as np
from tests.eval.scoring.scored import classes, pairs

from oddpair import files
from oddpair.eval.intervals import Estimate
from oddpair.eval.results import Metric, TaskResult, name_folder, result_path, write_result
from oddpair.eval.scoring.records import write_records

HASHES = ("uids", "questions", "prompts", "classes", "preprocessing", "weights")


def write_classes(out, model, keys, asked, answered, **changes):
    """Write what a model answered to questions of classes; ``None`` is level between all."""
    images = np.array(
        [np.ones(len(keys)) if one is None else np.eye(len(keys))[keys.index(one)] for one in answered]
    )
    records = classes(
        images / np.linalg.norm(images, axis=1, keepdims=True),
        np.eye(len(keys)),
        [keys.index(one) for one in asked],
    )
    return _write(out, "classification", records, model, keys, **{"task": "natural", **changes})


def write_pairs(out, model, keys, asked, answered, **changes):
    """Write what a model answered to questions of target and partner."""
    n = len(keys)
    vectors = np.broadcast_to(np.eye(n)[:, None, :], (n, n, n))
    target, partner = np.array([[keys.index(name) for name in pair] for pair in asked]).T
    images = np.eye(n)[[keys.index(one) for one in answered]]
    records = pairs(images, vectors, target, partner)
    return _write(out, "pairs", records, model, keys, **{"task": "pairs", **changes})


def _write(out, kind, records, model, keys, *, task, names=None, pretrained="", questions="a1", damaged=0):
    slug = name_folder(model, pretrained)
    path = result_path(out / slug, "toy", task)
    records_path = path.with_name(f"toy.{task}.parquet")
    write_records(records_path, kind, records)
    estimate = Estimate(value=0.5, low=0.4, high=0.6, n=records.num_rows, what="top1")
    result = TaskResult(
        benchmark="toy",
        version=1,
        task=task,
        kind=kind,
        family="f",
        cluster="image",
        model=model,
        pretrained=pretrained,
        slug=slug,
        n_images=records.num_rows,
        damaged=damaged,
        class_keys=tuple(keys),
        class_names=tuple(names or keys),
        logit_scale=100.0,
        hashes=dict.fromkeys(HASHES, "b2" * 32) | {"questions": questions * 32},
        records=files.sha256(records_path),
        run="",
        metrics=(Metric(name="top1", estimate=estimate, chance=0.1, interval="none"),),
    )
    write_result(path, result)
    return path
