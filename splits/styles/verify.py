"""The claims of a style-strict split, computed again from the inputs and the split's uids."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from oddpair.retrieval.uid_order import find_uids
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Check
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CORPUS, Claim, Manifest
from oddpair.splits.styles.claims import claim_clean, claim_strict, claim_test, say
from oddpair.splits.styles.clean import clean_test
from oddpair.splits.styles.rounding import round_down, round_up
from oddpair.splits.styles.scorer import CODE, OTHER, PROBED
from oddpair.splits.styles.search import nearest_again
from oddpair.splits.styles.sorting import HeldOut
from oddpair.splits.styles.splits import SortedCorpus, find_leak, sort_by_style
from oddpair.splits.styles.strict import keep_strict, nearness_threshold

if TYPE_CHECKING:
    from oddpair.splits.recipes.style_strict import StyleStrictRecipe

# Sums of probabilities may have other last bits on another machine.
_ROUNDING = 1e-9

Finding = tuple[bool, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """What a split must be: its uids and claims by kind, and what its own rows are found to be of each kind."""

    uids: pa.Array
    claims: Mapping[str, Claim]
    look: Callable[[str], Finding]


def verify_style(manifest: Manifest, recipe: StyleStrictRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Compute the claims of a split again.

    Labels, classifiers, thresholds and bounds are made anew, the split's rows are compared with the test pictures once
    more, and held-out rows are counted among the split's uids. A bound for the rows that the recipe keeps says nothing
    of some of them: the uids must be these and no others.

    Args:
        manifest: The split.
        recipe: How it was made.
        inputs: What from.
        work: Folder to work in.

    Returns:
        Each claim and whether it holds. Where they do not, a check that the rows are those of the recipe, and one that
        no claim is missing.

    Raises:
        Refusal: If the recipe cannot be carried out, or its classifier cannot be trained again.
    """
    if recipe.classifier == "fine-tune":
        from oddpair.splits.styles.fine_tune import refuse_other_tower

        refuse_other_tower(
            manifest.provenance,
            model=recipe.tuned_model,
            weights=recipe.tuned_weights,
            device=recipe.device,
            work=work,
        )
    found = sort_by_style(recipe, inputs, work)
    again = _make_again(manifest, found, recipe, inputs)
    if again is None:
        told = f"no split {manifest.name} of {manifest.of} is made by this recipe"
        failed = [Check(text=claim.text, holds=False, found=told) for claim in manifest.statement]
        return [*failed, Check(text="the statement is whole", holds=False, found=told)]
    checks = [_check(claim, again) for claim in manifest.statement]
    there = [claim.values.get("claim") for claim in manifest.statement]
    missing = [kind for kind in again.claims if kind not in there]
    if missing:
        lacks = f"it lacks {', '.join(missing)}"
        checks.append(Check(text="the statement is whole", holds=False, found=lacks))
    return [*checks, *_refute_rows(manifest.uids, again.uids)]


def _check(claim: Claim, again: _Again) -> Check:
    kind = claim.values.get("claim")
    wanted = again.claims.get(kind) if isinstance(kind, str) else None
    if wanted is None:
        return Check(text=claim.text, holds=False, found="the recipe does not claim this of these inputs")
    holds, told = again.look(wanted.values["claim"])
    differs = _compare(claim.values, wanted.values)
    if not differs and claim.text != say(claim.values):
        differs = "the words do not say what the figures do"
    return Check(
        text=claim.text,
        holds=holds and not differs,
        found="; ".join(part for part in (told, differs) if part),
    )


