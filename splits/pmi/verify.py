"""Whether the split of a PMI band is what it says: counts, ranks and balance, from its uids and the inputs alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oddpair.errors import Refusal
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.counting.pmi import FloatArray
from oddpair.splits.built import Check
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import Claim, Manifest
from oddpair.splits.pmi.bands import (
    TAILS,
    UNSEEN,
    BoolArray,
    PairPmi,
    eligible_pairs,
    mean_log_counts,
    name_band,
)
from oddpair.splits.pmi.counts import OpenCounts, open_counts, recount
from oddpair.splits.pmi.gen_pairs import read_pairs
from oddpair.splits.pmi.splits import (
    BALANCE,
    COUNTED,
    DIGITS,
    FREQUENT,
    MATCHED,
    PAIRS,
    PLACE,
    band_number,
    count_in_cells,
    digest_counts,
    find_shown,
    say_place,
)

if TYPE_CHECKING:
    from oddpair.splits.recipes.pmi_bands import PmiBandsRecipe

_NEAR = 2 * 10**-DIGITS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the uids of a split show, by counts that were read again.

    Attributes:
        rows: Uids that are in the test set and show a pair that may be in a band.
        strangers: What is wrong with the first of the others; ``""`` if there are none.
        pairs: All pairs that may be in a band.
        mask: Those that the split shows.
        shown: Those that the whole test set shows.
        captions: Captions of the corpus.
        recounted: Differences between the counts and the corpus; ``None`` where no corpus is given.
    """

    rows: int
    strangers: str
    pairs: PairPmi
    mask: BoolArray
    shown: BoolArray
    captions: int
    recounted: str | None


