"""What a person should look at before an entry is believed; a flag refuses nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oddpair.errors import Refusal
from oddpair.eval.board.board import Flag, Robustness
from oddpair.eval.board.residuals import Residuals
from oddpair.eval.scoring.metrics import credit
from oddpair.eval.submission.agreement import best_answers
from oddpair.eval.submission.entry import Entry, Recomputed
from oddpair.splits.manifest import as_uids, uids_digest

# Of 30 results of tiny models, trained on as few as 2,000 pictures and asked about drawings that they never saw, the worst
# calls 55 % of pictures by one name, the next 23 %.
_DEGENERATE = 0.8
_RARE = 0.5
_COPY = 0.999
# Of answers that either of two models has wrong, independent ones give at most 32 % alike, though of one architecture and of
# halves of one corpus: a copy with a few answers changed is told by these, and they must be enough to tell. A model that
# leaked has few wrong answers, of which a twin with one answer in fifty changed keeps some 60 %.
_COPY_OF_WRONG = 0.5
_FEWEST_WRONG = 50
# Beyond this difference of mean credit two models do not agree on so many answers, unless one of them ties its right ones
# with others, which costs it the credit.
_FAR = 0.15
_NAMED = 5


def find_flags(
    entry: Entry,
    others: Sequence[Entry],
    *,
    robustness: Sequence[Robustness],
    residuals: Residuals,
    manifest_uids: Sequence[str] | pa.Array | None = None,
) -> tuple[Flag, ...]:
    """Find what a person should look at, each in a sentence with its numbers.

    * ``degenerate``: one class is at least 80 % of the answers to a task of classification or pairs, and right for at most
      half as much of it.
    * ``copy``: at least 99.9 % of the answers to all shared tasks are those of another entry, or half of those that either
      has wrong, where these are 50 or more.
    * ``above-prediction``: accuracy above the 99 % band of what the counts of the declared corpus foretell. Skill, data of
      another style and leaked questions look the same there.
    * ``outlier``: outside the 99 % prediction interval about the line of effective robustness through the others.
    * ``variants``: the best of several.
    * ``in-training``: pictures of the tasks are among the uids that the model was trained on.

    Args:
        entry: The entry.
        others: The other entries; the entry itself is passed over.
        robustness: Of the entry; ``above`` has the 99 % interval of a new model about the line of the others.
        residuals: Of the entry, by `oddpair.eval.board.residuals.find_residuals`.
        manifest_uids: uids of the corpus that it declares, sorted; ``None`` where they are not at hand.

    Returns:
        Flags, in the order above.

    Raises:
        Refusal: If the uids are not those of a corpus that the entry declares.
    """
    return (
        *_find_degenerate(entry),
        *_find_copies(entry, others),
        *_find_above(residuals),
        *_find_outliers(robustness),
        *_find_variants(entry),
        *(() if manifest_uids is None else _find_in_training(entry, as_uids(manifest_uids))),
    )


def _find_degenerate(entry: Entry) -> Iterator[Flag]:
    for name, task in entry.tasks.items():
        if task.key.kind not in ("classification", "pairs"):
            continue
        answers = best_answers(task.records, task.key.kind)
        times = np.bincount(answers)
        most = int(np.argmax(times))
        share = times[most] / len(answers)
        right = float((task.key.table["target"].to_numpy() == most).mean())
        if share >= _DEGENERATE and right <= _RARE * share:
            yield Flag(
                kind="degenerate",
                text=f"{share:.1%} of the {len(answers):,} answers to {name} are '{task.key.class_keys[most]}', which is "
                f"right for {right:.1%}.",
            )


def _find_copies(entry: Entry, others: Sequence[Entry]) -> Iterator[Flag]:
    for other in sorted(others, key=lambda one: one.submission.name):
        if other.submission.name == entry.submission.name:
            continue
        shared = [
            (task, other.tasks[name])
            for name, task in entry.tasks.items()
            if name in other.tasks and other.tasks[name].key.lock == task.key.lock
        ]
        if not shared or _is_far(shared):
            continue
        same, wrong = (np.concatenate(parts) for parts in zip(*map(_compare, shared), strict=True))
        n, n_wrong, alike, alike_wrong = len(same), int(wrong.sum()), int(same.sum()), int(same[wrong].sum())
        if alike >= _COPY * n or (n_wrong >= _FEWEST_WRONG and alike_wrong >= _COPY_OF_WRONG * n_wrong):
            yield Flag(
                kind="copy",
                text=f"{alike / n:.2%} of {n:,} answers to {len(shared)} shared tasks are those of {other.submission.name}; "
                f"of {n_wrong:,} that either has wrong, {alike_wrong:,} are the same.",
            )


def _is_far(shared: Sequence[tuple[Recomputed, Recomputed]]) -> bool:
    n = np.array([one.key.table.num_rows for one, _ in shared])
    away = np.array([one.main.estimate.value - other.main.estimate.value for one, other in shared])
    return bool(abs(n @ away) > _FAR * n.sum())


def _compare(both: tuple[Recomputed, Recomputed]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether two models answer each question alike, and whether either is wrong."""
    (first, first_wrong), (second, second_wrong) = map(_take_answers, both)
    same: NDArray[np.bool_] = first == second
    # Of several labels the first is not right or wrong: that answers differ is all there is.
    return same, first_wrong | second_wrong | (~same if both[0].key.kind == "multilabel" else False)


