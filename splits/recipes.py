"""Recipes: what a split is made by, as YAML with a fixed set of keys."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from oddpair.errors import Refusal

SHIPPED = Path(__file__).resolve().parent / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleStrictRecipe:
    """Natural and rendition splits by a certified classifier and a search; ``recipes/style-strict.yaml``.

    Attributes:
        style_column: Corpus column of the hand labels; an empty value is no label.
        natural: Labels that mean natural.
        ambiguous: Labels that mean neither; every other label means rendition.
        labelled: Labelled rows that may be looked at, at random; ``None`` for all.
        precision: Of the classifier, to be certified.
        confidence: Of the certificate.
        quantile: Share of hand-labelled rows of a style that are no nearer to the other style's tests than
            a row that stays.
        held_out: Share of the labelled rows of each style that become its test, where no test is given.
        seed: Of every random choice.
    """

    style_column: str = "style"
    natural: tuple[str, ...] = ("photo",)
    ambiguous: tuple[str, ...] = ("ambiguous",)
    labelled: int | None = None
    precision: float = 0.98
    confidence: float = 0.95
    quantile: float = 0.99
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse shares that are no shares, and numbers below their least."""
        for name in ("precision", "confidence", "quantile", "held_out"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise Refusal(f"{name} is {value}: it must lie between 0 and 1")
        if not self.natural:
            raise Refusal("natural names no label: say which labels are natural")
        both = [label for label in self.natural if label in self.ambiguous]
        if both:
            raise Refusal(f"label '{both[0]}' is natural and ambiguous: leave it in one of the two lists")
        if self.labelled is not None and self.labelled < 1:
            raise Refusal(f"labelled is {self.labelled}: it must be 1 or more, or null for all rows")
        if self.seed < 0:
            raise Refusal(f"seed is {self.seed}: it must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenPairsRecipe:
    """Pairs of concepts that a corpus never shows together; ``recipes/unseen-pairs.yaml``.

    Attributes:
        minimum_count: Captions that must name each concept.
        neighbours: Nearest corpus pictures of a test picture that are looked at.
        mined_words: Where no vocabulary is given, captions that must use a word to make it a concept.
    """

    minimum_count: int = 1
    neighbours: int = 50
    mined_words: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers below 1."""
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise Refusal(f"{field.name} is {getattr(self, field.name)}: it must be 1 or more")


Recipe = StyleStrictRecipe | UnseenPairsRecipe
KINDS: dict[str, type[StyleStrictRecipe] | type[UnseenPairsRecipe]] = {
    "style-strict": StyleStrictRecipe,
    "unseen-pairs": UnseenPairsRecipe,
}


def load_recipe(name: str, changes: Mapping[str, Any]) -> Recipe:
    """Read a recipe by the name of a shipped one or by its path, with changes put in.

    Args:
        name: ``style-strict``, ``unseen-pairs``, or a YAML file.
        changes: Keys to set otherwise, by options of the command line that have their names; a value of
            ``None`` changes nothing.

    Returns:
        The recipe, checked.

    Raises:
        Refusal: If there is no such file, it is no YAML, or a key is unknown or has another type.

    >>> load_recipe("unseen-pairs", {"neighbours": 10}).neighbours
    10
    """
    import yaml

    path = SHIPPED / f"{name}.yaml" if name in KINDS else Path(name)
    if not path.is_file():
        raise Refusal(f"no recipe '{name}': give a YAML file, or one of {', '.join(KINDS)}")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    named = read.pop("recipe", None) if isinstance(read, dict) else None
    if not isinstance(named, str) or named not in KINDS:
        raise Refusal(f"{path}: 'recipe' must be one of {', '.join(KINDS)}")
    hints = get_type_hints(KINDS[named])
    for key in read:
        if key not in hints:
            near = difflib.get_close_matches(str(key), list(hints), n=1)
            raise Refusal(
                f"{path}: unknown key '{key}'"
                + (f"; did you mean '{near[0]}'?" if near else f"; use {', '.join(hints)}")
            )
    typed = {key: _typed(value, hints[key], f"{path}: {key}") for key, value in read.items()}
    try:
        recipe = KINDS[named](**typed)
    except Refusal as refusal:
        raise Refusal(f"{path}: {refusal}") from refusal
    for key, value in changes.items():
        if value is None:
            continue
        option = f"--{key.replace('_', '-')}"
        if key not in hints:
            raise Refusal(f"{option}: a recipe of kind {named} has no '{key}': leave the option out")
        try:
            recipe = replace(recipe, **{key: _typed(value, hints[key], key)})
        except Refusal as refusal:
            raise Refusal(f"{option}: {refusal}") from refusal
    return recipe


def _typed(value: Any, hint: Any, where: str) -> Any:
    if get_origin(hint) in (types.UnionType, Union):
        return None if value is None else _typed(value, get_args(hint)[0], where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise Refusal(f"{where} is {value!r}, a list of texts was expected")
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or isinstance(value, bool):
        raise Refusal(f"{where} is {value!r}, {hint.__name__} was expected")
    return value
