"""Tables of a run about pairs: seen and unseen, together in the corpus or not, and PMI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from oddpair.benchmarks.miniature.concepts import CONCEPTS
from oddpair.demo.numbers import IMPOSSIBLE, show_estimate, show_number
from oddpair.demo.tabulate import NONE, Results, Table, impossible_table
from oddpair.eval.scoring.pairs import chance
from oddpair.splits.pairs.unseen_pairs import PairTable

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = {"seen": "seen", "held-out": "held out by design", "rare": "unseen by rarity"}
UNSEEN_KINDS = {"all": "all unseen", **{kind: KINDS[kind] for kind in ("held-out", "rare")}}


def pair_accuracy_table(results: Results) -> Table:
    """Show accuracy on seen, held-out and rare pairs, before anything is controlled."""
    accuracy = results["pairs"]["accuracy"]
    return Table(
        title="Accuracy on pairs",
        caption=(
            'Picture of A and B, texts "a photo of X and B" for every X: a hit if X = A. Both orders of every '
            "pair. Nothing is controlled here: the kinds differ in how often their concepts occur. Chance is "
            f"{100 * chance(len(CONCEPTS)):.1f} %."
        ),
        columns=("pairs", "accuracy", "gap to seen, points", "n questions"),
        rows=tuple(
            (
                name,
                show_estimate(accuracy[kind]),
                NONE if kind == "seen" else _raw_gap(accuracy, kind),
                f"{accuracy[kind]['n']:,}",
            )
            for kind, name in KINDS.items()
            if kind in accuracy
        ),
    )


def cooccurrence_table(rows: pa.Table, pairs: PairTable) -> Table:
    """Show how often the corpus shows the tested pairs together, in captions and in pictures apart.

    Args:
        rows: The scored ordered pairs, with ``target``, ``partner`` and ``kind``.
        pairs: The pair table of the whole corpus.
    """
    kind_of = {
        (min(row["target"], row["partner"]), max(row["target"], row["partner"])): row["kind"]
        for row in rows.select(["target", "partner", "kind"]).to_pylist()
    }
    counts: dict[str, tuple[list[int], list[int]]] = {kind: ([], []) for kind in KINDS}
    for a, b, text, image in zip(
        pairs.a.tolist(), pairs.b.tolist(), pairs.count_text.tolist(), pairs.count_image.tolist(), strict=True
    ):
        if (a, b) in kind_of:
            counts[kind_of[a, b]][0].append(text)
            counts[kind_of[a, b]][1].append(image)
    return Table(
        title="Together in the corpus",
        caption=(
            "Rows of the whole corpus that hold both concepts of a tested pair: captions by their words, pictures by "
            "their tags. A pair is called unseen only if both are 0 and the search finds no picture of it either."
        ),
        columns=("pairs", "n", "captions: median", "captions: most", "pictures: median", "pictures: most"),
        rows=tuple(
            (
                name,
                f"{len(counts[kind][0]):,}",
                *(cell for part in counts[kind] for cell in _median_and_most(part)),
            )
            for kind, name in KINDS.items()
            if counts[kind][0]
        ),
    )


def transfer_table(results: Results) -> Table:
    """Show unseen pairs as predicted by a fit on seen pairs."""
    transfer = results["pairs"]["transfer"]
    columns = (
        "pairs",
        "predicted",
        "true",
        "bias, points",
        "r over rows",
        "r over bins",
        "n pairs",
        "rows outside",
    )
    rows = []
    for kind, name in UNSEEN_KINDS.items():
        found = transfer[kind]
        if IMPOSSIBLE in found:
            rows.append((name, show_estimate(found), *[NONE] * (len(columns) - 2)))
            continue
        rows.append(
            (
                name,
                show_number(found["predicted"], 3),
                show_number(found["observed"], 3),
                show_estimate(found["bias"], 1),
                show_estimate(found["r"], 2, reason="no variation"),
                show_estimate(found["r_binned"], 2, reason="no variation"),
                f"{found['n_pairs']:,}",
                f"{found['n_outside']:,}",
            )
        )
    return Table(
        title="Unseen pairs predicted from single counts",
        caption=(
            "A fit on seen pairs from the counts of the two concepts alone predicts the unseen ones. Bias is "
            "predicted minus true, its interval over pairs. Rows outside have a count beyond those of the fit."
        ),
        columns=columns,
        rows=tuple(rows),
    )


def unseen_table(results: Results) -> Table:
    """Show what being unseen costs: raw, matched on counts, and with both concepts controlled."""
    pairs = results["pairs"]
    rows = []
    for kind, name in UNSEEN_KINDS.items():
        matched, penalty = pairs["matched"][kind], pairs["penalty"][kind]
        possible = IMPOSSIBLE not in matched
        rows.append(
            (
                name,
                show_estimate(matched["difference"] if possible else matched, 1),
                f"{matched['n_matched']:,} of {matched['n_matched'] + matched['n_unmatched']:,}"
                if possible
                else NONE,
                *(
                    (show_estimate(penalty),) + (NONE,) * 2
                    if IMPOSSIBLE in penalty
                    else (
                        show_estimate(penalty["points"], 1),
                        show_estimate(penalty["beta"]),
                        f"{penalty['n_unseen']:,} + {penalty['n_seen']:,}",
                    )
                ),
            )
        )
    return Table(
        title="What being unseen costs",
        caption=(
            "Matched: unseen minus seen rows that were paired one to one within 0.1 decade on both counts. "
            "Modelled: the mean change of P(hit) by β in logit P(hit) = target + partner + β · unseen, errors "
            "robust to pairs. Below 0, unseen pairs are harder."
        ),
        columns=(
            "pairs",
            "matched, points",
            "rows matched",
            "modelled, points",
            "β, logits",
            "rows unseen + seen",
        ),
        rows=tuple(rows),
    )


def pmi_table(results: Results) -> Table:
    """Show how accuracy on seen pairs goes with their PMI."""
    found = results["pairs"]["pmi"]
    columns = ("PMI of seen pairs and accuracy", "estimate", "n pairs")
    if IMPOSSIBLE in found:
        return impossible_table("PMI", columns, found)
    names = {
        "r": "r, nothing controlled",
        "r_given_counts": "partial r given both log counts",
        "r_given_concepts": "partial r given both concepts",
        "logit_given_counts": "logits per nat, given both log counts",
        "logit_given_concepts": "logits per nat, given both concepts",
    }
    return Table(
        title="PMI",
        caption=(
            "Pairs that the training captions name together, both orders pooled; "
            f"{found['n_excluded']:,} ordered rows expected less than once are left out."
        ),
        columns=columns,
        rows=tuple(
            (label, show_estimate(found[name]), f"{found[name]['n']:,}") for name, label in names.items()
        ),
    )


def quintile_table(results: Results) -> Table:
    """Show accuracy by fifths of PMI at equal counts."""
    found = results["pairs"]["pmi"]
    columns = ("fifth", "median PMI, nats", "accuracy", "n pairs")
    if IMPOSSIBLE in found:
        return impossible_table("Accuracy by fifth of PMI", columns, found)
    return Table(
        title="Accuracy by fifth of PMI",
        caption="Seen pairs from the least to the most associated, at the average of both log counts.",
        columns=columns,
        rows=tuple(
            (
                str(index),
                show_number(fifth["median_pmi"], 2),
                show_estimate(fifth["accuracy"]),
                f"{fifth['accuracy']['n']:,}",
            )
            for index, fifth in enumerate(found["quintiles"], start=1)
        ),
    )


def _median_and_most(numbers: Sequence[int]) -> tuple[str, str]:
    return f"{median(numbers):g}", f"{max(numbers):,}" if min(numbers) >= 0 else "not tagged"


def _raw_gap(accuracy: Mapping[str, Any], kind: str) -> str:
    return (
        show_number(100 * (accuracy[kind]["value"] - accuracy["seen"]["value"]), 1)
        if "seen" in accuracy
        else NONE
    )
