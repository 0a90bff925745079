"""`oddpair eval` beside CLIP_benchmark's loop, both in float32 on two cores; and what it takes beside the towers.

As commands over a random ViT-B-32: six variants of class list, templates and kept classes over one set, where the
loop runs once for each, and one variant alone. The loop has one process of two threads and two loaders, oddpair two
workers of one thread. In a process of its own: how seconds grow with the pictures and how many of them are spent in
the towers, and how time and memory grow for a small model.
"""

import argparse
import json
import logging
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
from tests.perf.drawing import draw_jpegs
from tests.perf.eval_data import VARIANTS, Variant, write_benchmark, write_prompts, write_set
from tests.perf.eval_ours import Spent, evaluate_alone
from tests.perf.figures import Figure, divide, report, time_ways, use_two_cores
from tests.perf.perf_embed import run, write_model

from oddpair.eval.results import find_results

TIMES = 4


class Ways:
    """The commands, over folders that they are given."""

    def __init__(self, home: Path, pictures: list[bytes]) -> None:
        self.home, self.out = home, home / "out"
        self.model = write_model(home / "model")
        self.whole = write_set(home / "all", pictures)
        self.suites = {
            len(variants): write_benchmark(home / f"variants{len(variants)}.yaml", variants)
            for variants in (VARIANTS, VARIANTS[1:2])
        }
        kept = {each.kept for each in VARIANTS} - {len(each.names) for each in VARIANTS}
        self.sets = {each: write_set(home / f"kept{each}", pictures, kept=each) for each in kept}
        self.prompts = {each.name: write_prompts(home / f"{each.name}.json", each) for each in VARIANTS}

    def ours(self, n: int) -> None:
        """Score so many variants by one command."""
        options = f"--out {self.out} --workers 2 --device cpu".split()
        run(["oddpair.cli", "eval", "--model", self.model, "--suite", self.suites[n], *options], self.out)

    def theirs(self, variants: tuple[Variant, ...]) -> dict[str, dict[str, float]]:
        """Score each variant by a command of its own; return its metrics."""
        found = {}
        for each in variants:
            pictures, result = self.sets.get(each.kept, self.whole), self.home / "theirs.json"
            run(
                ["tests.perf.eval_theirs", self.model, pictures, self.prompts[each.name], result],
                self.out,
            )
            found[each.name] = json.loads(result.read_text())
        return found

    def check(self) -> None:
        """Stop if the two do not say the same."""
        self.ours(len(VARIANTS))
        ours = {one.result.task: one.result.main.estimate.value for one in find_results([self.out])}
        theirs = {name: metrics["acc1"] for name, metrics in self.theirs(VARIANTS).items()}
        assert ours == theirs, f"{ours} and {theirs}"


def time_commands(pictures: list[bytes], rounds: int) -> list[Figure]:
    """Time both over the same pictures."""
    with tempfile.TemporaryDirectory() as folder:
        ways = Ways(Path(folder), pictures)
        ways.check()
        one = VARIANTS[1:2]
        times = time_ways(
            {
                "ours": lambda: ways.ours(len(VARIANTS)),
                "theirs": lambda: ways.theirs(VARIANTS),
                "ours once": lambda: ways.ours(1),
                "theirs once": lambda: ways.theirs(one),
            },
            rounds,
            warm=False,
        )
    of = f"{len(pictures)} pictures"
    return [
        Figure(
            name=f"oddpair eval, {len(VARIANTS)} variants over {of}, beside the peer's loop for each",
            values=divide(times["theirs"], times["ours"]),
            goal=5,
            floor=3,
        ),
        Figure(
            name=f"oddpair eval, one variant over {of}, beside the peer's loop",
            values=divide(times["theirs once"], times["ours once"]),
            goal=1,
            floor=0.8,
        ),
    ]


def measure(model: str, pictures: list[bytes]) -> Spent:
    """Evaluate in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_set(home / "all", pictures)
        suite = write_benchmark(home / "variants.yaml", VARIANTS)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(evaluate_alone, (model, suite))


def measure_towers(pictures: list[bytes], rounds: int) -> list[Figure]:
    """Find what a picture takes beside the towers, without what is the same for any number of them."""
    few = pictures[: len(pictures) // TIMES]
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        model = str(write_model(Path(folder) / "model"))
        for _ in range(rounds):
            less, more = measure(model, few), measure(model, pictures)
            shares.append(100 * (1 - (more.towers - less.towers) / (more.whole - less.whole)))
    return [
        Figure(name="seconds of a picture outside the towers, ViT-B-32", values=shares, unit="%", ceiling=5)
    ]


def measure_growth(pictures: list[bytes], rounds: int) -> list[Figure]:
    """Find how seconds and memory grow with the pictures, for a model so small that nothing hides behind it."""
    times, memory = [], []
    for _ in range(rounds):
        sizes = [len(pictures) // TIMES, len(pictures) // 2, len(pictures)]
        spent = [measure("reference", pictures[:size]) for size in sizes]
        per_picture = np.diff([each.whole for each in spent]) / np.diff(sizes)
        times.append(float(per_picture[1] / per_picture[0]))
        memory.append(spent[-1].megabytes / spent[0].megabytes)
    of = f"{len(pictures)} pictures, a small model"
    return [
        Figure(name=f"seconds of one more picture, late beside early, {of}", values=times, ceiling=1.25),
        Figure(name=f"peak memory beside that of {len(pictures) // TIMES}, {of}", values=memory, ceiling=1.5),
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=320)
    options.add_argument("--many", type=int, default=3_200, help="for the small model")
    options.add_argument("--rounds", type=int, default=2)
    asked = options.parse_args()
    logging.disable(logging.WARNING)
    use_two_cores()
    pictures = draw_jpegs(asked.pictures)
    repeated = [pictures[row % len(pictures)] for row in range(asked.many)]
    figures = [
        *time_commands(pictures, asked.rounds),
        *measure_towers(pictures, asked.rounds),
        *measure_growth(repeated, asked.rounds),
    ]
    report("11-eval", figures)


if __name__ == "__main__":
    main()
