"""Mixes of natural and rendition rows, or of any pools of one corpus, by share or by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

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
    join_parts,
    open_drawers,
)
from oddpair.splits.inputs import Inputs, find_pool_corpus
from oddpair.splits.manifest import Claim, Manifest

KIND = "mixture"
_DESIGNS = ("shares", "ratios", "replaced", "added")


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureRecipe:
    """Mixes of pools at a fixed total or by addition; ``mixture.yaml``.

    Attributes:
        totals: Rows of a mix; of the base alone with ``added``. Empty for as many as the pools allow.
        shares: Share of each pool, any number of pools.
        base: Pool that the other one joins, with ``ratios``, ``replaced`` and ``added``.
        ratios: Shares of the other pool.
        replaced: Rows of the base that rows of the other pool stand for, at a fixed total.
        added: Rows of the other pool that join the base.
        overlap: Whether a row of several pools is refused, or counted in the first of them.
        seed: Of the order in which each pool is drawn.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("pools",)
    TAKES: ClassVar[tuple[str, ...]] = ()

    totals: tuple[int, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    base: str | None = None
    ratios: tuple[float, ...] = ()
    replaced: tuple[int, ...] = ()
    added: tuple[int, ...] = ()
    overlap: Literal["refuse", "first"] = "refuse"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        refuse_repeated(self, ("totals", "ratios", "replaced", "added"))
        for name, least in (("totals", 1), ("replaced", 0), ("added", 0)):
            low = [value for value in getattr(self, name) if value < least]
            if low:
                raise Refusal(f"{name} holds {low[0]}: it must be {least} or more")
        for ratio in self.ratios:
            if not 0 <= ratio <= 1:
                raise Refusal(f"ratios holds {ratio}: it must lie between 0 and 1")
        check_shares(self.shares)
        if self.seed < 0:
            raise Refusal(f"seed is {self.seed}: it must be 0 or more")

    def refuse_contradictions(self) -> None:
        """Refuse settings that do not go together; not at construction, for they may be set one after the other."""
        given = [name for name in _DESIGNS if getattr(self, name)]
        if len(given) > 1:
            raise Refusal(f"{given[0]} and {given[1]} say the same thing twice: leave one of them out")
        if given and (self.base is None) != (given == ["shares"]):
            wanted = (
                "is for ratios, replaced and added" if self.base else f"is not given: {given[0]} needs it"
            )
            raise Refusal(f"base {wanted}")
        if self.replaced and not self.totals:
            raise Refusal("totals is empty: replaced rows need the rows of a mix")
        for total in self.totals if self.replaced else ():
            if max(self.replaced) > total:
                raise Refusal(
                    f"replaced holds {max(self.replaced)}: a mix of {total} rows has no more to replace"
                )


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares that are negative or do not add up to 1."""
    wrong = [name for name, share in shares.items() if not 0 <= share <= 1]
    if wrong:
        raise Refusal(f"shares gives {shares[wrong[0]]} to {wrong[0]!r}: it must lie between 0 and 1")
    if shares and abs(sum(shares.values()) - 1) > 1e-6:
        raise Refusal(f"shares add up to {sum(shares.values()):g}: they must add up to 1")


def refuse_repeated(recipe: object, names: Sequence[str]) -> None:
    """Refuse a number that stands twice in a list: two splits would have one name."""
    for name in names:
        values = getattr(recipe, name)
        twice = [value for place, value in enumerate(values) if value in values[:place]]
        if twice:
            raise Refusal(f"{name} holds {twice[0]} twice: leave one of them out")


def order_pools(recipe: MixtureRecipe, pools: Mapping[str, Manifest]) -> list[str]:
    """Return the names of the pools, the base first: a row of several belongs to the first.

    Raises:
        Refusal: If the recipe names a pool that was not given, or a given one goes unused, or they are rows of
            different sets.
    """
    named = [recipe.base] if recipe.base else sorted(recipe.shares)
    missing = [name for name in named if name not in pools]
    if missing:
        raise Refusal(
            f"the recipe mixes {missing[0]!r}, given are {', '.join(sorted(pools))}: name it with --pool"
        )
    order = [*named, *sorted(set(pools) - set(named))]
    if recipe.shares and len(order) > len(named):
        raise Refusal(f"pool {order[len(named)]!r} has no share: leave it out, or give it one")
    if recipe.base and len(order) != 2:
        raise Refusal(f"{len(order)} pools are given, base needs one beside it: use shares for more than two")
    if len(order) < 2:
        raise Refusal("one pool is given, a mixture needs two or more: name them with --pool")
    _need_one_set(pools, order)
    return order


def _need_one_set(pools: Mapping[str, Manifest], order: Sequence[str]) -> None:
    corpora = {name: find_pool_corpus(pools[name]) for name in order}
    known = {name: corpus for name, corpus in corpora.items() if corpus}
    for told in ({name: pools[name].of for name in order}, known):
        first = next(iter(told), "")
        other = next((name for name in told if told[name] != told[first]), None)
        if other is not None:
            raise Refusal(
                f"pools {first!r} and {other!r} are of different sets: use a recipe of kind sources, which makes a "
                "split of each"
            )


def plan_mixes(recipe: MixtureRecipe, sizes: Mapping[str, int]) -> list[Mix]:
    """Say which mixes a recipe makes of pools of some sizes, and of how many rows of each pool.

    >>> recipe = MixtureRecipe(base="natural", ratios=(0.0, 0.25), totals=(1000,))
    >>> [(mix.name, *mix.rows.values()) for mix in plan_mixes(recipe, {"natural": 1000, "rendition": 400})]
    [('mix-1000-rendition-0', 1000, 0), ('mix-1000-rendition-0.25', 750, 250)]
    """
    names = list(sizes)
    if recipe.replaced or recipe.added:
        base, other = names
        rows = [
            (f"mix-{total}-replaced-{n}", total - n, n) for total in recipe.totals for n in recipe.replaced
        ] or [
            (f"mix-{total}-added-{n}", total, n)
            for total in recipe.totals or (sizes[base],)
            for n in recipe.added
        ]
        return [Mix(name=name, rows={base: first, other: second}) for name, first, second in rows]
    if recipe.ratios:
        grid = {
            f"-{names[1]}-{ratio:.12g}": [1 - as_fraction(ratio), as_fraction(ratio)]
            for ratio in recipe.ratios
        }
    else:
        grid = {"": [as_fraction(recipe.shares.get(name, 0.0 if recipe.shares else 1.0)) for name in names]}
    # One total for all ratios, so that mixes differ in nothing else.
    totals = recipe.totals or (
        find_common(sizes, [dict(zip(names, each, strict=True)) for each in grid.values()]),
    )
    return [
        Mix(name=f"mix-{total}{ending}", rows=dict(zip(names, apportion(total, shares), strict=True)))
        for total in totals
        for ending, shares in grid.items()
    ]


def build(recipe: MixtureRecipe, inputs: Inputs, work: Path) -> Built:
    """Draw the mixes."""
    drawers = open_pools(recipe, inputs)
    mixes = plan_mixes(recipe, {name: len(drawer) for name, drawer in drawers.items()})
    of = next(iter(inputs.pools.values())).of
    return Built(
        splits=tuple(_make(mix, drawers, inputs, recipe, of) for mix in mixes),
        panels={"": [Composition(title="Rows of each pool", counts={mix.name: mix.rows for mix in mixes})]},
    )


def open_pools(recipe: MixtureRecipe, inputs: Inputs) -> dict[str, Drawer]:
    """Shuffle the pools of a recipe."""
    recipe.refuse_contradictions()
    order = order_pools(recipe, inputs.pools)
    return open_drawers(inputs.pools, order, seed=recipe.seed, overlap=recipe.overlap)


def _make(
    mix: Mix, drawers: Mapping[str, Drawer], inputs: Inputs, recipe: MixtureRecipe, of: str
) -> Manifest:
    shared = sum(drawer.shared for drawer in drawers.values())
    uids = join_parts([drawers[name].draw(rows) for name, rows in mix.rows.items()])
    return Manifest(
        name=mix.name,
        recipe=KIND,
        uids=uids,
        of=of,
        provenance=inputs.identify(),
        rules=(
            ("rows of the pools", sum(len(drawer) + drawer.shared for drawer in drawers.values())),
            *((("in a pool before theirs, counted there", shared),) if shared else ()),
            *((f"drawn of the {len(drawers[name]):,} of {name}", rows) for name, rows in mix.rows.items()),
            ("rows kept", len(uids)),
        ),
        statement=(claim_mix(mix), claim_draw(recipe.seed)),
        card=tuple((f"share of {name}", f"{rows / mix.total:.2%}") for name, rows in mix.rows.items()),
    )


def claim_mix(mix: Mix) -> Claim:
    """Claim how many rows of each pool a mix has."""
    return Claim(
        text=f"{mix.total:,} rows, each once: {mix.tell()}",
        values={"rows": mix.total, "pools": dict(mix.rows)},
    )


def verify(manifest: Manifest, recipe: MixtureRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Count the rows of each pool again, and draw them again."""
    drawers = open_pools(recipe, inputs)
    mixes = plan_mixes(recipe, {name: len(drawer) for name, drawer in drawers.items()})
    by_name = {mix.name: mix for mix in mixes}
    if manifest.name not in by_name:
        found = f"of these pools the recipe makes {', '.join(by_name)}"
        return [Check(text=f"{manifest.name} is a mix of the recipe", holds=False, found=found)]
    mix = by_name[manifest.name]
    wanted, drawn = claim_mix(mix), claim_draw(recipe.seed)
    held = count_by_pool(manifest.uids, drawers)
    strangers = held.pop("")
    told = Mix(name=mix.name, rows={name: n for name, n in held.items() if n or mix.rows[name]}).tell()
    return [
        Check(
            text=wanted.text,
            holds=not strangers and held == dict(mix.rows),
            found=f"{told}{f', {strangers:,} of no pool' if strangers else ''}",
        ),
        check_draw(manifest.uids, drawers, mix.rows, drawn),
        *refute_others(manifest, [wanted, drawn]),
    ]
