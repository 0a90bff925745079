"""Mixes of several corpora at a fixed total: each source alone, all but one, all, and pairs at several ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.splits.built import Built, Check, Composition
from oddpair.splits.claims import refute_others
from oddpair.splits.curation.mixing import (
    Drawer,
    Mix,
    apportion,
    as_fraction,
    check_draw,
    claim_draw,
    count_by_pool,
    find_common,
    open_drawers,
)
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import Claim, Manifest, uids_digest
from oddpair.splits.recipes.mixture import check_shares, refuse_repeated

KIND = "sources"
PARTS_FILE = "parts.parquet"
DESIGNS = ("alone", "without", "all", "pairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesRecipe:
    """One split of each source for every mix; ``sources.yaml``.

    Attributes:
        totals: Rows of a mix; empty for as many as every mix can have.
        designs: Which mixes: each source ``alone``, all ``without`` one, ``all``, and all ``pairs`` at ``ratios``.
        shares: Share of each source in ``all``, and in proportion in ``without``; empty for equal shares.
        ratios: Shares of the second source of a pair.
        seed: Of the order in which each source is drawn.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("pools",)
    TAKES: ClassVar[tuple[str, ...]] = ()

    totals: tuple[int, ...] = ()
    designs: tuple[str, ...] = ("alone", "without", "all")
    shares: Mapping[str, float] = field(default_factory=dict)
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse unknown designs, and numbers out of range."""
        unknown = [name for name in self.designs if name not in DESIGNS]
        if unknown:
            raise Refusal(f"designs holds {unknown[0]!r}: it must be one of {', '.join(DESIGNS)}")
        if not self.designs:
            raise Refusal(f"designs is empty: name one or more of {', '.join(DESIGNS)}")
        refuse_repeated(self, ("designs", "totals", "ratios"))
        if min(self.totals, default=1) < 1:
            raise Refusal(f"totals holds {min(self.totals)}: it must be 1 or more")
        for ratio in self.ratios:
            if not 0 < ratio < 1:
                raise Refusal(f"ratios holds {ratio}: it must lie between 0 and 1")
        if "pairs" in self.designs and not self.ratios:
            raise Refusal("ratios is empty: pairs need the shares of their second source")
        check_shares(self.shares)
        if self.seed < 0:
            raise Refusal(f"seed is {self.seed}: it must be 0 or more")


def plan_mixes(recipe: SourcesRecipe, sizes: Mapping[str, int]) -> list[Mix]:
    """Say which mixes a recipe makes of sources of some sizes, and of how many rows of each source.

    >>> mixes = plan_mixes(SourcesRecipe(designs=("without", "all")), {"a": 90, "b": 30, "c": 60})
    >>> for mix in mixes:
    ...     print(mix.name, mix.tell())
    without-a-60 30 of b, 30 of c
    without-b-60 30 of a, 30 of c
    without-c-60 30 of a, 30 of b
    all-60 20 of a, 20 of b, 20 of c
    """
    designs = list(_plan_designs(recipe, list(sizes)))
    totals = recipe.totals or (find_common(sizes, [shares for _, shares in designs]),)
    mixes = []
    for total in totals:
        for name, shares in designs:
            parts = dict(zip(shares, apportion(total, list(shares.values())), strict=True))
            mixes.append(Mix(name=f"{name}-{total}", rows={source: n for source, n in parts.items() if n}))
    names = [mix.name for mix in mixes]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise Refusal(f"two mixes would be called {twice}: name the sources otherwise, --pool NAME=PATH")
    return mixes


def _plan_designs(recipe: SourcesRecipe, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Fraction]]]:
    shares = {name: as_fraction(recipe.shares.get(name, 0.0 if recipe.shares else 1.0)) for name in names}
    used = {name: share for name, share in shares.items() if share}
    if "alone" in recipe.designs:
        yield from ((f"alone-{name}", {name: Fraction(1)}) for name in names)
    if "without" in recipe.designs:
        for name in used:
            rest = {other: share for other, share in used.items() if other != name}
            if rest:
                yield f"without-{name}", rest
    if "all" in recipe.designs:
        yield "all", used
    if "pairs" in recipe.designs:
        for first, second in combinations(names, 2):
            for ratio in recipe.ratios:
                share = as_fraction(ratio)
                yield f"{first}-{second}-{ratio:.12g}", {first: 1 - share, second: share}


def build(recipe: SourcesRecipe, inputs: Inputs, work: Path) -> Built:
    """Draw a split of every source for every mix."""
    drawers = open_sources(recipe, inputs)
    mixes = plan_mixes(recipe, {name: len(drawer) for name, drawer in drawers.items()})
    splits = [_make(mix, source, drawers, inputs, recipe) for mix in mixes for source in mix.rows]
    counts = {mix.name: mix.rows for mix in mixes}
    return Built(
        splits=tuple(splits),
        tables={PARTS_FILE: _tabulate(mixes, splits)},
        panels={"": [Composition(title="Rows of each source", counts=counts)]},
    )


def open_sources(recipe: SourcesRecipe, inputs: Inputs) -> dict[str, Drawer]:
    """Shuffle the sources of a recipe; a row of several counts in the one whose name sorts first."""
    names = sorted(inputs.pools)
    if len(names) < 2:
        raise Refusal("one source is given, mixes need two or more: name them with --pool")
    unknown = sorted(set(recipe.shares) - set(names))
    if unknown:
        raise Refusal(f"shares names {unknown[0]!r}, given are {', '.join(names)}: name it with --pool")
    return open_drawers(inputs.pools, names, seed=recipe.seed, overlap="first")


def name_part(mix: Mix, source: str) -> str:
    """Name the split of one source for a mix."""
    return f"{mix.name}.{source}"


def _make(
    mix: Mix, source: str, drawers: Mapping[str, Drawer], inputs: Inputs, recipe: SourcesRecipe
) -> Manifest:
    drawer, rows = drawers[source], mix.rows[source]
    return Manifest(
        name=name_part(mix, source),
        recipe=KIND,
        uids=drawer.draw(rows),
        of=source,
        provenance=inputs.identify(),
        rules=(
            (f"rows of {source}", len(drawer) + drawer.shared),
            ("also in a source whose name sorts before it, counted there", drawer.shared),
            ("rows kept", rows),
        ),
        statement=(_claim_part(mix, source), _claim_once(list(drawers), source), claim_draw(recipe.seed)),
        card=(
            (f"share of {source} in the mix", f"{rows / mix.total:.2%}"),
            *_tell_trainer(mix, drawers),
        ),
    )


def _claim_part(mix: Mix, source: str) -> Claim:
    return Claim(
        text=f"{mix.rows[source]:,} rows of {source}, a part of the mix of {mix.tell()}",
        values={"mix": mix.name, "rows": dict(mix.rows)},
    )


def _claim_once(names: Sequence[str], source: str) -> Claim:
    before = list(names[: names.index(source)])
    told = (
        f"no row has the uid of a row of {', '.join(before)}"
        if before
        else "rows of other sources count here"
    )
    return Claim(text=f"{told}: what two sources hold counts once", values={"before": before})


def _tell_trainer(mix: Mix, drawers: Mapping[str, Drawer]) -> tuple[tuple[str, str], ...]:
    """Say how open_clip's trainer is given the mix, from exported splits or from whole sources."""
    factors = "::".join(f"{rows / len(drawers[name]):.6g}" for name, rows in mix.rows.items())
    return (
        (
            "open_clip_train on the exported splits",
            f"--train-data '{'::'.join(f'SHARDS-OF-{name_part(mix, name)}' for name in mix.rows)}'",
        ),
        (
            "open_clip_train on whole sources, the shares on average",
            f"--train-data '{'::'.join(f'SHARDS-OF-{name}' for name in mix.rows)}' --dataset-resampled "
            f"--train-data-upsampling-factors {factors}",
        ),
    )


