"""Recipe files: what a split is made by and from, as YAML with a fixed set of keys."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from oddpair.errors import Refusal
from oddpair.retrieval.near_names import suggest
from oddpair.retrieval.vocabulary_names import BUILT_IN
from oddpair.splits.built import Built, Check
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import MANIFEST_FILE, Manifest, read_manifest
from oddpair.splits.recipes import (
    balanced,
    control,
    importance,
    long_tail,
    mixture,
    pair_unseen,
    pmi_bands,
    prototypes,
    similarity,
    sources,
    style_strict,
    unseen_pairs,
)

SHIPPED = Path(__file__).resolve().parent / "recipes"
GIVEN = ("corpus", "embeddings", "tests", "reference", "pools", "labels", "tags", "counts", "vocabulary")
_NAMED = ("tests", "pools")
_LONGEST_TOLD = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of recipe.

    Attributes:
        recipe: Its dataclass; ``NEEDS`` and ``TAKES`` name the inputs that it must and may be given.
        build: Carries it out: recipe, inputs and a folder for what a killed run goes on from.
        verify: Computes the claims of one of its splits again, from the inputs and the split's uids alone.
        columns: Settings that name a column of the corpus, which is looked for before anything is embedded.
    """

    recipe: type[Any]
    build: Callable[[Any, Inputs, Path], Built]
    verify: Callable[[Manifest, Any, Inputs, Path], list[Check]]
    columns: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "style-strict": Kind(
        recipe=style_strict.StyleStrictRecipe,
        build=style_strict.build,
        verify=style_strict.verify,
        columns=("style_column",),
    ),
    "similarity": Kind(recipe=similarity.SimilarityRecipe, build=similarity.build, verify=similarity.verify),
    "unseen-pairs": Kind(
        recipe=unseen_pairs.UnseenPairsRecipe, build=unseen_pairs.build, verify=unseen_pairs.verify
    ),
    "pair-unseen": Kind(
        recipe=pair_unseen.PairUnseenRecipe, build=pair_unseen.build, verify=pair_unseen.verify
    ),
    "pmi-bands": Kind(recipe=pmi_bands.PmiBandsRecipe, build=pmi_bands.build, verify=pmi_bands.verify),
    "long-tail": Kind(recipe=long_tail.LongTailRecipe, build=long_tail.build, verify=long_tail.verify),
    "mixture": Kind(recipe=mixture.MixtureRecipe, build=mixture.build, verify=mixture.verify),
    "control": Kind(recipe=control.ControlRecipe, build=control.build, verify=control.verify),
    "sources": Kind(recipe=sources.SourcesRecipe, build=sources.build, verify=sources.verify),
    "balanced": Kind(recipe=balanced.BalancedRecipe, build=balanced.build, verify=balanced.verify),
    "prototypes": Kind(recipe=prototypes.PrototypesRecipe, build=prototypes.build, verify=prototypes.verify),
    "importance": Kind(recipe=importance.ImportanceRecipe, build=importance.build, verify=importance.verify),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A recipe that was read.

    Attributes:
        kind: One of ``KINDS``.
        recipe: Its settings, checked.
        inputs: Paths that the file names, by name of the input; those of ``tests`` and ``pools`` by name once more.
        made: The split whose manifest was read instead of a file, to make it again.
    """

    kind: str
    recipe: Any
    inputs: Mapping[str, Any] = field(default_factory=dict)
    made: Manifest | None = None


def load_recipe(name: str, changes: Mapping[str, Any]) -> Loaded:
    """Read a recipe by the name of a shipped one, by its path, or from a split that was made by it.

    Args:
        name: A kind such as ``style-strict``, a YAML file, or the folder of a split.
        changes: Keys to set otherwise, by options of the command line that have their names; a value of
            ``None`` changes nothing.

    Returns:
        The recipe, checked.

    Raises:
        Refusal: If there is no such file, it is no YAML, or a key is unknown or has another type.

    >>> load_recipe("unseen-pairs", {"neighbours": 10}).recipe.neighbours
    10
    """
    if _is_file(Path(name) / MANIFEST_FILE):
        made = read_manifest(Path(name))
        where, named, read = str(Path(name) / MANIFEST_FILE), made.recipe, dict(made.parameters)
        inputs: dict[str, Any] = {}
    else:
        made = None
        path = SHIPPED / f"{name.replace('-', '_')}.yaml" if name in KINDS else Path(name)
        where, (named, read, inputs) = str(path), _read(path)
    if named not in KINDS:
        raise Refusal(f"{where}: 'recipe' must be one of {', '.join(KINDS)}")
    hints = _hints(KINDS[named].recipe)
    for key in read:
        if key not in hints:
            raise Refusal(f"{where}: unknown key '{key}'{suggest(str(key), hints)}")
    typed = {key: _typed(value, hints[key], f"{where}: {key}") for key, value in read.items()}
    try:
        recipe = KINDS[named].recipe(**typed)
    except Refusal as refusal:
        raise Refusal(f"{where}: {refusal}") from refusal
    changed = {}
    for key, value in changes.items():
        if value is None:
            continue
        if key not in hints:
            raise Refusal(f"--set {key}: a recipe of kind {named} has no '{key}': leave the option out")
        try:
            changed[key] = _typed(value, hints[key], key)
        except Refusal as refusal:
            raise Refusal(f"--set {key}: {refusal}") from refusal
    try:
        # All at once: two keys may only make sense together.
        recipe = replace(recipe, **changed)
    except Refusal as refusal:
        raise Refusal(f"--set {', '.join(changed)}: {refusal}") from refusal
    return Loaded(kind=named, recipe=recipe, inputs=inputs, made=made)


def carry_out(loaded: Loaded, inputs: Inputs, work: Path) -> Built:
    """Carry out a recipe, and put all of its settings into the manifests of its splits.

    Args:
        loaded: The recipe.
        inputs: What it is given.
        work: Folder for what a killed run goes on from.

    Returns:
        What it made.
    """
    built = KINDS[loaded.kind].build(loaded.recipe, inputs, work)
    parameters = as_parameters(loaded.recipe)
    splits = tuple(replace(manifest, parameters=parameters) for manifest in built.splits)
    return replace(built, splits=splits)


def as_parameters(recipe: Any) -> dict[str, Any]:
    """Return all settings of a recipe as JSON values, for the manifests of its splits: they make it again."""
    return {item.name: _plain(getattr(recipe, item.name)) for item in fields(recipe)}


def _read(path: Path) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    import yaml

    if not _is_file(path):
        raise Refusal(
            f"no recipe '{str(path)[:_LONGEST_TOLD]}': give a YAML file, the folder of a split, or one of {', '.join(KINDS)}"
        )
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refusal(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(read, dict):
        raise Refusal(f"{path}: 'recipe' must be one of {', '.join(KINDS)}")
    named = read.pop("recipe", None)
    return (
        named if isinstance(named, str) else None,
        read,
        _read_inputs(path, read.pop("inputs", None) or {}),
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than any file has
        return False


def _read_inputs(path: Path, given: Any) -> dict[str, Any]:
    """Read the paths that a file names, which are meant from the folder that it lies in."""
    if not isinstance(given, dict):
        raise Refusal(f"{path}: inputs is {given!r}, names and paths were expected")
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key not in GIVEN:
            raise Refusal(f"{path}: unknown input '{key}'{suggest(str(key), GIVEN)}")
        if key in _NAMED:
            if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
                raise Refusal(f"{path}: {key} is {value!r}, a path for each name was expected")
            found[key] = {str(name): _resolve(path, part) for name, part in value.items()}
        elif key == "vocabulary":
            several = [value] if isinstance(value, str) else value
            if not isinstance(several, list) or not all(isinstance(part, str) for part in several):
                raise Refusal(f"{path}: vocabulary is {value!r}, a path or list of paths was expected")
            found[key] = [part if part in BUILT_IN else _resolve(path, part) for part in several]
        elif isinstance(value, str):
            found[key] = _resolve(path, value)
        else:
            raise Refusal(f"{path}: {key} is {value!r}, a path was expected")
    return found


def _resolve(path: Path, given: str) -> str:
    return given if "://" in given else str(path.parent / given)


def _hints(recipe: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(recipe)
    return {item.name: hints[item.name] for item in fields(recipe)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _typed(value: Any, hint: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        return None if value is None else _typed(value, get_args(hint)[0], where)
    if origin is Literal:
        if value not in get_args(hint):
            raise Refusal(f"{where} is {value!r}, one of {', '.join(get_args(hint))} was expected")
        return value
    if origin is tuple:
        kind = get_args(hint)[0]
        if not isinstance(value, list | tuple):
            raise Refusal(f"{where} is {value!r}, a list of {_PLURALS[kind]} was expected")
        return tuple(_item(item, kind, value, where) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        kind = get_args(hint)[1]
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise Refusal(f"{where} is {value!r}, names with {_PLURALS[kind]} were expected")
        return {key: _typed(item, kind, f"{where}: {key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise Refusal(f"{where} is {value!r}, {hint.__name__} was expected")
    return value


def _item(item: Any, kind: Any, whole: Any, where: str) -> Any:
    try:
        return _typed(item, kind, where)
    except Refusal as refusal:
        raise Refusal(f"{where} is {whole!r}, a list of {_PLURALS[kind]} was expected") from refusal


_PLURALS = {str: "texts", int: "whole numbers", float: "numbers"}
