"""Pictures of evaluation sets, embedded once a model and read for any number of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.benchmarks.evaluation_set import EvaluationSet
from oddpair.errors import Refusal
from oddpair.retrieval.corpus import fingerprint
from oddpair.retrieval.embed import EmbedTask, embed_corpora
from oddpair.retrieval.embed_layout import part_path, read_manifest
from oddpair.retrieval.embed_shard import Tower

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddedPictures:
    """The embedded pictures of a set, read from their files as they are asked for.

    Attributes:
        uids: Id of each picture of the set's table, in its order; ``None`` where it cannot be read.
        dimension: Length of a row.
        preprocessing: How pictures became input, in one line.
    """

    uids: tuple[str | None, ...]
    dimension: int
    preprocessing: str
    _parts: tuple[NDArray[np.floating], ...]
    _part: IntArray
    _row: IntArray

    @property
    def damaged(self) -> int:
        """Pictures of the set that cannot be read."""
        return sum(uid is None for uid in self.uids)

    def read(self, places: IntArray) -> NDArray[np.float32]:
        """Return the unit rows of some pictures.

        Args:
            places: Rows of the set's table, shape ``(n,)``, none of them damaged.

        Returns:
            Shape ``(n, d)``.

        Raises:
            ValueError: If one is damaged and has no row.
        """
        wanted = np.asarray(places, dtype=np.int64)
        part, row = self._part[wanted], self._row[wanted]
        if (part < 0).any():
            raise ValueError(f"picture {wanted[part < 0][0]} was set aside and has no embedding")
        found = np.empty((len(wanted), self.dimension), dtype=np.float32)
        for number in np.unique(part).tolist():
            mask = part == number
            found[mask] = self._parts[number][row[mask]]
        return found


def embed_sets(sets: Iterable[EvaluationSet], tower: Tower, cache: Path, *, workers: int) -> None:
    """Embed the pictures of some sets with one model; what the cache holds already is kept.

    Args:
        sets: The sets; two with the same files are embedded once.
        tower: The model.
        cache: Folder of the model's embeddings.
        workers: Processes.

    Raises:
        Refusal: If the model cannot be used, or a set has no picture that can be read.
    """
    tasks = {
        folder: EmbedTask(corpus=found.corpus, out=folder, tower=tower, only_images=True, dtype="float32")
        for folder, found in ((pictures_folder(cache, found), found) for found in sets)
    }
    embed_corpora(list(tasks.values()), workers=workers, title="embed the pictures")


def pictures_folder(cache: Path, found: EvaluationSet) -> Path:
    """Return where the pictures of a set lie in a model's cache: a place of their content."""
    return cache / "pictures" / fingerprint(found.corpus)[:16]


def load_pictures(cache: Path, found: EvaluationSet) -> EmbeddedPictures:
    """Open the embedded pictures of a set.

    Args:
        cache: Folder of the model's embeddings.
        found: The set.

    Returns:
        The pictures, no row of them in memory.

    Raises:
        Refusal: If they were not embedded, or a file is damaged.
    """
    return open_pictures(pictures_folder(cache, found), found)


def open_pictures(folder: Path, found: EvaluationSet) -> EmbeddedPictures:
    """Open the pictures of a set in a folder that ``oddpair embed`` made of its corpus.

    Args:
        folder: The folder; its rows may be float16 or float32.
        found: The set.

    Returns:
        The pictures, no row of them in memory.

    Raises:
        Refusal: If the folder is not finished, or a file is damaged.
    """
    manifest = read_manifest(folder)
    place = {key: row for row, key in enumerate(found.table["key"].to_pylist())}
    uids: list[str | None] = [None] * len(place)
    parts: list[NDArray[np.floating]] = []
    part = np.full(len(place), -1, dtype=np.int64)
    rows = np.full(len(place), -1, dtype=np.int64)
    shards: list[str] = manifest["shards"]
    for number, shard in enumerate(shards):
        parts.append(_map(part_path(folder, "img_emb", number, len(shards))))
        metadata = files.read_table(part_path(folder, "metadata", number, len(shards)), ["image_path", "uid"])
        for row, (key, uid) in enumerate(
            zip(metadata["image_path"].to_pylist(), metadata["uid"].to_pylist(), strict=True)
        ):
            at = place.get(f"{shard}/{key}" if found.keyed_by_shard else key)
            if at is not None:
                uids[at], part[at], rows[at] = uid, number, row
    return EmbeddedPictures(
        uids=tuple(uids),
        dimension=int(manifest["dimensions"]["img_emb"]),
        preprocessing=str(manifest["preprocessing"]),
        _parts=tuple(parts),
        _part=part,
        _row=rows,
    )


def hold_pictures(
    uids: Sequence[str | None], places: IntArray, rows: NDArray[np.float32], *, preprocessing: str
) -> EmbeddedPictures:
    """Hold the rows of some pictures of a set in memory.

    Args:
        uids: Id of each picture of the set's table; ``None`` for one that is not asked about.
        places: Rows of the set's table that were embedded, shape ``(n,)``.
        rows: Their unit rows, shape ``(n, d)``.
        preprocessing: How pictures became input, in one line.
    """
    part, row = np.full((2, len(uids)), -1, dtype=np.int64)
    part[places], row[places] = 0, np.arange(len(places))
    return EmbeddedPictures(
        uids=tuple(uids),
        dimension=rows.shape[1],
        preprocessing=preprocessing,
        _parts=(rows,),
        _part=part,
        _row=row,
    )


def damaged_of(cache: Path, found: EvaluationSet) -> Mapping[str, int]:
    """Return how many pictures of a set were set aside, by reason."""
    folder = pictures_folder(cache, found)
    reasons: dict[str, int] = {}
    for line in (folder / "quarantine.jsonl").read_bytes().splitlines():
        entry = files.parse_json(line)
        reasons[entry["reason"]] = reasons.get(entry["reason"], 0) + int(entry.get("rows", 1))
    return reasons


def _map(path: Path) -> NDArray[np.floating]:
    try:
        rows: NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Refusal(f"{path} is damaged or missing: delete its folder and run again") from error
    if rows.dtype not in (np.float16, np.float32) or rows.ndim != 2:
        raise Refusal(
            f"{path} holds {rows.dtype} of shape {rows.shape}, needed rows of float16 or float32: delete its folder "
            "and run again"
        )
    return rows
