"""``oddpair coverage``: what is left of a split where links have rotted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from oddpair.cli_options import AS_JSON, CORPUS, OUT, tell
from oddpair.errors import Refusal

_SHOWN = 10


def coverage(
    split: Annotated[Path, typer.Argument(help="Folder of a split's manifest.")],
    corpus: CORPUS,
    out: OUT,
    by: Annotated[
        Path | None,
        typer.Option(
            help="Table of oddpair export --as url-hash: find rows by address and caption too, for copies with other uids."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Column of the original corpus to count by, such as class; may be repeated."),
    ] = None,
    original: Annotated[
        str | None,
        typer.Option(help="The corpus that the split was made from; default: where oddpair split found it."),
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """Count how much of a split another copy of its corpus still has, and write the split of what is left."""
    import json

    from oddpair import files
    from oddpair.commands.coverage import REPORT, SPLITS, Original, cover_split
    from oddpair.commands.export import MISSING, find_corpus
    from oddpair.commands.paths import need_apart, need_files
    from oddpair.commands.read import read_corpus
    from oddpair.splits.manifest import read_manifest

    if original is not None and not column:
        raise Refusal("--original is read for its columns alone: name one with --column")
    need_files(by)
    manifest = read_manifest(split)
    copy = read_corpus(corpus)
    need_apart(copy, out)
    counted = None
    if column:
        counted = Original(corpus=find_corpus(split, manifest, original), columns=tuple(column))
    with files.locked(out):
        report = cover_split(manifest, copy, corpus, out, by=by, original=counted)
    if as_json:
        tell(json.dumps(report))
        return
    _tell_report(report)
    if report["missing"]:
        tell(f"missing rows: {out / MISSING}")
    tell(f"report: {out / REPORT}")
    if report["found"]:
        tell(f"split of what is left: {out / SPLITS / manifest.name}")


def _tell_report(report: dict[str, Any]) -> None:
    rows, found, listed = report["rows"], report["found"], report["listed"]
    tell(f"{report['split']}: {found:,} of {rows:,} rows are there ({found / rows:.1%})")
    for way, count in report["found_by"].items():
        tell(f"    found by {way}: {count:,}")
    reasons = sorted(report["missing"].items(), key=lambda item: (-item[1], item[0]))
    for reason, count in reasons[:_SHOWN]:
        tell(f"    missing, {reason}: {count:,}")
    if len(reasons) > _SHOWN:
        tell(
            f"    missing for {len(reasons) - _SHOWN:,} other reasons: {sum(n for _, n in reasons[_SHOWN:]):,}"
        )
    if found and not listed["failures"]:
        tell("    the copy lists no failed row: what it lacks may have rotted or never been asked for")
    elif 0 < listed["rows"] < rows:
        interval = "no interval from a single shard"
        if listed["interval_95"] is not None:
            low, high = listed["interval_95"]
            interval = f"95 % interval {low:.1%} to {high:.1%} if whole shards were drawn at random"
        tell(
            f"    of the {listed['rows']:,} rows that the shards list {listed['share_found']:.1%} are there, {interval}"
        )
    for name, values in report["columns"].items():
        worst = sorted(values.items(), key=lambda item: (item[1]["found"] / item[1]["rows"], item[0]))
        for value, count in worst[:_SHOWN]:
            tell(f"    {name}={value}: {count['found']:,} of {count['rows']:,}")
        if len(worst) > _SHOWN:
            tell(f"    {name}: {len(worst) - _SHOWN:,} other values, of which more is left")
    for bad in report["damaged"][:_SHOWN]:
        tell(f"    damaged: {bad['file']}: {bad['reason']} ({bad['rows']:,} rows)")
    if not found and "uid" not in report["found_by"]:
        tell("    copies with other uids are searched with --by, a table of oddpair export --as url-hash")
