"""``python -m oddpair.eval.submission.write_key RESULTS...``: answer keys of what ``oddpair eval`` asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from oddpair.benchmarks.answer_keys import KEYS, AnswerKey, make_key, write_key
from oddpair.errors import Refusal
from oddpair.eval.results import TaskResult, find_results
from oddpair.eval.scoring.records import ASKED, read_records


def key_of(result: TaskResult, records: pa.Table) -> AnswerKey:
    """Return the answer key of a task from what any model answered: its answers are left out.

    Args:
        result: The result.
        records: Its records.

    Raises:
        Refusal: If the task is of no benchmark that ships.
    """
    return make_key(
        task=f"{result.benchmark}.{result.task}",
        version=result.version,
        kind=result.kind,
        cluster=result.cluster,
        class_keys=result.class_keys,
        class_names=result.class_names,
        uids=result.hashes["uids"],
        table=records.sort_by([(name, "ascending") for name in ASKED[result.kind]]),
    )


def write_keys(results: Sequence[Path], folder: Path = KEYS) -> list[Path]:
    """Write the answer keys of all tasks that some results are of; keys that are there stay what they are.

    Args:
        results: What ``oddpair eval`` wrote. Pictures that were damaged were not asked about: results with such
            make no key.
        folder: Folder of keys.

    Returns:
        A file for each result.

    Raises:
        Refusal: If a version of a task has another key already, or pictures were damaged.
    """
    written = []
    for one in find_results(results):
        if one.result.damaged:
            raise Refusal(
                f"{one.path}: {one.result.damaged:,} pictures were damaged, a key needs all of them: mend the set"
            )
        written.append(write_key(folder, key_of(one.result, read_records(one.record_path, one.result.kind))))
    return written


if __name__ == "__main__":
    try:
        for path in sorted(set(write_keys([Path(each) for each in sys.argv[1:]]))):
            print(path)
    except Refusal as refusal:
        sys.exit(str(refusal))
