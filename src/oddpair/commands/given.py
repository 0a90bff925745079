"""The inputs of a recipe: named on the command line or in its file, and opened as far as it asks for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from oddpair.cli_options import REFERENCE
from oddpair.commands.paths import need_folders
from oddpair.commands.read import read_corpus, read_vocabulary
from oddpair.commands.sides import open_side
from oddpair.errors import Refusal
from oddpair.files import digest, read_json, write_json
from oddpair.retrieval.corpus import fingerprint, open_corpus
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.manifest import CORPUS, MANIFEST_FILE, Manifest, read_manifest
from oddpair.splits.pool import pool_of_uids
from oddpair.splits.recipe_file import KINDS, Loaded

SOURCES = "sources.json"
_PATHS = ("labels", "tags", "counts")
_OPTION = {"pools": "pool"}
_IDENTITY = (
    "corpus",
    "embeddings",
    "encoder",
    "tests",
    "reference",
    "pools",
    "pool_corpora",
    "vocabulary",
    *_PATHS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Where the inputs of a recipe or of an audit are, and by what they are embedded.

    Attributes:
        corpus: The corpus.
        subset: DataComp subset file that limits it.
        embeddings: Folder of its embeddings.
        tests: Test sets by name.
        reference: The reference set.
        pools: Splits or corpora by name.
        labels: Table of hand labels.
        tags: Image tags.
        counts: Folder of counts.
        vocabulary: Files of concepts.
        model: Model of all embeddings.
        pretrained: Its weights, for an architecture.
        test_embeddings: Folder of the embeddings of an audit's test set.
        accuracies: Table of accuracies, of an audit.
    """

    corpus: str | None = None
    subset: str | None = None
    embeddings: str | None = None
    tests: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None
    pools: Mapping[str, str] = field(default_factory=dict)
    labels: str | None = None
    tags: str | None = None
    counts: str | None = None
    vocabulary: tuple[str, ...] = ()
    model: str | None = None
    pretrained: str | None = None
    test_embeddings: str | None = None
    accuracies: str | None = None


def merge_given(option: Given, file: Mapping[str, Any]) -> Given:
    """Add what a recipe file, or the record of an earlier run, names and the command line does not."""
    known = asdict(Given())
    taken = {
        name: value for name, value in file.items() if name in known and getattr(option, name) == known[name]
    }
    if isinstance(taken.get("vocabulary"), str):
        taken["vocabulary"] = (taken["vocabulary"],)
    elif "vocabulary" in taken:
        taken["vocabulary"] = tuple(taken["vocabulary"])
    return replace(option, **taken)


def read_named(values: Iterable[str], option: str) -> dict[str, str]:
    """Read ``NAME=PATH`` options; a path alone is named after its last part.

    >>> read_named(["sketch=data/sketch", "data/val"], "--tests")
    {'sketch': 'data/sketch', 'val': 'data/val'}
    """
    found: dict[str, str] = {}
    for value in values:
        name, sign, path = value.partition("=")
        if not sign or "/" in name:
            name, path = Path(value).name, value
            # Splits are called after their test sets.
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "set"
        elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise Refusal(
                f"{option}: the set is named '{name}', needed letters, digits, '.', '_' and '-': give NAME=PATH"
            )
        if not path:
            raise Refusal(f"{option}: '{value}' names no path: give NAME=PATH")
        if name == CORPUS:
            raise Refusal(
                f"{option}: '{CORPUS}' is what the rows of the corpus are of: give NAME=PATH with another name"
            )
        if name in found:
            raise Refusal(f"{option}: two sets are named '{name}': give each a name, NAME=PATH")
        found[name] = path
    return found


def open_inputs(loaded: Loaded, given: Given, out: Path, *, workers: int) -> Inputs:
    """Open what a recipe asks for.

    Args:
        loaded: The recipe.
        given: Where its inputs are.
        out: Folder of the run, which must lie apart from them.
        workers: Processes.

    Returns:
        The inputs.

    Raises:
        Refusal: If one is missing, cannot be used or would go unused.
    """
    recipe = KINDS[loaded.kind].recipe
    needs, takes = set(recipe.NEEDS), set(recipe.TAKES)
    there = {name for name in (*needs, *takes, *_inputs_of(given)) if _is_given(given, name)}
    # Concepts are of use to the page of every split.
    for name in sorted(there - needs - takes - {"embeddings", "vocabulary"}):
        raise Refusal(
            f"--{_OPTION.get(name, name)}: a recipe of kind {loaded.kind} makes no use of it: leave it out"
        )
    for name in recipe.NEEDS:
        if name != "embeddings" and name not in there:
            raise Refusal(
                f"a recipe of kind {loaded.kind} needs --{_OPTION.get(name, name)}: give it, or name it in the recipe file"
            )
    if "embeddings" not in needs | takes and (given.embeddings or given.model):
        option = "--embeddings" if given.embeddings else "--model"
        raise Refusal(f"{option}: a recipe of kind {loaded.kind} looks at no picture: leave the option out")
    embedded = "embeddings" in needs or ("embeddings" in takes and bool(given.embeddings or given.model))

    def open_set(path: str, name: str | None, subset: str | None, folder: str | None) -> Pictures:
        if not embedded:
            corpus = read_corpus(path, Path(subset) if subset else None)
            need_folders(corpus, out)
            return Pictures(name=name or corpus.name, corpus=corpus)
        side = open_side(
            path,
            out,
            subset=Path(subset) if subset else None,
            embeddings=Path(folder) if folder else None,
            model=given.model or REFERENCE,
            pretrained=given.pretrained,
            workers=workers,
        )
        return Pictures(name=name or side.name, corpus=side.corpus, stored=side.stored)

    if given.corpus and not given.labels:
        _need_columns(loaded, given)
    concepts = read_vocabulary(*given.vocabulary) if given.vocabulary else None
    paths = {name: _existing(getattr(given, name)) for name in _PATHS if getattr(given, name)}
    return Inputs(
        corpus=open_set(given.corpus, None, given.subset, given.embeddings) if given.corpus else None,
        tests={name: open_set(path, name, None, None) for name, path in given.tests.items()},
        reference=open_set(given.reference, None, None, None) if given.reference else None,
        pools={name: _open_pool(name, path) for name, path in given.pools.items()},
        vocabulary=concepts if "vocabulary" in needs | takes else None,
        shown=concepts,
        workers=workers,
        **paths,
    )


