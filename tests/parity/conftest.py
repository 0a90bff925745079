"""Sets of the miniature's pictures, scored by CLIP_benchmark and by oddpair with the same three models."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.parity import peer
from tests.parity.sets import Sample, save, vary, write_captions, write_classes, write_model

from oddpair.eval.results import Found, find_results

# Scripts of the other environment.
collect_ignore = ["theirs"]

CLASSES = 24
PER_CLASS, PER_RENDITION = 6, 2
MODELS = ("reference", "shaken", "transformer")


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    assert peer.PYTHON.is_file(), f"no {peer.PYTHON}: run make parity"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, transformer: Path) -> dict[str, Path]:
    """A trained model, the same with noise in its weights so that it errs more, and a transformer that guesses."""
    from oddpair.retrieval.encoder import reference_folder

    home = tmp_path_factory.mktemp("models")
    return {
        "reference": write_model(home / "reference", reference_folder()),
        "shaken": write_model(home / "shaken", reference_folder(), noise=0.25),
        "transformer": write_model(home / "transformer", transformer),
    }


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, str]]:
    """Pictures of one thing each in five styles, each with its concept, sorted by concept."""
    from oddpair.benchmarks.miniature.draw import draw_tests
    from oddpair.benchmarks.miniature.world import make_world

    folder = tmp_path_factory.mktemp("world")
    world = make_world(5)
    draw_tests(
        world,
        folder,
        per_concept=PER_CLASS,
        per_rendition=PER_RENDITION,
        test_pairs=[],
        per_pair=0,
        workers=1,
    )
    found = [each for role in ("natural", "rendition") for each in _read(folder / role, "concepts")]
    chosen = {name for (name,) in sorted({tuple(concepts) for _, concepts in found})[:CLASSES]}
    return sorted(
        ((data, concepts[0]) for data, concepts in found if concepts[0] in chosen), key=lambda each: each[1]
    )


@pytest.fixture(scope="session")
def sets(
    tmp_path_factory: pytest.TempPathFactory, pictures: list[tuple[bytes, str]], drawn: Path
) -> dict[str, Path]:
    """Sets of one task each, by name.

    ``even`` has as many pictures of each class, ``uneven`` from none up to as many, ``twins`` two classes of one
    name; ``stored`` has pictures that are turned by their EXIF or have a transparent part, ``shown`` the same
    as a reader of pictures shows them. ``captions`` is for retrieval, ``echoes`` has captions that repeat.
    """
    home = tmp_path_factory.mktemp("sets")
    names = sorted({name for _, name in pictures})
    samples = [
        Sample(data=data, ending=ending, label=str(names.index(name)))
        for number, (before, name) in enumerate(pictures)
        for data, ending in [vary(before, number)]
    ]
    order = np.random.default_rng(0).permutation(len(samples)).tolist()
    even = [samples[row] for row in order]
    seen: Counter[str] = Counter()
    uneven = []
    for sample in even:
        seen[sample.label] += 1
        if seen[sample.label] <= int(sample.label) % (PER_CLASS + 4 * PER_RENDITION):
            uneven.append(sample)
    stored, shown = zip(
        *(_hide(pictures[row], number, names) for number, row in enumerate(order)), strict=True
    )
    return {
        "even": write_classes(home / "even", even, names),
        "uneven": write_classes(home / "uneven", uneven, names),
        "twins": write_classes(home / "twins", even, [names[0], names[0], *names[2:]]),
        "stored": write_classes(home / "stored", stored, names),
        "shown": write_classes(home / "shown", shown, names),
        "captions": write_captions(home / "captions", _caption(_read(drawn, "caption"))),
        "echoes": write_captions(
            home / "echoes", [replace(each, label=f"a photo of {names[int(each.label)]}") for each in even]
        ),
    }


@pytest.fixture(scope="session")
def theirs(
    tmp_path_factory: pytest.TempPathFactory, sets: dict[str, Path], models: dict[str, Path]
) -> dict[tuple[str, str], peer.Theirs]:
    """What CLIP_benchmark finds, by set and model."""
    out = tmp_path_factory.mktemp("theirs")
    found: dict[tuple[str, str], peer.Theirs] = {}
    for task, names in (
        ("zeroshot_classification", ("even", "uneven", "twins", "stored", "shown")),
        ("zeroshot_retrieval", ("captions", "echoes")),
    ):
        for model, folder in models.items():
            done = peer.evaluate([sets[name] for name in names], folder, task, out / f"{model}-{task}")
            found |= {(name, model): each for name, each in done.items()}
    return found


@pytest.fixture(scope="session")
def ours(
    tmp_path_factory: pytest.TempPathFactory, sets: dict[str, Path], models: dict[str, Path]
) -> dict[tuple[str, str], Found]:
    """What oddpair finds, by set and model: one command for all."""
    out = tmp_path_factory.mktemp("ours")
    arguments = [
        *(option for folder in models.values() for option in ("--model", folder)),
        *(option for folder in sets.values() for option in ("--suite", folder)),
        *("--out", out, "--workers", 2),
    ]
    inherited = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    done = subprocess.run(
        [sys.executable, "-m", "oddpair.cli", "eval", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env=inherited,
    )
    assert done.returncode == 0, f"oddpair eval ended with {done.returncode}:\n{done.stderr[-3000:]}"
    by_path = {str(folder): name for name, folder in models.items()}
    return {(one.result.benchmark, by_path[one.result.model]): one for one in find_results([out])}


def _read(folder: Path, column: str) -> list[tuple[bytes, Any]]:
    from oddpair.retrieval.corpus import open_corpus

    corpus = open_corpus(folder)
    rows = corpus.metadata([column]).to_pylist()
    found = corpus.find_pictures([row["uid"] for row in rows])
    return [(found[row["uid"]], row[column]) for row in rows]


def _hide(picture: tuple[bytes, str], number: int, names: list[str]) -> tuple[Sample, Sample]:
    """Store a picture so that its file has to be understood, and as it is then shown; every second one as it is."""
    data, name = picture
    label = str(names.index(name))
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if number % 2:
        plain = Sample(data=save(image, "PNG"), ending="png", label=label)
        return plain, plain
    if number % 4:
        exif = Image.Exif()
        exif[0x0112] = 6
        stored, shown = save(image, "PNG", exif=exif), ImageOps.exif_transpose(_with(image, exif))
    else:
        clear = image.convert("RGBA")
        clear.putalpha(Image.linear_gradient("L").resize(image.size))
        stored, shown = (
            save(clear, "PNG"),
            Image.alpha_composite(Image.new("RGBA", image.size, "white"), clear),
        )
    return (
        Sample(data=stored, ending="png", label=label),
        Sample(data=save(shown.convert("RGB"), "PNG"), ending="png", label=label),
    )


def _with(image: Image.Image, exif: Image.Exif) -> Image.Image:
    return Image.open(io.BytesIO(save(image, "PNG", exif=exif)))


def _caption(captioned: list[tuple[bytes, str]]) -> list[Sample]:
    """Give each picture its caption, and some a second and third, which no tokenizer takes for another's."""
    seen: set[str] = set()
    samples = []
    for number, (data, caption) in enumerate(captioned):
        # A tokenizer sees no difference between some captions.
        bare = " ".join(caption.casefold().split())
        if bare not in seen:
            seen.add(bare)
            more = [f"{number} {caption}", f"{number} {caption[::-1]}"][: number % 3]
            changed, ending = vary(data, number)
            samples.append(Sample(data=changed, ending=ending, label="\n".join([caption, *more])))
    return samples
