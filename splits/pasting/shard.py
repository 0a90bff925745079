"""Paste objects into the pictures of one shard, and write what comes of it some pictures at a time."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embed_layout import quarantine_line
from oddpair.retrieval.formats.shards import write_shard
from oddpair.retrieval.pictures import BadPicture, Pixels, decode_pixels
from oddpair.retrieval.samples import Bad, Sample
from oddpair.splits.pasting.accessories import Accessory, Part, encode_png
from oddpair.splits.pasting.choice import Choice, Menu, read_menu, rng_of
from oddpair.splits.pasting.labels import choose_label
from oddpair.splits.pasting.paste import Box, DoesNotFitError, fit_box, paste_object, place_box
from oddpair.workers import note_done, note_position

PAIRS_FILE = "pairs.parquet"
ACCESSORIES_FILE = "accessories.json"
# Pictures, or bytes of them, in a shard that is written.
_MOST_PICTURES = 1000
_MOST_BYTES = 1 << 28

_COLUMNS = pa.schema(
    [
        ("uid", pa.string()),
        ("concepts", pa.list_(pa.string())),
        ("label", pa.string()),
        ("base_uid", pa.string()),
        ("accessory_sha256", pa.string()),
        ("box", pa.list_(pa.int32())),
        ("band", pa.string()),
        ("tail", pa.string()),
        ("part", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastePlan:
    """How objects are pasted.

    Attributes:
        area: Share of the picture's area that the object's box has.
        step: Distance of the grid's lines in pixels; ``None`` for 100, less in small pictures.
        part: Which accessories are used.
        column: Column of the concept that a picture shows; ``None`` to look for it.
        seed: Of all choices.
    """

    area: float = 0.1
    step: int | None = None
    part: Part = "all"
    column: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not 0 < self.area <= 1:
            raise Refusal(f"--area is {self.area}: it must be above 0 and at most 1")
        if self.step is not None and self.step < 1:
            raise Refusal(f"--step is {self.step}: it must be 1 pixel or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class PasteJob:
    """One shard to paste into.

    Attributes:
        corpus: The corpus of this shard alone.
        shard: Its name.
        size: Rows in it.
        number: Its place among the shards.
        parts: Folder of what is not yet put together, with the pairs and accessories of the run.
        cutouts: Folder of the cut-outs.
        plan: How to paste.
        skip: Positions of pictures that kill the decoder.
    """

    corpus: Corpus
    shard: str
    size: int
    number: int
    parts: Path
    cutouts: Path
    plan: PastePlan
    skip: tuple[int, ...] = ()

    @property
    def record(self) -> Path:
        """The file that is written last: with it the shard is complete."""
        return self.part("records", "json")

    @property
    def folder(self) -> Path:
        """Where the shards that are made of this one lie until all are put together."""
        return self.parts / "shards" / f"{self.number:05d}"

    def part(self, name: str, ending: str) -> Path:
        """Where some file of this job lies."""
        return self.parts / name / f"{self.number:05d}.{ending}"


def paste_shard(job: PasteJob) -> int:
    """Paste into the pictures of one shard; every row of it is pasted into, skipped with a reason, or set aside.

    Args:
        job: What to do.

    Returns:
        Rows set aside.

    Raises:
        Refusal: If the shard is of a kind that is never right, or changes while it is read.
    """
    labels = choose_label(job.corpus, job.plan.column)(job.shard)
    accessories = [Accessory(**one) for one in files.read_json(job.parts / ACCESSORIES_FILE)]
    menu = read_menu(
        files.read_table(job.parts / PAIRS_FILE),
        accessories,
        {name for names in labels.values() for name in names},
    )
    out = _Output(job=job)
    for position, found in enumerate(job.corpus.stream(job.shard)):
        if isinstance(found, Bad):
            out.bad.append(found)
        elif position in job.skip:
            out.set_aside(found, "kills the decoder")
        else:
            note_position(position)
            _paste_into(found, labels.get(found.key, []), menu, out)
            note_done(position)
    out.flush()
    n_bad = sum(line.rows for line in out.bad)
    outside = job.size - out.pasted - out.without - n_bad
    if outside < 0 or (outside and job.corpus.subset is None):
        raise Refusal(
            f"{job.corpus.root}: shard {job.shard} should hold {job.size:,} rows, and gave {job.size - outside:,}: it "
            "changes while it is read; run again when it does not"
        )
    files.write_text(
        job.part("quarantine", "jsonl"), "".join(f"{quarantine_line(line)}\n" for line in out.bad)
    )
    files.write_text(job.part("skipped", "jsonl"), "".join(f"{line}\n" for line in out.skipped))
    files.write_json(
        job.record,
        {
            "seen": job.size,
            "outside": outside,
            "pasted": out.pasted,
            "without": out.without,
            "shards": out.shards,
            "pictures": dict(out.pictures),
            "skipped": dict(out.reasons),
            "quarantined": dict(sum((Counter({line.reason: line.rows}) for line in out.bad), Counter())),
            "lost": sum(line.rows == 0 for line in out.bad),
        },
    )
    return n_bad


@dataclass(slots=True, kw_only=True)
class _Output:
    """What has come of a shard so far; pictures are written as soon as there are many."""

    job: PasteJob
    pasted: int = 0
    without: int = 0
    shards: list[int] = field(default_factory=list)
    pictures: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    bad: list[Bad] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _captions: list[str] = field(default_factory=list)
    _images: list[bytes] = field(default_factory=list)

    def set_aside(self, sample: Sample, reason: str) -> None:
        """Note a row that is damaged."""
        self.bad.append(
            Bad(file=sample.file, row=sample.row, offset=sample.offset, uid=sample.uid, reason=reason)
        )

    def skip(self, sample: Sample, reason: str, choice: Choice | None = None) -> None:
        """Note that nothing is pasted into a picture, for one band or at all."""
        told = {"uid": sample.uid, "key": sample.key, "reason": reason}
        if choice is not None:
            told |= {
                "band": choice.band,
                "concept": choice.accessory.concept,
                "sha256": choice.accessory.sha256,
            }
        self.skipped.append(json.dumps(told, sort_keys=True))
        self.reasons[reason] += 1

    def add(self, row: dict[str, Any], caption: str, image: bytes) -> None:
        """Take a picture that was made."""
        self._rows.append(row)
        self._captions.append(caption)
        self._images.append(image)
        self.pictures[row["band"]] += 1
        if len(self._images) >= _MOST_PICTURES or sum(map(len, self._images)) >= _MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered as a shard."""
        if not self._rows:
            return
        first = sum(self.shards)
        write_shard(
            self.job.folder,
            len(self.shards),
            keys=[f"{self.job.number:05d}{first + row:07d}" for row in range(len(self._rows))],
            captions=self._captions,
            images=self._images,
            columns=pa.Table.from_pylist(self._rows, _COLUMNS),
            extension="png",
        )
        self.shards.append(len(self._rows))
        self._rows, self._captions, self._images = [], [], []