def verify_bands(manifest: Manifest, recipe: PmiBandsRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Compute what a split of a band claims again: from its uids, what the test set shows, and counts.

    Pairs are looked up afresh, PMI is computed and ranked afresh within its cell, and where the corpus is given,
    every pair of the split and its concepts are counted in it anew.

    Args:
        manifest: The split.
        recipe: What made it.
        inputs: Counts, the test set and, to count again, the corpus.
        work: Folder to count in.

    Returns:
        A check for each claim; one that no recipe of this kind makes does not hold.

    Raises:
        Refusal: If the test set is not given, or the counts were changed since they were made.
    """
    if manifest.of not in inputs.tests:
        raise Refusal(
            f"split {manifest.name!r} is of test set '{manifest.of}': give --tests {manifest.of}=PATH"
        )
    found = _look(manifest, recipe, inputs, work)
    tail = next((name for name in TAILS if manifest.name.endswith(f"-{name}")), None)
    judges: dict[str, Callable[[Claim], tuple[bool, str]]] = {
        PAIRS: lambda claim: _judge_pairs(claim, found, len(manifest)),
        FREQUENT: lambda claim: _judge_frequent(claim, found, recipe),
        PLACE: lambda claim: _judge_place(claim, found, recipe, manifest.name),
        MATCHED: lambda claim: _judge_matched(claim, found, recipe, tail),
        BALANCE: lambda claim: _judge_balance(claim, found),
        COUNTED: lambda claim: _judge_counted(claim, found),
    }
    checks = []
    for claim in manifest.statement:
        judge = judges.get(str(claim.values.get("of")))
        holds, told = judge(claim) if judge else (False, "no claim of this kind is known")
        checks.append(Check(text=claim.text, holds=holds, found=told))
    claimed = {claim.values.get("of") for claim in manifest.statement}
    needed = {PAIRS, FREQUENT, PLACE, BALANCE, COUNTED} | ({MATCHED} if tail else set())
    missing = sorted(needed - claimed)
    if missing:
        checks.append(Check(text="the statement is whole", holds=False, found=f"nothing about {missing[0]}"))
    return checks


def _look(manifest: Manifest, recipe: PmiBandsRecipe, inputs: Inputs, work: Path) -> _Found:
    opened = open_counts(inputs)
    pairs = eligible_pairs(
        opened.counts,
        variant=recipe.pmi,
        minimum_count=recipe.minimum_count,
        minimum_expected=recipe.minimum_expected,
    )
    shown = read_pairs(inputs.tests[manifest.of].need_corpus(), ConceptNames(opened.vocabulary))
    places = shown.pool.places(manifest.uids)
    absent = np.flatnonzero(places < 0)
    there = places[places >= 0]
    paired = there[shown.first[there] >= 0]
    rows = pairs.find(shown.first[paired], shown.second[paired])
    strangers = ""
    if absent.size:
        strangers = f"uid {manifest.uids[int(absent[0])].as_py()} is not in the test set"
    elif len(paired) < len(there) or (rows < 0).any():
        wrong = [*there[shown.first[there] < 0], *paired[rows < 0]][0]
        strangers = (
            f"uid {shown.pool.uids[int(wrong)].as_py()} shows no pair that is counted and expected so often"
        )
    mask = np.zeros(len(pairs), np.bool_)
    mask[rows[rows >= 0]] = True
    of_test = find_shown(shown, pairs)
    in_test = np.zeros(len(pairs), np.bool_)
    in_test[of_test[of_test >= 0]] = True
    return _Found(
        rows=int((rows >= 0).sum()),
        strangers=strangers,
        pairs=pairs,
        mask=mask,
        shown=in_test,
        captions=opened.counts.n_captions,
        recounted=_recount(opened, pairs, mask, inputs, work) if mask.any() else None,
    )


def _recount(opened: OpenCounts, pairs: PairPmi, mask: BoolArray, inputs: Inputs, work: Path) -> str | None:
    if inputs.corpus is None:
        return None
    ids = list(zip(pairs.a[mask].tolist(), pairs.b[mask].tolist(), strict=True))
    anew = recount(opened, inputs.corpus.need_corpus(), ids, work, workers=inputs.workers)
    if anew.n_captions != opened.counts.n_captions:
        return f"the corpus has {anew.n_captions:,} captions, {opened.counts.n_captions:,} were counted"
    together = anew.look_up(pairs.a[mask], pairs.b[mask]).text
    for what, now, before in (
        ("name", anew.text[pairs.a[mask]], pairs.count_a[mask]),
        ("name", anew.text[pairs.b[mask]], pairs.count_b[mask]),
        ("name both of", together, pairs.count_pair[mask]),
    ):
        other = np.flatnonzero(now != before)
        if other.size:
            a, b = (opened.counts.names[concept] for concept in ids[other[0]])
            return (
                f"{other.size:,} counts differ in the corpus, such as captions that {what} {a!r} and {b!r}: "
                f"{int(now[other[0]]):,}, counted were {int(before[other[0]]):,}"
            )
    return ""


def _judge_pairs(claim: Claim, found: _Found, rows: int) -> tuple[bool, str]:
    told = found.strangers or f"{found.rows:,} rows show {int(found.mask.sum()):,} pairs"
    same = (claim.values.get("rows"), claim.values.get("pairs")) == (rows, int(found.mask.sum()))
    return not found.strangers and found.rows == rows and same, told


def _judge_frequent(claim: Claim, found: _Found, recipe: PmiBandsRecipe) -> tuple[bool, str]:
    if not found.mask.any():
        return False, "it shows no pair"
    pairs, mask = found.pairs, found.mask
    expected = float(pairs.expected[mask].min())
    count = int(min(pairs.count_a[mask].min(), pairs.count_b[mask].min()))
    holds = expected >= recipe.minimum_expected and count >= recipe.minimum_count
    holds &= (
        _is_near(claim.values.get("least_expected"), expected) and claim.values.get("least_count") == count
    )
    return holds, f"expected {expected:.6g} captions or more, concepts named by {count:,} or more"


def _judge_place(claim: Claim, found: _Found, recipe: PmiBandsRecipe, name: str) -> tuple[bool, str]:
    label = str(claim.values.get("label"))
    if not name.endswith(f"-{label}") or claim.text != say_place(label, recipe):
        return False, f"split {name!r} claims to be {label!r}, or says it in other words"
    pairs, mask = found.pairs, found.mask
    rows = np.flatnonzero(mask)
    if label == name_band(UNSEEN, recipe.bands):
        seen = int((pairs.count_pair[mask] > 0).sum())
        return bool(len(rows)) and not seen, f"{seen:,} of {len(rows):,} pairs are named by some caption"
    if not len(rows) or (label not in TAILS and band_number(label, recipe.bands) < 1):
        return False, f"no pair, or no band {label!r}"
    wrong = [row for row in rows.tolist() if pairs.count_pair[row] == 0]
    wrong += _find_misplaced(pairs, [row for row in rows.tolist() if pairs.count_pair[row]], label, recipe)
    low, high = float(pairs.pmi[mask].min()), float(pairs.pmi[mask].max())
    if wrong:
        a, b = pairs.names[pairs.a[wrong[0]]], pairs.names[pairs.b[wrong[0]]]
        return False, f"{len(wrong):,} of {len(rows):,} pairs are not there, such as {a!r} and {b!r}"
    holds = _is_near(claim.values.get("lowest"), low) and _is_near(claim.values.get("highest"), high)
    return holds, f"PMI {low:.6f} to {high:.6f}, every one of {len(rows):,} pairs in its place"


def _find_misplaced(pairs: PairPmi, rows: list[int], label: str, recipe: PmiBandsRecipe) -> list[int]:
    """Find the pairs whose PMI has too many below or above it in its cell, by one pair or more."""
    seen = pairs.count_pair > 0
    squares = np.floor(pairs.log_counts() / recipe.cell).astype(np.int64)
    keys = squares[:, 0] * (squares.max(initial=0) + 1) + squares[:, 1]
    order = np.flatnonzero(seen)[np.argsort(keys[seen], kind="stable")]
    cells: dict[int, FloatArray] = {}
    wrong = []
    for row in rows:
        key = int(keys[row])
        if key not in cells:
            start, stop = np.searchsorted(keys[order], [key, key + 1])
            cells[key] = np.sort(pairs.pmi[order[start:stop]])
        values = cells[key]
        size = len(values)
        least = int(np.searchsorted(values, pairs.pmi[row]))
        most = int(np.searchsorted(values, pairs.pmi[row], side="right")) - 1
        if label in TAILS:
            in_tail = min(int(size * recipe.tail + 0.5), size // 2)
            placed = least < in_tail if label == "bottom" else most >= size - in_tail
        else:
            number = band_number(label, recipe.bands)
            # Single pairs are left out between bands, so that an edge may be one rank off its share.
            low, high = (number - 1) * size / recipe.bands - 1, number * size / recipe.bands + 1
            placed = most >= low and least + 1 <= high
        if not placed:
            wrong.append(row)
    return wrong


def _judge_matched(claim: Claim, found: _Found, recipe: PmiBandsRecipe, tail: str | None) -> tuple[bool, str]:
    cells = count_in_cells(found.pairs, found.mask, recipe.cell)
    told = f"{sum(cells.values()):,} pairs in {len(cells):,} cells"
    if claim.values.get("pairs_in_cell") != cells:
        return False, told
    other = str(claim.values.get("other"))
    if tail is None or other not in TAILS or other == tail:
        return False, f"{other!r} is not the other tail of {tail or 'a band'!r}"
    rows = np.flatnonzero(found.shown & (found.pairs.count_pair > 0)).tolist()
    there = np.zeros(len(found.pairs), np.bool_)
    there[sorted(set(rows) - set(_find_misplaced(found.pairs, rows, other, recipe)))] = True
    partners = count_in_cells(found.pairs, there, recipe.cell)
    short = [cell for cell, n_pairs in cells.items() if partners.get(cell, 0) < n_pairs]
    return not short, f"{told}, in {len(short):,} of which the test set shows fewer pairs of the other tail"


def _judge_balance(claim: Claim, found: _Found) -> tuple[bool, str]:
    means = mean_log_counts(found.pairs, {"": found.mask}).get("")
    if means is None:
        return False, "it shows no pair"
    claimed = claim.values.get("means")
    holds = isinstance(claimed, list) and len(claimed) == 2 and all(map(_is_near, claimed, means))
    return holds, f"{means[0]:.6f} and {means[1]:.6f}"


def _judge_counted(claim: Claim, found: _Found) -> tuple[bool, str]:
    digest = digest_counts(found.pairs, found.mask)
    if found.recounted:
        return False, found.recounted
    if claim.values.get("captions") != found.captions or claim.values.get("counts_sha256") != digest:
        return False, f"counts of the pairs shown have sha256 {digest[:12]}…, in {found.captions:,} captions"
    how = "read from the folder of counts" if found.recounted is None else "counted again in the corpus"
    return True, f"{int(found.mask.sum()):,} pairs, {how}"


def _is_near(claimed: Any, value: float) -> bool:
    return isinstance(claimed, int | float) and abs(claimed - value) <= _NEAR
