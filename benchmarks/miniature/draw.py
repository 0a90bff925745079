"""Draws a world to disk: corpus and test sets as img2dataset shards, and the truth beside them as tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oddpair.benchmarks.miniature.rows import (
    RENDITIONS,
    ChosenPair,
    Row,
    corpus_concepts,
    draw_picture,
    expected_counts,
    expected_pair_counts,
    pair_indices,
    plan_corpus_row,
    plan_test_row,
    uid,
)
from oddpair.benchmarks.miniature.world import World, planted_pmi
from oddpair.files import write_table
from oddpair.jobs import run_jobs
from oddpair.retrieval.formats.shards import make_keys, write_shard

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shard:
    """One shard to draw: which rows of which role, and where."""

    world: World
    folder: Path
    role: str
    number: int
    indices: Sequence[int]
    rows_per_shard: int


def draw_corpus(world: World, folder: Path, rows: int, *, rows_per_shard: int = 1000, workers: int) -> None:
    """Draw the corpus into ``folder/corpus``; whole shards that are there already are kept.

    Pictures, captions and uids depend on the world alone, not on the number of workers or the shards' size.

    Args:
        world: The world.
        folder: Where ``corpus/`` is made.
        rows: Pictures.
        rows_per_shard: Pictures in one shard; the last may hold fewer.
        workers: Processes.
    """
    _run(_split(world, folder, "corpus", range(rows), rows_per_shard), "drawing the corpus", workers)


def draw_tests(
    world: World,
    folder: Path,
    *,
    per_concept: int,
    per_rendition: int,
    test_pairs: list[ChosenPair],
    per_pair: int,
    workers: int,
    rows_per_shard: int = 1000,
) -> None:
    """Draw the test sets into ``folder/natural``, ``folder/rendition`` and ``folder/pairs``; resumes.

    Args:
        world: The world.
        folder: Where the three folders are made.
        per_concept: Photos of each concept alone.
        per_rendition: Pictures of each concept alone in each of the four rendition styles.
        test_pairs: Pairs to photograph together.
        per_pair: Photos of each pair.
        workers: Processes.
        rows_per_shard: Pictures in one shard; a role's last may hold fewer.
    """
    size = len(world.names)
    indices: dict[str, Sequence[int]] = {
        "natural": range(size * per_concept),
        "rendition": range(size * len(RENDITIONS) * per_rendition),
        "pairs": pair_indices(world, test_pairs, per_pair),
    }
    shards = [
        shard for role in indices for shard in _split(world, folder, role, indices[role], rows_per_shard)
    ]
    _run(shards, "drawing the test sets", workers)


def write_truth(world: World, rows: int, folder: Path) -> None:
    """Write what is planted, and what each corpus picture shows, as three tables in ``folder/truth``.

    - ``concepts.parquet``: name, frequency, expected_count in pictures;
    - ``pairs.parquet``: a, b (``a < b``, all pairs), theta, expected_count in pictures, planted_pmi,
      held_out, nested;
    - ``tags.parquet``: uid, concept, score 1, for every concept in every corpus picture, sorted.

    Args:
        world: The world.
        rows: Pictures in the corpus.
        folder: Where ``truth/`` is made.
    """
    import pyarrow as pa

    names = np.array(world.names)
    concepts = {"name": names, "frequency": world.frequency, "expected_count": expected_counts(world, rows)}
    first, second = upper = np.triu_indices(len(names), 1)
    pairs = {
        "a": names[first],
        "b": names[second],
        "theta": world.theta[upper],
        "expected_count": expected_pair_counts(world, rows)[upper],
        "planted_pmi": planted_pmi(world)[upper],
        "held_out": world.held_out[upper],
        "nested": world.nested[upper],
    }
    shown = sorted(
        (uid(world.seed, "corpus", index), concept)
        for index in range(rows)
        for concept in corpus_concepts(world, index)
    )
    tags = {
        "uid": [row for row, _ in shown],
        "concept": [concept for _, concept in shown],
        "score": np.ones(len(shown)),
    }
    for name, columns in (("concepts", concepts), ("pairs", pairs), ("tags", tags)):
        write_table(folder / "truth" / f"{name}.parquet", pa.table(columns))


def _split(
    world: World, folder: Path, role: str, indices: Sequence[int], rows_per_shard: int
) -> list[_Shard]:
    return [
        _Shard(
            world=world,
            folder=folder / role,
            role=role,
            number=start // rows_per_shard,
            indices=indices[start : start + rows_per_shard],
            rows_per_shard=rows_per_shard,
        )
        for start in range(0, len(indices), rows_per_shard)
    ]


def _run(shards: list[_Shard], title: str, workers: int) -> None:
    run_jobs(
        _draw_shard,
        shards,
        workers=workers,
        title=title,
        unit="pictures",
        size=lambda shard: len(shard.indices),
    )


def _draw_shard(shard: _Shard) -> None:
    if all(
        (shard.folder / f"{shard.number:05d}{end}").exists() for end in (".tar", ".parquet", "_stats.json")
    ):
        return
    if shard.role == "corpus":
        rows = [plan_corpus_row(shard.world, index) for index in shard.indices]
    else:
        rows = [plan_test_row(shard.world, shard.role, index) for index in shard.indices]
    write_shard(
        shard.folder,
        shard.number,
        keys=make_keys(shard.number, len(rows), rows_per_shard=shard.rows_per_shard),
        captions=[row.caption for row in rows],
        images=[draw_picture(row) for row in rows],
        columns=_columns(rows),
        extension="jpg",
    )


def _columns(rows: list[Row]) -> "pa.Table":
    import pyarrow as pa

    lists = pa.list_(pa.string())
    return pa.table(
        {
            "uid": [row.uid for row in rows],
            "style": [row.style for row in rows],
            "concepts": pa.array([row.concepts for row in rows], lists),
            "role": [row.role for row in rows],
            "named": pa.array([row.named for row in rows], lists),
            "url": [f"miniature://{row.seed}/{row.role}/{row.index}" for row in rows],
        }
    )