def list_differences(made: Manifest, inputs: Inputs) -> list[str]:
    """Say which inputs are not those that a split was made from: others, some too many or some that are missing."""
    found = inputs.identify()
    # A recipe adds hashes of its own to these.
    known = {name: made.provenance[name] for name in _IDENTITY if name in made.provenance}
    return [
        f"{name} is missing"
        if name not in found
        else f"{name} is new"
        if name not in known
        else f"{name} is {_short(found[name])}, the split was made with {_short(known[name])}"
        for name in sorted(known.keys() | found.keys())
        if known.get(name) != found.get(name)
    ]


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else digest(value)[:12]


def write_sources(out: Path, given: Given) -> None:
    """Note where the inputs were, for ``oddpair verify``; paths are no part of a manifest."""
    write_json(out / SOURCES, {name: value for name, value in _absolute(asdict(given)).items() if value})


def read_sources(split: Path) -> dict[str, Any]:
    """Read where the inputs of a split were, if its folder lies where ``oddpair split`` put it."""
    return read_sources_file(split.resolve().parent.parent / SOURCES)


def read_sources_file(path: Path) -> dict[str, Any]:
    """Read where inputs were from a file that ``write_sources`` wrote; nothing if there is none."""
    if not path.is_file():
        return {}
    found = read_json(path)
    if not isinstance(found, dict) or not all(_is_source(name, value) for name, value in found.items()):
        raise Refusal(f"{path} does not say where inputs are: delete it, and name them by options")
    # It may come with a split from somebody else, and nothing is fetched that nobody asked for.
    remote = [name for name, value in found.items() if "://" in str(value)]
    return {name: value for name, value in found.items() if name not in remote}


def _need_columns(loaded: Loaded, given: Given) -> None:
    """Refuse a corpus without a column that the recipe reads, before hours go into its embeddings."""
    for setting in KINDS[loaded.kind].columns:
        column = getattr(loaded.recipe, setting)
        try:
            next(open_corpus(str(given.corpus)).batches([column]))
        except Refusal as refusal:
            raise Refusal(f"{refusal}; name another with --set {setting}=NAME, or give --labels") from refusal


def _is_source(name: str, value: Any) -> bool:
    kind = type(asdict(Given()).get(name, 0))
    if kind is dict:
        return isinstance(value, dict) and all(isinstance(part, str) for part in value.values())
    if kind is tuple:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    return kind is not int and isinstance(value, str)


def _inputs_of(given: Given) -> list[str]:
    return ["corpus", "tests", "reference", "pools", "vocabulary", *_PATHS]


def _is_given(given: Given, name: str) -> bool:
    return bool(getattr(given, name))


def _existing(path: str) -> Path:
    if not Path(path).exists():
        raise Refusal(f"{path} does not exist: check the path")
    return Path(path)


def _open_pool(name: str, path: str) -> Manifest:
    if (Path(path) / MANIFEST_FILE).is_file():
        return read_manifest(Path(path))
    corpus = read_corpus(path)
    chunks = [chunk for batch in corpus.batches() for chunk in batch.table["uid"].chunks]
    return Manifest(
        name=name,
        recipe="whole",
        uids=pool_of_uids(pa.chunked_array(chunks, pa.string())).uids,
        provenance={"corpus": fingerprint(corpus)},
    )


def _absolute(value: Any) -> Any:
    """Make paths absolute, and leave names of models and addresses as they are."""
    make: Callable[[str], str] = lambda text: str(Path(text).resolve()) if Path(text).exists() else text  # noqa: E731
    if isinstance(value, Mapping):
        return {key: _absolute(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make(item) for item in value]
    return make(value) if isinstance(value, str) else value
