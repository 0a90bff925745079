"""How large a run of the whole path is: the demo, a world of the study, or a world for tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from oddpair.errors import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that the results of a run depend on, besides the versions of the libraries.

    Attributes:
        seed: Of the world: frequencies, associations, held-out pairs, drawings, captions and training.
        rows: Rows of the corpus.
        steps: Optimiser steps of each model.
        labelled: Corpus rows whose style somebody looked at.
        precision: Target of the style classifier.
        per_concept: Natural test pictures of each concept.
        per_rendition: Test pictures of each concept in each rendition style.
        held_pairs: Test pairs among those that the world never draws together.
        rare_pairs: Test pairs that are expected to occur less than once in two corpora.
        seen_pairs: Test pairs that are expected to occur.
        per_pair: Test pictures of each pair.
        minimum_count: Expected corpus count of the concepts of test pairs.
    """

    seed: int = 0
    rows: int = 32_000
    steps: int = 700
    labelled: int = 6_000
    precision: float = 0.98
    per_concept: int = 25
    per_rendition: int = 10
    held_pairs: int = 150
    rare_pairs: int = 80
    seen_pairs: int = 350
    per_pair: int = 8
    minimum_count: float = 60.0

    def __post_init__(self) -> None:
        """Refuse a plan that no stage could carry out."""
        if self.rows < 1000:
            raise Refusal(f"a world of {self.rows} rows is too small for its splits: use 1000 or more")
        if self.steps < 1:
            raise Refusal(f"{self.steps} training steps: use 1 or more")
        if not 0 <= self.seed < 2**31:
            raise Refusal(f"seed {self.seed}: use 0 to {2**31 - 1}")

    def as_inputs(self) -> dict[str, Any]:
        """Return the plan as JSON for the stages' records."""
        return asdict(self)


def make_plan(size: str, *, seed: int, rows: int | None = None, steps: int | None = None) -> Plan:
    """Return the plan of a size: ``demo``, ``study`` or ``small``, with other rows or steps if given.

    The small one is for tests: every stage at work, little learned. Its few labels cannot certify a high
    precision, so the target is low.

    Raises:
        Refusal: If there is no such size, or the plan is too small to be carried out.

    >>> make_plan("study", seed=3).rows
    60000
    """
    if size == "demo":
        plan = Plan(seed=seed)
    elif size == "study":
        plan = Plan(
            seed=seed,
            rows=60_000,
            steps=1_400,
            labelled=9_000,
            per_rendition=15,
            held_pairs=350,
            rare_pairs=200,
            seen_pairs=700,
            per_pair=10,
        )
    elif size == "small":
        plan = Plan(
            seed=seed,
            rows=2_000,
            steps=20,
            labelled=1_500,
            precision=0.8,
            per_concept=4,
            per_rendition=2,
            held_pairs=20,
            rare_pairs=10,
            seen_pairs=40,
            per_pair=3,
            minimum_count=8.0,
        )
    else:
        raise Refusal(f"no size '{size}': use demo, study or small")
    changes = {name: value for name, value in (("rows", rows), ("steps", steps)) if value is not None}
    return replace(plan, **changes)
