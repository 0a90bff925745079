"""The work of one shard: decode and encode its pictures, or take over the rows that somebody else embedded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.embed_layout import Kind, Record, part_path
from oddpair.retrieval.encoder import Encoder, load_encoder
from oddpair.retrieval.probe import check_encoder
from oddpair.retrieval.samples import Bad, EmbeddedSource, Sample
from oddpair.retrieval.towers import Precision
from oddpair.workers import note_position


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
        corpus: The corpus.
        index: Number of the shard in it.
        out: Folder of the embeddings.
        tower: The model; ``None`` takes over embeddings that are there.
        width: Which of the embeddings to take over, by their dimension; ``None`` for the layout's choice.
        only_images: Whether to leave out captions and textures.
        threads: Threads that decode ahead of a GPU; 0 decodes where the model runs.
        skip: Positions of pictures that are known to kill the decoder.
    """

    corpus: Corpus
    index: int
    out: Path
    tower: Tower | None
    width: int | None = None
    only_images: bool = False
    threads: int = 0
    skip: tuple[int, ...] = ()

    @property
    def shard(self) -> str:
        """Name of the shard."""
        return self.corpus.shards[self.index]

    @property
    def size(self) -> int:
        """Samples that the shard is said to hold."""
        return self.corpus.sizes[self.index]

    @property
    def record(self) -> Path:
        """The file that is written last: with it the shard is complete."""
        return self.path("records")

    def path(self, kind: Kind) -> Path:
        """Where the part of this shard lies."""
        return part_path(self.out, kind, self.index, len(self.corpus.shards))


def embed_shard(job: ShardJob) -> None:
    """Embed one shard into ``job.out``: arrays, metadata and, last, the record that marks it complete.

    Args:
        job: What to embed.

    Raises:
        Refusal: If the shard or the model is of a kind that is never right.
    """
    kept, bad = _take_over(job) if job.corpus.source.embedded else _encode(job)
    n_bad = sum(line.rows for line in bad)
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
        outside=job.size - len(kept.uids) - n_bad,
        bad=tuple(bad),
    )
    files.write_json(job.record, asdict(record))


_METADATA = pa.schema([("image_path", pa.string()), ("caption", pa.string()), ("uid", pa.string())])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the metadata of the rows that are kept is made of."""

    keys: list[str]
    captions: list[str]
    uids: list[str]
    kinds: list[Kind]


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

    encoded = encoder.encode_files(
        images(), textures=not job.only_images, threads=job.threads, before=note_position
    )
    for place, reason in encoded.bad:
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
    chosen = [samples[place] for place in encoded.kept.tolist()]
    kinds: list[Kind] = ["img_emb"]
    _write(job, "img_emb", encoded.image)
    captions = [sample.caption for sample in chosen]
    if not job.only_images:
        kinds.append("texture")
        _write(job, "texture", encoded.texture)
        if job.corpus.source.captioned:
            kinds.append("text_emb")
            _write(job, "text_emb", encoder.encode_texts(captions or [""])[: len(captions)])
    return (
        _Kept(
            keys=[sample.key for sample in chosen],
            captions=captions,
            uids=[sample.uid for sample in chosen],
            kinds=kinds,
        ),
        bad,
    )


def _take_over(job: ShardJob) -> tuple[_Kept, list[Bad]]:
    kept = _Kept(keys=[], captions=[], uids=[], kinds=[])
    bad: list[Bad] = []
    source = cast("EmbeddedSource", job.corpus.source)
    with ExitStack() as open_files:
        writers: dict[Kind, Callable[[NDArray[Any]], None]] = {}
        for part in source.vectors(job.shard, width=job.width):
            if job.tower is not None and not kept.uids:
                check_encoder(part, encoder_of(job.tower), made_by=source.encoder)
            bad.extend(part.bad)
            inside = np.arange(len(part.uids))
            if job.corpus.subset is not None:
                inside = np.flatnonzero(job.corpus.subset.find(part.uids))
            pairs: tuple[tuple[Kind, NDArray[np.float32]], ...] = (
                ("img_emb", part.image),
                ("text_emb", part.text),
            )
            for kind, rows in pairs:
                if not rows.shape[1]:
                    continue
                if kind not in writers:
                    writers[kind] = open_files.enter_context(
                        files.array_writer(job.path(kind), rows.shape[1], np.float16)
                    )
                writers[kind](rows[inside].astype(np.float16))
            kept.keys.extend(part.keys[row] for row in inside)
            kept.captions.extend(part.captions[row] for row in inside)
            kept.uids.extend(part.uids[row] for row in inside)
        kept.kinds.extend(writers)
    return kept, bad


def _hash_files(job: ShardJob) -> dict[str, str]:
    """Name the shard's files with their hashes; tars, which are too large to hash at opening, have been read here."""
    marks = job.corpus.source.identify(job.shard)
    root = job.corpus.root
    if isinstance(root, Path):
        marks.update({name: files.sha256(root / name) for name in marks if name.endswith(".tar")})
    return marks


def _fields(sample: Sample) -> dict[str, Any]:
    return {name: getattr(sample, name) for name in ("uid", "key", "caption", "file", "row", "offset")}


def _write(job: ShardJob, kind: Kind, rows: NDArray[np.float32]) -> None:
    files.write_array(job.path(kind), rows.astype(np.float16))


@functools.lru_cache(maxsize=2)
def encoder_of(tower: Tower) -> Encoder:
    """Load the encoder of a tower once a process, for one thread of arithmetic on the processor."""
    import torch

    encoder = load_encoder(
        tower.model, tower.pretrained, precision=tower.precision, exact=tower.exact, device=tower.device
    )
    if tower.device == "cpu":
        # Two processes of one thread beat one process of two, and a sum has the same order each time.
        torch.set_num_threads(1)
    return encoder
