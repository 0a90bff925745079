"""Records of a model's answers as hits: who was asked for, beside whom, and whether the model named it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.demo.predict import TASKS, records_path
from oddpair.eval.scoring.metrics import credit
from oddpair.eval.scoring.records import read_records


def read_hits(out: Path, model: str) -> dict[str, pa.Table]:
    """Read what a model answered, and judge it.

    Args:
        out: The run's folder.
        model: Name of the trained model.

    Returns:
        For each task, a row a question: ``uid``, ``style``, ``target``, ``partner`` (``""`` for pictures of one
        object) and ``hit``. Who names several that tie has named none.

    Raises:
        Refusal: If records are missing or damaged.
    """
    names = (*CONCEPTS, "")
    hits = {}
    for task, kind in TASKS.items():
        records = read_records(records_path(out, model, task), kind)
        asked = {
            column: [names[concept] for concept in records[column].to_pylist()]
            for column in ("target", "partner")
        }
        hit = credit(records, kind) == 1
        hits[task] = pa.table({"uid": records["uid"], "style": records["style"], **asked, "hit": hit})
    return hits


def count_hits(hits: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Count hits and questions per group.

    Args:
        hits: Of `read_hits`.
        columns: What makes a group, such as ``("target", "partner")``.

    Returns:
        The group's columns, sorted, then ``successes`` and ``trials`` (int64).

    >>> count_hits(pa.table({"target": ["cup", "egg", "cup"], "hit": [True, False, False]}), ["target"]).to_pylist()
    [{'target': 'cup', 'successes': 1, 'trials': 2}, {'target': 'egg', 'successes': 0, 'trials': 1}]
    """
    keys = list(columns)
    counted = hits.select([*keys, "hit"]).set_column(len(keys), "hit", hits["hit"].cast(pa.int64()))
    grouped = counted.group_by(keys, use_threads=False).aggregate([("hit", "sum"), ("hit", "count")])
    return grouped.sort_by([(name, "ascending") for name in keys]).rename_columns(
        [*keys, "successes", "trials"]
    )
