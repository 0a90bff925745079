"""``python -m oddpair.benchmarks.write_lock NAME``: lock a new version of a benchmark that ships."""

from __future__ import annotations

import sys

from oddpair import files
from oddpair.benchmarks.benchmark_file import SHIPPED, read_benchmark
from oddpair.benchmarks.lock import lock_of, lock_path
from oddpair.errors import Refusal


def write_lock(name: str) -> str:
    """Write the lock of a benchmark's version, which must be a new one: what was locked stays as it was.

    Args:
        name: Of a benchmark that ships.

    Returns:
        The file.

    Raises:
        Refusal: If the version has another lock already.
    """
    benchmark = read_benchmark(SHIPPED / f"{name}.yaml")
    path = lock_path(benchmark)
    if path.is_file() and files.read_json(path) != lock_of(benchmark):
        raise Refusal(
            f"{path} locks version {benchmark.version} of {name}, and what it asks has changed: give it version "
            f"{benchmark.version + 1}"
        )
    files.write_json(path, lock_of(benchmark))
    return str(path)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        try:
            print(write_lock(each))
        except Refusal as refusal:
            sys.exit(str(refusal))
