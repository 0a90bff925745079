"""`oddpair eval` beside CLIP_benchmark's loop, both in float32 on two cores; and what it takes beside the towers.

As commands over a random ViT-B-32: six variants of class list, templates and kept classes over one set, where the
loop runs once for each; and one variant alone, as a whole and without the seconds in which Python, torch and the
model are loaded. The loop has one process of two threads and two loaders, oddpair two workers of one thread. In a
process of its own, by its processor's clock: what a picture takes beside the towers, and how seconds and memory grow
with the pictures for a small model.
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
from tests.perf.perf_embed import CORES, run, write_model

from oddpair.eval.results import find_results

TIMES = 4
FEW = 64
ONE = VARIANTS[1:2]


class Ways:
    """The commands over one set of pictures, and what each said of it."""

    def __init__(self, home: Path, model: Path, pictures: list[bytes]) -> None:
        home.mkdir()
        self.home, self.out, self.model = home, home / "out", model
        self.whole = write_set(home / "all", pictures)
        self.suites: dict[tuple[Variant, ...], Path] = {
            variants: write_benchmark(home / f"variants{len(variants)}.yaml", variants)
            for variants in (VARIANTS, ONE)
        }
        kept = {each.kept for each in VARIANTS} - {len(each.names) for each in VARIANTS}
        self.sets = {each: write_set(home / f"kept{each}", pictures, kept=each) for each in kept}
        self.prompts = {each.name: write_prompts(home / f"{each.name}.json", each) for each in VARIANTS}
        self.said: dict[str, dict[str, float]] = {"ours": {}, "theirs": {}}

    def ours(self, variants: tuple[Variant, ...]) -> None:
        """Score variants by one command."""
        options = f"--out {self.out} --workers {CORES} --device cpu".split()
        suite = self.suites[variants]
        run(["oddpair.cli", "eval", "--model", self.model, "--suite", suite, *options], self.out)
        found = find_results([self.out])
        self.said["ours"] |= {one.result.task: one.result.main.estimate.value for one in found}

    def theirs(self, variants: tuple[Variant, ...]) -> None:
        """Score each variant by a command of its own."""
        for each in variants:
            pictures, result = self.sets.get(each.kept, self.whole), self.home / "theirs.json"
            run(
                ["tests.perf.eval_theirs", self.model, pictures, self.prompts[each.name], result],
                self.out,
            )
            self.said["theirs"][each.name] = json.loads(result.read_text())["acc1"]


def time_commands(pictures: list[bytes], rounds: int) -> list[Figure]:
    """Time both: six variants over half of the pictures, and one over few and over all of them."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model = write_model(home / "model")
        few, half, whole = (
            Ways(home / str(size), model, pictures[:size])
            for size in (FEW, len(pictures) // 2, len(pictures))
        )
        times = time_ways(
            {
                "ours six": lambda: half.ours(VARIANTS),
                "theirs six": lambda: half.theirs(VARIANTS),
                "ours few": lambda: few.ours(ONE),
                "theirs few": lambda: few.theirs(ONE),
                "ours": lambda: whole.ours(ONE),
                "theirs": lambda: whole.theirs(ONE),
            },
            rounds,
            warm=False,
        )
    for ways in (few, half, whole):
        assert ways.said["ours"] == ways.said["theirs"], ways.said
    ours, theirs = (np.subtract(times[name], times[f"{name} few"]).tolist() for name in ("ours", "theirs"))
    return [
        Figure(
            name=f"oddpair eval, {len(VARIANTS)} variants over {len(pictures) // 2} pictures, beside the peer's loop for each",
            values=divide(times["theirs six"], times["ours six"]),
            goal=5,
            floor=3,
        ),
        Figure(
            name=f"oddpair eval, one variant over {len(pictures)} pictures, beside the peer's loop",
            values=divide(times["theirs"], times["ours"]),
            goal=1,
            floor=0.7,
        ),
        Figure(name="the same once loaded", values=divide(theirs, ours), goal=1, floor=0.9),
    ]


def measure(model: str, pictures: list[bytes]) -> Spent:
    """Evaluate in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        suites = []
        for name, some in (("first", pictures[:FEW]), ("then", pictures)):
            home = Path(folder) / name
            write_set(home / "all", some)
            suites.append(write_benchmark(home / "variants.yaml", VARIANTS))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(evaluate_alone, (model, suites))


def measure_towers(pictures: list[bytes], rounds: int) -> list[Figure]:
    """Find what an evaluation takes beside the towers of a loaded model."""
    with tempfile.TemporaryDirectory() as folder:
        model = str(write_model(Path(folder) / "model"))
        spent = [measure(model, pictures) for _ in range(rounds)]
    of = f"a ViT-B-32, {len(VARIANTS)} variants over {len(pictures)} pictures"
    return [
        Figure(
            name=f"seconds outside the towers and the preprocessing of {of}",
            values=[100 * (1 - (each.towers + each.decoding) / each.whole) for each in spent],
            unit="%",
            ceiling=5,
        ),
        Figure(
            name="decoding and open_clip's preprocessing, of the same",
            values=[100 * each.decoding / each.whole for each in spent],
            unit="%",
        ),
    ]


def measure_growth(pictures: list[bytes], rounds: int) -> list[Figure]:
    """Find how seconds and memory grow with the pictures, for a model so small that nothing hides behind it."""
    times, memory = [], []
    for _ in range(rounds):
        less, more = measure("reference", pictures[: len(pictures) // TIMES]), measure("reference", pictures)
        times.append(more.whole / less.whole / TIMES)
        memory.append(more.megabytes / less.megabytes)
    of = f"{len(pictures)} pictures beside {len(pictures) // TIMES}, a small model"
    return [
        Figure(name=f"seconds for each of {of}", values=times, ceiling=1.25),
        Figure(name=f"peak memory, {of}", values=memory, ceiling=1.5),
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=480)
    options.add_argument("--many", type=int, default=3_200, help="for the small model")
    options.add_argument("--rounds", type=int, default=2)
    asked = options.parse_args()
    logging.disable(logging.WARNING)
    use_two_cores()
    pictures = draw_jpegs(asked.pictures)
    repeated = [pictures[row % len(pictures)] for row in range(asked.many)]
    figures = [
        *time_commands(pictures, asked.rounds),
        # As many as small sets have: what each run takes once, such as hashing the weights, is then a small part.
        *measure_towers([*pictures, *pictures], asked.rounds),
        *measure_growth(repeated, asked.rounds),
    ]
    report("11-eval", figures)


if __name__ == "__main__":
    main()
