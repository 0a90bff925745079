"""What an audit comes to: one judgement for each way of being in-distribution, and a paragraph that can be cited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from oddpair.eval.auditing.found import (
    Accuracy,
    Concepts,
    Duplicates,
    Judgement,
    Nearness,
    Pairs,
    Removal,
    Share,
    Styles,
)
from oddpair.eval.intervals import Estimate

Answer = Literal["out", "in", "open"]

# A corpus is free of a style if less than this share of it, at its upper bound, is of the style.
STRICT = 0.01


def judge(
    *,
    nearness: Nearness,
    duplicates: Duplicates,
    styles: Styles | None,
    concepts: Concepts | None,
    pairs: Pairs | None,
    left_out: Mapping[str, str],
) -> tuple[Judgement, ...]:
    """Judge each way of being out-of-distribution by itself: no number weighs one against another.

    * **copies**: out if no duplicate of a test image was found, in if one was, open if nothing was compared that could tell.
    * **style**: out if at most 1 % of the corpus is of the test's style (95 %, one-sided), in if the interval lies
      above that, else open.
    * **similarity**: out if no corpus row is nearer to a test image than the reference set is, else in. What is near in
      itself, no model's similarities tell.
    * **concepts**: out if no concept of the test set is named by a caption, in if every one is, else open.
    * **pairs**: out if no sample's objects are seen together, in if all are, else open; of the samples of two objects or
      more whose objects the corpus has often enough.

    Args:
        nearness: How near.
        duplicates: What the corpus holds of the test.
        styles: Styles, if audited.
        concepts: Concepts, if audited.
        pairs: Object pairs, if audited.
        left_out: Why a part was not audited.
    """
    return (
        _judge_copies(duplicates),
        _not_audited("style", left_out.get("styles", "")) if styles is None else _judge_style(styles),
        _judge_similarity(nearness),
        _not_audited("concepts", left_out.get("concepts", ""))
        if concepts is None
        else _judge_concepts(concepts),
        _not_audited("pairs", left_out.get("pairs", "")) if pairs is None else _judge_pairs(pairs),
    )


def write_verdict(
    test: str,
    tests: int,
    corpus: str,
    rows: int,
    judgements: Sequence[Judgement],
    accuracy: Accuracy | None,
    removals: Sequence[Removal],
) -> str:
    """Write the paragraph: what was compared, each judgement's sentence, what is foretold, and what would have to go.

    Args:
        test: Name of the test set.
        tests: Its images.
        corpus: Name of the corpus.
        rows: Its rows.
        judgements: As ``judge`` gives them.
        accuracy: Predicted accuracy, if audited.
        removals: What would have to go.
    """
    told = [f"{test} ({tests:,} images) against {corpus} ({rows:,} rows): {_sum_up(judgements)}."]
    told += [judgement.text for judgement in judgements if judgement.answer != "not audited"]
    told += _tell_accuracy(accuracy)
    told += [
        f"To be {_AIMS[removal.name]}, {removal.gone:,} of {removal.rows:,} rows would have to go."
        for removal in removals
    ]
    return " ".join(told)


_AIMS = {
    "style-strict": "out of distribution in style",
    "gap-pruned": "no nearer than the reference set",
    "pair-unseen": "new in every combination of objects",
}
_SHORT = {
    "copies": "copies",
    "style": "style",
    "similarity": "similarity",
    "concepts": "concepts",
    "pairs": "object pairs",
}


def _sum_up(judgements: Sequence[Judgement]) -> str:
    words = {
        "out": "out of distribution by {}",
        "in": "in distribution by {}",
        "open": "undecided by {}",
        "not audited": "not audited by {}",
    }
    told = []
    for answer, text in words.items():
        aspects = [_SHORT[judgement.aspect] for judgement in judgements if judgement.answer == answer]
        if aspects:
            told.append(text.format(_join(aspects)))
    return "; ".join(told)


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def tell_share(share: Share) -> str:
    """Tell a share with its interval and its n, in per cent.

    >>> tell_share(Share(part=1, n=8, low=0.0032, high=0.5265))
    '12.5 % [0.3, 52.6] (1 of 8)'
    """
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}] ({share.part:,} of {share.n:,})"


def _not_audited(aspect: str, why: str) -> Judgement:
    return Judgement(aspect=aspect, answer="not audited", text=why)


def _judge_copies(found: Duplicates) -> Judgement:
    unseen = f" Of {found.unseen:,} near pairs no picture was at hand." if found.unseen else ""
    if not found.found.part and not found.compared and found.similarity is None:
        text = (
            "Nothing was compared that tells copies: no pictures were at hand, and no similarity was given."
        )
        return Judgement(aspect="copies", answer="open", text=text)
    if not found.found.part:
        text = f"No duplicate of a test image was found in the corpus: {tell_share(found.found)}.{unseen}"
        return Judgement(aspect="copies", answer="out", text=text)
    kinds = f"{found.same_bytes.part:,} the same file, {found.same_look.part:,} of the same look"
    if found.similarity is not None:
        kinds += f", {found.near.part:,} nearer than {found.similarity:g}"
    text = f"The corpus holds duplicates of {tell_share(found.found)} test images: {kinds}.{unseen}"
    return Judgement(aspect="copies", answer="in", text=text)


def _judge_style(found: Styles) -> Judgement:
    answer: Answer = "out" if found.at_most <= STRICT else "in" if found.corpus.low > STRICT else "open"
    text = (
        f"Of the corpus {tell_share(found.corpus)} labelled rows are of the test's style, {found.style}: at most "
        f"{100 * found.at_most:.1f} %."
    )
    return Judgement(aspect="style", answer=answer, text=text)


def _judge_similarity(found: Nearness) -> Judgement:
    median = f"The median test image has similarity {found.corpus.median.value:.3f} to its nearest corpus row"
    gap = found.gap
    if gap is None:
        return Judgement(
            aspect="similarity",
            answer="open",
            text=f"{median}; without a reference set nothing says whether that is near.",
        )
    return Judgement(
        aspect="similarity",
        answer="in" if gap.rows else "out",
        text=(
            f"{median}, {gap.reference.median.value:.3f} to {gap.reference.name}; {tell_share(gap.nearer)} test images are "
            f"nearer to the corpus, of which {gap.rows:,} rows are nearer to one than all of {gap.reference.name}."
        ),
    )


def _judge_concepts(found: Concepts) -> Judgement:
    missing = found.missing
    answer: Answer = "in" if not missing.part else "out" if missing.part == missing.n else "open"
    text = (
        f"Of {missing.n:,} concepts of the test {missing.part:,} are in no caption and {found.tail.part:,} in fewer than "
        f"{found.tail_below:,}, which concerns {tell_share(found.images_missing)} and {tell_share(found.images_tail)} images"
    )
    text += f"; in {found.unknown:,} more none was found." if found.unknown else "."
    return Judgement(aspect="concepts", answer=answer, text=text)


def _judge_pairs(found: Pairs) -> Judgement:
    known = found.samples_seen.part + found.samples_unseen_in_captions.part + found.samples_unseen.part
    seen = known - found.samples_unseen.part
    answer: Answer = "open" if not known else "out" if not seen else "in" if seen == known else "open"
    text = (
        f"Of {found.seen.n:,} object pairs {found.seen.part:,} are seen together, {found.unseen_in_captions.part:,} in "
        f"pictures alone, {found.unseen.part:,} never, and of {found.unsupported.part:,} an object is too rare to tell; "
        f"unseen are {tell_share(found.samples_unseen)} samples."
    )
    return Judgement(aspect="pairs", answer=answer, text=text)


def _tell_accuracy(found: Accuracy | None) -> Iterator[str]:
    if found is None:
        return
    text = f"Counts foretell an accuracy of {_tell_percent(found.all)} % for {found.model}"
    if found.explained is not None:
        text += f", of which in-domain rows account for {_tell_percent(found.explained)} points"
    yield f"{text}."


def _tell_percent(found: Estimate) -> str:
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
