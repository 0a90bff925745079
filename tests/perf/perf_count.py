"""Concepts and pairs in captions beside an exact reference in Python, and beside reading alone.

Timed are finding and counting in captions that are in memory, in batches as commands read them: not building the
vocabulary and the matcher, nor listing the pairs at the end, which happen once for hundreds of millions of captions.
The reference has its captions as Python strings already. `perf_count_command` times all of it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tests.perf.count_data import Language, make_language, make_vocabulary, write_captions
from tests.perf.count_ours import Counting, World, check, find_members, open_world
from tests.perf.count_peers import Reference, SetOfWords, count_pairs, count_singles
from tests.perf.figures import FOLDER, Figure, divide, report, time_ways, use_two_cores

from oddpair.retrieval.counting.plan import PAIR_CONCEPTS
from oddpair.retrieval.mentions.arrow import ArrowMatcher
from oddpair.retrieval.mentions.matcher import Matcher

LAION_400M = 400e6

REFERENCE, REFERENCE_PAIRS, SET = "reference", "reference, with pairs", "lower().split() & set"
OURS, OURS_PAIRS = "compiled", "compiled, with pairs"
ARROW, ARROW_PAIRS = "Arrow alone", "Arrow alone, with pairs"
READ, WIDE = "reading", ", two threads"

# Seconds for a caption, by way, one of each round.
Times = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many concepts, and what is wanted of them: times as fast as the reference, % of reading, threads."""

    concepts: int
    goal: float | None = None
    floor: float | None = None
    pairs_goal: float | None = None
    pairs_floor: float | None = None
    share_goal: float | None = None
    share_floor: float | None = None
    threads_goal: float | None = None

    @property
    def name(self) -> str:
        """What its figures begin with."""
        return f"count, {self.concepts:,} concepts"

    @property
    def pairs(self) -> str:
        """Which pairs are counted."""
        return "all pairs" if self.concepts <= PAIR_CONCEPTS else f"pairs of the {PAIR_CONCEPTS:,} commonest"


CASES = (
    Case(concepts=1_000),
    Case(
        concepts=10_000,
        goal=60,
        floor=40,
        pairs_goal=20,
        pairs_floor=15,
        share_goal=30,
        share_floor=15,
        threads_goal=1.8,
    ),
    Case(concepts=100_000),
)


def measure(world: World, long: Path, language: Language, case: Case, rounds: int) -> list[Figure]:
    """Time each way in turn, and compare; ``long`` holds so many captions that reading them lasts."""
    print(f"{case.concepts:,} concepts", flush=True)
    vocabulary = make_vocabulary(language, case.concepts)
    compiled, arrow = Matcher(vocabulary), ArrowMatcher(vocabulary)
    members = find_members(world, compiled, len(vocabulary))
    mentions = check(world, vocabulary, members, [compiled, arrow])
    two = [Counting(compiled, len(vocabulary), members) for _ in range(2)]
    by_arrow = Counting(arrow, len(vocabulary), members)
    reference, words = Reference(vocabulary), SetOfWords(vocabulary)
    ours: dict[str, Callable[[], object]] = {
        OURS: partial(two[0].add, world.batches, pairs=False),
        OURS_PAIRS: partial(two[0].add, world.batches, pairs=True),
    }
    others: dict[str, Callable[[], object]] = {
        REFERENCE: partial(count_singles, reference.find, world.first),
        REFERENCE_PAIRS: partial(count_pairs, reference.find, world.first, set(members.tolist())),
        SET: partial(count_singles, words.find, world.first),
        ARROW: partial(by_arrow.add, world.batches, pairs=False),
        ARROW_PAIRS: partial(by_arrow.add, world.batches, pairs=True),
        READ: partial(read, long, threads=False),
    }
    times = time_ways(ours | others, rounds, clock=time.process_time)
    with ThreadPoolExecutor(2) as threads:
        wide: dict[str, Callable[[], object]] = {
            OURS + WIDE: partial(share, threads, two, world.batches, pairs=False),
            OURS_PAIRS + WIDE: partial(share, threads, two, world.batches, pairs=True),
            READ + WIDE: partial(read, long, threads=True),
        }
        walls = time_ways(ours | wide, rounds)
    rows = {
        **dict.fromkeys((REFERENCE, REFERENCE_PAIRS, SET), len(world.first)),
        **dict.fromkeys((READ, READ + WIDE), pq.read_metadata(long).num_rows),
    }
    each, on_the_wall = (
        {name: [seconds / rows.get(name, world.rows) for seconds in taken] for name, taken in part.items()}
        for part in (times, walls)
    )
    for name, taken in (on_the_wall | each).items():
        print(f"    {name:34}{1 / statistics.median(taken):12,.0f} captions a second", flush=True)
    found = count_singles(words.find, world.first).total() / mentions
    return [*compare(case, each, found), *scale(case, each, on_the_wall)]


