"""Embed corpora into shards that never need to be made again, in clip-retrieval's layout."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.retrieval.corpus import Corpus, Rows
from oddpair.retrieval.encoder import Encoder, identify_encoder, load_encoder
from oddpair.retrieval.pictures import BadPicture, decode_picture

QUARANTINE_SCHEMA = pa.schema([("shard", pa.string()), ("uid", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """An embedded corpus in memory, all rows in shard order.

    Attributes:
        uids: Ids, length ``n``.
        captions: Captions, length ``n``.
        image: Unit rows, float32, shape ``(n, d)``.
        text: Unit rows of the captions, float32, shape ``(n, d)``; ``(n, 0)`` if only pictures were embedded.
        texture: Style statistics, float32, shape ``(n, t)``; ``(n, 0)`` likewise.
        encoder: sha256 of the encoder's weights.
    """

    uids: tuple[str, ...]
    captions: tuple[str, ...]
    image: NDArray[np.float32]
    text: NDArray[np.float32]
    texture: NDArray[np.float32]
    encoder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedTask:
    """One corpus to embed with one model into one folder; ``only_images`` leaves out captions and textures."""

    corpus: Corpus
    out: Path
    model: str
    pretrained: str | None = None
    only_images: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    corpus: Corpus
    shard: str
    rows: int
    index: int
    out: Path
    model: str
    pretrained: str | None
    only_images: bool


def embed_corpora(tasks: Sequence[EmbedTask], *, workers: int, title: str = "embed") -> None:
    """Embed corpora, shard by shard over one pool of processes; what is embedded already is kept.

    Writes ``img_emb``, ``text_emb``, ``texture`` (float16 npy), ``metadata`` (``image_path``, ``caption``,
    ``uid``), ``quarantine`` (``shard``, ``uid``, ``reason`` of pictures that cannot be decoded; parquet) with
    one file a shard, such as ``quarantine/quarantine_0000.parquet``, and ``manifest.json``. The bytes do not
    depend on the number of workers or on interruptions.

    Args:
        tasks: What to embed with what into which folder.
        workers: Processes.
        title: Of the progress bar.

    Raises:
        Refusal: If a model or corpus is unusable, or the folder was made from another model or corpus.
    """
    try:
        _embed_corpora(tasks, workers, title)
    except Refusal:
        for task in tasks:
            stages.abandon(task.out)
        raise


def _embed_corpora(tasks: Sequence[EmbedTask], workers: int, title: str) -> None:
    pending: list[EmbedTask] = []
    jobs: list[_Job] = []
    for task in tasks:
        made_from = {
            "corpus": fingerprint(task.corpus),
            "model": identify_encoder(task.model, task.pretrained),
            "only_images": task.only_images,
        }
        if not stages.begin(task.out, made_from):
            continue
        pending.append(task)
        jobs.extend(
            _Job(
                corpus=task.corpus,
                shard=shard,
                rows=rows,
                index=index,
                out=task.out,
                model=task.model,
                pretrained=task.pretrained,
                only_images=task.only_images,
            )
            for index, (shard, rows) in enumerate(zip(task.corpus.shards, task.corpus.sizes, strict=True))
            if not _is_complete(task, index)
        )
    if jobs:
        run_jobs(
            _embed_shard, jobs, workers=min(workers, len(jobs)), title=title, unit="rows", size=_job_rows
        )
    for task in pending:
        _finish(task)


def load_embeddings(folder: Path) -> Embeddings:
    """Read an embedding folder, every part checked against its neighbours.

    Raises:
        Refusal: If the folder is no finished embedding, or a part has other rows or another dimension than
            its metadata and manifest say.
    """
    manifest = files.read_json(folder / "manifest.json")
    parts: dict[str, list[NDArray[np.float16]]] = {"img_emb": [], "text_emb": [], "texture": []}
    uids: list[str] = []
    captions: list[str] = []
    for index, rows in enumerate(manifest["rows"]):
        table = files.read_table(_path(folder, "metadata", index))
        if len(table) != rows:
            raise Refusal(
                f"{_path(folder, 'metadata', index)} has {len(table)} rows, its manifest says {rows}: embed again"
            )
        uids.extend(table["uid"].to_pylist())
        captions.extend(table["caption"].to_pylist())
        for kind, found in parts.items():
            if kind not in manifest["dimensions"]:
                found.append(np.empty((rows, 0), dtype=np.float16))
                continue
            path = _path(folder, kind, index)
            part = files.read_array(path)
            needed = (rows, manifest["dimensions"][kind])
            if part.shape != needed or part.dtype != np.float16:
                raise Refusal(
                    f"{path} holds {part.dtype} of shape {part.shape}, its manifest says float16 of {needed}: embed again"
                )
            found.append(part)
    joined = {kind: np.concatenate(found).astype(np.float32) for kind, found in parts.items()}
    return Embeddings(
        uids=tuple(uids),
        captions=tuple(captions),
        image=joined["img_emb"],
        text=joined["text_emb"],
        texture=joined["texture"],
        encoder=manifest["encoder_sha256"],
    )


def fingerprint(corpus: Corpus) -> str:
    """Return a hash of everything that an embedding of the corpus depends on, without opening a picture.

    For shards: names, sizes of the tars and the content of the parquet files, which hold the hash of every
    picture; for a folder: the ids, which are hashes of the pictures, and the captions.
    """
    if corpus.listing is not None:
        table = corpus.metadata()
        return files.digest([corpus.layout, table["uid"].to_pylist(), table["caption"].to_pylist()])
    parts = [
        [shard, (corpus.root / f"{shard}.tar").stat().st_size, files.sha256(corpus.root / f"{shard}.parquet")]
        for shard in corpus.shards
    ]
    return files.digest([corpus.layout, parts])


def _embed_shard(job: _Job) -> None:
    encoder = _encoder(job.model, job.pretrained)
    rows = job.corpus.read(job.shard)
    kept: list[int] = []
    bad: list[dict[str, str]] = []
    pictures = _decode_pictures(rows, kept, bad)
    # A blank picture gives a shard without any other the shapes of its empty arrays.
    first = next(pictures, Image.new("RGB", (8, 8)))
    image, texture = encoder.encode_pictures(itertools.chain([first], pictures), textures=not job.only_images)
    image, texture = image[: len(kept)], texture[: len(kept)]
    captions = [rows.captions[row] for row in kept]
    files.write_array(_path(job.out, "img_emb", job.index), image.astype(np.float16))
    if not job.only_images:
        files.write_array(_path(job.out, "texture", job.index), texture.astype(np.float16))
        text = encoder.encode_texts(captions or [""])[: len(kept)]
        files.write_array(_path(job.out, "text_emb", job.index), text.astype(np.float16))
    files.write_table(
        _path(job.out, "quarantine", job.index), pa.Table.from_pylist(bad, schema=QUARANTINE_SCHEMA)
    )
    # Last: a shard with metadata is a shard that is complete.
    files.write_table(
        _path(job.out, "metadata", job.index),
        pa.table(
            {
                "image_path": [rows.keys[row] for row in kept],
                "caption": captions,
                "uid": [rows.uids[row] for row in kept],
            }
        ),
    )


def _decode_pictures(rows: Rows, kept: list[int], bad: list[dict[str, str]]) -> Iterator[Image.Image]:
    """Decode a shard one picture at a time, noting rows that are pictures in ``kept`` and others in ``bad``."""
    for row, data in enumerate(rows.images):
        try:
            picture = decode_picture(data)
        except BadPicture as error:
            bad.append({"shard": rows.shard, "uid": rows.uids[row], "reason": str(error)})
            continue
        kept.append(row)
        yield picture


def _finish(task: EmbedTask) -> None:
    encoder = _encoder(task.model, task.pretrained)
    count = len(task.corpus.shards)
    kinds = ("img_emb", *(() if task.only_images else ("texture", "text_emb")))
    dimensions = {kind: int(files.read_array(_path(task.out, kind, 0)).shape[1]) for kind in kinds}
    rows = [
        len(files.read_table(_path(task.out, "metadata", index), columns=["uid"])) for index in range(count)
    ]
    if not any(rows):
        reason = files.read_table(_path(task.out, "quarantine", 0))["reason"][0]
        raise Refusal(
            f"{task.corpus.root}: none of its {len(task.corpus):,} pictures can be decoded (the first: {reason}): "
            f"check that these are pictures, and delete {task.out}"
        )
    files.write_json(
        task.out / "manifest.json",
        {
            # The name alone: the same model elsewhere gives the same bytes.
            "encoder": Path(task.model).name,
            "encoder_sha256": encoder.sha256,
            "preprocessing": str(encoder.preprocess),
            "corpus": fingerprint(task.corpus),
            "shards": list(task.corpus.shards),
            "rows": rows,
            "quarantined": len(task.corpus) - sum(rows),
            "dimensions": dimensions,
        },
    )
    stages.finish(task.out)


def _path(folder: Path, kind: str, index: int) -> Path:
    ending = "parquet" if kind in ("metadata", "quarantine") else "npy"
    return folder / kind / f"{kind}_{index:04d}.{ending}"


def _is_complete(task: EmbedTask, index: int) -> bool:
    kinds = ("metadata", "quarantine", "img_emb", *(() if task.only_images else ("texture", "text_emb")))
    return all(_path(task.out, kind, index).is_file() for kind in kinds)


def _job_rows(job: _Job) -> int:
    return job.rows


@functools.lru_cache(maxsize=2)
def _encoder(model: str, pretrained: str | None) -> Encoder:
    import torch

    encoder = load_encoder(model, pretrained)
    # Two processes of one thread beat one process of two, and a sum has the same order each time.
    torch.set_num_threads(1)
    return encoder
