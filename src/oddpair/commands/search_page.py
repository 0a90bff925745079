"""The contact sheet of ``oddpair search``: a section a query, with the pictures that were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from oddpair import files, html
from oddpair.commands.queries import Query
from oddpair.commands.search import Hit
from oddpair.commands.thumbnails import as_thumbnail, find_files
from oddpair.progress import track
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.stored import StoredRows

# What a browser shows without trouble: a query has so many hits on the page, and the page so many of all.
QUERY_HITS = 1_000
PAGE_HITS = 5_000
# Shards of more rows than this take over two seconds to look through.
_MANY_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A query, its hits or the first of them, and how many there were."""

    query: Query
    hits: Sequence[Hit]
    total: int


def choose_shown(answers: Sequence[Answer]) -> list[Answer]:
    """Return the first answers with as many of their hits as a page shows; an answer without hits takes one's place."""
    left, shown = PAGE_HITS, []
    for answer in answers:
        if left <= 0:
            break
        hits = answer.hits[: min(QUERY_HITS, left)]
        shown.append(replace(answer, hits=hits))
        left -= max(1, len(hits))
    return shown


def find_thumbnails(
    corpus: Corpus, stored: StoredRows, answers: Sequence[Answer], known: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Read the pictures of the hits that a page shows, small; only shards that hold one are opened.

    Args:
        corpus: The corpus.
        stored: Its embeddings, in the order of its shards.
        answers: What ``choose_shown`` left.
        known: Thumbnails by uid that need not be read again.

    Returns:
        JPEG files by uid; without a picture that is not there or cannot be decoded.
    """
    shown = {hit.uid: hit.row for answer in answers for hit in answer.hits}
    thumbnails = {uid: data for uid, data in known.items() if uid in shown}
    wanted = {uid: row for uid, row in shown.items() if uid not in thumbnails}
    slow = corpus.pictures and bool(wanted) and max(stored.sizes) * len(wanted) > _MANY_ROWS
    with track("read pictures", len(wanted), "pictures") if slow else nullcontext() as progress:
        found = find_files(corpus, stored.sizes, wanted, told=progress.advance if progress else None)
    return thumbnails | {uid: as_thumbnail(data) for uid, data in found.items()}


def write_sheet(
    path: Path, corpus: Corpus, answers: Sequence[Answer], thumbnails: Mapping[str, bytes], *, lead: str
) -> None:
    """Write answers as one HTML page, with their pictures where the corpus has them.

    Args:
        path: The file.
        corpus: The corpus.
        answers: What ``choose_shown`` left, from top to bottom.
        thumbnails: Pictures of their hits, by uid.
        lead: What was searched how.
    """
    sections = [
        html.section(
            answer.query.name,
            *_parts(corpus, answer, thumbnails),
            anchor=f"query-{number}",
            note=_tell_cut(len(answer.hits), answer.total),
        )
        for number, answer in enumerate(answers, start=1)
    ]
    files.write_text(path, html.page("Search", sections, lead=lead))


def _tell_cut(shown: int, total: int) -> str | None:
    if shown == total:
        return None
    return f"The first {shown:,} of {total:,} hits; the table in the terminal and --json have all of them."


def _parts(corpus: Corpus, answer: Answer, thumbnails: Mapping[str, bytes]) -> list[Markup]:
    parts, hits = [], answer.hits
    if answer.query.thumbnail:
        parts.append(html.contact_sheet([(answer.query.thumbnail, "the query")], columns=6))
    if not hits:
        return [*parts, html.paragraph("Nothing is that near.")]
    pictures = [
        (thumbnails[hit.uid], f"{hit.score:.3f} {hit.caption}") for hit in hits if hit.uid in thumbnails
    ]
    if pictures:
        parts.append(html.contact_sheet(pictures, columns=5))
    rows = [[hit.place, f"{hit.score:.4f}", hit.caption, hit.uid] for hit in hits]
    table = html.table(
        ["place", "similarity", "caption", "uid"], rows, caption=f"From {corpus.name}, best first"
    )
    parts.append(html.fold("The same as a table" if pictures else "Table", table, is_open=not pictures))
    return parts
