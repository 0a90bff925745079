"""What a table given to ``oddpair predict`` is, by its columns, and the arguments that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from oddpair.errors import Refusal
from oddpair.eval.prediction.table_cells import read_cells

ACCURACIES, OBJECTS, TEXTS = "accuracies", "objects", "texts"


def find_kind(path: Path) -> str:
    """Tell whether a table holds accuracies of concepts, samples of several objects or samples of text.

    Raises:
        Refusal: If it cannot be read, or its columns are those of none.
    """
    names = _read_names(path)
    if "objects" in names:
        return OBJECTS
    if "concept" in names and "accuracy" in names:
        return ACCURACIES
    if "question" in names or "text" in names:
        return TEXTS
    raise Refusal(
        f"{path} has columns {', '.join(names)}: give concept and accuracy (with model, corpus and dataset), objects, or "
        "question or text"
    )


def _read_names(path: Path) -> list[str]:
    if path.suffix.lower() != ".parquet":
        return list(read_cells(path).columns)
    if not path.is_file():
        raise Refusal(f"{path} is no file: give a table, .csv or .parquet")
    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowInvalid as error:
        raise Refusal(f"{path} is no parquet file ({str(error).splitlines()[0]}): write it again") from error


def read_folders(given: Sequence[str]) -> dict[str, Path]:
    """Read ``CORPUS=FOLDER`` arguments; a bare folder goes by its name."""
    found = {}
    for text in given:
        name, sign, value = text.rpartition("=")
        folder = Path(value if sign and not Path(text).is_dir() else text)
        found[name if sign and not Path(text).is_dir() else folder.resolve().name] = folder
    return found


def one_folder(given: Sequence[str]) -> Path:
    """Read the one counts folder that texts are looked up in.

    Raises:
        Refusal: If there is none or are several.
    """
    folders = list(read_folders(given).values())
    if len(folders) != 1:
        raise Refusal(f"{len(folders)} counts folders: give one with --counts, what oddpair count wrote")
    return folders[0]


def read_sizes(given: Sequence[str]) -> dict[str, float]:
    """Read ``CORPUS=SAMPLES`` arguments.

    Raises:
        Refusal: If one is not of that form or its size is no number above 0.
    """
    found = {}
    for text in given:
        name, sign, value = text.rpartition("=")
        try:
            size = float(value)
        except ValueError:
            size = 0.0
        if not sign or not 0 < size < float("inf"):
            raise Refusal(f"--corpus-size {text!r} is not CORPUS=SAMPLES: write it so")
        found[name] = size
    return found
