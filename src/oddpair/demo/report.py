"""The report of a run: one page that says what was asked, what came out and how sure that is."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from oddpair import files, html, stages
from oddpair.demo import answers, plots
from oddpair.demo.analyse import CONTROL, STRICT
from oddpair.demo.concept_tables import sorted_styles
from oddpair.demo.numbers import show_number
from oddpair.demo.pair_tables import KINDS
from oddpair.demo.pictures import STYLES, LeftRow, choose_world_pictures, rows_that_left
from oddpair.demo.plan import make_plan
from oddpair.demo.tables import make_tables, read_splits
from oddpair.demo.tabulate import Results, Table
from oddpair.progress import visible
from oddpair.retrieval.corpus import open_corpus
from oddpair.splits.manifest import Manifest, read_manifest

Tables = Mapping[str, Table]

REPORT = "report.html"
_SIZES = ("demo", "study", "small")
_DEMO = "oddpair demo --size demo --seed 0"
_STAGES = ("world", "counts", "splits", "predictions", "results")


def write_report(out: Path, results: Results) -> Path:
    """Write the report of a finished run into its folder; equal runs give equal bytes.

    Args:
        out: The run's folder.
        results: What its ``results.json`` holds.

    Returns:
        Path of ``report.html``.

    Raises:
        Refusal: If a file of the run is missing or damaged, or the report cannot be written.
    """
    tables = {table.title: table for table in make_tables(out, results)}
    sections = [
        show_world(out, results),
        show_styles(results, tables, read_manifest(out / "splits" / STRICT), rows_that_left(out)),
        show_concepts(out, results, tables),
        show_pairs(out, results, tables),
        show_pmi(out, results, tables),
        show_planted(results, tables),
        show_splits(out, tables),
        show_making(out, results),
    ]
    plan = results["plan"]
    lead = (
        f"A world of {plan['rows']:,} captioned pictures, drawn with known contents (seed {plan['seed']}); two "
        f"small CLIP models, trained for {plan['steps']:,} steps on splits of it; and what can be told of their "
        "accuracy from what they were trained on. Numbers in brackets are 95 % intervals."
    )
    files.write_text(out / REPORT, html.page("oddpair: the whole path on a drawn world", sections, lead=lead))
    return out / REPORT


def show_world(out: Path, results: Results) -> html.Section:
    """Show what the world looks like: its styles, its counts and its captions."""
    corpus = open_corpus(out / "world" / "corpus")
    found = choose_world_pictures(corpus)
    counts = results["planted"]["counts"]
    parts: list[str] = [
        html.paragraph(
            f"The corpus has {len(corpus):,} rows with {counts['concepts']:,} kinds of objects, one or two in a "
            "picture. Style is the renderer's, so every object exists in every style. Rows that are "
            "ambiguous put a cartoon object into a photo scene."
        )
    ]
    if found.concepts:
        parts.append(
            html.table(
                ["", *STYLES],
                [
                    [
                        name,
                        *(
                            _picture(data, f"{name}, {style}")
                            for data, style in zip(row, STYLES, strict=True)
                        ),
                    ]
                    for name, row in zip(found.concepts, found.grid, strict=True)
                ],
                caption="One object in six styles, from a frequent object to a rare one, as they are in the corpus.",
                numeric=(),
            )
        )
    if found.couples:
        parts.append(
            html.contact_sheet(
                found.couples, columns=8, caption="Two objects, with the captions of the rows."
            )
        )
    parts += [
        html.paragraph(
            f"Counts fall from {counts['largest']:,} captions for the most frequent object to "
            f"{counts['smallest']:,} for the rarest. Captions do not name all that a picture shows, and sometimes "
            "name what it does not."
        ),
        html.svg(
            plots.plot_counts(out),
            "Concept counts from the most to the least frequent, in captions and pictures",
        ),
        html.table(
            ["", "caption", "the picture shows", "the caption names"],
            found.captions,
            caption="Captions as they are. What they name is counted by whole words.",
        ),
    ]
    return html.section("The world", *parts)


def show_styles(results: Results, tables: Tables, natural: Manifest, left: Sequence[LeftRow]) -> html.Section:
    """Show whether a test in another style is out of distribution, and what the search took out."""
    bars = [
        _bar(style, entry[name], group)
        for style, entry in sorted_styles(results)
        for name, group in ((STRICT, "style-strict"), (CONTROL, "matched control"))
    ]
    parts: list[str] = [
        html.paragraph(
            "Asked: does a model that has met one style only fail on the others, beyond what fewer rows or other "
            "objects would explain? Its control has as many rows, which name the same objects, in every style."
        ),
        html.paragraph(answers.say_styles(results)),
        html.bars(
            bars,
            caption=f"Zero-shot accuracy by style of the test pictures; the scale ends at {_round_up(bars):.0%}.",
            limit=_round_up(bars),
        ),
        _table(tables["Style gap"]),
        html.paragraph(answers.say_search(results["planted"], natural)),
    ]
    if left:
        parts.append(
            html.table(
                [
                    "row that left",
                    "nearest test picture",
                    "similarity",
                    "caption of the row",
                    "drawn as",
                    "test drawn as",
                ],
                [
                    [
                        _picture(row.picture, f"row that left: {row.caption}"),
                        _picture(row.test_picture, f"test picture, {row.test_style}"),
                        show_number(row.similarity, 3),
                        row.caption,
                        row.style,
                        row.test_style,
                    ]
                    for row in left
                ],
                caption=f"The {len(left)} rows nearest to a test picture, of those that left the natural split.",
            )
        )
    return html.section("Is the test out of distribution in style?", *parts)


def show_concepts(out: Path, results: Results, tables: Tables) -> html.Section:
    """Show whether accuracy could have been predicted from counts."""
    return html.section(
        "Could accuracy have been predicted?",
        html.paragraph(
            "Asked: is the accuracy on natural pictures of an object told by how often the training captions name it?"
        ),
        html.paragraph(answers.say_concepts(results)),
        html.svg(
            plots.plot_concepts(out, results),
            "Accuracy of every concept against its count, with a fitted curve, its band and binned means",
        ),
        *(
            _table(tables[title])
            for title in (
                "Accuracy and log count",
                "Predicting concepts",
                "Gain over the baselines, concepts",
            )
        ),
    )


def show_pairs(out: Path, results: Results, tables: Tables) -> html.Section:
    """Show whether objects that the corpus never shows together are harder together."""
    parts: list[str] = [
        html.paragraph(
            "Asked: is a pair of objects that the corpus never shows together harder than its two objects make "
            "it? Unseen pairs are of two kinds: held out by design, and never drawn because they are rare."
        ),
        html.paragraph(answers.say_penalty(results)),
        html.paragraph(answers.say_transfer(results)),
        html.paragraph(answers.say_kinds(results)),
        _pair_bars(results),
        _table(tables["Accuracy on pairs"]),
        _table(tables["Together in the corpus"]),
    ]
    penalties, transfer = plots.plot_penalties(results), plots.plot_transfer(out)
    if penalties is not None:
        parts.append(html.svg(penalties, "Accuracy on unseen minus seen pairs, in points, with intervals"))
    parts.append(_table(tables["What being unseen costs"]))
    if transfer is not None:
        parts += [
            html.paragraph(
                f"Unseen rows in {plots.BINS} equally filled bins of their prediction. The whiskers allow for the few "
                "questions of a bin (Wilson), not for differences between pairs; the interval of the bias does both."
            ),
            html.svg(
                transfer, "True against predicted accuracy on unseen pairs, in twelve bins, with intervals"
            ),
        ]
    parts.append(_table(tables["Unseen pairs predicted from single counts"]))
    return html.section("Objects never seen together", *parts)


def show_pmi(out: Path, results: Results, tables: Tables) -> html.Section:
    """Show whether PMI adds to counts."""
    parts: list[str] = [
        html.paragraph(
            "Asked: among pairs that were seen, are those easier that occur together more often than their counts "
            "make likely?"
        ),
        html.paragraph(answers.say_pmi(results)),
    ]
    figure = plots.plot_pmi(out, results)
    if figure is not None:
        parts.append(
            html.svg(
                figure,
                "Accuracy at equal counts against PMI, five groups of pairs with intervals and the fit with its band",
            )
        )
    titles = (
        "PMI",
        "Accuracy by fifth of PMI",
        "Predicting seen pairs",
        "Gain over the baselines, seen pairs",
    )
    return html.section("Does PMI add to counts?", *parts, *(_table(tables[title]) for title in titles))


def show_planted(results: Results, tables: Tables) -> html.Section:
    """Show whether the suite finds what is known to be there."""
    return html.section(
        "Was the planted truth found?",
        html.paragraph(
            "Asked: does the suite find what this world is known to hold? The world keeps a record of every "
            "picture and caption, which is compared here with what was found."
        ),
        html.paragraph(answers.say_planted(results)),
        _table(tables["What was planted and what was found"]),
    )


def show_splits(out: Path, tables: Tables) -> html.Section:
    """Show the card of every split."""
    return html.section(
        "Split cards",
        html.paragraph(
            "Each split is a list of uids with the recipe that made it and what is known about it."
        ),
        _table(tables["Splits"]),
        *(
            html.card(split.name, [*split.card, ("sha256 of the uids", split.uids_sha256)])
            for split in read_splits(out)
        ),
    )


def show_making(out: Path, results: Results) -> html.Section:
    """Show from what the run was made, and how to make it again."""
    plan = results["plan"]
    command = command_for(plan)
    return html.section(
        "How this was made",
        html.paragraph(
            f"These numbers come again with: {command}" if command else "No command makes this plan."
        ),
        html.card("Plan", [(name.replace("_", " "), _plain(value)) for name, value in plan.items()]),
        html.card("Versions", _versions(out)),
        html.card(
            "What each stage left: sha256 of its list of files",
            [(name, stages.digest(out / name)) for name in _STAGES],
        ),
        note="Equal bytes are promised on one machine and one set of versions, equal decisions elsewhere.",
    )


def command_for(plan: Mapping[str, Any]) -> str:
    """Find the command that makes a run of this plan, empty if none does.

    >>> command_for(make_plan("study", seed=3).as_inputs())
    'oddpair demo --size study --seed 3'
    """
    for size in _SIZES:
        usual = make_plan(size, seed=plan["seed"])
        if replace(usual, rows=plan["rows"], steps=plan["steps"]).as_inputs() == plan:
            words = [f"oddpair demo --size {size} --seed {plan['seed']}"]
            words += [f"--rows {plan['rows']}"] if plan["rows"] != usual.rows else []
            words += [f"--steps {plan['steps']}"] if plan["steps"] != usual.steps else []
            return "make demo" if words == [_DEMO] else " ".join(words)
    return ""


def _pair_bars(results: Results) -> Markup:
    accuracy = results["pairs"]["accuracy"]
    bars = [_bar(name, accuracy[kind]) for kind, name in KINDS.items() if kind in accuracy]
    return html.bars(
        bars,
        caption=f"Accuracy on pairs, nothing controlled; the scale ends at {_round_up(bars):.0%}.",
        limit=_round_up(bars),
    )


def _bar(label: str, entry: Mapping[str, Any], group: str = "") -> html.Bar:
    return html.Bar(
        label=label, value=entry["value"], low=entry["low"], high=entry["high"], n=entry["n"], group=group
    )


def _versions(out: Path) -> Iterator[tuple[str, str]]:
    world, model = (files.read_json(out / name / "inputs.json") for name in ("world", f"models/{STRICT}"))
    yield "oddpair", world["oddpair"]
    yield from world["versions"].items()
    yield "torch", model["torch"]
    yield (
        "reference encoder, sha256",
        files.read_json(out / "embeddings" / "corpus" / "manifest.json")["encoder_sha256"],
    )


def _table(table: Table) -> Markup:
    return html.table(table.columns, table.rows, caption=f"{table.title}. {table.caption}")


def _picture(data: bytes, alt: str) -> Markup:
    # Worlds are drawn as JPEG files.
    source = f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
    return Markup(
        '<img src="{}" alt="{}" width="64" height="64" style="vertical-align:middle;border-radius:.25rem">'
    ).format(source, visible(alt))


def _round_up(bars: Sequence[html.Bar]) -> float:
    return min(10, 1 + math.floor(10 * max(bar.high for bar in bars))) / 10


def _plain(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value
