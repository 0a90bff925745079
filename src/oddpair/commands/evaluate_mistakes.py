"""What a model said instead: pairs of classes that it takes for one another, and the mistakes it is surest of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from oddpair.benchmarks.evaluation_set import Kind

# More of one class would tell the same twice.
_PER_CLASS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A picture that was answered wrongly.

    Attributes:
        key: Of the picture.
        text: What was said, and what it is.
    """

    key: str
    text: str


def count_confusions(table: pa.Table, kind: Kind, names: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """Count which class was said for which, most often first; names decide among equals.

    Args:
        table: Records.
        kind: Their kind; only ``classification`` and ``pairs`` have classes that can be taken for others.
        names: Of the classes.

    Returns:
        What a picture is, what was said, how often, and how many questions had that answer.
    """
    if kind not in ("classification", "pairs"):
        return []
    target = table["target"].to_numpy()
    said = np.array([top[0] for top in table["top_classes"].to_pylist()], dtype=np.int64)
    support = Counter(target.tolist())
    wrong = said != target
    pairs = Counter(zip(target[wrong].tolist(), said[wrong].tolist(), strict=True))
    rows = [(names[right], names[other], n, support[right]) for (right, other), n in pairs.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))


def find_mistakes(table: pa.Table, kind: Kind, names: Sequence[str], most: int) -> list[Mistake]:
    """Choose the mistakes that the model was surest of, by how far the right answer lay behind; keys decide ties.

    Args:
        table: Records.
        kind: Their kind; questions of ``choice`` are not about one picture, and give none.
        names: Of the classes; unused for ``retrieval``.
        most: Mistakes to choose at most; of one right answer no more than two.

    Returns:
        The mistakes, the surest first.
    """
    found = {
        "classification": _misclassified,
        "pairs": _misclassified,
        "multilabel": _mislabelled,
        "retrieval": _lost,
        "choice": _none,
    }[kind](table, names)
    chosen: list[Mistake] = []
    seen: Counter[str] = Counter()
    pictures: set[str] = set()
    for _, key, about, text in sorted(found, key=lambda each: (-each[0], each[1], each[3])):
        if len(chosen) < most and key not in pictures and seen[about] < _PER_CLASS:
            seen[about] += 1
            pictures.add(key)
            chosen.append(Mistake(key=key, text=text))
    return chosen


_Ranked = list[tuple[float, str, str, str]]


def _misclassified(table: pa.Table, names: Sequence[str]) -> _Ranked:
    columns = ("key", "target", "partner", "top_classes", "top_scores", "target_score", "n_greater")
    found: _Ranked = []
    for row in table.select(columns).to_pylist():
        if row["n_greater"]:
            right, said = names[row["target"]], names[row["top_classes"][0]]
            beside = f", beside {names[row['partner']]}" if row["partner"] >= 0 else ""
            text = f"said {said}, is {right}{beside}"
            found.append((row["top_scores"][0] - row["target_score"], row["key"], right, text))
    return found


def _mislabelled(table: pa.Table, names: Sequence[str]) -> _Ranked:
    found: _Ranked = []
    for row in table.select(("key", "scores", "labels")).to_pylist():
        scores, labels = row["scores"], row["labels"]
        said = int(np.argmax(scores))
        if labels and said not in labels:
            right = ", ".join(names[label] for label in labels)
            behind = scores[said] - max(scores[label] for label in labels)
            found.append((behind, row["key"], right, f"said {names[said]}, has {right}"))
    return found


def _lost(table: pa.Table, names: Sequence[str]) -> _Ranked:
    del names
    return [
        (
            float(row["n_greater"]),
            row["key"],
            row["key"],
            f"{row['n_greater']:,} captions of other pictures are nearer",
        )
        for row in table.select(("key", "direction", "n_greater")).to_pylist()
        if row["direction"] == "image_to_text" and row["n_greater"]
    ]


def _none(table: pa.Table, names: Sequence[str]) -> _Ranked:
    del table, names
    return []
