"""The splits that a similarity recipe makes, each by one rule, and what each of them claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oddpair.errors import Refusal
from oddpair.splits.manifest import Claim

PRUNINGS = ("gap", "near", "far", "random", "cut")
COMBINED = "combined"
REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one split is chosen.

    Attributes:
        name: Of the split.
        kind: One of ``PRUNINGS``, see ``similarity.yaml``; ``reference`` for all rows of the reference set.
        tests: Names of the test sets that are kept away from, sorted; none where a rule looks at none.
        size: Rows kept, as a share below 1 or a number; ``None`` where the rule says how many.
    """

    name: str
    kind: str
    tests: tuple[str, ...] = ()
    size: float | None = None

    def count(self, rows: int) -> int:
        """Return how many of so many rows are kept by size."""
        if self.size is None:
            raise ValueError(f"the rule of {self.name} has no size")
        kept = round(self.size * rows) if self.size < 1 else int(self.size)
        if kept > rows:
            raise Refusal(
                f"split {self.name!r} is to keep {kept:,} rows of {rows:,}: ask for fewer in 'sizes'"
            )
        return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the claims of a split say in figures.

    Attributes:
        rows: Rows kept.
        of: Rows chosen from.
        test_images: Images of the rule's test sets, each uid of a set once.
        threshold: Of ``cut``.
        seed: Of ``random``.
        deduplicated: Similarity above which near-duplicates left; ``None`` where they did not, or some may be missed.
        beside: Whether the reference set becomes a split too.
        contained: Whether all rows of the reference set are kept rows of the corpus.
    """

    rows: int
    of: int
    test_images: int
    threshold: float | None
    seed: int
    deduplicated: float | None
    beside: bool
    contained: bool


def claims_of(rule: Rule, facts: Facts) -> tuple[Claim, ...]:
    """Return what a split guarantees, in the order in which ``check_split`` computes it again."""
    values = {"rule": rule.kind, "tests": list(rule.tests)}
    images = f"{facts.test_images:,} test images of {join_names(rule.tests)}"
    claims: list[Claim] = []
    if rule.kind == "gap":
        claims = [
            Claim(
                text=f"no row is nearer to any of {images} than the reference set is: s_i(split) <= s_i(reference)",
                values={**values, "test_images": facts.test_images},
            ),
            *_equal_claim(facts),
            _caused_claim("nearer to one of them than the reference set is"),
        ]
    elif rule.kind == "cut":
        claims = [
            Claim(
                text=f"no row has a cosine similarity above {facts.threshold:g} with any of {images} (one threshold for "
                "all of them, not the similarity gap)",
                values={**values, "test_images": facts.test_images, "threshold": facts.threshold},
            ),
            _caused_claim("above it"),
        ]
    elif rule.kind in ("near", "far"):
        least = "least" if rule.kind == "near" else "most"
        claims = [
            Claim(
                text=f"its {facts.rows:,} rows are the {least} similar of {facts.of:,} to {images}, by the nearest of "
                "these, ties by uid",
                values={**values, "rows": facts.rows, "of": facts.of, "test_images": facts.test_images},
            )
        ]
    elif rule.kind == "random":
        claims = [
            Claim(
                text=f"its {facts.rows:,} rows are drawn uniformly and without replacement from {facts.of:,} by the seed "
                f"{facts.seed}",
                values={"rule": rule.kind, "rows": facts.rows, "of": facts.of, "seed": facts.seed},
            )
        ]
    if facts.deduplicated is not None:
        claims.append(
            Claim(
                text=f"no two rows have a cosine similarity above {facts.deduplicated:g}; of near-duplicates that of "
                "smallest uid stays",
                values={"deduplicated": facts.deduplicated},
            )
        )
    return tuple(claims)


def claim_reference(rows: int) -> tuple[Claim, ...]:
    """Return what the split of the reference set guarantees."""
    return (Claim(text=f"it is the whole reference set, {rows:,} rows", values={"rows": rows}),)


def join_names(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    >>> join_names(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _equal_claim(facts: Facts) -> list[Claim]:
    if facts.beside:
        text = "trained on beside the split 'reference', s_i(split and reference) = s_i(reference) exactly, for all of them"
    elif facts.contained:
        text = "it holds the reference set, and s_i(split) = s_i(reference) exactly, for all of them"
    else:
        return []
    return [Claim(text=text, values={"equal": facts.test_images})]


def _caused_claim(cause: str) -> Claim:
    return Claim(text=f"no row left but those that are {cause}", values={"left without a cause": 0})
