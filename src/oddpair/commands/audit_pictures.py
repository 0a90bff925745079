"""The pictures behind an audit: some test images of each kind, each beside the corpus rows nearest to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair.commands.thumbnails import as_thumbnail, find_files
from oddpair.eval.auditing.asked import Material
from oddpair.retrieval.corpus import Corpus
from oddpair.splits.pairs.unseen_pairs import UNSEEN

# Kinds of images in the order in which they are shown, each with its name, and how many there may be of it.
KINDS: Mapping[str, tuple[str, int]] = {
    "copy": ("copies", 48),
    "near": ("most in-distribution", 48),
    "far": ("most out-of-distribution", 48),
    "confused": ("style sorted otherwise than labelled", 24),
    "unseen": ("objects never seen together", 36),
    "drawn": ("drawn at random", 36),
}
_NEIGHBOURS = 3
_SIDE = 112
_DRAW_STREAM = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A corpus row near a test image; ``reason`` says in what way it is a copy, ``""`` if it is none."""

    uid: str
    caption: str
    score: float | None
    reason: str
    bits: int | None
    picture: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A test image to look at.

    Attributes:
        kinds: Keys of ``KINDS``, at least one.
        uid: Of the image.
        facts: Its line of the audit's images.
        counts: Captions of the corpus for each of its concepts.
        picture: A thumbnail; ``None`` where no picture is at hand.
        near: Corpus rows, a copy first, then the nearest.
    """

    kinds: tuple[str, ...]
    uid: str
    facts: Mapping[str, Any]
    counts: tuple[tuple[str, int | None], ...]
    picture: bytes | None
    near: tuple[Near, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusedRow:
    """A corpus row whose label and sorting disagree, with its thumbnail."""

    uid: str
    label: str
    sorted_as: str
    picture: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The images to look at, in the order of their kinds, and corpus rows whose style was sorted otherwise than labelled."""

    images: tuple[Shown, ...]
    confused: tuple[ConfusedRow, ...]


def choose_pictures(
    material: Material,
    images: pa.Table,
    nearest: pa.Table,
    copies: pa.Table,
    confusions: pa.Table,
    counts: Mapping[str, int],
) -> Gallery:
    """Choose test images of every kind, a draw of all among them, and read their pictures, as far as there are any.

    Args:
        material: Both sides.
        images: The audit's line for each test image.
        nearest: ``test``, ``place``, ``uid``, ``score`` and ``caption`` of the nearest rows.
        copies: ``test``, ``uid``, ``score``, ``bits`` and ``reason`` of duplicates.
        confusions: ``uid``, ``side``, ``label`` and ``sorted``.
        counts: Captions of the corpus by concept.

    Returns:
        What to show; the same for the same audit.
    """
    kinds = _choose(images, confusions, material.asked.seed)
    wanted = pa.array(list(kinds), pa.string())
    lines = {
        line["uid"]: line for line in images.filter(pc.is_in(images["uid"], value_set=wanted)).to_pylist()
    }
    near = _list_near(nearest, copies, wanted)
    wrong = (
        confusions.filter(pc.equal(confusions["side"], "corpus")).slice(0, KINDS["confused"][1]).to_pylist()
    )
    theirs = _read_rows(
        material, {*(row["uid"] for rows in near.values() for row in rows), *(row["uid"] for row in wrong)}
    )
    ours = _read_pictures(material.test.corpus, list(kinds))
    shown = [
        Shown(
            kinds=tuple(kinds[uid]),
            uid=uid,
            facts=lines[uid],
            counts=tuple((name, counts.get(name)) for name in lines[uid]["concepts"] or ()),
            picture=ours.get(uid),
            near=tuple(Near(**row, picture=theirs.get(row["uid"])) for row in near.get(uid, ())),
        )
        for uid in kinds
    ]
    return Gallery(
        images=tuple(shown),
        confused=tuple(
            ConfusedRow(
                uid=row["uid"], label=row["label"], sorted_as=row["sorted"], picture=theirs[row["uid"]]
            )
            for row in wrong
            if row["uid"] in theirs
        ),
    )


def _choose(images: pa.Table, confusions: pa.Table, seed: int) -> dict[str, list[str]]:
    """Choose uids of each kind; an image may be of several."""
    uids = np.array(images["uid"].to_pylist(), dtype=object)
    scores = images["score"].to_numpy()
    ascending = np.argsort(scores, kind="stable")
    mine = confusions.filter(pc.equal(confusions["side"], "test"))["uid"]
    rng = np.random.default_rng((seed, _DRAW_STREAM))
    by_kind: dict[str, Sequence[str]] = {
        # The most similar first.
        "copy": uids[ascending[::-1]][_where(images["duplicate"].is_valid())[ascending[::-1]]].tolist(),
        "near": uids[ascending[::-1]].tolist(),
        "far": uids[ascending].tolist(),
        "confused": mine.to_pylist(),
        "unseen": uids[_where(pc.equal(images["status"], UNSEEN))].tolist(),
        "drawn": uids[rng.permutation(len(uids))].tolist(),
    }
    found: dict[str, list[str]] = {}
    for kind, (_, most) in KINDS.items():
        for uid in by_kind[kind][:most]:
            found.setdefault(uid, []).append(kind)
    return found


def _where(mask: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(pc.fill_null(mask, False).to_numpy(), dtype=np.bool_)


def _list_near(nearest: pa.Table, copies: pa.Table, wanted: pa.Array) -> dict[str, list[dict[str, Any]]]:
    """List copies first, then the nearest, of each wanted image."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in copies.filter(pc.is_in(copies["test"], value_set=wanted)).to_pylist():
        mine = found.setdefault(row["test"], {})
        if len(mine) < _NEIGHBOURS:
            mine[row["uid"]] = {key: row[key] for key in ("uid", "score", "bits", "reason")} | {"caption": ""}
    for row in nearest.filter(pc.is_in(nearest["test"], value_set=wanted)).to_pylist():
        mine = found.setdefault(row["test"], {})
        if row["uid"] in mine:
            mine[row["uid"]]["caption"] = row["caption"] or ""
        elif len(mine) < _NEIGHBOURS:
            mine[row["uid"]] = {
                "uid": row["uid"],
                "score": row["score"],
                "bits": None,
                "reason": "",
                "caption": row["caption"] or "",
            }
    return {test: list(rows.values()) for test, rows in found.items()}


def _read_pictures(corpus: Corpus | None, uids: Sequence[str]) -> dict[str, bytes]:
    if corpus is None or not corpus.pictures:
        return {}
    return {uid: as_thumbnail(data, _SIDE) for uid, data in corpus.find_pictures(uids).items()}


def _read_rows(material: Material, uids: set[str]) -> dict[str, bytes]:
    corpus, stored = material.corpus.corpus, material.corpus.need_stored()
    if corpus is None or not corpus.pictures or not uids:
        return {}
    pool, listed = material.searched.corpus.pool, sorted(uids)
    places = pool.places(listed)
    rows = {
        uid: int(pool.rows[place]) for uid, place in zip(listed, places.tolist(), strict=True) if place >= 0
    }
    return {uid: as_thumbnail(data, _SIDE) for uid, data in find_files(corpus, stored.sizes, rows).items()}
