"""Embed corpora into shards that never need to be made again, in clip-retrieval's layout."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.progress import say
from oddpair.retrieval.corpus import Corpus, tell_apart
from oddpair.retrieval.embed_layout import Kind, Record, part_path, read_record, write_quarantine
from oddpair.retrieval.embed_shard import Digits, ShardJob, Tower, embed_shard
from oddpair.retrieval.encoder import identify_encoder
from oddpair.retrieval.formats.arrays import open_array
from oddpair.retrieval.models import identify_model
from oddpair.retrieval.samples import EmbeddedSource
from oddpair.workers import NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedTask:
    """One corpus to embed with one model into one folder.

    Attributes:
        corpus: The corpus.
        out: Folder to write.
        tower: The model, and how it is run; ``None`` takes over the embeddings that the corpus holds.
        only_images: Whether to leave out captions and textures.
        width: Dimension of the embeddings to take over, where a corpus holds those of several models.
        dtype: ``float32`` keeps every digit, for scores that must agree with another program's; a search reads
            ``float16`` alone.
    """

    corpus: Corpus
    out: Path
    tower: Tower | None
    only_images: bool = False
    width: int | None = None
    dtype: Digits = "float16"


def embed_corpora(
    tasks: Sequence[EmbedTask], *, workers: int, title: str = "embed", engine: str | None = None
) -> None:
    """Embed corpora, shard by shard over one pool of workers; what is embedded already is kept.

    Writes ``img_emb``, ``text_emb`` and ``texture`` (npy of the task's type), ``metadata`` (``image_path``, ``caption``,
    ``uid``; parquet) and ``records`` (what became of each row) with one file a shard, such as
    ``img_emb/img_emb_0000.npy``; ``quarantine.jsonl`` with a line for everything that was set aside; and
    ``manifest.json``. The bytes do not depend on the number of workers or on interruptions.

    Args:
        tasks: What to embed with what into which folder.
        workers: Processes, or threads that decode where the model runs on a GPU. One process is this one, which
            nothing saves from a picture that kills the decoder.
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


def holds_embeddings(folder: Path, corpus: Corpus, model: str, pretrained: str | None) -> bool:
    """Say whether a folder holds finished embeddings of a corpus, by a model or taken over from elsewhere.

    How they were computed (precision, resizing, versions of libraries) does not matter to those who read them.

    Args:
        folder: What ``embed_corpora`` made.
        corpus: The corpus, with its subset.
        model: As for ``load_encoder``; not asked where embeddings were taken over.
        pretrained: Likewise.

    Returns:
        Whether they may be used as they are.

    Raises:
        Refusal: If a file of the model is missing.
    """
    found = stages.made_from(folder)
    if found is None or found.get("only_images") or found.get("files") != corpus.identify():
        return False
    _refuse_changed_tars(folder, corpus)
    made_by = found.get("model")
    return made_by is None or identify_model(model, pretrained).items() <= made_by.items()


def _embed_corpora(tasks: Sequence[EmbedTask], workers: int, title: str, engine: str | None) -> None:
    pending: list[tuple[EmbedTask, dict[str, str], list[ShardJob]]] = []
    for task in tasks:
        if task.tower is not None and not task.corpus.source.pictures and not task.corpus.source.embedded:
            raise Refusal(
                f"{task.corpus.root} holds no pictures: fetch them first with oddpair embed --fetch, or give the shards "
                "that img2dataset made of it"
            )
        made_from = _made_from(task)
        if stages.begin(task.out, made_from):
            pending.append((task, made_from["files"], _jobs(task, workers)))
        else:
            _refuse_changed_tars(task.out, task.corpus)
    jobs = [job for *_, of_task in pending for job in of_task]
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
        # A cluster watches over its workers itself, and a shard may take them hours.
        timeout=600.0 if engine is None else math.inf,
        partial=_record,
        # In this very process nothing survives a crash of the decoder, and there is nobody to tell of it.
        blame=_skip if engine is None and (workers > 1 or on_gpu) else None,
        set_aside=int,
    )
    for task, marks, of_task in pending:
        _finish(task, marks, of_task)


def _made_from(task: EmbedTask) -> dict[str, Any]:
    tower = task.tower
    return {
        "layout": task.corpus.layout,
        "files": task.corpus.identify(),
        "model": None
        if tower is None
        else identify_encoder(tower.model, tower.pretrained, precision=tower.precision, exact=tower.exact),
        # Of one kind all give the same rows but for rounding; a folder holds the rows of one kind.
        "device": None if tower is None else tower.device.partition(":")[0],
        "only_images": task.only_images,
        "width": task.width,
        # Folders of float16 were made before there was a choice.
        **({} if task.dtype == "float16" else {"dtype": task.dtype}),
    }


