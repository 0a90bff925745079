"""Everything that `oddpair count` does, from a parquet of captions to the files that it writes; and its memory."""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
from tests.perf.count_data import make_language, make_vocabulary, write_captions
from tests.perf.figures import FOLDER, Figure, divide, report, time_ways, use_two_cores
from tests.perf.perf_count import LAION_400M

from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.counting.jobs import count_corpus
from oddpair.retrieval.counting.plan import PAIR_CONCEPTS, CountPlan
from oddpair.retrieval.vocabulary_file import save_vocabulary


def count(path: Path, vocabulary: Vocabulary, workers: int) -> None:
    """Count a corpus into a folder that is new each time."""
    with tempfile.TemporaryDirectory(dir=path.parent) as out:
        plan = CountPlan(vocabulary=vocabulary)
        counts = count_corpus(open_corpus(path), Path(out) / "counts", plan, workers=workers).counts
    assert counts.n_captions == pq.read_metadata(path).num_rows


def measure_time(folder: Path, rows: int, times: int, rounds: int) -> list[Figure]:
    """Tell what a caption costs from what a run costs, by two corpora, one ``times`` as long; and use two workers."""
    language = make_language()
    short, long = folder / "short.parquet", folder / "long.parquet"
    write_captions(language, short, rows)
    write_captions(language, long, rows, times)
    vocabulary = make_vocabulary(language, PAIR_CONCEPTS)
    ways: dict[str, Callable[[], object]] = {
        "short": partial(count, short, vocabulary, 1),
        "long": partial(count, long, vocabulary, 1),
        "two short": partial(count, short, vocabulary, 2),
        "two": partial(count, long, vocabulary, 2),
    }
    taken = time_ways(ways, rounds)
    both = list(zip(taken["short"], taken["long"], strict=True))
    each = [(more - less) / (rows * (times - 1)) for less, more in both]
    once = [less - rows * caption for (less, _), caption in zip(both, each, strict=True)]
    each_of_two = [
        (more - less) / (rows * (times - 1))
        for less, more in zip(taken["two short"], taken["two"], strict=True)
    ]
    name = f"oddpair count, {PAIR_CONCEPTS:,} concepts and all their pairs"
    return [
        Figure(
            name=f"{name}, {rows * times:,} captions: two workers beside one",
            values=divide(taken["long"], taken["two"]),
        ),
        Figure(
            name=f"{name}: two workers beside one, without what a run costs whatever its length",
            values=divide(each, each_of_two),
        ),
        Figure(
            name=f"{name}: 400 million captions by one worker, from parquet to files",
            values=[(LAION_400M * caption + start) / 60 for caption, start in zip(each, once, strict=True)],
            unit="minutes",
            note=f"{1 / statistics.median(each):,.0f} captions a second, and {statistics.median(once):.1f} s once",
        ),
    ]


def measure_memory(folder: Path, rows: int) -> list[Figure]:
    """Find how much memory the command takes for a large corpus and a large vocabulary."""
    language = make_language()
    captions, vocabulary = folder / "captions.parquet", folder / "vocabulary.txt"
    write_captions(language, captions, rows)
    save_vocabulary(vocabulary, make_vocabulary(language, 100_000))
    oddpair = Path(sys.executable).with_name("oddpair")
    asked = (oddpair, "count", captions, "--vocabulary", vocabulary, "--out", folder / "counts")
    with subprocess.Popen(asked) as process:
        most = watch(process)
    assert process.returncode == 0
    pairs = pq.read_metadata(folder / "counts" / "pairs.parquet").num_rows
    return [
        Figure(
            name=f"oddpair count, 100,000 concepts, {rows:,} captions: peak memory of all its processes",
            values=(most,),
            unit="MB",
            ceiling=2000,
            note=f"{pairs:,} pairs",
        )
    ]


def watch(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process, and return the most memory that it and those that it started had at once, in megabytes."""
    most = 0.0
    while process.poll() is None:
        most = max(most, sum(held_by(pid) for pid in family_of(process.pid)))
        time.sleep(0.05)
    return most


def family_of(pid: int) -> Iterator[int]:
    """Yield a process and those that it started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                yield from family_of(int(child))


def held_by(pid: int) -> float:
    """Memory of a process, what it shares with others divided among them; nothing where it has ended."""
    with suppress(OSError):
        found = re.search(r"Pss:\s*(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rows", type=int, default=300_000)
    options.add_argument("--times", type=int, default=10, help="so many times as long is the other corpus")
    options.add_argument("--memory", type=int, metavar="ROWS", help="only peak memory, of so many rows")
    asked = options.parse_args()
    use_two_cores()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        if asked.memory:
            report("9-count-memory", measure_memory(Path(folder), asked.memory))
        else:
            report("9-count-command", measure_time(Path(folder), asked.rows, asked.times, asked.rounds))


if __name__ == "__main__":
    main()
