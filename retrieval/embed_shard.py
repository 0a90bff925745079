"""The work of one shard: decode and encode its pictures, or take over the rows that somebody else embedded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embed_layout import Kind, Record, part_path
from oddpair.retrieval.encoder import Encoder, load_encoder
from oddpair.retrieval.probe import check_encoder
from oddpair.retrieval.samples import Bad, EmbeddedSource, Sample
from oddpair.retrieval.stores import read_tag
from oddpair.retrieval.towers import Precision
from oddpair.workers import note_done, note_position

Digits = Literal["float16", "float32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """Which model embeds, and how: what ``load_encoder`` takes."""

    model: str
    pretrained: str | None = None
    precision: Precision = "fp32"
    exact: bool = False
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """One shard of a corpus to embed.

    Attributes:
        corpus: The corpus, of which no more than the shard need be there.
        shard: Name of the shard.
        size: Samples that it is said to hold.
        index: Its number in the whole corpus.
        n_shards: Shards of the whole corpus.
        out: Folder of the embeddings.
        tower: The model; ``None`` takes over embeddings that are there.
        width: Which of the embeddings to take over, by their dimension; ``None`` for the layout's choice.
        only_images: Whether to leave out captions and textures.
        dtype: Of the rows written.
        threads: Threads that decode ahead of a GPU; 0 decodes where the model runs.
        skip: Positions of pictures that are known to kill the decoder.
    """

    corpus: Corpus
    shard: str
    size: int
    index: int
    n_shards: int
    out: Path
    tower: Tower | None
    width: int | None = None
    only_images: bool = False
    dtype: Digits = "float16"
    threads: int = 0
    skip: tuple[int, ...] = ()

    @property
    def record(self) -> Path:
        """The file that is written last: with it the shard is complete."""
        return self.path("records")

    def path(self, kind: Kind) -> Path:
        """Where the part of this shard lies."""
        return part_path(self.out, kind, self.index, self.n_shards)


def embed_shard(job: ShardJob) -> int:
    """Embed one shard into ``job.out``: arrays, metadata and, last, the record that marks it complete.

    Args:
        job: What to embed.

    Returns:
        Rows that were set aside.

    Raises:
        Refusal: If the shard or the model is of a kind that is never right.
    """
    kept, bad = _take_over(job) if job.corpus.source.embedded else _encode(job)
    n_bad = sum(line.rows for line in bad)
    outside = job.size - len(kept.uids) - n_bad
    if outside < 0 or (outside and job.corpus.subset is None):
        raise Refusal(
            f"{job.corpus.root}: shard {job.shard} should hold {job.size:,} rows, and gave {len(kept.uids):,} good and "
            f"{n_bad:,} bad ones: it changes while it is read; run again when it does not"
        )
    files.write_table(
        job.path("metadata"),
        pa.table({"image_path": kept.keys, "caption": kept.captions, "uid": kept.uids}, schema=_METADATA),
    )
    record = Record(
        shard=job.shard,
        files=_hash_files(job),
        kinds=tuple(kept.kinds),
        seen=job.size,
        kept=len(kept.uids),
        outside=outside,
        bad=tuple(bad),
        encoder=kept.encoder,
    )
    files.write_json(job.record, asdict(record))
    return n_bad


_METADATA = pa.schema([("image_path", pa.string()), ("caption", pa.string()), ("uid", pa.string())])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the metadata of the rows that are kept is made of, and what the manifest says of the model."""

    keys: list[str]
    captions: list[str]
    uids: list[str]
    kinds: list[Kind]
    encoder: dict[str, str]


