"""An evaluation set on disk: its pictures, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from oddpair.retrieval.corpus import Corpus

Kind = Literal["classification", "multilabel", "pairs", "retrieval", "choice"]
KINDS: tuple[Kind, ...] = ("classification", "multilabel", "pairs", "retrieval", "choice")

# What a row of `table` says of a picture, by the kind of question that can be asked of it.
COLUMNS: dict[Kind, tuple[str, pa.DataType]] = {
    "classification": ("label", pa.string()),
    "multilabel": ("labels", pa.list_(pa.string())),
    "pairs": ("concepts", pa.list_(pa.string())),
    "retrieval": ("captions", pa.list_(pa.string())),
}
QUESTIONS = pa.schema(
    [
        ("question", pa.string()),
        ("images", pa.list_(pa.string())),
        ("captions", pa.list_(pa.string())),
        ("category", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSet:
    """Pictures, and what is known of each; nothing has been decoded.

    Attributes:
        root: Folder, or file, that the user named.
        layout: Name of the layout, such as ``clip_benchmark``.
        kind: What can be asked of it.
        corpus: The pictures; a sample's key in it is a ``key`` of the table, behind ``shard/`` where
            `keyed_by_shard` says so.
        table: One row a picture: ``key`` (string, unique), ``style`` (string, ``""`` where unknown), and the
            column of `COLUMNS` for the kind; none for ``choice``.
        classes: Keys of the classes, in the set's own order; those of folders are sorted. Empty where the set
            has none.
        class_names: What the set itself calls them, in the same order; empty where it does not say.
        templates: Prompts of the set with one ``{}``; empty where it has none.
        questions: For ``choice``, a table of `QUESTIONS`: caption 0 is right for image 0 and, where there are
            two images, caption 1 for image 1; ``images`` are keys.
        keyed_by_shard: Whether keys of samples repeat from shard to shard, as numbers in tars do.
        notes: What a user should know of this set, a sentence each.
    """

    root: Path
    layout: str
    kind: Kind
    corpus: Corpus
    table: pa.Table
    classes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    questions: pa.Table | None = None
    keyed_by_shard: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Pictures."""
        return int(self.table.num_rows)
