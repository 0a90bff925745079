"""Splits by similarity to test sets: gap-, near-, far- and random-pruned, alone and combined, and the core set."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from oddpair.errors import Refusal
from oddpair.splits.built import Built, Check, Listing, Panel
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CardRow, Manifest
from oddpair.splits.pool import pool_of_stored
from oddpair.splits.similar.checks import check_reference, check_split, open_fresh
from oddpair.splits.similar.panels import (
    LISTED,
    read_nearest,
    show_rows,
    show_tests,
    tell_tests,
)
from oddpair.splits.similar.pruning import Mask, keep_lowest, keep_random, nearest_of_kept
from oddpair.splits.similar.rules import (
    COMBINED,
    PRUNINGS,
    REFERENCE,
    Facts,
    Rule,
    claim_reference,
    claims_of,
    join_names,
)
from oddpair.splits.similar.search import Searched, search_corpus

# Another one than the sample of test images has.
_RANDOM_STREAM = 1
_SIZED = ("near", "far", "random")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityRecipe:
    """Splits by how near a corpus is to test sets; ``similarity.yaml``.

    Attributes:
        prune: What is made: ``gap``, ``near``, ``far``, ``random``, ``cut``.
        sizes: Rows that near, far and random keep: a share below 1, or a number.
        combined: Whether to prune for all test sets together too.
        core: Rows most similar to all test sets together, as for ``sizes``; ``None`` for none.
        threshold: Cosine similarity of ``cut``.
        deduplicate: Cosine similarity above which near-duplicates leave first; ``None``: none leaves.
        add_reference: Whether the reference set becomes a split too.
        sampled: Test images of each set whose neighbours in every split are shown.
        seed: Of random-pruned rows and of the sample.

    References:
        Mayilvahanan et al., Does CLIP's generalization performance mainly stem from high train-test similarity?
        ICLR 2024, arXiv:2310.09562.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus", "embeddings", "tests")
    TAKES: ClassVar[tuple[str, ...]] = ("reference",)

    prune: tuple[str, ...] = ("gap", "near", "far", "random")
    sizes: tuple[float, ...] = (0.75, 0.5, 0.25)
    combined: bool = True
    core: float | None = None
    threshold: float | None = None
    deduplicate: float | None = None
    add_reference: bool = True
    sampled: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse rules that there are not, and sizes and similarities that are none."""
        for key, values in (("prune", self.prune), ("sizes", self.sizes)):
            if len(set(values)) < len(values):
                raise Refusal(f"{key} is {list(values)}: it must name each once")
        for kind in self.prune:
            if kind not in PRUNINGS:
                raise Refusal(f"prune names '{kind}': it must name some of {', '.join(PRUNINGS)}")
        if not self.prune and self.core is None:
            raise Refusal("prune is empty: it must name a rule, or core must be given")
        if not self.sizes and set(self.prune) & set(_SIZED):
            raise Refusal(f"sizes is empty: near, far and random need one, prune is {list(self.prune)}")
        for key, size in (*(("sizes", size) for size in self.sizes), ("core", self.core)):
            if size is not None and not math.isfinite(size):
                raise Refusal(f"{key} is {size}: it must be a share or a number of rows")
            if size is not None and not (0 < size < 1 or (size >= 1 and size == int(size))):
                raise Refusal(
                    f"{key} is {size:g}: it must be a share between 0 and 1 or a whole number of rows"
                )
        if (self.threshold is None) == ("cut" in self.prune):
            raise Refusal(
                f"threshold is {self.threshold} and prune is {list(self.prune)}: it must be given for 'cut', for which "
                "alone it is used"
            )
        for key, value in (("threshold", self.threshold), ("deduplicate", self.deduplicate)):
            if value is not None and not -1 <= value < 1:
                raise Refusal(
                    f"{key} is {value:g}: it must be a cosine similarity from -1 to below 1, or null"
                )
        for key in ("sampled", "seed"):
            if getattr(self, key) < 0:
                raise Refusal(f"{key} is {getattr(self, key)}: it must be 0 or more")


def plan_rules(recipe: SimilarityRecipe, tests: Sequence[str], *, has_reference: bool) -> tuple[Rule, ...]:
    """Return the rules of all splits that a recipe makes, in reading order.

    Args:
        recipe: The recipe.
        tests: Names of the test sets.
        has_reference: Whether a reference set is given.

    Raises:
        Refusal: If a name cannot be part of a split's, or there is a reference set too few or too many.

    >>> recipe = SimilarityRecipe(prune=("gap", "far"), sizes=(0.5,))
    >>> [rule.name for rule in plan_rules(recipe, ["val", "sketch"], has_reference=True)]
    ['gap-pruned-sketch', 'gap-pruned-val', 'gap-pruned-combined', 'far-pruned-sketch-0.5', \
'far-pruned-val-0.5', 'far-pruned-combined-0.5', 'reference']
    """
    for name in tests:
        if not _NAME.fullmatch(name) or name == COMBINED:
            raise Refusal(
                f"test set '{name}' cannot be part of a split's name: give it one of letters and digits, other than "
                f"'{COMBINED}', --tests NAME=PATH"
            )
    if "gap" in recipe.prune and not has_reference:
        raise Refusal(
            "prune names 'gap', which compares with a reference set: give --reference, or leave gap out, --set "
            "'prune=[near, far, random]'"
        )
    if has_reference and "gap" not in recipe.prune:
        raise Refusal(
            "--reference: prune does not name 'gap', and nothing else uses it: leave the option out"
        )
    groups: dict[str, tuple[str, ...]] = {name: (name,) for name in sorted(tests)}
    whole = tuple(groups)
    if recipe.combined and len(groups) > 1:
        groups[COMBINED] = whole
    rules: list[Rule] = []
    for kind in recipe.prune:
        sizes = recipe.sizes if kind in _SIZED else (None,)
        # A draw looks at no test set.
        for label, names in groups.items() if kind != "random" else {"": ()}.items():
            for size in sizes:
                name = "-".join(filter(None, [f"{kind}-pruned", label, _tell(size)]))
                rules.append(Rule(name=name, kind=kind, tests=names, size=size))
    if recipe.core is not None:
        rules.append(Rule(name="core", kind="far", tests=whole, size=recipe.core))
    if recipe.add_reference and has_reference:
        rules.append(Rule(name=REFERENCE, kind=REFERENCE))
    return tuple(rules)


def build(recipe: SimilarityRecipe, inputs: Inputs, work: Path) -> Built:
    """Prune a corpus by every rule of a recipe.

    Args:
        recipe: The recipe.
        inputs: Embedded corpus and test sets, and for gap-pruning a reference set.
        work: Folder of the searches: a killed run goes on from there.

    Returns:
        A split for each rule.

    Raises:
        Refusal: As ``plan_rules``; if encoders differ, a uid has two vectors or a split would keep no row.
    """
    rules = plan_rules(recipe, list(inputs.tests), has_reference=inputs.reference is not None)
    searched = search_corpus(
        inputs, work, deduplicate=recipe.deduplicate, sampled=recipe.sampled, seed=recipe.seed
    )
    total, provenance = int(searched.base.sum()), inputs.identify()
    splits, panels, taken = list[Manifest](), dict[str, Sequence[Panel]](), list[tuple[str, int]]()
    for rule in rules:
        if rule.kind == REFERENCE:
            splits.append(_list_reference(rule, inputs, provenance))
            continue
        kept, lines = _decide(rule, recipe, searched)
        panels[rule.name], card = _show(rule, recipe, searched, kept, work, inputs.workers)
        rows = int(kept.sum())
        taken.append((rule.name, total - rows))
        splits.append(
            Manifest(
                name=rule.name,
                recipe="similarity",
                uids=searched.corpus.pool.keep(kept),
                provenance=provenance,
                rules=(*searched.lines, *lines, ("rows kept", rows)),
                statement=claims_of(
                    rule,
                    _state_facts(
                        recipe,
                        rows=rows,
                        of=total,
                        test_images=sum(searched.images[name] for name in rule.tests),
                        complete=searched.complete,
                        contained=int((kept & searched.shared).sum()) == searched.reference_rows,
                    ),
                ),
                card=(*searched.card, *card),
            )
        )
    panels[""] = [Listing(title="Rows that each rule takes", columns=("split", "rows taken"), rows=taken)]
    return Built(splits=tuple(splits), panels=panels)


def verify(manifest: Manifest, recipe: SimilarityRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Compute the claims of a split of this recipe again: what it holds and what left is searched afresh."""
    rules = plan_rules(recipe, list(inputs.tests), has_reference=inputs.reference is not None)
    rule = next((rule for rule in rules if rule.name == manifest.name), None)
    if rule is None:
        raise Refusal(
            f"split {manifest.name!r} is none that its recipe makes with the test sets {join_names(list(inputs.tests))}: "
            "give those that it was made with"
        )
    if rule.kind == REFERENCE:
        return check_reference(manifest, inputs)
    fresh = open_fresh(manifest, rule, inputs, work, deduplicate=recipe.deduplicate)
    total = int(fresh.base.sum())
    facts = _state_facts(
        recipe,
        rows=int(fresh.kept.sum()) if rule.size is None else rule.count(total),
        of=total,
        test_images=sum(map(len, fresh.tests.values())),
        complete=fresh.complete,
        contained=fresh.contains,
    )
    drawn = _draw(rule, recipe, fresh.base) if rule.kind == "random" else None
    return check_split(fresh, rule, facts, drawn=drawn)


