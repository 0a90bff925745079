"""Retrieval sets whose captions are a file beside a folder of pictures: COCO's and Flickr30k's, and their like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from oddpair.benchmarks.evaluation_set import COLUMNS, EvaluationSet
from oddpair.benchmarks.sets.annotations import find_annotations
from oddpair.benchmarks.sets.caption_files import ENDINGS, Captioned, read_captioned
from oddpair.benchmarks.sets.picture_files import choose_folder, corpus_of_files, find_missing, may_drop
from oddpair.benchmarks.sets.settings import require_known
from oddpair.errors import Refusal

LAYOUT = "captions"

_SETTINGS = ("split", "captions", "images", "missing")
_USUAL = 5
_ALL = "all"


def open_captions(path: Path, *, name: str, settings: Mapping[str, str]) -> EvaluationSet:
    """Open a retrieval set: every caption is read, no picture is.

    The file is Karpathy's (``dataset_coco.json``, ``dataset_flickr30k.json``), COCO's (``captions_val2014.json``), a JSON
    list of ``image`` and ``caption``, Flickr30k's ``.token``, or a table of ``image`` and ``caption`` with a row a caption.
    Captions are stripped, line ends and runs of white space in them are one space, and empty ones are left out;
    of what is left each picture keeps the first five, as the field does.

    Args:
        path: The file, or a folder with one such file.
        name: What the user calls the set.
        settings: ``split``: of Karpathy's file, ``test`` where it is left out. ``captions``: how many each picture
            keeps, 5 where it is left out, or ``all``. ``images``: folder of the pictures, relative to the file;
            left out, it is looked for beside the file and one level up. ``missing: drop`` goes without listed
            pictures that are not there, and recall is then of a smaller gallery; left out, they are an error.

    Returns:
        The set; its keys are names relative to the folder of the pictures, and its rows are sorted by them.

    Raises:
        Refusal: If a setting is unknown, the file is damaged, a picture is missing or without captions, or a name
            leads out of the folder of the pictures.

    References:
        Karpathy and Fei-Fei, CVPR 2015 (the splits). Chen et al., arXiv:1504.00325 (COCO captions). Young et al.,
        TACL 2, 2014 (Flickr30k).
    """
    require_known(settings, _SETTINGS, name=name, layout=LAYOUT)
    most = _read_most(settings, name)
    drop = may_drop(settings, name=name)
    files = find_annotations(path, ENDINGS)
    if len(files) > 1:
        raise Refusal(f"{path} holds {', '.join(file.name for file in files)}: name one of them")
    listed = read_captioned(files[0], settings.get("split"))
    kept = [tuple(caption for caption in one.captions if caption) for one in listed]
    bare = next((one for one, captions in zip(listed, kept, strict=True) if not captions), None)
    if bare is not None:
        raise Refusal(f"{bare.where}: {bare.spellings[0]} has no caption: give it one, or remove it")
    spellings = list(zip(*(one.spellings for one in listed), strict=True))
    root, names = choose_folder(files[0], settings.get("images"), _list_folders(files[0]), spellings)
    twice = len(names) - len(set(names))
    if twice:
        raise Refusal(
            f"{files[0]}: {twice:,} names of pictures come twice in {root}: give the folder above it"
        )
    missing = find_missing(root, names, drop=drop, because="recall is of a smaller gallery")
    rows = sorted((key, captions) for key, captions in zip(names, kept, strict=True) if key not in missing)
    column, kind = COLUMNS["retrieval"]
    return EvaluationSet(
        root=path,
        layout=LAYOUT,
        kind="retrieval",
        corpus=corpus_of_files(root, (key for key, _ in rows)),
        table=pa.table(
            {
                "key": pa.array([key for key, _ in rows], pa.string()),
                "style": pa.array([""] * len(rows), pa.string()),
                column: pa.array([captions[:most] for _, captions in rows], kind),
            }
        ),
        notes=_tell(listed, kept, most, len(missing)),
    )


def _read_most(settings: Mapping[str, str], name: str) -> int | None:
    text = settings.get("captions", str(_USUAL))
    if text == _ALL:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise Refusal(f"set {name}: captions is {text!r}, needed a whole number from 1, or {_ALL!r}")
    return int(text)


def _list_folders(file: Path) -> tuple[str, ...]:
    # Pictures of captions_val2014.json lie in val2014.
    own = file.stem.removeprefix("captions_")
    return ("", "images", "flickr30k-images", "flickr30k_images", *((own,) if own != file.stem else ()))


def _tell(
    listed: Sequence[Captioned], kept: Sequence[tuple[str, ...]], most: int | None, n_missing: int
) -> tuple[str, ...]:
    counts = [len(captions) for captions in kept]
    empty = sum(len(one.captions) for one in listed) - sum(counts)
    more = sum(max(0, count - most) for count in counts) if most else 0
    fewer = sum(count < (most or _USUAL) for count in counts)
    notes = {
        f"{n_missing:,} of {len(listed):,} listed pictures are missing: recall is of a smaller gallery": n_missing,
        f"{empty:,} captions are empty and left out": empty,
        f"{more:,} captions behind the first {most} of their picture are left out": more,
        f"{fewer:,} pictures have fewer than {most or _USUAL} captions": fewer,
    }
    return tuple(note for note, count in notes.items() if count)
