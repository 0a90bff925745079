"""What the numbers of a run say, in sentences that claim no more than the intervals support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oddpair.demo.concept_tables import sorted_styles
from oddpair.demo.numbers import IMPOSSIBLE, show_estimate, show_share, side_of
from oddpair.demo.pair_tables import KINDS
from oddpair.demo.tabulate import Results
from oddpair.eval.predictor import COUNT, COUNTS, COUNTS_AND_PMI, MEAN
from oddpair.splits.manifest import Manifest

_VERDICTS = {
    "above": "unseen pairs are easier",
    "below": "unseen pairs are harder",
    "neither": "no difference can be told",
}


def say_styles(results: Results) -> str:
    """Say in which styles the style-strict model falls behind its control, or gets ahead of it."""
    found: dict[str, list[str]] = {"below": [], "above": [], "neither": [], "none": []}
    for style, entry in sorted_styles(results):
        ratio = entry["ratio"]
        if ratio is None:
            found["none"].append(style)
        else:
            found[side_of(ratio, 1.0, 2)].append(f"{style} ({show_estimate(ratio, 2)})")
    sentences = {
        "below": "Trained on natural rows alone, as far as they can be sorted, the model is worse than its control on {}.",
        "above": "It is better than its control on {}.",
        "neither": "No difference can be told on {}.",
        "none": "On {} the control has no hit, so there is no ratio.",
    }
    said = [sentence.format(join_words(found[side])) for side, sentence in sentences.items() if found[side]]
    return " ".join([*said, "Numbers are strict over control, with 95 % intervals over concepts."])


def say_search(planted: Mapping[str, Any], split: Manifest) -> str:
    """Say how many rows left the natural split, and how much of another style remains in it.

    Args:
        planted: What the check against the world's record found.
        split: The natural split.
    """
    found = planted["style"]["natural"]
    nearest = next(claim.values for claim in split.statement if claim.values["claim"] == "nearest")
    return (
        f"The search took {found['left_by_search']:,} rows out of the natural split: their similarity to a test "
        f"picture of another style is above {nearest['threshold']:.3f}, the "
        f"{100 * nearest['quantile']:g} % quantile of rows that are natural by hand label. By the world's own "
        f"record {found['left_and_wrong']:,} of them are of another style, whose share was "
        f"{show_share(found['wrong_before_search'], 2)} before and is "
        f"{show_share(found['wrong_after_search'], 2)} after."
    )


def say_concepts(results: Results) -> str:
    """Say whether accuracy goes with log count, and whether it could be predicted for new concepts."""
    concepts = results["concepts"]
    raw = concepts["trend"]["raw"]
    if raw is None:
        return "Accuracy or count is the same for every concept, so nothing can be said about their relation."
    relation = {
        "above": "Accuracy rises with log count",
        "below": "Accuracy falls with log count",
        "neither": "No relation of accuracy and log count can be told",
    }[side_of(raw, 0.0, 2)]
    found = concepts["cross_validation"]
    said = f"{relation}: r = {show_estimate(raw, 2)} over {raw['n']:,} concepts."
    if IMPOSSIBLE in found:
        return f"{said} Prediction was {show_estimate(found)}."
    count = _score(found["scores"], COUNT)
    gain = count["r2_gain"][MEAN]
    return (
        said
        + {
            "above": f" For concepts that the fit has not met, log count alone explains R² = {show_estimate(count['r2'], 2)} "
            "of the differences in accuracy.",
            "below": " For concepts that the fit has not met, log count predicts worse than the mean does.",
            "neither": " For concepts that the fit has not met, no gain of log count over the mean can be told "
            f"(R² gained {show_estimate(gain, 2)}).",
        }[side_of(gain, 0.0, 2)]
    )


def say_transfer(results: Results) -> str:
    """Say how well single counts predict unseen pairs, by a fit on seen pairs only."""
    found = results["pairs"]["transfer"]["all"]
    if IMPOSSIBLE in found:
        return f"Whether single counts predict unseen pairs is {show_estimate(found)}."
    bias = found["bias"]
    verdict = {
        "above": "too high: unseen pairs are harder than their counts say",
        "below": "too low: unseen pairs are easier than their counts say",
        "neither": "which cannot be told from no bias",
    }[side_of(bias, 0.0, 1)]
    return (
        f"A fit on seen pairs, from single counts alone, predicts {100 * found['predicted']:.1f} % on "
        f"{found['n_pairs']:,} unseen pairs; true are {100 * found['observed']:.1f} %. The bias is "
        f"{show_estimate(bias, 1)} points, {verdict}."
    )


def say_penalty(results: Results) -> str:
    """Say what being unseen costs once concepts or counts are controlled."""
    said = []
    for part, field, what in (
        ("penalty", "points", "With the effects of both concepts taken out"),
        ("matched", "difference", "Matched on both counts"),
    ):
        found = results["pairs"][part]["all"]
        if IMPOSSIBLE in found:
            said.append(f"{what}, the cost of being unseen is {show_estimate(found)}.")
        else:
            said.append(
                f"{what}, {_VERDICTS[side_of(found[field], 0.0, 1)]} ({show_estimate(found[field], 1)} points)."
            )
    return " ".join(said)


def say_kinds(results: Results) -> str:
    """Say whether held-out and rare pairs, each by itself, are harder than seen ones."""
    said = []
    for kind in ("held-out", "rare"):
        found = results["pairs"]["penalty"][kind]
        if IMPOSSIBLE in found:
            said.append(f"{KINDS[kind]}: {show_estimate(found)}")
        else:
            points = found["points"]
            said.append(
                f"{KINDS[kind]}: {_VERDICTS[side_of(points, 0.0, 1)]} ({show_estimate(points, 1)} points)"
            )
    return f"Each kind by itself, with both concepts taken out: {'; '.join(said)}."


def say_pmi(results: Results) -> str:
    """Say whether pairs that go together more often than chance are easier, with counts controlled."""
    found = results["pairs"]["pmi"]
    if IMPOSSIBLE in found:
        return f"The effect of PMI is {show_estimate(found)}."
    said = []
    for name, what in (("r_given_counts", "both log counts"), ("r_given_concepts", "both concepts")):
        verdict = {
            "above": f"Given {what}, associated pairs are easier",
            "below": f"Given {what}, associated pairs are harder",
            "neither": f"Given {what}, no effect can be told",
        }[side_of(found[name], 0.0, 2)]
        said.append(f"{verdict} (partial r = {show_estimate(found[name], 2)}).")
    scores = results["pairs"]["cross_validation"]
    if IMPOSSIBLE not in scores:
        gain = _score(scores["scores"], COUNTS_AND_PMI)["r2_gain"][COUNTS]
        verdict = {
            "above": "PMI adds to both log counts",
            "below": "PMI takes away from both log counts",
            "neither": "no gain of PMI over both log counts can be told",
        }[side_of(gain, 0.0, 3)]
        said.append(f"For concepts that the fit has not met, {verdict} (R² gained {show_estimate(gain, 3)}).")
    return " ".join(said)


def say_planted(results: Results) -> str:
    """Say whether the suite found what the world planted, and what it did not."""
    planted = results["planted"]
    pairs, counts = planted["pairs"], planted["counts"]
    lost = pairs["held_out_tested"] - pairs["held_out_found_unseen"]
    wrong = pairs["found_unseen_but_shown_or_named"]
    differences = counts["count_text_differences"] + counts["count_image_differences"]
    precisions = [
        f"{show_share(found['precision'])} for {style}" for style, found in planted["style"].items()
    ]
    return " ".join(
        (
            "No held-out pair was tested."
            if not pairs["held_out_tested"]
            else f"All {pairs['held_out_tested']:,} tested held-out pairs were found unseen."
            if not lost
            else f"{lost:,} of {pairs['held_out_tested']:,} tested held-out pairs were not found unseen.",
            f"None of the {pairs['found_unseen']:,} pairs called unseen is named in a caption or shown in a picture."
            if not wrong
            else f"{wrong:,} of {pairs['found_unseen']:,} pairs called unseen are named or shown: that is an error.",
            f"The tags here are the world's own record, so they miss no picture. Of {pairs['silent_but_shown']:,} tested "
            "pairs that a picture shows and no caption names, the pictures nearest to the test pictures, with their "
            f"tags, show {pairs['silent_but_shown_found_by_search']:,}: the others would be missed where only what the "
            "search finds can be tagged.",
            "Every count equals the world's record."
            if not differences
            else f"Counts differ from the world's record by {differences:,}: that is an error.",
            f"On rows without a label the style classifier's precision is {join_words(precisions)}; the target is "
            f"{results['plan']['precision']:.0%}.",
        )
    )


def join_words(words: Sequence[str]) -> str:
    """Join with commas and a last "and".

    >>> join_words(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _score(scores: Sequence[Mapping[str, Any]], model: str) -> Mapping[str, Any]:
    return next(score for score in scores if score["model"] == model)