def _tabulate(mixes: Sequence[Mix], splits: Sequence[Manifest]) -> pa.Table:
    by_name = {split.name: split for split in splits}
    rows = [
        {
            "mix": mix.name,
            "source": source,
            "split": name_part(mix, source),
            "rows": n,
            "share": n / mix.total,
            "uids_sha256": uids_digest(by_name[name_part(mix, source)].uids),
        }
        for mix in mixes
        for source, n in mix.rows.items()
    ]
    return pa.Table.from_pylist(rows)


def verify(manifest: Manifest, recipe: SourcesRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Count the rows of the source, and of those before it, again, and draw them again."""
    drawers = open_sources(recipe, inputs)
    mixes = plan_mixes(recipe, {name: len(drawer) for name, drawer in drawers.items()})
    parts = {name_part(mix, source): (mix, source) for mix in mixes for source in mix.rows}
    if manifest.name not in parts or parts[manifest.name][1] != manifest.of:
        text = f"{manifest.name} is a part of a mix of the recipe"
        return [Check(text=text, holds=False, found=f"of these sources it makes {', '.join(parts)}")]
    mix, source = parts[manifest.name]
    wanted, once = _claim_part(mix, source), _claim_once(list(drawers), source)
    drawn = claim_draw(recipe.seed)
    held = count_by_pool(manifest.uids, drawers)
    before = sum(held[name] for name in once.values["before"])
    return [
        Check(
            text=wanted.text,
            holds=held[source] == len(manifest) == mix.rows[source],
            found=f"{held[source]:,} rows of {source}, {held['']:,} of no source",
        ),
        Check(text=once.text, holds=not before, found=f"{before:,} rows have such a uid"),
        check_draw(manifest.uids, drawers, {source: mix.rows[source]}, drawn),
        *refute_others(manifest, [wanted, once, drawn]),
    ]
