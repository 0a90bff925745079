"""An index folder: ``rows.faiss``, and ``index.json`` that says what it is an index of and how much it finds.

The hash in ``index.json`` tells damage and mix-ups, not who made the files: faiss parses binary data with little
care, so an index of a stranger is built again rather than opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.faiss_import import load_faiss
from oddpair.retrieval.stored import Side, StoredRows

FORMAT = 1
ROWS_FILE = "rows.faiss"
CARD_FILE = "index.json"
_AGAIN = "build it again with oddpair index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """How many of the true nearest rows an index finds.

    Attributes:
        queries: Queries asked.
        at_1: Share of them whose nearest row is found.
        at_10: Share of their ten nearest rows that is found.
    """

    queries: int
    at_1: Share
    at_10: Share

    def __str__(self) -> str:
        """Say both shares with their intervals."""
        one, ten = (f"{at.value:.3f} ({at.low:.3f} to {at.high:.3f})" for at in (self.at_1, self.at_10))
        return f"recall@1 {one}, recall@10 {ten}, 95 % intervals, {self.queries:,} queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexCard:
    """What an index was built from, how, and what was measured of it.

    Attributes:
        kind: Which embeddings of the folder.
        rows: Rows indexed.
        start: Number of the first of them in the folder.
        dimension: Length of a row.
        lists: Lists that the rows are sorted into.
        probes: Lists that a search looks through if it is not told another number.
        seed: Seed of the samples.
        encoder_sha256: Weights of the model; ``""`` where it is not known.
        embeddings_sha256: The digest of the embedding folder, which changes when any of its rows does.
        recall: What was measured with ``probes``, by the kind of embeddings that were the queries.
    """

    kind: Side
    rows: int
    start: int
    dimension: int
    lists: int
    probes: int
    seed: int
    encoder_sha256: str
    embeddings_sha256: str
    recall: Mapping[str, Recall]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowIndex:
    """An index in memory.

    Attributes:
        card: What it is an index of.
        held: The faiss index, which holds the rows as they are stored, in float16.
        centres: The centres of its lists, unit rows, shape ``(lists, d)``.
    """

    card: IndexCard
    held: Any
    centres: NDArray[np.float32]


def hold_index(card: IndexCard, held: Any) -> RowIndex:
    """Make a faiss index ready to be searched.

    Raises:
        RuntimeError: If its rows are not numbered from 0 on, each once.
    """
    held.make_direct_map()
    return RowIndex(card=card, held=held, centres=held.quantizer.reconstruct_n(0, held.nlist))


def write_index(folder: Path, index: RowIndex) -> None:
    """Write an index folder; one that is cut short between its two files is refused when it is opened.

    Raises:
        Refusal: If a file cannot be written.
    """
    path = folder / ROWS_FILE
    faiss = load_faiss()
    # The map from rows to lists is made anew when the file is read, which also checks the numbers of the rows.
    index.held.set_direct_map_type(faiss.DirectMap.NoMap)
    with files.atomic(path) as temporary:
        try:
            faiss.write_index(index.held, str(temporary))
        except RuntimeError as error:  # faiss's word for a full disk
            raise Refusal(
                f"could not write {path} ({_reason(error)}): free some space or choose another --out"
            ) from error
    index.held.make_direct_map()
    stored = {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
    files.write_json(folder / CARD_FILE, {"format": FORMAT, "file": stored, **asdict(index.card)})


def need_place(folder: Path, embeddings: Path) -> None:
    """Refuse to write an index over what is none, or where the embeddings are.

    Args:
        folder: Where the index is to be written; one that is there may be replaced.
        embeddings: The embeddings, which may not be there yet.

    Raises:
        Refusal: If the folder holds other files, or the embeddings.
    """
    if embeddings.resolve().is_relative_to(folder.resolve()):
        raise Refusal(f"{folder} holds the embeddings: choose another --out")
    if not folder.exists():
        return
    for path in sorted(folder.iterdir()):
        # Hidden files are the lock, and what a killed run was writing.
        if path.name not in (CARD_FILE, ROWS_FILE) and not path.name.startswith("."):
            raise Refusal(f"{path} is no file of an index: choose another --out")
    if (folder / CARD_FILE).exists():
        card = files.read_json(folder / CARD_FILE)
        if not isinstance(card, dict) or not {"format", "embeddings_sha256"} <= card.keys():
            raise Refusal(f"{folder / CARD_FILE} is no card of an index: choose another --out")


def open_index(folder: Path, stored: StoredRows) -> RowIndex:
    """Open the index of an embedding folder; faiss sees no byte of a file that is not as it was written.

    Args:
        folder: What ``oddpair index`` made.
        stored: The rows that will be searched.

    Returns:
        The index, held in memory.

    Raises:
        Refusal: If a file is missing, damaged or of another version, or the index is of other rows.
    """
    card, size, digest = _read_card(folder / CARD_FILE)
    _require_same(folder, card, stored)
    path = folder / ROWS_FILE
    if not path.is_file():
        raise Refusal(f"{path} does not exist: {_AGAIN}")
    if path.stat().st_size != size:
        raise Refusal(f"{path} has {path.stat().st_size:,} bytes, {CARD_FILE} says {size:,}: {_AGAIN}")
    if files.sha256(path) != digest:
        raise Refusal(f"{path} is damaged, its sha256 is not the one in {CARD_FILE}: {_AGAIN}")
    faiss = load_faiss()
    try:
        held = faiss.read_index(str(path))
        found = _describe(faiss, held)
        wanted = (card.rows, card.dimension, card.lists)
        if found != wanted:
            shape = "no IVF index of float16 rows" if found is None else "{} rows of dimension {} in {} lists"
            needed = "{} rows of dimension {} in {} lists".format(*wanted)
            raise Refusal(f"{path} holds {shape.format(*found or ())}, {CARD_FILE} says {needed}: {_AGAIN}")
        return hold_index(card, held)
    except RuntimeError as error:
        raise Refusal(f"{path} cannot be read by faiss ({_reason(error)}): {_AGAIN}") from error


def _require_same(folder: Path, card: IndexCard, stored: StoredRows) -> None:
    rows, dimension = stored.shape
    for name, found, needed in (
        ("kind", card.kind, stored.kind),
        ("dimension", card.dimension, dimension),
        ("rows", card.rows, rows),
        ("first row", card.start, stored.start),
        ("encoder", card.encoder_sha256, stored.encoder),
        ("embeddings", card.embeddings_sha256, stored.digest),
    ):
        if found != needed:
            raise Refusal(
                f"{folder} is no index of {stored.folder} as it is now: {name} {_tell(found)}, needed {_tell(needed)}: "
                f"{_AGAIN}"
            )


def _describe(faiss: Any, held: Any) -> tuple[int, int, int] | None:
    """Return rows, dimension and lists of a faiss index of the kind that is built here."""
    if not isinstance(held, faiss.IndexIVFScalarQuantizer):
        return None
    centres = faiss.downcast_index(held.quantizer)
    is_ours = (
        held.metric_type == faiss.METRIC_INNER_PRODUCT
        and held.sq.qtype == faiss.ScalarQuantizer.QT_fp16
        and not held.by_residual
        and isinstance(centres, faiss.IndexFlatIP)
        and (centres.ntotal, centres.d) == (held.nlist, held.d)
    )
    return (held.ntotal, held.d, held.nlist) if is_ours else None


def _read_card(path: Path) -> tuple[IndexCard, int, str]:
    """Return the card of an index, with the size and the sha256 of its rows' file."""
    value = files.read_json(path)
    version = value.get("format") if isinstance(value, dict) else None
    if version is None:
        raise Refusal(f"{path} is no card of an index: {_AGAIN}")
    if version != FORMAT:
        raise Refusal(
            f"{path} has format {version!r}, this oddpair reads {FORMAT}: {_AGAIN}, or use its version"
        )
    try:
        recall = {name: _recall(found) for name, found in _typed(value["recall"], dict).items()}
        card = IndexCard(
            kind=_typed(value["kind"], str),
            **{
                name: _typed(value[name], int)
                for name in ("rows", "start", "dimension", "lists", "probes", "seed")
            },
            **{name: _typed(value[name], str) for name in ("encoder_sha256", "embeddings_sha256")},
            recall=recall,
        )
        size, digest = _typed(value["file"]["bytes"], int), _typed(value["file"]["sha256"], str)
    except (KeyError, TypeError) as error:
        raise Refusal(f"{path} is no whole card of an index ({_reason(error)}): {_AGAIN}") from error
    if card.kind not in card.recall:
        raise Refusal(f"{path} has no recall of {card.kind}: {_AGAIN}")
    if not 1 <= card.probes <= card.lists:
        raise Refusal(f"{path} has {card.probes} probes of {card.lists} lists: {_AGAIN}")
    return card, size, digest


def _recall(value: Any) -> Recall:
    one, ten = (
        Share(**{end: _typed(value[at][end], float) for end in ("value", "low", "high")})
        for at in ("at_1", "at_10")
    )
    return Recall(queries=_typed(value["queries"], int), at_1=one, at_10=ten)


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _tell(value: object) -> str:
    text = str(value)
    return "unknown" if not text else f"{text[:12]}..." if len(text) > 20 else text


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[-1].strip()
