"""Draw the reference world, learn its vocabulary and train the encoder that the suite ships.

The world shows every concept in every style, nothing held out and no concept rare, because what sorts and
searches other worlds must itself have seen all that there is. No model that is scored is trained on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from oddpair import files, stages
from oddpair.benchmarks.miniature.draw import draw_corpus
from oddpair.benchmarks.miniature.tokenizer import learn_merges, vocabulary_bytes
from oddpair.benchmarks.miniature.train import TrainPlan, train_model
from oddpair.benchmarks.miniature.world import make_world
from oddpair.retrieval.corpus import open_corpus

# Far from the seeds of worlds that are scored, which count from 0.
SEED = 1_000_000
ROWS = 60_000
STEPS = 4_000


def make_reference(out: Path, *, workers: int, rows: int = ROWS, steps: int = STEPS) -> None:
    """Make the reference encoder in ``out/model``; resumes.

    Args:
        out: Folder for the world, the vocabulary and the model.
        workers: Processes that draw.
        rows: Pictures of the world.
        steps: Optimiser steps.
    """
    with files.locked(out):
        world, vocabulary = out / "world", out / "vocabulary"
        if stages.begin(world, {"seed": SEED, "rows": rows}):
            draw_corpus(
                make_world(SEED, decades=1.0, held_out=0.0, association=0.5), world, rows, workers=workers
            )
            stages.finish(world)
        if stages.begin(vocabulary, {"seed": SEED, "rows": rows}):
            captions = open_corpus(world / "corpus").metadata()["caption"].to_pylist()
            files.write_bytes(vocabulary / "bpe.txt.gz", vocabulary_bytes(learn_merges(captions)))
            stages.finish(vocabulary)
        model = out / "model"
        if stages.begin(model, {"seed": SEED, "rows": rows, "steps": steps}):
            plan = TrainPlan(steps=steps, seed=SEED)
            train_model(world / "corpus", vocabulary / "bpe.txt.gz", model, plan, half=True)
            stages.finish(model)


def main() -> None:
    """Run from the command line: ``python -m oddpair.benchmarks.miniature.reference_world --out DIR``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    make_reference(arguments.out, workers=arguments.workers)


if __name__ == "__main__":
    main()
