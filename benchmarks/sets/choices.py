"""Two-choice sets: questions of one or two pictures and several captions (SugarCrepe, Winoground, ARO, anybody's)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from oddpair.benchmarks.evaluation_set import QUESTIONS, EvaluationSet
from oddpair.benchmarks.sets.choice_files import Choice, read_choices
from oddpair.benchmarks.sets.crops import name_crop, write_crops
from oddpair.benchmarks.sets.picture_files import choose_folder, corpus_of_files, find_missing, may_drop
from oddpair.benchmarks.sets.settings import require_known
from oddpair.errors import Refusal

LAYOUT = "choices"

_SETTINGS = ("images", "missing", "crops")
_FOLDERS = ("", "images", "val2017")


def open_choices(path: Path, *, name: str, settings: Mapping[str, str]) -> EvaluationSet:
    """Open a two-choice set: every question is read and, but for boxes that are not cut out yet, no picture is.

    ============  ==========================================================================  ==================
    layout        what a question is                                                          category
    ============  ==========================================================================  ==================
    SugarCrepe    ``.json`` by key: ``filename``, ``caption``, ``negative_caption``           name of the file
    Winoground    ``examples.jsonl``: ``id``, ``image_0``, ``image_1``, ``caption_0``,        ``collapsed_tag``
                  ``caption_1``
    ARO           ``.json`` list: ``image_path``, ``true_caption``, ``false_caption`` and     relation, or both
                  ``bbox_x``, ``bbox_y``, ``bbox_w``, ``bbox_h``                              attributes
    ARO's orders  ``.json`` list: ``image``, ``caption_options``, the right one first         none
    our own       JSON lines or ``.csv``: ``question``, ``images`` (one, or two joined by     ``category``
                  ``|``), ``captions`` or ``caption_0``, ``caption_1``, ...
    ============  ==========================================================================  ==================

    White space in captions is cleaned as in retrieval sets. ARO scores the part of a picture in the question's box:
    such parts are cut out at the first opening, which decodes pictures and takes minutes for tens of thousands, and
    found again later. The box is laid on the picture as the suite decodes it, turned upright; ARO's reader does not
    turn pictures by their EXIF.

    Args:
        path: The file, a folder of SugarCrepe's files, or a folder with ``examples.jsonl``.
        name: What the user calls the set.
        settings: ``images``: folder of the pictures, relative to the file; left out, it is looked for beside the
            file and one level up. ``missing: drop`` leaves out questions whose pictures are not there; left out, they
            are an error. ``crops``: where boxes are, the folder that their contents are written to, relative to
            the file.

    Returns:
        The set; its keys are names relative to the folder of the pictures, or of the crops.

    Raises:
        Refusal: If a setting is unknown, lacking or of no use, a file is damaged, a picture is missing, or a name
            leads out of the folder of the pictures.

    References:
        Hsieh et al., arXiv:2306.14610 (SugarCrepe). Thrush et al., arXiv:2204.03162 (Winoground). Yuksekgonul et al.,
        arXiv:2210.01936 (ARO).
    """
    require_known(settings, _SETTINGS, name=name, layout=LAYOUT)
    drop = may_drop(settings, name=name)
    choices = read_choices(path)
    boxed = choices[0].box is not None
    if boxed != ("crops" in settings):
        raise Refusal(
            f"set {name}: {path} asks about boxes in its pictures: name a folder for their contents with 'crops'"
            if boxed
            else f"set {name}: {path} has no boxes: leave out 'crops'"
        )
    names = sorted({image for choice in choices for image in choice.images})
    root, _ = choose_folder(path, settings.get("images"), _FOLDERS, [names])
    missing = find_missing(root, names, drop=drop, because="their questions are left out")
    kept = [choice for choice in choices if missing.isdisjoint(choice.images)]
    if not kept:
        raise Refusal(f"set {name}: no question is left of {path}, each lacks a picture: fetch them")
    keys = [_name_pictures(choice) for choice in kept]
    if boxed:
        crops = (path if path.is_dir() else path.parent) / settings["crops"]
        write_crops(
            root, crops, [(choice.images[0], choice.box) for choice in kept if choice.box is not None]
        )
        root = crops
    rows = sorted({key for pictures in keys for key in pictures})
    return EvaluationSet(
        root=path,
        layout=LAYOUT,
        kind="choice",
        corpus=corpus_of_files(root, rows),
        table=pa.table(
            {"key": pa.array(rows, pa.string()), "style": pa.array([""] * len(rows), pa.string())}
        ),
        questions=pa.table(
            {
                "question": [choice.question for choice in kept],
                "images": keys,
                "captions": [choice.captions for choice in kept],
                "category": [choice.category for choice in kept],
            },
            schema=QUESTIONS,
        ),
        notes=_tell(choices, kept, len(missing)),
    )


def _name_pictures(choice: Choice) -> tuple[str, ...]:
    box = choice.box
    return choice.images if box is None else tuple(name_crop(image, box) for image in choice.images)


def _tell(choices: Sequence[Choice], kept: Sequence[Choice], n_missing: int) -> tuple[str, ...]:
    alike = sum(len(set(choice.captions)) < len(choice.captions) for choice in kept)
    dropped = len(choices) - len(kept)
    notes = {
        f"{n_missing:,} listed pictures are missing, and {dropped:,} of {len(choices):,} questions left out": n_missing,
        f"{alike:,} questions have two captions that are the same, which no model can tell apart": alike,
    }
    return tuple(note for note, count in notes.items() if count)
