"""Random rows of a corpus as the control of a split: as many, as many per class, or as many per set of concepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from oddpair.errors import Refusal
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Built, Check, Composition, Panel
from oddpair.splits.claims import refute_others
from oddpair.splits.curation.controls import count_distance, draw_groups, draw_rows, signatures
from oddpair.splits.curation.pool_columns import (
    Classes,
    place_split,
    read_classes,
    read_mentions,
    read_pool,
    tell_concepts,
)
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CardRow, Claim, Manifest
from oddpair.splits.pool import Pool

KIND = "control"
_DRAW_STREAM = 41
_NESTED = {
    "size": "controls of smaller splits lie inside those of larger ones",
    "classes": "the control of a split that has no more rows of any class lies inside it",
    "concepts": "the control of a split that has no more rows of any set of concepts lies inside it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRecipe:
    """Random controls of given splits; ``control.yaml``.

    Attributes:
        match: What a control has in common with its split: ``size``, ``classes`` or ``concepts``.
        class_column: Column of the classes, of the corpus or of the table given as labels.
        sizes: Rows of further, smaller controls, with ``match: size``.
        exclude_split: Whether a control holds no row of its split.
        seed: Of the order in which rows are drawn.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus", "pools")
    TAKES: ClassVar[tuple[str, ...]] = ("embeddings", "labels", "vocabulary")

    match: Literal["size", "classes", "concepts"] = "size"
    class_column: str | None = None
    sizes: tuple[int, ...] = ()
    exclude_split: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if min(self.sizes, default=1) < 1:
            raise Refusal(f"sizes holds {min(self.sizes)}: it must be 1 or more")
        if len(set(self.sizes)) < len(self.sizes):
            raise Refusal("sizes holds a number twice: leave one of them out")
        if self.seed < 0:
            raise Refusal(f"seed is {self.seed}: it must be 0 or more")

    def refuse_contradictions(self) -> None:
        """Refuse settings that do not go together; not at construction, for they may be set one after the other."""
        if (self.match == "classes") != (self.class_column is not None):
            raise Refusal(
                f"class_column is {self.class_column!r} and match is {self.match!r}: classes, and only classes, need "
                "the name of their column"
            )
        if self.sizes and self.match != "size":
            raise Refusal(
                f"sizes is for match: size: give smaller splits as pools to match {self.match} at other sizes"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Known:
    """The rows of the corpus and what is known of them."""

    pool: Pool
    classes: Classes | None
    mentions: csr_array | None
    groups: IntArray | None
    vocabulary: Vocabulary | None

    def tell_group(self, group: int) -> str:
        """Name a class or set of concepts."""
        if self.classes is not None:
            return f"class {self.classes.names[group]!r}"
        if self.mentions is None or self.groups is None or self.vocabulary is None:
            raise ValueError("rows without groups")
        row = self.mentions[[int(np.flatnonzero(self.groups == group)[0])]]
        return tell_concepts(self.vocabulary, sorted(row.indices.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Drawn:
    """A control: which split it is of, the places of both in the pool, and among how many rows it was drawn."""

    name: str
    of: str
    split: IntArray
    rows: IntArray
    among: int


def build(recipe: ControlRecipe, inputs: Inputs, work: Path) -> Built:
    """Draw the controls of every given split."""
    known = _read(recipe, inputs)
    splits, panels = [], {}
    for drawn in _draw_all(recipe, inputs, known):
        manifest = Manifest(
            name=drawn.name,
            recipe=KIND,
            uids=known.pool.uids.take(pa.array(drawn.rows)),
            provenance={**inputs.identify(), "control_of": drawn.of},
            rules=(
                ("rows of the corpus, each once", len(known.pool)),
                *((("of them not of the split", drawn.among),) if recipe.exclude_split else ()),
                ("rows kept", len(drawn.rows)),
            ),
            statement=_claim(recipe, known, drawn),
            card=_make_card(recipe, known, drawn),
        )
        splits.append(manifest)
        panels[manifest.name] = _show(known, drawn)
    return Built(splits=tuple(splits), panels={name: shown for name, shown in panels.items() if shown})


def _read(recipe: ControlRecipe, inputs: Inputs) -> _Known:
    recipe.refuse_contradictions()
    pictures = inputs.need_corpus()
    if recipe.match == "concepts" and inputs.vocabulary is None:
        raise Refusal("match: concepts needs --vocabulary: give it, or name it in the recipe file")
    if inputs.labels is not None and recipe.match != "classes":
        raise Refusal(f"match: {recipe.match} makes no use of --labels: leave the option out")
    pool = read_pool(pictures)
    classes = mentions = groups = None
    if recipe.class_column is not None:
        table = inputs.labels
        corpus = None if table else pictures.need_corpus()
        classes = read_classes(pool, recipe.class_column, corpus=corpus, table=table)
        groups = classes.of_row
    if inputs.vocabulary is not None:
        mentions = read_mentions(pool, pictures.need_corpus(), inputs.vocabulary)
        groups = signatures(mentions) if recipe.match == "concepts" else groups
    return _Known(pool=pool, classes=classes, mentions=mentions, groups=groups, vocabulary=inputs.vocabulary)


def _draw_all(recipe: ControlRecipe, inputs: Inputs, known: _Known) -> list[_Drawn]:
    found = []
    for name in sorted(inputs.pools):
        split = place_split(name, inputs.pools[name], known.pool)
        own = _draw(recipe, known, name, split, f"control-{name}", len(split))
        found.append(own)
        for size in recipe.sizes:
            if size >= len(split):
                raise Refusal(
                    f"sizes holds {size:,}: split {name!r} has {len(split):,} rows, so it must be less"
                )
            found.append(_draw(recipe, known, name, split, f"control-{name}-{size}", size))
    return found


def _draw(recipe: ControlRecipe, known: _Known, of: str, split: IntArray, name: str, size: int) -> _Drawn:
    left = np.arange(len(known.pool))
    if recipe.exclude_split:
        left = np.delete(left, split)
    rng = np.random.default_rng((recipe.seed, _DRAW_STREAM))
    if known.groups is None or recipe.match == "size":
        rows = left[draw_rows(size, len(left), rng)]
    else:
        rows = left[draw_groups(known.groups[split], known.groups[left], rng, tell=known.tell_group)]
    return _Drawn(name=name, of=of, split=split, rows=rows, among=len(left))


def _claim(recipe: ControlRecipe, known: _Known, drawn: _Drawn) -> tuple[Claim, ...]:
    as_many = "" if len(drawn.rows) < len(drawn.split) else f", as many as {drawn.of} has"
    claims = [Claim(text=f"{len(drawn.rows):,} rows{as_many}", values={"rows": len(drawn.rows)})]
    if recipe.match == "classes" and known.classes is not None:
        claims.append(
            Claim(
                text=f"as many rows of every class in {recipe.class_column!r} as {drawn.of} has",
                values={"classes": known.classes.count(drawn.split)},
            )
        )
    if recipe.match == "concepts" and known.mentions is not None and known.groups is not None:
        claims.append(
            Claim(
                text=f"its captions name every concept, every pair and every set of concepts as often as those of "
                f"{drawn.of}",
                values={
                    "sets": len(np.unique(known.groups[drawn.split])),
                    "mentions": int(known.mentions[drawn.split].nnz),
                },
            )
        )
    if recipe.exclude_split:
        claims.append(Claim(text=f"no row is one of {drawn.of}", values={"shared": 0}))
    claims.append(
        Claim(
            text=f"drawn at random from {drawn.among:,} rows (seed {recipe.seed}): {_NESTED[recipe.match]}"
            + ("" if not recipe.exclude_split else " as far as the rows they are drawn from are the same"),
            values={"among": drawn.among, "seed": recipe.seed},
        )
    )
    return tuple(claims)


def _make_card(recipe: ControlRecipe, known: _Known, drawn: _Drawn) -> tuple[CardRow, ...]:
    shared = len(np.intersect1d(drawn.split, drawn.rows, assume_unique=True))
    card: list[CardRow] = [
        ("control of", drawn.of),
        ("matched by", recipe.match),
        ("rows shared with it", shared),
    ]
    if known.mentions is not None:
        distance = count_distance(known.mentions[drawn.split], known.mentions[drawn.rows])
        card += [
            ("captions that name a concept, differences summed over concepts", distance.concepts),
            ("captions that name a pair, differences summed over pairs", distance.pairs),
            ("largest difference of a concept's count, in decades", round(distance.decades, 6)),
        ]
    return tuple(card)


def _show(known: _Known, drawn: _Drawn) -> Sequence[Panel]:
    if known.classes is None:
        return ()
    sides = {drawn.of: drawn.split, drawn.name: drawn.rows}
    counts = {name: known.classes.count(rows) for name, rows in sides.items()}
    return (Composition(title="Rows of each class", counts=counts),)


def verify(manifest: Manifest, recipe: ControlRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Look the rows up in the corpus, count their classes and concepts again, and draw them again."""
    of = manifest.provenance.get("control_of")
    if of not in inputs.pools:
        found = f"given are {', '.join(sorted(inputs.pools))}"
        return [Check(text=f"the split that it is a control of, {of}, is given", holds=False, found=found)]
    known = _read(recipe, inputs)
    rows = known.pool.places(manifest.uids)
    strangers = int((rows < 0).sum())
    checks = [
        Check(
            text=f"all rows are rows of the corpus, {len(known.pool):,}",
            holds=not strangers,
            found=f"{strangers:,} are not",
        )
    ]
    if strangers:
        return checks
    try:
        wanted = {drawn.name: drawn for drawn in _draw_all(recipe, inputs, known)}
    except Refusal as refusal:
        return [*checks, Check(text="the control can be drawn", holds=False, found=str(refusal))]
    if manifest.name not in wanted:
        return [
            *checks,
            Check(text="the recipe makes it", holds=False, found=f"it makes {', '.join(wanted)}"),
        ]
    drawn = wanted[manifest.name]
    claims = _claim(recipe, known, drawn)
    for claim in claims:
        holds, found = _compare(claim.values, known, drawn, rows)
        checks.append(Check(text=claim.text, holds=holds, found=found))
    return [*checks, *refute_others(manifest, claims)]


def _compare(values: dict[str, Any], known: _Known, drawn: _Drawn, rows: IntArray) -> tuple[bool, str]:
    """Say whether rows are what one claim of the control says, and what they are."""
    if "rows" in values:
        return len(rows) == values["rows"], f"{len(rows):,} rows"
    if "classes" in values and known.classes is not None:
        there = known.classes.count(rows)
        names = sorted(set(there) | set(values["classes"]))
        wrong = [name for name in names if there.get(name, 0) != values["classes"].get(name, 0)]
        return not wrong, _tell_wrong(wrong, there, values["classes"])
    if "sets" in values and known.groups is not None and known.mentions is not None:
        distance = count_distance(known.mentions[drawn.split], known.mentions[rows])
        sets = [np.bincount(known.groups[part], minlength=len(known.pool)) for part in (drawn.split, rows)]
        same = not (distance.concepts or distance.pairs or np.any(sets[0] != sets[1]))
        return same, f"differences summed over concepts {distance.concepts:,}, over pairs {distance.pairs:,}"
    if "shared" in values:
        shared = len(np.intersect1d(rows, drawn.split))
        return not shared, f"{shared:,} are"
    strangers: NDArray[np.int64] = np.setdiff1d(rows, drawn.rows)
    if not len(strangers) and len(rows) == len(drawn.rows):
        return True, "the same rows were drawn again"
    told = f", the first {known.pool.uids[int(strangers[0])].as_py()}" if len(strangers) else ""
    return False, f"{len(strangers):,} of {len(rows):,} rows were not drawn{told}"


def _tell_wrong(wrong: Sequence[str], there: dict[str, int], wanted: dict[str, int]) -> str:
    if not wrong:
        return f"{len(wanted):,} classes, all alike"
    first = wrong[0]
    return (
        f"{len(wrong):,} classes have other numbers, {first!r} has {there.get(first, 0):,} rows instead of "
        f"{wanted.get(first, 0):,}"
    )