def _decide(rule: Rule, recipe: SimilarityRecipe, searched: Searched) -> tuple[Mask, list[tuple[str, int]]]:
    """Return the rows that a rule keeps, and how many it takes for what."""
    if rule.kind in ("gap", "cut"):
        return _prune(rule, recipe, searched)
    total = int(searched.base.sum())
    count = rule.count(total)
    if rule.kind == "random":
        return _draw(rule, recipe, searched.base), [("rows that were not drawn", total - count)]
    scores = searched.score(rule.tests)[searched.base]
    chosen = keep_lowest(scores, count) if rule.kind == "near" else ~keep_lowest(scores, total - count)
    side = "more" if rule.kind == "near" else "less"
    text = f"{side} similar to test images of {join_names(rule.tests)} than those kept"
    return _widen(chosen, searched.base), [(text, total - count)]


def _prune(rule: Rule, recipe: SimilarityRecipe, searched: Searched) -> tuple[Mask, list[tuple[str, int]]]:
    kept, lines = searched.base.copy(), []
    for name in rule.tests:
        near = searched.near[name]
        if rule.kind == "gap":
            # By uid, as a reference row's vector may be rounded otherwise in the corpus.
            hit = near.hit & ~searched.shared
            text = f"nearer to a test image of {name} than the reference set is"
        else:
            hit = near.score > np.float32(recipe.threshold)
            text = f"cosine similarity above {recipe.threshold:g} with a test image of {name}"
        lines.append((text, int((kept & hit).sum())))
        kept &= ~hit
    return kept, lines