# Each entry is held against every other; its answers are taken from the records once.
@lru_cache(maxsize=8192)
def _take_answers(task: Recomputed) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    answers = best_answers(task.records, task.key.kind)
    if task.key.kind == "multilabel":
        return answers, np.zeros(len(answers), dtype=np.bool_)
    return answers, np.asarray(credit(task.records, task.key.kind) < 1)


def _find_above(residuals: Residuals) -> Iterator[Flag]:
    for task, above in residuals.above.items():
        band = residuals.bands[task]
        accuracy = band.value + above.value
        if accuracy > band.high:
            yield Flag(
                kind="above-prediction",
                text=f"Accuracy on {task} is {accuracy:.1%} (n = {above.n:,}); counts of the declared corpus and {band.n} "
                f"other entries foretell {band.value:.1%}, 99 % band {band.low:.1%} to {band.high:.1%}; "
                "skill or styles that they lack look the same as leaked questions.",
            )


def _find_outliers(robustness: Sequence[Robustness]) -> Iterator[Flag]:
    for one in robustness:
        if one.above is not None and not one.above.low <= 0 <= one.above.high:
            yield Flag(
                kind="outlier",
                text=f"On {one.axes} accuracy is {one.y:.1%}, {100 * abs(one.above.value):.1f} points "
                f"{'above' if one.above.value > 0 else 'below'} the line through {one.above.n} other entries (99 % interval "
                f"of the difference {100 * one.above.low:+.1f} to {100 * one.above.high:+.1f}).",
            )


def _find_variants(entry: Entry) -> Iterator[Flag]:
    tried = entry.submission.variants_tried
    if tried > 1:
        yield Flag(
            kind="variants", text=f"It is the best of {tried:,} variants that were tried, by its own word."
        )


def _find_in_training(entry: Entry, uids: pa.Array) -> Iterator[Flag]:
    digest = uids_digest(uids)
    declared = [data.manifest for data in entry.submission.training]
    if digest not in declared:
        told = ", ".join(f"{one[:12]}…" for one in declared[:_NAMED] if one) or "none"
        raise Refusal(
            f"{entry.submission.name}: the manifest has the uid list {digest[:12]}…, declared are {told}: give the manifest "
            "of a declared corpus, or declare this one"
        )
    found = []
    for name, task in entry.tasks.items():
        pictures = pc.unique(task.key.table["uid"])
        inside = pc.sum(pc.is_in(pictures.cast(pa.large_string()), value_set=uids)).as_py() or 0
        if inside:
            found.append(f"{inside:,} of {len(pictures):,} of {name}")
    if found:
        yield Flag(
            kind="in-training",
            text=f"Pictures of the tasks are among the {len(uids):,} that it was trained on: {', '.join(found)}.",
        )
