"""Style-strict: natural and rendition splits by certified classifiers and a search, and clean test sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from oddpair.errors import Refusal
from oddpair.splits.built import Built, Check
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import Manifest
from oddpair.splits.styles.clean import class_table, clean_test
from oddpair.splits.styles.features import open_features, open_textures
from oddpair.splits.styles.manifests import (
    class_list,
    describe_clean,
    describe_strict,
    describe_tests,
    show_splits,
)
from oddpair.splits.styles.scorer import CLASSES, NATURAL, PROBED
from oddpair.splits.styles.splits import split_styles
from oddpair.splits.styles.verify import verify_style

# Beyond it, what is left of 1 has too few digits to be shared out among bounds.
_SUREST = 0.999999

ROWS_FILE, CLEAN_FILE = "classes.parquet", "clean_classes.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleStrictRecipe:
    """Natural and rendition splits by a certified classifier and a search; ``style_strict.yaml``.

    Attributes:
        style_column: Corpus column of the hand labels, if no table is given; an empty value is no label.
        natural: Labels that mean natural.
        ambiguous: Labels that mean neither; every other label means rendition.
        labels_are: A random sample of the corpus, or of each class only.
        shares: Of the classes in the corpus, for labels by class; ``None`` to estimate them.
        labelled: Labelled rows that may be looked at, at random; ``None`` for all.
        classifier: What tells styles apart.
        neighbours: Of ``knn``.
        tuned_model: What ``fine-tune`` begins with.
        tuned_weights: Its weights, for an architecture.
        epochs: Of ``fine-tune``.
        device: Of ``fine-tune``.
        precision: Of each classifier, to be certified.
        confidence: Of the certificates and of the leak bounds.
        natural_tests: Test sets of natural pictures.
        rendition_tests: Test sets of renditions.
        held_out: Share of the labelled rows that is drawn, for those of a style to become its test, where no test set is
            given.
        similarity: A row nearer to a test picture of the other style leaves; ``None`` to set it by ``quantile``.
        quantile: Share of hand-labelled rows of a style that are no nearer to the other style's tests than
            a row that stays.
        class_column: Column of test sets with the class of each picture.
        seed: Of every random choice.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("corpus", "embeddings")
    TAKES: ClassVar[tuple[str, ...]] = ("tests", "labels")

    style_column: str = "style"
    natural: tuple[str, ...] = ("natural", "photo")
    ambiguous: tuple[str, ...] = ("ambiguous",)
    labels_are: Literal["random", "by-class"] = "random"
    shares: Mapping[str, float] | None = None
    labelled: int | None = None
    classifier: Literal["probe", "density-ratio", "centroid", "knn", "fine-tune"] = "probe"
    neighbours: int = 10
    tuned_model: str = "reference"
    tuned_weights: str | None = None
    epochs: int = 50
    device: Literal["cpu", "cuda"] = "cpu"
    precision: float = 0.98
    confidence: float = 0.95
    natural_tests: tuple[str, ...] = ()
    rendition_tests: tuple[str, ...] = ()
    held_out: float = 0.2
    similarity: float | None = None
    quantile: float = 0.99
    class_column: str = "class"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse shares that are no shares, and numbers below their least."""
        for name in ("precision", "confidence", "quantile", "held_out"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise Refusal(f"{name} is {value}: it must lie between 0 and 1")
        if self.confidence > _SUREST:
            raise Refusal(f"confidence is {self.confidence}: it must be {_SUREST} or less")
        if self.similarity is not None and not -1 <= self.similarity <= 1:
            raise Refusal(f"similarity is {self.similarity}: it must lie between -1 and 1, or be null")
        if not self.natural:
            raise Refusal("natural names no label: say which labels are natural")
        both = [label for label in self.natural if label in self.ambiguous]
        if both:
            raise Refusal(f"label '{both[0]}' is natural and ambiguous: leave it in one of the two lists")
        twice = [name for name in self.natural_tests if name in self.rendition_tests]
        if twice:
            raise Refusal(f"test set '{twice[0]}' is natural and rendition: leave it in one of the two lists")
        for name in ("labelled", "neighbours", "epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                also = ", or null for all rows" if name == "labelled" else ""
                raise Refusal(f"{name} is {value}: it must be 1 or more{also}")
        if self.seed < 0:
            raise Refusal(f"seed is {self.seed}: it must be 0 or more")
        self._check_shares()

    def _check_shares(self) -> None:
        if self.shares is None:
            return
        if self.labels_are == "random":
            raise Refusal(
                "shares are given, and random labels need none: set labels_are to by-class, or leave them out"
            )
        values = list(self.shares.values())
        if set(self.shares) != set(CLASSES) or not (min(values) >= 0 and abs(sum(values) - 1) <= 1e-6):
            raise Refusal(
                f"shares are {dict(self.shares)}: they must name {', '.join(CLASSES)}, none below 0, and add up to 1"
            )

    def tests_of(self, style: str) -> tuple[str, ...]:
        """Return the names of the test sets of a style."""
        return self.natural_tests if style == NATURAL else self.rendition_tests


def build(recipe: StyleStrictRecipe, inputs: Inputs, work: Path) -> Built:
    """Make the style-strict splits of a corpus, the tests held out of it, and the clean subsets of given test sets.

    Args:
        recipe: The recipe.
        inputs: The embedded corpus; its labels, if not in a column; test sets.
        work: Folder that a killed run goes on from.

    Returns:
        ``natural-strict`` and ``rendition-strict``, ``natural-test`` and ``rendition-test`` where they were held out, and
        ``clean-NAME``; tables of rows and of the test sets' classes.

    Raises:
        Refusal: If there are too few labels, no threshold can be certified, or a test set is of no style.
    """
    textured = open_textures(inputs.need_corpus().need_stored()) is not None
    for pictures in inputs.tests.values():
        # Before hours of search: the classifiers will look at them too.
        features = open_features(pictures.need_stored(), pictures.corpus, textured=textured)
        if recipe.classifier == "fine-tune":
            from oddpair.splits.styles.fine_tune import need_pictures

            need_pictures(features, pictures.name)
    made = split_styles(recipe, inputs, work)
    cleaned = {
        name: clean_test(made.sorted, inputs.tests[name], style, recipe.class_column)
        for style in PROBED
        for name in recipe.tests_of(style)
    }
    tables = {ROWS_FILE: class_list(made)}
    if any(test.classes for test in cleaned.values()):
        tables[CLEAN_FILE] = class_table(cleaned)
    provenance = inputs.identify()
    tower = made.sorted.sort.scorer.tower
    if tower is not None:
        from oddpair.splits.styles.fine_tune import identify_tower

        provenance["classifier"] = identify_tower(recipe.tuned_model, recipe.tuned_weights, tower)
    return Built(
        splits=(
            *describe_strict(made, provenance, quantile=recipe.quantile),
            *describe_tests(made.sorted, provenance),
            *describe_clean(made.sorted, cleaned, provenance),
        ),
        tables=tables,
        panels=show_splits(made, cleaned),
    )


def verify(manifest: Manifest, recipe: StyleStrictRecipe, inputs: Inputs, work: Path) -> list[Check]:
    """Compute the claims of a style-strict split again; see ``verify_style``."""
    return verify_style(manifest, recipe, inputs, work)