def read(path: Path, *, threads: bool) -> None:
    """Read captions and nothing else."""
    pq.read_table(path, columns=["text"], use_threads=threads)


def share(
    threads: ThreadPoolExecutor, counting: Sequence[Counting], batches: Sequence[pa.Array], *, pairs: bool
) -> None:
    """Count batches in as many threads as there are countings."""
    parts = (batches[number :: len(counting)] for number in range(len(counting)))
    work = [threads.submit(mine.add, part, pairs=pairs) for mine, part in zip(counting, parts, strict=True)]
    for done in work:
        done.result()


def compare(case: Case, each: Times, found: float) -> list[Figure]:
    """Set each way beside the reference; ``found`` is the share of mentions that a set of words finds."""
    minutes = LAION_400M * statistics.median(each[OURS_PAIRS]) / 60
    beside = f"beside the reference, which counts {case.pairs} too"
    alike = "beside the reference without pairs"
    return [
        Figure(
            name=f"{case.name}: singles, {beside}",
            values=divide(each[REFERENCE_PAIRS], each[OURS]),
            goal=case.goal,
            floor=case.floor,
        ),
        Figure(
            name=f"{case.name}: {case.pairs}, beside the same",
            values=divide(each[REFERENCE_PAIRS], each[OURS_PAIRS]),
            goal=case.pairs_goal,
            floor=case.pairs_floor,
            note=f"400 million captions that are in memory: {minutes:.0f} minutes of one core",
        ),
        Figure(name=f"{case.name}: singles, {alike}", values=divide(each[REFERENCE], each[OURS])),
        Figure(
            name=f"{case.name}: singles by Arrow alone, {alike}",
            values=divide(each[REFERENCE], each[ARROW]),
        ),
        Figure(
            name=f"{case.name}: {case.pairs} by Arrow alone, beside the reference",
            values=divide(each[REFERENCE_PAIRS], each[ARROW_PAIRS]),
        ),
        Figure(
            name=f"{case.name}: {SET}, {alike}",
            values=divide(each[REFERENCE], each[SET]),
            note=f"{100 * found:.0f} % as many mentions",
        ),
    ]


def scale(case: Case, each: Times, wall: Times) -> list[Figure]:
    """Set one thread beside reading, and two threads beside one."""
    name = f"{case.name}: singles by one thread, share of raw parquet reading"
    return [
        Figure(
            name=f"{name} by one thread",
            values=[100 * value for value in divide(each[READ], each[OURS])],
            unit="%",
            goal=case.share_goal,
            floor=case.share_floor,
        ),
        Figure(
            name=f"{name} by two threads",
            values=[100 * value for value in divide(wall[READ + WIDE], wall[OURS])],
            unit="%",
        ),
        *(
            Figure(
                name=f"{case.name}: {what} by two threads, beside one",
                values=divide(wall[way], wall[way + WIDE]),
                goal=case.threads_goal,
            )
            for what, way in (("singles", OURS), (case.pairs, OURS_PAIRS))
        ),
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rows", type=int, default=300_000)
    options.add_argument("--few", type=int, default=20_000, help="of these, for the ways in Python")
    options.add_argument("--times", type=int, default=10, help="so often all rows, for reading")
    asked = options.parse_args()
    use_two_cores()
    pa.set_cpu_count(2)
    FOLDER.mkdir(parents=True, exist_ok=True)
    language = make_language()
    figures = []
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        path, long = Path(folder) / "captions.parquet", Path(folder) / "long.parquet"
        write_captions(language, path, asked.rows)
        write_captions(language, long, asked.rows, asked.times)
        world = open_world(path, asked.few)
        for case in CASES:
            figures += measure(world, long, language, case, asked.rounds)
    report("8-count", figures)


if __name__ == "__main__":
    main()
