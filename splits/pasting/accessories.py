"""Accessories: pictures of single objects by concept, cut out once, and divided into train and eval by their pixels."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oddpair import files
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.pictures import BadPicture
from oddpair.retrieval.samples import REPEATED, Bad
from oddpair.retrieval.words import normalise
from oddpair.splits.pasting.labels import choose_label
from oddpair.splits.pasting.masks import Layers, NoObjectError, cut_layers, read_layers
from oddpair.workers import NOWHERE, note_done, note_position

Part = Literal["train", "eval", "all"]
CUTOUTS = "cutouts"
# Of five pictures one is for evaluation.
_EVAL_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Accessory:
    """An object that can be pasted.

    Attributes:
        concept: Its name in normal form.
        sha256: Of the pixels that it was cut from, see ``hash_layers``; names the file of the cut-out.
    """

    concept: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accessories:
    """What pictures of accessories gave; kept, those of the other part, unusable and bad rows add up to all.

    Attributes:
        kept: Those of the part asked for, sorted by concept and file.
        other_part: How many belong to the other part.
        unusable: Pictures of which no object could be cut, as (name, reason).
        bad: What was set aside.
    """

    kept: tuple[Accessory, ...]
    other_part: int
    unusable: tuple[tuple[str, str], ...]
    bad: tuple[Bad, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutJob:
    """One shard of accessories.

    Attributes:
        corpus: The accessories of this shard alone.
        shard: Its name.
        size: Rows in it.
        record: File that is written last: with it the shard is complete.
        out: Folder of the cut-outs.
        part: Which accessories are wanted.
        skip: Positions of pictures that kill the decoder.
    """

    corpus: Corpus
    shard: str
    size: int
    record: Path
    out: Path
    part: Part
    skip: tuple[int, ...] = ()


def part_of(sha256: str) -> Literal["train", "eval"]:
    """Say which part an accessory belongs to, by the SHA-256 of its pixels alone: no picture is ever in both.

    >>> part_of("0" * 64), part_of("f" * 64)
    ('eval', 'train')
    """
    return "eval" if int(sha256[:8], 16) < _EVAL_SHARE * 2**32 else "train"


def hash_layers(layers: Layers) -> str:
    """Return the SHA-256 of a decoded picture: of its height and width, eight bytes each, and its pixels.

    Files of one picture that differ in their comments or in how they are packed have one hash.
    """
    size = np.array(layers.shape[:2], "<u8")
    return hashlib.sha256(size.tobytes() + np.ascontiguousarray(layers).tobytes()).hexdigest()


def cut_accessories(corpus: Corpus, out: Path, parts: Path, part: Part, *, workers: int) -> Accessories:
    """Cut the objects out of all accessories, into ``out/cutouts/SHA256.png``; a killed run goes on.

    Args:
        corpus: Pictures of single objects: in a folder for each concept, or with a column that names it.
        out: Folder to write.
        parts: Folder of what a killed run goes on from.
        part: Which of them are wanted.
        workers: Processes; the result does not depend on them.

    Returns:
        What was found.

    Raises:
        Refusal: If nothing says which concept a picture shows, or no accessory of the part is left.
    """
    choose_label(corpus, None)
    jobs = [
        CutJob(
            corpus=corpus.only(shard),
            shard=shard,
            size=size,
            record=parts / "accessories" / f"{number:05d}.json",
            out=out / CUTOUTS,
            part=part,
        )
        for number, (shard, size) in enumerate(zip(corpus.shards, corpus.sizes, strict=True))
    ]
    run_jobs(
        cut_shard,
        jobs,
        workers=workers,
        title="cut out accessories",
        unit="pictures",
        size=lambda job: max(job.size, 1),
        partial=lambda job: job.record,
        blame=_skip if workers > 1 else None,
        set_aside=int,
    )
    records = [files.read_json(job.record) for job in jobs]
    found: dict[tuple[str, str], Accessory] = {}
    bad = [Bad(**line) for record in records for line in record["bad"]]
    for record in records:
        for line in record["kept"]:
            accessory = Accessory(concept=line["concept"], sha256=line["sha256"])
            if (accessory.concept, accessory.sha256) in found:
                bad.append(Bad(file=line["file"], row=line["row"], reason=REPEATED))
            found[accessory.concept, accessory.sha256] = accessory
    unusable = sorted((str(name), str(reason)) for record in records for name, reason in record["unusable"])
    if not found:
        first = unusable[0] if unusable else (bad[0].file, bad[0].reason) if bad else None
        told = f" (the first that is not: {first[0]}: {first[1]})" if first else ""
        raise Refusal(
            f"{corpus.root} gives no accessory for the part '{part}'{told}: give pictures of single objects with "
            "transparency or a plain background, in a folder for each concept"
        )
    return Accessories(
        kept=tuple(found[key] for key in sorted(found)),
        other_part=sum(record["other_part"] for record in records),
        unusable=tuple(unusable),
        bad=tuple(bad),
    )


def cut_shard(job: CutJob) -> int:
    """Cut the objects out of the accessories of one shard, and return how many rows were set aside."""
    labels = choose_label(job.corpus, None)(job.shard)
    kept: list[dict[str, str | int | None]] = []
    unusable: list[tuple[str, str]] = []
    bad: list[Bad] = []
    others = 0
    for position, sample in enumerate(job.corpus.stream(job.shard)):
        if isinstance(sample, Bad):
            bad.append(sample)
            continue
        note_position(position)
        try:
            if position in job.skip:
                raise BadPicture("kills the decoder")
            layers = read_layers(sample.image)
            sha256 = hash_layers(layers)
            if job.part not in ("all", part_of(sha256)):
                others += 1
                note_done(position)
                continue
            cut = _cut_one(layers, labels.get(sample.key, []))
        except NoObjectError as error:
            unusable.append((sample.file or sample.key, str(error)))
            continue
        except BadPicture as error:
            bad.append(
                Bad(file=sample.file, row=sample.row, offset=sample.offset, uid=sample.uid, reason=str(error))
            )
            continue
        note_done(position)
        files.write_bytes(job.out / f"{sha256}.png", encode_png(cut))
        kept.append(
            {
                "concept": normalise(labels[sample.key][0]),
                "sha256": sha256,
                "file": sample.file or sample.key,
                "row": sample.row,
            }
        )
    files.write_json(
        job.record,
        {"kept": kept, "other_part": others, "unusable": unusable, "bad": [asdict(line) for line in bad]},
    )
    return sum(line.rows for line in bad)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels as PNG, the same bytes for the same pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=6)
    return file.getvalue()


def _cut_one(layers: Layers, names: list[str]) -> Layers:
    if len(names) != 1:
        raise NoObjectError(f"names {len(names)} concepts, needed one")
    return cut_layers(layers)


def _skip(job: CutJob, position: int) -> CutJob:
    return job if position == NOWHERE else replace(job, skip=(*job.skip, position))
