"""``oddpair count``: what a count is told to do, and what it says when it is done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oddpair import files, stages
from oddpair.cli_options import tell
from oddpair.commands.paths import need_files
from oddpair.commands.read import read_vocabulary
from oddpair.errors import Refusal
from oddpair.progress import say
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.counting.finding import Finding, Rules
from oddpair.retrieval.counting.jobs import QUARANTINE, Counted
from oddpair.retrieval.counting.mined import MinedWords
from oddpair.retrieval.mentions.matcher import Overlap
from oddpair.retrieval.samples import NO_CAPTION, REPEATED
from oddpair.retrieval.vocabulary_names import BUILT_IN
from oddpair.splits.recipes.unseen_pairs import UnseenPairsRecipe

_TOLD = 5


def choose_concepts(
    sources: Sequence[str], *, most: int | None, nouns: Path | None, stop_words: Path | None
) -> Vocabulary | MinedWords:
    """Read the vocabulary or, where none is given, say which words of the captions become concepts.

    Args:
        sources: Files and built-in lists; none at all mines the captions.
        most: Most words.
        nouns: File of the words to choose from.
        stop_words: File of the words to leave out.

    Raises:
        Refusal: If a vocabulary is given and an option to mine one too.
    """
    if not sources:
        return MinedWords(
            minimum=UnseenPairsRecipe().mined_words, most=most, nouns=nouns, stop_words=stop_words
        )
    for option, value in {"--mined": most, "--nouns": nouns}.items():
        if value is not None:
            raise Refusal(
                f"{option} is for concepts from the captions, --vocabulary gives them: leave one out"
            )
    need_files(*(Path(source) for source in sources if source not in (*BUILT_IN, "per-shard")))
    return read_vocabulary(*sources)


def choose_rules(
    rules: Rules, overlap: Overlap, *, lemmas: Path | None, stop_words: Path | None, mined: bool
) -> Finding:
    """Say by which rules concepts are found.

    Args:
        rules: The rules.
        overlap: What counts where forms overlap.
        lemmas: File of lemmas.
        stop_words: File of stop words, of the rules or for the choice of concepts.
        mined: Whether concepts are chosen from the captions.

    Raises:
        Refusal: If an option has no meaning with these rules.
    """
    if rules != "mentions":
        if overlap != "all":
            raise Refusal(f"--overlap {overlap} belongs to --rules mentions: leave one of them out")
        return Finding(rules=rules, lemmas=lemmas, stop_words=stop_words)
    if lemmas is not None or (stop_words is not None and not mined):
        option = "--stop-words" if lemmas is None else "--lemmas"
        raise Refusal(
            f"{option} is not used by --rules mentions: add --rules unigrams or words, or leave it out"
        )
    return Finding(overlap=overlap)


def forget_page(page: Path) -> None:
    """Remove the page of a count that has to go on: it is no part of the counts, which take all that they find."""
    if stages.made_from(page.parent) is None and _was_counted(page.parent):
        page.unlink(missing_ok=True)


def tell_left_out(corpus: Corpus, out: Path, counted: Counted) -> None:
    """Say which rows of a corpus were not counted, and why."""
    seen, silent = len(corpus), counted.quarantined.get(NO_CAPTION, 0)
    if silent:
        say(f"{corpus.root}: {silent:,} of {seen:,} rows have no caption and are left out")
    if counted.damaged or counted.lost:
        with (out / QUARANTINE).open(encoding="utf-8") as lines:
            bad = next(
                line for line in map(json.loads, lines) if line["reason"] not in (NO_CAPTION, REPEATED)
            )
        say(
            f"{corpus.root}: {counted.damaged:,} of {seen:,} rows are damaged and left out, the first in "
            f"{bad['file']}: {bad['reason']}"
        )


def find_labels(counted: Counted) -> list[str]:
    """Say what is unusual in how counts were made, which whoever reads them has to know."""
    found, how = counted.counts, counted.counting
    labels = []
    if how["rules"] != "mentions":
        labels.append(f"concepts are found by the rules of {how['paper']}, {how['check']}")
    if how.get("overlap") == "longest":
        labels.append("of concepts that overlap the longest alone counts")
    if found.pair_concepts is not None:
        most = f"{found.pair_concepts:,}"
        labels.append(
            f"all pairs are counted among the {most} most frequent concepts, others only as asked for"
        )
    if counted.tagger is not None:
        too = "; it is to be evaluated too" if counted.tagger["same_encoder"] else ""
        labels.append(
            f"images are tagged by {counted.tagger['encoder']['name']}, which is a model's opinion{too}"
        )
    return labels


def tell_counts(counted: Counted, out: Path) -> None:
    """Print what was counted, in a few lines."""
    found = counted.counts
    named = int(np.count_nonzero(found.text))
    tell(
        f"{found.n_captions:,} captions name {named:,} of {len(found.names):,} concepts, {len(found.a):,} pairs: {out}"
    )
    order = np.argsort(-found.text, kind="stable")[: min(_TOLD, named)]
    if len(order):
        told = ", ".join(f"{found.names[number]} {found.text[number]:,}" for number in order.tolist())
        tell(f"    most often {told}")
    for line in find_labels(counted):
        tell(f"    {line}")


def as_json(counted: Counted, seen: int, out: Path) -> dict[str, Any]:
    """Return what was counted for a script; concepts are named as their user wrote them."""
    found = counted.counts
    text = found.text.tolist()
    return {
        "captions": found.n_captions,
        "concepts": len(found.names),
        "counting": counted.counting,
        "counts": {given: text[number] for given, number in counted.vocabulary.by_given().items()},
        "lost_files": counted.lost,
        "out": str(out),
        "pairs": len(found.a),
        "quarantined": counted.quarantined,
        "rows": counted.rows,
        "seen": seen,
        "tagger": counted.tagger,
    }


def _was_counted(out: Path) -> bool:
    inputs = out / "inputs.json"
    return inputs.is_file() and {"corpus", "vocabulary", "rules", "pairs"} <= set(files.read_json(inputs))
