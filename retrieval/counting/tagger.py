"""Zero-shot tags: the concepts whose texts are nearest to a picture, by the embeddings of a CLIP model."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oddpair import files
from oddpair.engines import one_thread
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.progress import track
from oddpair.retrieval.counting.tags_file import mark_tagger
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.pairs import Pairs, join
from oddpair.retrieval.scan import Ask, prepare_tests, scan
from oddpair.retrieval.shard_groups import numbered
from oddpair.retrieval.stored import StoredRows, identify_folder
from oddpair.retrieval.unit_rows import HeldRows, find_bad_row
from oddpair.workers import note_done

TEMPLATES = ("{}", "a photo of a {}.", "a picture of a {}.")
CONCEPTS = "concepts.parquet"

# Of fewer at once, laying out the concepts anew takes longer than comparing them; of more it is no less.
_PICTURES_AT_ONCE = 8192
# A mean of unit rows that is shorter than this is rounding.
_NO_DIRECTION = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class TagPlan:
    """Which concepts a picture is tagged with: its ``per_image`` nearest, of those above a threshold if there is one.

    It is a rule of each picture alone, so that neither other pictures nor their order matter. On the miniature world,
    whose 32,000 pictures show 1.6 of 87 concepts each, with the reference encoder and templates as below, precision is
    0.53, 0.36 and 0.28 and recall 0.33, 0.44 and 0.52 for 1, 2 and 3 concepts a picture; one threshold for all
    pictures that gives as many tags has 0.42, 0.30 and 0.24, and 0.26, 0.37 and 0.45. How often concepts are tagged
    follows how often they are shown with a rank correlation of 0.76, 0.66 and 0.58. The default is the least that
    gives pairs, but they are worth little: 31 % of the pairs that no picture shows are tagged somewhere.

    Attributes:
        templates: Texts with one ``{}``, which a concept's name fills; a concept is the mean of their embeddings.
        per_image: Concepts of a picture, at most, 1 or more.
        threshold: Cosine similarity that a tag must be above, rounded to float32; ``None`` for any. Models do not
            agree on it, so it has no default; counts can be made with a higher one later.

    Raises:
        Refusal: If a value is none of these.
    """

    templates: tuple[str, ...] = TEMPLATES
    per_image: int = 2
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not self.templates:
            raise Refusal("no template is given: give at least one text with {} for the name of a concept")
        wrong = next((text for text in self.templates if text.count("{}") != 1), None)
        if wrong is not None:
            raise Refusal(f"template {wrong!r} has {wrong.count('{}')} times {{}}, needed once: mend it")
        if self.per_image < 1:
            raise Refusal(f"{self.per_image} concepts a picture, needed 1 or more")
        if self.threshold is not None and not -1 <= self.threshold < 1:
            raise Refusal(
                f"threshold {self.threshold:g}, needed a cosine similarity from -1 to below 1, such as 0.2"
            )


def load_templates(path: Path) -> tuple[str, ...]:
    """Read templates, one a line; empty lines are passed over.

    Raises:
        Refusal: If there is no such file, or it is not UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Refusal(f"{path} cannot be read ({reason}): give a text file of one template a line") from error
    return tuple(line.strip() for line in lines if line.strip())


def embed_concepts(encoder: Encoder, names: Sequence[str], templates: Sequence[str]) -> NDArray[np.float32]:
    """Embed concepts: of each the mean over templates of the texts' unit rows, scaled to unit length.

    Args:
        encoder: The model of the pictures' embeddings.
        names: At least one.
        templates: Texts with one ``{}``, at least one.

    Returns:
        float32, shape ``(len(names), d)``; the same for any number of threads.

    Raises:
        Refusal: If the texts of a concept cancel out.

    References:
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021.
    """
    texts = [template.replace("{}", name) for name in names for template in templates]
    with one_thread(), track("embed the concepts", len(set(texts)), unit="texts") as progress:
        rows = encoder.encode_texts(texts, after=lambda done: progress.advance(done - progress.done))
    means = rows.reshape(len(names), len(templates), -1).astype(np.float64).mean(axis=1)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    bad = np.flatnonzero(lengths < _NO_DIRECTION)
    if len(bad):
        raise Refusal(f"the texts of concept {names[bad[0]]!r} cancel out in the model: use other templates")
    unit: NDArray[np.float32] = (means / lengths).astype(np.float32)
    return unit


