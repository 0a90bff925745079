"""Samples of text, such as questions with their answers: the concepts in them and the mean PMI of all their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair.eval.composing.pmi_gap_rows import FloatArray, IntArray, PmiRows, gather_rows
from oddpair.eval.composing.pmi_texts_file import TextSamples
from oddpair.retrieval.counting.counts import Counts
from oddpair.retrieval.mentions.incidence import Mentions
from oddpair.retrieval.mentions.matcher import Finder
from oddpair.splits.pmi.bands import Variant, compute_pmi

# Finite at zero, so that one pair that is never seen does not decide the mean of all.
VARIANTS: tuple[Variant, ...] = ("smoothed", "published")
CONTROLS = ("mean log10 count", "least log10 count", "log10 of the number of concepts")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextPmi:
    """Concepts of texts, and how much the corpus holds of their pairs.

    Attributes:
        mentions: Which concepts each text names, boolean, shape ``(n_texts, n_concepts)``.
        sets: Number of the text's set of concepts: texts of one number name the same, shape ``(n_texts,)``.
        concepts: Concepts in each text, shape ``(n_texts,)``.
        pairs: Pairs of them that were counted, shape ``(n_texts,)``.
        uncounted: Pairs of them that were not, for both are rare or one is part of the other, shape ``(n_texts,)``.
        pmi: Mean PMI of the counted pairs by variant, in nats, each of shape ``(n_texts,)``; NaN where there is none.
        mean_log_count: Mean of log10(1 + captions that name it) over the concepts, shape ``(n_texts,)``; NaN for none.
        least_log_count: Least of these, shape ``(n_texts,)``.
    """

    mentions: Mentions
    sets: IntArray
    concepts: IntArray
    pairs: IntArray
    uncounted: IntArray
    pmi: dict[Variant, FloatArray]
    mean_log_count: FloatArray
    least_log_count: FloatArray

    @property
    def known(self) -> NDArray[np.bool_]:
        """Texts with a mean PMI, shape ``(n_texts,)``."""
        return self.pairs > 0


def find_concepts(parts: Sequence[Sequence[str]], finder: Finder) -> Mentions:
    """Find the concepts that texts name in any of their parts.

    Parts are read one by one, so that no concept spans the end of a question and the beginning of its answer.

    Args:
        parts: Columns of text, such as questions and answers, all of one length, at least one.
        finder: What finds concepts, the one that the corpus was counted with.

    Returns:
        Boolean, shape ``(n_texts, n_concepts)``, sorted indices.

    Raises:
        ValueError: If the columns differ in length, or there is none.

    >>> from oddpair.retrieval.concepts import build_vocabulary
    >>> from oddpair.retrieval.mentions.matcher import Matcher
    >>> finder = Matcher(build_vocabulary(["dog", "hot dog", "yes"]))
    >>> find_concepts([["Is it hot?", "A hot dog?"], ["dog", "yes"]], finder).toarray().astype(int)
    array([[1, 0, 0],
           [1, 1, 1]])
    """
    if len({len(column) for column in parts}) != 1:
        raise ValueError(f"columns of text have {[len(column) for column in parts]} rows")
    found = [finder.find(pa.array(column, pa.large_string())).to_csr() for column in parts]
    together = found[0]
    for more in found[1:]:
        together = together + more
    together.sort_indices()
    return together


def measure_texts(mentions: Mentions, counts: Counts) -> TextPmi:
    """Average the PMI of all unordered pairs of different concepts in each text.

    ``smoothed`` is this suite's PMI that is finite at zero and 0 for a concept that the corpus never names.
    ``published`` is that of the PMI paper's code, whose constants suit hundreds of millions of captions. Pairs that
    were not counted are left out of the mean.

    Args:
        mentions: Concepts of each text, shape ``(n_texts, n_concepts)``.
        counts: Of the corpus, with the same concepts.

    Returns:
        Concepts, pairs and means of each text.

    Raises:
        ValueError: If the concepts are not those of the counts.

    References:
        Qu and Xie, arXiv:2507.08000 (the mean over all pairs of a question and its answer).
    """
    if mentions.shape[1] != len(counts.names):
        raise ValueError(f"texts of {mentions.shape[1]} concepts, counts of {len(counts.names)}")
    held, sets = _number_sets(mentions)
    text, first, second = _pair_up(held)
    key = first * len(counts.names) + second
    unique, pair = np.unique(key, return_inverse=True)
    a, b = unique // len(counts.names), unique % len(counts.names)
    counted = counts.counted(a, b)
    a, b = a[counted], b[counted]
    values = np.full((len(VARIANTS), len(unique)), np.nan)
    together = counts.look_up(a, b).text
    for place, variant in enumerate(VARIANTS):
        values[place, counted] = compute_pmi(counts, a, b, together, variant)
    kept = counted[pair]
    n_pairs = np.bincount(text[kept], minlength=len(held))
    sums = [np.bincount(text[kept], weights=row[pair[kept]], minlength=len(held)) for row in values]
    logs = np.log10(1.0 + counts.text)
    of_sets = [logs[ids] if len(ids) else np.array([np.nan]) for ids in held]
    return TextPmi(
        mentions=mentions,
        sets=sets,
        concepts=np.array([len(ids) for ids in held], np.int64)[sets],
        pairs=n_pairs[sets],
        uncounted=np.bincount(text[~kept], minlength=len(held))[sets],
        pmi={
            variant: np.divide(total, n_pairs, out=np.full(len(held), np.nan), where=n_pairs > 0)[sets]
            for variant, total in zip(VARIANTS, sums, strict=True)
        },
        mean_log_count=np.array([float(each.mean()) for each in of_sets])[sets],
        least_log_count=np.array([float(each.min()) for each in of_sets])[sets],
    )


def rows_of_texts(samples: TextSamples, texts: TextPmi, model: str, variant: Variant) -> PmiRows | None:
    """Rows of one model, whose texts are made comparable by `CONTROLS`; ``None`` where none has a mean PMI.

    Args:
        samples: What models made of texts.
        texts: Concepts and PMI of the same texts.
        model: The model.
        variant: Which PMI.
    """
    rows = np.flatnonzero(texts.known & (samples.model == model))
    if not len(rows):
        return None
    size = np.log10(np.maximum(texts.concepts, 1))
    return gather_rows(
        samples.correct[rows],
        np.ones(len(rows)),
        texts.pmi[variant][rows],
        np.stack([texts.mean_log_count, texts.least_log_count, size], axis=1)[rows],
        names=CONTROLS,
        cluster=texts.sets[rows],
        group=samples.dataset[rows],
    )


def _number_sets(mentions: Mentions) -> tuple[list[IntArray], IntArray]:
    """Ids of each different set of concepts, and the set of each text; sets in the order of their ids."""
    rows = [
        tuple(mentions.indices[start:stop].tolist())
        for start, stop in zip(mentions.indptr[:-1], mentions.indptr[1:], strict=True)
    ]
    place = {ids: number for number, ids in enumerate(sorted(set(rows)))}
    return [np.array(ids, np.int64) for ids in place], np.array([place[ids] for ids in rows], np.int64)


def _pair_up(held: Sequence[IntArray]) -> tuple[IntArray, IntArray, IntArray]:
    """All pairs of all sets, one after the other: the set, the smaller id, the larger one."""
    text, first, second = ([np.zeros(0, np.int64)] for _ in range(3))
    for place, ids in enumerate(held):
        if len(ids) > 1:
            one, other = np.triu_indices(len(ids), 1)
            text.append(np.full(len(one), place, np.int64))
            first.append(ids[one])
            second.append(ids[other])
    return np.concatenate(text), np.concatenate(first), np.concatenate(second)
