"""The page of ``oddpair samples``: pictures where there are some, and captions with the concepts marked."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup

from oddpair import files, html
from oddpair.commands.samples import Answer
from oddpair.commands.samples_found import Found
from oddpair.commands.thumbnails import as_thumbnail, find_files
from oddpair.progress import visible
from oddpair.retrieval.corpus import Corpus
from oddpair.retrieval.words import find_words

# What a browser shows without trouble.
_PAGE_SAMPLES = 5_000
# Runs between spaces and common signs, with the apostrophes inside them.
_SIGNS = r"\s!-/:-@\[-`{-~«»‐-‧、。"
_RUN = re.compile(rf"[^{_SIGNS}]+(?:['’][^{_SIGNS}]+)*")


def write_page(path: Path, corpus: Corpus, answer: Answer, found: Found) -> None:
    """Write the samples that are shown as one HTML page.

    Args:
        path: The file.
        corpus: The corpus.
        answer: The numbers.
        found: The samples.
    """
    shown = found.shown[:_PAGE_SAMPLES]
    parts = [html.card(f"Rows with all of it in {answer.place}", _numbers(answer))]
    pictures = find_files(corpus, answer.postings.index.rows, {sample.uid: sample.row for sample in shown})
    sheet = [
        (as_thumbnail(pictures[sample.uid]), sample.caption) for sample in shown if sample.uid in pictures
    ]
    if sheet:
        parts.append(html.contact_sheet(sheet, columns=5))
    forms = {tuple(form.split(" ")) for concept in answer.concepts for form in concept.forms}
    if shown:
        rows = [[mark(sample.caption, forms), sample.shard, sample.uid] for sample in shown]
        table = html.table(["caption", "shard", "uid"], rows, caption=f"From {corpus.name}, in its order")
        parts.append(html.fold("The same as a table" if sheet else "Table", table, is_open=not sheet))
    note = f"The first {len(shown):,} of {answer.count:,}." if len(shown) < answer.count else None
    section = html.section(answer.title, *parts, anchor="samples", note=note)
    lead = f"Samples of {corpus.name} with {answer.title} in {answer.place}."
    files.write_text(path, html.page("Samples", [section], lead=lead))


def _numbers(answer: Answer) -> list[tuple[str, object]]:
    numbers: list[tuple[str, object]] = [
        ("rows", answer.count),
        ("of all rows", f"{answer.share:.4%} of {answer.n_rows:,}"),
    ]
    if len(answer.ids) > 1:
        names = [f"rows with {concept.name}" for concept in answer.concepts]
        numbers += zip(names, answer.each.tolist(), strict=True)
    if answer.expected is not None:
        numbers.append(("expected if independent", answer.expected))
    return [*numbers, *(("found", label) for label in answer.labels)]


def mark(caption: str, forms: Iterable[tuple[str, ...]]) -> Markup:
    """Mark the words of a caption that are one of some forms, and escape all.

    Where the words of a caption cannot be traced back to their letters, nothing is marked.

    >>> mark("<b> two Pine-trees", [("pine", "trees")])
    Markup('&lt;b&gt; two <mark>Pine-trees</mark>')
    """
    spans = [
        (word, run.start(), run.end()) for run in _RUN.finditer(caption) for word in find_words(run.group())
    ]
    words = [word for word, _, _ in spans]
    marked: set[int] = set()
    if words == find_words(caption):
        for form in forms:
            for start in range(len(words) - len(form) + 1):
                if tuple(words[start : start + len(form)]) == form:
                    marked.update(range(spans[start][1], spans[start + len(form) - 1][2]))
    pieces = []
    for inside, places in itertools.groupby(range(len(caption)), key=marked.__contains__):
        text = visible("".join(caption[place] for place in places))
        pieces.append(Markup("<mark>{}</mark>").format(text) if inside else Markup.escape(text))
    return Markup().join(pieces)
