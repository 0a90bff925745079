"""Which pictures and captions of a run its report shows, chosen by rule and never by eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oddpair import files
from oddpair.benchmarks.miniature.rows import STYLE_SHARES
from oddpair.benchmarks.miniature.words import concepts_inside
from oddpair.retrieval.corpus import Corpus, open_corpus
from oddpair.retrieval.embeddings import load_embeddings
from oddpair.retrieval.search import nearest

Row = dict[str, Any]

STYLES = tuple(STYLE_SHARES)
_CAPTIONS_OF_A_KIND = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldPictures:
    """Pictures of a world.

    Attributes:
        concepts: Names, from the most to the least frequent of those shown.
        grid: One-object picture of each concept in each of ``STYLES``.
        couples: Two-object pictures with their captions.
        captions: What kind of caption it is, the caption, what the picture shows and what the caption names.
    """

    concepts: tuple[str, ...]
    grid: tuple[tuple[bytes, ...], ...]
    couples: tuple[tuple[bytes, str], ...]
    captions: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftRow:
    """A row that the search took out of a split, beside the test picture nearest to it."""

    picture: bytes
    caption: str
    style: str
    test_picture: bytes
    test_style: str
    similarity: float


def choose_world_pictures(corpus: Corpus, *, concepts: int = 12, couples: int = 8) -> WorldPictures:
    """Choose pictures of a drawn corpus: always the first row in corpus order that fits.

    Shown are concepts that have a picture by themselves in every style, spread evenly from the most to the
    least frequent.

    Args:
        corpus: The drawn corpus.
        concepts: Concepts to show, or all there are if fewer have every style.
        couples: Two-object pictures to show, each style in turn.
    """
    rows = corpus.metadata(["style", "concepts", "named"]).to_pylist()
    first: dict[tuple[str, str], Row] = {}
    number: dict[str, int] = {}
    for row in rows:
        for name in row["concepts"]:
            number[name] = number.get(name, 0) + 1
        if len(row["concepts"]) == 1:
            first.setdefault((row["concepts"][0], row["style"]), row)
    whole = [name for name in number if all((name, style) in first for style in STYLES)]
    whole.sort(key=lambda name: (-number[name], name))
    places = np.unique(np.linspace(0, len(whole) - 1, min(concepts, len(whole))).round().astype(np.int64))
    chosen = [whole[place] for place in places.tolist()]
    together = _choose_couples(rows, couples)
    wanted = [first[name, style] for name in chosen for style in STYLES]
    pictures = corpus.find_pictures([row["uid"] for row in (*wanted, *together)])
    return WorldPictures(
        concepts=tuple(chosen),
        grid=tuple(tuple(pictures[first[name, style]["uid"]] for style in STYLES) for name in chosen),
        couples=tuple((pictures[row["uid"]], row["caption"]) for row in together),
        captions=tuple(_choose_captions(rows)),
    )


def rows_that_left(out: Path, *, most: int = 8) -> tuple[LeftRow, ...]:
    """Find the rows that the search took out of the natural split, nearest to a test picture first.

    Args:
        out: The run's folder.
        most: Rows to return at most.
    """
    classes = files.read_table(out / "splits" / "classes.parquet")
    sorted_in, kept = (
        classes[name].to_numpy(zero_copy_only=False) for name in ("sorted_natural", "natural_strict")
    )
    left = np.flatnonzero(sorted_in & ~kept)
    if not len(left):
        return ()
    corpus, tests = (load_embeddings(out / "embeddings" / name) for name in ("corpus", "rendition"))
    near = nearest(corpus.image[left], tests.image, 1, uids=tests.uids)
    best = sorted(
        range(len(left)), key=lambda place: (-float(near.scores[place, 0]), corpus.uids[left[place]])
    )[:most]
    rows, pictures = _read_rows(out, "corpus", [corpus.uids[left[place]] for place in best])
    test_rows, test_pictures = _read_rows(
        out, "rendition", [tests.uids[near.rows[place, 0]] for place in best]
    )
    return tuple(
        LeftRow(
            picture=pictures[row["uid"]],
            caption=row["caption"],
            style=row["style"],
            test_picture=test_pictures[test["uid"]],
            test_style=test["style"],
            similarity=float(near.scores[place, 0]),
        )
        for place, row, test in zip(best, rows, test_rows, strict=True)
    )


def _read_rows(out: Path, name: str, uids: Sequence[str]) -> tuple[list[Row], dict[str, bytes]]:
    corpus = open_corpus(out / "world" / name)
    table = corpus.metadata(["style"])
    chosen = table.filter(pc.is_in(table["uid"], pa.array(sorted(set(uids)))))
    by_uid = {row["uid"]: row for row in chosen.to_pylist()}
    return [by_uid[uid] for uid in uids], corpus.find_pictures(uids)


def _choose_couples(rows: Sequence[Row], most: int) -> list[Row]:
    waiting = {
        style: iter([row for row in rows if row["style"] == style and len(row["concepts"]) == 2])
        for style in STYLES
    }
    chosen: list[Row] = []
    shown: set[str] = set()
    while len(chosen) < most:
        before = len(chosen)
        for queue in waiting.values():
            # Frequent concepts would otherwise stand in every picture.
            row = next((row for row in queue if not shown & set(row["concepts"])), None)
            if row is not None and len(chosen) < most:
                chosen.append(row)
                shown.update(row["concepts"])
        if len(chosen) == before:
            break
    return chosen


def _choose_captions(rows: Sequence[Row]) -> list[tuple[str, str, str, str]]:
    inside = concepts_inside(tuple(sorted({name for row in rows for name in row["named"]})))
    left = dict.fromkeys(
        (
            "names what is there",
            "names one of two",
            "trap: one name holds another",
            "names nothing",
            "names something that is not there",
        ),
        _CAPTIONS_OF_A_KIND,
    )
    chosen: list[tuple[str, str, str, str]] = []
    for row in rows:
        kind = _kind_of_caption(row, inside)
        if left.get(kind):
            left[kind] -= 1
            chosen.append((kind, row["caption"], ", ".join(row["concepts"]), ", ".join(row["named"]) or "–"))
    return sorted(chosen, key=lambda found: list(left).index(found[0]))


def _kind_of_caption(row: Row, inside: Mapping[str, Sequence[str]]) -> str:
    named, shown = row["named"], row["concepts"]
    if not named:
        return "names nothing"
    if named == shown:
        return "names what is there"
    if not set(named) & set(shown):
        return "names something that is not there"
    if any(part in named for name in named for part in inside[name]):
        return "trap: one name holds another"
    return "names one of two"
