"""Concept-balanced subsets of a corpus, as MetaCLIP draws them or filled up to a cap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Built, Check, Histogram, Listing, Panel
from oddpair.splits.curation.balance import Evenness, draw_levels, fill_evenly, measure_evenness
from oddpair.splits.curation.concept_rows import ConceptRows, CountIn, read_concept_rows
from oddpair.splits.curation.selection import (
    check_size,
    draw_by_uid,
    find_rows,
    find_size,
    need_claims,
    take_lowest,
)
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CardRow, Claim, Manifest

BoolArray = NDArray[np.bool_]

_CAP_ORDER, _NAMELESS = 2, 3
_LISTED = 1000
_BINS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancedRecipe:
    """Rows whose concepts are as evenly counted as they can be; ``balanced.yaml``.

    Attributes:
        rule: ``sample``, MetaCLIP's draws, or ``cap``, filled in up to a cap.
        share: Of the rows of the corpus that is kept.
        size: Rows to keep instead.
        most: ``t`` of the rule instead of both.
        without_concept: What becomes of rows without a concept.
        count_in: Where a row has its concepts.
        seed: Of all draws.

    References:
        Xu et al., "Demystifying CLIP Data", arXiv:2309.16671, Algorithm 1.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus",)
    TAKES: ClassVar[tuple[str, ...]] = ("vocabulary", "counts", "tags")

    rule: Literal["sample", "cap"] = "sample"
    share: float = 0.5
    size: int | None = None
    most: int | None = None
    without_concept: Literal["keep", "drop", "share"] = "drop"
    count_in: CountIn = "captions"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that no split can have."""
        check_size(self.size, self.share)
        if self.most is not None and self.most < 1:
            raise Refusal(f"most is {self.most}: it must be 1 or more, or null to find it for the size")
        if self.size is not None and self.most is not None:
            raise Refusal(
                f"size is {self.size} and most is {self.most}: one follows from the other, give one"
            )
        if self.seed < 0:
            raise Refusal(f"seed is {self.seed}: it must be 0 or more")


def build(recipe: BalancedRecipe, inputs: Inputs, work: Path) -> Built:
    """Choose rows so that their concepts are evenly counted."""
    rows = read_concept_rows(inputs, recipe.count_in)
    wanted = _Wanted.of(recipe, rows)
    if recipe.rule == "sample":
        kept, claim = _sample(recipe, rows, wanted.named)
    else:
        kept, claim = _fill(recipe, rows, wanted.named)
    nameless = wanted.nameless
    if nameless is None:
        share = kept.sum() / max(1, rows.named.sum())
        nameless = round(share * wanted.all_nameless) if recipe.without_concept == "share" else 0
    if recipe.without_concept == "keep":
        nameless = wanted.all_nameless
    with_concept = int(kept.sum())
    kept |= take_lowest(np.where(rows.named, np.inf, _draw(rows, recipe, _NAMELESS)), nameless)
    before, after = rows.counts, _count(rows, kept)
    manifest = Manifest(
        name=f"balanced-{recipe.rule}",
        recipe="balanced",
        uids=rows.pool.keep(kept),
        provenance=inputs.identify(),
        rules=(
            ("rows of the corpus", len(rows.pool)),
            ("rows with a concept", int(rows.named.sum())),
            ("of these kept", with_concept),
            ("rows without a concept kept", nameless),
            ("rows kept", int(kept.sum())),
        ),
        statement=(claim, _claim_nameless(recipe, rows, kept), _claim_evenness(before, after)),
        card=_card(rows, before, after),
    )
    table = pa.table({"concept": pa.array(rows.names), "before": before, "after": after})
    return Built(
        splits=(manifest,),
        tables={"concept_counts.parquet": table},
        panels={manifest.name: _panels(rows.names, before, after)},
    )


def verify(manifest: Manifest, recipe: BalancedRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Count the concepts of corpus and split again, and compare with the rule and with what is claimed."""
    rows = read_concept_rows(inputs, recipe.count_in)
    kept, members = find_rows(manifest, rows.pool)
    figure = "t" if recipe.rule == "sample" else "full"
    rule, nameless, evenness = need_claims(manifest, figure, "drawn", "entropy")
    counts = _count(rows, kept)
    checks = [members]
    if recipe.rule == "sample":
        levels = draw_levels(rows.incidence, rows.pool.uids, rows.names, recipe.seed)
        limit = rule.values["t"]
        inside, outside = (
            int((kept & rows.named & (levels >= limit)).sum()),
            int((~kept & (levels < limit)).sum()),
        )
        found = f"{inside:,} rows of the split do not pass, {outside:,} others do"
        checks.append(Check(text=rule.text, holds=not inside and not outside, found=found))
    else:
        largest, wrong = int(counts.max(initial=0)), _count_unfilled(rows, kept, counts, rule.values["full"])
        found = f"{largest:,} rows name the most frequent; {wrong:,} rows left out name none that is full"
        checks.append(Check(text=rule.text, holds=largest <= rule.values["most"] and not wrong, found=found))
    again = _claim_nameless(recipe, rows, kept)
    checks.append(
        Check(text=nameless.text, holds=again.values == nameless.values, found=f"found: {again.text}")
    )
    again = _claim_evenness(rows.counts, counts)
    checks.append(
        Check(text=evenness.text, holds=again.values == evenness.values, found=f"found: {again.text}")
    )
    return checks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Rows to keep with and without a concept; ``None`` where that follows from ``most``."""

    named: int | None
    nameless: int | None
    all_nameless: int

    @classmethod
    def of(cls, recipe: BalancedRecipe, rows: ConceptRows) -> _Wanted:
        named = int(rows.named.sum())
        nothing = len(rows.pool) - named
        if not named:
            raise Refusal(
                "no row of the corpus has a concept of the vocabulary: give a vocabulary of what its captions name"
            )
        if recipe.most is not None:
            return cls(named=None, nameless=None, all_nameless=nothing)
        size = find_size(recipe.size, recipe.share, len(rows.pool))
        nameless = {"drop": 0, "keep": nothing, "share": round(size * nothing / len(rows.pool))}[
            recipe.without_concept
        ]
        if not 0 <= size - nameless <= named:
            raise Refusal(
                f"{size:,} rows are wanted, {nameless:,} of them without a concept, and {named:,} rows have one: change "
                "share, size or without_concept"
            )
        return cls(named=size - nameless, nameless=nameless, all_nameless=nothing)


def _sample(recipe: BalancedRecipe, rows: ConceptRows, size: int | None) -> tuple[BoolArray, Claim]:
    levels = draw_levels(rows.incidence, rows.pool.uids, rows.names, recipe.seed)
    if size is None:
        assert recipe.most is not None
        limit = float(recipe.most)
    else:
        left = levels[~take_lowest(levels, size) & rows.named]
        limit = float(left.min()) if len(left) else float(rows.counts.max())
    kept = levels < limit
    text = (
        "a row with concepts is in if, and only if, the draw of one of them passes, each with probability "
        f"min(1, {limit:,.6g} / rows of the concept)"
    )
    return kept, Claim(text=text, values={"t": limit})


def _fill(recipe: BalancedRecipe, rows: ConceptRows, size: int | None) -> tuple[BoolArray, Claim]:
    draws = _draw(rows, recipe, _CAP_ORDER)
    filled = fill_evenly(rows.incidence, rows.names, draws, size=size, most=recipe.most)
    text = (
        f"no concept has more than {filled.most:,} rows, and every row with concepts that is left out has one of "
        f"{filled.full:,} or more"
    )
    return filled.kept, Claim(text=text, values={"most": filled.most, "full": filled.full})


def _count_unfilled(rows: ConceptRows, kept: BoolArray, counts: IntArray, full: int) -> int:
    """Count rows left out although none of their concepts is full."""
    is_full = np.zeros(len(kept), np.bool_)
    is_full[rows.incidence.rows[counts[rows.incidence.concepts] >= full]] = True
    return int((~kept & rows.named & ~is_full).sum())


def _claim_nameless(recipe: BalancedRecipe, rows: ConceptRows, kept: BoolArray) -> Claim:
    nameless = ~rows.named
    draws = _draw(rows, recipe, _NAMELESS)
    inside, outside = draws[nameless & kept], draws[nameless & ~kept]
    drawn = not len(inside) or not len(outside) or bool(inside.max() <= outside.min())
    how = ", drawn at random" if drawn and len(inside) and len(outside) else ""
    text = f"{len(inside):,} of {int(nameless.sum()):,} rows without a concept are in{how}"
    return Claim(text=text, values={"kept": len(inside), "rows": int(nameless.sum()), "drawn": drawn})


def _claim_evenness(before: IntArray, after: IntArray) -> Claim:
    first, second = _measure(before, after)
    text = (
        f"over the {first.concepts:,} concepts of the corpus, the counts of rows have an entropy of {second.entropy:.3f} "
        f"bits ({first.entropy:.3f} in the corpus, {math.log2(max(1, first.concepts)):.3f} if all were equal) and a Gini "
        f"coefficient of {second.gini:.3f} ({first.gini:.3f})"
    )
    values = {
        "entropy": second.entropy,
        "entropy_before": first.entropy,
        "gini": second.gini,
        "gini_before": first.gini,
    }
    return Claim(text=text, values=values)


def _measure(before: IntArray, after: IntArray) -> tuple[Evenness, Evenness]:
    occurs = before > 0
    return measure_evenness(before[occurs]), measure_evenness(after[occurs])


def _card(rows: ConceptRows, before: IntArray, after: IntArray) -> tuple[CardRow, ...]:
    first, second = _measure(before, after)
    found: list[CardRow] = [
        ("concepts of the vocabulary", len(rows.names)),
        ("of these in the corpus", first.concepts),
        ("of these in the split", int((after > 0).sum())),
        ("rows of the most and the least frequent concept, corpus", f"{first.largest:,}, {first.smallest:,}"),
        (
            "rows of the most and the least frequent concept, split",
            f"{second.largest:,}, {second.smallest:,}",
        ),
    ]
    return (*found, ("rows that could not be read", rows.bad)) if rows.bad else tuple(found)


def _panels(names: tuple[str, ...], before: IntArray, after: IntArray) -> Sequence[Panel]:
    occurs = before > 0
    most = max(1.0, math.log10(max(1, int(before.max(initial=1)))))
    edges = np.linspace(0, most, _BINS + 1)
    bins = {
        name: np.histogram(np.log10(np.maximum(counts[occurs], 1)), edges)[0].astype(np.int64)
        for name, counts in (("corpus", before), ("split", after))
    }
    order = np.lexsort((np.array(names), -before))
    order = order[before[order] > 0][:_LISTED].tolist()
    listed = [(names[place], int(before[place]), int(after[place])) for place in order]
    return (
        Histogram(title="Concepts by their number of rows", label="log10 rows", edges=edges, counts=bins),
        Listing(title="Rows of each concept", columns=("concept", "corpus", "split"), rows=listed),
    )


def _count(rows: ConceptRows, kept: BoolArray) -> IntArray:
    inside = kept[rows.incidence.rows]
    return np.bincount(rows.incidence.concepts[inside], minlength=len(rows.names))


def _draw(rows: ConceptRows, recipe: BalancedRecipe, stream: int) -> NDArray[np.float64]:
    return draw_by_uid(rows.pool.uids, recipe.seed, stream)