def _compare(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say which figures of a claim are not those computed again; nothing if all are."""
    if given.keys() != wanted.keys():
        return f"its figures are {', '.join(given)}, those of the recipe {', '.join(wanted)}"
    differ = [name for name in wanted if not _same(given[name], wanted[name])]
    return ", ".join(f"{name} is {wanted[name]!r}, not {given[name]!r}" for name in differ)


def _same(given: Any, wanted: Any) -> bool:
    if isinstance(given, float) and isinstance(wanted, float):
        return math.isclose(given, wanted, rel_tol=0, abs_tol=_ROUNDING)
    return type(given) is type(wanted) and bool(given == wanted)


def _refute_rows(given: pa.Array, wanted: pa.Array) -> list[Check]:
    """Return a failed check unless the rows are those that the recipe keeps."""
    missing = wanted.filter(pa.array(find_uids(given, wanted) < 0))
    more = given.filter(pa.array(find_uids(wanted, given) < 0))
    told = [
        f"{len(uids):,} {what}, such as {uids[0].as_py()}"
        for what, uids in (("are missing", missing), ("are too many", more))
        if len(uids)
    ]
    if not told:
        return []
    text = "the rows are those that the recipe keeps of these inputs"
    return [Check(text=text, holds=False, found=", ".join(told))]


def _make_again(
    manifest: Manifest, found: SortedCorpus, recipe: StyleStrictRecipe, inputs: Inputs
) -> _Again | None:
    """Make the split of a manifest's name again; ``None`` if the recipe makes no such split."""
    for style in PROBED:
        if (manifest.name, manifest.of) == (f"{style}-strict", CORPUS):
            return _strict_again(manifest, found, recipe, style)
        if (manifest.name, manifest.of) == (f"{style}-test", CORPUS) and style in found.held:
            return _test_again(manifest, found, style)
        if manifest.name == f"clean-{manifest.of}" and manifest.of in recipe.tests_of(style):
            return _clean_again(manifest, found, recipe, inputs, style)
    return None


def _strict_again(manifest: Manifest, found: SortedCorpus, recipe: StyleStrictRecipe, style: str) -> _Again:
    pool, sorted_in = found.pool, found.codes == CODE[style]
    places = pool.places(manifest.uids)
    rows, known = places[places >= 0], found.reference_rows(style)
    searched = sorted_in.copy()
    searched[rows] = searched[known] = True
    # Rows that are not searched were not sorted in, and cannot be kept however far they are.
    near = np.full(len(pool), -1, dtype=np.float32)
    near[searched] = nearest_again(found.stored, pool.rows[searched], found.tests[OTHER[style]])
    limit, reference = recipe.similarity, None
    if limit is None:
        limit, reference = nearness_threshold(near[known], recipe.quantile, style), len(known)
    split = keep_strict(sorted_in, near, limit, style=style, reference=reference)
    leak = find_leak(found, split.keep, style)
    claims = claim_strict(found, split, leak, quantile=recipe.quantile)

    def look(kind: str) -> Finding:
        if kind == "sorted":
            wrong, strange = int((~sorted_in[rows]).sum()), len(places) - len(rows)
            told = f"{wrong:,} rows of another class, {strange:,} of the tests or not in the corpus"
            return not wrong + strange, told
        if kind == "precision":
            return True, f"at least {round_down(found.sort.certificate(style).lower_bound)}"
        if kind == "leak":
            return _count_leak(rows, found, leak)
        nearer, most = int((near[rows].astype(np.float64) > limit).sum()), float(near[rows].max(initial=-1))
        told = f"{nearer:,} rows are nearer than {round_up(limit)}, the nearest at {round_up(most)}"
        return not nearer, told

    return _Again(uids=pool.keep(split.keep), claims=_by_kind(claims), look=look)


def _count_leak(rows: IntArray, found: SortedCorpus, leak: HeldOut) -> Finding:
    """Count held-out rows among those of the manifest, which must be as many as among those of the recipe."""
    kept = np.zeros(len(found.pool), dtype=np.bool_)
    kept[rows] = True
    again = find_leak(found, kept, leak.style)
    told = f"at most {round_up(again.leak_bound)}, {again.opposite:,} of {again.accepted:,} held-out rows of the split"
    return (again.opposite, again.accepted) == (leak.opposite, leak.accepted), told


def _test_again(manifest: Manifest, found: SortedCorpus, style: str) -> _Again:
    held = found.held[style]
    strange = int((held.places(manifest.uids) < 0).sum())
    told = f"{strange:,} pictures are no {style} rows that are held out"
    return _Again(uids=held.uids, claims=_by_kind(claim_test(style)), look=lambda _: (not strange, told))


def _clean_again(
    manifest: Manifest, found: SortedCorpus, recipe: StyleStrictRecipe, inputs: Inputs, style: str
) -> _Again:
    test = clean_test(found, inputs.tests[manifest.of], style, recipe.class_column)
    places = test.pool.places(manifest.uids)
    strange = int((places < 0).sum() + (~test.keep[places[places >= 0]]).sum())
    told = f"{strange:,} pictures are not in it or are judged otherwise"
    claims = _by_kind(claim_clean(manifest.of, test))
    return _Again(uids=test.pool.keep(test.keep), claims=claims, look=lambda _: (not strange, told))


def _by_kind(claims: Iterable[Claim]) -> dict[str, Claim]:
    return {claim.values["claim"]: claim for claim in claims}
