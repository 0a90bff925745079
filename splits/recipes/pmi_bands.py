"""From counts to pairs in PMI bands of equal single counts, and to the test pictures that show pairs of each band."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from oddpair.errors import Refusal
from oddpair.retrieval.concept_names import ConceptNames
from oddpair.retrieval.corpus import fingerprint
from oddpair.splits.built import Built, Check, Histogram, Listing, Panel
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CardRow, Manifest
from oddpair.splits.pmi.bands import (
    TAILS,
    UNMATCHED,
    UNSEEN,
    Bands,
    BoolArray,
    PairPmi,
    Variant,
    band_pairs,
    eligible_pairs,
    largest_difference,
    mean_log_counts,
    name_band,
    plain_bands,
    to_table,
)
from oddpair.splits.pmi.counts import need_countable, open_counts
from oddpair.splits.pmi.gen_pairs import read_pairs
from oddpair.splits.pmi.splits import split_by_band
from oddpair.splits.pmi.verify import verify_bands

BANDS_FILE = "bands.parquet"
_BINS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PmiBandsRecipe:
    """Pairs in bands of PMI at equal single counts; ``pmi_bands.yaml``.

    Attributes:
        pmi: Variant of PMI.
        bands: Number of bands.
        tail: Share of the pairs in each tail.
        cell: Width of a cell of equal counts, in decades.
        minimum_count: Captions that must name each concept.
        minimum_expected: Captions expected to name both by chance.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("counts",)
    TAKES: ClassVar[tuple[str, ...]] = ("corpus", "tests", "vocabulary")

    pmi: Variant = "plain"
    bands: int = 5
    tail: float = 0.05
    cell: float = 0.25
    minimum_count: int = 10
    minimum_expected: float = 1.0

    def __post_init__(self) -> None:
        """Refuse numbers that make no bands."""
        if not 2 <= self.bands <= 100:
            raise Refusal(f"bands is {self.bands}: it must be 2 to 100")
        if not 0 < self.tail <= 0.5:
            raise Refusal(f"tail is {self.tail}: it must be above 0 and at most 0.5")
        if not 0.01 <= self.cell <= 10:
            raise Refusal(f"cell is {self.cell}: it must be 0.01 to 10 decades")
        if self.minimum_count < 1:
            raise Refusal(f"minimum_count is {self.minimum_count}: it must be 1 or more")
        if not 0 < self.minimum_expected < np.inf:
            raise Refusal(f"minimum_expected is {self.minimum_expected}: it must be a number above 0")


def build(recipe: PmiBandsRecipe, inputs: Inputs, work: Path) -> Built:
    """Put the pairs of a corpus into bands, and the pictures of the test sets beside them.

    Args:
        recipe: The recipe.
        inputs: Counts, and test sets whose pictures show pairs (see ``gen_pairs``); a corpus, if it is given, is that
            of the counts, in which ``verify`` will count again.
        work: Not used.

    Returns:
        ``bands.parquet`` with every pair, and a split for every band and tail that a test set shows.

    Raises:
        Refusal: If the counts cannot be used or are of another corpus, or no picture shows a pair in a band.
    """
    opened = open_counts(inputs)
    if inputs.corpus is not None:
        need_countable(opened)
        if opened.corpus != fingerprint(inputs.corpus.need_corpus()):
            raise Refusal(f"{opened.folder} counts another corpus: give its own, or count this one")
    pairs = eligible_pairs(
        opened.counts,
        variant=recipe.pmi,
        minimum_count=recipe.minimum_count,
        minimum_expected=recipe.minimum_expected,
    )
    found = band_pairs(pairs, bands=recipe.bands, tail=recipe.tail, cell=recipe.cell)
    balance = _compare(recipe, pairs, found)
    splits: list[Manifest] = []
    names = ConceptNames(opened.vocabulary)
    for name in sorted(inputs.tests):
        shown = read_pairs(inputs.tests[name].need_corpus(), names)
        made_here = split_by_band(name, shown, pairs, found, recipe, captions=opened.counts.n_captions)
        if not made_here:
            raise Refusal(
                f"test set '{name}': none of its {len(shown.pool):,} rows shows a pair that is in a band "
                f"({sum(shown.left_out.values()):,} show no pair of counted concepts): give pictures of the pairs in "
                f"{BANDS_FILE}, or lower minimum_count and minimum_expected in the recipe"
            )
        splits += [
            replace(split, provenance=inputs.identify(), card=(*split.card, *balance[_what(split.name)]))
            for split in made_here
        ]
    return Built(
        splits=tuple(splits),
        tables={BANDS_FILE: to_table(pairs, found, recipe.bands)},
        panels={"": [_list_groups(recipe, pairs, found), *_histogram(recipe, pairs, found)]},
    )


