"""`oddpair embed` with two workers beside two other ways of embedding the same shards, all on two cores.

Each way runs as a command, in every round once over a corpus of one batch a core and once over a larger one. What
the second takes more is without the seconds in which Python, torch and the model are loaded.
"""

import argparse
import functools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import open_clip
import pyarrow as pa
import torch
from safetensors.torch import save_file
from tests.perf.drawing import draw_jpegs
from tests.perf.figures import Figure, divide, report, time_ways, use_two_cores

from oddpair import files
from oddpair.retrieval.formats.shards import make_keys, write_shard

MODEL = "ViT-B-32"
SHARDS = 4
BATCH = 32
CORES = 2
WORDS = ("dog", "kettle", "harbour", "violin", "bicycle", "lemon", "castle")


def write_corpus(folder: Path, pictures: list[bytes], shards: int) -> Path:
    """Write img2dataset shards of as many pictures each."""
    folder.mkdir()
    rows = len(pictures) // shards
    for shard in range(shards):
        images = pictures[shard * rows : (shard + 1) * rows]
        write_shard(
            folder,
            shard,
            keys=make_keys(shard, rows),
            captions=[
                f"a {WORDS[row % len(WORDS)]} beside {row} others in the morning light" for row in range(rows)
            ],
            images=images,
            columns=pa.table({"url": [f"https://example.org/{shard}/{row}" for row in range(rows)]}),
        )
    return folder


def write_model(folder: Path) -> Path:
    """Write a model of random weights as open_clip does."""
    folder.mkdir()
    torch.manual_seed(0)
    state = open_clip.create_model(MODEL).state_dict()
    save_file(
        {name: value.contiguous() for name, value in state.items()}, folder / "open_clip_model.safetensors"
    )
    config = {"model_cfg": open_clip.get_model_config(MODEL), "preprocess_cfg": {}}
    files.write_json(folder / "open_clip_config.json", config)
    return folder


def make_ways(model: Path, out: Path) -> dict[str, Callable[[Path], list[object]]]:
    """Give the command of each way for a corpus."""

    def ours(corpus: Path, precision: str) -> list[object]:
        options = f"--precision {precision} --workers {CORES} --device cpu".split()
        return ["oddpair.cli", "embed", corpus, "--out", out, "--model", model, *options]

    def theirs(corpus: Path, way: str) -> list[object]:
        return ["tests.perf.theirs", way, model, corpus, out]

    return {
        "bf16": lambda corpus: ours(corpus, "bf16"),
        "fp32": lambda corpus: ours(corpus, "fp32"),
        "processes": lambda corpus: theirs(corpus, "processes"),
        "loader": lambda corpus: theirs(corpus, "loader"),
    }


def run(command: list[object], out: Path) -> None:
    """Run a module as a command, into a fresh folder."""
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )
    if done.returncode:
        sys.exit(f"{command[:2]} failed:\n{done.stderr}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pictures", type=int, default=256)
    options.add_argument("--rounds", type=int, default=2)
    asked = options.parse_args()
    logging.disable(logging.WARNING)
    use_two_cores()
    pictures = draw_jpegs(asked.pictures)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        out = home / "out"
        ways = make_ways(write_model(home / "model"), out)
        corpora = {
            "few": write_corpus(home / "few", pictures[: CORES * BATCH], CORES),
            "many": write_corpus(home / "many", pictures, SHARDS),
        }
        times = time_ways(
            {
                f"{name} {size}": functools.partial(run, way(corpus), out)
                for name, way in ways.items()
                for size, corpus in corpora.items()
            },
            asked.rounds,
            warm=False,
        )
    few = {name: times[f"{name} few"] for name in ways}
    many = {name: times[f"{name} many"] for name in ways}
    more = {name: [all_ - some for all_, some in zip(many[name], few[name], strict=True)] for name in ways}
    said = {
        "processes": "plain loop, 2 processes of 1 thread",
        "loader": "clip-retrieval's way, 2 threads + 2 loaders",
    }
    figures = [
        Figure(
            name=f"oddpair embed {precision}, beside {what}: {part}",
            values=divide(seconds[other], seconds[precision]),
        )
        for precision in ("fp32", "bf16")
        for other, what in said.items()
        for part, seconds in (("once loaded", more), (f"command over {len(pictures)} pictures", many))
    ]
    share = CORES * BATCH / (len(pictures) - CORES * BATCH)
    figures += [
        Figure(
            name=f"loading, {said.get(name, f'oddpair embed {name}')}",
            values=[some - share * rest for some, rest in zip(few[name], more[name], strict=True)],
            unit="s",
        )
        for name in ways
    ]
    report("3-embed", figures)


if __name__ == "__main__":
    main()