def _paste_into(sample: Sample, names: Sequence[str], menu: Menu, out: _Output) -> None:
    plan = out.job.plan
    choices = menu.choose(names, sample.uid, plan.seed)
    if isinstance(choices, str):
        out.without += 1
        out.skip(sample, choices)
        return
    try:
        pixels = decode_pixels(sample.image)
    except BadPicture as error:
        out.set_aside(sample, str(error))
        return
    made = 0
    for choice in choices:
        cut = _load_cut(out.job.cutouts / f"{choice.accessory.sha256}.png")
        try:
            box = _choose_box(pixels, cut, choice, sample.uid, plan)
        except DoesNotFitError as error:
            out.skip(sample, str(error), choice)
            continue
        image = encode_png(paste_object(pixels, cut, box))
        # A picture without a caption could not be read again with those that have one.
        out.add(_describe(sample, names[0], choice, box, plan), sample.caption or names[0], image)
        made += 1
    out.pasted += made > 0
    out.without += made == 0


def _choose_box(pixels: Pixels, cut: NDArray[np.uint8], choice: Choice, uid: str, plan: PastePlan) -> Box:
    picture = (pixels.shape[1], pixels.shape[0])
    size = fit_box(picture, (cut.shape[1], cut.shape[0]), plan.area)
    return place_box(picture, size, plan.step, rng_of(plan.seed, uid, choice.band, "place"))


def _describe(sample: Sample, label: str, choice: Choice, box: Box, plan: PastePlan) -> dict[str, Any]:
    made_from = (sample.uid, choice.band, choice.accessory.sha256, *map(str, box))
    return {
        "uid": hashlib.blake2b("\0".join(made_from).encode(), digest_size=16).hexdigest(),
        "concepts": [label, choice.accessory.concept],
        "label": label,
        "base_uid": sample.uid,
        "accessory_sha256": choice.accessory.sha256,
        "box": list(box),
        "band": choice.band,
        "tail": choice.tail,
        "part": plan.part,
    }


@functools.lru_cache(maxsize=256)
def _load_cut(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.array(picture)


def as_json(accessories: Sequence[Accessory]) -> list[dict[str, str]]:
    """Return accessories as JSON values, for ``ACCESSORIES_FILE``."""
    return [asdict(accessory) for accessory in accessories]
