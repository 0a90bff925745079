"""``oddpair audit``: is a test set out-of-distribution for a corpus? One search, its parts, a card and a page."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from oddpair import files, stages
from oddpair.commands.audit_inputs import open_audited, tell_hashes, write_recipe
from oddpair.commands.given import Given, write_sources
from oddpair.eval.auditing.accuracy import find_accuracy
from oddpair.eval.auditing.asked import Asked, Material
from oddpair.eval.auditing.card import CARD_FILE, FORMAT_VERSION, as_card, hash_table, read_card, round_audit
from oddpair.eval.auditing.concepts import find_concepts
from oddpair.eval.auditing.duplicates import find_duplicates
from oddpair.eval.auditing.found import Audit
from oddpair.eval.auditing.gap import find_gap_removal
from oddpair.eval.auditing.images import join_images
from oddpair.eval.auditing.nearness import find_nearness
from oddpair.eval.auditing.pairs import find_pairs
from oddpair.eval.auditing.removals import RemovalFound
from oddpair.eval.auditing.styles import StylesFound, find_styles
from oddpair.eval.auditing.verdict import judge, write_verdict
from oddpair.retrieval.same_encoder import require_one_encoder
from oddpair.splits.inputs import Inputs
from oddpair.splits.similar.search import search_corpus

PAGE = "page.html"
IMAGES, NEAREST = "images.parquet", "nearest.parquet"
REMOVALS, RECIPES = "removals", "recipes"
# A stage does not count what is hidden among the files it made.
_WORK = ".work"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Audited:
    """An audit in memory.

    Attributes:
        audit: What was found, rounded.
        material: What it stands on.
        tables: Everything that is written beside the card, by the name of its file.
        removals: What would have to go, with recipes.
        copies: Duplicates, see ``find_duplicates``.
        confusions: Rows whose label and sorting disagree; no row where styles were not audited.
        counts: Captions of the corpus by concept; empty where concepts were not audited.
    """

    audit: Audit
    material: Material
    tables: Mapping[str, pa.Table]
    removals: tuple[RemovalFound, ...]
    copies: pa.Table
    confusions: pa.Table
    counts: Mapping[str, int]


def audit_test(given: Given, asked: Asked, out: Path, *, workers: int = 1) -> dict[str, Any]:
    """Audit a test set against a corpus; a killed run goes on where it was, a finished one is left as it is.

    Writes ``audit.json``, ``images.parquet``, ``nearest.parquet``, ``removals/``, ``recipes/``, ``page.html`` and
    ``sources.json``, where the inputs were.

    Args:
        given: Where the inputs are: a corpus, one test set, and what else there is.
        asked: Settings.
        out: Folder to write.
        workers: Processes; the results do not depend on them.

    Returns:
        The card.

    Raises:
        Refusal: If an input cannot be used, or the folder is of another audit.
    """
    # Before the lock, which would be left where nothing is to be written.
    inputs, name = open_audited(given, out, workers=workers)
    corpus, test = inputs.need_corpus(), inputs.tests[name]
    require_one_encoder(corpus.need_stored(), test.need_stored(), (corpus.name, test.name))
    hashes = tell_hashes(inputs, name, given.accuracies)
    with files.locked(out):
        if stages.begin(out, {"audit": FORMAT_VERSION, "test": name, "asked": _as_json(asked), **hashes}):
            with stages.make(out):
                found = run_audit(inputs, name, asked, out / _WORK, table=given.accuracies, hashes=hashes)
                _write(found, given, out)
        # Now that the result is safe; of millions of rows this is as large as all that is kept.
        shutil.rmtree(out / _WORK, ignore_errors=True)
    return read_card(out)


def run_audit(
    inputs: Inputs, name: str, asked: Asked, work: Path, *, table: str | None, hashes: Mapping[str, str]
) -> Audited:
    """Carry out all parts of an audit.

    Args:
        inputs: The opened inputs.
        name: Of the test set among them.
        asked: Settings.
        work: Folder that a killed run goes on from.
        table: Table of accuracies, if there is one.
        hashes: As ``tell_hashes`` gives them.

    Returns:
        What was found; nothing is written but in ``work``.
    """
    material = Material(
        asked=asked,
        inputs=inputs,
        name=name,
        searched=search_corpus(inputs, work / "search", deduplicate=None, sampled=0, seed=0),
        table=Path(table) if table else None,
        work=work,
    )
    near = find_nearness(material)
    copies = find_duplicates(material)
    style = find_styles(material)
    concepts = find_concepts(material)
    pairs = find_pairs(material, concepts)
    gap = find_gap_removal(material)
    in_domain, what = _name_in_domain(style, gap)
    accuracy = find_accuracy(material, concepts, in_domain, what)
    removals = tuple(each for each in (style.removal, gap, pairs.removal) if each is not None)
    left_out = {
        part: why
        for part, found, why in (
            ("styles", style.styles, style.why),
            ("concepts", concepts.concepts, concepts.why),
            ("pairs", pairs.pairs, pairs.why),
            ("accuracy", accuracy.accuracy, accuracy.why),
        )
        if found is None
    }
    judgements = judge(
        nearness=near.nearness,
        duplicates=copies.duplicates,
        styles=style.styles,
        concepts=concepts.concepts,
        pairs=pairs.pairs,
        left_out=left_out,
    )
    images = join_images(material, [near.images, copies.images, style.images, concepts.images, pairs.images])
    rows = len(material.searched.corpus.pool)
    told = tuple(each.removal for each in removals)
    audit = round_audit(
        Audit(
            test=name,
            corpus=inputs.need_corpus().name,
            tests=images.num_rows,
            rows=rows,
            hashes=hashes,
            settings=_as_json(asked),
            nearness=near.nearness,
            duplicates=copies.duplicates,
            styles=style.styles,
            concepts=concepts.concepts,
            pairs=pairs.pairs,
            accuracy=accuracy.accuracy,
            removals=told,
            left_out=left_out,
            judgements=judgements,
            verdict=write_verdict(
                name, images.num_rows, inputs.need_corpus().name, rows, judgements, accuracy.accuracy, told
            ),
            images=images,
        )
    )
    return Audited(
        audit=audit,
        material=material,
        tables={
            IMAGES: images,
            NEAREST: _list_nearest(material),
            **{f"{REMOVALS}/{each.removal.name}.parquet": each.rows for each in removals},
        },
        removals=removals,
        copies=copies.pairs,
        confusions=style.confusions,
        counts={}
        if concepts.opened is None
        else dict(zip(concepts.opened.vocabulary.names, concepts.opened.counts.text.tolist(), strict=True)),
    )


def _name_in_domain(
    style: StylesFound, gap: RemovalFound | None
) -> tuple[pa.Array | None, Literal["style", "gap", "none"]]:
    """Name the rows that are most like the test: those of its style or, where nothing tells, nearer than the reference set."""
    if style.in_domain is not None:
        return style.in_domain, "style"
    if gap is not None:
        return gap.rows["uid"].combine_chunks(), "gap"
    return None, "none"


def tell_command(given: Given, name: str) -> str:
    """Return what makes the split of a removal, in the folder of the audit.

    >>> tell_command(Given(model="ViT-B-32", pretrained="a b.pt"), "gap-pruned")
    "oddpair split recipes/gap-pruned.yaml --out gap-pruned --model ViT-B-32 --pretrained 'a b.pt'"
    """
    words = ["oddpair", "split", f"{RECIPES}/{name}.yaml", "--out", name]
    # What a recipe file has no place for.
    for option in ("model", "pretrained", "subset") if name != "pair-unseen" else ("subset",):
        if getattr(given, option):
            words += [f"--{option}", str(getattr(given, option))]
    return shlex.join(words)


def hash_tables(found: Audited) -> dict[str, str]:
    """Hash what the tables beside a card hold."""
    return {name: hash_table(table) for name, table in found.tables.items()}


def _list_nearest(material: Material) -> pa.Table:
    """List the nearest rows of each test image, with their captions."""
    found = files.read_table(material.searched.found[material.name] / "tests.parquet")
    pool, stored = material.searched.corpus.pool, material.corpus.need_stored()
    uids = found["uid"].combine_chunks().dictionary_encode()
    each = pa.array(stored.captions(pool.rows[pool.places(uids.dictionary)]), pa.string())
    return found.append_column("caption", each.take(uids.indices))


def _write(found: Audited, given: Given, out: Path) -> None:
    from oddpair.commands.audit_page import render_audit
    from oddpair.commands.audit_pictures import choose_pictures

    for name, table in found.tables.items():
        files.write_table(out / name, table)
    for each in found.removals:
        removal = each.removal
        write_recipe(
            out / RECIPES / f"{removal.name}.yaml",
            removal.kind,
            each.recipe,
            each.inputs,
            given,
            found.material.inputs,
        )
    write_sources(out, given)
    gallery = choose_pictures(
        found.material,
        found.tables[IMAGES],
        found.tables[NEAREST],
        found.copies,
        found.confusions,
        found.counts,
    )
    commands = {each.removal.name: tell_command(given, each.removal.name) for each in found.removals}
    files.write_text(out / PAGE, render_audit(found.audit, gallery, commands))
    files.write_json(out / CARD_FILE, as_card(found.audit, hash_tables(found)))


def _as_json(asked: Asked) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(asked).items()}
