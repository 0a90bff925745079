"""Embed corpora into shards that never need to be made again, in clip-retrieval's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.embed_layout import Kind, Record, part_path, read_record, write_quarantine
from oddpair.retrieval.embed_shard import ShardJob, Tower, embed_shard, encoder_of
from oddpair.retrieval.encoder import identify_encoder
from oddpair.retrieval.formats.arrays import open_array
from oddpair.retrieval.samples import EmbeddedSource


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedTask:
    """One corpus to embed with one model into one folder.

    Attributes:
        corpus: The corpus.
        out: Folder to write.
        tower: The model, and how it is run; ``None`` takes over the embeddings that the corpus holds.
        only_images: Whether to leave out captions and textures.
        width: Dimension of the embeddings to take over, where a corpus holds those of several models.
    """

    corpus: Corpus
    out: Path
    tower: Tower | None
    only_images: bool = False
    width: int | None = None


def embed_corpora(
    tasks: Sequence[EmbedTask], *, workers: int, title: str = "embed", engine: str | None = None
) -> None:
    """Embed corpora, shard by shard over one pool of workers; what is embedded already is kept.

    Writes ``img_emb``, ``text_emb`` and ``texture`` (float16 npy), ``metadata`` (``image_path``, ``caption``,
    ``uid``; parquet) and ``records`` (what became of each row) with one file a shard, such as
    ``img_emb/img_emb_0000.npy``; ``quarantine.jsonl`` with a line for everything that was set aside; and
    ``manifest.json``. The bytes do not depend on the number of workers or on interruptions.

    Args:
        tasks: What to embed with what into which folder.
        workers: Processes, or threads that decode where the model runs on a GPU.
        title: Of the progress bar.
        engine: ``dask:ADDRESS`` for a cluster whose workers see the same folders; ``None`` for processes here.

    Raises:
        Refusal: If a model or corpus is unusable, or a folder was made from another model or corpus.
    """
    try:
        _embed_corpora(tasks, workers, title, engine)
    except Refusal:
        for task in tasks:
            stages.abandon(task.out)
        raise


def read_records(folder: Path) -> list[Record]:
    """Read what became of the rows of every shard of a finished embedding."""
    shards = files.read_json(folder / "manifest.json")["shards"]
    return [read_record(part_path(folder, "records", index, len(shards))) for index in range(len(shards))]


def _embed_corpora(tasks: Sequence[EmbedTask], workers: int, title: str, engine: str | None) -> None:
    pending: list[EmbedTask] = []
    jobs: list[ShardJob] = []
    for task in tasks:
        if task.tower is not None and not task.corpus.source.pictures and not task.corpus.source.embedded:
            raise Refusal(
                f"{task.corpus.root} holds no pictures: embed the shards that img2dataset made of it"
            )
        if stages.begin(task.out, _made_from(task)):
            pending.append(task)
            jobs.extend(_jobs(task, workers))
    for job in jobs:
        # A record without its arrays: they were lost since, and only a job without a record runs.
        if not _is_complete(job):
            job.record.unlink(missing_ok=True)
    on_gpu = any(job.threads for job in jobs)
    run_jobs(
        embed_shard,
        jobs,
        # One model fills a GPU; its pictures are decoded by threads.
        workers=1 if on_gpu else workers,
        title=title,
        unit="rows",
        size=_job_rows,
        engine=engine,
        partial=_record,
        # In this very process nothing survives a crash of the decoder, and there is nobody to tell of it.
        blame=_skip if engine is None and (workers > 1 or on_gpu) else None,
    )
    for task in pending:
        _finish(task)


def _made_from(task: EmbedTask) -> dict[str, object]:
    tower = task.tower
    return {
        "layout": task.corpus.layout,
        "files": task.corpus.identify(),
        "model": None
        if tower is None
        else identify_encoder(tower.model, tower.pretrained, precision=tower.precision, exact=tower.exact),
        "only_images": task.only_images,
        "width": task.width,
    }


def _jobs(task: EmbedTask, workers: int) -> list[ShardJob]:
    on_gpu = task.tower is not None and task.tower.device != "cpu"
    return [
        ShardJob(
            corpus=task.corpus,
            index=index,
            out=task.out,
            tower=task.tower,
            width=task.width,
            only_images=task.only_images,
            threads=workers if on_gpu else 0,
        )
        for index in range(len(task.corpus.shards))
    ]


def _skip(job: ShardJob, position: int) -> ShardJob:
    return replace(job, skip=(*job.skip, position))


def _record(job: ShardJob) -> Path:
    return job.record


def _job_rows(job: ShardJob) -> int:
    return max(job.size, 1)


def _is_complete(job: ShardJob) -> bool:
    if not job.record.is_file() or not job.path("metadata").is_file():
        return False
    return all(job.path(kind).is_file() for kind in read_record(job.record).kinds)


def _finish(task: EmbedTask) -> None:
    jobs = _jobs(task, workers=1)
    records = [read_record(job.record) for job in jobs]
    kept = sum(record.kept for record in records)
    if not kept:
        raise Refusal(_nothing(task, records))
    kinds = dict.fromkeys(kind for record in records for kind in record.kinds)
    dimensions = {kind: _dimension(kind, jobs, records) for kind in kinds}
    for job, record in zip(jobs, records, strict=True):
        # A shard that was set aside whole has no rows of any kind, and readers find a file for each.
        for kind in kinds:
            if kind not in record.kinds:
                files.write_array(job.path(kind), np.empty((0, dimensions[kind]), dtype=np.float16))
    write_quarantine(task.out, records)
    files.write_json(
        task.out / "manifest.json",
        {
            **_describe(task),
            "corpus": fingerprint(task.corpus),
            "layout": task.corpus.layout,
            "files": {name: mark for record in records for name, mark in record.files.items()},
            "shards": [record.shard for record in records],
            "rows": [record.kept for record in records],
            "seen": sum(record.seen for record in records),
            "quarantined": sum(line.rows for record in records for line in record.bad),
            "without_caption": sum(record.without_caption for record in records),
            "repeated": sum(record.repeated for record in records),
            "outside_subset": sum(record.outside for record in records),
            "dimensions": dimensions,
        },
    )
    stages.finish(task.out)


def _describe(task: EmbedTask) -> dict[str, str]:
    tower = task.tower
    if tower is None:
        return {
            "encoder": "made elsewhere",
            "encoder_sha256": cast("EmbeddedSource", task.corpus.source).encoder,
            "preprocessing": "unknown",
            "precision": "unknown",
        }
    encoder = encoder_of(tower)
    return {
        # The name alone: the same model elsewhere gives the same bytes.
        "encoder": Path(tower.model).name,
        "encoder_sha256": encoder.sha256,
        "preprocessing": encoder.preprocess.describe(),
        "precision": tower.precision,
    }


def _dimension(kind: Kind, jobs: Sequence[ShardJob], records: Sequence[Record]) -> int:
    found = {
        open_array(job.path(kind)).shape[1]: job.path(kind)
        for job, record in zip(jobs, records, strict=True)
        if kind in record.kinds
    }
    if len(found) > 1:
        (one, first), (two, second) = list(found.items())[:2]
        raise Refusal(
            f"{first} has dimension {one}, {second} has {two}: the corpus holds embeddings of two models"
        )
    return next(iter(found))


def _nothing(task: EmbedTask, records: Sequence[Record]) -> str:
    first = next((line for record in records for line in record.bad), None)
    why = (
        f"none of its {len(task.corpus):,} rows is in the subset"
        if first is None
        else (
            f"none of its {len(task.corpus):,} rows can be embedded (the first: {first.file}: {first.reason})"
        )
    )
    return f"{task.corpus.root}: {why}: check that this is the right corpus, and delete {task.out}"
