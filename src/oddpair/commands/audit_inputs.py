"""The inputs of an audit: opened once, and named again in the recipes that it writes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from oddpair import files
from oddpair.commands.given import Given
from oddpair.commands.read import read_vocabulary
from oddpair.commands.sides import open_side
from oddpair.errors import Refusal
from oddpair.retrieval.vocabulary_names import BUILT_IN
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import CORPUS
from oddpair.splits.similar.rules import COMBINED

_ODD = re.compile(r"[^A-Za-z0-9._-]+")


def open_audited(given: Given, out: Path, *, workers: int) -> tuple[Inputs, str]:
    """Open the two sides of an audit, embedded, and what may be given beside them.

    Args:
        given: Where they are; one test set.
        out: Folder of the audit, which must lie apart from them.
        workers: Processes that embed.

    Returns:
        The inputs, and the name of the test set in them: that of its folder, as splits may be called after it.

    Raises:
        Refusal: If one cannot be opened or does not exist.
    """
    ((name, tests),) = given.tests.items()

    def open_set(path: str, subset: str | None = None, folder: str | None = None) -> Pictures:
        side = open_side(
            path,
            out,
            subset=Path(subset) if subset else None,
            embeddings=Path(folder) if folder else None,
            model=given.model or "reference",
            pretrained=given.pretrained,
            workers=workers,
        )
        return Pictures(name=side.name, corpus=side.corpus, stored=side.stored)

    for path in filter(None, (given.labels, given.tags, given.counts, given.accuracies)):
        if not Path(path).exists():
            raise Refusal(f"{path} does not exist: check the path")
    concepts = read_vocabulary(*given.vocabulary) if given.vocabulary else None
    inputs = Inputs(
        corpus=open_set(str(given.corpus), given.subset, given.embeddings),
        tests={name: open_set(tests, None, given.test_embeddings)},
        reference=open_set(given.reference) if given.reference else None,
        vocabulary=concepts,
        labels=Path(given.labels) if given.labels else None,
        tags=Path(given.tags) if given.tags else None,
        counts=Path(given.counts) if given.counts else None,
        workers=workers,
    )
    return inputs, name


def name_test(path: str) -> str:
    """Name a test set after the last part of its path, as far as a split may be called so.

    >>> name_test("data/my tests/"), name_test("s3://bucket/corpus")
    ('my-tests', 'test-corpus')
    """
    name = _ODD.sub("-", path.rstrip("/").rpartition("/")[2]).lstrip("._-") or "test"
    # What splits are called after all test sets together, and what rows are of if they are of none.
    return f"test-{name}" if name in (CORPUS, COMBINED) else name


def tell_hashes(inputs: Inputs, name: str, table: str | None) -> dict[str, str]:
    """Return the hashes by which an audit names what it compared, the same on every machine.

    Args:
        inputs: Its inputs.
        name: Of the test set.
        table: Table of accuracies.
    """
    found = inputs.identify()
    told: dict[str, str] = {}
    for side, hashes in (
        ("corpus", found),
        ("test", found["tests"][name]),
        ("reference", found.get("reference", {})),
    ):
        for key, label in (("corpus", side), ("embeddings", f"{side}_embeddings")):
            if key in hashes:
                told[label] = hashes[key]
    told["encoder"] = inputs.need_corpus().need_stored().encoder
    told |= {key: found[key] for key in ("vocabulary", "labels", "tags", "counts") if key in found}
    if table is not None:
        told["accuracies"] = files.sha256(Path(table))
    return told


def write_recipe(
    path: Path, kind: str, settings: Mapping[str, Any], wanted: tuple[str, ...], given: Given, inputs: Inputs
) -> None:
    """Write a recipe file that ``oddpair split`` carries out: settings, and the inputs by paths from where it lies.

    Args:
        path: The file.
        kind: Kind of the recipe.
        settings: Its settings, JSON values.
        wanted: Inputs that it is given beside the corpus.
        given: Where all inputs are.
        inputs: The opened ones, of which the corpus knows where its embeddings lie.
    """
    import yaml

    named: dict[str, Any] = {"corpus": _from(path, str(given.corpus))}
    for name in wanted:
        value: Any = asdict(given)[name]
        if name == "embeddings":
            if inputs.need_corpus().corpus is not None:
                named[name] = _from(path, str(inputs.need_corpus().folder))
        elif name == "vocabulary" and value:
            named[name] = [part if part in BUILT_IN else _from(path, part) for part in value]
        elif isinstance(value, dict) and value:
            named[name] = {key: _from(path, part) for key, part in value.items()}
        elif value:
            named[name] = _from(path, value)
    told = yaml.safe_dump({"recipe": kind, **settings, "inputs": named}, sort_keys=False, allow_unicode=True)
    files.write_text(path, told)


def _from(path: Path, given: str) -> str:
    """Return a path as it reads from the folder of a file; lists of shards and addresses stay as they are."""
    if "://" in given or not Path(given).exists():
        return given
    return os.path.relpath(Path(given).resolve(), path.parent.resolve())
