"""``oddpair split``: carry out a recipe on a user's corpus, into manifests and a page that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from oddpair import files, html, stages
from oddpair.commands.count import tell_left_out
from oddpair.commands.read import embeddings_of, read_vocabulary
from oddpair.commands.thumbnails import as_thumbnail
from oddpair.errors import Refusal
from oddpair.retrieval.concepts import nested_pairs
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.counting.jobs import Counted, count_corpus
from oddpair.retrieval.counting.mined import MinedWords
from oddpair.retrieval.counting.plan import CountPlan, TagFile
from oddpair.splits.manifest import Manifest, read_manifest, write_manifest
from oddpair.splits.pairs_build import find_unseen_pairs, pair_card
from oddpair.splits.recipes import StyleStrictRecipe, UnseenPairsRecipe
from oddpair.splits.style import PROBED
from oddpair.splits.style_build import StyleSplits, build_style_splits
from oddpair.splits.unseen_pairs import SEEN, PairTable

SHOWN = 24
CARD_FILE = "card.html"


def split_styles(
    corpus: Corpus,
    recipe: StyleStrictRecipe,
    out: Path,
    *,
    embeddings: Path,
    model: str,
    pretrained: str | None,
    workers: int,
) -> list[Manifest]:
    """Make the style-strict splits of a corpus whose rows, some of them, have a style label.

    Args:
        corpus: The corpus.
        recipe: The recipe.
        out: Folder for one manifest folder a split, and ``card.html``.
        embeddings: Folder of the corpus's embeddings; made if missing.
        model: Encoder for them.
        pretrained: Its weights, for an architecture.
        workers: Processes.

    Returns:
        The manifests: ``natural-strict``, ``rendition-strict`` and the test pictures taken out.
    """
    styles = corpus.metadata([recipe.style_column])
    embedded = embeddings_of(corpus, embeddings, model, pretrained, workers=workers)
    origin = {"corpus": fingerprint(corpus), "embeddings": stages.digest(embeddings)}
    names = [f"{style}-{part}" for part in ("strict", "test") for style in PROBED]
    if stages.begin(out, {"recipe": asdict(recipe), **origin}):
        with stages.make(out):
            label = dict(zip(styles["uid"].to_pylist(), styles[recipe.style_column].to_pylist(), strict=True))
            found = build_style_splits(
                embedded, [label[uid] for uid in embedded.uids], recipe, tests=None, provenance=origin
            )
            for manifest in found.manifests:
                write_manifest(out / manifest.name, manifest)
            _write_style_page(out / CARD_FILE, corpus, recipe, found, label)
    return [read_manifest(out / name) for name in names]


def split_pairs(
    corpus: Corpus, recipe: UnseenPairsRecipe, out: Path, *, vocabulary: Path | None, tags: Path | None
) -> tuple[PairTable, tuple[tuple[str, str], ...]]:
    """List the pairs of concepts that a corpus's captions, and its tags if given, never show together.

    Without test pictures of the pairs nothing can be searched, and no pair is called more than unseen in
    captions.

    Args:
        corpus: The corpus.
        recipe: The recipe.
        out: Folder for ``counts/``, ``pairs/pairs.parquet`` and ``pairs/card.html``.
        vocabulary: File of concept names; ``None`` mines the captions.
        tags: Image tags; ``None`` for none.

    Returns:
        The pairs and their card.
    """
    plan = CountPlan(
        vocabulary=read_vocabulary(vocabulary) if vocabulary else MinedWords(minimum=recipe.mined_words),
        tags=TagFile(path=tags) if tags else None,
    )
    counted = count_corpus(corpus, out / "counts", plan)
    tell_left_out(corpus, out / "counts", counted)
    folder = out / "pairs"
    made_from = {"recipe": asdict(recipe), "counts": stages.digest(out / "counts")}
    if stages.begin(folder, made_from):
        with stages.make(folder):
            _write_pairs(folder, corpus, recipe, counted)
    table = PairTable.from_table(files.read_table(folder / "pairs.parquet"))
    return table, pair_card(table)


def _write_pairs(folder: Path, corpus: Corpus, recipe: UnseenPairsRecipe, counted: Counted) -> None:
    table = find_unseen_pairs(
        counted.counts, nested_pairs(counted.vocabulary), recipe, tests=None, embeddings=None, tags=None
    )
    files.write_table(folder / "pairs.parquet", table.to_table())
    _write_pairs_page(folder / CARD_FILE, corpus, table, counted)


def _write_style_page(
    path: Path, corpus: Corpus, recipe: StyleStrictRecipe, found: StyleSplits, label: dict[str, str | None]
) -> None:
    sections = []
    wanted = [uid for manifest in found.manifests for uid in _sample(manifest.uids)]
    pictures = corpus.find_pictures(wanted) if corpus.pictures else {}
    for manifest in found.manifests:
        parts = [html.card(manifest.name, manifest.card)]
        if corpus.pictures:
            shown = [
                (as_thumbnail(pictures[uid]), label[uid] or "no label")
                for uid in _sample(manifest.uids)
                if uid in pictures
            ]
            caption = "Up to 24 rows, evenly from the sorted uids, with the label that somebody gave them"
            parts.append(html.contact_sheet(shown, columns=8, caption=caption))
        sections.append(html.section(manifest.name, *parts))
    lead = (
        f"{corpus.name}: {len(label):,} rows sorted by style. Natural are rows labelled "
        f"{', '.join(recipe.natural)}; precision {recipe.precision:g} is certified at {recipe.confidence:.0%}."
    )
    files.write_text(path, html.page("Style-strict splits", sections, lead=lead))


def _write_pairs_page(path: Path, corpus: Corpus, table: PairTable, counted: Counted) -> None:
    silent = np.flatnonzero(table.status != SEEN)
    order = silent[np.argsort(-table.expected[silent], kind="stable")][:50]
    rows = [
        [
            table.a[i],
            table.b[i],
            int(table.count_a[i]),
            int(table.count_b[i]),
            f"{table.expected[i]:.2f}",
            table.status[i],
        ]
        for i in order.tolist()
    ]
    columns = ["first", "second", "captions with the first", "with the second", "expected together", "status"]
    parts = [html.card("Pairs", [*pair_card(table), ("vocabulary", counted.vocabulary.sha256[:16])])]
    if rows:
        parts.append(html.table(columns, rows, caption="The unseen pairs that chance would show most often"))
    lead = (
        f"{corpus.name}: pairs of concepts that {counted.counts.n_captions:,} captions never name together."
    )
    files.write_text(path, html.page("Unseen pairs", [html.section("Pairs", *parts)], lead=lead))


def _sample(uids: Sequence[str]) -> list[str]:
    step = max(1, len(uids) // SHOWN)
    return list(uids[::step][:SHOWN])


def refuse_without_labels(corpus: Corpus, recipe: StyleStrictRecipe) -> None:
    """Refuse a corpus whose label column is missing, saying how to name another."""
    try:
        corpus.metadata([recipe.style_column])
    except Refusal as refusal:
        raise Refusal(
            f"{refusal}; a style-strict split needs hand labels of some rows: name their column with --style-column"
        ) from refusal