def _encode(job: ShardJob) -> tuple[_Kept, list[Bad]]:
    assert job.tower is not None
    encoder = encoder_of(job.tower)
    samples: list[Sample] = []
    bad: list[Bad] = []

    def images() -> Iterator[bytes]:
        for found in job.corpus.stream(job.shard):
            if isinstance(found, Bad):
                bad.append(found)
                continue
            # The picture itself is let go: a shard may hold more of them than memory does.
            place = len(samples)
            samples.append(Sample(**{**_fields(found), "image": b""}))
            yield b"" if place in job.skip else found.image

    places: list[int] = []
    reasons: list[tuple[int, str]] = []
    with _Writers(job) as write:
        for part in encoder.encode_files(
            images(),
            textures=not job.only_images,
            threads=job.threads,
            # Threads decode several at once, and none of these is the one to blame.
            before=None if job.threads else note_position,
            after=note_done,
        ):
            write("img_emb", part.image)
            write("texture", part.texture)
            places.extend(part.kept.tolist())
            reasons.extend(part.bad)
    for place, reason in reasons:
        sample = samples[place]
        bad.append(
            Bad(
                file=sample.file,
                row=sample.row,
                offset=sample.offset,
                uid=sample.uid,
                reason="kills the decoder" if place in job.skip else reason,
            )
        )
    chosen = [samples[place] for place in places]
    kinds = list(write.kinds)
    captions = [sample.caption for sample in chosen]
    if not job.only_images and job.corpus.source.captioned:
        kinds.append("text_emb")
        rows = encoder.encode_texts(captions or [""], after=note_done)[: len(captions)]
        files.write_array(job.path("text_emb"), rows.astype(job.dtype))
    return (
        _Kept(
            keys=[sample.key for sample in chosen],
            captions=captions,
            uids=[sample.uid for sample in chosen],
            kinds=kinds,
            encoder={"encoder_sha256": encoder.sha256, "preprocessing": encoder.preprocess.describe()},
        ),
        bad,
    )


def _take_over(job: ShardJob) -> tuple[_Kept, list[Bad]]:
    kept = _Kept(keys=[], captions=[], uids=[], kinds=[], encoder={})
    bad: list[Bad] = []
    source = cast("EmbeddedSource", job.corpus.source)
    with _Writers(job) as write:
        for part in source.vectors(job.shard, width=job.width):
            if job.tower is not None and not kept.uids:
                encoder = encoder_of(job.tower)
                # What cannot be checked is not certified.
                if check_encoder(part, encoder, made_by=source.encoder) != "unchecked":
                    kept.encoder["encoder_sha256"] = encoder.sha256
            bad.extend(line for line in part.bad if job.corpus.holds(line.uid))
            inside = np.arange(len(part.uids))
            if job.corpus.subset is not None:
                inside = np.flatnonzero(job.corpus.subset.find(part.uids))
            write("img_emb", part.image[inside])
            write("text_emb", part.text[inside])
            kept.keys.extend(part.keys[row] for row in inside)
            kept.captions.extend(part.captions[row] for row in inside)
            kept.uids.extend(part.uids[row] for row in inside)
            note_done(len(kept.uids))
        kept.kinds.extend(write.kinds)
    return kept, bad


def _hash_files(job: ShardJob) -> dict[str, str]:
    """Name the shard's files with their hashes; tars, which are too large to hash at opening, have been read here."""
    marks = job.corpus.source.identify(job.shard)
    root = job.corpus.root
    for name in (name for name in marks if name.endswith(".tar")):
        path = root / name
        found = files.sha256(path) if isinstance(path, Path) else read_tag(path)
        marks[name] = found or marks[name]
    return marks


def _fields(sample: Sample) -> dict[str, Any]:
    return {name: getattr(sample, name) for name in ("uid", "key", "caption", "file", "row", "offset")}


class _Writers(ExitStack):
    """Writes the arrays of a shard some rows at a time; a kind whose rows have no columns is none."""

    def __init__(self, job: ShardJob) -> None:
        super().__init__()
        self._job = job
        self._appends: dict[Kind, Callable[[NDArray[Any]], None]] = {}

    def __call__(self, kind: Kind, rows: NDArray[np.float32]) -> None:
        if not rows.shape[1]:
            return
        if kind not in self._appends:
            self._appends[kind] = self.enter_context(
                files.array_writer(self._job.path(kind), rows.shape[1], self._job.dtype)
            )
        self._appends[kind](rows.astype(self._job.dtype))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that have been written, in the order of their first rows."""
        return tuple(self._appends)


@functools.lru_cache(maxsize=2)
def encoder_of(tower: Tower) -> Encoder:
    """Load the encoder of a tower once a process, for one thread of arithmetic on the processor."""
    import torch

    if tower.device != "cpu" and not torch.cuda.is_available():
        raise Refusal(f"torch finds no GPU for --device {tower.device} here: leave the option out")
    encoder = load_encoder(
        tower.model, tower.pretrained, precision=tower.precision, exact=tower.exact, device=tower.device
    )
    if tower.device == "cpu":
        # Two processes of one thread beat one process of two, and a sum has the same order each time.
        torch.set_num_threads(1)
    return encoder
