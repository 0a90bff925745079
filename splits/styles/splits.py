"""From hand labels, embeddings and test sets to style-strict splits: what a recipe does, step by step."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oddpair.errors import Refusal
from oddpair.retrieval.stored import StoredRows, read_uids
from oddpair.retrieval.unit_rows import IntArray
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.pool import Pool, pool_of_stored
from oddpair.splits.styles.centroid import fit_centroids
from oddpair.splits.styles.deployment import Shares, count_classes, estimate_shares, give_shares
from oddpair.splits.styles.features import StyleFeatures, open_features, open_textures
from oddpair.splits.styles.knn import fit_neighbours
from oddpair.splits.styles.labels import (
    StyleLabels,
    draw_labels,
    labels_of_column,
    labels_of_file,
    read_texts,
)
from oddpair.splits.styles.probe import fit_probe
from oddpair.splits.styles.sampling import find_sample, hold_out
from oddpair.splits.styles.scorer import CLASSES, CODE, OTHER, PROBED, UNLABELLED, Codes
from oddpair.splits.styles.search import Nearness, StyleTest, find_nearest, store_rows
from oddpair.splits.styles.sorting import Fit, HeldOut, StyleSort, report, sort_corpus
from oddpair.splits.styles.strict import Mask, StrictSplit, keep_strict, nearness_threshold

if TYPE_CHECKING:
    from oddpair.splits.recipes.style_strict import StyleStrictRecipe

_HOLD_STREAM, LABEL_STREAM, _SORT_STREAM = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedCorpus:
    """A corpus whose rows were sorted by style, before any search.

    Attributes:
        pool: The rows that are no test, by uid.
        labels: Hand labels of these rows that were looked at.
        sort: How the classifiers sorted them.
        known: Rows whose class is their hand label: it was used to fit, for a threshold or to find tests, shape ``(k,)``.
        codes: Class of each row: its hand label where it is known, else the classifiers'.
        stored: Embeddings of the corpus.
        features: What the classifiers look at.
        tests: Test sets of each style.
        held: Uids of the test pictures that were taken out of the labelled rows, by style.
        total: Rows of the corpus, each uid once, tests among them.
    """

    pool: Pool
    labels: StyleLabels
    sort: StyleSort
    known: IntArray
    codes: Codes
    stored: StoredRows
    features: StyleFeatures
    tests: Mapping[str, tuple[StyleTest, ...]]
    held: Mapping[str, Pool]
    total: int

    def reference_rows(self, style: str) -> IntArray:
        """Return the rows of a hand-labelled style that say how near to tests of the other style rows may be."""
        seen = self.sort.seen
        rows: IntArray = seen[self.codes[seen] == CODE[style]]
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleSplits:
    """What a style-strict recipe made, natural first and rendition second.

    Attributes:
        sorted: The sorted corpus.
        splits: The strict splits over its rows.
        near: Nearest test picture of the other style for each row; ``None`` where nothing was searched.
        leaks: How each split fares on rows held out from all else.
    """

    sorted: SortedCorpus
    splits: tuple[StrictSplit, StrictSplit]
    near: tuple[Nearness | None, Nearness | None]
    leaks: tuple[HeldOut, HeldOut]


def split_styles(
    recipe: StyleStrictRecipe, inputs: Inputs, work: Path, *, search: bool = True
) -> StyleSplits:
    """Sort a corpus by style, and keep of each style the rows that no test picture of the other is near to.

    Rows whose label was used to fit or to set a threshold go by their label: what a person saw outranks the
    classifier.

    Args:
        recipe: The recipe.
        inputs: The embedded corpus, and what the recipe may be given beside it.
        work: Folder that a killed run goes on from.
        search: Whether test pictures decide membership. Without it no split is style-strict, and says so.

    Returns:
        The splits and how they came about.

    Raises:
        Refusal: If there are too few labels, or no threshold can be certified.
    """
    found = sort_by_style(recipe, inputs, work)
    splits, nearness = [], []
    for style in PROBED:
        near, threshold, reference = None, None, None
        if search:
            near = find_nearest(
                found.stored, found.pool, found.tests[OTHER[style]], work, workers=inputs.workers
            )
            threshold = recipe.similarity
            if threshold is None:
                rows = found.reference_rows(style)
                threshold, reference = (
                    nearness_threshold(near.similarity[rows], recipe.quantile, style),
                    len(rows),
                )
        nearness.append(near)
        splits.append(
            keep_strict(
                found.codes == CODE[style],
                None if near is None else near.similarity,
                threshold,
                style=style,
                reference=reference,
            )
        )
    first, second = splits
    return StyleSplits(
        sorted=found,
        splits=(first, second),
        near=(nearness[0], nearness[1]),
        leaks=(find_leak(found, first.keep, first.style), find_leak(found, second.keep, second.style)),
    )


def find_leak(found: SortedCorpus, kept: Mask, style: str) -> HeldOut:
    """Compare rows that are kept as a style with the labels of rows that were used for nothing else."""
    held, sort, shares = found.sort.report, found.sort, found.sort.shares
    if shares is not None:
        # What goes by its label is right. Of the rows that go by a classifier, labels by class have shares of their own.
        gone = count_classes(found.codes[found.known])
        gone += np.array([len(found.held.get(name, ())) for name in CLASSES])
        shares = shares.without(gone, len(found.pool) + sum(map(len, found.held.values())))
    return report(
        kept[held], found.labels.codes[held], style, confidence=sort.natural.confidence, shares=shares
    )


def sort_by_style(recipe: StyleStrictRecipe, inputs: Inputs, work: Path) -> SortedCorpus:
    """Read the labels, hold tests out where none are given, fit the classifiers and sort the corpus.

    Raises:
        Refusal: If there are too few labels, a test set is of no style, or no threshold can be certified.
    """
    corpus = inputs.need_corpus()
    stored = corpus.need_stored()
    tests = {style: _open_tests(recipe, inputs, style) for style in PROBED}
    pool = pool_of_stored(stored)
    total = len(pool)
    labels = _leave_tests(read_labels(recipe, inputs, corpus, pool), inputs.tests.values())
    pool, sample = labels.pool, find_sample(labels, recipe.labels_are)
    aside = np.full(len(pool), UNLABELLED, dtype=np.int8)
    held: dict[str, Pool] = {}
    missing = [style for style in PROBED if not tests[style]]
    if missing:
        rng = np.random.default_rng((recipe.seed, _HOLD_STREAM))
        apart = hold_out(labels, missing, recipe.held_out, rng, sample=sample)
        for style, places in apart.tests.items():
            held[style] = Pool(uids=pool.uids.take(places), rows=pool.rows[places])
            rows = store_rows(stored, held[style].rows, work / f"{style}-test")
            tests[style] = (StyleTest(name=f"{style}-test", stored=rows, styles={}),)
        labels, pool, aside = apart.labels, apart.labels.pool, apart.known
        sample = find_sample(labels, recipe.labels_are)
    labels = draw_labels(labels, recipe.labelled, np.random.default_rng((recipe.seed, LABEL_STREAM)))
    features = open_features(stored, corpus.corpus, textured=open_textures(stored) is not None)
    sort = sort_corpus(
        features,
        pool.rows,
        labels.codes,
        np.random.default_rng((recipe.seed, _SORT_STREAM)),
        fit=_choose_fit(recipe, work),
        precision=recipe.precision,
        confidence=recipe.confidence,
        shares=_read_shares(recipe, labels),
        sampled=sample,
    )
    codes = sort.codes.copy()
    codes[sort.seen] = labels.codes[sort.seen]
    aside_rows = np.flatnonzero(aside != UNLABELLED)
    codes[aside_rows] = aside[aside_rows]
    return SortedCorpus(
        pool=pool,
        labels=labels,
        sort=sort,
        known=np.concatenate([sort.seen, aside_rows]),
        codes=codes,
        stored=stored,
        features=features,
        tests=tests,
        held=held,
        total=total,
    )


def _open_tests(recipe: StyleStrictRecipe, inputs: Inputs, style: str) -> tuple[StyleTest, ...]:
    found = []
    for name in recipe.tests_of(style):
        if name not in inputs.tests:
            raise Refusal(
                f"{style}_tests names '{name}', and no such test set is given: add --tests {name}=PATH"
            )
        pictures = inputs.tests[name]
        styles = read_texts(pictures.corpus, recipe.style_column)
        found.append(StyleTest(name=name, stored=pictures.need_stored(), styles=styles))
    named = {*recipe.natural_tests, *recipe.rendition_tests}
    for name in inputs.tests:
        if name not in named:
            raise Refusal(
                f"test set '{name}' is of no style: name it in natural_tests or in rendition_tests, such as "
                f"--set rendition_tests='[{name}]'"
            )
    return tuple(found)


def read_labels(recipe: StyleStrictRecipe, inputs: Inputs, corpus: Pictures, pool: Pool) -> StyleLabels:
    """Read the hand labels of a corpus: those of a file, if one is given, or of one of its columns."""
    if inputs.labels is not None:
        return labels_of_file(inputs.labels, pool, recipe.natural, recipe.ambiguous, corpus=corpus.corpus)
    return labels_of_column(corpus.need_corpus(), recipe.style_column, pool, recipe.natural, recipe.ambiguous)


def _leave_tests(labels: StyleLabels, tests: Iterable[Pictures]) -> StyleLabels:
    """Leave out the rows of a corpus that are, by their uid, pictures of a given test set."""
    stays = np.ones(len(labels.pool), dtype=np.bool_)
    for pictures in tests:
        places = labels.pool.places(read_uids(pictures.need_stored()))
        stays[places[places >= 0]] = False
    return labels if stays.all() else labels.among(stays)


def _read_shares(recipe: StyleStrictRecipe, labels: StyleLabels) -> Shares | None:
    if recipe.labels_are == "random":
        return None
    if recipe.shares is not None:
        return give_shares(recipe.shares, recipe.confidence)
    labelled = labels.codes >= 0
    drawn = labelled & labels.random if labels.random is not None else np.zeros_like(labelled)
    return estimate_shares(labels.codes[drawn], recipe.confidence)


def _choose_fit(recipe: StyleStrictRecipe, work: Path) -> Fit:
    if recipe.classifier == "centroid":
        return fit_centroids
    if recipe.classifier == "knn":
        return functools.partial(fit_neighbours, k=recipe.neighbours)
    if recipe.classifier == "fine-tune":
        # Torch and all of a model, which no other classifier needs.
        from oddpair.retrieval.fine_tune import FineTuning
        from oddpair.splits.styles.fine_tune import fit_fine_tuned

        return functools.partial(
            fit_fine_tuned,
            model=recipe.tuned_model,
            weights=recipe.tuned_weights,
            tuning=FineTuning(epochs=recipe.epochs, seed=recipe.seed),
            device=recipe.device,
            work=work,
        )
    return functools.partial(fit_probe, balanced=recipe.classifier == "density-ratio")
