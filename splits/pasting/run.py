"""Paste objects into a whole corpus (ImageNet-Paste): the same pictures once for each band of PMI."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from oddpair import files, stages
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.counting.partials import join_files
from oddpair.retrieval.embed_layout import quarantine_line
from oddpair.retrieval.formats.shards import write_sizes
from oddpair.retrieval.samples import NO_CAPTION, REPEATED
from oddpair.splits.pasting.accessories import CUTOUTS, Accessories, cut_accessories
from oddpair.splits.pasting.choice import limit_bands
from oddpair.splits.pasting.shard import (
    ACCESSORIES_FILE,
    PAIRS_FILE,
    PasteJob,
    PastePlan,
    as_json,
    paste_shard,
)
from oddpair.workers import NOWHERE

PICTURES = "pictures"
SUMMARY = "summary.json"
QUARANTINE = "quarantine.jsonl"
SKIPPED = "skipped.jsonl"
# A stage does not count what is hidden among the files it made.
_PARTS = ".parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """What became of the rows of a corpus: pasted, without, quarantined and outside add up to seen.

    Attributes:
        seen: Rows that the corpus was said to hold.
        pasted: Rows that some picture was made of.
        without: Rows that none was made of.
        quarantined: Rows set aside, by reason.
        outside: Rows outside the subset.
        lost: Files set aside without anybody knowing how many rows they had.
        pictures: Pictures made, by band.
        skipped: How often nothing was pasted, by reason: for a row, or for a row and a band.
        accessories: Accessories used.
        other_part: Accessories of the other part.
        unusable: Accessories of which no object could be cut.
        bad_accessories: Accessories set aside as damaged.
    """

    seen: int
    pasted: int
    without: int
    quarantined: dict[str, int]
    outside: int
    lost: int
    pictures: dict[str, int]
    skipped: dict[str, int]
    accessories: int
    other_part: int
    unusable: int
    bad_accessories: int

    @property
    def damaged(self) -> int:
        """Rows set aside because something is wrong with them, and not for want of a caption or as repeats."""
        return sum(rows for reason, rows in self.quarantined.items() if reason not in (NO_CAPTION, REPEATED))


def paste_corpus(
    base: Corpus, accessories: Corpus, bands: Path, out: Path, plan: PastePlan, *, workers: int
) -> Pasted:
    """Paste an accessory into every picture of a corpus for each band in which it makes a pair.

    Writes ``pictures/`` in the layout of img2dataset, with the label unchanged and the columns ``concepts``, ``label``,
    ``base_uid``, ``accessory_sha256``, ``box``, ``band``, ``tail`` and ``part``; ``cutouts/``; ``quarantine.jsonl`` and
    ``skipped.jsonl`` with a line for all that no picture was made of; and ``summary.json``. What is made of a picture
    depends on its uid, the seed, the accessories and the bands alone. A killed run goes on; a finished one is left.

    Args:
        base: Pictures that show one concept each.
        accessories: Pictures of single objects, of the concepts to paste.
        bands: Table of pairs with their bands, see ``limit_bands``.
        out: Folder to write; nobody else may write to it (see ``files.locked``).
        plan: How to paste.
        workers: Processes; the result does not depend on them.

    Returns:
        What became of the rows.

    Raises:
        Refusal: If the inputs cannot be used, not one picture can be made, or the folder is of another run.

    References:
        Qu and Xie, arXiv:2507.08000.
    """
    for corpus in (base, accessories):
        if not corpus.pictures:
            raise Refusal(f"{corpus.root} holds addresses and captions, no pictures: give pictures")
    inputs = {
        "base": fingerprint(base),
        "accessories": fingerprint(accessories),
        "bands": files.sha256(bands),
        "plan": asdict(plan),
    }
    if stages.begin(out, inputs):
        with stages.make(out):
            try:
                _paste(base, accessories, bands, out, plan, workers=workers)
            except Refusal:
                if not (out / PICTURES).exists() and not any((out / _PARTS / "records").glob("*")):
                    _discard(out)
                raise
    shutil.rmtree(out / _PARTS, ignore_errors=True)
    return Pasted(**files.read_json(out / SUMMARY))


def _paste(
    base: Corpus, accessories: Corpus, bands: Path, out: Path, plan: PastePlan, *, workers: int
) -> None:
    parts = out / _PARTS
    found = cut_accessories(accessories, out, parts, plan.part, workers=workers)
    pairs = limit_bands(bands, {accessory.concept for accessory in found.kept})
    files.write_json(parts / ACCESSORIES_FILE, as_json(found.kept))
    files.write_table(parts / PAIRS_FILE, pairs)
    jobs = [
        PasteJob(
            corpus=base.only(shard),
            shard=shard,
            size=size,
            number=number,
            parts=parts,
            cutouts=out / CUTOUTS,
            plan=plan,
        )
        for number, (shard, size) in enumerate(zip(base.shards, base.sizes, strict=True))
    ]
    run_jobs(
        paste_shard,
        jobs,
        workers=workers,
        title="paste",
        unit="pictures",
        size=lambda job: max(job.size, 1),
        partial=_record,
        blame=_skip if workers > 1 else None,
        set_aside=int,
    )
    records = [files.read_json(job.record) for job in jobs]
    summary = _summarise(records, found)
    if not summary.pictures:
        told = ", ".join(f"{reason}: {rows:,}" for reason, rows in summary.skipped.items())
        _discard(out)
        raise Refusal(
            f"not one picture could be made of the {summary.seen:,} rows of {base.root} ({told or 'all are damaged'}): "
            "give pictures whose concepts are in the bands with those of the accessories"
        )
    _put_together(jobs, records, out / PICTURES)
    join_files(out / QUARANTINE, [job.part("quarantine", "jsonl") for job in jobs])
    join_files(out / SKIPPED, [job.part("skipped", "jsonl") for job in jobs])
    told_bad = "".join(f"{quarantine_line(line)}\n" for line in found.bad)
    told_unusable = "".join(f"{name}\t{reason}\n" for name, reason in found.unusable)
    files.write_text(out / "accessories-quarantine.jsonl", told_bad)
    files.write_text(out / "accessories-skipped.tsv", told_unusable)
    files.write_json(out / SUMMARY, asdict(summary))


def _put_together(jobs: list[PasteJob], records: list[dict[str, Any]], folder: Path) -> None:
    """Number the shards of all jobs through, and move them; those that a killed run moved are there already."""
    sizes: dict[str, int] = {}
    for job, record in zip(jobs, records, strict=True):
        for place, rows in enumerate(record["shards"]):
            before, after = f"{place:05d}", f"{len(sizes):05d}"
            folder.mkdir(parents=True, exist_ok=True)
            for ending in (".tar", ".parquet", "_stats.json"):
                source = job.folder / f"{before}{ending}"
                if source.is_file():
                    _move(source, folder / f"{after}{ending}")
            sizes[f"{after}.tar"] = rows
    write_sizes(folder, sizes)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        raise Refusal(
            f"could not move {source} to {target} ({error.strerror}): free some space and run again, everything "
            "finished so far is kept"
        ) from error


def _summarise(records: list[dict[str, Any]], found: Accessories) -> Pasted:
    def add(name: str) -> dict[str, int]:
        total: Counter[str] = Counter()
        for record in records:
            total.update(record[name])
        return dict(sorted(total.items()))

    def count(name: str) -> int:
        return sum(int(record[name]) for record in records)

    return Pasted(
        seen=count("seen"),
        pasted=count("pasted"),
        without=count("without"),
        quarantined=add("quarantined"),
        outside=count("outside"),
        lost=count("lost"),
        pictures=add("pictures"),
        skipped=add("skipped"),
        accessories=len(found.kept),
        other_part=found.other_part,
        unusable=len(found.unusable),
        bad_accessories=sum(line.rows for line in found.bad),
    )


def _record(job: PasteJob) -> Path:
    return job.record


def _skip(job: PasteJob, position: int) -> PasteJob:
    return job if position == NOWHERE else replace(job, skip=(*job.skip, position))


def _discard(out: Path) -> None:
    for name in (_PARTS, CUTOUTS):
        shutil.rmtree(out / name, ignore_errors=True)
