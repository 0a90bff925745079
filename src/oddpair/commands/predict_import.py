"""``oddpair predict --import``: the table of accuracies from published tables, or from results and counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from oddpair.errors import Refusal
from oddpair.eval.prediction.frequency import PROMPTS, VARIANTS, read_frequency
from oddpair.eval.prediction.scores import read_scores
from oddpair.eval.prediction.support import find_support
from oddpair.eval.prediction.table import COUNTS
from oddpair.eval.prediction.table_file import Imported, check_ending, write_table


def import_frequency(
    path: Path, out: Path, prompts: str = "ensemble", *, all_sets: bool = False
) -> dict[str, Any]:
    """Write the table of the published accuracies and counts.

    Args:
        path: Folder of ``zeroshot_acc_per_class_{prompts}.csv`` and ``concept_counts.csv``.
        out: Table to write, ``.csv`` or ``.parquet``.
        prompts: ``ensemble``, ``class`` or ``simple``.
        all_sets: Whether the variants of ImageNet are in it, which repeat ImageNet's names and whose captions three
            of the corpora were not searched for; the published fits to text counts leave them out.

    Returns:
        What is in it, see ``show_import``.

    Raises:
        Refusal: If a file is missing or is no such table, or there are no such prompts.
    """
    if prompts not in PROMPTS:
        raise Refusal(f"no prompts {prompts!r}: give one of {', '.join(PROMPTS)}")
    if not path.is_dir():
        raise Refusal(f"{path} is no folder: give the one that holds the published tables")
    check_ending(out)
    found = read_frequency(path, prompts)
    table, notes = found.table, list(found.notes)
    left_out = [name for name in VARIANTS if name in table.datasets and not all_sets]
    if left_out:
        table = table.take(~np.isin(table.dataset, left_out))
        notes.insert(0, f"{' and '.join(left_out)} left out, as in the published fits: --all-sets keeps them")
    # A property of the test sets, not of a model: it is found once, from all models, before anything is held out.
    table = replace(table, n=find_support(table))
    return _write(Imported(table=table, notes=tuple(notes)), out)


def import_scores(
    paths: Sequence[Path], out: Path, *, counts: Sequence[str], trained_on: Sequence[str] = ()
) -> dict[str, Any]:
    """Write the table of what models scored here, beside the counts of their corpora.

    Args:
        paths: What ``oddpair eval`` wrote.
        out: Table to write, ``.csv`` or ``.parquet``.
        counts: Folders of ``oddpair count``, each as ``CORPUS=FOLDER``, or ``FOLDER`` whose name is the corpus.
        trained_on: Which corpus is a model's, each as ``MODEL=CORPUS``; none where there is one corpus.

    Returns:
        What is in it, see ``show_import``.

    Raises:
        Refusal: If results or counts cannot be read, do not fit each other, or an argument is not of its form.
    """
    check_ending(out)
    folders = {name: Path(folder) for name, folder in _split(counts, "counts", "CORPUS=FOLDER").items()}
    models = _split(trained_on, "trained-on", "MODEL=CORPUS")
    return _write(read_scores(paths, folders, models), out)


def show_import(found: Mapping[str, Any]) -> Iterator[str]:
    """Say what is in an imported table, a line each."""
    yield (
        f"{found['rows']:,} rows of {found['models']:,} models, {found['datasets']:,} datasets and "
        f"{found['concepts']:,} concepts in {found['table']}"
    )
    told = ", ".join(f"{name} {100 * share:.1f} %" for name, share in found["known"].items())
    yield f"known of the rows: {told}"
    yield from (f"note: {note}" for note in found["notes"])


def _write(imported: Imported, out: Path) -> dict[str, Any]:
    table = imported.table
    write_table(out, table)
    columns = table.columns()
    return {
        "table": str(out),
        "rows": len(table),
        "models": len(table.models),
        "corpora": len(table.corpora),
        "datasets": len(table.datasets),
        "concepts": len(set(table.key.tolist())),
        "known": {
            name: float((~np.isnan(columns[name])).mean()) for name in ("accuracy", "n", *COUNTS, "pmi")
        },
        "notes": list(imported.notes),
    }


def _split(given: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Split arguments at their last ``=``, for a model's name may hold one; a bare folder goes by its last part."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.rpartition("=")
        if option == "counts" and (not sign or Path(text).is_dir()):
            name, value = Path(text).resolve().name, text
        if not name or not value:
            raise Refusal(f"--{option} {text!r} is not of the form {form}: write it so")
        if name in found:
            raise Refusal(f"--{option} gives {name!r} twice: leave one out, or name them apart as {form}")
        found[name] = value
    return found
