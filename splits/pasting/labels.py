"""Which concepts pictures are labelled with: by a column, or by the folders that they lie in."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.formats.folder_source import FolderSource
from oddpair.splits.pmi.gen_pairs import CONCEPTS, split_concepts

_LABEL_COLUMNS = (CONCEPTS, "class", "label")


def choose_label(corpus: Corpus, column: str | None) -> Callable[[str], dict[str, list[str]]]:
    """Choose where the concepts that pictures are labelled with are read from.

    Args:
        corpus: The pictures.
        column: Column of names; ``None`` takes ``concepts``, ``class`` or ``label``, else the folders of the pictures.

    Returns:
        What reads a shard: the names that each key is labelled with.

    Raises:
        Refusal: If there is no such column, or it holds no text.
    """
    batches = (batch.table for shard in corpus.shards for batch in corpus.scan(shard, None))
    head = next((table for table in batches if table.num_rows), None)
    if head is None:
        raise Refusal(f"{corpus.root} gives not one row: check its files")
    if column is not None and column not in head.column_names:
        raise Refusal(
            f"{corpus.root} has no column '{column}', only {', '.join(head.column_names)}: name one of them"
        )
    chosen = column or next((name for name in _LABEL_COLUMNS if name in head.column_names), None)
    in_folders = all("/" in key for key in head["key"].to_pylist())
    if chosen is None and not (in_folders and isinstance(corpus.source, FolderSource)):
        raise Refusal(
            f"{corpus.root} does not say what its pictures show: add a column 'concepts', name one with --column, or "
            "put them into a folder for each concept"
        )
    if chosen is not None and not _is_names(head.schema.field(chosen).type):
        raise Refusal(
            f"{corpus.root} has {head.schema.field(chosen).type} in column '{chosen}', needed names of concepts: name "
            "another with --column"
        )

    def read(shard: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for batch in corpus.scan(shard, [chosen] if chosen else []):
            keys = batch.table["key"].to_pylist()
            if chosen is None:
                found |= {key: [key.split("/")[-2]] if "/" in key else [] for key in keys}
            else:
                cells = batch.table[chosen].to_pylist()
                found |= {key: split_concepts(cell) for key, cell in zip(keys, cells, strict=True)}
        return found

    return read


def _is_names(kind: pa.DataType) -> bool:
    while pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
