"""Parts of embeddings that belong together row by row, by the numbers in their names: none missing, none longer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from oddpair.errors import Refusal
from oddpair.retrieval.formats.arrays import ArrayFile
from oddpair.retrieval.places import Place, find_gaps
from oddpair.retrieval.stores import list_folder

KINDS = ("img_emb", "text_emb")

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Files that belong together, by their place in each tuple; all names are relative to the corpus.

    Attributes:
        shards: Numbers of the parts, padded to one length.
        tables: Files of metadata.
        arrays: Files of ``img_emb`` and ``text_emb``, what there is of them.
    """

    shards: tuple[str, ...]
    tables: tuple[str, ...]
    arrays: Mapping[str, tuple[str, ...]]


def find_parts(place: Place) -> Parts:
    """Find the parts of a folder of embeddings, which are the same in each of its folders.

    Raises:
        Refusal: If there are none, some folder lacks one of them, or one is missing in all.
    """
    folder = _find_metadata(place)
    kinds = [kind for kind in KINDS if kind in place.folders]
    if not kinds:
        raise Refusal(f"{place.root} has neither img_emb nor text_emb beside {folder}: fetch or embed again")
    stems = {**{kind: (kind, ".npy") for kind in kinds}, folder: ("metadata", ".parquet")}
    names = {name: _list_numbers(place.root / name, *stem) for name, stem in stems.items()}
    numbers = sorted({number for parts in names.values() for number in parts})
    digits = [len(text) for parts in names.values() for text in parts.values()]
    missing = [
        f"{name}/{stem}_{number:0{min(digits)}}{ending}"
        for name, (stem, ending) in stems.items()
        for number in numbers
        if number not in names[name]
    ]
    if missing:
        raise Refusal(
            f"{place.root} lacks {_some(missing, len(missing))}, beside other parts: fetch it, or embed again"
        )
    if not numbers:
        raise Refusal(f"{place.root} has not one part in {', '.join(names)}: fetch or embed again")
    gaps = list(islice(find_gaps([str(number) for number in numbers]), _NAMED))
    if gaps:
        count = numbers[-1] - numbers[0] + 1 - len(numbers)
        raise Refusal(
            f"{place.root} has parts {numbers[0]} to {numbers[-1]} but not {_some(gaps, count)}: fetch what is missing, "
            "or number the parts that are meant one after the other"
        )
    files = {
        name: tuple(f"{name}/{stem}_{names[name][number]}{ending}" for number in numbers)
        for name, (stem, ending) in stems.items()
    }
    return Parts(
        shards=tuple(f"{number:0{max(digits)}}" for number in numbers),
        tables=files[folder],
        arrays={kind: files[kind] for kind in kinds},
    )


def require_equal_rows(
    arrays: Mapping[str, Sequence[ArrayFile]], tables: Sequence[tuple[Path, int | None]]
) -> tuple[int, ...]:
    """Return the rows of each part, which its arrays and its table agree on.

    Args:
        arrays: Arrays of each kind, one a part.
        tables: File of each part's table with its rows; ``None`` where the file is damaged.

    Raises:
        Refusal: If two files of a part have different numbers of rows.
    """
    sizes = []
    for index, (table, rows) in enumerate(tables):
        counts = {parts[index].path: parts[index].shape[0] for parts in arrays.values()}
        if rows is not None:
            counts[table] = rows
        (first, size), *others = counts.items()
        for other, count in others:
            if count != size:
                raise Refusal(
                    f"{first} has {size:,} rows and {other} has {count:,}, so nothing says which belong together: "
                    "fetch both again, or embed again"
                )
        sizes.append(size)
    return tuple(sizes)


def require_one_dimension(arrays: Mapping[str, Sequence[ArrayFile]]) -> None:
    """Refuse arrays of several dimensions, in one kind or between kinds."""
    every = [array for parts in arrays.values() for array in parts]
    for array in every:
        if array.shape[1] != every[0].shape[1]:
            raise Refusal(
                f"{array.path} has rows of dimension {array.shape[1]}, {every[0].path} of {every[0].shape[1]}: use "
                "what one model made"
            )


def _find_metadata(place: Place) -> str:
    # LAION published its tables as "laion2B-en-metadata" beside "img_emb".
    found = [name for name in place.folders if name.endswith("metadata")]
    if len(found) == 1 or "metadata" in found:
        return "metadata" if "metadata" in found else found[0]
    raise Refusal(
        f"{place.root} has {', '.join(found) or 'no folder of metadata'} beside its embeddings: put the files "
        "metadata_*.parquet that belong to them into a folder 'metadata' there"
    )


def _list_numbers(folder: Path, stem: str, ending: str) -> dict[int, str]:
    """List the parts in a folder by number; tools pad their numbers to different lengths, or not at all."""
    pattern = re.compile(rf"{stem}_(\d{{1,9}}){re.escape(ending)}")
    found: dict[int, str] = {}
    for name in list_folder(folder)[0]:
        match = pattern.fullmatch(name)
        if match and found.setdefault(int(match[1]), match[1]) != match[1]:
            raise Refusal(
                f"{folder} holds both {stem}_{found[int(match[1])]}{ending} and {name}: use one run a folder"
            )
    return found


def _some(names: Sequence[str], count: int) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {count - _NAMED:,} more" if count > _NAMED else "")