def _jobs(task: EmbedTask, workers: int) -> list[ShardJob]:
    on_gpu = task.tower is not None and task.tower.device != "cpu"
    return [
        ShardJob(
            corpus=task.corpus.only(shard),
            shard=shard,
            size=size,
            index=index,
            n_shards=len(task.corpus.shards),
            out=task.out,
            tower=task.tower,
            width=task.width,
            only_images=task.only_images,
            dtype=task.dtype,
            threads=workers if on_gpu else 0,
        )
        for index, (shard, size) in enumerate(zip(task.corpus.shards, task.corpus.sizes, strict=True))
    ]


def _skip(job: ShardJob, position: int) -> ShardJob:
    if position == NOWHERE:
        # Threads that decode side by side tell of no picture; one after the other they do.
        return replace(job, threads=0)
    return replace(job, skip=(*job.skip, position))


def _record(job: ShardJob) -> Path:
    return job.record


def _job_rows(job: ShardJob) -> int:
    return max(job.size, 1)


def _is_complete(job: ShardJob) -> bool:
    if not job.record.is_file() or not job.path("metadata").is_file():
        return False
    record = read_record(job.record)
    _refuse_changed(job.corpus, job.out, job.record, record)
    return all(job.path(kind).is_file() for kind in record.kinds)


def _refuse_changed_tars(folder: Path, corpus: Corpus) -> None:
    for index in range(len(corpus.shards)):
        path = part_path(folder, "records", index, len(corpus.shards))
        _refuse_changed(corpus, folder, path, read_record(path))


def _refuse_changed(corpus: Corpus, folder: Path, written: Path, record: Record) -> None:
    """Refuse to go on beside rows of a tar that has changed since; at opening a tar is known by its size alone."""
    for name, mark in record.files.items():
        path = corpus.root / name
        if not name.endswith(".tar") or not isinstance(path, Path) or not path.is_file():
            continue
        is_newer = path.stat().st_mtime_ns > written.stat().st_mtime_ns
        if is_newer and files.sha256(path) != mark:
            raise Refusal(
                f"{path} has changed since it was embedded: choose another --out, or delete {folder} to make it again"
            )


def _finish(task: EmbedTask, marks: dict[str, str], jobs: Sequence[ShardJob]) -> None:
    records = [read_record(job.record) for job in jobs]
    for name, mark in ((name, mark) for record in records for name, mark in record.files.items()):
        if not name.endswith(".tar") and marks.get(name) != mark:
            raise Refusal(
                f"{task.corpus.root}: {name} changed while it was embedded: delete {task.out} and run again"
            )
    kept = sum(record.kept for record in records)
    if not kept:
        raise Refusal(_nothing(task, records))
    kinds = dict.fromkeys(kind for record in records for kind in record.kinds)
    dimensions = {kind: _dimension(kind, jobs, records) for kind in kinds}
    for job, record in zip(jobs, records, strict=True):
        # A shard that was set aside whole has no rows of any kind, and readers find a file for each.
        for kind in kinds:
            if kind not in record.kinds:
                files.write_array(job.path(kind), np.empty((0, dimensions[kind]), dtype=task.dtype))
    write_quarantine(task.out, (line for record in records for line in record.bad))
    files.write_json(
        task.out / "manifest.json",
        {
            **_describe(task, records),
            "corpus": tell_apart(task.corpus.layout, marks),
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


def _describe(task: EmbedTask, records: Sequence[Record]) -> dict[str, str]:
    tower, source = task.tower, task.corpus.source
    # A worker says it, since to load the model here as well takes seconds.
    told = [record.encoder for record in records if record.kept]
    # The name alone: the same model elsewhere gives the same bytes.
    name = "made elsewhere" if tower is None else Path(tower.model).name
    other = next((record for record in records if record.encoder not in ({}, told[0])), None)
    if other is not None:
        raise Refusal(
            f"{task.out}: shard {other.shard} was embedded with other weights of {name} than shard {records[0].shard}: "
            "the model changed on the way; delete the folder and run again"
        )
    if tower is not None and not source.embedded:
        return {"encoder": name, "precision": tower.precision, **told[0]}
    made_by = {"preprocessing": "unknown", "precision": "unknown"}
    if tower is not None and all(told):
        return {"encoder": name, **made_by, **told[0]}
    if tower is not None:
        say(
            f"{task.corpus.root}: nothing tells whether {name} made all of these embeddings, so it is not recorded"
        )
    recorded = cast("EmbeddedSource", source).encoder
    return {"encoder": "made elsewhere", "encoder_sha256": recorded, **made_by}


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
    bad = [line for record in records for line in record.bad]
    if bad:
        # What befell most rows says more than what happened to come first.
        rows: Counter[str] = Counter()
        for line in bad:
            rows[line.reason] += line.rows
        reason, count = rows.most_common(1)[0]
        first = next(line.file for line in bad if line.reason == reason)
        why = f"none of its {len(task.corpus):,} rows can be embedded ({count:,} of them, as in {first}: {reason})"
    else:
        why = f"none of its {len(task.corpus):,} rows is in the subset, which may be of another corpus"
    return f"{task.corpus.root}: {why}: check that this is the right corpus, and delete {task.out}"
