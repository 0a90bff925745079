"""Styles of a test set and of a corpus, and the corpus rows that would have to go for the test to be new in style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.eval.auditing.asked import Material
from oddpair.eval.auditing.found import Style, Styles, StyleShare, find_share
from oddpair.eval.auditing.removals import RemovalFound
from oddpair.eval.auditing.style_labels import (
    CorpusLabels,
    LabelCounts,
    count_labels,
    count_sample,
    read_corpus_labels,
)
from oddpair.eval.auditing.style_split import StyleSplit, split_style
from oddpair.retrieval.proportion import clopper_pearson
from oddpair.splits.pool import Pool, pool_of_stored
from oddpair.splits.recipes.style_strict import StyleStrictRecipe
from oddpair.splits.styles.deployment import count_classes
from oddpair.splits.styles.labels import class_of, read_texts
from oddpair.splits.styles.scorer import (
    AMBIGUOUS,
    CLASSES,
    CODE,
    NATURAL,
    OTHER,
    RENDITION,
    UNLABELLED,
    Codes,
)

NO_LABELS = "no hand labels: oddpair label CORPUS --out labels, then --labels labels"

_MOST_CONFUSED = 200
# Rows of the other style that its recipe holds out as a test, and the most of its labelled rows that may be.
_HELD, _MOST_HELD = 50, 0.2
_MOST_FINER = 50
_CONFUSIONS = pa.schema([(name, pa.string()) for name in ("uid", "side", "label", "sorted")])

ToldBy = Literal["option", "labels", "classifier"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StylesFound:
    """Styles of both sides.

    Attributes:
        styles: All together; ``None`` where nothing is known of the corpus or of the test.
        why: What is missing, where ``styles`` or ``removal`` is ``None``; else empty.
        images: ``uid``, ``style`` and ``label`` of the test images; the style is that of the label where there is one.
        confusions: ``uid``, ``side``, ``label`` and how the classifiers ``sorted`` it, where the two disagree: test images
            with a label, and corpus rows whose label was used for nothing else; of either side the first 200 by uid.
        removal: What would have to go; ``None`` where no classifier could be certified.
        in_domain: Uids of the corpus rows of the test's style, labelled or sorted so; ``None`` likewise.
    """

    styles: Styles | None
    why: str
    images: pa.Table
    confusions: pa.Table
    removal: RemovalFound | None
    in_domain: pa.Array | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _TestLabels:
    """The images of a test set with the labels that it has: ``codes`` is -1 where there is none, shape ``(t,)``."""

    pool: Pool
    words: Mapping[str, str]
    codes: Codes
    counts: LabelCounts


def find_styles(material: Material) -> StylesFound:
    """Find the styles of both sides, and sort the corpus by the style-strict recipe with this test set.

    Shares of the corpus rest on hand labels alone, of rows drawn at random. Those of the test rest on its own labels where
    it has them; else the classifiers sort its images, and the intervals know nothing of their errors.

    Args:
        material: With the finished search.

    Returns:
        What was found. Labels that are missing, too few or no fair sample are told and not refused.

    Raises:
        Refusal: If labels are given that cannot be read, or are of another corpus.

    References:
        Mayilvahanan et al., In Search of Forgotten Domain Generalization, arXiv:2410.08258.
    """
    test = _read_test(material)
    recipe = make_recipe(material, "rendition")
    labels = read_corpus_labels(material, recipe)
    if labels is None:
        return _tell(test, NO_LABELS)
    try:
        corpus = count_sample(labels, recipe, material.asked)
    except Refusal as refusal:
        return _tell(test, str(refusal))
    style, told_by = _name_style(material, test.counts)
    if style == AMBIGUOUS:
        why = "most test images are labelled ambiguous, and no split is strict in that: give --style"
        return _tell(test, why)
    try:
        guess: Style = style or "rendition"
        split = split_style(
            material, make_recipe(material, guess, labels.labels.codes), guess, test.pool.rows
        )
        if style is None:
            style = _find_style(material, split)
            if style != guess:
                # The first guess took other rows out as a test.
                split = split_style(
                    material, make_recipe(material, style, labels.labels.codes), style, test.pool.rows
                )
    except Refusal as refusal:
        if style is None:
            why = f"nothing tells the style of the test, which --style would: {refusal}"
            return _tell(test, why)
        return _tell(test, str(refusal), _describe(style, told_by, corpus, test, None, str(refusal)))
    return StylesFound(
        styles=_describe(style, told_by, corpus, test, split, ""),
        why="",
        images=_list_images(test, split.tests),
        confusions=_list_confusions(test, labels, split),
        removal=split.removal,
        in_domain=split.in_domain,
    )


def make_recipe(material: Material, style: Style, codes: Codes | None = None) -> StyleStrictRecipe:
    """Return the recipe by which a corpus is split for a test set of some style.

    It holds rows of the other style out as a test of its own, which nobody asked an audit for: as few as it can do with.

    Args:
        material: The settings.
        style: Of the test set.
        codes: Class of each labelled row, -1 for none; ``None`` before labels are read.
    """
    asked = material.asked
    members = 0 if codes is None else int((codes == CODE[OTHER[style]]).sum())
    return StyleStrictRecipe(
        style_column=asked.style_column,
        natural=asked.natural,
        ambiguous=asked.ambiguous,
        labelled=asked.labelled,
        precision=asked.precision,
        natural_tests=(material.name,) if style == NATURAL else (),
        rendition_tests=(material.name,) if style == RENDITION else (),
        held_out=round(min(_MOST_HELD, _HELD / max(members, 1)), 6),
        seed=asked.seed,
    )


def _read_test(material: Material) -> _TestLabels:
    asked, pool = material.asked, pool_of_stored(material.test.need_stored())
    read = read_texts(material.test.corpus, asked.style_column)
    words = {uid: read[uid] for uid in pool.uids.to_pylist() if uid in read}
    codes = [class_of(words.get(uid), asked.natural, asked.ambiguous) for uid in pool.uids.to_pylist()]
    return _TestLabels(
        pool=pool,
        words=words,
        codes=np.array(codes, dtype=np.int8),
        counts=count_labels(words.values(), asked),
    )


def _name_style(material: Material, test: LabelCounts) -> tuple[Style | None, ToldBy]:
    """Name the style of the test by the option or by most of its labels; ``None`` if the classifiers have to tell."""
    if material.asked.style is not None:
        return material.asked.style, "option"
    most = max(test.classes.values())
    foremost = [name for name in CLASSES if test.classes[name] == most]
    if len(foremost) > 1:
        return None, "classifier"
    return cast(Style, foremost[0]), "labels"


def _find_style(material: Material, split: StyleSplit) -> Style:
    """Find out the style of the test by the classifiers."""
    if split.tests is None:
        raise Refusal(
            f"{material.test.folder} has no textures and the corpus has: embed these pictures again with oddpair embed"
        )
    natural, rendition, _ = count_classes(split.tests).tolist()
    if natural == rendition:
        raise Refusal(
            f"the classifiers take {natural:,} of its images for natural and as many for renditions"
        )
    return "natural" if natural > rendition else "rendition"


def _describe(
    style: Style,
    told_by: ToldBy,
    corpus: LabelCounts,
    test: _TestLabels,
    split: StyleSplit | None,
    unsorted: str,
) -> Styles:
    shares_by: Literal["labels", "classifier"] | None = None
    of_test: Mapping[str, int] = {}
    if test.counts.total:
        shares_by, of_test = "labels", test.counts.classes
    elif split is not None and split.tests is not None:
        shares_by = "classifier"
        of_test = dict(zip(CLASSES, count_classes(split.tests).tolist(), strict=True))
    finer = sorted(
        {*corpus.finer, *test.counts.finer},
        key=lambda name: (-corpus.finer.get(name, 0), -test.counts.finer.get(name, 0), name),
    )
    of_style = corpus.classes[style]
    held = None if split is None else split.held_out
    return Styles(
        style=style,
        told_by=told_by,
        shares_by=shares_by,
        classes=tuple(_share(name, corpus.classes, of_test) for name in CLASSES),
        finer=tuple(_share(name, corpus.finer, test.counts.finer) for name in finer[:_MOST_FINER]),
        corpus=find_share(of_style, corpus.total),
        at_most=clopper_pearson(of_style, corpus.total, 0.95, "upper"),
        sorted={} if split is None else split.sorted,
        precision=None if held is None else find_share(held.correct, held.accepted),
        recall=None if held is None else find_share(held.correct, held.members),
        leak_bound=None if split is None else split.leak_bound,
        threshold=None if split is None else split.threshold,
        unsorted=unsorted,
    )


def _share(style: str, corpus: Mapping[str, int], test: Mapping[str, int]) -> StyleShare:
    tests = sum(test.values())
    return StyleShare(
        style=style,
        test=find_share(test.get(style, 0), tests) if tests else None,
        corpus=find_share(corpus.get(style, 0), sum(corpus.values())),
    )


def _list_images(test: _TestLabels, codes: Codes | None) -> pa.Table:
    known = test.codes if codes is None else np.where(test.codes == UNLABELLED, codes, test.codes)
    style = [CLASSES[code] if code != UNLABELLED else None for code in known.tolist()]
    label = [test.words.get(uid) for uid in test.pool.uids.to_pylist()]
    columns = {"style": pa.array(style, pa.string()), "label": pa.array(label, pa.string())}
    return pa.table({"uid": test.pool.uids.cast(pa.string()), **columns})


def _list_confusions(test: _TestLabels, labels: CorpusLabels, split: StyleSplit) -> pa.Table:
    as_sorted = test.codes if split.tests is None else split.tests
    wrong = np.flatnonzero((test.codes != UNLABELLED) & (test.codes != as_sorted))[:_MOST_CONFUSED]
    ours, rows = test.pool.uids.take(pa.array(wrong)), split.confused[:_MOST_CONFUSED]
    words = pa.array([test.words[uid] for uid in ours.to_pylist()], pa.string())
    theirs = labels.labels.pool.uids.take(pa.array(rows))
    return pa.concat_tables(
        [
            _confuse("test", ours, words, as_sorted[wrong]),
            _confuse("corpus", theirs, labels.words_of(rows), split.confused_as[:_MOST_CONFUSED]),
        ]
    )


def _confuse(side: str, uids: pa.Array, labels: pa.Array, codes: Codes) -> pa.Table:
    taken_for = pa.array([CLASSES[code] for code in codes.tolist()], pa.string())
    sides = pa.array([side] * len(codes), pa.string())
    return pa.table([uids.cast(pa.string()), sides, labels, taken_for], schema=_CONFUSIONS)


def _tell(test: _TestLabels, why: str, styles: Styles | None = None) -> StylesFound:
    """Give what is known where nothing is sorted."""
    return StylesFound(
        styles=styles,
        why=why,
        images=_list_images(test, None),
        confusions=_CONFUSIONS.empty_table(),
        removal=None,
        in_domain=None,
    )