def _draw(rule: Rule, recipe: SimilarityRecipe, base: Mask) -> Mask:
    total = int(base.sum())
    rng = np.random.default_rng((recipe.seed, _RANDOM_STREAM))
    return _widen(keep_random(total, rule.count(total), rng), base)


def _widen(chosen: Mask, base: Mask) -> Mask:
    """Return a mask over the rows of ``base`` as one over all rows."""
    kept = base.copy()
    kept[base] = chosen
    return kept


def _state_facts(
    recipe: SimilarityRecipe, *, rows: int, of: int, test_images: int, complete: bool, contained: bool
) -> Facts:
    return Facts(
        rows=rows,
        of=of,
        test_images=test_images,
        threshold=recipe.threshold,
        seed=recipe.seed,
        deduplicated=recipe.deduplicate if complete else None,
        beside=recipe.add_reference,
        contained=contained,
    )


def _show(
    rule: Rule, recipe: SimilarityRecipe, searched: Searched, kept: Mask, work: Path, threads: int
) -> tuple[list[Panel], list[CardRow]]:
    """Show how near a split is; a random one to every test set."""
    names = rule.tests or tuple(searched.near)
    mark = recipe.threshold if rule.kind == "cut" else None
    panels = [show_rows(searched.score(names), searched.base, kept, named=join_names(names), mark=mark)]
    card: list[CardRow] = []
    for name in names if searched.samples else ():
        sample = searched.samples[name]
        out = work / f"kept-{rule.name}-{name}"
        after = nearest_of_kept(searched.corpus, kept, sample, out, k=max(LISTED), threads=threads)
        nearest = read_nearest(searched.found[name], sample)
        panels += show_tests(name, nearest, after)
        card += tell_tests(name, nearest, after)
    return panels, card


def _list_reference(rule: Rule, inputs: Inputs, provenance: dict[str, Any]) -> Manifest:
    if inputs.reference is None:
        raise ValueError("opened without a reference set")
    stored = inputs.reference.need_stored()
    uids = pool_of_stored(stored).uids
    return Manifest(
        name=rule.name,
        recipe="similarity",
        uids=uids,
        of=REFERENCE,
        provenance=provenance,
        rules=(("rows that have an embedding", stored.shape[0]), ("rows kept", len(uids))),
        statement=claim_reference(len(uids)),
        card=(("meant for", "training, beside each gap-pruned split"),),
    )


def _tell(size: float | None) -> str:
    if size is None:
        return ""
    return str(size) if size < 1 else str(int(size))
