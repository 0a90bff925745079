"""Prompts and captions, embedded once a model: blocks of texts, each a file named by what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.jobs import run_jobs
from oddpair.retrieval.embed_shard import Tower, encoder_of
from oddpair.workers import note_done

# What a killed run loses at most, and what one worker does at a time.
TEXTS_PER_BLOCK = 1024
_BLOCKS_HERE = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddedTexts:
    """Embedded texts, read from their files as they are asked for."""

    _place: dict[str, tuple[int, int]]
    _blocks: tuple[NDArray[np.float32], ...]

    def read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit rows of some texts, float32 of shape ``(n, d)``.

        Raises:
            KeyError: If a text was not embedded.
        """
        places = np.array([self._place[text] for text in texts], dtype=np.int64).reshape(-1, 2)
        found = np.empty((len(places), self._blocks[0].shape[1]), dtype=np.float32)
        for block in np.unique(places[:, 0]).tolist():
            mask = places[:, 0] == block
            found[mask] = self._blocks[block][places[mask, 1]]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    texts: tuple[str, ...]
    tower: Tower
    folder: Path

    @property
    def rows(self) -> Path:
        return self.folder / f"{files.digest(self.texts)[:16]}.npy"

    @property
    def names(self) -> Path:
        """Written last: with it the block is complete."""
        return self.rows.with_suffix(".json")


def embed_texts(texts: Iterable[str], tower: Tower, cache: Path, *, workers: int) -> None:
    """Embed texts with one model; those that the cache holds already are kept.

    Args:
        texts: Any texts; repeats are embedded once.
        tower: The model.
        cache: Folder of the model's embeddings.
        workers: Processes.

    Raises:
        Refusal: If the model cannot be used.
    """
    folder = cache / "texts"
    left = sorted(set(texts) - set(_find(folder)))
    blocks = [
        _Block(texts=tuple(left[start : start + TEXTS_PER_BLOCK]), tower=tower, folder=folder)
        for start in range(0, len(left), TEXTS_PER_BLOCK)
    ]
    run_jobs(
        _embed_block,
        blocks,
        # A process that starts loads the model first; this one has it.
        workers=1 if tower.device != "cpu" or len(blocks) <= _BLOCKS_HERE else workers,
        title="embed the prompts",
        unit="texts",
        size=_count,
        partial=_names,
    )


def load_texts(cache: Path) -> EmbeddedTexts:
    """Open the embedded texts of a model.

    Raises:
        Refusal: If there are none, or a file is damaged.
    """
    folder = cache / "texts"
    names = sorted(folder.glob("*.json"))
    if not names:
        raise Refusal(f"{folder} holds no embedded text: run again")
    place: dict[str, tuple[int, int]] = {}
    blocks: list[NDArray[np.float32]] = []
    for number, path in enumerate(names):
        texts = files.read_json(path)
        rows = files.read_array(path.with_suffix(".npy"))
        if rows.shape[0] != len(texts):
            raise Refusal(
                f"{path} names {len(texts):,} texts, {path.stem}.npy holds {rows.shape[0]:,}: delete both"
            )
        blocks.append(rows)
        for row, text in enumerate(texts):
            # Two runs at once may have embedded the same text.
            place.setdefault(text, (number, row))
    return EmbeddedTexts(_place=place, _blocks=tuple(blocks))


def hold_texts(texts: Sequence[str], rows: NDArray[np.float32]) -> EmbeddedTexts:
    """Return embedded texts that need no cache.

    Args:
        texts: Different texts, one or more.
        rows: Their unit rows, shape ``(n, d)``.

    >>> hold_texts(["a cat", "a dog"], np.eye(2, dtype=np.float32)).read(["a dog"])
    array([[0., 1.]], dtype=float32)
    """
    return EmbeddedTexts(_place={text: (0, row) for row, text in enumerate(texts)}, _blocks=(rows,))


def _find(folder: Path) -> list[str]:
    """List the texts of blocks that are whole; what is left of others is removed, and made again."""
    found: list[str] = []
    for path in sorted(folder.glob("*.json")):
        texts = _whole(path)
        if texts is None:
            path.unlink()
        else:
            found += texts
    return found


def _whole(names: Path) -> list[str] | None:
    """Return the texts of a block, or nothing if one of its two files is damaged or does not fit the other."""
    try:
        texts, rows = files.read_json(names), files.read_array(names.with_suffix(".npy"))
    except Refusal:
        return None
    fits = isinstance(texts, list) and rows.dtype == np.float32 and rows.ndim == 2 and len(rows) == len(texts)
    return texts if fits and all(isinstance(text, str) for text in texts) else None


def _embed_block(block: _Block) -> int:
    rows = encoder_of(block.tower).encode_texts(list(block.texts), after=note_done)
    files.write_array(block.rows, rows)
    files.write_json(block.names, list(block.texts))
    return len(block.texts)


def _count(block: _Block) -> int:
    return len(block.texts)


def _names(block: _Block) -> Path:
    return block.names
