"""Captions that read like a target's, drawn by importance weights of hashed n-grams (DSIR)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.built import Built, Check, Histogram
from oddpair.splits.curation.importance import Weighed, count_ngrams, kl_divergence, log_ratio, weigh_captions
from oddpair.splits.curation.pool_columns import place_split, read_pool
from oddpair.splits.curation.selection import (
    FloatArray,
    check_size,
    draw_by_uid,
    find_rows,
    find_size,
    need_claims,
    take_lowest,
)
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CardRow, Claim, Manifest, as_uids
from oddpair.splits.pool import pool_of_uids

_GUMBEL = 5
_BINS = 40
# What logarithms of two machines may differ by, in the sum over a caption.
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceRecipe:
    """Captions that read like a target's; ``importance.yaml``.

    Attributes:
        share: Of the rows of the corpus that is kept.
        size: Rows to keep instead.
        draw: ``resample``, at random by weight, or ``top``, the highest weights.
        buckets: Of the hashed n-grams.
        minimum_words: Words that a caption must have.
        seed: Of the draw.

    References:
        Xie et al., "Data Selection for Language Models via Importance Resampling", arXiv:2302.03169.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus",)
    TAKES: ClassVar[tuple[str, ...]] = ("tests", "pools")

    share: float = 0.1
    size: int | None = None
    draw: Literal["resample", "top"] = "resample"
    buckets: int = 10_000
    minimum_words: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that no split can have."""
        check_size(self.size, self.share)
        for name, least in (("buckets", 1), ("minimum_words", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise Refusal(f"{name} is {getattr(self, name)}: it must be {least} or more")


def build(recipe: ImportanceRecipe, inputs: Inputs, work: Path) -> Built:
    """Draw captions by their importance weights."""
    found = _weigh(recipe, inputs, work)
    weighed, n = found.weighed, len(found.weighed.pool)
    size = find_size(recipe.size, recipe.share, n)
    eligible = weighed.words >= recipe.minimum_words
    if eligible.sum() < size:
        raise Refusal(
            f"{size:,} rows are wanted, and {int(eligible.sum()):,} of {n:,} captions have {recipe.minimum_words} words or "
            "more: change share, size or minimum_words"
        )
    value = _value(recipe, weighed)
    kept = take_lowest(np.where(eligible, -value, np.inf), size)
    manifest = Manifest(
        name="importance",
        recipe="importance",
        uids=weighed.pool.keep(kept),
        provenance=inputs.identify(),
        rules=(
            ("rows of the corpus", n),
            (f"rows with captions of {recipe.minimum_words} words or more", int(eligible.sum())),
            ("rows kept", size),
        ),
        statement=(
            _claim_lowest(recipe, round(float(value[kept].min()), 9)),
            _claim_words(recipe),
            _claim_nearer(found, _count_split(weighed.pool.keep(kept), recipe, inputs, work)),
        ),
        card=_card(found, kept),
    )
    edges = np.linspace(float(weighed.weight.min()), float(weighed.weight.max()) + 1e-9, _BINS + 1)
    counts = {
        name: np.histogram(weights, edges)[0].astype(np.int64)
        for name, weights in (("corpus", weighed.weight), ("split", weighed.weight[kept]))
    }
    shown = Histogram(title="Importance weights", label="log weight, nats", edges=edges, counts=counts)
    return Built(splits=(manifest,), panels={manifest.name: [shown]})


def verify(manifest: Manifest, recipe: ImportanceRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Weigh the captions again, and count those of the split again."""
    found = _weigh(recipe, inputs, work)
    kept, members = find_rows(manifest, found.weighed.pool)
    lowest, words, nearer = need_claims(manifest, "lowest", "minimum_words", "kl_split")
    value = _value(recipe, found.weighed)
    enough = found.weighed.words >= recipe.minimum_words
    limit = lowest.values["lowest"]
    below = int((value[kept] < limit - _TOLERANCE).sum())
    above = int((value[~kept & enough] > limit + _TOLERANCE).sum())
    tied = kept[enough & (value == value[kept].min(initial=np.inf))]
    late = int(np.count_nonzero(tied[tied.sum() :]))
    short = int((~enough[kept]).sum())
    again = _claim_nearer(found, _count_split(manifest.uids, recipe, inputs, work))
    same = all(abs(again.values[name] - nearer.values[name]) <= _TOLERANCE for name in again.values)
    return [
        members,
        Check(
            text=lowest.text,
            holds=not below and not above and not late,
            found=f"{below:,} rows of the split have less, {above:,} others more, {late:,} as much as one before them",
        ),
        Check(text=words.text, holds=not short, found=f"{short:,} rows have fewer"),
        Check(text=nearer.text, holds=same, found=f"found: {again.text}"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """N-grams of the target and of the corpus, and the captions of the corpus, weighed by them."""

    target: IntArray
    raw: IntArray
    weighed: Weighed


def _weigh(recipe: ImportanceRecipe, inputs: Inputs, work: Path) -> _Found:
    corpus = _need_captions(inputs.need_corpus().need_corpus())
    if not inputs.tests and not inputs.pools:
        raise Refusal("a recipe of kind importance needs a target: give --tests with captions, or --pool")
    target = np.zeros(recipe.buckets, np.int64)
    for name in sorted(inputs.tests):
        tests = _need_captions(inputs.tests[name].need_corpus())
        target += count_ngrams(tests, work / f"target-{name}", buckets=recipe.buckets, workers=inputs.workers)
    if inputs.pools:
        pool = read_pool(inputs.need_corpus())
        for name in sorted(inputs.pools):
            place_split(name, inputs.pools[name], pool)
        listed = pa.chunked_array([inputs.pools[name].uids for name in sorted(inputs.pools)])
        only = pool_of_uids(listed).uids
        target += count_ngrams(
            corpus, work / "target", buckets=recipe.buckets, only=only, workers=inputs.workers
        )
    if not target.any():
        raise Refusal(
            "the captions of the target hold no word: give test sets with captions, or rows of this corpus"
        )
    raw = count_ngrams(corpus, work / "ngrams", buckets=recipe.buckets, workers=inputs.workers)
    if not raw.any():
        raise Refusal(f"the captions of {corpus.root} hold no word: give a corpus with captions")
    weighed = weigh_captions(corpus, log_ratio(target, raw), work / "weights", workers=inputs.workers)
    return _Found(target=target, raw=raw, weighed=weighed)


def _need_captions(corpus: Corpus) -> Corpus:
    if not corpus.captioned:
        raise Refusal(
            f"{corpus.root} has no captions, and they are what is compared: give a set with captions"
        )
    return corpus


def _count_split(uids: pa.Array, recipe: ImportanceRecipe, inputs: Inputs, work: Path) -> IntArray:
    corpus = inputs.need_corpus().need_corpus()
    folder = work / "split-ngrams"
    return count_ngrams(corpus, folder, buckets=recipe.buckets, only=as_uids(uids), workers=inputs.workers)


def _value(recipe: ImportanceRecipe, weighed: Weighed) -> FloatArray:
    """Return what the rows with the highest are kept of: the weight or, to draw by it, the weight plus Gumbel noise."""
    if recipe.draw == "top":
        return weighed.weight
    return weighed.weight - np.log(-np.log(draw_by_uid(weighed.pool.uids, recipe.seed, _GUMBEL)))


def _claim_lowest(recipe: ImportanceRecipe, lowest: float) -> Claim:
    what = "log weight" if recipe.draw == "top" else "log weight plus Gumbel noise of seed and uid"
    text = (
        f"every row has a {what} of {lowest:.6g} or more, and every other caption of enough words less, or as much "
        "with a later uid"
    )
    return Claim(text=text, values={"lowest": lowest})


def _claim_words(recipe: ImportanceRecipe) -> Claim:
    text = f"every caption has {recipe.minimum_words} words or more"
    return Claim(text=text, values={"minimum_words": recipe.minimum_words})


def _claim_nearer(found: _Found, split: IntArray) -> Claim:
    before = round(kl_divergence(found.target, found.raw), 6)
    after = round(kl_divergence(found.target, split), 6) if split.any() else before
    text = (
        f"the n-grams of the target diverge from those of the split by {after:.4f} nats (KL), from those of the corpus by "
        f"{before:.4f}"
    )
    return Claim(text=text, values={"kl_corpus": before, "kl_split": after})


def _card(found: _Found, kept: NDArray[np.bool_]) -> tuple[CardRow, ...]:
    weight = found.weighed.weight
    rows: list[CardRow] = [
        ("n-grams of the target", int(found.target.sum())),
        ("n-grams of the corpus", int(found.raw.sum())),
        ("mean log weight, corpus", round(float(weight.mean()), 6)),
        ("mean log weight, split", round(float(weight[kept].mean()), 6)),
        ("mean words of a caption, corpus", round(float(found.weighed.words.mean()), 6)),
        ("mean words of a caption, split", round(float(found.weighed.words[kept].mean()), 6)),
    ]
    return (*rows, ("rows that could not be read", found.weighed.bad)) if found.weighed.bad else tuple(rows)
