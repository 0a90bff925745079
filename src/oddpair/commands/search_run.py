"""A search that stays open: model and rows are ready, each answer is printed at once and put on the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oddpair.commands.queries import Query, read_queries
from oddpair.commands.search import Hit, Wanted, find_hits
from oddpair.commands.search_page import PAGE_HITS, Answer, choose_shown, find_thumbnails, write_sheet
from oddpair.errors import Refusal
from oddpair.progress import say, visible
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.index_file import RowIndex
from oddpair.retrieval.stored import StoredRows

_ASKED = {"img_emb": "asked pictures", "text_emb": "asked captions"}


@dataclass(slots=True, kw_only=True)
class Session:
    """An open search.

    Attributes:
        corpus: The corpus.
        stored: Its embeddings.
        index: An index of them; ``None`` to search exactly.
        wanted: What each query is to find.
        threads: Threads of a search.
        page: Contact sheet to write; ``None`` for none.
        as_json: Whether to print JSON lines instead of a table.
        answers: What is on the page, the latest first.
        thumbnails: Pictures of that, by uid.
        left_out: Answers that the page has no room for.
    """

    corpus: Corpus
    stored: StoredRows
    index: RowIndex | None
    wanted: Wanted
    threads: int
    page: Path | None
    as_json: bool
    answers: list[Answer] = field(default_factory=list)
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    left_out: int = 0


def answer(session: Session, queries: Sequence[Query], *, named: bool) -> None:
    """Search for some queries, print their hits, and write the page with them above earlier ones.

    Args:
        session: The search.
        queries: At least one.
        named: Whether the table says which query each part of it answers.

    Raises:
        Refusal: As ``find_hits``, or if the page cannot be written.
    """
    found = find_hits(session.stored, queries, session.wanted, index=session.index, threads=session.threads)
    fresh = [
        Answer(query=query, hits=hits, total=len(hits)) for query, hits in zip(queries, found, strict=True)
    ]
    for one in fresh:
        for line in _json_lines(one) if session.as_json else _table_lines(one, session.wanted, named):
            print(line)
    # Before pictures are read, which may take a while.
    sys.stdout.flush()
    if session.page is None:
        return
    answers = [*fresh, *session.answers]
    session.answers = choose_shown(answers)
    session.left_out += len(answers) - len(session.answers)
    session.thumbnails = find_thumbnails(session.corpus, session.stored, session.answers, session.thumbnails)
    write_sheet(session.page, session.corpus, session.answers, session.thumbnails, lead=_lead(session))


def answer_lines(session: Session, encoder: Encoder) -> None:
    """Answer what is typed or piped in, line by line; a line that is refused is told and passed over."""
    typed = sys.stdin.isatty()
    if typed:
        page = "" if session.page is None else f", the latest answer first in {session.page}"
        count = session.stored.shape[0]
        say(f"{session.corpus.name}: {count:,} rows; a query a line, Ctrl-D ends{page}")
    for line in typed_lines():
        try:
            answer(session, read_queries(encoder, [line]), named=not typed)
        except Refusal as refusal:
            say(f"oddpair: {refusal}")


def typed_lines() -> Iterator[str]:
    """Yield what is typed or piped into the program, line by line, without empty lines."""
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    with suppress(ImportError):  # with it a line can be edited, and earlier ones come back
        import readline  # noqa: F401
    # A prompt on a stdout that is a file would stand among the results.
    prompt = "> " if sys.stdout.isatty() else ""
    with suppress(EOFError):
        while True:
            if line := input(prompt).strip():
                yield line
    print(file=sys.stderr)


def _table_lines(one: Answer, wanted: Wanted, named: bool) -> Iterator[str]:
    if named:
        yield visible(one.query.name)
    for hit in one.hits:
        yield visible(f"{hit.place:4d}  {hit.score:.4f}  {hit.uid}  {hit.caption}")
    if not one.hits:
        yield f"      nothing above {wanted.above:g}"


def _json_lines(one: Answer) -> Iterator[str]:
    for hit in one.hits:
        yield json.dumps({"query": one.query.name, **_as_row(hit)})


def _as_row(hit: Hit) -> dict[str, object]:
    # The shortest number that is this float32.
    score = float(str(np.float32(hit.score)))
    return {"place": hit.place, "score": score, "uid": hit.uid, "caption": hit.caption}


def tell_recall(index: RowIndex) -> str:
    """Say how much of the nearest rows an index finds, as it was measured when it was built."""
    card = index.card
    shares = "; ".join(f"{_ASKED[kind]}: {card.recall[kind]}" for kind in _ASKED if kind in card.recall)
    return f"an index that looks through {card.probes:,} of {card.lists:,} lists ({shares})"


def _lead(session: Session) -> str:
    wanted, stored = session.wanted, session.stored
    n_queries = len(session.answers) + session.left_out
    what = "pictures" if stored.kind == "img_emb" else "captions"
    number = f"The {wanted.k:,} {what}" if wanted.k else f"All {what}"
    near = "nearest to" if wanted.k else "near to"
    query = "the query" if n_queries == 1 else f"each of {n_queries:,} queries"
    limit = "" if wanted.above is None else f", above a similarity of {wanted.above:g}"
    way = "exact search" if session.index is None else tell_recall(session.index)
    # The latest come first, those given at once in their order.
    full = (
        f" {session.left_out:,} of them are left out: a page has {PAGE_HITS:,} hits."
        if session.left_out
        else ""
    )
    return (
        f"{number} of {session.corpus.name} {near} {query}{limit}, among {stored.shape[0]:,} by {way}.{full}"
    )
