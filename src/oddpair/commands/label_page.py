"""What people said so far, and how far they agree: lines for a terminal, a page, and the table of merged labels."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from oddpair import html
from oddpair.commands.label_draw import Plan
from oddpair.splits.labelling.agreement import Kappa, cohen_kappa, cross, list_disputes
from oddpair.splits.labelling.labels import Labels
from oddpair.splits.labelling.origin import Origin, write_origin

# What a browser shows without trouble.
_MOST_DISPUTES = 1_000


class _Compared(NamedTuple):
    title: str
    first: str
    second: str
    names: tuple[str, ...]
    counts: list[list[int]]
    kappa: Kappa


def tell_report(labels: Labels, plan: Plan) -> list[str]:
    """Say in lines who labelled how many as what, how far they agree, and what is left out."""
    lines = [f"{name}: {value}" for name, value in _summarise(labels, plan)]
    for person, said in labels.by_person().items():
        lines.append(f"{person}: {len(said):,} labelled, {_tell_shares(Counter(said.values()), plan)}")
    lines += [f"{compared.title}: {compared.kappa.text}" for compared in _compare(labels, plan)]
    return lines


def make_report(labels: Labels, plan: Plan) -> str:
    """Return the same as a page, with the table of each comparison and every dispute."""
    said = labels.by_person()
    counts = [
        [person, len(own), *(Counter(own.values())[name] for name in plan.classes)]
        for person, own in said.items()
    ]
    progress = [html.card("Labels", _summarise(labels, plan))]
    if counts:
        progress.append(
            html.table(["who", "labelled", *plan.classes], counts, caption="Labels at first look by person")
        )
    sections = [html.section("Progress", *progress)]
    compared = list(_compare(labels, plan))
    if compared:
        parts = [part for one in compared for part in _show(one)]
        note = "kappa is 1 for full agreement and 0 for what chance alone gives; interval after Fleiss, Cohen and Everitt (1969)."
        sections.append(html.section("Agreement", *parts, note=note))
    disputed = labels.disputed()
    if disputed:
        merged = labels.merge()
        rows = [
            [uid, text, merged.get(uid, "left out")]
            for uid, text in list_disputes(said, disputed[:_MOST_DISPUTES])
        ]
        table = html.table(
            ["uid", "said", "settled as"], rows, caption="Pictures that were labelled differently"
        )
        cut = f"The first {_MOST_DISPUTES:,} of {len(disputed):,}." if len(disputed) > len(rows) else None
        sections.append(html.section("Disputes", table, note=cut))
    lead = f"{len(labels.merge()):,} pictures with a label on which all agree, or that a review settled."
    return html.page("Labels", sections, lead=lead)


def merge_table(labels: Labels, plan: Plan) -> pa.Table:
    """Return the merged labels: ``uid``, ``label``, ``drawn`` and ``people``, how many labelled it, sorted by uid.

    Its metadata say which corpus was labelled, and which pictures were looked at and have no label.
    """
    merged = labels.merge()
    people = Counter(look.uid for look in labels.looks if look.kind == "first")
    uids, drawn = list(merged), labels.drawn or {}
    origin = Origin(corpus=labels.origin.corpus, unlabelled=labels.left_open())
    return pa.table(
        {
            "uid": pa.array(uids, pa.string()),
            "label": pa.array(merged.values(), pa.string()),
            "drawn": pa.array([drawn.get(uid) for uid in uids], pa.string()),
            "people": pa.array([people[uid] for uid in uids], pa.int64()),
        }
    ).replace_schema_metadata(write_origin(origin))


def _summarise(labels: Labels, plan: Plan) -> list[tuple[str, str]]:
    ways = pc.value_counts(plan.rows["drawn"]).to_pylist()
    drawn = ", ".join(
        f"{way['counts']:,} {way['values']}" for way in sorted(ways, key=lambda way: str(way["values"]))
    )
    merged = labels.merge()
    left_out = f"{len(labels.unsettled()):,} of {len(labels.disputed()):,} disputes"
    passed = len(labels.left_open()) - len(labels.unsettled())
    return [
        ("pictures drawn", f"{plan.rows.num_rows:,} ({drawn})"),
        ("with a label", f"{len(merged):,}: {_tell_shares(Counter(merged.values()), plan)}"),
        ("left out, since people do not agree", f"{left_out}, settle them with --review"),
        *([("looked at without a label", f"{passed:,}, label them too")] if passed else []),
    ]


def _tell_shares(counts: Counter[str], plan: Plan) -> str:
    total = max(counts.total(), 1)
    return ", ".join(f"{counts[name]:,} {name} ({counts[name] / total:.1%})" for name in plan.classes)


def _compare(labels: Labels, plan: Plan) -> Iterator[_Compared]:
    said, again = labels.by_person(), labels.by_person("again")
    pairs = [
        (f"{one} and {two}", one, two, said[one], said[two]) for one, two in itertools.combinations(said, 2)
    ]
    pairs += [
        (f"{person}, looking twice", "first", "again", said.get(person, {}), own)
        for person, own in again.items()
    ]
    for title, first, second, mine, theirs in pairs:
        names, counts = cross(mine, theirs, plan.classes)
        if counts.sum():
            yield _Compared(title, first, second, names, counts.tolist(), cohen_kappa(counts))


def _show(one: _Compared) -> Iterator[str]:
    yield html.paragraph(f"{one.title}: {one.kappa.text}")
    rows = [[name, *counts] for name, counts in zip(one.names, one.counts, strict=True)]
    columns = [f"{one.first} \\ {one.second}", *one.names]
    yield html.table(columns, rows, caption=f"Rows: what {one.first} said; columns: {one.second}")
