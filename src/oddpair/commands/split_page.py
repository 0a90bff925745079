"""The page of a recipe's splits: what each guarantees, what every rule took, what changed, and pictures to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from oddpair import files, html
from oddpair.commands.split_plots import draw_panel
from oddpair.commands.thumbnails import as_thumbnail
from oddpair.retrieval.corpus import Corpus
from oddpair.splits.built import Built, Listing, Panel
from oddpair.splits.concept_change import ConceptChange, count_change
from oddpair.splits.inputs import Inputs
from oddpair.splits.manifest import CORPUS, Manifest
from oddpair.splits.recipe_file import Loaded

CARD_FILE = "card.html"
_SHARDS, _SHOWN = 4, 24
_CONCEPTS = 15


def write_page(path: Path, loaded: Loaded, built: Built, inputs: Inputs) -> None:
    """Write the page of a recipe's splits.

    Args:
        path: The page.
        loaded: The recipe.
        built: What it made.
        inputs: What from; with a vocabulary and captions the page shows how each split changes concept counts.
    """
    sections = [
        html.section(
            manifest.name,
            *_show(manifest, built.panels.get(manifest.name, ())),
            *_show_pictures(manifest, inputs),
        )
        for manifest in built.splits
    ]
    together = [_show_panel(panel) for panel in built.panels.get("", ())]
    together += [
        html.paragraph(f"Beside this page: {name}, {len(table):,} lines")
        for name, table in built.tables.items()
    ]
    together += _show_concepts(built.splits, inputs)
    if together:
        sections.append(html.section("All together", *together))
    if not sections:
        sections.append(html.section("Nothing", html.paragraph("The recipe made no split.")))
    made = f" of {inputs.corpus.name}" if inputs.corpus else ""
    lead = (
        f"Splits{made} by the recipe {loaded.kind}. Every claim can be computed again from the corpus and the rows "
        "alone: oddpair verify and the folder of the split."
    )
    files.write_text(path, html.page("Splits", sections, lead=lead))


def _show(manifest: Manifest, panels: Sequence[Panel]) -> Iterator[Markup]:
    claims = [(f"{number}", claim.text) for number, claim in enumerate(manifest.statement, start=1)]
    if claims:
        yield html.card("What it guarantees", claims)
    else:
        yield html.paragraph("This split guarantees nothing about its rows.")
    about = [("rows", len(manifest)), ("of", manifest.of), ("sha256 of the uids", manifest.uids_sha256)]
    yield html.card("Rows", [*manifest.rules, *about])
    if manifest.card:
        yield html.card("More", manifest.card)
    for panel in panels:
        yield _show_panel(panel)


def _show_panel(panel: Panel) -> Markup:
    if isinstance(panel, Listing):
        table = html.table(panel.columns, panel.rows, caption=panel.title)
        return html.fold(
            f"{panel.title}: {len(panel.rows):,} lines", table, is_open=len(panel.rows) <= _CONCEPTS
        )
    return draw_panel(panel)


def _show_pictures(manifest: Manifest, inputs: Inputs) -> list[Markup]:
    source = inputs.corpus if manifest.of == CORPUS else inputs.tests.get(manifest.of)
    corpus = None if source is None else source.corpus
    if corpus is None or not corpus.pictures:
        return []
    shown = _sample(manifest, corpus)
    caption = f"Rows of up to {_SHARDS} shards, with their captions"
    return [html.contact_sheet(shown, columns=8, caption=caption)] if shown else []


def _sample(manifest: Manifest, corpus: Corpus) -> list[tuple[bytes, str]]:
    """Choose rows of a few shards: a picture takes reading a shard up to it, and there may be thousands of them."""
    chosen = np.unique(np.linspace(0, len(corpus.shards) - 1, _SHARDS).astype(int)).tolist()
    shown: list[tuple[bytes, str]] = []
    for number, index in enumerate(chosen):
        shard = corpus.shards[index]
        captions: dict[str, str] = {}
        for batch in corpus.scan(shard):
            inside = pc.is_in(batch.table["uid"].cast(pa.large_string()), value_set=manifest.uids)
            kept = batch.table.filter(inside)
            captions |= dict(zip(kept["uid"].to_pylist(), kept["caption"].to_pylist(), strict=True))
        wanted = -(-(_SHOWN - len(shown)) // (len(chosen) - number))
        uids = sorted(captions)[:: max(1, len(captions) // max(wanted, 1))][:wanted]
        found = corpus.only(shard).find_pictures(uids)
        shown += [(as_thumbnail(found[uid]), captions[uid]) for uid in uids if uid in found]
    return shown


def _show_concepts(splits: Sequence[Manifest], inputs: Inputs) -> list[Markup]:
    corpus = inputs.corpus.corpus if inputs.corpus else None
    mine = [split for split in splits if split.of == CORPUS]
    if inputs.shown is None or corpus is None or not corpus.captioned or not mine:
        return []
    change = count_change(corpus, mine, inputs.shown)
    return [_show_change(change, number, split.name, len(split)) for number, split in enumerate(mine)]


def _show_change(change: ConceptChange, number: int, name: str, rows: int) -> Markup:
    """List the concepts whose share of the captions changed most, up or down."""
    after = change.after[number]
    share = np.log((after + 0.5) / (rows + 1)) - np.log((change.before + 0.5) / (change.rows + 1))
    there = np.flatnonzero(change.before)
    order = there[np.argsort(-np.abs(share[there]), kind="stable")][:_CONCEPTS]
    lines = [
        [
            change.names[concept],
            int(change.before[concept]),
            int(after[concept]),
            f"{np.exp(share[concept]):.2f}",
        ]
        for concept in order.tolist()
    ]
    kept = int(np.count_nonzero(after))
    title = f"Concepts in {name}: {kept:,} of {len(there):,} are left; those whose share changed most"
    columns = ["concept", "captions before", "after", "share, after by before"]
    return html.table(columns, lines, caption=title)
