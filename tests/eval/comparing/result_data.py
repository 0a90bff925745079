"""Results as ``oddpair eval`` leaves them, of models whose answers are given."""

import pyarrow as pa

from oddpair import files
from oddpair.eval.intervals import Estimate
from oddpair.eval.results import RECORDS_ENDING, Metric, TaskResult, name_folder, result_path, write_result
from oddpair.eval.scoring.records import SCHEMAS, write_records

CLASSES = ("cat", "dog", "elk", "fox")


def classified(right, *, target=None, classes=CLASSES, prefix="p"):
    """Records of pictures whose right class came first or second of all."""
    n = len(right)
    target = [row % len(classes) for row in range(n)] if target is None else target
    others = [(each + 1) % len(classes) for each in target]
    ranked = [
        [each, other] if hit else [other, each]
        for each, other, hit in zip(target, others, right, strict=True)
    ]
    rest = [[place for place in range(len(classes)) if place not in top] for top in ranked]
    columns = {
        "key": [f"{prefix}{row:04d}" for row in range(n)],
        "uid": [f"{prefix}-uid-{row:04d}" for row in range(n)],
        "style": [""] * n,
        "target": target,
        "partner": [-1] * n,
        "top_classes": [(top + low)[:5] for top, low in zip(ranked, rest, strict=True)],
        "top_scores": [[0.9, 0.5, *([0.1] * (len(classes) - 2))][:5]] * n,
        "target_score": [0.9 if hit else 0.5 for hit in right],
        "logsumexp": [2.0] * n,
        "n_greater": [0 if hit else 1 for hit in right],
        "n_tied": [0] * n,
        "n_candidates": [len(classes)] * n,
    }
    return pa.table(columns, schema=SCHEMAS["classification"])


def write_task(folder, model, task, table, *, cluster="image", classes=CLASSES, version=1, prompts="0" * 64):
    """Write a task's result and records into the folder of a model, and return that folder."""
    here = folder / name_folder(model, None)
    path = result_path(here, "world", task)
    records = path.with_name(f"world.{task}{RECORDS_ENDING}")
    write_records(records, "classification", table)
    estimate = Estimate(value=0.5, low=0.4, high=0.6, n=table.num_rows, what="top1")
    result = TaskResult(
        benchmark="world",
        version=version,
        task=task,
        kind="classification",
        family=task,
        cluster=cluster,
        model=model,
        pretrained="",
        slug=here.name,
        n_images=table.num_rows,
        damaged=0,
        class_keys=classes,
        class_names=classes,
        logit_scale=100.0,
        hashes={
            **dict.fromkeys(("uids", "questions", "weights"), "0" * 64),
            "prompts": prompts,
            "classes": files.digest(classes),
            "preprocessing": "0" * 64,
        },
        records=files.sha256(records),
        run="0",
        metrics=(Metric(name="top1", estimate=estimate, chance=0.25, interval="Clopper-Pearson"),),
    )
    write_result(path, result)
    return here