def verify(manifest: Manifest, recipe: PmiBandsRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Compute what a split of a band claims again, see ``verify_bands``."""
    return verify_bands(manifest, recipe, inputs, work)


def _groups(recipe: PmiBandsRecipe, found: Bands) -> dict[str, BoolArray]:
    numbers = [UNSEEN, *range(1, recipe.bands + 1), UNMATCHED]
    bands = {name_band(number, recipe.bands): found.band == number for number in numbers}
    tails = {tail: (found.tail == side) & (found.matched_with >= 0) for tail, side in TAILS.items()}
    return {**bands, **tails}


def _what(split: str) -> str:
    return "tails" if split.endswith(tuple(f"-{tail}" for tail in TAILS)) else "bands"


def _compare(recipe: PmiBandsRecipe, pairs: PairPmi, found: Bands) -> dict[str, tuple[CardRow, ...]]:
    """Compare bands, and tails, in their mean single counts, without matching and with it."""
    after = _groups(recipe, found)
    plain, ends = plain_bands(pairs, recipe.bands), plain_bands(pairs, max(round(1 / recipe.tail), 2))
    numbers = range(1, recipe.bands + 1)
    masks: dict[str, tuple[dict[str, BoolArray], dict[str, BoolArray]]] = {
        "bands": (
            {str(number): plain == number for number in numbers},
            {str(number): found.band == number for number in numbers},
        ),
        "tails": (
            {"bottom": ends == 1, "top": ends == ends.max(initial=1)},
            {tail: after[tail] for tail in TAILS},
        ),
    }
    return {
        what: tuple(
            (
                f"largest difference between {what} of all pairs in mean log10 single counts, decades, {when} matching",
                round(largest_difference(mean_log_counts(pairs, groups)), 4),
            )
            for when, groups in zip(("before", "after"), both, strict=True)
        )
        for what, both in masks.items()
    }


def _list_groups(recipe: PmiBandsRecipe, pairs: PairPmi, found: Bands) -> Listing:
    groups = _groups(recipe, found)
    means = mean_log_counts(pairs, groups)
    rows = [
        (
            label,
            int(groups[label].sum()),
            f"{pairs.pmi[groups[label]].min():.2f}",
            f"{pairs.pmi[groups[label]].max():.2f}",
            f"{low:.3f}",
            f"{high:.3f}",
        )
        for label, (low, high) in means.items()
    ]
    columns = ("band", "pairs", "lowest PMI", "highest PMI", "mean log10 count, rarer concept", "the other")
    return Listing(title="Pairs of the corpus by band", columns=columns, rows=rows)


def _histogram(recipe: PmiBandsRecipe, pairs: PairPmi, found: Bands) -> list[Panel]:
    seen = np.isfinite(pairs.pmi) & (pairs.count_pair > 0)
    if not seen.any():
        return []
    edges = np.histogram_bin_edges(pairs.pmi[seen], bins=_BINS).astype(np.float64)
    numbers = range(1, recipe.bands + 1)
    counts = {
        name_band(number, recipe.bands): np.histogram(pairs.pmi[found.band == number], bins=edges)[0]
        for number in numbers
    }
    unit = "" if recipe.pmi == "normalised" else ", nats"
    return [
        Histogram(title="PMI of the pairs", label=f"PMI ({recipe.pmi}){unit}", edges=edges, counts=counts)
    ]
