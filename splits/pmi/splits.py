"""The pictures of a test set by the PMI band of the pair that each shows, and what is claimed of every band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from oddpair import files
from oddpair.retrieval.counting.pmi import IntArray
from oddpair.splits.manifest import CardRow, Claim, Manifest
from oddpair.splits.pmi.bands import (
    TAILS,
    UNSEEN,
    Bands,
    BoolArray,
    PairPmi,
    largest_difference,
    match_tails,
    mean_log_counts,
    name_band,
)
from oddpair.splits.pmi.gen_pairs import ShownPairs

if TYPE_CHECKING:
    from oddpair.splits.recipes.pmi_bands import PmiBandsRecipe

DIGITS = 6
PAIRS, FREQUENT, PLACE, MATCHED, BALANCE, COUNTED = (
    "pairs",
    "frequent",
    "place",
    "matched",
    "balance",
    "counted",
)


def split_by_band(
    name: str, shown: ShownPairs, pairs: PairPmi, found: Bands, recipe: PmiBandsRecipe, *, captions: int
) -> list[Manifest]:
    """Split the pictures of a test set by the band, and by the tail, of the pair that each shows.

    In a tail stay pairs that can be matched one to one, in their cell, with a pair of the other tail that is shown too.

    Args:
        name: Of the test set; the splits are called ``NAME-unseen``, ``NAME-band-1-of-5``, ``NAME-bottom``, ...
        shown: What its pictures show.
        pairs: The pairs of the corpus.
        found: Their bands.
        recipe: By what they were put there.
        captions: Captions of the corpus.

    Returns:
        A split for each band and tail that a picture is in.
    """
    rows = find_shown(shown, pairs)
    is_shown = np.zeros(len(pairs), np.bool_)
    is_shown[rows[rows >= 0]] = True
    partner = match_tails(pairs, found.cell, np.where(is_shown, found.tail, 0).astype(np.int16))
    groups = {
        name_band(band, recipe.bands): is_shown & (found.band == band) for band in range(recipe.bands + 1)
    }
    matched = {tail: is_shown & (found.tail == side) & (partner >= 0) for tail, side in TAILS.items()}
    seen_bands = {label: mask for label, mask in groups.items() if label != name_band(UNSEEN, recipe.bands)}
    rules = (
        ("rows of the test set", len(rows)),
        ("that show two counted concepts", int((shown.first >= 0).sum())),
        (
            f"whose pair is expected in {recipe.minimum_expected:g} captions or more, of concepts that "
            f"{recipe.minimum_count:,} or more name",
            int((rows >= 0).sum()),
        ),
    )
    splits = []
    for label, mask in {**groups, **matched}.items():
        keep = (rows >= 0) & mask[rows]
        if not keep.any():
            continue
        last = [(f"whose pair is in the band {label}", int(keep.sum()))]
        if label in TAILS:
            in_tail = (rows >= 0) & (found.tail[rows] == TAILS[label])
            last = [
                (f"whose pair is in the {label} {recipe.tail:.3g} of its cell", int(in_tail.sum())),
                ("and is matched with a pair of the other tail that is shown", int(keep.sum())),
            ]
        splits.append(
            Manifest(
                name=f"{name}-{label}",
                recipe="pmi-bands",
                uids=shown.pool.keep(keep),
                of=name,
                rules=(*rules, *last),
                statement=_claim(label, int(keep.sum()), pairs, found, mask, recipe, captions),
                card=_describe(label, pairs, mask, matched if label in TAILS else seen_bands, shown),
            )
        )
    return splits


def find_shown(shown: ShownPairs, pairs: PairPmi) -> IntArray:
    """Return the row among the pairs of what each picture shows, -1 where it shows none of them."""
    rows = np.full(len(shown.first), -1, np.int64)
    some = shown.first >= 0
    rows[some] = pairs.find(shown.first[some], shown.second[some])
    return rows


def digest_counts(pairs: PairPmi, mask: BoolArray) -> str:
    """Return the SHA-256 over names and counts of some pairs, in their order."""
    columns = (pairs.count_a[mask], pairs.count_b[mask], pairs.count_pair[mask])
    ids = zip(pairs.a[mask].tolist(), pairs.b[mask].tolist(), strict=True)
    named = [[pairs.names[a], pairs.names[b]] for a, b in ids]
    counts = np.stack(columns, axis=1).tolist() if named else []
    return files.digest([[*both, *numbers] for both, numbers in zip(named, counts, strict=True)])


def say_place(label: str, recipe: PmiBandsRecipe) -> str:
    """Say where in the order of PMIs the pairs of a band or tail are."""
    same = f"seen pairs of the same single counts, within {recipe.cell:g} decades"
    if label == name_band(UNSEEN, recipe.bands):
        return "no caption names both concepts of a pair"
    if label in TAILS:
        low = "lowest" if label == "bottom" else "highest"
        return f"the {recipe.pmi} PMI of each pair is among the {low} {recipe.tail:.3g} of the {same}"
    number = band_number(label, recipe.bands)
    return f"the {recipe.pmi} PMI of each pair is in part {number} of {recipe.bands}, from low to high, of the {same}"


def band_number(label: str, bands: int) -> int:
    """Return the number of a band by its name, -1 if it is none.

    >>> band_number("band-2-of-5", 5), band_number("top", 5)
    (2, -1)
    """
    return next((number for number in range(bands + 1) if name_band(number, bands) == label), -1)


def count_in_cells(pairs: PairPmi, mask: BoolArray, width: float) -> dict[str, int]:
    """Return how many of some pairs are in each cell, by the lower edges of the cell in whole cells, such as ``4,12``."""
    squares = np.floor(pairs.log_counts()[mask] / width).astype(np.int64)
    found, numbers = np.unique(squares, axis=0, return_counts=True)
    return {
        f"{low},{high}": number for (low, high), number in zip(found.tolist(), numbers.tolist(), strict=True)
    }


def _claim(
    label: str,
    n_rows: int,
    pairs: PairPmi,
    found: Bands,
    mask: BoolArray,
    recipe: PmiBandsRecipe,
    captions: int,
) -> tuple[Claim, ...]:
    means = mean_log_counts(pairs, {label: mask})[label]
    values = pairs.pmi[mask]
    claims = [
        Claim(
            text=f"each row shows one of {int(mask.sum()):,} pairs of counted concepts",
            values={"of": PAIRS, "rows": n_rows, "pairs": int(mask.sum())},
        ),
        Claim(
            text=f"each pair is expected in {recipe.minimum_expected:g} captions or more by chance, of concepts that "
            f"{recipe.minimum_count:,} captions or more name",
            values={
                "of": FREQUENT,
                "least_expected": _round(pairs.expected[mask].min()),
                "least_count": int(min(pairs.count_a[mask].min(), pairs.count_b[mask].min())),
            },
        ),
        Claim(
            text=say_place(label, recipe),
            values={
                "of": PLACE,
                "label": label,
                "lowest": _round(values.min()) if np.isfinite(values.min()) else None,
                "highest": _round(values.max()) if np.isfinite(values.max()) else None,
            },
        ),
        Claim(
            text=f"the mean log10 of its pairs' single counts is {means[0]:.3f} for the rarer concept and "
            f"{means[1]:.3f} for the other",
            values={"of": BALANCE, "means": [_round(mean) for mean in means]},
        ),
        Claim(
            text=f"its pairs and their concepts are counted in {captions:,} captions",
            values={"of": COUNTED, "captions": captions, "counts_sha256": digest_counts(pairs, mask)},
        ),
    ]
    if label in TAILS:
        cells = count_in_cells(pairs, mask, recipe.cell)
        other = next(tail for tail in TAILS if tail != label)
        claims.insert(
            3,
            Claim(
                text="the other tail has as many pairs of the same single counts, cell for cell",
                values={"of": MATCHED, "other": other, "pairs_in_cell": cells},
            ),
        )
    return tuple(claims)


def _describe(
    label: str, pairs: PairPmi, mask: BoolArray, beside: Mapping[str, BoolArray], shown: ShownPairs
) -> tuple[CardRow, ...]:
    values = pairs.pmi[mask]
    what = "tails" if label in TAILS else "bands"
    return (
        ("pairs", int(mask.sum())),
        ("PMI of its pairs", f"{values.min():.3f} to {values.max():.3f}"),
        ("captions that name both, all pairs", int(pairs.count_pair[mask].sum())),
        (
            f"largest difference between the {what} shown here in mean log10 single counts, decades",
            round(largest_difference(mean_log_counts(pairs, beside)), 4),
        ),
        *[(f"rows left out: {reason}", rows) for reason, rows in shown.left_out.items()],
        ("rows set aside as damaged", shown.quarantined),
    )


def _round(value: float) -> float:
    # The last digits of a logarithm differ between machines.
    return round(float(value), DIGITS)