def write_concepts(path: Path, names: Sequence[str], rows: NDArray[np.float32]) -> None:
    """Write ``concept`` and ``vector`` of each of ``n`` concepts, rows of shape ``(n, d)``, into a parquet file."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    files.write_table(path, pa.table({"concept": pa.array(names, pa.string()), "vector": vectors}))


def find_concepts(pictures: NDArray[Any], concepts: NDArray[np.float32], plan: TagPlan) -> Pairs:
    """Find the concepts that pictures are tagged with, exactly.

    Args:
        pictures: Unit rows, float16 or float32, shape ``(m, d)``, ``m`` above 0.
        concepts: Unit rows, shape ``(n, d)``.
        plan: How many and how near; the texts do not matter here.

    Returns:
        Pairs of a picture (``test``) and a concept (``row``) with their cosine similarity, by picture, then best first;
        of equal ones the smaller concept. A score is the float64 dot product of the rows, rounded to float32.

    Raises:
        ValueError: If dimensions do not agree.

    >>> found = find_concepts(np.eye(2, dtype=np.float32), np.eye(3, 2, dtype=np.float32)[:2], TagPlan(per_image=1))
    >>> found.row.tolist()
    [0, 1]
    """
    tests = prepare_tests(pictures, _in_order(len(pictures)))
    found = scan(HeldRows(concepts, _in_order(len(concepts))), tests, Ask(top=plan.per_image)).top
    if plan.threshold is None:
        return found
    return found.take(np.flatnonzero(found.score > np.float32(plan.threshold)))


def tag_pictures(
    pictures: StoredRows, out: Path, plan: TagPlan, *, tagger: Mapping[str, Any], workers: int
) -> list[Path]:
    """Tag embedded pictures, shard by shard; shards that are tagged already are kept.

    Writes ``tags/tags_0000.parquet`` (``uid``, ``concept``, ``score``; by row of the shard and score), one file a
    shard. The bytes do not depend on workers or interruptions.

    Args:
        pictures: Embeddings of pictures.
        out: Folder to write, with ``concepts.parquet`` of ``write_concepts``.
        plan: Which concepts a picture is tagged with.
        tagger: What ``mark_tagger`` writes into each file.
        workers: Processes, or threads where there are fewer shards.

    Returns:
        The files, in the order of the shards.

    Raises:
        Refusal: If a picture's row is no unit row, or the embeddings changed meanwhile.
        ValueError: If concepts and pictures have different dimensions.
    """
    mark = files.sha256(out / CONCEPTS)
    n_shards = len(pictures.sizes)
    jobs = [
        _TagJob(
            pictures=pictures.only(shard, shard + 1),
            shard=shard,
            out=out,
            concepts=mark,
            plan=plan,
            tagger=dict(tagger),
            threads=max(1, workers // n_shards),
        )
        for shard in range(n_shards)
    ]
    return run_jobs(
        _tag_shard,
        jobs,
        workers=min(workers, n_shards),
        title="tag",
        unit="pictures",
        size=_size_of,
        partial=_part_of,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TagJob:
    pictures: StoredRows
    shard: int
    out: Path
    concepts: str
    plan: TagPlan
    tagger: dict[str, Any]
    threads: int


def _size_of(job: _TagJob) -> int:
    return job.pictures.shape[0]


def _part_of(job: _TagJob) -> Path:
    return numbered(job.out, "tags", job.shard, len(job.pictures.sizes))


def _tag_shard(job: _TagJob) -> None:
    names, concepts = _read_concepts(job.out / CONCEPTS, job.concepts)
    pictures = job.pictures
    if identify_folder(pictures.folder) != pictures.digest:
        raise Refusal(
            f"{pictures.folder} has changed since the run began: see that nobody writes to it, then run again"
        )
    done = itertools.count()

    def tag(start: int) -> Pairs:
        rows = pictures.read(start, min(start + _PICTURES_AT_ONCE, pictures.shape[0]))
        bad = find_bad_row(rows.astype(np.float32))
        if bad is not None:
            raise Refusal(
                f"{pictures.tell_place(start + bad[0])} has length {bad[1]:.4g}, needed 1: embed again, or leave "
                "the row out"
            )
        found = find_concepts(rows, concepts, job.plan)
        note_done(next(done))
        return Pairs(test=found.test + start, row=found.row, score=found.score)

    with ThreadPoolExecutor(job.threads) as pool:
        found = join(list(pool.map(tag, range(0, pictures.shape[0], _PICTURES_AT_ONCE))))
    table = {
        "uid": _read_uids(pictures, job.shard).take(pa.array(found.test)),
        "concept": names.take(pa.array(found.row)),
        "score": pa.array(found.score),
    }
    files.write_table(_part_of(job), mark_tagger(pa.table(table), job.tagger))


# Jobs of one worker have the same concepts.
@functools.lru_cache(maxsize=1)
def _read_concepts(path: Path, sha256: str) -> tuple[pa.ChunkedArray, NDArray[np.float32]]:
    if files.sha256(path) != sha256:
        raise Refusal(f"{path} has changed since the run began: see that nobody writes to it, then run again")
    table = files.read_table(path, ["concept", "vector"])
    vectors = table["vector"].combine_chunks()
    return table["concept"], vectors.flatten().to_numpy().reshape(len(table), -1)


def _read_uids(pictures: StoredRows, shard: int) -> pa.ChunkedArray:
    path = part_path(pictures.folder, "metadata", shard, len(pictures.sizes))
    found = files.read_table(path, ["uid"])["uid"]
    if len(found) != pictures.sizes[shard]:
        raise Refusal(f"{path} has {len(found)} rows, its manifest says {pictures.sizes[shard]}: embed again")
    return found.cast(pa.string())


def _in_order(n: int) -> list[str]:
    return [f"{number:09d}" for number in range(n)]
